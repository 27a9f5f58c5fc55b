"""The changes between two versions (docs/concepts/terms.md, "Changes").

A change is the difference of a sample, of one or several kinds. Versions are compared block by
block: entries in common blocks are equal, and only the others are compared. Entries are paired by
id, the remaining ones by content. Ids ascend on both sides, so versions of any size are paired span
by span.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.manifest.columns import (
    Mask,
    RowNumbers,
    take,
    take_entries,
    take_rows,
    unequal,
    whole,
)
from provreg.core.manifest.head import KINDS
from provreg.core.manifest.leaf import fixed_values
from provreg.core.manifest.tree import BlockList

BIT = {kind: 1 << place for place, kind in enumerate(KINDS)}
_ORIGIN = ("source", "labeler", "labeled_at", "delivery", "annotations", "uri", "content_sha256",
           "attrs")  # fmt: skip
_SLICE = _SPAN = 1 << 16  # rows


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes from `old` to `new` entries (schema `entry.ENTRY`), in the order of `ids`.

    Change i has the kinds whose bits (`BIT`) are set in `kinds[i]`. It leads from row `old_rows[i]`
    of `old` to row `new_rows[i]` of `new`; -1 means no row.
    """

    old: pa.Table
    new: pa.Table
    kinds: npt.NDArray[np.uint8]
    old_rows: RowNumbers
    new_rows: RowNumbers

    def __len__(self) -> int:
        return len(self.kinds)

    def counts(self) -> dict[str, int]:
        """The number of changes of each kind; a change of several kinds counts under each."""
        return {kind: int(np.count_nonzero(self.kinds & bit)) for kind, bit in BIT.items()}

    def ids(self) -> pa.Array:
        """The new id of each change, the old id of a removal."""
        return pc.coalesce(take(self.new, "id", self.new_rows), take(self.old, "id", self.old_rows))

    def slice(self, start: int, stop: int) -> Changes:
        """The changes from `start` to before `stop`."""
        span = slice(start, stop)
        return Changes(
            self.old, self.new, self.kinds[span], self.old_rows[span], self.new_rows[span]
        )

    def old_entries(self) -> pa.Table:
        """The old entry of each change, all null for an injected sample."""
        return take_entries(self.old, self.old_rows)

    def new_entries(self) -> pa.Table:
        """The new entry of each change, all null for a removed sample."""
        return take_entries(self.new, self.new_rows)


def compare(old: pa.Table, new: pa.Table) -> Changes:
    """The changes from `old` to `new`, two tables of entries with ascending ids.

    The memory needed depends on the number of changes, not of entries.
    """
    if not old.num_rows:
        return _all_injected(old, new)
    is_removed, is_added = np.ones(old.num_rows, np.bool_), np.ones(new.num_rows, np.bool_)
    runs = []
    for old_rows, new_rows in same_id(old.column("id"), new.column("id")):
        is_removed[old_rows], is_added[new_rows] = False, False
        kinds = _kinds(take_rows(old, old_rows), take_rows(new, new_rows))
        changed = np.flatnonzero(kinds)
        runs.append((kinds[changed], old_rows[changed], new_rows[changed]))
    left = pair_renames(old, new, is_removed, is_added)
    for at in range(0, len(left.old), _SLICE):
        old_rows, new_rows = left.old[at : at + _SLICE], left.new[at : at + _SLICE]
        kinds = _kinds(take_rows(old, old_rows), take_rows(new, new_rows))
        runs.append((kinds | np.uint8(BIT["renamed"]), old_rows, new_rows))
    for kind, old_rows, new_rows in (
        ("removed", left.removed, np.full(len(left.removed), -1)),
        ("injected", np.full(len(left.added), -1), left.added),
    ):
        runs.append((np.full(len(old_rows), BIT[kind], np.uint8), old_rows, new_rows))
    kinds, old_rows, new_rows = map(np.concatenate, zip(*runs, strict=True))
    order = pc.sort_indices(Changes(old, new, kinds, old_rows, new_rows).ids()).to_numpy()
    return Changes(old, new, kinds[order], old_rows[order], new_rows[order])


def _all_injected(old: pa.Table, new: pa.Table) -> Changes:
    # A broadcast value takes no memory.
    kinds = np.broadcast_to(np.array(BIT["injected"], np.uint8), new.num_rows)
    nowhere = np.broadcast_to(np.array(-1, np.int64), new.num_rows)
    return Changes(old, new, kinds, nowhere, np.arange(new.num_rows))


def same_ids(old: pa.Table, new: pa.Table) -> bool:
    """Whether two tables of entries have the same ids, row by row, as after relabeling."""
    return bool(old.column("id").equals(new.column("id")))


def drop_equal(old: pa.Table, new: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Two tables of entries with the same ids, row by row, without the rows that are equal."""
    masks = [unequal(old.column(name), new.column(name)) for name in old.column_names]
    rows = np.flatnonzero(np.logical_or.reduce(masks))
    return take_rows(old, rows), take_rows(new, rows)


def differing_rows(
    old: Sequence[BlockList], new: Sequence[BlockList]
) -> tuple[list[list[tuple[int, int]]], list[list[tuple[int, int]]]]:
    """For each part of either version, the runs of rows (start, stop) that the other may lack.

    A block in both versions has equal entries, wherever it is: ids are unique.
    """
    old_digests, new_digests = _digests(old), _digests(new)
    return (
        _runs(old, ~np.asarray(pc.is_in(old_digests, value_set=new_digests), np.bool_)),
        _runs(new, ~np.asarray(pc.is_in(new_digests, value_set=old_digests), np.bool_)),
    )


def _digests(parts: Sequence[BlockList]) -> pa.Array:
    digests = b"".join(part.digests.tobytes() for part in parts)
    return pa.Array.from_buffers(pa.binary(32), len(digests) // 32, [None, pa.py_buffer(digests)])


def _runs(parts: Sequence[BlockList], wanted: Mask) -> list[list[tuple[int, int]]]:
    """The wanted blocks of each part as runs of rows; adjacent blocks form one run."""
    runs: list[list[tuple[int, int]]] = [[] for _ in parts]
    blocks = np.flatnonzero(wanted)
    if not len(blocks):
        return runs
    numbers = np.repeat(np.arange(len(parts)), [len(part.counts) for part in parts])
    stops = np.concatenate([np.cumsum(part.counts) for part in parts])
    starts = stops - np.concatenate([part.counts for part in parts])
    following = (np.diff(blocks) == 1) & (np.diff(numbers[blocks]) == 0)
    first = blocks[np.concatenate([[True], ~following])]
    last = blocks[np.concatenate([~following, [True]])]
    found = (numbers[first], starts[first], stops[last])
    for number, start, stop in zip(*(column.tolist() for column in found), strict=True):
        runs[number].append((start, stop))
    return runs


def _kinds(old: pa.Table, new: pa.Table) -> npt.NDArray[np.uint8]:
    """The kinds of change, row by row, between two tables of entries with the same rows."""

    def differ(*names: str) -> Mask:
        masks = [unequal(old.column(name), new.column(name)) for name in names]
        return np.asarray(np.logical_or.reduce(masks), np.bool_)

    modified = differ("content", "size")
    relabeled = differ("label", "label_digest")
    reattributed = differ(*_ORIGIN) & ~modified & ~relabeled
    kinds = np.zeros(old.num_rows, np.uint8)
    kinds[modified] |= BIT["modified"]
    kinds[relabeled] |= BIT["relabeled"]
    kinds[reattributed] |= BIT["reattributed"]
    kinds[differ("split")] |= BIT["resplit"]
    return kinds


@dataclass(frozen=True, slots=True)
class Renames:
    """Entries whose id is in one version only, paired by equal content.

    Row `old[i]` was renamed to row `new[i]`. `removed` and `added` are the unpaired rows.
    """

    old: RowNumbers
    new: RowNumbers
    removed: RowNumbers
    added: RowNumbers


def spans(old: pa.ChunkedArray, new: pa.ChunkedArray) -> Iterator[tuple[slice, slice]]:
    """Two columns of ascending ids, cut at the same ids into slices of at most `_SPAN` rows.

    An id in both columns is in both slices of a pair.
    """
    old_at = new_at = 0
    while old_at < len(old) or new_at < len(new):
        lasts = [
            ids[at + _SPAN - 1].as_py()
            for ids, at in ((old, old_at), (new, new_at))
            if at + _SPAN < len(ids)
        ]
        # Python orders texts by code points, which is the order of their bytes.
        last = min(lasts, default=None)
        old_end, new_end = _end(old, old_at, last), _end(new, new_at, last)
        yield slice(old_at, old_end), slice(new_at, new_end)
        old_at, new_at = old_end, new_end


def _end(ids: pa.ChunkedArray, at: int, last: str | None) -> int:
    """The end of the ids from `at` on, within a span, that are at most `last`."""
    end = min(at + _SPAN, len(ids))
    if last is None:
        return end
    return bisect_right(range(len(ids)), last, at, end, key=lambda row: ids[row].as_py())


def same_id(old: pa.ChunkedArray, new: pa.ChunkedArray) -> Iterator[tuple[RowNumbers, RowNumbers]]:
    """The rows with the same id in two columns of ascending, unique ids, span by span."""
    for before, after in spans(old, new):
        ids, others = old[before], new[after]
        if ids.equals(others):
            yield np.arange(before.start, before.stop), np.arange(after.start, after.stop)
        else:
            found = pc.index_in(others, value_set=whole(ids))
            places = pc.fill_null(found, -1).to_numpy().astype(np.int64)
            there = np.flatnonzero(places >= 0)
            yield before.start + places[there], after.start + there


def pair_renames(old: pa.Table, new: pa.Table, is_removed: Mask, is_added: Mask) -> Renames:
    """Pairs removed with added entries of equal content, in the order of ids where a content occurs
    repeatedly. Both tables need `content`."""
    removed, added = np.flatnonzero(is_removed), np.flatnonzero(is_added)
    if not len(removed) or not len(added):
        nothing = np.empty(0, np.int64)
        return Renames(nothing, nothing, removed, added)
    old_keys = _ranked(take(old, "content", removed))
    new_keys = _ranked(take(new, "content", added))
    place = pc.fill_null(pc.index_in(new_keys, value_set=old_keys), -1).to_numpy()
    paired = np.flatnonzero(place >= 0)
    partner = place[paired].astype(np.int64)
    return Renames(
        removed[partner],
        added[paired],
        np.delete(removed, partner),
        np.delete(added, paired),
    )


def _ranked(contents: pa.Array) -> pa.Array:
    """Each content with its rank among equal ones, as 36-byte values."""
    values = fixed_values(contents)
    codes = contents.cast(pa.binary()).dictionary_encode().indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(codes)))
    ranks = np.empty(len(codes), "<u4")
    ranks[order] = np.arange(len(codes)) - np.repeat(starts, sizes)
    keys = np.empty(len(codes), np.dtype([("content", "V32"), ("rank", "<u4")]))
    keys["content"], keys["rank"] = values, ranks
    buffer = pa.py_buffer(keys)
    return pa.Array.from_buffers(pa.binary(36), len(keys), [None, buffer])
