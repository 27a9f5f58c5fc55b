"""Sync: adding to the index every version whose integrity holds, regardless of its signers.

Forensics must see the crime. Whether a version is trusted is asked at query time, never stored.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from provreg.core.manifest.head import MAX_HEAD_BYTES
from provreg.errors import DamagedError, FormatError, NotFoundError, NotTrustedError
from provreg.flows.receipts.runs import read_receipt
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.changes import changes_of, parent_of
from provreg.flows.verify.manifest import (
    check_successor,
    load_entries,
    read_head,
    read_version_record,
)
from provreg.store.index.rows import NewVersion

# Written to the index together.
_MOST_VERSIONS, _MOST_CHANGES = 64, 1 << 17
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


@dataclass(slots=True)
class _Work:
    """What one sync knows: versions by head, and those of them still to be written."""

    workspace: Workspace
    known: dict[str, _Known]
    unwritten: list[NewVersion] = field(default_factory=list)

    def add(self, new: NewVersion) -> None:
        """Takes in `new`. Opening the index takes 20 ms, as long as most versions need."""
        self.known[new.digest] = _Known(new.head.dataset, new.head.version, new.head.parent)
        self.unwritten.append(new)
        changes = sum(len(version.changes) for version in self.unwritten)
        if len(self.unwritten) >= _MOST_VERSIONS or changes >= _MOST_CHANGES:
            self.write()

    def write(self) -> None:
        if self.unwritten:
            self.workspace.index.add(self.unwritten)
            self.unwritten.clear()


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
            version.head: _Known(version.dataset, version.version, version.parent)
            for version in workspace.index.versions()
        }
        work = _Work(workspace, known)
        kept: set[str] = set()
        for place, (dataset, number) in enumerate(wanted, start=1):
            try:
                digest = read_version_record(workspace, dataset, number)
                _sync_one(work, dataset, number, digest)
                kept.add(digest)
            except _NOT_SOUND as error:
                damaged.append(Damaged(dataset, number, error.message))
            if progress is not None:
                progress(place, len(wanted))
        _sync_ancestors(work, kept)
        work.write()
        gone = known.keys() - kept
        if gone:
            workspace.index.forget(sorted(gone))
        sync_runs(workspace)
    return damaged


def _sync_one(work: _Work, dataset: str, number: int, digest: str) -> None:
    """Takes in one version unless it is in the index."""
    before = work.known.get(digest)
    if before is None:
        _take_in(work, dataset, number, digest)
    elif (before.dataset, before.number) != (dataset, number):
        raise _head_of(before.dataset, before.number)
    else:  # what is known must still be provable
        work.workspace.objects.get(digest, limit=MAX_HEAD_BYTES)


def _sync_ancestors(work: _Work, kept: set[str]) -> None:
    """Takes in ancestors whose numbers are gone or name other heads, and adds them to `kept`.

    Who deletes a number must not be able to have its changes counted as those of its parent. An
    ancestor that is not sound is left out: a line without it is refused by who needs it whole.
    """
    pending = [work.known[digest].parent for digest in kept]
    while pending:
        digest = pending.pop()
        if digest is None or digest in kept:
            continue
        try:
            head = read_head(work.workspace, digest)
            _sync_one(work, head.dataset, head.version, digest)
        except _NOT_SOUND:
            continue
        kept.add(digest)
        pending.append(work.known[digest].parent)


def _take_in(work: _Work, dataset: str, number: int, digest: str) -> None:
    """Steps 6, 10 and 11 for one version, and its changes to its parent."""
    head = read_head(work.workspace, digest)
    if (head.dataset, head.version) != (dataset, number):
        raise _head_of(head.dataset, head.version)
    if head.parent in work.known:
        check_successor(work.workspace, head, parent_of(work.workspace, head))
    else:
        load_entries(work.workspace, head)
    changes, counts = changes_of(work.workspace, head)
    work.add(NewVersion(head, digest, changes, counts_true=counts == head.changes))


def _head_of(dataset: str, number: int) -> FormatError:
    return FormatError(f"the head is that of {dataset}@{number}")


def sync_runs(workspace: Workspace) -> None:
    """Brings the receipts of the index up to date, under its lock.

    One that contradicts itself or the head of a version is left out; `check` says why.
    """
    wanted, known = workspace.runs.digests(), set(workspace.indexed_runs.receipts())
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
