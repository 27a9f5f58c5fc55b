"""Attacks on revocations that count, by what becomes of the key, the rule and the bundles."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import provreg
from provreg.core.policy.policy import Policy, TrustedKey
from provreg.core.statements.revocation import RevocationLink
from provreg.errors import RevokedError
from provreg.flows.ingest.request import Ingestion
from provreg.flows.session.trust import Trust, trust_key
from provreg.flows.sign.scope import Scope
from provreg.registry import Registry
from provreg.store.private.state import Pin

if TYPE_CHECKING:
    from tests.conftest import Bench

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
CHIEF = {"revoke": ("chief",)}


def changed(bench: Bench, policy: Callable[[Policy], Policy], **more: object) -> Registry:
    """The consumer after `policy` changed what says who may revoke."""
    registry = bench.open(**CHIEF, **more)  # type: ignore[arg-type]
    assert registry.trust is not None
    return replace(registry, trust=Trust(policy(registry.trust.policy), "a test"))


def key_of_chief(**when: datetime) -> Callable[[Policy], Policy]:
    def change(policy: Policy) -> Policy:
        def ends(key: TrustedKey) -> TrustedKey:
            return replace(key, **when)

        people = tuple(
            replace(one, keys=tuple(map(ends, one.keys))) if one.name == "chief" else one
            for one in policy.principals
        )
        return replace(policy, principals=people)

    return change


def without_rule(policy: Policy) -> Policy:
    return replace(policy, revoke=())


def without_chief(policy: Policy) -> Policy:
    rule = replace(policy.revoke[0], principals=("alice",))
    people = tuple(one for one in policy.principals if one.name != "chief")
    return replace(policy, principals=people, revoke=(rule,))


CHANGES = {
    "ended": key_of_chief(valid_until=NOW - HOUR),
    "stolen": key_of_chief(revoked=NOW - HOUR),
    "no rule": without_rule,
    "no principal": without_chief,
    "unchanged": lambda policy: policy,
}


@pytest.fixture
def poisoned(bench: Bench) -> Bench:
    """Two versions, the second revoked."""
    for number in (1, 2):
        bench.ingest(bench.pets(f"pets{number}", count=4 + 2 * number))
    registry = bench.open(**CHIEF)
    registry.revoke("pets@2", "poison", bench.signer("chief"))
    bench.forget()
    return bench


def take_bundles(bench: Bench) -> None:
    shutil.rmtree(bench.registry / "revocations/signatures")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("bundles", ["kept", "taken"])
def test_a_revocation_does_not_lapse_with_its_revokers_key(
    poisoned: Bench, change: str, bundles: str
) -> None:
    poisoned.open(**CHIEF).verify("pets@1")
    if bundles == "taken":
        take_bundles(poisoned)
    registry = changed(poisoned, CHANGES[change])
    with pytest.raises(RevokedError, match="poison"):
        registry.verify("pets")
    # Everybody says it as `verify` does.
    because = registry.resolve("pets@2").refused_because
    assert because is not None
    assert because.startswith("step 8: pets@2 is revoked")
    with pytest.raises(RevokedError):
        registry.ingest(
            Ingestion("pets", (poisoned.pets("more", count=20),), source="shelter"),
            poisoned.signer("alice"),
        )
    # Also under a key alone: what the policy closed stays closed.
    with pytest.raises(RevokedError):
        replace(registry, trust=trust_key(poisoned.signer("alice").key.public, "--key")).verify(
            "pets@2"
        )


@pytest.mark.parametrize("change", ["stolen", "no rule", "no principal"])
@pytest.mark.parametrize("bundles", ["kept", "taken"])
def test_a_pinned_revocation_does_not_lapse_where_no_state_survives(
    poisoned: Bench, change: str, bundles: str
) -> None:
    version = poisoned.open(**CHIEF).verify("pets@1")
    # What the pinned one continues is known with it.
    poisoned.open(**CHIEF).revoke(
        "pets", "and these", poisoned.signer("chief"), samples=Scope(source="nobody")
    )
    newest = poisoned.open(**CHIEF).verify("pets@1").chain.newest
    assert newest is not None
    assert newest.number == 2
    poisoned.forget()
    if bundles == "taken":
        take_bundles(poisoned)
    pin = Pin(version.head.uid, 1, version.digest, newest)
    with pytest.raises(RevokedError, match="pinned"):
        changed(poisoned, CHANGES[change], pins={"pets": pin}).verify("pets@2")


def test_a_planted_lock_file_puts_no_revocation_in_force(bench: Bench) -> None:
    """It could choose which samples a loader leaves out."""
    bench.ingest(bench.pets())
    mallorys = bench.open(revoke=("mallory",)).revoke(
        "pets", "mine", bench.signer("mallory"), samples=Scope(source="shelter")
    )
    revocation = mallorys.outcome.revocation
    assert revocation is not None
    bench.forget()
    link = RevocationLink(1, revocation.digest())
    pin = Pin(revocation.uid, 1, revocation.head, link)
    pinned = bench.open(**CHIEF, pins={"pets": pin})
    assert len(pinned.verify("pets").chain.in_force) == 1
    bench.forget()
    pinned = bench.open(**CHIEF, pins={"pets": pin})
    planted = replace(pinned, workspace=replace(pinned.workspace, vouching=False))
    assert planted.verify("pets").chain.in_force == ()


def test_for_newcomers_a_key_that_ended_has_revoked_and_a_stolen_one_has_not(
    poisoned: Bench,
) -> None:
    with pytest.raises(RevokedError):
        changed(poisoned, CHANGES["ended"]).verify("pets")
    assert changed(poisoned, CHANGES["stolen"]).verify("pets").head.version == 2


def test_a_revocation_seen_under_a_key_is_in_force_under_that_key_only(poisoned: Bench) -> None:
    """Whoever looked at a registry by a stranger's key is not bound by what they revoke."""
    chief = trust_key(poisoned.signer("chief").key.public, "--key")
    poisoned.ingest(poisoned.pets("chiefs"), name="chiefs", by="chief")
    poisoned.forget()
    registry = replace(poisoned.open(), trust=chief)
    registry.verify("chiefs")
    poisoned.ingest(poisoned.pets("pets3", count=30), trusting=("alice",))
    assert poisoned.open().verify("pets@2").head.version == 2


def policy_file(bench: Bench, chief: str, *, rule: bool = True) -> Path:
    """Alice publishes, the chief, whose key is a table with `chief`, revokes."""
    alice, other = (bench.signer(name).key.public.pem for name in ("alice", "chief"))
    text = (
        f"format = 'provreg.policy/v1'\n[[principal]]\nname = 'alice'\nkeys = ['''{alice}''']\n"
        f"[[principal]]\nname = 'chief'\nkeys = [{{ pem = '''{other}'''{chief} }}]\n"
        "[[publish]]\ndatasets = ['*']\nprincipals = ['alice']\n"
    )
    path = bench.folder / "policy.toml"
    path.write_text(text + "[[revoke]]\ndatasets = ['*']\nprincipals = ['chief']\n" * rule)
    return path


@pytest.mark.parametrize("change", ["ended", "stolen", "no rule"])
def test_loaders_say_it_as_the_command_does(poisoned: Bench, change: str) -> None:
    def verified(reference: str) -> subprocess.CompletedProcess[bytes]:
        return poisoned.run("verify", reference, "--policy", policy, "--json")

    policy = policy_file(poisoned, "")
    assert verified("pets@1").returncode == 0
    field = {"ended": "valid_until", "stolen": "revoked"}.get(change)
    moment = f"{NOW - HOUR:%Y-%m-%dT%H:%M:%SZ}"
    policy = policy_file(poisoned, f", {field} = {moment}" if field else "", rule=field is not None)
    ran = verified("pets@2")
    assert ran.returncode == 4
    with pytest.raises(RevokedError) as caught:
        provreg.load(
            "pets@2", data=poisoned.folder / "pets2", registry=poisoned.registry, policy=policy
        )
    assert json.loads(ran.stdout)["error"]["message"] == caught.value.message
    assert ("seen in" in caught.value.message) == (change != "ended")


def test_samples_stay_revoked_when_the_revokers_key_is_stolen(bench: Bench) -> None:
    bench.ingest(bench.pets())
    bench.open(**CHIEF).revoke(
        "pets", "bad", bench.signer("chief"), samples=Scope(source="shelter")
    )
    bench.forget()
    bench.open(**CHIEF).verify("pets")
    version = changed(bench, CHANGES["stolen"]).verify("pets")
    assert len(version.chain.of(version.head)) == 1
