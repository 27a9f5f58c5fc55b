"""Signers who may change little, and want to change much."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provreg.core.policy.policy import (
    Limit,
    NameList,
    Policy,
    Principal,
    PublishRule,
    RevokeRule,
    TrustedKey,
)
from provreg.errors import NotTrustedError
from provreg.flows.session.trust import Trust
from provreg.registry import Registry
from provreg.store.private.state import Pin

if TYPE_CHECKING:
    from provreg.flows.ingest.publish import Outcome
    from tests.conftest import Bench

RELABELED = Limit(("relabeled",), share=Decimal("0.2"), unless=2)


def people(bench: Bench, *names: str, **when: Any) -> tuple[Principal, ...]:
    keys = [(name, bench.signer(name).key.public) for name in names]
    return tuple(
        Principal(name, (TrustedKey(key.fingerprint, key.pem, **when),)) for name, key in keys
    )


def under(bench: Bench, *limits: Limit, pins: Any = None, **rule: Any) -> Registry:
    """The registry as who trusts alice and bob within `limits` sees it."""
    names = ("alice", "bob")
    publish = PublishRule(("*",), names, limits=limits, place=1, **rule)
    policy = Policy(people(bench, *names), (publish,), revoke=(RevokeRule(("*",), names),))
    trust = Trust(policy, "a test")
    return replace(bench.open(pins=pins), trust=trust)


def relabel(bench: Bench, data: Path, *names: str, by: str = "alice") -> Outcome:
    """Moves pictures to the other class and publishes what comes of it, as a tool of one's own."""
    for name in names:
        here = next(data.rglob(name))
        there = data / ("dog" if here.parent.name == "cat" else "cat")
        here.rename(there / name)
    bench.forget()
    return bench.ingest(data, by=by, trusting=("alice", "bob"), source="shelter")


def refused(registry: Registry, reference: str = "pets") -> NotTrustedError:
    steps: list[int] = []
    with pytest.raises(NotTrustedError) as caught:
        registry.verify(reference, on_step=lambda step: steps.append(step.number))
    assert steps == sorted(set(steps))
    return caught.value


@pytest.fixture
def data(bench: Bench) -> Path:
    """Ten pictures, published by alice as pets@1."""
    data = bench.pets(count=10)
    bench.ingest(data)
    bench.forget()
    return data


def test_one_signer_may_not_relabel_more_than_the_limit(bench: Bench, data: Path) -> None:
    relabel(bench, data, "1.jpg", "2.jpg", "3.jpg")
    bench.forget()
    error = refused(under(bench, RELABELED))
    assert error.step == 11
    assert "publish rule 1 (*) does not take this since pets@1: 3 samples are" in error.message
    assert "at most 20 % relabeled, unless 2 sign" in error.message
    assert error.hint


def test_a_tiny_version_upon_one_over_the_limit_is_held_against_the_last_good_one(
    bench: Bench, data: Path
) -> None:
    """Over the limit v2, next to nothing in v3: compared with its parent, v3 would pass."""
    relabel(bench, data, "1.jpg", "2.jpg", "3.jpg")
    relabel(bench, data, "4.jpg")
    bench.forget()
    error = refused(under(bench, RELABELED))
    assert error.step == 11
    assert "since pets@1: 4 samples are" in error.message


def test_a_version_that_takes_the_excess_back_is_taken(bench: Bench, data: Path) -> None:
    relabel(bench, data, "1.jpg", "2.jpg", "3.jpg")
    relabel(bench, data, "1.jpg", "2.jpg", "4.jpg")
    bench.forget()
    assert under(bench, RELABELED).verify("pets").head.version == 3
    assert refused(under(bench, RELABELED), "pets@2").step == 11


def test_a_head_that_counts_its_changes_falsely_is_held_against_the_true_ones(
    bench: Bench, data: Path
) -> None:
    outcome = relabel(bench, data, "1.jpg", "2.jpg", "3.jpg")
    assert outcome.head is not None
    modest = dict.fromkeys(outcome.head.changes, 0) | {"relabeled": 1}
    bench.forge(replace(outcome.head, version=3, changes=modest), by="alice")
    bench.forget()
    assert "3 samples are" in refused(under(bench, RELABELED)).message


def test_a_second_principal_lifts_the_limit_and_a_second_key_does_not(
    bench: Bench, data: Path
) -> None:
    outcome = relabel(bench, data, "1.jpg", "2.jpg", "3.jpg")
    assert outcome.head is not None
    bench.forge(outcome.head, by="mallory", claim=False)
    bench.forge(outcome.head, by="alice", claim=False)
    assert refused(under(bench, RELABELED)).step == 11
    bench.forge(outcome.head, by="bob", claim=False)
    assert under(bench, RELABELED).verify("pets").head.version == 2
    # A limit that nobody can lift holds for two as well.
    assert refused(under(bench, replace(RELABELED, unless=None))).step == 11


def test_a_line_that_nobody_trusts_is_no_base_to_change_little_upon(
    bench: Bench, data: Path
) -> None:
    """Mallory, untrusted, publishes poison; alice, who may change little, next to nothing on it."""
    relabel(bench, data, "1.jpg", "2.jpg", "3.jpg", by="mallory")
    bench.forget()
    data_of_alice = relabel(bench, data, "4.jpg", by="alice")
    assert data_of_alice.head is not None
    mallorys = bench.open("mallory").resolve("pets@2")
    bench.forge(replace(data_of_alice.head, version=4, parent=mallorys.digest), by="alice")
    bench.forget()
    assert "since pets@1: 4 samples" in refused(under(bench, RELABELED)).message


def test_without_any_version_to_rely_on_limits_fail_closed(bench: Bench) -> None:
    data = bench.pets(count=10)
    first = bench.ingest(data, by="mallory")
    bench.forget()
    second = bench.ingest(bench.pets(count=11), by="mallory")
    assert second.head is not None
    bench.forge(second.head, by="alice", claim=False)
    bench.forget()
    error = refused(under(bench, RELABELED))
    assert error.step == 11
    assert "no version before pets@2 is trusted, seen or pinned" in error.message
    assert "--key" in error.hint
    # Who has looked at the first one and pinned it has something to go by.
    assert first.head is not None
    assert first.digest is not None
    pins = {"pets": Pin(first.head.uid, 1, first.digest)}
    assert under(bench, RELABELED, pins=pins).verify("pets").head.version == 2


def test_a_pinned_version_is_taken_without_a_base_and_a_planted_pin_changes_nothing(
    bench: Bench, data: Path
) -> None:
    """Whoever looked at a version and pinned it needs no earlier one; others may not say so."""
    over = relabel(bench, data, "1.jpg", "2.jpg", "3.jpg")
    assert over.head is not None
    pins = {"pets": Pin(over.head.uid, 2, str(over.digest))}
    pinned = under(bench, RELABELED, pins=pins)
    assert pinned.verify("pets@2").head.version == 2
    bench.forget()
    planted = replace(pinned, workspace=replace(pinned.workspace, vouching=False))
    assert "since pets@1: 3 samples" in refused(planted).message
    # What is built on it is limited as ever.
    more = relabel(bench, data, "4.jpg", "5.jpg", "6.jpg")
    assert more.head is not None
    assert "since pets@2: 3 samples" in refused(under(bench, RELABELED, pins=pins)).message


def test_a_first_version_is_no_change(bench: Bench, data: Path) -> None:
    assert under(bench, Limit(count=0)).verify("pets").head.version == 1


def test_what_was_seen_is_relied_on_where_the_policy_became_stricter(
    bench: Bench, data: Path
) -> None:
    relabel(bench, data, "1.jpg", "2.jpg", "3.jpg")
    assert under(bench).verify("pets").head.version == 2
    bench.ingest(data, trusting=("bob",), message="no change")
    (data / "cat/new.jpg").write_bytes(b"new")
    bench.ingest(data, trusting=("bob",))
    assert under(bench, RELABELED).verify("pets").head.version == 3
    # It is itself judged like any other.
    assert refused(under(bench, RELABELED), "pets@2").step == 11


def test_a_revoked_version_is_no_base_to_carry_its_poison_on(bench: Bench, data: Path) -> None:
    """Seen when it was not revoked: a tiny version upon it would pass, and clean data would not."""
    relabel(bench, data, "1.jpg", "2.jpg", "3.jpg")
    lenient = under(bench)
    assert lenient.verify("pets").head.version == 2
    relabel(bench, data, "4.jpg")
    assert under(bench).verify("pets@2").head.version == 2
    under(bench).revoke("pets@2", "poison", bench.signer("bob"))
    assert "since pets@1: 4 samples" in refused(under(bench, RELABELED), "pets@3").message


def test_a_limit_for_each_labeler_is_met_one_by_one(bench: Bench, data: Path) -> None:
    for number in range(4):
        (data / f"cat/new{number}.jpg").write_bytes(b"new %d" % number)
    bench.ingest(data, trusting=("bob",), labeler="eve")
    bench.forget()
    each = Limit(("injected",), count=3, each="labeler")
    assert "4 samples from the labeler 'eve' are" in refused(under(bench, each)).message
    assert under(bench, replace(each, count=4)).verify("pets").head.version == 2


def test_a_forbidden_labeler_is_refused_however_small_the_share(bench: Bench, data: Path) -> None:
    (data / "cat/new.jpg").write_bytes(b"new")
    bench.ingest(data, trusting=("bob",), labeler="eve")
    bench.forget()
    strict = under(bench, labelers=NameList(forbid=("eve",), absent=True))
    assert "1 sample has the labeler 'eve'" in refused(strict).message
    assert strict.verify("pets@1").head.version == 1
    unnamed = under(bench, labelers=NameList(forbid=("eve",)))
    assert "10 samples have no labeler" in refused(unnamed, "pets@1").message
    sources = under(bench, sources=NameList(("camera-*",)))
    assert "11 samples have the source 'shelter'" in refused(sources).message


def test_log_and_diff_say_what_verify_would(bench: Bench, data: Path) -> None:
    relabel(bench, data, "1.jpg", "2.jpg", "3.jpg")
    relabel(bench, data, "4.jpg")
    bench.forget()
    registry = under(bench, RELABELED)
    trusted = {one.head.version: one.trusted_because is not None for one in registry.log("pets")}
    assert trusted == {1: True, 2: False, 3: False}
    because = registry.resolve("pets@3").refused_because
    assert because is not None
    assert because.startswith("step 11: publish rule 1 (*) does not take this since pets@1")


def test_publishing_over_the_limit_is_foreseen_and_refused(bench: Bench, data: Path) -> None:
    from provreg.flows.ingest.request import Ingestion

    for name in ("1.jpg", "2.jpg", "3.jpg"):
        here = next(data.rglob(name))
        here.rename(data / ("dog" if here.parent.name == "cat" else "cat") / name)
    registry = under(bench, RELABELED)
    foreseen = registry.dry_run(Ingestion("pets", (data,)))
    assert foreseen.gate is not None
    assert "3 samples are relabeled, the limit is 2" in foreseen.gate.refusals[0]
    with pytest.raises(NotTrustedError, match="does not take this since pets@1") as caught:
        registry.ingest(Ingestion("pets", (data,)), bench.signer("alice"))
    assert caught.value.step == 11
    assert registry.workspace.versions.numbers("pets") == [1]


def test_the_gate_holds_data_against_the_last_good_version(bench: Bench, data: Path) -> None:
    relabel(bench, data, "1.jpg", "2.jpg", "3.jpg")
    bench.forget()
    registry = under(bench, RELABELED)
    held = registry.diff_path("pets@2", data)
    assert len(held) == 0
    assert held.gate is not None
    assert str(held.gate.base) == "pets@1"
    assert held.gate.refusals
    assert bench.open().diff_path("pets@2", data).gate is None


# Keys that ended, and pins


def test_a_revoked_key_signs_nothing_new_and_keeps_what_was_seen(
    bench: Bench, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime

    bench.forget()
    seen = datetime(2025, 12, 31, tzinfo=UTC)
    monkeypatch.setattr("provreg.flows.verify.history._now", lambda: seen)
    bench.open().verify("pets")
    revoked = people(bench, "alice", revoked=datetime(2026, 1, 1, tzinfo=UTC))
    trust = Trust(Policy(revoked, (PublishRule(("*",), ("alice",), place=1),)), "a test")
    registry = replace(bench.open(), trust=trust)
    assert registry.verify("pets").head.version == 1
    thief = replace(bench.open().resolve("pets@1").head, version=2, message="by the thief",
                    parent=bench.open().resolve("pets@1").digest)  # fmt: skip
    bench.forge(thief, by="alice")
    error = refused(registry)
    assert error.step == 8
    assert "without a proven time, its key is revoked from 2026-01-01" in error.message
    bench.forget()
    assert refused(registry, "pets@1").step == 8


def test_a_pin_vouches_for_what_a_key_signed_before_its_end(bench: Bench, data: Path) -> None:
    from datetime import UTC, datetime

    revoked = people(bench, "alice", revoked=datetime(2026, 1, 1, tzinfo=UTC))
    trust = Trust(Policy(revoked, (PublishRule(("*",), ("alice",), place=1),)), "a test")
    one = bench.open().resolve("pets@1")
    before = datetime(2025, 12, 31, tzinfo=UTC)
    pinned = bench.open(pins={"pets": Pin(one.head.uid, 1, one.digest, at=before)})
    assert replace(pinned, trust=trust).verify("pets").head.version == 1
    bench.forget()
    planted = replace(pinned, trust=trust, workspace=replace(pinned.workspace, vouching=False))
    assert refused(planted).step == 8
