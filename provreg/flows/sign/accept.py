"""Accepting a finding (docs/format/acceptance.md): what `flows.screen.acceptances` reads.

One is one key with its bundle: killed before it was created, nothing is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.names import check_utf8
from provreg.core.statements.acceptance import Acceptance
from provreg.core.statements.revocation import MAX_REASON_BYTES
from provreg.errors import UsageError
from provreg.flows.screen.acceptances import Accepted, read_acceptances
from provreg.flows.screen.screen import Screening
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.lineage import lineage
from provreg.screening.api import Finding
from provreg.trust.signers import Signer


@dataclass(frozen=True, slots=True)
class SignedAcceptance:
    """An acceptance that was signed. `accepted` says by whom, where it counts; else `because` says
    why it does not."""

    acceptance: Acceptance
    accepted: Accepted | None
    because: str | None = None


def accept(
    workspace: Workspace,
    screening: Screening,
    finding: Finding,
    reason: str,
    signer: Signer,
    trust: Trust,
) -> SignedAcceptance:
    """Signs that `finding` of `screening` was looked at, and is in order.

    Where others signed that and the rule wants more of them, their statement is signed, with their
    reason. Raises UsageError for no reason, and for a finding that cannot be accepted (a note, or
    none of whose samples is there), as `Signer.sign`, and StorageError; nothing is then accepted.
    """
    check_utf8("the reason", reason)
    if not reason.strip() or len(reason.encode()) > MAX_REASON_BYTES:
        raise UsageError(
            f"an acceptance has a reason of 1 to {MAX_REASON_BYTES:,} bytes",
            hint="say for those who look later: --reason 'ann3 relabeled the blurred ones, on"
            " purpose'",
        )
    if finding.found is None or finding.digest is None:
        raise UsageError(
            "a note, and a finding of samples that are gone, cannot be accepted",
            hint="nothing fails by it: leave it",
        )
    head = screening.version.head
    acceptance = Acceptance(
        dataset=head.dataset,
        uid=head.uid,
        version=head.version,
        head=screening.version.digest,
        found=finding.found,
        reason=reason,
        created=datetime.now(UTC).replace(microsecond=0),
    )
    line = lineage(workspace, screening.version.digest, trust)
    pending = read_acceptances(workspace, line, trust).pending.get(finding.digest)
    if pending is not None:
        acceptance = pending.acceptance
    statement = acceptance.statement()
    workspace.acceptances.add(sha256_digest(statement), signer.sign(statement), head.dataset)
    now = read_acceptances(workspace, line, trust)
    return SignedAcceptance(
        acceptance, now.counted.get(finding.digest), now.passed_over.get(finding.digest)
    )
