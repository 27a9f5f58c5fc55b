"""Sync: taking into the index every version whose integrity holds, whoever signed it.

Forensics must see the crime. Whether a version is trusted is asked at query time, never stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from provreg.core.change import Changes, compare
from provreg.core.entry import ENTRY
from provreg.core.head import MAX_HEAD_BYTES, Head, check_parent
from provreg.core.kinds import KINDS
from provreg.errors import DamagedError, FormatError, NotFoundError, NotTrustedError
from provreg.flows.compare import changes_between
from provreg.flows.integrity import check_successor, load_entries, read_head, recorded
from provreg.flows.workspace import Workspace

_NOT_SOUND = (NotTrustedError, DamagedError, NotFoundError)


@dataclass(frozen=True, slots=True)
class Damaged:
    """A number that is not in the index, because its head or objects do not hold together."""

    dataset: str
    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Known:
    """A version of the index: where its head belongs, and its parent's digest."""

    dataset: str
    number: int
    parent: str | None


def sync(
    workspace: Workspace, *, progress: Callable[[int, int], None] | None = None
) -> list[Damaged]:
    """Brings the index up to date with the registry; returns what could not be taken in.

    `progress(done, total)` counts versions.
    """
    wanted = workspace.numbers()
    damaged: list[Damaged] = []
    with workspace.index_lock():
        known = {
            one.head: _Known(one.dataset, one.version, one.parent)
            for one in workspace.index.versions()
        }
        kept: set[str] = set()
        for place, (dataset, number) in enumerate(wanted, start=1):
            try:
                digest = recorded(workspace, dataset, number)
                _sync_one(workspace, dataset, number, digest, known)
                kept.add(digest)
            except _NOT_SOUND as error:
                damaged.append(Damaged(dataset, number, error.message))
            if progress is not None:
                progress(place, len(wanted))
        _sync_ancestors(workspace, kept, known)
        gone = known.keys() - kept
        if gone:
            workspace.index.forget(sorted(gone))
    return damaged


def _sync_one(
    workspace: Workspace, dataset: str, number: int, digest: str, known: dict[str, _Known]
) -> None:
    """Takes in one version unless it is in the index; `known` (by head) are those that are."""
    if digest in known:
        before = known[digest]
        if (before.dataset, before.number) != (dataset, number):
            raise _head_of(before.dataset, before.number)
        workspace.objects.get(digest, limit=MAX_HEAD_BYTES)  # what is known must still be provable
    else:
        parent = _take_in(workspace, dataset, number, digest, known)
        known[digest] = _Known(dataset, number, parent)


def _sync_ancestors(workspace: Workspace, kept: set[str], known: dict[str, _Known]) -> None:
    """Takes in ancestors whose numbers are gone or name other heads, and adds them to `kept`.

    Who deletes a number must not be able to have its changes counted as those of its parent. An
    ancestor that is not sound is left out: a line without it is refused by who needs it whole.
    """
    pending = [known[digest].parent for digest in kept]
    while pending:
        digest = pending.pop()
        if digest is None or digest in kept:
            continue
        try:
            head = read_head(workspace, digest)
            _sync_one(workspace, head.dataset, head.version, digest, known)
        except _NOT_SOUND:
            continue
        kept.add(digest)
        pending.append(known[digest].parent)


def _take_in(
    workspace: Workspace, dataset: str, number: int, digest: str, known: Collection[str]
) -> str | None:
    """Steps 6, 10 and 11 for one version, and its changes to its parent; the parent's digest."""
    head = read_head(workspace, digest)
    if (head.dataset, head.version) != (dataset, number):
        raise _head_of(head.dataset, head.version)
    if head.parent in known:
        check_successor(workspace, head, _parent(workspace, head))
    else:
        load_entries(workspace, head)
    changes, counts = changes_of(workspace, head)
    workspace.index.add(head, digest, changes, counts_true=counts == head.changes)
    return head.parent


def _head_of(dataset: str, number: int) -> FormatError:
    return FormatError(f"the head is that of {dataset}@{number}")


def changes_of(workspace: Workspace, head: Head) -> tuple[Changes, dict[str, int]]:
    """The changes of a version to its parent, as the index keeps them, and their true counts."""
    if head.parent is None:
        # What the first version holds needs no list of changes: nothing was before it.
        empty = ENTRY.empty_table()
        return compare(empty, empty), dict.fromkeys(KINDS, 0) | {"injected": head.samples}
    changes = changes_between(workspace, _parent(workspace, head), head)
    return changes, changes.counts()


def _parent(workspace: Workspace, head: Head) -> Head:
    parent = read_head(workspace, head.parent or "")
    check_parent(head, parent)
    return parent
