"""Attacks by whoever can write to the registry's storage, but holds no trusted key."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provreg.errors import DamagedError, NotFoundError, NotTrustedError, ProvregError
from provreg.flows.ingest.request import Ingestion
from provreg.store.private.state import Pin
from provreg.store.registry.statements import VERSIONS

if TYPE_CHECKING:
    from provreg.flows.ingest.publish import Outcome
    from tests.conftest import Bench


def refused(bench: Bench, reference: str = "pets", *trusted: str) -> NotTrustedError:
    with pytest.raises(NotTrustedError) as caught:
        bench.open(*trusted).verify(reference)
    assert caught.value.message
    return caught.value


def publish(bench: Bench, versions: int = 1, name: str = "pets") -> list[Outcome]:
    """Versions that grow by two samples each."""
    return [
        bench.ingest(bench.pets(f"{name}{n}", count=6 + 2 * n), name=name) for n in range(versions)
    ]


def head_of(outcome: Outcome) -> str:
    assert outcome.digest is not None
    return outcome.digest


def test_an_edited_part_file_is_refused(bench: Bench) -> None:
    (outcome,) = publish(bench)
    part = bench.object(outcome.head.parts[0].file)
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    bench.overwrite(part, bytes(data))
    assert refused(bench).step == 10
    # Not even the consumer's cache of what was checked makes it pass, and without one neither.
    bench.forget("PROVREG_CACHE")
    assert refused(bench).step == 10


def test_an_edited_head_is_refused(bench: Bench) -> None:
    (outcome,) = publish(bench)
    path = bench.object(head_of(outcome))
    bench.overwrite(path, path.read_bytes().replace(b"shelter", b"sheltef"))
    assert refused(bench).step == 4


@pytest.mark.parametrize("which", ["head", "file"])
def test_a_deleted_object_is_refused(bench: Bench, which: str) -> None:
    (outcome,) = publish(bench)
    bench.object(head_of(outcome) if which == "head" else outcome.head.parts[0].file).unlink()
    assert refused(bench).step == (4 if which == "head" else 10)


def test_every_edited_object_is_found_by_check(bench: Bench) -> None:
    publish(bench, 2)
    assert list(bench.open().check()) == []
    objects = [path for path in (bench.registry / "objects").rglob("*") if path.is_file()]
    assert len(objects) >= 8
    for path in objects:
        before = path.read_bytes()
        bench.overwrite(path, before[:-1] + bytes([before[-1] ^ 1]))
        assert list(bench.open().check()), path
        bench.overwrite(path, before)
    assert list(bench.open().check()) == []


def test_a_digest_pinned_by_the_caller_is_never_served_another_head(bench: Bench) -> None:
    one, two = publish(bench, 2)
    bench.overwrite(bench.object(head_of(one)), bench.object(head_of(two)).read_bytes())
    assert refused(bench, f"pets@{head_of(one)}").step == 4


def test_a_number_pointing_to_an_older_head_is_refused(bench: Bench) -> None:
    one, two = publish(bench, 2)
    bench.forget()
    bench.point(2, head_of(one))
    error = refused(bench, "pets@2")
    assert error.step == 5
    assert "pets@2" in error.message
    # The head that lost its number is no version by its digest either.
    assert refused(bench, f"pets@{head_of(two)}").step == 5


def test_two_heads_swapped_between_numbers_are_refused(bench: Bench) -> None:
    one, two = publish(bench, 2)
    bench.forget()
    bench.point(1, head_of(two))
    bench.point(2, head_of(one))
    for reference in ("pets", "pets@1", "pets@2", f"pets@{head_of(one)}", f"pets@{head_of(two)}"):
        assert refused(bench, reference).step == 5


def test_a_replayed_head_of_another_dataset_is_refused(bench: Bench) -> None:
    publish(bench)
    (other,) = publish(bench, name="plants")
    bench.forget()
    digest = head_of(other)
    for path in bench.signatures(digest, "plants").iterdir():
        bench.overwrite(bench.signatures(digest) / path.name, path.read_bytes())
    bench.point(1, digest)
    assert refused(bench).step == 5


def test_another_dataset_of_the_same_name_is_refused_by_who_saw_the_first(bench: Bench) -> None:
    publish(bench)
    bench.open().verify("pets")
    (bench.registry / "datasets/pets").rename(bench.folder / "old")
    # Signed by the very same key, as a second dataset of that name somewhere else may be.
    state = Path(os.environ["PROVREG_STATE"])
    state.rename(bench.folder / "state")
    publish(bench)
    bench.forget("PROVREG_STATE")
    (bench.folder / "state").rename(state)
    error = refused(bench)
    assert error.step == 9
    assert "uid" in error.message


def test_a_rollback_is_refused_by_who_saw_the_newest(bench: Bench) -> None:
    publish(bench, 3)
    bench.open().verify("pets")
    bench.record(3).unlink()
    for reference in ("pets", "pets@latest"):
        error = refused(bench, reference)
        assert error.step == 9
        assert "went back" in error.message
    # By number it was meant.
    assert bench.open().verify("pets@2").head.version == 2


def test_a_rollback_is_refused_by_a_pin_where_no_state_survives(bench: Bench) -> None:
    outcomes = publish(bench, 2)
    pin = Pin(outcomes[1].head.uid, 2, head_of(outcomes[1]))
    bench.record(2).unlink()
    bench.forget()
    with pytest.raises(NotTrustedError, match="went back") as caught:
        bench.open(pins={"pets": pin}).verify("pets")
    assert caught.value.step == 9


@pytest.mark.parametrize("deleted", [[2], [1, 2]], ids=["the newest", "all"])
@pytest.mark.parametrize("memory", ["state", "pin"])
def test_nothing_is_published_upon_a_rollback(
    bench: Bench, deleted: list[int], memory: str
) -> None:
    _, two = publish(bench, 2)
    for number in deleted:
        bench.record(number).unlink()
    pins = {}
    if memory == "pin":
        pins = {"pets": Pin(two.head.uid, 2, head_of(two))}
        bench.forget()
    ingestion = Ingestion("pets", (bench.pets("more", count=20),), source="shelter")
    before = bench.files()
    with pytest.raises(NotTrustedError, match="was seen, pinned or attested before") as caught:
        bench.open(pins=pins).ingest(ingestion, bench.signer())
    assert caught.value.step == 9
    assert bench.files() == before


def test_a_replaced_version_is_refused_by_who_saw_it(bench: Bench) -> None:
    one, two = publish(bench, 2)
    other = replace(two.head, message="history rewritten by its own signer")
    digest = bench.forge(other, claim=False)
    bench.point(2, digest)
    error = refused(bench)
    assert error.step == 9
    assert head_of(two) in error.message
    bench.forget()
    assert bench.open().verify("pets").digest == digest
    assert one.digest == other.parent


def test_a_forked_history_is_refused_by_who_saw_the_other(bench: Bench) -> None:
    one, two = publish(bench, 2)
    three = replace(two.head, version=3, message="continues 1, not 2", parent=head_of(one))
    bench.forge(three)
    error = refused(bench)
    assert error.step == 9
    assert "does not descend" in error.message


@pytest.mark.parametrize(
    "garbage", [b"", b"{}", b"\xff", b'{"head":"sha256:00","nonce":""}', b"x" * 5000]
)
def test_a_squatted_next_number_is_no_version_and_stops_nobody(
    bench: Bench, garbage: bytes
) -> None:
    first = publish(bench)[0]
    bench.overwrite(bench.record(2), garbage)
    assert refused(bench).step == 1
    outcome = bench.ingest(bench.pets("more", count=20))
    assert outcome.head is not None
    assert (outcome.head.version, outcome.head.parent) == (3, first.digest)
    assert [number.number for number in outcome.passed_over] == [2]
    assert bench.open().verify("pets").head.version == 3


def test_a_number_squatted_with_an_unsigned_head_is_no_version(bench: Bench) -> None:
    (outcome,) = publish(bench)
    head = replace(outcome.head, version=2, parent=head_of(outcome))
    digest = bench.open().workspace.objects.put(head.to_bytes(), "sha256")
    bench.point(2, digest)
    error = refused(bench)
    assert error.step == 1
    assert "no signature" in error.message
    assert bench.ingest(bench.pets("more", count=20)).head.version == 3


def test_a_number_squatted_by_a_key_the_policy_does_not_know_is_no_version(bench: Bench) -> None:
    (outcome,) = publish(bench)
    bench.forge(replace(outcome.head, version=2, parent=head_of(outcome)), by="mallory")
    error = refused(bench)
    assert error.step == 3
    assert error.hint
    assert bench.ingest(bench.pets("more", count=20)).head.version == 3


def test_the_highest_number_squatted_leaves_no_room_and_says_so(bench: Bench) -> None:
    publish(bench)
    bench.overwrite(bench.record(99_999_999), b"")
    with pytest.raises(ProvregError) as caught:
        bench.ingest(bench.pets("more", count=20))
    assert caught.value.message


def test_deleted_signatures_are_refused(bench: Bench) -> None:
    (outcome,) = publish(bench)
    for path in bench.signatures(head_of(outcome)).iterdir():
        path.unlink()
    assert refused(bench).step == 1


def test_a_bundle_of_another_version_over_this_head_is_refused(bench: Bench) -> None:
    one, two = publish(bench, 2)
    bench.forget()
    for path in bench.signatures(head_of(two)).iterdir():
        path.unlink()
    for path in bench.signatures(head_of(one)).iterdir():
        bench.overwrite(bench.signatures(head_of(two)) / path.name, path.read_bytes())
    assert refused(bench).step == 5


def test_a_bundle_by_an_unknown_key_beside_a_good_one_is_skipped(bench: Bench) -> None:
    (outcome,) = publish(bench)
    bench.forge(outcome.head, by="mallory", claim=False)
    version = bench.open().verify("pets")
    assert [skipped.step for skipped in version.skipped] == [3]


def test_one_signer_twice_is_one_principal(bench: Bench) -> None:
    (outcome,) = publish(bench)
    bench.forge(outcome.head, claim=False)  # another ECDSA signature of the same key
    assert len(list(bench.signatures(head_of(outcome)).iterdir())) == 2
    with pytest.raises(NotTrustedError) as caught:
        bench.open("alice", "bob", threshold=2).verify("pets")
    assert caught.value.step == 7
    bench.forge(outcome.head, by="bob", claim=False)
    bench.open("alice", "bob", threshold=2).verify("pets")


def test_a_part_planted_under_its_digest_before_publication_stops_it(bench: Bench) -> None:
    (outcome,) = publish(bench)
    planted = {name: b"planted" for name in bench.files() if name.startswith("objects/")}
    for name in planted:
        bench.overwrite(bench.registry / name, b"planted")
    bench.overwrite(bench.record(1), b"")
    bench.record(1).unlink()
    bench.forget()
    with pytest.raises(DamagedError, match="does not match its digest"):
        bench.ingest(bench.pets("pets0"))
    assert outcome.head is not None
    assert not bench.record(1).exists()


@pytest.mark.parametrize("kind", ["symlink", "hardlink", "pipe", "folder"])
def test_what_is_no_file_of_the_registry_is_not_read(bench: Bench, kind: str) -> None:
    (outcome,) = publish(bench)
    part = bench.object(outcome.head.parts[0].file)
    data = part.read_bytes()
    part.unlink()
    elsewhere = bench.folder / "elsewhere"
    elsewhere.write_bytes(data if kind == "symlink" else data + b"x")
    if kind == "symlink":
        part.symlink_to(elsewhere)
    elif kind == "hardlink":
        part.hardlink_to(elsewhere)  # a file as any other: its bytes decide
    elif kind == "pipe":
        os.mkfifo(part)
    else:
        part.mkdir()
    assert refused(bench).step == 10


def test_a_link_in_a_folders_place_is_refused(bench: Bench) -> None:
    publish(bench)
    (bench.registry / "datasets/pets/versions").rename(bench.folder / "versions")
    (bench.registry / "datasets/pets/versions").symlink_to(bench.folder / "versions")
    with pytest.raises(DamagedError, match="link"):
        bench.open().verify("pets")


def test_strangers_in_the_registry_are_reported_and_change_nothing(bench: Bench) -> None:
    (outcome,) = publish(bench)
    for name in ("datasets/pets/versions/evil\x1b[2J", "datasets/EVIL/versions/00000001.json",
                 VERSIONS.prefix(head_of(outcome), "pets") + "/stranger"):  # fmt: skip
        bench.overwrite(bench.registry / name, b"x")
    assert bench.open().verify("pets").head.version == 1
    assert len(bench.warnings) >= 2
    assert not any("\x1b" in warning for warning in bench.warnings)


def test_a_deleted_record_in_the_middle_leaves_diff_and_blame_working(bench: Bench) -> None:
    publish(bench, 3)
    bench.record(2).unlink()
    registry = bench.open()
    blamed = list(registry.blame("pets"))
    found = {one.id: one.content.version for one in blamed}
    assert found["cat/7.jpg"].head.version == 2
    # Its number is nobody's: what is known of it is still said, and that it is not trusted.
    assert found["cat/7.jpg"].trusted_because is None
    attributed = [change.attributions for change in registry.diff("pets@1", "pets@3")]
    assert {one.version.head.version for by in attributed for one in by.values()} == {2, 3}


def test_one_damaged_dataset_does_not_hide_the_others(bench: Bench) -> None:
    publish(bench)
    (other,) = publish(bench, name="plants")
    bench.open().sync()
    bench.object(head_of(other)).unlink()
    registry = bench.open()
    damaged = registry.sync()
    assert [(one.dataset, one.number) for one in damaged] == [("plants", 1)]
    assert [one.head.version for one in registry.log("pets")] == [1]
    _, rows = registry.sql("select dataset from versions")
    assert rows == [("pets",)]


def test_what_does_not_exist_is_not_found(bench: Bench) -> None:
    publish(bench)
    for reference in ("nothing", "pets@2"):
        with pytest.raises(NotFoundError):
            bench.open().verify(reference)
