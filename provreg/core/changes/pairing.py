"""Which entries of two versions belong together: by their ids, and what is left by content.

Ids ascend on both sides, so that versions of any size are paired a span at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.manifest.columns import Mask, Rows, take, whole
from provreg.core.manifest.leaf import fixed_values

_SPAN = 1 << 16


@dataclass(frozen=True, slots=True)
class Renames:
    """What becomes of entries whose id stands on one side only, by equal content.

    `old` and `new` are equally long. `removed` and `added` are the rows left over.
    """

    old: Rows
    new: Rows
    removed: Rows
    added: Rows


def spans(old: pa.ChunkedArray, new: pa.ChunkedArray) -> Iterator[tuple[slice, slice]]:
    """Two columns of ascending ids, cut at the same ids into slices of at most `_SPAN` rows.

    An id that both have is in slices of one pair.
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
    """Where in the span from `at` on the ids go beyond `last`."""
    end = min(at + _SPAN, len(ids))
    if last is None:
        return end
    return bisect_right(range(len(ids)), last, at, end, key=lambda row: ids[row].as_py())


def same_id(old: pa.ChunkedArray, new: pa.ChunkedArray) -> Iterator[tuple[Rows, Rows]]:
    """The rows of two columns of ascending, unique ids that have the same id, span by span."""
    for before, after in spans(old, new):
        ids, others = old[before], new[after]
        if ids.equals(others):
            yield np.arange(before.start, before.stop), np.arange(after.start, after.stop)
        else:
            found = pc.index_in(others, value_set=whole(ids))
            places = pc.fill_null(found, -1).to_numpy().astype(np.int64)
            there = np.flatnonzero(places >= 0)
            yield before.start + places[there], after.start + there


def renames(old: pa.Table, new: pa.Table, gone: Mask, come: Mask) -> Renames:
    """Pairs entries whose ids are `gone` or have `come`, in the order of ids where a content stands
    repeatedly. Both tables need `content`."""
    removed, added = np.flatnonzero(gone), np.flatnonzero(come)
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
    """(content, its rank among equals) of each, as 36-byte values."""
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
