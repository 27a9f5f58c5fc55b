"""Attacks on withdrawals: nothing but the word of those who may revoke ends a revocation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import Bench

from provreg.core.encoding.digest import sha256_digest
from provreg.core.policy.policy import Policy, RevokeRule
from provreg.core.statements.revocation import Revocation, RevocationLink, parse_revocation
from provreg.errors import NotFoundError, NotTrustedError, RevokedError, UsageError
from provreg.flows.session.trust import Trust
from provreg.flows.sign.latest import sign_latest
from provreg.flows.sign.revoke import Revoked
from provreg.flows.sign.scope import Scope
from provreg.registry import Registry


def consumer(bench: Bench, **more: Any) -> Registry:
    return bench.open(**({"revoke": ("chief",)} | more))


@pytest.fixture
def revoked(bench: Bench) -> Revocation:
    """The revocation of version 1."""
    bench.ingest(bench.pets())
    made = consumer(bench).revoke("pets@1", "poison", bench.signer("chief"))
    revocation = made.outcome.revocation
    assert revocation is not None
    with pytest.raises(RevokedError):
        consumer(bench).verify("pets")
    return revocation


def withdraw(bench: Bench, number: int = 1, by: str = "chief", **more: Any) -> Revoked:
    return consumer(bench, **more).withdraw(number, "a mistake", bench.signer(by))


def forge(bench: Bench, of: Revocation, by: str = "chief", number: int = 2, **fields: Any) -> None:
    """Any withdrawal, properly signed."""
    link = {"number": of.number, "digest": of.digest()}
    made = replace(of, number=number, samples=None, reason="mine", **fields)
    if "withdraws" not in fields:
        made = replace(made, withdraws=RevocationLink(**link), previous=RevocationLink(**link))
    workspace = bench.open().workspace
    statement = made.statement()
    workspace.revocations.add(sha256_digest(statement), bench.signer(by).sign(statement))
    assert workspace.revocations.create(number, statement)


def path_of(bench: Bench, number: int) -> Any:
    return bench.registry / f"revocations/{number:08d}.json"


def test_a_withdrawn_version_is_usable_again(bench: Bench, revoked: Revocation) -> None:
    made = withdraw(bench)
    assert made.added
    version = consumer(bench).verify("pets")
    assert version.chain.in_force == ()
    assert [one.revocation for one in version.chain.withdrawn] == [revoked]
    first, second = consumer(bench).revocations()
    assert (first.in_force, second.in_force) == (False, True)
    assert first.because == "withdrawn by chief (revocation 2): a mistake"
    assert second.revocation.what == "pets: withdrawal of revocation 1"
    with pytest.raises(NotFoundError, match="no revocation 1 is in force"):
        withdraw(bench)


def test_what_was_withdrawn_can_be_revoked_again(bench: Bench, revoked: Revocation) -> None:
    withdraw(bench)
    again = consumer(bench).revoke("pets@1", "poison after all", bench.signer("chief"))
    assert again.added
    assert again.outcome.revocation is not None
    assert again.outcome.revocation.number == 3
    with pytest.raises(RevokedError, match="revocation 3"):
        consumer(bench).verify("pets")


def test_withdrawn_samples_load_again(bench: Bench) -> None:
    bench.ingest(bench.pets())
    consumer(bench).revoke("pets", "poison", bench.signer("chief"), samples=Scope(source="shelter"))
    assert consumer(bench).verify("pets").revoked_samples().all()
    withdraw(bench)
    assert not consumer(bench).verify("pets").revoked_samples().any()


def test_attack_who_publishes_withdraws(bench: Bench, revoked: Revocation) -> None:
    made = withdraw(bench, by="alice")
    assert "needs a signature by 1 of: chief" in str(made.outcome)
    with pytest.raises(RevokedError):
        consumer(bench).verify("pets")


def test_attack_a_stranger_withdraws(bench: Bench, revoked: Revocation) -> None:
    forge(bench, revoked, by="mallory")
    with pytest.raises(RevokedError):
        consumer(bench).verify("pets")


def test_attack_withdrawn_with_a_stolen_key(bench: Bench, revoked: Revocation) -> None:
    """Of a key that is marked as revoked neither counts; the deputy's revocation stands."""
    two: dict[str, Any] = {"revoke": ("chief", "deputy")}
    bench.ingest(bench.pets("more", 8), after_revoked=True)
    registry = bench.open(**two)
    made = registry.revoke("pets@2", "poison", bench.signer("deputy"))
    assert made.outcome.revocation is not None
    withdraw(bench, number=2, **two)
    assert registry.verify("pets@2").chain.withdrawals
    stolen = _with_key(registry, "chief", revoked=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(NotTrustedError):
        _forgotten(bench, stolen).verify("pets@2")


def test_attack_withdrawn_with_an_ended_key(bench: Bench, revoked: Revocation) -> None:
    """A key that merely ended still revokes, and withdraws nothing any more."""
    withdraw(bench)
    ended = _with_key(consumer(bench), "chief", valid_until=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(RevokedError):
        _forgotten(bench, ended).verify("pets@1")


@pytest.mark.parametrize("validity", ["revoked", "valid_until"])
def test_attack_a_withdrawal_was_seen_before_its_key_was_known_to_be_stolen(
    bench: Bench, revoked: Revocation, validity: str
) -> None:
    """What was seen keeps a revocation in force; it keeps none from being in force."""
    withdraw(bench)
    assert consumer(bench).verify("pets").chain.withdrawals  # and it is remembered
    bad = _with_key(consumer(bench), "chief", **{validity: datetime(2026, 1, 1, tzinfo=UTC)})
    with pytest.raises(RevokedError):
        bad.verify("pets")


def test_attack_a_withdrawal_was_seen_before_its_signer_left_the_policy(
    bench: Bench, revoked: Revocation
) -> None:
    withdraw(bench)
    consumer(bench).verify("pets")
    with pytest.raises(RevokedError):
        consumer(bench, revoke=("deputy",)).verify("pets")


def _with_key(registry: Registry, name: str, **validity: datetime) -> Registry:
    assert registry.trust is not None
    policy = registry.trust.policy
    principals = tuple(
        replace(who, keys=tuple(replace(key, **validity) for key in who.keys))
        if who.name == name
        else who
        for who in policy.principals
    )
    return replace(registry, trust=Trust(replace(policy, principals=principals), "a test"))


def _forgotten(bench: Bench, registry: Registry) -> Registry:
    """As a newcomer, who saw nothing."""
    bench.forget("PROVREG_STATE")
    fresh = bench.open()
    return replace(fresh, trust=registry.trust)


def test_attack_the_withdrawal_is_hidden_from_who_saw_it(bench: Bench, revoked: Revocation) -> None:
    withdraw(bench)
    consumer(bench).verify("pets")
    path_of(bench, 2).unlink()
    with pytest.raises(NotTrustedError):
        consumer(bench).verify("pets")


def test_attack_the_withdrawal_is_hidden_from_a_newcomer(bench: Bench, revoked: Revocation) -> None:
    """Then the version is revoked: hiding opens no door."""
    withdraw(bench)
    path_of(bench, 2).unlink()
    with pytest.raises(RevokedError):
        _forgotten(bench, consumer(bench)).verify("pets@1")


def test_attack_the_revocation_is_hidden_behind_its_withdrawal(
    bench: Bench, revoked: Revocation
) -> None:
    withdraw(bench)
    path_of(bench, 1).unlink()
    with pytest.raises(NotTrustedError, match="which the registry hides"):
        _forgotten(bench, consumer(bench)).verify("pets@1")


def test_attack_a_withdrawal_of_another_dataset(bench: Bench, revoked: Revocation) -> None:
    """Who may revoke in one dataset ends nothing of another."""
    bench.ingest(bench.pets("others"), name="others")
    rules = (RevokeRule(("pets",), ("chief",)), RevokeRule(("others",), ("deputy",)))
    registry = consumer(bench, revoke=("chief", "deputy"))
    assert registry.trust is not None
    policy = replace(registry.trust.policy, revoke=rules)
    head = registry.verify("others").head
    forge(bench, revoked, by="deputy", dataset="others", uid=head.uid, head=head.digest())
    with pytest.raises(RevokedError):
        _under(registry, policy).verify("pets")


def test_attack_an_attested_revocation_is_hidden_behind_another_datasets_withdrawal(
    bench: Bench, revoked: Revocation
) -> None:
    """Without its bundles the revocation is not in force, and nobody is told that all is well."""
    bench.ingest(bench.pets("others"), name="others")
    roles: dict[str, Any] = {"revoke": ("chief", "deputy"), "attest": ("clock",)}
    registry = consumer(bench, mandatory=False, **roles)
    bench.ingest(bench.pets("more", 8), after_revoked=True)
    assert registry.trust is not None
    sign_latest(registry.workspace, "pets", bench.signer("clock"), registry.trust,
                valid=timedelta(days=1))  # fmt: skip
    head = registry.verify("others").head
    forge(bench, revoked, by="deputy", dataset="others", uid=head.uid, head=head.digest())
    for bundle in (bench.registry / "revocations/signatures").glob("*/*"):
        if bundle.parent.name == revoked.digest().replace(":", "-"):
            bundle.unlink()
    rules = (RevokeRule(("pets",), ("chief",)), RevokeRule(("others",), ("deputy",)))
    newcomer = _under(_forgotten(bench, registry), replace(registry.trust.policy, revoke=rules))
    with pytest.raises(NotTrustedError, match="is attested to be in force"):
        newcomer.verify("pets@1")


def _under(registry: Registry, policy: Policy) -> Registry:
    return replace(registry, trust=Trust(policy, "a test"))


def test_attack_a_withdrawal_names_another_digest(bench: Bench, revoked: Revocation) -> None:
    link = RevocationLink(1, "sha256:" + "0" * 64)
    forge(bench, revoked, withdraws=link, previous=RevocationLink(1, revoked.digest()))
    with pytest.raises(RevokedError):
        consumer(bench).verify("pets")


def test_attack_a_withdrawal_of_a_withdrawal(bench: Bench, revoked: Revocation) -> None:
    """It ends nothing: to revoke again takes a revocation."""
    made = withdraw(bench)
    withdrawal = made.outcome.revocation
    assert withdrawal is not None
    forge(bench, withdrawal, number=3)
    version = consumer(bench).verify("pets")
    assert [one.revocation.number for one in version.chain.withdrawals] == [2, 3]
    assert version.chain.in_force == ()


def test_attack_a_withdrawal_replayed_as_a_revocation(bench: Bench, revoked: Revocation) -> None:
    made = withdraw(bench)
    assert made.outcome.revocation is not None
    statement = made.outcome.revocation.statement()
    bench.overwrite(path_of(bench, 3), statement)
    chain = consumer(bench).verify("pets").chain
    assert "copy of revocation 2" in chain.passed_over[0].reason
    assert parse_revocation(statement).withdraws is not None


def test_what_was_withdrawn_is_not_attested_to_be_hidden(bench: Bench, revoked: Revocation) -> None:
    """A *latest* statement of before names a revocation that ended since."""
    roles: dict[str, Any] = {"attest": ("clock",), "mandatory": False}
    withdraw(bench)
    registry = consumer(bench, **roles)
    assert registry.trust is not None
    sign_latest(registry.workspace, "pets", bench.signer("clock"), registry.trust,
                valid=timedelta(days=1))  # fmt: skip
    assert consumer(bench, **roles).verify("pets").attested
    for bundle in (bench.registry / "revocations/signatures").glob("*/*"):
        if bundle.parent.name == revoked.digest().replace(":", "-"):
            bundle.unlink()
    fresh = _forgotten(bench, consumer(bench, **roles))
    assert fresh.verify("pets@1").chain.in_force == ()


def test_two_have_to_withdraw(bench: Bench) -> None:
    bench.ingest(bench.pets())
    both: dict[str, Any] = {"revoke": ("chief", "deputy"), "agree": 2}
    for name in ("chief", "deputy"):
        consumer(bench, **both).revoke("pets@1", "poison", bench.signer(name))
    withdraw(bench, **both)
    with pytest.raises(RevokedError):
        consumer(bench, **both).verify("pets")
    withdraw(bench, by="deputy", **both)
    assert consumer(bench, **both).verify("pets").chain.in_force == ()


def test_a_withdrawal_has_a_reason(bench: Bench, revoked: Revocation) -> None:
    with pytest.raises(UsageError, match="a reason of 1 to"):
        consumer(bench).withdraw(1, " ", bench.signer("chief"))
