"""What changed between versions, and which samples of a version are thereby revoked.

Two versions are compared from their objects: only blocks that differ are read and joined. A
revocation matches the current and the former names of samples: a publisher could otherwise evade it
by renaming. Former names follow from the changes along the line, which are computed once for a
version and cached; the index is not used.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.changes import (
    Changes,
    compare,
    differing_rows,
    drop_equal,
    same_ids,
)
from provreg.core.changes.revoked_rows import (
    Name,
    NamedEntries,
    RevokedNames,
    former_after,
    revoked_mask,
)
from provreg.core.manifest.columns import Mask, combine_tables, take
from provreg.core.manifest.entry import NO_ENTRIES
from provreg.core.manifest.head import KINDS, Head, PartRef, check_parent
from provreg.core.manifest.leaf import LEAF_BYTES
from provreg.core.statements.revocation import KeyList, NamedSamples, RevokedSamples
from provreg.errors import DamagedError, NotFoundError
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.manifest import (
    checked_part,
    history,
    load_entries,
    read_blocks,
    read_head,
)
from provreg.flows.verify.revocations import read_list

_DENSE = 8
# Below this a look of its own at a part takes longer than to copy its rows.
_FEW = 4096
# Rows of thinly scattered changes that are compared together.
_BATCH = 1 << 17


def changes_between(workspace: Workspace, old: Head, new: Head) -> Changes:
    """The changes from `old` to `new`, two heads whose integrity was checked.

    Raises NotTrustedError or DamagedError where an object they need is missing or changed.
    """
    old_parts, new_parts = _unshared(old.parts, new.parts), _unshared(new.parts, old.parts)
    old_runs, new_runs = differing_rows(
        [read_blocks(workspace, part) for part in old_parts],
        [read_blocks(workspace, part) for part in new_parts],
    )
    old_pieces = [_Piece(part, runs) for part, runs in zip(old_parts, old_runs, strict=True)]
    new_pieces = {
        part.first: _Piece(part, runs) for part, runs in zip(new_parts, new_runs, strict=True)
    }
    before, after = [NO_ENTRIES], [NO_ENTRIES]
    # Not all at a time: the entries of large versions need not fit in memory together.
    for batch in _batches(old_pieces, new_pieces):
        old_rows, new_rows = _differing(workspace, batch)
        before.append(old_rows)
        after.append(new_rows)
    after += [piece.rows(workspace) for piece in new_pieces.values()]
    return compare(_ascending(before), _ascending(after))


def changes_of(workspace: Workspace, head: Head) -> tuple[Changes, dict[str, int]]:
    """The changes of a version to its parent, as the index keeps them, and their true counts."""
    if head.parent is None:
        # What the first version holds needs no list of changes: nothing was before it.
        return compare(NO_ENTRIES, NO_ENTRIES), dict.fromkeys(KINDS, 0) | {"injected": head.samples}
    changes = changes_between(workspace, parent_of(workspace, head), head)
    return changes, changes.counts()


def parent_of(workspace: Workspace, head: Head) -> Head:
    """The head of the version that `head` follows. Raises NotTrustedError where it does not."""
    parent = read_head(workspace, head.parent or "")
    check_parent(head, parent)
    return parent


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part and the runs of its rows (start, stop) in blocks that the other version lacks."""

    part: PartRef
    runs: Sequence[tuple[int, int]]

    def count(self) -> int:
        return sum(stop - start for start, stop in self.runs)

    def rows(self, workspace: Workspace) -> pa.Table:
        """The entries in the runs; not copied."""
        if not self.runs:
            return NO_ENTRIES
        entries = checked_part(workspace, self.part)
        return pa.concat_tables(entries.slice(start, stop - start) for start, stop in self.runs)

    def is_dense(self) -> bool:
        """Whether to look at all rows from the first run to the last is less than to copy runs."""
        rows = self.count()
        return rows >= _FEW and _DENSE * rows >= self.runs[-1][1] - self.runs[0][0]

    def span(self, workspace: Workspace) -> pa.Table:
        """The entries from the first run to the last, those between them too; not copied."""
        start, stop = self.runs[0][0], self.runs[-1][1]
        return checked_part(workspace, self.part).slice(start, stop - start)


# Pieces of one part: of the old version, and of the new one where it has a part there.
_Pair = tuple[_Piece, _Piece | None]


def _batches(old: Sequence[_Piece], new: dict[str, _Piece]) -> Iterator[list[_Pair]]:
    """The pieces of `old` with those of `new`, by first id, that these are taken from: dense ones
    alone, of others as many as make one look at them worth its while."""
    batch: list[_Pair] = []
    rows = 0
    for piece in old:
        other = new.pop(piece.part.first, None)
        if other is not None and piece.is_dense() and other.is_dense():
            yield [(piece, other)]
            continue
        batch.append((piece, other))
        rows += piece.count()
        if rows >= _BATCH:
            yield batch
            batch, rows = [], 0
    if batch:
        yield batch


def _differing(workspace: Workspace, batch: Sequence[_Pair]) -> tuple[pa.Table, pa.Table]:
    """The rows of some pairs that may be changes."""
    old, new = batch[0]
    if new is not None and old.is_dense() and new.is_dense():  # alone
        spans = old.span(workspace), new.span(workspace)
        if same_ids(*spans):
            return drop_equal(*spans)
    before = combine_tables([old.rows(workspace) for old, _ in batch])
    new_rows = [new.rows(workspace) for _, new in batch if new is not None]
    after = combine_tables([NO_ENTRIES, *new_rows])
    if same_ids(before, after):
        return drop_equal(before, after)
    if len(batch) == 1:
        return before, after
    # Ids came or went in some of them: the others are still mostly equal.
    alone = [_differing(workspace, [pair]) for pair in batch]
    return pa.concat_tables(a for a, _ in alone), pa.concat_tables(b for _, b in alone)


def _ascending(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of `tables`, each ascending by id, as one such table."""
    table = pa.concat_tables(tables)
    ids = table.column("id")
    if pc.all(pc.less(ids.slice(0, max(0, len(ids) - 1)), ids.slice(1))).as_py():
        return table
    return table.unify_dictionaries().sort_by("id")


def _unshared(parts: Sequence[PartRef], others: Sequence[PartRef]) -> list[PartRef]:
    shared = {part.blocks for part in others}
    return [part for part in parts if part.blocks not in shared]


def rows_revoked(
    workspace: Workspace,
    digest: str,
    head: Head,
    entries: pa.Table,
    samples: Sequence[RevokedSamples],
    lists: Mapping[str, bytes] = MappingProxyType({}),
) -> Mask:
    """One bool for each of `entries`, those of the head `digest`: whether the sample is among
    `samples`.

    `lists` are those by digest that are not in the registry yet. Raises NotTrustedError where the
    line, a version on it, or a list is damaged.
    """
    revoked_names = [_names_of(workspace, revoked, lists) for revoked in samples]
    names = list(dict.fromkeys(name for revoked in revoked_names for name in revoked.names))
    # Newest first: a line is walked back once.
    wanted = sorted({revoked.since for revoked in samples if revoked.since > 1}, reverse=True)
    starts: list[tuple[int, str, Head]] = []
    for link, ancestor in history(workspace, digest) if wanted else ():
        if not wanted:
            break
        while wanted and ancestor.version < wanted[0]:
            starts.append((wanted.pop(0), link, ancestor))
    before: dict[int, NamedEntries | None] = dict.fromkeys(revoked.since for revoked in samples)
    # Oldest first: what is found of one version is where the next begins.
    for since, link, ancestor in reversed(starts):
        before[since] = _with_former_names(
            workspace, link, load_entries(workspace, ancestor), names
        )
    return revoked_mask(
        _with_former_names(workspace, digest, entries, names), revoked_names, head.version, before
    )


def _names_of(
    workspace: Workspace, samples: RevokedSamples, lists: Mapping[str, bytes]
) -> RevokedNames:
    if isinstance(samples, NamedSamples):
        named = tuple(Name(by, name) for by, name in samples.names.items())
        return RevokedNames(named, samples.since, needs_all=True)
    listed = tuple(
        Name(by, keys.digest, listed=True, keys=_keys(workspace, keys, lists))
        for by, keys in samples.lists.items()
    )
    return RevokedNames(listed, samples.since, needs_all=False)


def _keys(workspace: Workspace, keys: KeyList, lists: Mapping[str, bytes]) -> pa.Array:
    data = lists.get(keys.digest)
    if data is None:
        data = read_list(workspace, keys)
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(LEAF_BYTES), keys.count, [None, pa.py_buffer(data)]
    )


def _with_former_names(
    workspace: Workspace, digest: str, entries: pa.Table, names: Sequence[Name]
) -> NamedEntries:
    """The entries of the head `digest`, and which of them had each of `names` before."""
    line: list[str] = []
    former: Mapping[Name, pa.Array] = {name: pa.array([], pa.string()) for name in names}
    for link, ancestor in history(workspace, digest) if names else ():
        known = {name: workspace.former_names.get(link, name, ancestor.samples) for name in names}
        masks = {name: mask for name, mask in known.items() if mask is not None}
        if len(masks) == len(names):
            if not line:
                return NamedEntries(entries, masks)
            former = _ids(workspace, ancestor, masks)
            line.append(link)
            break
        line.append(link)
    line.reverse()
    for older, newer in itertools.pairwise(line):
        changes = _changes(workspace, read_head(workspace, older), read_head(workspace, newer))
        former = {name: former_after(changes, name, ids) for name, ids in former.items()}
    masks = {}
    for name, ids in former.items():
        is_in = pc.is_in(entries.column("id"), value_set=ids)
        masks[name] = np.asarray(is_in.to_numpy(), np.bool_)
        workspace.former_names.put(digest, name, masks[name])
    return NamedEntries(entries, masks)


def _ids(workspace: Workspace, head: Head, masks: Mapping[Name, Mask]) -> dict[Name, pa.Array]:
    if not any(mask.any() for mask in masks.values()):
        return {name: pa.array([], pa.string()) for name in masks}
    entries = load_entries(workspace, head)
    return {name: take(entries, "id", np.flatnonzero(mask)) for name, mask in masks.items()}


def _changes(workspace: Workspace, old: Head, new: Head) -> Changes:
    try:
        return changes_between(workspace, old, new)
    except (DamagedError, NotFoundError):
        # Block lists, which only make comparing fast, may be lost: entries say all of it.
        return compare(load_entries(workspace, old), load_entries(workspace, new))
