"""Sync: taking into the index every version whose integrity holds, whoever signed it.

Forensics must see the crime. Whether a version is trusted is asked at query time, never stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from provreg.core.change import compare
from provreg.core.entry import ENTRY
from provreg.core.head import Head
from provreg.core.kinds import KINDS
from provreg.errors import DamagedError, FormatError, NotFoundError, NotTrustedError
from provreg.flows.compare import changes_between
from provreg.flows.integrity import load_entries, read_head, recorded
from provreg.flows.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Damaged:
    """A number that is not in the index, because its head or objects do not hold together."""

    dataset: str
    number: int
    reason: str


def sync(
    workspace: Workspace, *, progress: Callable[[int, int], None] | None = None
) -> list[Damaged]:
    """Brings the index up to date with the registry; returns what could not be taken in.

    `progress(done, total)` counts versions.
    """
    wanted = workspace.numbers()
    known = {(old.dataset, old.version): old.head for old in workspace.index.versions()}
    damaged: list[Damaged] = []
    with workspace.index_lock():
        for place, (dataset, number) in enumerate(wanted, start=1):
            try:
                digest = recorded(workspace, dataset, number)
                before = known.get((dataset, number))
                if before == digest:
                    continue
                if before is not None:
                    workspace.index.forget([before])
                _take_in(workspace, dataset, number, digest)
            except (NotTrustedError, DamagedError, NotFoundError) as error:
                damaged.append(Damaged(dataset, number, error.message))
            finally:
                if progress is not None:
                    progress(place, len(wanted))
        _drop_gone(workspace, known, set(wanted))
    return damaged


def _take_in(workspace: Workspace, dataset: str, number: int, digest: str) -> None:
    """Steps 6, 10 and 11 for one version, and its changes to its parent."""
    head = read_head(workspace, digest)
    if (head.dataset, head.version) != (dataset, number):
        raise FormatError(f"the head is that of {head.dataset}@{head.version}")
    load_entries(workspace, head)
    if head.parent is None:
        # What the first version holds needs no list of changes: nothing was before it.
        empty = ENTRY.empty_table()
        counts = dict.fromkeys(KINDS, 0) | {"injected": head.samples}
        changes = compare(empty, empty)
    else:
        changes = changes_between(workspace, _parent(workspace, head), head)
        counts = changes.counts()
    workspace.index.add(head, digest, changes, counts_true=counts == head.changes)


def _parent(workspace: Workspace, head: Head) -> Head:
    parent = read_head(workspace, head.parent or "")
    if (parent.dataset, parent.uid) != (head.dataset, head.uid) or parent.version >= head.version:
        raise FormatError(f"its parent is {parent.dataset}@{parent.version}")
    return parent


def _drop_gone(
    workspace: Workspace, known: dict[tuple[str, int], str], wanted: set[tuple[str, int]]
) -> None:
    gone = [head for key, head in known.items() if key not in wanted]
    if gone:
        workspace.index.forget(gone)
