"""Ingestion: the data are read and hashed once, then drafted, signed and published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache, partial
from typing import TYPE_CHECKING

from provreg.core.kinds import KINDS
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
from provreg.flows.watch import Watch, watching
from provreg.flows.workspace import Workspace
from provreg.readers.interrupts import interrupts_wait
from provreg.trust.signer import Signer

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
    *,
    progress: Progress | None = None,
) -> Outcome:
    """What `ingest` would publish, and whether its rule would take it; raises what it would raise.

    The gate raises NotTrustedError (step 9) where the line before is broken.
    """
    from provreg.flows.drafting import drafts_of
    from provreg.flows.gate import gate

    parent, passed_over = find_parent(
        workspace, ingestion.dataset, trust, after_revoked=ingestion.after_revoked
    )
    drafted = drafts_of(workspace, ingestion, progress)(as_parent(parent))
    held = None if trust is None else gate(Judge.of(workspace, trust), drafted)
    return outcome_of(drafted, passed_over, gate=held)
