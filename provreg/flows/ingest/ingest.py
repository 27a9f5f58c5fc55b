"""Ingestion: the data are read and hashed once, then drafted, signed and published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from provreg.core.manifest.head import KINDS
from provreg.core.policy.counting import Verdict, judge
from provreg.core.policy.policy import Signature
from provreg.core.statements.statement import statement_of
from provreg.errors import NotTrustedError, StorageError
from provreg.flows.ingest.publish import (
    Outcome,
    RejectedVersion,
    find_parent,
    outcome_of,
    publish,
)
from provreg.flows.ingest.request import Ingestion
from provreg.flows.ingest.unchanged import check_for
from provreg.flows.session.trust import Trust, trust_signer
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.signatures import PendingProposal, signed_proposals
from provreg.flows.verify.steps import Judge, VerifiedVersion
from provreg.trust.signers import KeySigner, Signer

if TYPE_CHECKING:
    from provreg.executors.api import Progress
    from provreg.flows.history.diff import Diff
    from provreg.flows.verify.lineage import Ancestor

_MOST_RACES = 100


def ingest(
    workspace: Workspace,
    ingestion: Ingestion,
    signer: Signer,
    trust: Trust,
    *,
    progress: Progress | None = None,
) -> Outcome:
    """Publishes what the data make of the newest verified version, unless that changes nothing.

    The loser of a race for a number continues the winner. Raises InputError naming the sample that
    cannot be ingested, NotTrustedError where the parent does not verify or the policy would not
    trust what was published, NotFetchedError, and StorageError where storage fails or every race is
    lost; in every case nothing is published.
    """
    dataset, check, data = ingestion.dataset, check_for(workspace, ingestion), None
    for _ in range(_MOST_RACES):
        parent, passed_over = find_parent(
            workspace, dataset, trust, after_revoked=ingestion.after_revoked
        )
        newest = _newest(parent, passed_over)
        waits = signed_proposals(workspace, dataset, trust, above=newest)
        if check is not None and parent is not None:
            left_out = check.left_out(parent.head, parent.digest)
            if left_out is not None:
                return _unchanged(parent, left_out, passed_over, waits)
        # Where nothing changed nothing is drafted, and no Arrow loaded.
        from provreg.flows.ingest.draft import InputData, Parent, draft
        from provreg.flows.ingest.seal import seal
        from provreg.flows.verify.manifest import blocks_of

        data = data or InputData(workspace, ingestion, progress)
        read = data.read(None if parent is None else parent.head.reading)
        drafted, made = draft(ingestion, read, Parent.of(parent), progress=progress), None
        if not drafted.is_unchanged():
            sealed = seal(
                drafted,
                number=newest + 1,
                created=datetime.now(UTC),
                message=ingestion.message,
                parents_blocks=() if parent is None else blocks_of(workspace, parent.head),
            )
            # Signing can fail or be refused by a person: nothing is written before it succeeded.
            bundle = signer.sign(statement_of(sealed.head))
            made = publish(
                workspace,
                drafted,
                sealed,
                bundle,
                trust_signer(signer, trust.root),
                trust,
                propose=ingestion.propose,
                waits=waits,
            )
            if made is None:
                continue
        outcome = outcome_of(drafted, passed_over, made, waiting=waits)
        if check is not None and outcome.newest is not None:
            check.remember(outcome.newest, outcome.left_out)
        return outcome
    raise StorageError(
        f"lost {_MOST_RACES} races for the next number of {dataset}",
        hint="too many others publish it at the same time: try again later",
    )


def _newest(parent: VerifiedVersion | None, passed_over: Sequence[RejectedVersion]) -> int:
    """The highest number that is taken, by a version or not."""
    if passed_over:
        return passed_over[0].number
    return 0 if parent is None else parent.head.version


def _unchanged(
    newest: VerifiedVersion,
    left_out: Mapping[str, int],
    passed_over: Sequence[RejectedVersion],
    waits: Sequence[PendingProposal],
) -> Outcome:
    """That nothing is published: the files are known to be those that made `newest`."""
    return Outcome(
        dataset=newest.head.dataset,
        samples=newest.head.samples,
        changes=dict.fromkeys(KINDS, 0),
        left_out=left_out,
        reused=newest.head.samples,
        head=None,
        digest=None,
        newest=newest.digest,
        passed_over=passed_over,
        waiting=waits,
    )


def dry_run(
    workspace: Workspace,
    ingestion: Ingestion,
    trust: Trust | None,
    signer: Signer | None = None,
    *,
    progress: Progress | None = None,
) -> Outcome:
    """What `ingest` would publish, and what the policy would say of it, signed by `signer`.

    Nobody signs anything: of an identity, whose certificate only signing gets, nothing is foreseen.
    Raises what `ingest` would raise, but for that. The gate raises NotTrustedError (step 9) where
    the line before is broken.
    """
    from provreg.flows.ingest.draft import InputData, Parent, draft
    from provreg.flows.verify.gate import gate

    parent, passed_over = find_parent(
        workspace, ingestion.dataset, trust, after_revoked=ingestion.after_revoked
    )
    data = InputData(workspace, ingestion, progress)
    read = data.read(None if parent is None else parent.head.reading)
    drafted = draft(ingestion, read, Parent.of(parent), progress=progress)
    if trust is None:
        return outcome_of(drafted, passed_over)
    newest = _newest(parent, passed_over)
    waits = signed_proposals(workspace, ingestion.dataset, trust, above=newest)
    verdict = None if signer is None else _foreseen(signer, trust, ingestion.dataset, newest + 1)
    signers = len(verdict.approvals) if verdict is not None and verdict.trusted else None
    held = gate(
        Judge.of(workspace, trust),
        drafted.dataset,
        drafted.entries,
        drafted.changes,
        parent=None if parent is None else parent.digest,
        signers=signers,
    )
    lacks = None
    if verdict is not None and not verdict.trusted:
        lacks = NotTrustedError(verdict.reason, step=verdict.step, hint=verdict.needed)
    return outcome_of(drafted, passed_over, waiting=waits, gate=held, lacks=lacks)


def _foreseen(signer: Signer, trust: Trust, dataset: str, number: int) -> Verdict | None:
    """What the policy would say of a signature by the key of `signer`, None for an identity."""
    if not isinstance(signer, KeySigner):
        return None
    now = datetime.now(UTC)
    made = Signature(key=signer.key.public.fingerprint)
    if signer.stamp is not None:
        made = replace(made, signed_at=now, proof="tsa")
    return judge(trust.policy, dataset, number, [made], now=now, created=now)


def diff_data(
    workspace: Workspace,
    before: Ancestor,
    ingestion: Ingestion,
    trust: Trust | None,
    *,
    progress: Progress | None = None,
) -> Diff:
    """The changes that `ingestion`, read the way `before` was, would make to it: the gate of a pull
    request.

    Raises as `ingest`, NotTrustedError where `before` does not hold together.
    """
    from provreg.flows.history.diff import NOT_PUBLISHED, ChangeAttribution, Diff
    from provreg.flows.ingest.draft import InputData, Parent, draft
    from provreg.flows.verify.gate import gate
    from provreg.flows.verify.manifest import load_entries

    parent = Parent(before.digest, before.head, load_entries(workspace, before.head))
    ingestion = replace(ingestion, source=ingestion.source or NOT_PUBLISHED)
    read = InputData(workspace, ingestion, progress).read(before.head.reading)
    drafted, held = draft(ingestion, read, parent, progress=progress), None
    if trust is not None:
        held = gate(
            Judge.of(workspace, trust),
            drafted.dataset,
            drafted.entries,
            drafted.changes,
            parent=before.digest,
        )
    old = f"{before.head.dataset}@{before.head.version}"
    new = ", ".join(str(path) for path in ingestion.paths)
    return Diff(
        drafted.changes,
        ChangeAttribution([], None),
        old,
        new,
        (before,),
        held,
        reading=read.reading,
        notices=drafted.notices,
    )
