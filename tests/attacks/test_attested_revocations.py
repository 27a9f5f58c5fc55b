"""Attacks by those who may attest or link to revocations, and not revoke."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sigstore_instance import Instance as Loopback

from provreg.core.encoding.digest import sha256_digest
from provreg.core.policy.policy import (
    FreshnessRule,
    Policy,
    Principal,
    PublishRule,
    RevokeRule,
    TrustedKey,
)
from provreg.core.statements.latest import Latest
from provreg.core.statements.revocation import NamedSamples, Revocation, RevocationLink
from provreg.errors import NotTrustedError, RevokedError
from provreg.flows.ingest.publish import Outcome
from provreg.flows.session.trust import Trust, trust_key
from provreg.flows.verify.revocations import read_chain
from provreg.registry import Registry
from provreg.store.private.state import Pin
from provreg.trust.sigstore.root import TrustedRoot
from provreg.trust.timestamps import TimestampAuthority

if TYPE_CHECKING:
    from tests.conftest import Bench

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
SHELTER = NamedSamples(source="shelter")


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback.running() as instance:
        yield instance


@pytest.fixture
def root(loopback: Loopback) -> TrustedRoot:
    return TrustedRoot(loopback.trusted_root(), "loopback")


def people(bench: Bench, *, stolen: datetime | None = None) -> tuple[Principal, ...]:
    """Alice, the clock, and the chief, whose key is `stolen` from then on."""
    return tuple(
        Principal(name, (TrustedKey(key.fingerprint, key.pem, revoked=since),))
        for name, since in (("alice", None), ("chief", stolen), ("clock", None))
        for key in (bench.signer(name).key.public,)
    )


def policy(
    bench: Bench, *, attested: str = "*", revoked: str = "*", stolen: datetime | None = None
) -> Policy:
    """Alice publishes, the chief revokes, the clock attests."""
    return Policy(
        people(bench, stolen=stolen),
        (PublishRule(("*",), ("alice",)),),
        (RevokeRule((revoked,), ("chief",)),),
        (FreshnessRule((attested,), ("clock",), mandatory=False),),
    )


def consumer(bench: Bench, policy: Policy, **more: object) -> Registry:
    return replace(bench.open(**more), trust=Trust(policy, "a test"))  # type: ignore[arg-type]


def put(
    bench: Bench, number: int, of: Outcome, by: str | None, *,
    samples: NamedSamples | None = None, previous: RevocationLink | None = None,
) -> RevocationLink:  # fmt: skip
    """A revocation of what was published, signed by whomever."""
    assert of.head is not None
    assert of.digest is not None
    head = of.head
    made = Revocation(
        number, previous, head.dataset, head.uid, head.version, of.digest, samples, "mine", NOW
    )
    workspace = bench.open().workspace
    if by is not None:
        workspace.revocations.add(made.digest(), bench.signer(by).sign(made.statement()))
    assert workspace.revocations.create(number, made.statement())
    return RevocationLink(number, made.digest())


def attest(
    bench: Bench, of: Outcome, revocation: RevocationLink, *, by: str = "clock",
    stamp: object = None,
) -> None:  # fmt: skip
    """The clock's word, with a proven time where there is a `stamp`."""
    assert of.head is not None
    assert of.digest is not None
    head = of.head
    latest = Latest(
        dataset=head.dataset, uid=head.uid, version=head.version, head=of.digest, as_of=NOW,
        expires=NOW + HOUR, revocation=revocation,
    )  # fmt: skip
    clock = replace(bench.signer(by), stamp=stamp)  # type: ignore[arg-type]
    statement = latest.statement()
    bench.open().workspace.latest.add(sha256_digest(statement), clock.sign(statement), head.dataset)


@pytest.mark.parametrize("signed_by", ["mallory", "alice", "clock", None])
@pytest.mark.parametrize("samples", [SHELTER, None], ids=["samples", "version"])
@pytest.mark.parametrize("named", ["itself", "by the next"])
def test_who_attests_revokes_nothing(
    bench: Bench, signed_by: str | None, samples: NamedSamples | None, named: str
) -> None:
    """An online key would choose which samples are left out, and be remembered for good."""
    pets = bench.ingest(bench.pets())
    link = put(bench, 1, pets, signed_by, samples=samples)
    if named == "by the next":
        link = put(bench, 2, pets, signed_by, previous=link)
    attest(bench, pets, link)
    registry = consumer(bench, policy(bench))
    assert registry.trust is not None
    chain = read_chain(registry.workspace, registry.trust)
    assert chain.in_force == ()
    assert "that it is attested does not put it in force" in chain.passed_over[0].reason
    # Its bundles may be hidden: it is refused as long as that is said, and nothing is left of it.
    with pytest.raises(NotTrustedError, match="attested to be in force") as caught:
        registry.verify("pets")
    assert caught.value.step == 9
    shutil.rmtree(bench.registry / "latest")
    version = consumer(bench, policy(bench)).verify("pets")
    assert version.chain.in_force == ()
    assert not version.revoked_samples().any()
    attest(bench, pets, link)
    (bench.registry / f"revocations/{link.number:08d}.json").unlink()
    with pytest.raises(NotTrustedError, match="hides revocation") as caught:
        consumer(bench, policy(bench)).verify("pets")
    assert caught.value.step == 9


@pytest.mark.parametrize("by", ["mallory", "chief"])
def test_who_attests_pets_says_nothing_of_birds(
    bench: Bench, loopback: Loopback, root: TrustedRoot, by: str
) -> None:
    """Neither that a stranger revoked them, nor that the chief did before their key was stolen."""
    stamp = TimestampAuthority(loopback.tsa.url, root).stamp
    pets = bench.ingest(bench.pets())
    birds = bench.ingest(bench.pets("birds"), name="birds")
    link = put(bench, 1, birds, by)
    attest(bench, pets, put(bench, 2, pets, "mallory", previous=link), stamp=stamp)
    rules = policy(bench, attested="pets", stolen=datetime.now(UTC))
    registry = replace(bench.open(), trust=Trust(rules, "a test", root))
    assert registry.verify("birds").chain.in_force == ()
    with pytest.raises(NotTrustedError, match="revocation 2 of pets is attested to be in force"):
        registry.verify("pets")


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize("before", [True, False])
def test_an_attested_revocation_does_not_lapse_for_newcomers(
    bench: Bench, loopback: Loopback, root: TrustedRoot, stamped: bool, before: bool
) -> None:
    """If the clock's word is proven to be older than the theft: else the thief may have signed."""
    stamp = TimestampAuthority(loopback.tsa.url, root).stamp if stamped else None
    first = bench.ingest(bench.pets())
    bench.ingest(bench.pets("more", 9))
    one = put(bench, 1, first, "chief")
    attest(bench, first, put(bench, 2, first, "chief", samples=SHELTER, previous=one), stamp=stamp)
    stolen = datetime.now(UTC) if before else NOW - HOUR
    trust = Trust(policy(bench, stolen=stolen), "a test", root)
    registry = replace(bench.open(), trust=trust)
    if stamped and before:
        with pytest.raises(RevokedError, match="attested"):
            registry.verify("pets@1")
        # What the attested one continues stays with it.
        assert len(registry.verify("pets").chain.in_force) == 2
    else:
        assert read_chain(registry.workspace, trust).in_force == ()
        with pytest.raises(NotTrustedError, match="attested to be in force"):
            registry.verify("pets")


def test_a_pin_of_who_revokes_pets_revokes_no_birds(bench: Bench) -> None:
    """What the pinned revocation continues was not in force by that alone."""
    pets = bench.ingest(bench.pets())
    birds = bench.ingest(bench.pets("birds"), name="birds")
    link = put(bench, 2, pets, "chief", samples=SHELTER, previous=put(bench, 1, birds, "chief"))
    rules = policy(bench, revoked="pets")
    version = consumer(bench, rules).verify("pets")
    assert [one.link for one in version.chain.in_force] == [link]
    pin = Pin(version.head.uid, 1, version.digest, link, NOW)
    pinned = consumer(bench, rules, pins={"pets": pin})
    assert pinned.verify("birds").chain.in_force == version.chain.in_force


@pytest.mark.parametrize("taken", ["bundles", "bundles and what it continues"])
@pytest.mark.parametrize("by", ["pets", "birds"])
@pytest.mark.parametrize("reference", ["pets", "pets@2", "pets@1"])
def test_taking_bundles_away_frees_nothing_that_is_attested(
    bench: Bench, taken: str, by: str, reference: str
) -> None:
    """The clock does not revoke: but what it attests was in force, and a newcomer knows no more."""
    first = bench.ingest(bench.pets())
    second = bench.ingest(bench.pets("more", 9))
    birds = bench.ingest(bench.pets("birds"), name="birds")
    link = put(bench, 1, second, "chief")
    next_of = {"pets": first, "birds": birds}[by]
    attest(bench, first, put(bench, 2, next_of, "chief", samples=SHELTER, previous=link))
    rules = policy(bench)
    with pytest.raises(RevokedError):
        consumer(bench, rules).verify("pets@2")
    bench.forget()
    shutil.rmtree(bench.registry / "revocations/signatures")
    if taken != "bundles":
        (bench.registry / "revocations/00000001.json").unlink()
    with pytest.raises(NotTrustedError, match="attested to be") as caught:
        consumer(bench, rules).verify(reference)
    assert caught.value.step == 9
    assert not isinstance(caught.value, RevokedError)
    # Birds are not concerned: who attests pets says nothing of theirs.
    if taken == "bundles":
        assert consumer(bench, rules).verify("birds").chain.in_force == ()


def test_a_revocation_that_a_revoker_attests_is_theirs(bench: Bench) -> None:
    """So is whatever the one key attests that somebody trusts alone."""
    pets = bench.ingest(bench.pets(), by="chief", trusting=("chief",))
    attest(bench, pets, put(bench, 1, pets, None), by="chief")
    rules = policy(bench)
    both = replace(
        rules,
        publish=(PublishRule(("*",), ("chief",)),),
        freshness=(FreshnessRule(("*",), ("chief",), mandatory=False),),
    )
    with pytest.raises(RevokedError, match="attested"):
        consumer(bench, both).verify("pets")
    alone = trust_key(bench.signer("chief").key.public, "--key")
    with pytest.raises(RevokedError, match="attested"):
        replace(bench.open(), trust=alone).verify("pets")


def test_what_does_not_count_any_more_is_revoked_again(bench: Bench) -> None:
    """The way out where the revoker's key was stolen: somebody who may says it once more."""
    first = bench.ingest(bench.pets())
    second = bench.ingest(bench.pets("more", 9))
    one = put(bench, 1, second, "chief")
    attest(bench, first, one)
    rules = policy(bench, stolen=NOW - HOUR)
    clock = replace(rules, revoke=(RevokeRule(("*",), ("chief", "alice")),))
    with pytest.raises(NotTrustedError, match="attested to be in force") as caught:
        consumer(bench, clock).verify("pets@1")
    assert caught.value.step == 9
    consumer(bench, clock).revoke("pets@2", "mine", bench.signer("alice"))
    assert consumer(bench, clock).verify("pets@1").head.version == 1
    with pytest.raises(RevokedError, match="alice"):
        consumer(bench, clock).verify("pets@2")
