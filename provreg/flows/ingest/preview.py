"""Data compared with a version, as they would be ingested: the gate of a pull request."""

from __future__ import annotations

from provreg.executors.api import Progress
from provreg.flows.history.diff import ChangeAttribution, Diff
from provreg.flows.ingest.draft import draft_again
from provreg.flows.ingest.request import Ingestion
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.gate import gate
from provreg.flows.verify.lineage import Ancestor
from provreg.flows.verify.manifest import load_entries
from provreg.flows.verify.steps import Judge


def diff_data(
    workspace: Workspace,
    before: Ancestor,
    ingestion: Ingestion,
    trust: Trust | None,
    *,
    progress: Progress | None = None,
) -> Diff:
    """The changes that `ingestion`, read the way `before` was, would make to it.

    Raises as `flows.ingest.ingest.ingest`, NotTrustedError where `before` does not hold together.
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
        ChangeAttribution([], None),
        old,
        new,
        (before,),
        held,
        reading=drafted.read.reading,
    )
