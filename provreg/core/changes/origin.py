"""The origin of each sample of a new version (docs/concepts/terms.md, "Origin").

Unchanged samples keep their origin in the verified parent. New and changed samples get the origin
in the data or a labels file, else the default of the ingestion. Bytes that moved from one id to
another keep the origin that all samples with these bytes shared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.changes import same_id, spans
from provreg.core.encoding.text import quoted
from provreg.core.manifest.columns import (
    Mask,
    RowNumbers,
    byte_lengths,
    chunked_nulls,
    claim_keys,
    constant_column,
    split_long_labels,
    take,
    take_rows,
    unequal,
    whole,
)
from provreg.core.manifest.entry import ANNOTATIONS, ENTRY, NO_ENTRIES
from provreg.core.manifest.limits import LIMITS
from provreg.core.rows.row_hash import without_dictionary
from provreg.errors import InputError

# Samples that become entries at once: a bound on memory.
_SLICE = 1 << 16
_CLAIMED = ("content", "label", "label_digest")


@dataclass(frozen=True, slots=True)
class OriginDefaults:
    """The source and labeler of new or changed samples for which the data names none."""

    source: str | None
    labeler: str | None


def assign_origin(
    samples: pa.Table,
    parent: pa.Table | None,
    defaults: OriginDefaults,
    *,
    labels_known: bool,
    splits_known: bool,
    annotations: pa.ChunkedArray | None = None,
) -> pa.Table:
    """The entries (schema ENTRY) of a version with these `samples` (schema SAMPLE, in order).

    If the data has no labels (`labels_known` is False) or splits, samples keep those of the parent.
    `annotations` has those of each sample, null for samples without; the labels of the others are
    their result, which can be that there is none.
    Raises InputError that names the first sample without a source, or with a text that is too long.
    """
    continuation = (
        None if parent is None else _find_continued(parent, samples, labels_known=labels_known)
    )
    if annotations is None:
        annotations = chunked_nulls(ANNOTATIONS, samples.num_rows)
    entries = [NO_ENTRIES]
    for at in range(0, samples.num_rows, _SLICE):
        batch = samples.slice(at, _SLICE)
        annotated = annotations.slice(at, _SLICE)
        if parent is None or continuation is None:
            columns = _new_columns(batch, annotated, defaults)
        else:
            rows = continuation.rows[at : at + _SLICE]
            columns = _successor_columns(
                batch,
                annotated,
                take_rows(parent, rows),
                rows >= 0,
                None
                if continuation.moved is None
                else continuation.moved.slice(at, at + len(rows)),
                defaults,
                labels_known=labels_known,
                splits_known=splits_known,
            )
        entries.append(_as_entries(columns))
    table = pa.concat_tables(entries)
    _check_sources(table)
    return table


def merge_appended(parent: pa.Table, appended: pa.Table) -> pa.Table:
    """The parent's entries with those of `appended` added, or in place of those with their id."""
    merged = [NO_ENTRIES]
    for before, after in spans(parent.column("id"), appended.column("id")):
        old, new = parent[before], appended[after]
        if old.num_rows and new.num_rows:
            ids = whole(new.column("id"))
            kept = old.filter(pc.invert(pc.is_in(old.column("id"), value_set=ids)))
            old = pa.concat_tables([kept, new]).unify_dictionaries().sort_by("id")
        elif new.num_rows:
            old = new
        merged.append(old)
    return pa.concat_tables(merged)


def first_conflict(parent: pa.Table, appended: pa.Table) -> str | None:
    """The first id of `appended` (entries) that has another content or label in the parent."""
    for old_rows, new_rows in same_id(parent.column("id"), appended.column("id")):
        old, new = take_rows(parent, old_rows), take_rows(appended, new_rows)
        masks = [unequal(old.column(name), new.column(name)) for name in _CLAIMED]
        wrong = np.flatnonzero(np.logical_or.reduce(masks))
        if len(wrong):
            sample: str = new.column("id")[int(wrong[0])].as_py()
            return sample
    return None


@dataclass(frozen=True, slots=True)
class _Continuation:
    """For each new sample the row of the parent's entry with its id, -1 for none; and the fields
    that moved with bytes from other ids, None if no bytes moved."""

    rows: RowNumbers
    moved: MovedBytes | None


def _find_continued(parent: pa.Table, samples: pa.Table, *, labels_known: bool) -> _Continuation:
    rows = np.full(samples.num_rows, -1)
    left, came = np.ones(parent.num_rows, np.bool_), np.ones(samples.num_rows, np.bool_)
    contents = parent.select(["content"]), samples.select(["content"])
    for old_rows, new_rows in same_id(parent.column("id"), samples.column("id")):
        rows[new_rows] = old_rows
        old, new = take_rows(contents[0], old_rows), take_rows(contents[1], new_rows)
        differ = unequal(old.column("content"), new.column("content"))
        left[old_rows], came[new_rows] = differ, differ
    if not left.any() or not came.any():
        return _Continuation(rows, None)
    gone = np.flatnonzero(left)
    return _Continuation(
        rows, find_moved(parent, gone, came, rows, samples, labels_known=labels_known)
    )


def _new_columns(
    samples: pa.Table, annotations: pa.ChunkedArray, defaults: OriginDefaults
) -> dict[str, pa.Array | pa.ChunkedArray]:
    """The columns of entries without a parent."""
    label, label_digest = split_long_labels(samples.column("label"))
    columns = {name: samples.column(name) for name in ("id", "content", "size", "split",
               "labeled_at", "uri", "content_sha256", "attrs")}  # fmt: skip
    return columns | {
        "label": label,
        "label_digest": label_digest,
        "source": _with_default(samples.column("source"), defaults.source),
        "labeler": _unless_annotated(
            _with_default(samples.column("labeler"), defaults.labeler), annotations
        ),
        "annotations": annotations,
    }


def _successor_columns(
    samples: pa.Table,
    annotations: pa.ChunkedArray,
    before: pa.Table,
    continues: Mask,
    moved: tuple[pa.Table, Mask] | None,
    defaults: OriginDefaults,
    *,
    labels_known: bool,
    splits_known: bool,
) -> dict[str, pa.Array | pa.ChunkedArray]:
    """The columns of the entries that succeed those of `before`, row by row where `continues`;
    `moved` has the fields that moved with bytes, and where a label moved."""

    @cache
    def old(name: str) -> pa.Array:
        return whole(without_dictionary(before.column(name)))

    def moved_with_bytes(name: str) -> pa.Array | pa.Scalar:
        if moved is None:
            return pa.scalar(None, old(name).type)
        return whole(without_dictionary(moved[0].column(name)))

    def inherited(name: str, where: Mask) -> pa.Array:
        return pc.if_else(pa.array(where), old(name), moved_with_bytes(name))

    same_content = continues & ~unequal(samples.column("content"), before.column("content"))
    label, label_digest = split_long_labels(samples.column("label"))
    annotated = whole(annotations)
    if not labels_known:
        no_label = pc.and_(label.is_null(), label_digest.is_null())
        # Of people who disagree no label may follow: that is a result, too.
        no_label = pc.and_(no_label, annotated.is_null())
        label = pc.if_else(no_label, inherited("label", continues), label)
        label_digest = pc.if_else(no_label, inherited("label_digest", continues), label_digest)
    same_label = continues & ~unequal(label, old("label"))
    same_label &= ~unequal(label_digest, old("label_digest"))
    if moved is not None:
        same_label &= ~moved[1]
    split = whole(samples.column("split"))
    claimed = same_label if moved is None else same_label | moved[1]
    labeler = pc.if_else(
        pa.array(claimed),
        inherited("labeler", same_label),
        pa.scalar(defaults.labeler, pa.string()),
    )
    unchanged = {
        "source": same_content,
        "labeled_at": same_label,
        "uri": same_content,
        "content_sha256": same_content,
        "attrs": same_content & same_label,
    }
    columns = {
        name: pc.coalesce(whole(samples.column(name)), inherited(name, where))
        for name, where in unchanged.items()
    }
    columns |= {
        "id": samples.column("id"),
        "content": samples.column("content"),
        "size": samples.column("size"),
        "label": label,
        "label_digest": label_digest,
        "source": pc.coalesce(columns["source"], pa.scalar(defaults.source, pa.string())),
        "labeler": pc.coalesce(whole(samples.column("labeler")), labeler),
        "split": split if splits_known else pc.coalesce(split, inherited("split", continues)),
        "delivery": inherited("delivery", same_content & same_label),
        "annotations": pc.coalesce(annotated, inherited("annotations", same_label)),
    }
    for name in ("labeler", "labeled_at"):
        columns[name] = _unless_annotated(columns[name], annotated)
    for name in ("label", "source", "labeler", "split"):
        # Reuse the parent's dictionaries, which are already mapped.
        if not unequal(columns[name], old(name)).any():
            columns[name] = before.column(name)
    return columns


def _unless_annotated(
    column: pa.Array | pa.ChunkedArray, annotations: pa.Array | pa.ChunkedArray
) -> pa.Array | pa.ChunkedArray:
    """`column`, with null where new annotations name people and times of their own."""
    if annotations.null_count == len(annotations):
        return column
    column = without_dictionary(column)
    return pc.if_else(whole(annotations).is_null(), column, pa.scalar(None, column.type))


def _as_entries(columns: dict[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    ids = columns["id"]
    for name, limit in LIMITS.items():
        if name in columns and name != "id":
            long = pc.fill_null(pc.greater(byte_lengths(columns[name]), limit), False)
            place = pc.index(long, True).as_py()
            if place >= 0:
                sample = ids[place].as_py()
                raise InputError(
                    f"the {name} of {quoted(sample)} is longer than {limit} bytes", sample=sample
                )
    arrays = [_as_field(columns.get(field.name), field.type, len(ids)) for field in ENTRY]
    return pa.table(arrays, schema=ENTRY)


def _check_sources(entries: pa.Table) -> None:
    source = entries.column("source")
    place = pc.index(source.is_null(), True).as_py()
    if place >= 0:
        sample = entries.column("id")[place].as_py()
        raise InputError(
            f"{quoted(sample)} has no source (of {source.null_count} samples without one)",
            sample=sample,
            hint="pass --source NAME or --source-column COLUMN",
        )


def _with_default(column: pa.ChunkedArray, value: str | None) -> pa.Array:
    """`column`, with `value` in place of null."""
    if column.null_count < len(column) or value is None:
        return pc.coalesce(whole(column), pa.scalar(value, pa.string()))
    # A constant needs no memory per entry, and becomes a dictionary anyway.
    return constant_column(value, len(column))


def _as_field(
    column: pa.Array | pa.ChunkedArray | None, type_: pa.DataType, count: int
) -> pa.Array | pa.ChunkedArray:
    if column is None or column.null_count == count:
        return chunked_nulls(type_, count)
    if pa.types.is_dictionary(type_) and not pa.types.is_dictionary(column.type):
        return whole(column).dictionary_encode()
    return column.cast(type_)


# The fields that move with the bytes, and with the label of these bytes.
_OF_BYTES = ("source", "uri", "content_sha256", "split")
_OF_LABEL = ("labeler", "labeled_at", "annotations", "delivery", "attrs")


@dataclass(frozen=True, slots=True)
class MovedBytes:
    """The fields that moved with the bytes of samples: row i of `entries` is of sample `rows[i]`.

    `rows` ascend. Fields that differed between the entries with these bytes are null. `claimed`:
    where the label moved together with its labeler.
    """

    rows: RowNumbers
    entries: pa.Table
    claimed: Mask

    def slice(self, start: int, stop: int) -> tuple[pa.Table, Mask]:
        """The fields for samples `start` to before `stop`; null and False for the others."""
        first, last = np.searchsorted(self.rows, (start, stop)).tolist()
        places = np.full(stop - start, -1)
        places[self.rows[first:last] - start] = np.arange(first, last)
        claimed = np.zeros(stop - start, np.bool_)
        claimed[self.rows[first:last] - start] = self.claimed[first:last]
        return take_rows(self.entries, places), claimed


def find_moved(
    parent: pa.Table,
    left: RowNumbers,
    came: Mask,
    rows: RowNumbers,
    samples: pa.Table,
    *,
    labels_known: bool,
) -> MovedBytes:
    """The fields that moved with the bytes of those `samples` whose bytes are new under their id.

    `left` has the rows of the parent's entries whose bytes are no longer under their id, `rows` the
    row of the entry with the id of each sample, -1 for none. If the data has no labels, a new id
    also gets the label.
    """
    places = np.flatnonzero(came)
    content = take(samples, "content", places)
    by_bytes = _Groups(parent, left, take(parent, "content", left))
    groups = by_bytes.of(content)
    columns = {name: by_bytes.values(name, groups) for name in _OF_BYTES}
    label, label_digest = split_long_labels(pa.chunked_array([take(samples, "label", places)]))
    if not labels_known:
        shared = by_bytes.shared("label") & by_bytes.shared("label_digest")
        under = rows[places]
        label_rows = np.where(under >= 0, under, by_bytes.places(groups, shared))
        no_label = pc.and_(label.is_null(), label_digest.is_null())
        label = pc.if_else(no_label, take(parent, "label", label_rows), label)
        label_digest = pc.if_else(no_label, take(parent, "label_digest", label_rows), label_digest)
    columns |= {"label": label, "label_digest": label_digest}
    old = (take(parent, name, left) for name in ("content", "label", "label_digest"))
    by_claim = _Groups(parent, left, claim_keys(*old))
    groups = by_claim.of(claim_keys(content, label, label_digest))
    claimed = by_claim.places(groups, by_claim.shared("labeler")) >= 0
    columns |= {name: by_claim.values(name, np.where(claimed, groups, -1)) for name in _OF_LABEL}
    return MovedBytes(places, pa.table(columns), claimed)


class _Groups:
    """Rows of entries grouped by a key."""

    def __init__(self, entries: pa.Table, rows: RowNumbers, keys: pa.Array) -> None:
        self._entries = entries
        self._rows = rows
        encoded = keys.cast(pa.binary()).dictionary_encode()
        self._keys = encoded.dictionary
        self._group = encoded.indices.to_numpy()
        _, first = np.unique(self._group, return_index=True)
        self._first = rows[first]

    def of(self, keys: pa.Array) -> RowNumbers:
        """The group of each of `keys`, -1 for none."""
        found = pc.index_in(keys.cast(pa.binary()), value_set=self._keys)
        groups: RowNumbers = pc.fill_null(found, -1).to_numpy().astype(np.int64)
        return groups

    def shared(self, name: str) -> Mask:
        """For each group, whether all its rows have the same value in this column."""
        shared = np.ones(len(self._first), np.bool_)
        if len(self._first) < len(self._rows):
            column = self._entries.select([name])
            here = take_rows(column, self._rows).column(name)
            first = take_rows(column, self._first[self._group]).column(name)
            shared[self._group[unequal(here, first)]] = False
        return shared

    def places(self, groups: RowNumbers, wanted: Mask) -> RowNumbers:
        """A row of each wanted group, -1 for the others."""
        there = groups >= 0
        places = np.full(len(groups), -1)
        places[there] = np.where(wanted[groups[there]], self._first[groups[there]], -1)
        return places

    def values(self, name: str, groups: RowNumbers) -> pa.ChunkedArray:
        """The value that the rows of each group share in this column, null if they differ."""
        places = self.places(groups, self.shared(name))
        return take_rows(self._entries.select([name]), places).column(name)
