"""`sign --all`: what a new key signs of what an old one signed, and what it never signs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from provreg.core.policy.policy import Limit, Policy, Principal, PublishRule, RevokeRule, TrustedKey
from provreg.errors import NotTrustedError, StorageError
from provreg.flows.session.trust import Trust, trust_key
from provreg.flows.sign.succession import SigningPlan
from provreg.registry import Registry

if TYPE_CHECKING:
    from tests.conftest import Bench

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas/output"
NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


def team(bench: Bench, *limits: Limit, **ends: datetime) -> Trust:
    """The policy of a team whose old key is alice's, with its `ends`, and the new one bob's."""
    old, new = (bench.signer(name).key.public for name in ("alice", "bob"))
    keys = (TrustedKey(old.fingerprint, old.pem, **ends), TrustedKey(new.fingerprint, new.pem))
    rule = PublishRule(("*",), ("team",), place=1, limits=limits)
    revoke = RevokeRule(("*",), ("team",))
    return Trust(Policy((Principal("team", keys),), (rule,), (revoke,)), "a test")


def at(bench: Bench, trust: Trust) -> Registry:
    return replace(bench.open(), trust=trust)


def seen_at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr("provreg.flows.verify.history._now", lambda: moment)


def plan(registry: Registry, bench: Bench, **more: Any) -> SigningPlan:
    return registry.plan_signing("pets", bench.signer("bob"), **more)


def numbers(found: Any) -> list[int]:
    return [getattr(one, "version", one).head.version for one in found]


@pytest.fixture
def published(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Two versions by the old key, which this user saw three hours ago."""
    for count in (6, 8):
        bench.ingest(bench.pets(count=count))
    bench.forget()
    seen_at(monkeypatch, NOW - 3 * HOUR)
    for reference in ("pets@1", "pets@2"):
        at(bench, team(bench)).verify(reference)
    seen_at(monkeypatch, NOW)
    return bench


def test_a_new_key_signs_what_newcomers_then_trust(published: Bench) -> None:
    over = team(published, Limit(count=4), valid_until=NOW - 2 * HOUR)
    registry = at(published, over)
    found = plan(registry, published)
    assert (numbers(found.versions), found.known) == ([1, 2], True)
    assert numbers(registry.sign_versions(found, published.signer("bob"))) == [1, 2]
    published.forget()
    assert at(published, over).verify("pets").head.version == 2
    assert numbers(plan(at(published, over), published).versions) == []
    assert numbers(plan(at(published, over), published).signed) == [1, 2]


def test_the_newest_alone_is_not_enough_for_limits(published: Bench) -> None:
    """So all are signed, or the newest is pinned."""
    over = team(published, Limit(count=4), valid_until=NOW - 2 * HOUR)
    registry = at(published, over)
    registry.countersign(registry.review("pets@2"), published.signer("bob"))
    published.forget()
    with pytest.raises(NotTrustedError, match="no version before pets@2 is trusted") as caught:
        at(published, over).verify("pets")
    assert "provreg sign NAME --all" in caught.value.hint


@pytest.mark.parametrize("end", ["valid_until", "revoked"])
def test_a_stolen_or_ended_key_gets_nothing_signed(published: Bench, end: str) -> None:
    """A thief publishes with the old key after its end; the successor passes over it."""
    over = team(published, **{end: NOW - 2 * HOUR})
    published.ingest(published.pets(count=9))  # by the thief, with alice's key, seen now
    found = plan(at(published, over), published)
    assert (numbers(found.versions), numbers(found.passed_over)) == ([1, 2], [3])
    assert "its key is" in found.passed_over[0].because
    at(published, over).sign_versions(found, published.signer("bob"))
    published.forget()
    assert at(published, over).verify("pets@2")
    with pytest.raises(NotTrustedError) as caught:
        at(published, over).verify("pets@3")
    assert caught.value.step == 8


def test_a_newcomer_cannot_make_an_ended_key_count(published: Bench) -> None:
    over = team(published, valid_until=NOW - 2 * HOUR)
    published.forget()
    assert numbers(plan(at(published, over), published).versions) == []


def test_trust_in_a_key_alone_signs_nothing_at_once(published: Bench) -> None:
    """Under --key nothing ends: a thief's versions would verify, and be signed with the rest."""
    trust = trust_key(published.signer("alice").key.public, "--key")
    with pytest.raises(NotTrustedError, match="needs a policy") as caught:
        plan(at(published, trust), published)
    assert caught.value.step == 6


def test_revoked_damaged_and_foreign_versions_are_passed_over(published: Bench) -> None:
    trust = team(published)
    at(published, trust).revoke("pets@1", "poison", published.signer("alice"))
    published.ingest(published.pets(count=9), by="mallory", trusting=("alice",), after_revoked=True)
    (part,) = at(published, trust).resolve("pets@2").head.parts
    published.overwrite(published.object(part.file), b"damaged")
    found = plan(at(published, trust), published)
    assert (numbers(found.versions), numbers(found.passed_over)) == ([], [1, 2, 3])
    assert "revoked by team" in found.passed_over[0].because
    assert found.passed_over[1].because.startswith("step 10")


def test_only_what_a_certain_key_signed(published: Bench) -> None:
    registry = at(published, team(published))
    registry.countersign(registry.review("pets@1"), published.signer("bob"))
    published.ingest(published.pets(count=9), by="bob", trusting=("alice",))
    old, new = (published.signer(name).key.public for name in ("alice", "bob"))
    assert numbers(plan(registry, published, signed_by=old).versions) == [2]
    assert numbers(plan(registry, published, signed_by=new).passed_over) == [2]


def test_interrupted_it_continues(published: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, bob = at(published, team(published)), published.signer("bob")
    made: list[bytes] = []

    class Failing:
        policy = bob.policy
        key = bob.key

        def sign(self, statement: bytes) -> bytes:
            if made:
                raise StorageError("the network is down")
            made.append(statement)
            return bob.sign(statement)

    with pytest.raises(StorageError):
        registry.sign_versions(plan(registry, published), Failing())
    again = plan(registry, published)
    assert (numbers(again.signed), numbers(again.versions)) == ([1], [2])


def test_what_is_revoked_before_the_answer_is_not_signed(published: Bench) -> None:
    registry = at(published, team(published))
    found = plan(registry, published)
    registry.revoke("pets@2", "poison", published.signer("alice"))
    with pytest.raises(NotTrustedError, match="not trusted any more"):
        registry.sign_versions(found, published.signer("bob"))
    assert numbers(plan(registry, published).versions) == [1]


def test_the_command_lists_asks_and_signs(published: Bench) -> None:
    public = {name: published.key_file(name).read_text() for name in ("alice", "bob", "carol")}
    keys = f"['''{public['alice']}''', '''{public['bob']}''']"
    policy = published.folder / "policy.toml"
    policy.write_text(
        f"format='provreg.policy/v1'\n[[principal]]\nname='team'\nkeys={keys}\n"
        "[[publish]]\ndatasets=['*']\nprincipals=['team']\n"
    )
    command = ("sign", "pets", "--all", "--policy", policy)
    asked = published.run(*command, "--sign", f"key:{published.folder / 'bob.key'}")
    assert asked.returncode == 2
    assert b"cannot ask for confirmation without a terminal: sign 2 versions" in asked.stderr
    ran = published.run(
        *command, "--sign", f"key:{published.folder / 'bob.key'}", "--yes", "--json"
    )
    document = json.loads(ran.stdout)
    jsonschema.validate(document, json.loads((SCHEMAS / "sign-all.v1.json").read_text()))
    assert document["signed"] == ["pets@1", "pets@2"]
    unknown = published.run(*command, "--sign", f"key:{published.folder / 'carol.key'}", "--yes")
    assert b"does not have this signer" in unknown.stderr
    for wrong in (("sign", "pets@1", "--all"), ("sign", "pets", "--signed-by", policy)):
        assert published.run(*wrong, "--sign", "keyless", "--policy", policy).returncode == 2
