"""Ingestion: the data are read and hashed once, then drafted, signed and published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING

from provreg.core.kinds import KINDS
from provreg.core.policy import Signature
from provreg.core.verdict import Verdict, judge
from provreg.errors import NotTrustedError
from provreg.flows.ingestion import Ingestion
from provreg.flows.judging import Judge
from provreg.flows.publish import (
    NotAVersion,
    Outcome,
    as_parent,
    find_parent,
    outcome_of,
    publish,
)
from provreg.flows.trusting import Trust
from provreg.flows.verify import VerifiedVersion
from provreg.flows.waiting import waiting
from provreg.flows.watch import Watch, watching
from provreg.flows.workspace import Workspace
from provreg.readers.interrupts import interrupts_wait
from provreg.trust.signer import KeySigner, Signer

if TYPE_CHECKING:
    from provreg.flows.draft import Draft, Parent
    from provreg.flows.reading import Progress


def ingest(
    workspace: Workspace,
    ingestion: Ingestion,
    signer: Signer,
    trust: Trust,
    *,
    watch: Watch | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Publishes what the data make of the newest verified version, unless that changes nothing.

    `watch` is of who began to look at the files before. Raises InputError naming the sample that
    cannot be taken in, NotTrustedError where the parent does not verify or the policy would not
    trust what was published, StorageError, NotFetchedError; in every case nothing is published.
    """

    @cache
    def drafts() -> Callable[[Parent | None], Draft]:
        # Where nothing changed nothing is drafted, and no Arrow loaded.
        with interrupts_wait():
            from provreg.flows.drafting import drafts_of

        return drafts_of(workspace, ingestion, progress, looked_at.begun)

    def after(parent: Parent | None) -> Draft:
        return drafts()(parent)

    with watching(workspace, ingestion) if watch is None else nullcontext(watch) as looked_at:
        outcome = publish(
            workspace,
            after,
            signer,
            trust,
            ingestion,
            unchanged=partial(_unchanged, looked_at),
        )
        if outcome.newest is not None:
            looked_at.remember(outcome.newest, outcome.left_out)
    return outcome


def _unchanged(
    watch: Watch, newest: VerifiedVersion, above: Sequence[NotAVersion]
) -> Outcome | None:
    """That nothing is published, if the files are known to be those that made `newest`."""
    head = newest.head
    left_out = watch.left_out(newest.digest) if head.reading["reader"] == "folder" else None
    if left_out is None:
        return None
    return Outcome(
        dataset=head.dataset,
        samples=head.samples,
        changes=dict.fromkeys(KINDS, 0),
        left_out=left_out,
        reused=head.samples,
        head=None,
        digest=None,
        newest=newest.digest,
        passed_over=above,
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
    from provreg.flows.drafting import drafts_of
    from provreg.flows.gate import gate

    parent, passed_over = find_parent(
        workspace, ingestion.dataset, trust, after_revoked=ingestion.after_revoked
    )
    drafted = drafts_of(workspace, ingestion, progress)(as_parent(parent))
    if trust is None:
        return outcome_of(drafted, passed_over)
    newest = passed_over[0].number if passed_over else 0 if parent is None else parent.head.version
    waits = waiting(workspace, ingestion.dataset, trust, above=newest)
    verdict = None if signer is None else _foreseen(signer, trust, ingestion.dataset, newest + 1)
    signers = len(verdict.approvals) if verdict is not None and verdict.trusted else None
    held = gate(Judge.of(workspace, trust), drafted, signers=signers)
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
