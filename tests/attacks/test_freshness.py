"""Attacks on freshness: a registry that hides what is newest from who asks for a signed word."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from provreg.core.encoding.canonical import canonical
from provreg.core.encoding.digest import sha256_digest
from provreg.core.statements.latest import Latest, parse_latest
from provreg.core.statements.revocation import RevocationLink
from provreg.core.statements.statement import statement_of
from provreg.errors import NotTrustedError
from provreg.flows.ingest.request import Ingestion
from provreg.flows.sign.latest import SignedLatest, sign_latest
from provreg.registry import Registry

if TYPE_CHECKING:
    from provreg.flows.ingest.publish import Outcome
    from tests.conftest import Bench

ROLES = {"revoke": ("chief",), "attest": ("clock",)}
WEEK = timedelta(days=7)


def consumer(bench: Bench, **more: Any) -> Registry:
    """Who takes alice's versions, and none without the clock's word that it is the newest."""
    return bench.open(**(ROLES | more))


def refused(bench: Bench, reference: str = "pets", **more: Any) -> NotTrustedError:
    with pytest.raises(NotTrustedError) as caught:
        consumer(bench, **more).verify(reference)
    return caught.value


def publish(bench: Bench, count: int, name: str = "pets") -> Outcome:
    return bench.ingest(bench.pets(f"{name}{count}", count=count), name=name)


def attest(bench: Bench, by: str = "clock", name: str = "pets", **roles: Any) -> SignedLatest:
    registry = consumer(bench, **roles)
    assert registry.trust is not None
    return sign_latest(registry.workspace, name, bench.signer(by), registry.trust, valid=WEEK)


def forge(bench: Bench, latest: Latest, by: str = "clock", **fields: Any) -> None:
    """Any *latest* statement, properly signed."""
    statement = replace(latest, **fields).statement()
    workspace = bench.open().workspace
    workspace.latest.add(sha256_digest(statement), bench.signer(by).sign(statement), "pets")


def clear(bench: Bench, name: str = "pets") -> dict[str, bytes]:
    """Takes all *latest* statements out of the registry; returns them."""
    found = {key: data for key, data in bench.files().items() if key.startswith(f"latest/{name}")}
    for key in found:
        (bench.registry / key).unlink()
    return found


def test_version_without_a_latest_statement_is_refused_where_one_is_required(
    bench: Bench,
) -> None:
    publish(bench, 6)
    error = refused(bench)
    assert error.step == 8
    assert "provreg latest pets" in error.hint
    assert consumer(bench, mandatory=False).verify("pets").attested == ()
    made = attest(bench)
    assert made.counts
    version = consumer(bench).verify("pets")
    assert [one.latest for one in version.attested] == [made.latest]


def test_hidden_newest_version_is_refused_by_who_never_saw_it(bench: Bench) -> None:
    publish(bench, 6)
    second = publish(bench, 8)
    attest(bench)
    bench.forget()
    bench.record(2).unlink()
    error = refused(bench)
    assert error.step == 9
    assert "hides the newest version" in error.message
    # By number it was meant; the line is still that of the attested version.
    assert consumer(bench).verify("pets@1").head.version == 1
    bench.forget()
    bench.point(1, bench.forge(replace(second.head, version=1, parent=None), claim=False))
    assert refused(bench, "pets@1").step == 9


def test_nothing_is_published_upon_a_registry_that_hides_the_newest(bench: Bench) -> None:
    publish(bench, 6)
    publish(bench, 8)
    attest(bench)
    bench.forget()
    bench.record(2).unlink()
    before = bench.files()
    more = Ingestion("pets", (bench.pets("more", 9),), source="shelter")
    with pytest.raises(NotTrustedError) as caught:
        consumer(bench).ingest(more, bench.signer())
    assert caught.value.step == 9
    assert bench.files() == before


def test_hidden_newest_revocation_is_refused_by_who_never_saw_it(bench: Bench) -> None:
    publish(bench, 6)
    publish(bench, 8)
    consumer(bench).revoke("pets@1", "poison", bench.signer("chief"))
    made = attest(bench)
    assert made.latest.revocation is not None
    bench.forget()
    (bench.registry / "revocations/00000001.json").unlink()
    for reference in ("pets", "pets@1"):
        error = refused(bench, reference)
        assert error.step == 9
        assert "which is attested to be the newest" in error.message


def test_replaced_newest_version_is_refused_by_who_never_saw_it(bench: Bench) -> None:
    publish(bench, 6)
    second = publish(bench, 8)
    attest(bench)
    bench.forget()
    other = bench.forge(replace(second.head, message="another"), claim=False)
    bench.point(2, other)
    error = refused(bench)
    assert (error.step, "does not descend" in error.message) == (9, True)


def test_replayed_old_latest_statement_expires(bench: Bench) -> None:
    publish(bench, 6)
    made = attest(bench)
    assert made.counts
    clear(bench)
    now = datetime.now(UTC).replace(microsecond=0)
    forge(bench, made.latest, as_of=now - 2 * WEEK, expires=now - WEEK)
    error = refused(bench)
    assert error.step == 8
    assert "expired at" in error.message


def test_replayed_statement_of_before_the_newest_version_hides_nothing(bench: Bench) -> None:
    """Still valid, and true when it was signed: it says that there is at least version 1."""
    publish(bench, 6)
    attest(bench)
    publish(bench, 8)
    assert consumer(bench).verify("pets").head.version == 2
    bench.record(2).unlink()
    # Who saw version 2 refuses; who did not is bounded by how long the statement is valid.
    assert refused(bench).step == 9
    bench.forget()
    assert consumer(bench).verify("pets").head.version == 1


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("another dataset", {"dataset": "birds"}),
        ("another uid", {"uid": "0" * 32}),
        ("the future", {"as_of": datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)}),
    ],
)
def test_latest_of_another_time_or_dataset_is_passed_over(
    bench: Bench, what: str, fields: dict[str, Any]
) -> None:
    publish(bench, 6)
    made = attest(bench)
    clear(bench)
    forge(bench, made.latest, **fields)
    error = refused(bench)
    assert error.step == 8
    assert consumer(bench, mandatory=False).verify("pets").attested == ()


def test_latest_of_another_dataset_moved_here_is_passed_over(bench: Bench) -> None:
    publish(bench, 6)
    publish(bench, 7, "birds")
    attest(bench, name="birds")
    moved = clear(bench, "birds")
    for key, data in moved.items():
        bench.overwrite(bench.registry / key.replace("latest/birds", "latest/pets"), data)
    error = refused(bench)
    assert (error.step, "birds" in error.message) == (8, True)


def test_latest_by_a_stranger_is_passed_over(bench: Bench) -> None:
    publish(bench, 6)
    made = attest(bench)
    clear(bench)
    for by in ("mallory", "alice", "chief"):
        forge(bench, made.latest, by, version=99)
    error = refused(bench)
    assert error.step == 8
    # And it cannot keep anybody from what the clock attests.
    forge(bench, made.latest)
    assert consumer(bench).verify("pets").head.version == 1


def test_bundles_of_other_kinds_replayed_as_latest_statements_are_passed_over(
    bench: Bench,
) -> None:
    one = publish(bench, 6)
    made = attest(bench)
    clear(bench)
    for statement in (statement_of(one.head), canonical({"_type": "x"}), b"{}"):
        bundle = bench.signer("clock").sign(statement)
        bench.open().workspace.latest.add(sha256_digest(statement), bundle, "pets")
    assert refused(bench).step == 8
    # And a latest statement is no version's.
    for path in bench.signatures(one.digest).iterdir():
        path.unlink()
    statement = made.latest.statement()
    bench.open().workspace.versions.add(one.digest, bench.signer("alice").sign(statement), "pets")
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets")
    assert caught.value.step == 5


@pytest.mark.parametrize("garbage", [b"", b"{}", b"\xff" * 300_000])
def test_squatted_latest_statements_are_passed_over(bench: Bench, garbage: bytes) -> None:
    publish(bench, 6)
    attest(bench)
    folder = bench.registry / "latest/pets"
    bench.overwrite(folder / sha256_digest(garbage) / sha256_digest(garbage), garbage)
    bench.overwrite(folder / "stranger\x1b[2J" / "x", garbage)
    bench.overwrite(folder / ("sha256:" + "0" * 64), garbage)
    assert consumer(bench).verify("pets").head.version == 1


def test_statement_whose_maximum_age_is_over_is_passed_over(bench: Bench) -> None:
    publish(bench, 6)
    made = attest(bench)
    registry = consumer(bench)
    assert registry.trust is not None
    clear(bench)
    now = datetime.now(UTC).replace(microsecond=0)
    forge(bench, made.latest, as_of=now - timedelta(hours=2))
    (rule,) = registry.trust.policy.freshness
    for age, holds in ((timedelta(hours=1), False), (timedelta(hours=3), True)):
        policy = replace(registry.trust.policy, freshness=(replace(rule, maximum_age=age),))
        judged = replace(registry, trust=replace(registry.trust, policy=policy))
        if holds:
            assert judged.verify("pets").head.version == 1
        else:
            with pytest.raises(NotTrustedError) as caught:
                judged.verify("pets")
            assert caught.value.step == 8


def test_two_who_must_agree_sign_one_statement(bench: Bench) -> None:
    publish(bench, 6)
    both = {"attest": ("clock", "tower"), "agree": 2}
    first = attest(bench, "clock", **both)
    assert not first.counts
    assert "needs a signature by 1 of: tower" in first.freshness.passed_over[0]
    assert refused(bench, **both).step == 8
    second = attest(bench, "tower", **both)
    assert second.latest == first.latest
    assert second.counts
    assert consumer(bench, **both).verify("pets").head.version == 1


def test_expired_statements_are_tidied_away_by_the_next(bench: Bench) -> None:
    publish(bench, 6)
    made = attest(bench)
    clear(bench)
    now = datetime.now(UTC).replace(microsecond=0)
    forge(bench, made.latest, as_of=now - 2 * WEEK, expires=now - WEEK)
    attest(bench)
    left = clear(bench)
    assert len(left) == 1
    (bundle,) = map(json.loads, left.values())
    latest = parse_latest(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    assert latest.expires > now


def test_attested_revocation_must_be_the_very_one(bench: Bench) -> None:
    publish(bench, 6)
    made = attest(bench)
    forge(bench, made.latest, revocation=RevocationLink(1, "sha256:" + "ab" * 32))
    assert refused(bench).step == 9
