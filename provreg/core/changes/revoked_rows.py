"""The revoked samples of a version (docs/format/revocation.md, "Which samples")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.changes import Changes
from provreg.core.manifest.annotations import annotated_by
from provreg.core.manifest.columns import (
    Mask,
    RowNumbers,
    claim_keys,
    equal_to,
    take,
    take_entries,
    unequal,
    whole,
)
from provreg.core.manifest.leaf import sample_keys
from provreg.core.statements.revocation import Origin

# The fields that a source and a labeler are responsible for.
_OWN_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "source": ("content",),
    "labeler": ("label", "label_digest"),
}
# The fields by which they are recognized under another id: bytes, or a label of the same bytes.
_KEY_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "source": ("content",),
    "labeler": ("content", "label", "label_digest"),
}


@dataclass(frozen=True, slots=True)
class Name:
    """A revoked source or labeler; or a list of samples, whose digest is its name.

    A list is of bytes, for which a source answers, or of labels, for which a labeler does. `keys`
    are those of a list (`core.manifest.leaf.sample_keys`).
    """

    by: Origin
    name: str
    listed: bool = False
    keys: pa.Array | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class RevokedNames:
    """Samples that have all of these names, or any of them, from version `since` on."""

    names: tuple[Name, ...]
    since: int
    needs_all: bool


@dataclass(frozen=True, slots=True)
class NamedEntries:
    """The entries of a version, and for each name the entries that had it earlier.

    `former` has a bool for each entry: its present bytes (or label) had the name in an earlier
    version, and were reattributed later.
    """

    entries: pa.Table
    former: Mapping[Name, Mask]

    def mask(self, name: Name) -> Mask:
        """Which entries have the name, or had it earlier."""
        return _has(self.entries, name) | self.former[name]


def revoked_mask(
    now: NamedEntries,
    revoked: Sequence[RevokedNames],
    version: int,
    before: Mapping[int, NamedEntries | None],
) -> Mask:
    """Which entries of version `version` are revoked: a bool for each, in their order.

    `before` has, for each `since` above 1, the newest earlier version on the line, None if there is
    none. A sample that was in it already, with the same bytes (or the same label, for a labeler)
    under the name, is not revoked.
    """
    mask = np.zeros(now.entries.num_rows, np.bool_)
    for samples in revoked:
        if version < samples.since:
            continue
        combine = np.logical_and if samples.needs_all else np.logical_or
        rows = np.flatnonzero(combine.reduce([now.mask(name) for name in samples.names]))
        earlier = before.get(samples.since) if samples.since > 1 else None
        if earlier is not None and len(rows):
            existed = [_existed(now.entries, earlier, rows, name) for name in samples.names]
            rows = rows[~np.logical_and.reduce(existed)]
        mask[rows] = True
    return mask


def former_after(changes: Changes, name: Name, former: pa.Array) -> pa.Array:
    """The ids whose present bytes (or label) had `name` earlier, after `changes`.

    `former` has the ids before the changes. A sample keeps the name while its bytes (or its label)
    stay. Bytes (with their label) that moved to another id keep every name that they had under any
    id: equal bytes cannot be told apart.
    """
    old_ids = take(changes.old, "id", changes.old_rows)
    columns = changes.old.select(_columns_of(name))
    has_name = _has(take_entries(columns, changes.old_rows), name)
    named = has_name | _mask(pc.is_in(old_ids, value_set=former))
    if not named.any():
        return former
    new_ids = take(changes.new, "id", changes.new_rows)
    stays = _mask(pc.fill_null(pc.equal(old_ids, new_ids), False))
    same = {column: stays & ~_differ(changes, column) for column in _KEY_COLUMNS["labeler"]}
    keeps = named & np.logical_and.reduce([same[column] for column in _OWN_COLUMNS[name.by]])
    moved = ~np.logical_and.reduce([same[column] for column in _KEY_COLUMNS[name.by]])
    left = np.flatnonzero(named & moved)
    came = np.flatnonzero(moved & (changes.new_rows >= 0))
    if len(left) and len(came):
        gone = _keys(changes.old, changes.old_rows[left], _KEY_COLUMNS[name.by])
        keys = _keys(changes.new, changes.new_rows[came], _KEY_COLUMNS[name.by])
        keeps[came] |= _mask(pc.is_in(keys, value_set=gone.unique()))
    untouched = former.filter(pc.invert(pc.is_in(former, value_set=old_ids)))
    return pa.concat_arrays([untouched, new_ids.filter(pa.array(keeps))])


def _existed(entries: pa.Table, earlier: NamedEntries, rows: RowNumbers, name: Name) -> Mask:
    """Which of `rows` of `entries` are in `earlier` with the same id and the name."""
    ids = pc.take(entries.column("id"), pa.array(rows))
    found = pc.index_in(ids, value_set=whole(earlier.entries.column("id")))
    places = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    there = places >= 0
    columns = list(_KEY_COLUMNS[name.by])
    old = take_entries(earlier.entries.select(columns), places[there])
    new = take_entries(entries.select(columns), rows[there])
    same = earlier.mask(name)[places[there]]
    for column in columns:
        same &= ~unequal(old.column(column), new.column(column))
    existed = np.zeros(len(rows), np.bool_)
    existed[there] = same
    return existed


def _differ(changes: Changes, column: str) -> Mask:
    return unequal(
        take(changes.old, column, changes.old_rows), take(changes.new, column, changes.new_rows)
    )


def _keys(entries: pa.Table, rows: RowNumbers, columns: Sequence[str]) -> pa.Array:
    """A key for each row: keys are equal where all of these columns are."""
    values = [take(entries, column, rows) for column in columns]
    return values[0] if len(values) == 1 else claim_keys(*values)


def _columns_of(name: Name) -> list[str]:
    """The columns that `_has` reads."""
    return ["id", *_KEY_COLUMNS[name.by]] if name.listed else [name.by, "annotations"]


def _has(entries: pa.Table, name: Name) -> Mask:
    """Which entries have the name: as source or labeler, as labeler of an annotation, or in a
    list."""
    if name.listed:
        return _mask(pc.is_in(sample_keys(entries, name.by), value_set=name.keys))
    found = equal_to(entries.column(name.by), name.name)
    if name.by == "labeler":
        found = found | annotated_by(entries.column("annotations"), pa.array([name.name]))
    return found


def _mask(found: pa.Array | pa.ChunkedArray) -> Mask:
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)
