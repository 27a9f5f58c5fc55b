"""Who answers for bytes that left an id and came to another one (docs/concepts/terms.md, "Origin").

Which of several equal ones came from where, nobody can tell: what all of them had is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.manifest.columns import (
    Mask,
    Rows,
    claim_keys,
    split_long_labels,
    take,
    take_rows,
    unequal,
)

# What goes with the bytes, and what goes with the label of these bytes.
_OF_BYTES = ("source", "uri", "content_sha256", "split")
_OF_LABEL = ("labeler", "labeled_at", "annotations", "delivery", "attrs")


@dataclass(frozen=True, slots=True)
class Moved:
    """What came along with the bytes of samples: row i of `entries` is of sample `rows[i]`.

    `rows` ascend. What was not the same wherever the bytes stood is null; `claimed` says where the
    label came along with who had set it.
    """

    rows: Rows
    entries: pa.Table
    claimed: Mask

    def slice(self, start: int, stop: int) -> tuple[pa.Table, Mask]:
        """What came along for samples `start` to before `stop`, null and False for the others."""
        first, last = np.searchsorted(self.rows, (start, stop)).tolist()
        places = np.full(stop - start, -1)
        places[self.rows[first:last] - start] = np.arange(first, last)
        claimed = np.zeros(stop - start, np.bool_)
        claimed[self.rows[first:last] - start] = self.claimed[first:last]
        return take_rows(self.entries, places), claimed


def moved(
    parent: pa.Table,
    left: Rows,
    came: Mask,
    rows: Rows,
    samples: pa.Table,
    *,
    labels_known: bool,
) -> Moved:
    """What comes along with the bytes of those `samples` that `came` to their ids.

    `left` are the rows of the parent's entries whose bytes do not stand under their ids any more,
    `rows` that of the entry with the id of each sample, -1 for none. Where the data say nothing of
    labels, a new id's label comes along as well.
    """
    places = np.flatnonzero(came)
    content = take(samples, "content", places)
    by_bytes = _Groups(parent, left, take(parent, "content", left))
    found = by_bytes.of(content)
    columns = {name: by_bytes.values(name, found) for name in _OF_BYTES}
    label, label_digest = split_long_labels(pa.chunked_array([take(samples, "label", places)]))
    if not labels_known:
        shared = by_bytes.shared("label") & by_bytes.shared("label_digest")
        under = rows[places]
        said = np.where(under >= 0, under, by_bytes.places(found, shared))
        silent = pc.and_(label.is_null(), label_digest.is_null())
        label = pc.if_else(silent, take(parent, "label", said), label)
        label_digest = pc.if_else(silent, take(parent, "label_digest", said), label_digest)
    columns |= {"label": label, "label_digest": label_digest}
    old = (take(parent, name, left) for name in ("content", "label", "label_digest"))
    by_claim = _Groups(parent, left, claim_keys(*old))
    found = by_claim.of(claim_keys(content, label, label_digest))
    claimed = by_claim.places(found, by_claim.shared("labeler")) >= 0
    columns |= {name: by_claim.values(name, np.where(claimed, found, -1)) for name in _OF_LABEL}
    return Moved(places, pa.table(columns), claimed)


class _Groups:
    """Rows of entries that are equal in something, which is given as one key for each."""

    def __init__(self, entries: pa.Table, rows: Rows, keys: pa.Array) -> None:
        self._entries = entries
        self._rows = rows
        encoded = keys.cast(pa.binary()).dictionary_encode()
        self._keys = encoded.dictionary
        self._group = encoded.indices.to_numpy()
        _, first = np.unique(self._group, return_index=True)
        self._first = rows[first]

    def of(self, keys: pa.Array) -> Rows:
        """The group of each of `keys`, -1 for none."""
        found = pc.index_in(keys.cast(pa.binary()), value_set=self._keys)
        groups: Rows = pc.fill_null(found, -1).to_numpy().astype(np.int64)
        return groups

    def shared(self, name: str) -> Mask:
        """In which groups all rows have the same in this column."""
        shared = np.ones(len(self._first), np.bool_)
        if len(self._first) < len(self._rows):
            column = self._entries.select([name])
            here = take_rows(column, self._rows).column(name)
            first = take_rows(column, self._first[self._group]).column(name)
            shared[self._group[unequal(here, first)]] = False
        return shared

    def places(self, groups: Rows, wanted: Mask) -> Rows:
        """A row of each group that is wanted, -1 for others."""
        there = groups >= 0
        places = np.full(len(groups), -1)
        places[there] = np.where(wanted[groups[there]], self._first[groups[there]], -1)
        return places

    def values(self, name: str, groups: Rows) -> pa.ChunkedArray:
        """What the rows of each group share in this column, null where they share nothing."""
        places = self.places(groups, self.shared(name))
        return take_rows(self._entries.select([name]), places).column(name)
