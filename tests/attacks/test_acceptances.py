"""Attacks on accepted findings: what was looked at once must not cover what nobody looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import Bench
from tabular import Row, ingest_rows

from provreg.core.encoding.digest import sha256_digest
from provreg.core.policy.policy import Policy, short_fingerprint
from provreg.core.statements.acceptance import Acceptance
from provreg.errors import NotFoundError, UsageError
from provreg.flows.screen.screen import Screening
from provreg.flows.session.trust import Trust
from provreg.flows.sign.accept import SignedAcceptance
from provreg.registry import Registry

ROLES: dict[str, Any] = {"accept": ("chief",)}


def rows(conflicts: int = 2) -> list[Row]:
    """Twelve texts, of which so many stand twice, the second time with another label."""
    found = [_row(f"s{number:02}", f"text {number}", "cat") for number in range(12)]
    return found + [_row(f"t{number:02}", f"text {number}", "dog") for number in range(conflicts)]


def _row(sample: str, text: str, label: str) -> Row:
    return {"id": sample, "text": text, "label": label, "source": "shop", "labeler": "ann"}


def screened(bench: Bench, reference: str = "pets", **roles: Any) -> Screening:
    return bench.open(**(ROLES | roles)).screen(reference, checks=["duplicates"])


def accept(bench: Bench, by: str = "chief", **roles: Any) -> SignedAcceptance:
    registry: Registry = bench.open(**(ROLES | roles))
    found = registry.screen("pets", checks=["duplicates"])
    return registry.accept(found, found.findings[0], "known twins", bench.signer(by))


def forge(bench: Bench, acceptance: Acceptance, by: str = "chief", **fields: Any) -> None:
    """Any acceptance, properly signed."""
    statement = replace(acceptance, **fields).statement()
    workspace = bench.open().workspace
    workspace.acceptances.add(sha256_digest(statement), bench.signer(by).sign(statement), "pets")


@pytest.fixture
def accepted(bench: Bench) -> Acceptance:
    """The acceptance of the only finding in version 1."""
    ingest_rows(bench, rows())
    signed = accept(bench)
    assert signed.accepted is not None
    found = screened(bench)
    assert (found.findings, len(found.accepted)) == ((), 1)
    return signed.acceptance


def refused(bench: Bench, **roles: Any) -> str:
    """The finding of the newest version is not accepted; returns why an acceptance of it does not
    count, empty where there is none."""
    found = screened(bench, **roles)
    assert (len(found.findings), found.accepted) == (1, ())
    assert found.ids()
    return "".join(found.uncounted.values())


def test_what_was_accepted_stays_so_in_later_versions(bench: Bench, accepted: Acceptance) -> None:
    ingest_rows(bench, [*rows(), _row("u", "another text", "cat")])
    found = screened(bench)
    assert found.findings == ()
    assert found.ids() == []
    ((finding, by),) = found.accepted
    assert finding.digest == accepted.found.digest()
    assert (by.by, by.acceptance.reason, by.acceptance.version) == (["chief"], "known twins", 1)


def test_attack_one_more_sample_under_an_accepted_finding(
    bench: Bench, accepted: Acceptance
) -> None:
    ingest_rows(bench, rows(3))
    assert refused(bench) == ""


def test_attack_one_accepted_sample_is_exchanged_for_another(
    bench: Bench, accepted: Acceptance
) -> None:
    changed = rows()
    changed[-1]["text"] = "text 7"  # the number of samples stays
    ingest_rows(bench, changed)
    assert refused(bench) == ""


@pytest.mark.parametrize(("column", "value"), [("label", "bird"), ("labeler", "mallory")])
def test_attack_an_accepted_sample_gets_another_label_or_labeler(
    bench: Bench, accepted: Acceptance, column: str, value: str
) -> None:
    changed = rows()
    changed[-1] |= {column: value, "label": "bird"}
    ingest_rows(bench, changed)
    assert refused(bench) == ""


def test_attack_the_signer_of_a_version_accepts_what_is_found_in_it(bench: Bench) -> None:
    ingest_rows(bench, rows())
    signed = accept(bench, by="alice")
    assert signed.accepted is None
    key = short_fingerprint(bench.signer("alice").key.public.fingerprint)
    assert signed.because == f"needs a signature by 1 of: chief; not counted: key {key}"
    assert refused(bench) == signed.because


def test_attack_a_stranger_accepts(bench: Bench, accepted: Acceptance) -> None:
    ingest_rows(bench, rows(3))
    found = screened(bench).findings[0].found
    assert found is not None
    forge(bench, accepted, by="mallory", found=found)
    assert refused(bench) == ""  # whom nobody knows is not even told of


def test_attack_accepted_where_the_policy_lets_nobody(bench: Bench, accepted: Acceptance) -> None:
    signed = refused(bench, accept=())
    assert signed == ""  # the chief is then nobody known
    because = refused(bench, accept=(), revoke=("chief",))
    assert because == "no [[accept]] rule of the policy covers 'pets'"


def test_attack_an_acceptance_of_another_dataset_of_the_name(
    bench: Bench, accepted: Acceptance
) -> None:
    ingest_rows(bench, rows(3))
    found = screened(bench).findings[0].found
    assert found is not None
    forge(bench, accepted, found=found, uid="0" * 32)
    assert refused(bench) == "it is of version 1 of another line"


def test_attack_an_acceptance_of_another_line(bench: Bench, accepted: Acceptance) -> None:
    ingest_rows(bench, rows(3))
    found = screened(bench).findings[0].found
    assert found is not None
    forge(bench, accepted, found=found, head="sha256:" + "0" * 64)
    assert refused(bench) == "it is of version 1 of another line"


def test_attack_an_acceptance_of_a_later_version_counts_in_an_earlier_one(bench: Bench) -> None:
    ingest_rows(bench, rows())
    ingest_rows(bench, [*rows(), _row("u", "another text", "cat")])
    assert accept(bench).accepted is not None
    assert screened(bench).findings == ()
    assert len(screened(bench, "pets@1").findings) == 1


def test_attack_a_warning_that_was_accepted_becomes_an_error(
    bench: Bench, accepted: Acceptance
) -> None:
    found = screened(bench).accepted[0][0]
    assert found.found is not None
    milder = replace(found.found, severity="warning")
    workspace = bench.open().workspace
    for digest in workspace.acceptances.digests("pets"):
        for bundle, _ in list(workspace.acceptances.bundles(digest, "pets")):
            workspace.acceptances.remove(digest, bundle, "pets")
    forge(bench, accepted, found=milder)
    assert refused(bench) == ""


def test_attack_accepted_with_a_stolen_key(bench: Bench, accepted: Acceptance) -> None:
    registry = bench.open(**ROLES)
    trust = registry.trust
    assert trust is not None
    ended = datetime(2026, 1, 1, tzinfo=UTC)
    alice, chief = trust.policy.principals
    stolen = replace(chief, keys=(replace(chief.keys[0], revoked=ended),))
    policy = replace(trust.policy, principals=(alice, stolen))
    found = _under(registry, policy)
    assert len(found.findings) == 1
    assert "its key is revoked from 2026-01-01" in "".join(found.uncounted.values())


def test_an_acceptance_older_than_the_policy_wants_does_not_count(
    bench: Bench, accepted: Acceptance
) -> None:
    ingest_rows(bench, rows(3))
    found = screened(bench).findings[0].found
    assert found is not None
    old = datetime.now(UTC).replace(microsecond=0) - timedelta(days=91)
    forge(bench, accepted, found=found, created=old)
    registry = bench.open(**ROLES)
    assert registry.trust is not None
    policy = registry.trust.policy
    rule = replace(policy.accept[0], maximum_age=timedelta(days=90))
    assert _under(registry, policy).findings == ()
    screening = _under(registry, replace(policy, accept=(rule,)))
    assert len(screening.findings) == 1
    assert "at most 90 days of age" in "".join(screening.uncounted.values())


def _under(registry: Registry, policy: Policy) -> Screening:
    return replace(registry, trust=Trust(policy, "a test")).screen("pets", checks=["duplicates"])


def test_attack_an_acceptance_in_the_folder_of_another(bench: Bench, accepted: Acceptance) -> None:
    """Bytes that somebody put where they do not belong are passed over, and cover nothing."""
    ingest_rows(bench, rows(3))
    found = screened(bench).findings[0].found
    assert found is not None
    statement = replace(accepted, found=found).statement()
    workspace = bench.open().workspace
    bundle = bench.signer("chief").sign(statement)
    workspace.acceptances.add(sha256_digest(accepted.statement()), bundle, "pets")
    assert refused(bench) == ""
    problems = [problem.what for problem in bench.open().check()]
    assert "it signs another statement than that of its folder" in problems


def test_attack_two_lists_of_samples_make_one_digest() -> None:
    """Leaves have one length: where one ends is not a question."""
    from provreg.core.statements.acceptance import samples_digest

    one, two = b"a" * 32, b"b" * 32
    assert samples_digest([one, two]) != samples_digest([two, one])
    assert samples_digest([one]) != samples_digest([one, one])
    assert samples_digest([one]) != samples_digest([])


def test_two_have_to_accept(bench: Bench) -> None:
    ingest_rows(bench, rows())
    both: dict[str, Any] = {"accept": ("chief", "deputy"), "agree": 2}
    first = accept(bench, **both)
    assert first.accepted is None
    assert first.because == "needs a signature by 1 of: deputy"
    assert refused(bench, **both) == first.because
    second = accept(bench, by="deputy", **both)
    assert second.acceptance == first.acceptance
    assert second.accepted is not None
    assert second.accepted.by == ["chief", "deputy"]
    assert screened(bench, **both).findings == ()


def test_who_accepts_twice_is_one(bench: Bench) -> None:
    ingest_rows(bench, rows())
    both: dict[str, Any] = {"accept": ("chief", "deputy"), "agree": 2}
    accept(bench, **both)
    assert accept(bench, **both).accepted is None


def test_a_finding_is_named_by_its_digest(bench: Bench, accepted: Acceptance) -> None:
    digest = accepted.found.digest()
    found = screened(bench)
    with pytest.raises(UsageError, match="is accepted already, by chief"):
        found.finding(digest)
    ingest_rows(bench, rows(3))
    found = screened(bench)
    (finding,) = found.findings
    assert finding.digest is not None
    assert found.finding(finding.digest[:15]) is finding
    assert found.finding(finding.digest[7:19]) is finding
    with pytest.raises(UsageError, match="does not name a finding"):
        found.finding("1234567")
    with pytest.raises(NotFoundError, match="has no finding 00000000"):
        found.finding("00000000")


def test_a_note_is_not_accepted(bench: Bench) -> None:
    twins = [*rows(0), _row("t", "text 0", "cat")]
    ingest_rows(bench, twins)
    registry = bench.open(**ROLES)
    found = registry.screen("pets", checks=["duplicates"])
    assert {finding.severity for finding in found.findings} == {"note"}
    with pytest.raises(UsageError, match="a note"):
        registry.accept(found, found.findings[0], "twins", bench.signer("chief"))


@pytest.mark.parametrize("reason", ["", " \n", "x" * 5000])
def test_a_reason_is_needed(bench: Bench, reason: str) -> None:
    ingest_rows(bench, rows())
    registry = bench.open(**ROLES)
    found = registry.screen("pets", checks=["duplicates"])
    with pytest.raises(UsageError, match="a reason of 1 to"):
        registry.accept(found, found.findings[0], reason, bench.signer("chief"))
    assert registry.workspace.acceptances.digests("pets") == []
