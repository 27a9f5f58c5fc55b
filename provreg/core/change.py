"""What changed between two versions (docs/concepts.md, "Changes").

A change is one sample's difference, of one or several kinds. Versions are compared block by block:
entries in blocks that both versions hold are equal, and only the rest is joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.kinds import KINDS
from provreg.core.leaf import fixed_values
from provreg.core.tree import BlockList

BIT = {kind: 1 << place for place, kind in enumerate(KINDS)}
_ORIGIN = ("source", "labeler", "labeled_at", "delivery", "annotations", "uri", "content_sha256",
           "attrs")  # fmt: skip

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes from `old` to `new` entries (schema `core.entry.ENTRY`), in the order of `ids`.

    The i-th change has the kinds whose bits (`BIT`) are set in `kinds[i]`; it leads from row
    `old_rows[i]` of `old` to row `new_rows[i]` of `new`, -1 where there is none.
    """

    old: pa.Table
    new: pa.Table
    kinds: npt.NDArray[np.uint8]
    old_rows: Rows
    new_rows: Rows

    def __len__(self) -> int:
        return len(self.kinds)

    def counts(self) -> dict[str, int]:
        """How many changes are of each kind; one of several kinds counts under each."""
        return {kind: int(np.count_nonzero(self.kinds & bit)) for kind, bit in BIT.items()}

    def ids(self) -> pa.Array:
        """The new id of each change, the old one for a removal."""
        new, old = (
            _take(self.new.column("id"), self.new_rows),
            _take(self.old.column("id"), self.old_rows),
        )
        return pc.coalesce(new, old)

    def slice(self, start: int, stop: int) -> Changes:
        """The changes from place `start` to before `stop`."""
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


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which old entry a new entry continues: rows of the same id, and renames by equal content.

    `same_old`/`same_new` and `renamed_old`/`renamed_new` are equally long; `unambiguous` marks the
    renames whose content stands once on each side. `removed` and `added` are the rows left over.
    """

    same_old: Rows
    same_new: Rows
    renamed_old: Rows
    renamed_new: Rows
    unambiguous: Mask
    removed: Rows
    added: Rows


def pair(old: pa.Table, new: pa.Table) -> Pairing:
    """Pairs entries by id, then what is left by content, in id order where it stands repeatedly.

    Both tables need `id` (ascending) and `content`.
    """
    found = pc.index_in(new.column("id"), value_set=whole(old.column("id")))
    place = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    same_new = np.flatnonzero(place >= 0)
    same_old = place[same_new]
    gone = np.ones(old.num_rows, np.bool_)
    gone[same_old] = False
    removed, added = np.flatnonzero(gone), np.flatnonzero(place < 0)
    renamed_old, renamed_new, unambiguous = _pair_by_content(old, new, removed, added)
    return Pairing(
        same_old, same_new, renamed_old, renamed_new, unambiguous,
        np.setdiff1d(removed, renamed_old, assume_unique=True),
        np.setdiff1d(added, renamed_new, assume_unique=True),
    )  # fmt: skip


def compare(old: pa.Table, new: pa.Table) -> Changes:
    """The changes from `old` to `new`, two tables of entries with ascending ids."""
    if not old.num_rows:
        return _all_injected(old, new)
    old, new = old.unify_dictionaries(), new.unify_dictionaries()
    pairs = pair(old, new)
    renamed = np.full(len(pairs.renamed_old), BIT["renamed"], np.uint8)
    same_kinds = _kinds(old, new, pairs.same_old, pairs.same_new)
    changed = same_kinds != 0
    none_removed = np.full(len(pairs.removed), -1, np.int64)
    none_added = np.full(len(pairs.added), -1, np.int64)
    kinds = np.concatenate(
        [
            same_kinds[changed],
            renamed | _kinds(old, new, pairs.renamed_old, pairs.renamed_new),
            np.full(len(pairs.removed), BIT["removed"], np.uint8),
            np.full(len(pairs.added), BIT["injected"], np.uint8),
        ]
    )
    old_rows = np.concatenate(
        [pairs.same_old[changed], pairs.renamed_old, pairs.removed, none_added]
    )
    new_rows = np.concatenate(
        [pairs.same_new[changed], pairs.renamed_new, none_removed, pairs.added]
    )
    changes = Changes(old, new, kinds, old_rows, new_rows)
    order = pc.sort_indices(changes.ids()).to_numpy().astype(np.int64)
    return Changes(old, new, kinds[order], old_rows[order], new_rows[order])


def _all_injected(old: pa.Table, new: pa.Table) -> Changes:
    rows = np.arange(new.num_rows)
    return Changes(old, new, np.full(len(rows), BIT["injected"], np.uint8), rows * 0 - 1, rows)


def same_ids(old: pa.Table, new: pa.Table) -> bool:
    """Whether two runs of entries have the same ids, row by row, as after relabeling."""
    return bool(old.column("id").equals(new.column("id")))


def without_equal(old: pa.Table, new: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Two runs of entries with the same ids, row by row, less the rows that are equal in both."""
    masks = [unequal(old.column(name), new.column(name)) for name in old.column_names]
    rows = np.flatnonzero(np.logical_or.reduce(masks))
    return take_rows(old, rows), take_rows(new, rows)


def differing_rows(
    old: Sequence[BlockList], new: Sequence[BlockList]
) -> tuple[list[list[tuple[int, int]]], list[list[tuple[int, int]]]]:
    """For each part of either version, the runs of rows (start, stop) the other may not have.

    A block that stands in both versions holds equal entries, wherever it stands: ids are unique.
    """
    old_digests, new_digests = _digests(old), _digests(new)
    return (
        _runs(old, ~np.asarray(pc.is_in(old_digests, value_set=new_digests), np.bool_)),
        _runs(new, ~np.asarray(pc.is_in(new_digests, value_set=old_digests), np.bool_)),
    )


def apply(changes: Changes, old: pa.Table) -> pa.Table:
    """The version that `changes` make of the whole version `old`, ascending by id."""
    gone = _take(changes.old.column("id"), changes.old_rows[changes.old_rows >= 0])
    kept = old.filter(pc.invert(pc.is_in(old.column("id"), value_set=whole(gone))))
    come = changes.new.take(pa.array(changes.new_rows[changes.new_rows >= 0]))
    return pa.concat_tables([kept, come]).unify_dictionaries().sort_by("id")


def take_entries(entries: pa.Table, rows: Rows) -> pa.Table:
    """`entries` at `rows`; a row of -1 gives nulls. Dictionaries are decoded to texts."""
    indices = pa.array(rows, mask=rows < 0)
    columns = {name: plain(entries.column(name)).take(indices) for name in entries.column_names}
    return pa.table(columns)


def take_rows(entries: pa.Table, rows: Rows) -> pa.Table:
    """`entries` at `rows`. Columns without a value are not looked at: they may be mapped pages."""
    indices = pa.array(rows)
    columns = [
        pa.nulls(len(rows), column.type)
        if column.null_count == len(column)
        else column.take(indices)
        for column in entries.columns
    ]
    return pa.table(columns, entries.schema)


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """`column` with dictionaries decoded."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def byte_lengths(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """The number of bytes of each text, null for null; dictionaries are not decoded."""
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([byte_lengths(chunk) for chunk in column.chunks], pa.int32())
    if pa.types.is_dictionary(column.type):
        return pc.binary_length(column.dictionary).take(column.indices)
    return pc.binary_length(column)


def _digests(parts: Sequence[BlockList]) -> pa.Array:
    joined = b"".join(part.digests.tobytes() for part in parts)
    return pa.Array.from_buffers(pa.binary(32), len(joined) // 32, [None, pa.py_buffer(joined)])


def _runs(parts: Sequence[BlockList], wanted: Mask) -> list[list[tuple[int, int]]]:
    """The wanted blocks of each part as runs of rows, neighbours joined."""
    runs: list[list[tuple[int, int]]] = []
    first = 0
    for part in parts:
        mask = wanted[first : first + len(part.counts)]
        first += len(part.counts)
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(part.counts)])
        edges = np.diff(mask.astype(np.int8), prepend=0, append=0)
        starts, stops = ends[np.flatnonzero(edges == 1)], ends[np.flatnonzero(edges == -1)]
        runs.append(list(zip(starts.tolist(), stops.tolist(), strict=True)))
    return runs


def _kinds(old: pa.Table, new: pa.Table, old_rows: Rows, new_rows: Rows) -> npt.NDArray[np.uint8]:
    def differ(*names: str) -> Mask:
        masks = [_differ(_take(old.column(name), old_rows), _take(new.column(name), new_rows))
                 for name in names]  # fmt: skip
        return np.asarray(np.logical_or.reduce(masks), np.bool_)

    modified = differ("content", "size")
    relabeled = differ("label", "label_digest")
    reattributed = differ(*_ORIGIN) & ~modified & ~relabeled
    kinds = np.zeros(len(old_rows), np.uint8)
    kinds[modified] |= BIT["modified"]
    kinds[relabeled] |= BIT["relabeled"]
    kinds[reattributed] |= BIT["reattributed"]
    kinds[differ("split")] |= BIT["resplit"]
    return kinds


def _differ(a: pa.Array, b: pa.Array) -> Mask:
    if pa.types.is_list(a.type):
        if a.null_count == len(a) and b.null_count == len(b):
            return np.zeros(len(a), np.bool_)
        pairs = zip(a.to_pylist(), b.to_pylist(), strict=True)
        return np.fromiter((x != y for x, y in pairs), np.bool_, len(a))
    if not a.null_count and not b.null_count:
        return ~np.asarray(pc.equal(a, b).to_numpy(zero_copy_only=False), np.bool_)
    both_null = pc.and_(a.is_null(), b.is_null())
    equal = pc.or_(pc.fill_null(pc.equal(a, b), False), both_null)
    return ~np.asarray(equal.to_numpy(zero_copy_only=False), np.bool_)


def unequal(a: pa.ChunkedArray | pa.Array, b: pa.ChunkedArray | pa.Array) -> Mask:
    """Where two columns of one type differ; null is equal to null, and to nothing else.

    Dictionaries are decoded only where they are not the same.
    """
    if a.null_count == b.null_count == len(a):
        return np.zeros(len(a), np.bool_)
    a, b = whole(a), whole(b)
    if pa.types.is_dictionary(a.type):
        if a.dictionary.equals(b.dictionary):
            return _differ(a.indices, b.indices)
        a, b = plain(a), plain(b)
    return _differ(a, b)


def _pair_by_content(
    old: pa.Table, new: pa.Table, removed: Rows, added: Rows
) -> tuple[Rows, Rows, Mask]:
    if not len(removed) or not len(added):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.bool_)
    old_keys, old_repeated = _ranked(_take(old.column("content"), removed))
    new_keys, new_repeated = _ranked(_take(new.column("content"), added))
    place = pc.fill_null(pc.index_in(new_keys, value_set=old_keys), -1).to_numpy()
    paired = np.flatnonzero(place >= 0)
    partner = place[paired].astype(np.int64)
    unambiguous = ~(old_repeated[partner] | new_repeated[paired])
    return removed[partner], added[paired], unambiguous


def _ranked(contents: pa.Array) -> tuple[pa.Array, Mask]:
    """(content, its rank among equals) of each as 36-byte values, and which stand repeatedly."""
    values = fixed_values(contents)
    codes = contents.cast(pa.binary()).dictionary_encode().indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(codes)))
    ranks = np.empty(len(codes), "<u4")
    ranks[order] = np.arange(len(codes)) - np.repeat(starts, sizes)
    repeated = np.empty(len(codes), np.bool_)
    repeated[order] = np.repeat(sizes > 1, sizes)
    keys = np.empty(len(codes), np.dtype([("content", "V32"), ("rank", "<u4")]))
    keys["content"], keys["rank"] = values, ranks
    buffer = pa.py_buffer(keys)
    return pa.Array.from_buffers(pa.binary(36), len(keys), [None, buffer]), repeated


def _take(column: pa.ChunkedArray | pa.Array, rows: Rows) -> pa.Array:
    taken = column.take(pa.array(rows, mask=rows < 0))
    if pa.types.is_dictionary(taken.type):
        taken = taken.cast(taken.type.value_type)
    return whole(taken)


def whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """`column` as one array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    # Combining copies even a single chunk.
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
