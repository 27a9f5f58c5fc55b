"""Who answers for each sample of a new version (docs/concepts.md, "Origin").

What did not change keeps the origin it has in the verified parent; what an ingestion brings or
changes gets the origin it names, sample by sample where the data or a labels file says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from provreg.core.bounds import LIMITS
from provreg.core.change import Pairing, byte_lengths, pair, plain, unequal, whole
from provreg.core.entry import DIGEST, ENTRY
from provreg.core.nulls import chunked_nulls, nulls
from provreg.core.text import quoted
from provreg.errors import InputError

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who an ingestion speaks for: the source of what it brings, the labeler of what it labels."""

    source: str | None
    labeler: str | None


def with_origin(
    samples: pa.Table,
    parent: pa.Table | None,
    speaker: Speaker,
    *,
    labels_known: bool,
    splits_known: bool,
) -> pa.Table:
    """The entries (schema ENTRY) of a version with these `samples` (schema SAMPLE, in order).

    Where the data say nothing about labels (`labels_known` is False) or splits, a continued sample
    keeps its parent's. Raises InputError naming the first sample that ends up without a source, or
    whose texts are too long.
    """
    if parent is None:
        return _first_version(samples, speaker)
    pairs = pair(parent, samples)
    continued = _parent_rows(pairs, samples.num_rows)
    same_content = _kept(samples, parent, continued, "content")

    label, label_digest = split_long_labels(samples.column("label"))
    old_label = _at(parent, "label", continued)
    old_label_digest = _at(parent, "label_digest", continued)
    if not labels_known:
        silent = pc.and_(label.is_null(), label_digest.is_null())
        label = pc.if_else(silent, old_label, label)
        label_digest = pc.if_else(silent, old_label_digest, label_digest)
    same_label = (
        (continued >= 0) & ~unequal(label, old_label) & ~unequal(label_digest, old_label_digest)
    )
    split = whole(samples.column("split"))
    if not splits_known:
        split = pc.coalesce(split, _at(parent, "split", continued))

    def inherited(name: str, where: Mask) -> pa.Array:
        return _at(parent, name, np.where(where, continued, -1))

    source = pc.coalesce(
        whole(samples.column("source")),
        inherited("source", same_content),
        _constant(speaker.source, samples.num_rows),
    )
    labeler_now = pc.if_else(
        pa.array(same_label),
        inherited("labeler", same_label),
        _constant(speaker.labeler, samples.num_rows),
    )
    columns = {
        "id": samples.column("id"),
        "content": samples.column("content"),
        "size": samples.column("size"),
        "label": label,
        "label_digest": label_digest,
        "source": source,
        "labeler": pc.coalesce(whole(samples.column("labeler")), labeler_now),
        "labeled_at": pc.coalesce(
            whole(samples.column("labeled_at")), inherited("labeled_at", same_label)
        ),
        "split": split,
        "delivery": inherited("delivery", same_content & same_label),
        "annotations": inherited("annotations", same_label),
        "uri": pc.coalesce(whole(samples.column("uri")), inherited("uri", same_content)),
        "content_sha256": pc.coalesce(
            whole(samples.column("content_sha256")), inherited("content_sha256", same_content)
        ),
        "attrs": pc.coalesce(
            whole(samples.column("attrs")), inherited("attrs", same_content & same_label)
        ),
    }
    return _as_entries(columns)


def merge_appended(parent: pa.Table, appended: pa.Table) -> pa.Table:
    """The parent's entries, with those of `appended` added or put in their place, in order."""
    kept = parent.filter(
        pc.invert(pc.is_in(parent.column("id"), value_set=whole(appended.column("id"))))
    )
    return pa.concat_tables([kept, appended]).unify_dictionaries().sort_by("id")


def contradicted(parent: pa.Table, appended: pa.Table) -> str | None:
    """The first id of `appended` (entries) that the parent has with other content or label."""
    pairs = pair(parent, appended)
    same = np.ones(len(pairs.same_new), np.bool_)
    for name in ("content", "label", "label_digest"):
        old = _at(parent, name, pairs.same_old)
        same &= ~unequal(_at(appended, name, pairs.same_new), old)
    wrong = pairs.same_new[~same]
    return appended.column("id")[int(wrong[0])].as_py() if len(wrong) else None


def split_long_labels(labels: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """(label, label_digest): labels over 1,024 bytes are replaced by the BLAKE3 of their text."""
    texts = whole(labels)
    long = pc.fill_null(pc.greater(pc.binary_length(texts), LIMITS["label"]), False)
    if not pc.any(long).as_py():
        return texts, nulls(DIGEST, len(texts))
    digests = [
        blake3(label.encode()).digest() if is_long else None
        for label, is_long in zip(texts.to_pylist(), long.to_pylist(), strict=True)
    ]
    return pc.if_else(long, pa.scalar(None, pa.string()), texts), pa.array(digests, DIGEST)


def _first_version(samples: pa.Table, speaker: Speaker) -> pa.Table:
    count = samples.num_rows
    label, label_digest = split_long_labels(samples.column("label"))
    columns = {name: samples.column(name) for name in ("id", "content", "size", "split",
               "labeled_at", "uri", "content_sha256", "attrs")}  # fmt: skip
    columns |= {
        "label": label,
        "label_digest": label_digest,
        "source": _said(samples.column("source"), speaker.source, count),
        "labeler": _said(samples.column("labeler"), speaker.labeler, count),
    }
    return _as_entries(columns)


def _as_entries(columns: dict[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    ids, source = columns["id"], columns["source"]
    place = pc.index(source.is_null(), True).as_py()
    if place >= 0:
        sample = ids[place].as_py()
        raise InputError(
            f"{quoted(sample)} has no source ({source.null_count} samples have none)",
            sample=sample,
            hint="say where the data come from: --source NAME, or --source-column COLUMN",
        )
    for name, limit in LIMITS.items():
        if name in columns and name != "id":
            long = pc.fill_null(pc.greater(byte_lengths(columns[name]), limit), False)
            place = pc.index(long, True).as_py()
            if place >= 0:
                sample = ids[place].as_py()
                raise InputError(
                    f"the {name} of {quoted(sample)} is longer than {limit} bytes", sample=sample
                )
    count = len(ids)
    arrays = [_as_field(columns.get(field.name), field.type, count) for field in ENTRY]
    return pa.table(arrays, schema=ENTRY)


def _said(column: pa.ChunkedArray, value: str | None, count: int) -> pa.Array:
    """`column`, and `value` where it is null."""
    if column.null_count < count or value is None:
        return pc.coalesce(whole(column), _constant(value, count))
    # One text for all of them is not written out: it is to become a dictionary anyway.
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), [value])


def _as_field(
    column: pa.Array | pa.ChunkedArray | None, type_: pa.DataType, count: int
) -> pa.Array | pa.ChunkedArray:
    if column is None or column.null_count == count:
        return chunked_nulls(type_, count)
    # A dictionary is left as it is.
    one = whole(column)
    return one.dictionary_encode() if pa.types.is_dictionary(type_) else one.cast(type_)


def _parent_rows(pairs: Pairing, count: int) -> Rows:
    """For each new sample the row of the parent's entry that it continues, -1 for none."""
    rows = np.full(count, -1, np.int64)
    rows[pairs.same_new] = pairs.same_old
    rows[pairs.renamed_new[pairs.unambiguous]] = pairs.renamed_old[pairs.unambiguous]
    return rows


def _kept(samples: pa.Table, parent: pa.Table, continued: Rows, name: str) -> Mask:
    return (continued >= 0) & ~unequal(whole(samples.column(name)), _at(parent, name, continued))


def _at(entries: pa.Table, name: str, rows: Rows) -> pa.Array:
    taken = plain(entries.column(name)).take(pa.array(rows, mask=rows < 0))
    return whole(taken)


def _constant(value: str | None, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), count)
