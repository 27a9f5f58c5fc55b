"""Attacks on revocations, by whoever can write to the registry's storage."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provreg.core.encoding.canonical import canonical
from provreg.core.encoding.digest import sha256_digest
from provreg.core.policy.policy import RevokeRule
from provreg.core.statements.revocation import NamedSamples, Revocation, RevocationLink
from provreg.core.statements.statement import statement_of
from provreg.errors import DamagedError, NotTrustedError, RevokedError
from provreg.flows.ingest.request import Ingestion
from provreg.flows.sign.revoke import Revoked
from provreg.flows.sign.scope import Scope
from provreg.flows.verify.revocations import PassedOver, read_chain
from provreg.registry import Registry
from provreg.store.private.state import Pin
from provreg.store.registry.statements import REVOCATIONS

if TYPE_CHECKING:
    from provreg.flows.ingest.publish import Outcome
    from tests.conftest import Bench

CHIEF = {"revoke": ("chief",)}


def consumer(bench: Bench, **more: Any) -> Registry:
    """Who takes alice's versions and the chief's revocations."""
    return bench.open(**(CHIEF | more))


def refused(bench: Bench, reference: str = "pets", **more: Any) -> NotTrustedError:
    with pytest.raises(NotTrustedError) as caught:
        consumer(bench, **more).verify(reference)
    assert caught.value.hint
    return caught.value


def publish(bench: Bench, versions: int = 1, name: str = "pets") -> list[Outcome]:
    return [
        bench.ingest(bench.pets(f"{name}{n}", count=6 + 2 * n), name=name) for n in range(versions)
    ]


def revoked(
    bench: Bench, reference: str, by: str = "chief", samples: Scope | None = None
) -> Revoked:
    """One revocation by `by`, whose own policy lets them revoke."""
    registry = bench.open(revoke=tuple(dict.fromkeys((by, "chief"))))
    return registry.revoke(reference, f"{reference} is poison", bench.signer(by), samples=samples)


def path_of(bench: Bench, number: int) -> Path:
    return bench.registry / f"revocations/{number:08d}.json"


def forge(
    bench: Bench, head: Any, digest: str, by: str, number: int = 1, **fields: Any
) -> Revocation:
    """Any revocation, properly signed by `by` and put under its number."""
    made = Revocation(
        number=number, previous=None, dataset=head.dataset, uid=head.uid, version=head.version,
        head=digest, samples=None, reason="forged", created=datetime(2026, 11, 1, tzinfo=UTC),
    )  # fmt: skip
    made = replace(made, **fields)
    workspace = bench.open().workspace
    statement = made.statement()
    workspace.revocations.add(sha256_digest(statement), bench.signer(by).sign(statement))
    assert workspace.revocations.create(number, statement)
    return made


def test_revoked_version_is_refused_with_by_whom_and_why(bench: Bench) -> None:
    publish(bench, 2)
    assert revoked(bench, "pets@2").added
    error = refused(bench)
    assert isinstance(error, RevokedError)
    assert (error.step, error.kind) == (8, "revoked")
    assert "revoked by chief (revocation 1): pets@2 is poison" in error.message
    # The others stand, also the one it continues.
    assert consumer(bench).verify("pets@1").head.version == 1


def test_hidden_newest_revocation_is_refused_by_who_saw_it(bench: Bench) -> None:
    publish(bench, 2)
    revoked(bench, "pets@1")
    consumer(bench).verify("pets@2")
    path_of(bench, 1).unlink()
    error = refused(bench)
    assert error.step == 9
    assert "hides revocation 1, which was seen" in error.message
    # For every reference, the exempt one too.
    for reference in ("pets@1", f"pets@{bench.open().resolve('pets@1').digest}"):
        assert refused(bench, reference).step == 9
    bench.forget()
    assert consumer(bench).verify("pets@1").head.version == 1


def test_hidden_newest_revocation_is_refused_by_a_pin_where_no_state_survives(
    bench: Bench,
) -> None:
    _, two = publish(bench, 2)
    revoked(bench, "pets@1")
    version = consumer(bench).verify("pets@2")
    pin = Pin(two.head.uid, 2, two.digest, version.chain.newest)
    path_of(bench, 1).unlink()
    bench.forget()
    error = refused(bench, pins={"pets": pin})
    assert (error.step, "which is pinned" in error.message) == (9, True)


def test_hidden_revocation_in_the_middle_is_refused_by_who_never_saw_it(bench: Bench) -> None:
    publish(bench, 3)
    for number in (1, 2, 3):
        revoked(bench, f"pets@{number}")
    other = bench.ingest(bench.pets("birds"), name="birds")
    bench.forget()
    data = path_of(bench, 2).read_bytes()
    for instead in (None, b"", b"{}", path_of(bench, 1).read_bytes()):
        path_of(bench, 2).unlink(missing_ok=True)
        if instead is not None:
            bench.overwrite(path_of(bench, 2), instead)
        error = refused(bench, "birds")
        assert error.step == 8
        assert "revocation 3 continues revocation 2" in error.message
    bench.overwrite(path_of(bench, 2), data)
    assert consumer(bench).verify("birds").digest == other.digest


def test_swapped_revocation_is_refused_by_who_saw_the_other(bench: Bench) -> None:
    """A fork: the chief's second revocation in one copy of the registry is another in this one."""
    publish(bench, 3)
    revoked(bench, "pets@1")
    saved = bench.files()
    revoked(bench, "pets@2")
    consumer(bench).verify("pets@3")
    for name in set(bench.files()) - set(saved):
        (bench.registry / name).unlink()
    revoked(bench, "pets", samples=Scope(source="nobody"))
    registry = consumer(bench)
    assert registry.trust is not None
    assert sorted(read_chain(registry.workspace, registry.trust).read.digests) == [1, 2]
    error = refused(bench, "pets@3")
    assert (error.step, "hides revocation 2" in error.message) == (9, True)


def test_fork_of_the_chain_is_refused(bench: Bench) -> None:
    """The chief's signature over a revocation that continues one which is not in this registry."""
    one, two = publish(bench, 2)
    bench.forget()
    elsewhere = RevocationLink(1, "sha256:" + "ab" * 32)
    forge(bench, one.head, one.digest, "chief", number=2, previous=elsewhere)
    for outcome in (one, two):
        error = refused(bench, f"pets@{outcome.head.version}")
        assert error.step == 8
        assert "which the registry hides" in error.message


@pytest.mark.parametrize("known", [False, True], ids=["a stranger", "a publisher"])
def test_revocation_by_a_stranger_is_passed_over_and_reported(bench: Bench, known: bool) -> None:
    (one,) = publish(bench)
    by = "alice" if known else "mallory"
    forge(bench, one.head, one.digest, by)
    version = consumer(bench).verify("pets")
    (passed,) = version.chain.passed_over
    assert (passed.number, version.chain.in_force) == (1, ())
    assert "chief" in passed.reason


def test_strangers_bogus_link_breaks_nothing(bench: Bench) -> None:
    (one,) = publish(bench)
    bogus = RevocationLink(4, "sha256:" + "ab" * 32)
    forge(bench, one.head, one.digest, "mallory", number=5, previous=bogus)
    assert consumer(bench).verify("pets").head.version == 1
    made = revoked(bench, "pets@1")
    assert not isinstance(made.outcome, PassedOver)
    assert (made.outcome.revocation.number, made.outcome.revocation.previous) == (1, None)


@pytest.mark.parametrize(
    "garbage", [b"", b"{}", b"\xff", b"x" * 20_000, b'{"_type":"https://in-toto.io/Statement/v1"}']
)
def test_squatted_revocation_number_stops_nobody(bench: Bench, garbage: bytes) -> None:
    publish(bench, 2)
    for number in (1, 2, 99_999_999):
        bench.overwrite(path_of(bench, number), garbage)
    bench.overwrite(bench.registry / "revocations/stranger\x1b[2J", b"x")
    assert consumer(bench).verify("pets").head.version == 2
    made = revoked(bench, "pets@2")
    assert not isinstance(made.outcome, PassedOver)
    assert made.outcome.revocation.number == 3
    assert isinstance(refused(bench), RevokedError)
    # Not even when the squatter fills the gap behind it with what could be a link.
    path_of(bench, 2).unlink()
    one = bench.open().resolve("pets@1")
    forge(bench, one.head, one.digest, "mallory", number=2)
    assert consumer(bench).verify("pets@1").head.version == 1
    assert isinstance(refused(bench), RevokedError)


def test_more_revocations_than_can_be_read_are_not_cut_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(bench)
    monkeypatch.setattr(
        "provreg.flows.session.workspace.REVOCATIONS", replace(REVOCATIONS, limit=3)
    )
    for number in range(1, 5):
        bench.overwrite(path_of(bench, number), b"{}")
    with pytest.raises(DamagedError, match="more than 3 revocations"):
        consumer(bench).verify("pets")


def test_revocation_of_a_dataset_by_who_may_revoke_another_is_passed_over(bench: Bench) -> None:
    """Bob may revoke birds, and writes `birds` beside the digest of a version of pets."""
    (one,) = publish(bench)
    forge(bench, one.head, one.digest, "bob", dataset="birds")
    registry = consumer(bench, revoke=("chief", "bob"))
    assert registry.trust is not None
    rules = (RevokeRule(("birds",), ("bob",)), RevokeRule(("*",), ("chief",)))
    policy = replace(registry.trust.policy, revoke=rules)
    trust = replace(registry.trust, policy=policy)
    version = replace(registry, trust=trust).verify("pets")
    assert len(version.chain.in_force) == 1
    assert version.chain.of(version.head) == ()


def test_revocation_of_another_dataset_of_the_same_name_is_none_of_this_one(bench: Bench) -> None:
    (one,) = publish(bench)
    forge(bench, one.head, one.digest, "chief", uid="0" * 32)
    everything = NamedSamples(source="shelter")
    link = RevocationLink(1, sha256_digest(path_of(bench, 1).read_bytes()))
    forge(bench, one.head, one.digest, "chief", number=2, previous=link, uid="0" * 32,
          samples=everything)  # fmt: skip
    version = consumer(bench).verify("pets")
    assert len(version.chain.in_force) == 2
    assert version.chain.of(version.head) == ()


def test_copy_of_a_revocation_under_another_number_is_passed_over(bench: Bench) -> None:
    publish(bench, 2)
    revoked(bench, "pets@2")
    bench.overwrite(path_of(bench, 2), path_of(bench, 1).read_bytes())
    chain = consumer(bench).verify("pets@1").chain
    assert [one.revocation.number for one in chain.in_force] == [1]
    assert "copy of revocation 1" in chain.passed_over[0].reason


def test_bundle_over_a_version_replayed_as_a_revocation_is_passed_over(bench: Bench) -> None:
    """The chief signed a version: anybody can copy statement and bundle into a number's place."""
    (one,) = publish(bench)
    statement = statement_of(one.head)
    workspace = bench.open().workspace
    workspace.revocations.add(sha256_digest(statement), bench.signer("chief").sign(statement))
    workspace.revocations.create(1, statement)
    chain = consumer(bench).verify("pets").chain
    assert (chain.in_force, chain.read.digests) == ((), {})
    assert "expected https://provreg/revocation/v1" in chain.passed_over[0].reason


def test_bundle_over_a_revocation_replayed_as_a_version_is_refused(bench: Bench) -> None:
    """Alice revoked the version: that is no signature for it."""
    (one,) = publish(bench)
    made = forge(bench, one.head, one.digest, "alice")
    bundle = bench.signer("alice").sign(made.statement())
    for path in bench.signatures(one.digest).iterdir():
        path.unlink()
    bench.open().workspace.versions.add(one.digest, bundle, "pets")
    assert refused(bench).step == 5


def test_unknown_kind_of_revocation_by_who_may_revoke_is_not_passed_over(bench: Bench) -> None:
    (one,) = publish(bench)
    made = forge(bench, one.head, one.digest, "chief", number=2)
    document = json.loads(made.statement())
    document["predicate"]["number"] = 1
    document["predicate"]["lifted"] = False
    statement = canonical(document)
    workspace = bench.open().workspace
    path_of(bench, 2).unlink()
    workspace.revocations.create(1, statement)
    assert consumer(bench).verify("pets").head.version == 1
    workspace.revocations.add(sha256_digest(statement), bench.signer("mallory").sign(statement))
    assert consumer(bench).verify("pets").head.version == 1
    workspace.revocations.add(sha256_digest(statement), bench.signer("chief").sign(statement))
    error = refused(bench)
    assert (error.step, "update" in error.hint) == (8, True)


def test_revoked_version_is_neither_built_upon_nor_passed_over(bench: Bench) -> None:
    publish(bench, 2)
    revoked(bench, "pets@2")
    registry = consumer(bench)
    clean = Ingestion("pets", (bench.pets("clean", 7),), source="shelter")
    before = bench.files()
    with pytest.raises(RevokedError) as caught:
        registry.ingest(clean, bench.signer())
    assert "--after-revoked" in caught.value.hint
    assert bench.files() == before
    outcome = registry.ingest(replace(clean, after_revoked=True), bench.signer())
    assert outcome.head is not None
    assert (outcome.head.version, outcome.head.parent) == (3, bench.open().resolve("pets@2").digest)
    assert consumer(bench).verify("pets").head.version == 3


def test_newest_revocation_is_remembered_whoever_is_verified(bench: Bench) -> None:
    publish(bench, 2)
    made = revoked(bench, "pets@1")
    assert not isinstance(made.outcome, PassedOver)
    consumer(bench).verify("pets@2")
    seen = bench.seen()
    assert seen is not None
    assert seen.revocations[1].digest == made.outcome.digest
    # Under a policy by which nobody may revoke it is still to be there.
    path_of(bench, 1).unlink()
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets@2")
    assert caught.value.step == 9


def test_bundle_over_another_statement_moved_beside_a_forged_revocation_counts_nothing(
    bench: Bench,
) -> None:
    one, two = publish(bench, 2)
    made = forge(bench, one.head, one.digest, "chief")
    forged = replace(made, number=2, head=two.digest, version=2).statement()
    bench.overwrite(path_of(bench, 2), forged)
    for path in (bench.registry / REVOCATIONS.prefix(made.digest())).iterdir():
        bench.overwrite(
            bench.registry / REVOCATIONS.prefix(sha256_digest(forged)) / path.name,
            path.read_bytes(),
        )
    chain = consumer(bench).verify("pets@2").chain
    assert [one.revocation.number for one in chain.in_force] == [1]
