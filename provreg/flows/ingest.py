"""Ingestion: the data are read and hashed once, then drafted, signed and published."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from provreg.flows.ingestion import Ingestion
from provreg.flows.judging import Judge
from provreg.flows.publish import (
    Outcome,
    as_parent,
    find_parent,
    outcome_of,
    publish,
)
from provreg.flows.trusting import Trust
from provreg.flows.unchanged import watching
from provreg.flows.workspace import Workspace
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
    progress: Progress | None = None,
) -> Outcome:
    """Publishes what the data make of the newest verified version, unless that changes nothing.

    Raises InputError naming the sample that cannot be taken in, NotTrustedError where the parent
    does not verify, StorageError, NotFetchedError; in every case nothing is published.
    """

    @cache
    def drafts() -> Callable[[Parent | None], Draft]:
        # Where nothing changed nothing is drafted, and no Arrow loaded.
        from provreg.flows.drafting import drafts_of

        return drafts_of(workspace, ingestion, progress)

    def after(parent: Parent | None) -> Draft:
        return drafts()(parent)

    with watching(workspace, ingestion) as watch:
        outcome = publish(
            workspace,
            after,
            signer,
            trust,
            dataset=ingestion.dataset,
            message=ingestion.message,
            after_revoked=ingestion.after_revoked,
            unchanged=watch.outcome,
        )
        watch.remember(outcome)
    return outcome


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
