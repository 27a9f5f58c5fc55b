"""The consumer's memory and pins: what cannot be read is never taken for nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provreg.core.encoding.digest import sha256_digest
from provreg.core.statements.revocation import RevocationLink
from provreg.errors import DamagedError, FormatError, NotFoundError, NotTrustedError, UsageError
from provreg.store.private.pins import read_lock, write_lock
from provreg.store.private.seen import Place, Seen, SeenRevocation, SeenVersion
from provreg.store.private.state import (
    Forgettable,
    Pin,
    Sighting,
    check_same,
    check_seen,
    forget,
    load,
    load_place,
    memory_of,
    remember,
)

HERE = "file:///srv/registry"
UID = "0123456789abcdef" * 2
OTHER_UID = "f" * 32
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HEADS = [sha256_digest(b"%d" % n) for n in range(9)]
SCHEMAS = Path(__file__).parents[3] / "schemas"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROVREG_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def the_file(folder: Path) -> Path:
    [path] = (folder / "datasets").iterdir()
    return path


def sighting(
    versions: int | None = 1,
    uid: str = UID,
    *,
    name: str = "cats",
    head: int | None = None,
    trust: str = "policy",
    signers: tuple[str, ...] = ("ann",),
    at: datetime = NOON,
    **revoked: Any,
) -> Sighting:
    number = versions or 1
    digest = HEADS[number % 9] if head is None else HEADS[head]
    return Sighting(name, uid, number, digest, trust, signers, at, **revoked)


def see(*numbers: int, place: str = HERE, **more: Any) -> Seen:
    return [remember([place], sighting(number, **more)) for number in numbers][-1]


def the_place(folder: Path) -> Path:
    [path] = (folder / "places").iterdir()
    return path


def test_nothing_is_seen_at_first() -> None:
    assert load(UID) is None
    assert load_place(HERE) == Place(HERE)


def test_what_is_remembered_is_seen(folder: Path) -> None:
    link = RevocationLink(4, HEADS[0])
    see(2, revocation=link, in_force={3: HEADS[3]})
    made = see(10, trust="key sha256:aa", signers=("ann", "ben"), at=NOON + DAY)
    seen = load(UID)
    assert seen == made
    assert seen is not None
    assert (seen.newest, list(seen.versions), seen.places) == (10, [2, 10], (HERE,))
    assert seen.versions[2] == SeenVersion(HEADS[2], (HERE,), {"policy": {"ann": NOON}})
    assert seen.versions[10].trusts == {"key sha256:aa": {"ann": NOON + DAY, "ben": NOON + DAY}}
    assert seen.revocations == {
        3: SeenRevocation(HEADS[3], (HERE,), ("policy",)),
        4: SeenRevocation(HEADS[0], (HERE,), ()),
    }  # fmt: skip
    assert load_place(HERE) == Place(HERE, {"cats": UID}, link)
    for path, schema in ((the_file(folder), "state"), (the_place(folder), "place")):
        document = json.loads(path.read_bytes())
        jsonschema.validate(document, json.loads((SCHEMAS / f"{schema}.v1.json").read_text()))
        assert path.stat().st_mode & 0o777 == 0o600


def test_of_each_signer_the_first_time_stays() -> None:
    see(1)
    see(1, signers=("ann", "ben"), at=NOON + DAY)
    seen = see(1, trust="key sha256:aa", at=NOON + 2 * DAY)
    assert seen.versions[1].trusts == {
        "policy": {"ann": NOON, "ben": NOON + DAY}, "key sha256:aa": {"ann": NOON + 2 * DAY},
    }  # fmt: skip


def test_a_clock_that_was_set_back_dates_nothing_before_what_was_seen() -> None:
    see(1)
    assert see(2, at=NOON - DAY).versions[2].trusts == {"policy": {"ann": NOON}}


def test_what_is_seen_cannot_be_changed_by_accident() -> None:
    seen = see(1)
    with pytest.raises(TypeError):
        seen.versions[1] = seen.versions[1]  # type: ignore[index]


def test_datasets_are_apart_and_registries_are_not() -> None:
    see(1)
    see(1, uid=OTHER_UID, name="dogs")
    assert load_place(HERE).datasets == {"cats": UID, "dogs": OTHER_UID}
    assert load_place(HERE + "2").datasets == {}
    seen = see(1, 2, place=HERE + "2")
    assert seen.places == (HERE, HERE + "2")
    assert [seen.versions[number].places for number in (1, 2)] == [
        (HERE, HERE + "2"),
        (HERE + "2",),
    ]


def test_of_many_places_the_newest_are_kept() -> None:
    for number in range(20):
        seen = see(1, place=f"{HERE}{number}", revocation=RevocationLink(1, HEADS[1]))
    assert len(seen.places) == 20
    newest = tuple(f"{HERE}{number}" for number in range(4, 20))
    assert (seen.versions[1].places, seen.revocations[1].places) == (newest, newest)
    assert load(UID) == seen


def test_nothing_is_forgotten() -> None:
    see(5, revocation=RevocationLink(2, HEADS[2]))
    see(3, revocation=RevocationLink(1, HEADS[1]))
    seen = see(3)
    assert {number: one.head for number, one in seen.versions.items()} == {
        3: HEADS[3], 5: HEADS[5],
    }  # fmt: skip
    assert list(seen.revocations) == [1, 2]
    assert load_place(HERE).revocation == RevocationLink(2, HEADS[2])


@given(
    st.lists(
        st.tuples(st.integers(1, 8), st.none() | st.integers(1, 8), st.sampled_from("abc")),
        min_size=1,
        max_size=6,
    )
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_memory_is_the_union_whatever_the_order(
    folder: Path, rounds: list[tuple[int, int | None, str]]
) -> None:
    for path in folder.rglob("*.json"):
        path.unlink()
    for number, revoked, place in rounds:
        link = None if revoked is None else RevocationLink(revoked, HEADS[revoked])
        seen = see(number, place=HERE + place, revocation=link)
    assert {number: one.head for number, one in seen.versions.items()} == {
        number: HEADS[number] for number, _, _ in rounds
    }
    assert set(seen.revocations) == {number for _, number, _ in rounds if number}
    assert set(seen.places) == {HERE + place for _, _, place in rounds}


def test_what_is_known_already_is_not_written_again_nor_locked(folder: Path) -> None:
    see(1)
    (folder / "lock").unlink()
    before = {path: path.stat().st_ino for path in folder.rglob("*.json")}
    see(1, at=NOON + DAY)
    assert {path: path.stat().st_ino for path in folder.rglob("*.json")} == before
    assert not (folder / "lock").exists()


def test_check_passes_what_was_seen_and_what_is_new() -> None:
    seen = see(1, 3)
    for number in (1, 2, 3, 4):
        check_seen(seen, "cats", number, HEADS[number], HERE)
    check_same("cats", UID, HERE, {HERE: UID, HERE + "2": UID})
    check_same("cats", UID, HERE, {})


def test_another_dataset_of_the_same_name_is_refused() -> None:
    with pytest.raises(NotTrustedError, match="another dataset of the same name") as caught:
        check_same("cats", OTHER_UID, HERE, {HERE + "2": UID})
    assert caught.value.step == 9
    assert HERE + "2" in caught.value.message
    assert "provreg forget cats --registry /srv/registry2" in caught.value.hint


def test_one_uid_under_two_names_is_refused() -> None:
    with pytest.raises(NotTrustedError, match="seen before as cats") as caught:
        check_seen(see(1), "dogs", 1, HEADS[1], HERE)
    assert caught.value.step == 9


def test_another_head_at_a_seen_number_is_refused_with_both_places() -> None:
    with pytest.raises(NotTrustedError, match="version 3 is not the one seen") as caught:
        check_seen(see(1, 3), "cats", 3, HEADS[4], HERE + "2")
    assert caught.value.step == 9
    assert f"'{HERE}'" in caught.value.message
    assert f"'{HERE}2'" in caught.value.message
    assert "provreg forget cats --registry /srv/registry" in caught.value.hint


@pytest.mark.parametrize(
    "news",
    [
        {"uid": OTHER_UID},
        {"name": "dogs", "versions": 7},
        {"head": 2},
        {"versions": 7, "revocation": RevocationLink(2, HEADS[3])},
        {"versions": 7, "in_force": {2: HEADS[3]}},
    ],
)
def test_contradictions_are_refused_and_not_remembered(folder: Path, news: dict[str, Any]) -> None:
    see(1, revocation=RevocationLink(2, HEADS[2]))
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    with pytest.raises(NotTrustedError) as caught:
        remember([HERE], sighting(**news))
    assert caught.value.step == 9
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == before


@pytest.mark.parametrize(
    "news", [{"uid": "x"}, {"versions": 10**8}, {"name": "../cats"}, {"trust": "a", "head": 0}]
)
def test_what_could_not_be_read_again_is_not_written(folder: Path, news: dict[str, Any]) -> None:
    made = sighting(**news)
    if "head" in news:
        made = replace(made, head="x")
    with pytest.raises((FormatError, UsageError)):
        remember([HERE], made)
    assert list(folder.rglob("*.json")) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"provreg.state/v1"', '"provreg.state/v2"'),
        ('"cats"', '"../cats"'),
        (UID, OTHER_UID),
        ('"1":{"head"', '"01":{"head"'),
        ('"1":{"head"', '"0":{"head"'),
        ('"1":{"head"', f'"{"1" * 5000}":{{"head"'),
        ('"1":{"head"', '"²":{"head"'),
        ("sha256:", "blake3:"),
        ('"places":[0]', '"places":[1]'),
        ('"places":[0]', '"places":[-1]'),
        ('"places":[0]', '"places":[false]'),
        ('"places":[0]', '"places":[]'),
        ('"places":[0]', '"places":[0,0]'),
        ('"places":[0]', f'"places":[{",".join("0" * 17)}]'),
        ('"places":[0]', '"places":0'),
        ('{"policy":{"ann":"2026-11-22T12:00:00Z"}}', "{}"),
        ('{"ann":"2026-11-22T12:00:00Z"}', "[]"),
        ("2026-11-22T12:00:00Z", "2026-11-22T12:00:00+00:00"),
        ("2026-11-22T12:00:00Z", "2026-11-22T24:00:00Z"),
        ("2026-11-22T12:00:00Z", "2026-13-22T12:00:00Z"),
        ("2026-11-22T12:00:00Z", "2026-11-22T12:00:00"),
        ('"2026-11-22T12:00:00Z"', "1"),
        (f'["{HERE}"]', "[]"),
        (f'["{HERE}"]', f'["{HERE}","{HERE}"]'),
        ('"revocations":{}', '"revocations":[]'),
        ('"revocations":{}', '"revocations":{"1":{}}'),
        ('"revocations":{}', '"revocations":{},"x":1'),
        ("{", " {"),
    ],
)
def test_a_corrupt_state_fails_closed_and_says_how_to_go_on(
    folder: Path, old: str, new: str
) -> None:
    see(1)
    check_corrupt(the_file(folder), old, new, partial(load, UID))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"provreg.place/v1"', '"provreg.place/v2"'),
        (HERE, HERE + "2"),
        ('"cats"', '"../cats"'),
        (UID, UID.upper()),
        (f'{{"cats":"{UID}"}}', "[]"),
        ('"revocation":null', '"revocation":{}'),
        ('"revocation":null', '"revocation":null,"x":1'),
        ("{", " {"),
    ],
)
def test_a_corrupt_place_fails_closed_and_says_how_to_go_on(
    folder: Path, old: str, new: str
) -> None:
    see(1)
    check_corrupt(the_place(folder), old, new, partial(load_place, HERE))


def check_corrupt(path: Path, old: str, new: str, ask: Callable[[], object]) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    for attempt in (ask, partial(see, 2)):
        with pytest.raises(DamagedError) as caught:
            attempt()
        assert "provreg forget" in caught.value.hint
    assert path.read_text() == text.replace(old, new)
    # Forgetting is the way out, also of what cannot be read.
    memory = memory_of([HERE])
    forget(memory)
    if path.exists():  # what the place says of it is gone, and of which file it was
        assert path.parent.name == "datasets"
        path.unlink()
    assert see(2).newest == 2


def test_any_damaged_byte_of_the_state_is_refused_or_read_strictly(folder: Path) -> None:
    see(1, revocation=RevocationLink(1, HEADS[2]))
    for path, ask in (
        (the_file(folder), partial(load, UID)),
        (the_place(folder), partial(load_place, HERE)),
    ):
        sound = path.read_bytes()
        for place in range(len(sound)):
            path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x80]) + sound[place + 1 :])
            with pytest.raises(DamagedError):
                ask()
            path.write_bytes(sound[:place])
            with pytest.raises(DamagedError):
                ask()
        path.write_bytes(sound)


def test_two_processes_remembering_at_once_lose_nothing() -> None:
    code = (
        "import sys\n"
        "from datetime import UTC, datetime\n"
        "from provreg.store.private.state import Sighting, remember\n"
        "from provreg.core.encoding.digest import sha256_digest\n"
        "for n in range(int(sys.argv[1]), 40, 4):\n"
        f"    remember(['{HERE}' + sys.argv[1], {HERE!r}], Sighting('cats', {UID!r}, n + 1,\n"
        "        sha256_digest(b'%d' % n), 'policy', ('ann',), datetime.now(UTC)))\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(n)]) for n in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    seen = load(UID)
    assert seen is not None
    assert {number: one.head for number, one in seen.versions.items()} == {
        n + 1: sha256_digest(b"%d" % n) for n in range(40)
    }
    assert set(seen.places) == {HERE, *(f"{HERE}{n}" for n in range(4))}


def test_forgetting_a_place_keeps_what_was_seen_elsewhere() -> None:
    there = HERE + "2"
    see(1, revocation=RevocationLink(1, HEADS[1]))
    see(2, place=there, revocation=RevocationLink(2, HEADS[2]))
    memory = memory_of([there], "cats")
    assert memory.datasets == (Forgettable("cats", UID, (2,), (2,)),)
    assert memory.revocation == RevocationLink(2, HEADS[2])
    forget(memory)
    seen = load(UID)
    assert seen is not None
    assert (list(seen.versions), list(seen.revocations), seen.places) == ([1], [1], (HERE,))
    assert load_place(there) == Place(there)
    assert memory_of([there]).datasets == ()
    forget(memory_of([HERE]))
    assert load(UID) is None


def test_forgetting_a_dataset_keeps_the_others_and_the_newest_revocation() -> None:
    see(1, revocation=RevocationLink(1, HEADS[1]))
    see(1, uid=OTHER_UID, name="dogs")
    memory = memory_of([HERE], "cats")
    assert memory.revocation is None
    forget(memory)
    assert load_place(HERE) == Place(HERE, {"dogs": OTHER_UID}, RevocationLink(1, HEADS[1]))
    assert (load(UID), load(OTHER_UID) is None) == (None, False)
    assert memory_of([HERE], "cats").datasets == ()


PINS = {"cats": Pin(UID, 3, HEADS[3], at=NOON), "a.dog": Pin(OTHER_UID, 12, HEADS[1])}


def test_pins_are_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "provreg.lock"
    write_lock(path, PINS)
    assert read_lock(path) == PINS
    document = json.loads(path.read_bytes())
    jsonschema.validate(document, json.loads((SCHEMAS / "lock.v1.json").read_text()))
    write_lock(path, {})
    assert read_lock(path) == {}


def test_an_exact_pin_and_what_it_saw_are_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "provreg.lock"
    pins = {"cats": Pin(UID, 3, HEADS[3], at=NOON, exact=True, seen={"sha256:" + "a" * 64: NOON})}
    write_lock(path, pins)
    assert read_lock(path) == pins
    schema = json.loads((SCHEMAS / "lock.v1.json").read_text())
    jsonschema.validate(json.loads(path.read_bytes()), schema)
    text = path.read_text()
    for old, new in (("true", '"true"'), ("true", "1"), ("12:00:00Z", "noon"),
                     ('"sha256:' + "a" * 64, '"')):  # fmt: skip
        path.write_text(text.replace(old, new))
        with pytest.raises(FormatError):
            read_lock(path)


def test_a_lock_file_reads_well_in_a_review(tmp_path: Path) -> None:
    path = tmp_path / "provreg.lock"
    write_lock(path, PINS)
    before = path.read_text().splitlines()
    assert [line.strip() for line in before if ": {" in line][1:] == ['"a.dog": {', '"cats": {']
    write_lock(path, PINS | {"cats": Pin(UID, 4, HEADS[4], at=NOON)})
    after = path.read_text().splitlines()
    assert path.read_text().endswith("}\n")
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 2
    assert path.stat().st_mode & 0o111 == 0


def test_a_missing_lock_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_lock(tmp_path / "provreg.lock")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("provreg.lock/v1", "provreg.lock/v2"),
        ('"cats"', '"../cats"'),
        ('"cats"', '"a.dog"'),
        (UID, UID[1:]),
        ('"version": 3', '"version": "3"'),
        ('"version": 3', '"version": 0'),
        ('"version": 3', '"version": 100000000'),
        ('"version": 3', '"version": 3, "more": 1'),
        ("12:00:00Z", "12:00:00"),
        ("sha256:", "blake3:"),
        ("{", "<<<<<<< HEAD\n{"),
        ("{", "["),
    ],
)
def test_a_malformed_lock_file_is_refused_and_not_taken_for_none(
    tmp_path: Path, old: str, new: str
) -> None:
    path = tmp_path / "provreg.lock"
    write_lock(path, PINS)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(FormatError, match=r"provreg\.lock") as caught:
        read_lock(path)
    assert caught.value.hint


@pytest.mark.parametrize("datasets", ["[]", "null", '{"cats":[]}'])
def test_a_lock_file_of_another_shape_is_refused(tmp_path: Path, datasets: str) -> None:
    path = tmp_path / "provreg.lock"
    path.write_text(f'{{"format":"provreg.lock/v1","datasets":{datasets}}}')
    with pytest.raises(FormatError):
        read_lock(path)


def test_a_planted_link_or_pipe_is_no_lock_file(tmp_path: Path) -> None:
    write_lock(tmp_path / "real", PINS)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(DamagedError):
            read_lock(tmp_path / name)


def test_pins_that_could_not_be_read_again_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        write_lock(tmp_path / "provreg.lock", {"cats": Pin("x", 1, HEADS[1])})
    assert not list(tmp_path.iterdir())
