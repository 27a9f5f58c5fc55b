"""Attacks on what a consumer has seen: other places, other clocks, stolen keys, other trust."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provreg.core.encoding.digest import sha256_digest
from provreg.core.policy.policy import Limit, Policy, Principal, PublishRule, TrustedKey
from provreg.core.statements.statement import statement_of
from provreg.errors import DamagedError, NotTrustedError
from provreg.flows.session.trust import Trust, trust_key
from provreg.flows.session.workspace import open_workspace
from provreg.registry import Registry
from provreg.store.private.pins import read_lock
from provreg.store.private.state import Pin
from provreg.store.registry.folder import open_registry

if TYPE_CHECKING:
    from provreg.flows.ingest.publish import Outcome
    from tests.conftest import Bench

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


def publish(bench: Bench, versions: int = 1) -> list[Outcome]:
    return [bench.ingest(bench.pets(f"pets{n}", count=6 + 2 * n)) for n in range(versions)]


def at(bench: Bench, folder: Path, trust: Trust | None = None, **more: Any) -> Registry:
    """The registry in `folder`, as who trusts alice sees it."""
    workspace = open_workspace(open_registry(folder), {}, report=bench.warnings.append)
    return Registry(workspace, trust or bench.trust(**more))


def refused(registry: Registry, reference: str = "pets") -> NotTrustedError:
    with pytest.raises(NotTrustedError) as caught:
        registry.verify(reference)
    assert caught.value.hint
    return caught.value


def copy(bench: Bench, name: str) -> Path:
    return Path(shutil.copytree(bench.registry, bench.folder / name))


# Places


def test_a_registry_replaced_by_a_link_to_an_old_copy_is_refused(bench: Bench) -> None:
    publish(bench)
    old = copy(bench, "old")
    publish(bench, 2)
    bench.open().verify("pets")
    bench.registry.rename(bench.folder / "new")
    bench.registry.symlink_to(old)
    error = refused(bench.open())
    assert error.step == 9
    assert "went back: version 2 was seen in" in error.message
    # Both places are named, and the way out by the place where the newest was seen.
    assert bench.registry.as_uri() in error.message
    assert old.as_uri() in error.message
    assert f"provreg forget pets --registry {bench.registry}" in error.hint


def test_what_step_9_refuses_is_trusted_nowhere(bench: Bench) -> None:
    """A version put in the place of the one seen, rightly signed; then another dataset."""
    second = publish(bench, 2)[1]
    bench.open().verify("pets")
    assert second.head is not None
    bench.point(2, bench.forge(replace(second.head, message="another"), claim=False))
    assert refused(bench.open(), "pets@2").step == 9
    told = bench.open().log("pets")
    assert [(one.head.version, one.standing) for one in told] == [
        (2, "distrusted"), (1, "trusted"),
    ]  # fmt: skip
    assert told[0].refused_because is not None
    assert told[0].refused_because.startswith("step 9: version 2 is not the one seen before")
    _, rows = bench.open().sql("SELECT version FROM versions WHERE trusted_because IS NOT NULL")
    assert rows == [(1,)]

    first = bench.open().resolve("pets@1").head
    bench.point(1, bench.forge(replace(first, uid="0" * 32), claim=False))
    because = bench.open().resolve("pets@1").refused_because
    assert because is not None
    assert because.startswith("step 9: this is another dataset of the same name")


def test_an_old_copy_under_another_address_is_refused(bench: Bench) -> None:
    publish(bench)
    old = copy(bench, "old")
    publish(bench, 2)
    bench.forget()
    bench.open().verify("pets")
    (bench.folder / "link").symlink_to(old)
    for address in (old, bench.folder / "link", Path(os.path.relpath(old))):
        assert "went back" in refused(at(bench, address)).message


def test_a_registry_that_was_moved_is_known(bench: Bench) -> None:
    publish(bench, 2)
    bench.forget()
    bench.open().verify("pets")
    bench.registry.rename(bench.folder / "moved")
    moved = at(bench, bench.folder / "moved")
    assert not moved.verify("pets").first_use
    (bench.folder / "moved/datasets/pets/versions/00000002.json").unlink()
    assert "went back" in refused(moved).message


def test_another_dataset_behind_a_link_that_led_to_the_first_is_refused(bench: Bench) -> None:
    """Not even the uid is known, nor the folder that the link now leads to."""
    publish(bench)
    link = bench.folder / "link"
    link.symlink_to(bench.registry)
    at(bench, link).verify("pets")
    seen = os.environ["PROVREG_STATE"]
    os.environ["PROVREG_STATE"] = f"{seen}-of-mallory"
    try:
        first, mallorys = bench.registry, bench.folder / "mallorys"
        first.rename(bench.folder / "kept")
        shutil.copytree(bench.folder / "kept", first)
        shutil.rmtree(first / "datasets")
        publish(bench)
        first.rename(mallorys)
        (bench.folder / "kept").rename(first)
    finally:
        os.environ["PROVREG_STATE"] = seen
    assert at(bench, mallorys).verify("pets").first_use
    bench.forget()
    at(bench, link).verify("pets")
    link.unlink()
    link.symlink_to(mallorys)
    error = refused(at(bench, link))
    assert (error.step, "another dataset of the same name" in error.message) == (9, True)
    assert f"seen before in '{link.as_uri()}'" in error.message
    assert f"provreg forget pets --registry {link}" in error.hint


def test_a_mirror_that_lags_is_refused_by_latest_and_not_by_number(bench: Bench) -> None:
    publish(bench, 2)
    mirror = copy(bench, "mirror")
    publish(bench, 3)
    bench.forget()
    bench.open().verify("pets")
    lagging = at(bench, mirror)
    for reference in ("pets", "pets@latest"):
        assert "went back" in refused(lagging, reference).message
    # Neither was seen, and the head of the newest, on whose line they are, is not there.
    for number in (1, 2):
        assert lagging.verify(f"pets@{number}").head.version == number


def test_a_fork_below_what_a_mirror_has_is_refused_by_number(bench: Bench) -> None:
    one, two, three = publish(bench, 3)
    mirror = copy(bench, "mirror")
    publish(bench, 4)
    bench.forget()
    bench.open().verify("pets@3")
    bench.open().verify("pets")
    assert two.head is not None
    digest = bench.forge(replace(two.head, message="another"), by="alice", claim=False)
    for path in bench.registry.rglob(f"*{digest.partition(':')[2]}*"):
        target = mirror / path.relative_to(bench.registry)
        target.parent.mkdir(exist_ok=True)
        (shutil.copytree if path.is_dir() else shutil.copy)(path, target)
    record = mirror / "datasets/pets/versions/00000002.json"
    text = record.read_text()
    bench.overwrite(record, text.replace(str(two.digest), digest).encode())
    assert "does not descend" in refused(at(bench, mirror), "pets@2").message
    assert at(bench, mirror).verify("pets@1").digest == one.digest
    assert at(bench, mirror).verify("pets@3").digest == three.digest


def test_nothing_is_published_upon_a_mirror_that_lags(bench: Bench) -> None:
    from provreg.flows.ingest.request import Ingestion

    publish(bench)
    mirror = copy(bench, "mirror")
    publish(bench, 2)
    with pytest.raises(NotTrustedError, match="pets@2 was seen, pinned or attested before"):
        at(bench, mirror).ingest(
            Ingestion("pets", (bench.pets("more", count=20),), source="shelter"),
            bench.signer("alice"),
        )


def test_who_tried_something_out_in_a_copy_has_a_way_back(bench: Bench) -> None:
    from provreg.flows.ingest.request import Ingestion

    publish(bench)
    tried = copy(bench, "copy")
    at(bench, tried).ingest(
        Ingestion("pets", (bench.pets("more", count=20),), source="shelter"), bench.signer("alice")
    )
    seen = os.environ["PROVREG_STATE"]
    os.environ["PROVREG_STATE"] = f"{seen}-of-alice"
    bench.ingest(bench.pets("pets1", count=8))
    os.environ["PROVREG_STATE"] = seen
    error = refused(bench.open())
    assert "version 2 is not the one seen before" in error.message
    assert tried.as_uri() in error.message
    assert bench.registry.as_uri() in error.message
    command = f"provreg forget pets --registry {tried}"
    assert command in error.hint
    shutil.rmtree(tried)  # it may be gone
    assert bench.run(*command.split()[1:]).returncode == 2  # nobody is there to be asked
    forgotten = bench.run(*command.split()[1:], "--yes")
    assert forgotten.returncode == 0, forgotten.stderr
    assert b"1 version (2)" in forgotten.stdout
    # What was seen in the registry itself is still known.
    assert not bench.open().verify("pets").first_use


def test_who_starts_over_in_the_same_place_is_told_how(bench: Bench) -> None:
    """`rm -rf` of a registry and `init` look like a rollback: refused, with the way out."""
    publish(bench, 2)
    shutil.rmtree(bench.registry)
    Registry.init(bench.registry)
    with pytest.raises(NotTrustedError, match=r"pets@2 was seen, .* it is gone") as caught:
        bench.ingest(bench.pets())
    assert caught.value.step == 9
    command = caught.value.hint.rpartition(": ")[2]
    assert command == f"provreg forget pets --registry {bench.registry}"
    assert bench.run(*command.split()[1:], "--yes").returncode == 0
    assert bench.ingest(bench.pets()).head is not None


def test_forgetting_an_old_place_does_not_open_the_new_one(bench: Bench) -> None:
    """Seen at both: what the old one goes with is the old one."""
    publish(bench)
    old = copy(bench, "old")
    publish(bench, 2)
    bench.open(revoke=("chief",)).revoke("pets@1", "poison", bench.signer("chief"))
    bench.forget()
    new = copy(bench, "new")
    for folder in (bench.registry, new):
        at(bench, folder, revoke=("chief",)).verify("pets")
    forgotten = bench.run("forget", "--registry", bench.registry, "--yes")
    assert forgotten.returncode == 0, forgotten.stderr
    assert b"no version seen only there" in forgotten.stdout
    shutil.rmtree(bench.registry)
    shutil.rmtree(new)
    old.rename(new)
    error = refused(at(bench, new))
    assert "hides revocation 1, which was seen in" in error.message
    # The way out is that of the place where it was seen.
    assert f"--registry {new}" in error.hint
    assert bench.run("forget", "--registry", new, "--yes").returncode == 0
    assert at(bench, new).verify("pets").first_use


def test_a_registry_that_hides_what_was_seen_there_too_is_no_mirror_that_lags(
    bench: Bench,
) -> None:
    """Seen elsewhere first, the newest was taken to be missing here by delay."""
    publish(bench)
    old = copy(bench, "old")
    publish(bench, 2)
    bench.forget()
    mirror = copy(bench, "mirror")
    for folder in (bench.registry, mirror):
        at(bench, folder).verify("pets")
    shutil.rmtree(mirror)
    old.rename(mirror)
    assert refused(at(bench, mirror), "pets@1").step == 9


def test_forgetting_one_address_of_a_registry_keeps_the_other(bench: Bench) -> None:
    publish(bench)
    old = copy(bench, "old")
    publish(bench, 2)
    bench.forget()
    link = bench.folder / "link"
    link.symlink_to(bench.registry)
    at(bench, link).verify("pets")
    assert bench.run("forget", "--registry", bench.registry, "--yes").returncode == 0
    link.unlink()
    link.symlink_to(old)
    assert "went back" in refused(at(bench, link)).message


def test_a_revocation_that_was_seen_with_another_dataset_cannot_be_hidden(bench: Bench) -> None:
    publish(bench)
    bench.ingest(bench.pets("birds"), name="birds")
    bench.open(revoke=("chief",)).revoke("birds@1", "poison", bench.signer("chief"))
    bench.forget()
    bench.open(revoke=("chief",)).verify("pets")
    shutil.rmtree(bench.registry / "revocations")
    error = refused(bench.open(revoke=("chief",)), "birds@1")
    assert (error.step, "hides revocation 1, which was seen in" in error.message) == (9, True)
    # Under another address too, for the dataset with which it was seen.
    bench.registry.rename(bench.folder / "moved")
    error = refused(at(bench, bench.folder / "moved", revoke=("chief",)))
    assert "hides revocation 1" in error.message


def test_lists_say_that_a_revocation_is_hidden_as_verify_does(bench: Bench) -> None:
    publish(bench, 2)
    registry = bench.open(revoke=("chief",))
    registry.revoke("pets@1", "poison", bench.signer("chief"))
    registry.verify("pets@2")
    shutil.rmtree(bench.registry / "revocations")
    because = bench.open(revoke=("chief",)).resolve("pets@1").refused_because
    assert because is not None
    assert because.startswith("step 9: the registry hides revocation 1")


def forked(bench: Bench) -> tuple[Outcome, str]:
    """The second version, and another one that stands in its place."""
    second = publish(bench, 2)[1]
    assert second.head is not None
    other = bench.forge(replace(second.head, message="another"), claim=False)
    return second, other


@pytest.mark.parametrize("known", ["seen", "pinned", "pinned otherwise", "attested"])
def test_what_history_refuses_is_trusted_nowhere(bench: Bench, known: str) -> None:
    """Signed as it should be: only who knows the other one can tell."""
    from provreg.core.statements.latest import Latest
    from provreg.flows.verify.lineage import judge_versions

    second, other = forked(bench)
    assert second.head is not None
    assert second.digest is not None
    if known != "seen":
        bench.forget()
    else:
        bench.open().verify("pets")
    pins, roles = {}, {}
    if known.startswith("pinned"):
        uid = second.head.uid if known == "pinned" else "0" * 32
        pins = {"pets": Pin(uid, 2, second.digest)}
    if known == "attested":
        now = NOW.replace(microsecond=0)
        statement = Latest(
            dataset="pets", uid=second.head.uid, version=2, head=second.digest, as_of=now,
            expires=now + HOUR, revocation=None,
        ).statement()  # fmt: skip
        bench.open().workspace.latest.add(
            sha256_digest(statement), bench.signer("clock").sign(statement), "pets"
        )
        roles = {"attest": ("clock",), "mandatory": False}
    bench.point(2, other)
    registry = bench.open(pins=pins, **roles)  # type: ignore[arg-type]
    error = refused(registry, "pets@2")
    assert error.step == 9
    shown = registry.resolve("pets@2")
    assert shown.trusted_because is None
    assert shown.refused_because == f"step 9: {error.message}"
    assert [one.trusted_because for one in registry.log("pets") if one.digest == other] == [None]
    (listed,) = judge_versions(registry.workspace, [(other, shown.head)], registry.trust)
    assert listed.standing == "distrusted"


def test_another_dataset_under_a_seen_name_is_trusted_nowhere(bench: Bench) -> None:
    publish(bench)
    bench.open().verify("pets")
    seen = os.environ["PROVREG_STATE"]
    os.environ["PROVREG_STATE"] = f"{seen}-of-mallory"
    shutil.rmtree(bench.registry / "datasets")
    publish(bench)
    os.environ["PROVREG_STATE"] = seen
    error = refused(bench.open())
    assert "another dataset of the same name" in error.message
    assert bench.open().resolve("pets").refused_because == f"step 9: {error.message}"


def test_a_head_of_another_dataset_is_not_shown_under_a_name(bench: Bench) -> None:
    """`diff pets@1 pets@sha256:…` compared with birds, without a word."""
    publish(bench)
    birds = bench.ingest(bench.pets("birds"), name="birds")
    with pytest.raises(NotTrustedError, match="was asked for, the head is birds@1") as caught:
        bench.open().resolve(f"pets@{birds.digest}")
    assert caught.value.step == 5
    assert bench.open().resolve(f"birds@{birds.digest}").trusted_because


def test_commands_say_of_a_fork_what_verify_says(bench: Bench) -> None:
    _, other = forked(bench)
    bench.open().verify("pets")
    bench.point(2, other)
    key = bench.key_file()
    shown = bench.run("show", "pets@2", "--key", key)
    assert b"step 9" in shown.stdout + shown.stderr
    sql = "select trusted_because from versions where version = 2"
    assert b"signed by" not in bench.run("sql", sql, "--key", key).stdout


def test_a_state_that_lost_its_dataset_is_refused(bench: Bench) -> None:
    publish(bench)
    bench.open().verify("pets")
    state = Path(os.environ["PROVREG_STATE"])
    shutil.rmtree(state / "datasets")
    with pytest.raises(DamagedError, match="gone from the state") as caught:
        bench.open().verify("pets")
    assert "provreg forget pets" in caught.value.hint
    bench.open().forget("pets")
    assert bench.open().verify("pets").first_use


def test_a_state_that_lost_its_places_still_knows_the_dataset(bench: Bench) -> None:
    publish(bench, 2)
    bench.open().verify("pets")
    shutil.rmtree(Path(os.environ["PROVREG_STATE"]) / "places")
    bench.record(2).unlink()
    assert "went back" in refused(bench.open()).message


def test_what_is_known_verifies_where_the_state_cannot_be_written(bench: Bench) -> None:
    publish(bench)
    bench.open().verify("pets")
    state = Path(os.environ["PROVREG_STATE"])
    before = {path: path.read_bytes() for path in state.rglob("*.json")}
    lock = state / "lock"
    lock.unlink()
    lock.mkdir()  # nobody can take it, root neither
    bench.open().verify("pets")
    assert {path: path.read_bytes() for path in state.rglob("*.json")} == before


# Keys that end and keys that are stolen


def policy(bench: Bench, *limits: Limit, name: str = "alice", **when: Any) -> Trust:
    public = bench.signer(name).key.public
    alice = Principal("alice", (TrustedKey(public.fingerprint, public.pem, **when),))
    return Trust(
        Policy((alice,), (PublishRule(("*",), ("alice",), place=1, limits=limits),)), "a test"
    )


def seen_at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """From now on the consumer's clock shows `moment` where they remember what they see."""
    monkeypatch.setattr("provreg.flows.verify.history._now", lambda: moment)


@pytest.mark.parametrize("end", ["revoked", "valid_until"])
def test_what_was_seen_while_the_key_held_stands(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    publish(bench)
    bench.forget()
    seen_at(monkeypatch, NOW - 3 * HOUR)
    at(bench, bench.registry, policy(bench)).verify("pets")
    over = policy(bench, **{end: NOW - 2 * HOUR})
    assert at(bench, bench.registry, over).verify("pets").head.version == 1
    bench.forget()
    assert refused(at(bench, bench.registry, over)).step == 8


@pytest.mark.parametrize("end", ["revoked", "valid_until"])
def test_a_version_of_a_thief_seen_before_the_theft_was_known_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    publish(bench)
    bench.forget()
    seen_at(monkeypatch, NOW - HOUR)
    at(bench, bench.registry, policy(bench)).verify("pets")
    error = refused(at(bench, bench.registry, policy(bench, **{end: NOW - 2 * HOUR})))
    assert error.step == 8
    assert "first seen here" in error.message


def test_what_was_seen_under_a_key_vouches_for_nothing_under_the_policy(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(bench)
    bench.forget()
    seen_at(monkeypatch, NOW - 3 * HOUR)
    by_key = trust_key(bench.signer("alice").key.public, "--key")
    at(bench, bench.registry, by_key).verify("pets")
    over = policy(bench, valid_until=NOW - 2 * HOUR)
    assert refused(at(bench, bench.registry, over)).step == 8
    assert at(bench, bench.registry, by_key).verify("pets").head.version == 1


def test_one_more_signature_by_an_ended_key_is_not_one_that_was_seen(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head was seen when alice alone had signed it; a thief of bob's old key adds his."""
    (one,) = publish(bench)
    bench.forget()
    seen_at(monkeypatch, NOW - 3 * HOUR)
    bench.open("alice", "bob").verify("pets")
    assert one.head is not None
    bench.open().workspace.versions.add(
        str(one.digest), bench.signer("bob").sign(statement_of(one.head)), "pets"
    )
    trust = bench.trust("alice", "bob", threshold=2)
    alice, bob = trust.policy.principals
    ended = replace(bob, keys=(replace(bob.keys[0], valid_until=NOW - HOUR),))
    trust = Trust(replace(trust.policy, principals=(alice, ended)), "a test")
    assert refused(at(bench, bench.registry, trust)).step == 8


def test_a_clock_that_was_set_back_dates_nothing_before_what_was_seen(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(bench, 2)
    bench.forget()
    seen_at(monkeypatch, NOW - HOUR)
    at(bench, bench.registry, policy(bench)).verify("pets@1")
    seen_at(monkeypatch, NOW - 9 * HOUR)
    at(bench, bench.registry, policy(bench)).verify("pets@2")
    stolen = policy(bench, revoked=NOW - 2 * HOUR)
    assert refused(at(bench, bench.registry, stolen), "pets@2").step == 8


# What limits are held against

FEW = Limit(count=2)


def test_a_version_seen_by_key_is_no_base_for_limits(bench: Bench) -> None:
    """Mallory changes much, which the policy refuses; who looks at it by key opens nothing."""
    publish(bench)
    bench.ingest(bench.pets("more", count=20), by="mallory", trusting=("alice",))
    bench.ingest(bench.pets("more", count=21), by="alice", trusting=("mallory",))
    bench.forget()
    held = at(bench, bench.registry, policy(bench, FEW))
    assert "since pets@1" in refused(held).message
    by_key = trust_key(bench.signer("mallory").key.public, "--key")
    at(bench, bench.registry, by_key).verify("pets@2")
    assert "since pets@1" in refused(held).message


def test_a_thiefs_version_seen_under_the_policy_is_no_base_once_the_theft_is_known(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(bench)
    bench.ingest(bench.pets("more", count=20), by="bob", trusting=("alice",))
    bench.ingest(bench.pets("more", count=21), by="alice", trusting=("bob",))
    bench.forget()
    seen_at(monkeypatch, NOW - HOUR)
    bench.open("alice", "bob").verify("pets@2")
    trust = bench.trust("alice", "bob")
    rule = replace(trust.policy.publish[0], limits=(FEW,))
    alice, bob = trust.policy.principals
    both = Trust(replace(trust.policy, publish=(rule,)), "a test")
    assert at(bench, bench.registry, both).verify("pets").head.version == 3
    stolen = replace(bob, keys=(replace(bob.keys[0], revoked=NOW - 2 * HOUR),))
    without = Trust(Policy((alice, stolen), (rule,)), "a test")
    assert "since pets@1" in refused(at(bench, bench.registry, without)).message


def test_a_pin_is_no_reason_for_what_a_stolen_key_signed(bench: Bench) -> None:
    (one,) = publish(bench)
    bench.forget()
    assert one.head is not None
    trust = policy(bench, revoked=NOW - 2 * HOUR)
    for moment, stands in ((NOW - HOUR, False), (NOW - 3 * HOUR, True), (None, False)):
        pin = Pin(one.head.uid, 1, str(one.digest), at=moment)
        registry = replace(bench.open(pins={"pets": pin}), trust=trust)
        if stands:
            assert registry.verify("pets").head.version == 1
        else:
            assert refused(registry).step == 8
        bench.forget()


def test_a_pin_made_after_a_keys_end_vouches_for_what_was_seen_before(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way out of a key that ended: who saw its signatures in time pins what they saw."""
    publish(bench)
    bench.forget()
    seen_at(monkeypatch, NOW - 3 * HOUR)
    over, lock = policy(bench, valid_until=NOW - 2 * HOUR), bench.folder / "provreg.lock"
    at(bench, bench.registry, policy(bench)).verify("pets")
    seen_at(monkeypatch, NOW - HOUR)
    registry = at(bench, bench.registry, over)
    pin = registry.pin(registry.verify("pets"), lock)
    assert pin.seen == {bench.signer("alice").key.public.fingerprint: NOW - 3 * HOUR}
    bench.forget()
    pinned = replace(bench.open(pins=read_lock(lock)), trust=over)
    assert pinned.verify("pets").head.version == 1
    # A thief has the key since it ended: what they sign upon the pinned version counts for nothing.
    bench.forget()
    bench.ingest(bench.pets(count=8))
    bench.forget()
    assert refused(replace(bench.open(pins=read_lock(lock)), trust=over), "pets@2").step == 8
    assert refused(replace(bench.open(pins=read_lock(lock)), trust=over)).step == 8
    planted = replace(pinned, workspace=replace(pinned.workspace, vouching=False))
    assert refused(planted, "pets@1").step == 8


def test_a_pin_does_not_date_what_was_seen_under_a_key_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thief's version that somebody looked at with --key gets no date that the policy takes."""
    publish(bench)
    bench.forget()
    by_key = trust_key(bench.signer("alice").key.public, "--key")
    seen_at(monkeypatch, NOW - 3 * HOUR)
    at(bench, bench.registry, by_key).verify("pets")
    seen_at(monkeypatch, NOW - HOUR)
    lock, registry = bench.folder / "provreg.lock", at(bench, bench.registry, by_key)
    assert not registry.pin(registry.verify("pets"), lock).seen
    over = policy(bench, valid_until=NOW - 2 * HOUR)
    assert refused(replace(bench.open(pins=read_lock(lock)), trust=over)).step == 8


def test_pinned_again_after_a_theft_is_known_a_pin_says_what_was_seen(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(bench)
    bench.forget()
    lock = bench.folder / "provreg.lock"
    seen_at(monkeypatch, NOW - 3 * HOUR)
    at(bench, bench.registry, policy(bench)).verify("pets")
    seen_at(monkeypatch, NOW - HOUR)
    registry = at(bench, bench.registry, policy(bench))
    first = registry.pin(registry.verify("pets"), lock)
    stolen = policy(bench, revoked=NOW - 2 * HOUR)
    assert not first.seen
    registry = replace(bench.open(pins=read_lock(lock)), trust=stolen)
    again = registry.pin(registry.verify("pets"), lock)
    assert (again.at, list(again.seen.values())) == (first.at, [NOW - 3 * HOUR])
    bench.forget()
    newcomer = replace(bench.open(pins=read_lock(lock)), trust=stolen)
    assert newcomer.verify("pets").head.version == 1
