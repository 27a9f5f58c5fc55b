"""Which samples of a version are revoked (docs/format/revocation.md, "Which samples")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.changes import Changes
from provreg.core.manifest.columns import (
    Mask,
    RowNumbers,
    claim_keys,
    take,
    take_entries,
    unequal,
    whole,
    without_dictionary,
)
from provreg.core.statements.revocation import RevokedSamples

# What a source answers for is the bytes, and a labeler for the label.
_SAID: Mapping[str, tuple[str, ...]] = {
    "source": ("content",),
    "labeler": ("label", "label_digest"),
}
# What is the same thing said elsewhere: bytes alone, or a label of the same bytes.
_BROUGHT: Mapping[str, tuple[str, ...]] = {
    "source": ("content",),
    "labeler": ("content", "label", "label_digest"),
}


@dataclass(frozen=True, slots=True)
class Name:
    """A name that is revoked, as the source or as the labeler of samples."""

    by: Literal["source", "labeler"]
    name: str

    @classmethod
    def of(cls, samples: RevokedSamples) -> Name:
        return cls(samples.by, samples.name)


@dataclass(frozen=True, slots=True)
class NamedEntries:
    """The entries of a version, and for each name which of them had it before.

    `former` has one bool for each entry: its present bytes (or label) had the name in a version
    before, and a reattribution has given them another since.
    """

    entries: pa.Table
    former: Mapping[Name, Mask]

    def mask(self, name: Name) -> Mask:
        """Which entries have the name, or had it before."""
        return _is(self.entries.column(name.by), name.name) | self.former[name]


def revoked_mask(
    now: NamedEntries,
    revoked: Sequence[RevokedSamples],
    version: int,
    before: Mapping[int, NamedEntries | None],
) -> Mask:
    """Which of the entries of version `version` are revoked: one bool each, in their order.

    `before` has, for each `since` above 1, the newest version on the line that is numbered lower,
    None where there is none. A sample that stood there already, with the same bytes under the name
    (or the same label, for a labeler), is not of the revoked time.
    """
    mask = np.zeros(now.entries.num_rows, np.bool_)
    for one in revoked:
        if version < one.since:
            continue
        name = Name.of(one)
        rows = np.flatnonzero(now.mask(name))
        earlier = before.get(one.since) if one.since > 1 else None
        if earlier is not None and len(rows):
            rows = rows[~_stood(now.entries, earlier, rows, name)]
        mask[rows] = True
    return mask


def former_after(changes: Changes, name: Name, former: pa.Array) -> pa.Array:
    """The ids whose present bytes (or label) had `name` before, after `changes`.

    `former` are those before them. A sample keeps the name as long as what it was said of stays:
    its bytes, or its label. Bytes (with their label) that left an id and came to another one, in
    whatever way, take with them every name that they had anywhere: which of several equal ones
    came from where, nobody can tell.
    """
    old_ids = take(changes.old, "id", changes.old_rows)
    said_before = _is(take(changes.old, name.by, changes.old_rows), name.name)
    named = said_before | _mask(pc.is_in(old_ids, value_set=former))
    if not named.any():
        return former
    new_ids = take(changes.new, "id", changes.new_rows)
    stays = _mask(pc.fill_null(pc.equal(old_ids, new_ids), False))
    same = {column: stays & ~_differ(changes, column) for column in _BROUGHT["labeler"]}
    kept = named & np.logical_and.reduce([same[column] for column in _SAID[name.by]])
    moved = ~np.logical_and.reduce([same[column] for column in _BROUGHT[name.by]])
    left = np.flatnonzero(named & moved)
    came = np.flatnonzero(moved & (changes.new_rows >= 0))
    if len(left) and len(came):
        gone = _keys(changes.old, changes.old_rows[left], _BROUGHT[name.by])
        keys = _keys(changes.new, changes.new_rows[came], _BROUGHT[name.by])
        kept[came] |= _mask(pc.is_in(keys, value_set=gone.unique()))
    untouched = former.filter(pc.invert(pc.is_in(former, value_set=old_ids)))
    return pa.concat_arrays([untouched, new_ids.filter(pa.array(kept))])


def _stood(entries: pa.Table, earlier: NamedEntries, rows: RowNumbers, name: Name) -> Mask:
    """Which of `rows` of `entries` stand in `earlier` under the same id and the name."""
    ids = pc.take(entries.column("id"), pa.array(rows))
    found = pc.index_in(ids, value_set=whole(earlier.entries.column("id")))
    places = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    there = places >= 0
    columns = list(_BROUGHT[name.by])
    old = take_entries(earlier.entries.select(columns), places[there])
    new = take_entries(entries.select(columns), rows[there])
    same = earlier.mask(name)[places[there]]
    for column in columns:
        same &= ~unequal(old.column(column), new.column(column))
    stood = np.zeros(len(rows), np.bool_)
    stood[there] = same
    return stood


def _differ(changes: Changes, column: str) -> Mask:
    return unequal(
        take(changes.old, column, changes.old_rows), take(changes.new, column, changes.new_rows)
    )


def _keys(entries: pa.Table, rows: RowNumbers, columns: Sequence[str]) -> pa.Array:
    """One value for each row, equal where all of these columns are."""
    values = [take(entries, column, rows) for column in columns]
    return values[0] if len(values) == 1 else claim_keys(*values)


def _is(column: pa.Array | pa.ChunkedArray, text: str) -> Mask:
    return _mask(pc.fill_null(pc.equal(without_dictionary(column), text), False))


def _mask(found: pa.Array | pa.ChunkedArray) -> Mask:
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)
