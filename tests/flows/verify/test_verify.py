"""Verification step by step, and what is remembered of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provreg.core.policy.policy import Policy, PublishRule
from provreg.errors import NotFoundError, NotTrustedError
from provreg.flows.verify.steps import STEPS, Step, Trust
from provreg.readers.api import ReadOptions
from provreg.registry import Registry
from provreg.store.private.pins import write_lock
from provreg.store.private.state import Pin

if TYPE_CHECKING:
    from provreg.flows.ingest.publish import Outcome
    from tests.conftest import Bench


def publish(bench: Bench, versions: int) -> list[Outcome]:
    return [bench.ingest(bench.pets(count=6 + n)) for n in range(versions)]


def refused(registry: Registry, reference: str = "pets", data: Path | None = None) -> list[Step]:
    """The steps told of, the last of which refused with a message and what to do."""
    steps: list[Step] = []
    with pytest.raises(NotTrustedError) as caught:
        registry.verify(reference, data=() if data is None else [data], on_step=steps.append)
    assert caught.value.message
    assert caught.value.hint
    assert steps[-1] == Step(caught.value.step, False, caught.value.message)
    assert all(step.ok for step in steps[:-1])
    numbers = [step.number for step in steps]
    assert numbers == sorted(set(numbers))
    return steps


def test_every_step_is_told_in_order(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    steps: list[Step] = []
    version = bench.open().verify("pets", data=[data], on_step=steps.append)
    assert [step.number for step in steps] == list(STEPS)
    assert all(step.ok and step.detail and step.name for step in steps)
    assert [step.number for step in version.steps] == list(range(1, 12))
    assert version.reference == "pets@1"
    assert "alice" in version.verdict.reason


def test_step_1_refuses_a_bundle_that_is_none(bench: Bench) -> None:
    (outcome,) = publish(bench, 1)
    from provreg.core.encoding.digest import sha256_digest

    (path,) = bench.signatures(outcome.digest).iterdir()
    path.unlink()
    bench.overwrite(path.with_name(sha256_digest(b"{}")), b"{}")
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets")
    assert caught.value.step == 1


def test_step_3_refuses_a_key_nobody_trusts(bench: Bench) -> None:
    publish(bench, 1)
    assert refused(bench.open("bob"))[-1].number == 3


def test_step_6_refuses_a_known_key_that_may_not_publish_this(bench: Bench) -> None:
    publish(bench, 1)
    registry = bench.open("alice", "bob")
    assert registry.trust is not None
    principals = registry.trust.policy.principals
    for rules in ((), (PublishRule(("pets",), ("bob",)),), (PublishRule(("other",), ("alice",)),)):
        trust = Trust(Policy(principals, rules), "a test")
        assert refused(replace(registry, trust=trust))[-1].number == 6


def test_step_6_refuses_where_nothing_says_whom_to_trust(bench: Bench) -> None:
    publish(bench, 1)
    with pytest.raises(NotTrustedError) as caught:
        replace(bench.open(), trust=None).verify("pets")
    assert (caught.value.step, bool(caught.value.hint)) == (6, True)


def test_step_7_counts_principals_and_a_countersignature_completes_it(bench: Bench) -> None:
    (outcome,) = publish(bench, 1)
    assert refused(bench.open("alice", "bob", threshold=2))[-1].number == 7
    bench.forge(outcome.head, by="bob", claim=False)
    version = bench.open("alice", "bob", threshold=2).verify("pets")
    assert [name for name, _ in version.verdict.approvals] == ["alice", "bob"]


def test_step_9_first_use_is_said_once(bench: Bench) -> None:
    publish(bench, 2)
    bench.forget()
    assert bench.open().verify("pets").first_use
    assert not bench.open().verify("pets").first_use


def test_step_9_with_a_pin_is_no_first_use(bench: Bench) -> None:
    one, _ = publish(bench, 2)
    bench.forget()
    pins = {"pets": Pin(one.head.uid, 1, one.digest)}
    assert not bench.open(pins=pins).verify("pets").first_use


@pytest.mark.parametrize("what", ["uid", "head", "version"])
def test_step_9_refuses_what_a_pin_contradicts(bench: Bench, what: str) -> None:
    one, two = publish(bench, 2)
    bench.forget()
    pin = {
        "uid": Pin("0" * 32, 1, one.digest),
        "head": Pin(one.head.uid, 2, one.digest),
        "version": Pin(one.head.uid, 7, two.digest),
    }[what]
    with pytest.raises(NotTrustedError) as caught:
        bench.open(pins={"pets": pin}).verify("pets")
    assert caught.value.step == 9


def test_step_9_pin_and_memory_must_both_hold(bench: Bench) -> None:
    one, two = publish(bench, 2)
    bench.open().verify("pets")
    wrong = Pin(one.head.uid, 2, one.digest)
    for reference in ("pets", "pets@2"):
        with pytest.raises(NotTrustedError) as caught:
            bench.open(pins={"pets": wrong}).verify(reference)
        assert caught.value.step == 9
    assert bench.open(pins={"pets": Pin(one.head.uid, 2, two.digest)}).verify("pets")


def test_an_exact_pin_is_what_the_name_alone_means(bench: Bench) -> None:
    one, two = publish(bench, 2)
    registry = bench.open(pins={"pets": Pin(one.head.uid, 1, one.digest, exact=True)})
    assert registry.verify("pets").digest == registry.resolve("pets").digest == one.digest
    for reference in ("pets@latest", "pets@2", f"pets@{two.digest}"):
        assert registry.verify(reference).digest == two.digest


def test_an_exact_pin_reports_a_newer_version(bench: Bench) -> None:
    one, two = publish(bench, 2)
    lock, notices = bench.folder / "provreg.lock", list[str]()
    key = bench.key_file("alice")

    def opened() -> Registry:
        return Registry.open(bench.registry, key=key, lock=lock, notice=notices.append)

    write_lock(lock, {})
    opened().pin(opened().verify("pets@1"), lock, exact=True)
    assert opened().verify("pets").digest == one.digest
    assert notices == ["pets@1 is pinned exactly; the newest version is @2"]
    # It moves, and stays exact until told otherwise.
    assert opened().pin(opened().verify("pets@latest"), lock).exact
    assert not opened().pin(opened().verify("pets@latest"), lock, exact=False).exact
    assert opened().verify("pets").digest == two.digest
    assert len(notices) == 1


def test_older_versions_are_to_be_had_by_number_and_by_digest(bench: Bench) -> None:
    one, two, three = publish(bench, 3)
    bench.open().verify("pets@latest")
    for outcome in (one, two, three):
        assert bench.open().verify(f"pets@{outcome.head.version}").digest == outcome.digest
        assert bench.open().verify(f"pets@{outcome.digest}").digest == outcome.digest


def test_a_number_off_the_line_that_was_seen_is_refused_but_not_by_digest(bench: Bench) -> None:
    one, two = publish(bench, 2)
    # 4 continues 1, beside the 2 that was seen.
    bench.forge(replace(two.head, version=4, parent=one.digest, message="beside"))
    assert refused(bench.open(), "pets@4")[-1].number == 9
    beside = bench.open().resolve("pets@4").digest
    assert bench.open().verify(f"pets@{beside}").head.version == 4
    # By digest it was asked for, and it is not remembered as the line.
    seen = bench.seen()
    assert seen is not None
    assert seen.newest == 2


def test_the_newest_that_does_not_verify_fails_closed(bench: Bench) -> None:
    publish(bench, 2)
    bench.overwrite(bench.record(3), b"x")
    assert refused(bench.open())[-1].number == 1
    assert bench.open().verify("pets@2").head.version == 2


def test_a_failed_verification_is_not_remembered(bench: Bench) -> None:
    publish(bench, 2)
    bench.forget()
    with pytest.raises(NotTrustedError):
        bench.open("bob").verify("pets")
    assert bench.seen() is None


@pytest.mark.parametrize("reference", ["nothing", "pets@9", "nothing@1"])
def test_what_is_not_there_is_not_found(bench: Bench, reference: str) -> None:
    publish(bench, 1)
    with pytest.raises(NotFoundError) as caught:
        bench.open().verify(reference)
    assert caught.value.hint


def test_another_hostile_signature_does_not_hide_the_good_one(bench: Bench) -> None:
    (outcome,) = publish(bench, 1)
    for name in ("bob", "carol"):
        bench.forge(outcome.head, by=name, claim=False)
    bench.overwrite(bench.signatures(outcome.digest) / ("sha256:" + "0" * 64), b"other bytes")
    version = bench.open().verify("pets")
    assert [skipped.step for skipped in version.skipped] == [3, 3]
    assert any("ignored" in warning for warning in bench.warnings)


@pytest.mark.parametrize("name", ["pets", "rows"])
def test_progress_has_the_total_of_samples(bench: Bench, name: str) -> None:
    """Of folders, whose files are counted first, and of rows, by the head."""
    rows = b"id,x\n" + b"".join(b"%d,1\n" % number for number in range(9))
    data, options = bench.pets(), ReadOptions()
    if name == "rows":
        data, options = bench.write("rows", {"rows.csv": rows}) / "rows.csv", ReadOptions(id="id")
    head = bench.ingest(data, name=name, options=options).head
    assert head is not None
    told: list[tuple[int, int]] = []
    bench.open().verify(name, data=[data], progress=lambda *done: told.append(done))
    assert told[-1] == (head.samples, head.samples)
    assert {total for _, total in told} == {head.samples}
