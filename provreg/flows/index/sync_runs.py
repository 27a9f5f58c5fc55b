"""Taking receipts of training runs into the index, whoever signed them."""

from __future__ import annotations

from contextlib import suppress

from provreg.errors import DamagedError, NotFoundError
from provreg.flows.receipts.runs import read_receipt
from provreg.flows.session.workspace import Workspace


def sync_runs(workspace: Workspace) -> None:
    """Brings the receipts of the index up to date, under its lock.

    One that contradicts itself or the head of a version is left out; `check` says why.
    """
    wanted, known = workspace.runs.receipts(), set(workspace.indexed_runs.receipts())
    gone = known.difference(wanted)
    if gone:
        workspace.indexed_runs.forget(sorted(gone))
    new = {}
    for digest in wanted:
        if digest not in known:
            with suppress(DamagedError, NotFoundError):
                new[digest] = read_receipt(workspace, digest)
    if new:
        workspace.indexed_runs.add(new)
