"""Data compared with a version, as they would be ingested: the gate of a pull request."""

from __future__ import annotations

from provreg.flows.diff import Diff, MadeBy
from provreg.flows.drafting import draft_again
from provreg.flows.entries import load_entries
from provreg.flows.gate import gate
from provreg.flows.ingestion import Ingestion
from provreg.flows.judging import Judge
from provreg.flows.lineage import Ancestor
from provreg.flows.reading import Progress
from provreg.flows.trusting import Trust
from provreg.flows.workspace import Workspace


def diff_data(
    workspace: Workspace,
    before: Ancestor,
    ingestion: Ingestion,
    trust: Trust | None,
    *,
    progress: Progress | None = None,
) -> Diff:
    """The changes that `ingestion`, read the way `before` was, would make to it.

    Raises as `flows.ingest.ingest`, NotTrustedError where `before` does not hold together.
    """
    entries = load_entries(workspace, before.head)
    drafted = draft_again(workspace, before.head, entries, ingestion, progress=progress)
    held = None
    if trust is not None:
        held = gate(
            Judge.of(workspace, trust),
            drafted.dataset,
            drafted.entries,
            drafted.changes,
            parent=before.head.digest(),
        )
    old = f"{before.head.dataset}@{before.head.version}"
    new = ", ".join(str(path) for path in ingestion.paths)
    return Diff(
        drafted.changes,
        MadeBy([], None),
        old,
        new,
        (before,),
        held,
        reading=drafted.samples.reading,
    )
