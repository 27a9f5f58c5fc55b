"""Claims and leaves: the digests that bind one entry (docs/format/manifest.md, "Claim and leaf").

claim = H(content, size, label or its digest, labeler, labeled_at, annotations)
leaf  = H(id, claim, source, delivery, split, uri, content_sha256, attrs)

H is BLAKE3 in derive-key mode, one context per kind, over the fields that are not null, each as
(number u8, length u32, value), little-endian. A field added later leaves old leaves unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.rows.row_hash import (
    Fixed,
    Piece,
    bytes_of,
    constant,
    hash_pieces,
    join_pieces,
    large_binary,
    numbers_of,
    offsets_of,
    thin_pieces,
    validity,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

CLAIM_CONTEXT = "provreg 2026-11-22 v1 claim"
LEAF_CONTEXT = "provreg 2026-11-22 v1 leaf"

# Field numbers are part of the format: never reused, never renumbered.
_CLAIM_FIELDS = (("content", 1), ("size", 2), ("label", 3), ("label_digest", 4), ("labeler", 5),
                 ("labeled_at", 6), ("annotations", 7))  # fmt: skip
_ID, _CLAIM = 1, 2
_LEAF_FIELDS = (("source", 3), ("delivery", 4), ("split", 5), ("uri", 6), ("content_sha256", 7),
                ("attrs", 8))  # fmt: skip
_ANNOTATION_FIELDS = (("label", 1), ("labeler", 2), ("labeled_at", 3))

# The keys by which revocations list samples: by id and bytes, or by id, bytes and label.
_KEY_CONTEXTS = {
    "source": "provreg 2026-12-01 v1 revoked content",
    "labeler": "provreg 2026-12-01 v1 revoked label",
}
_KEY_FIELDS = {
    "source": (("id", 1), ("content", 2)),
    "labeler": (("id", 1), ("content", 2), ("label", 3), ("label_digest", 4)),
}
LEAF_BYTES = 32
_SLICE = 1 << 16


def leaves(entries: pa.Table) -> bytes:
    """The leaves of `entries` (schema `manifest.entry.ENTRY`) in their order, 32 bytes each."""
    return b"".join(_leaves(batch) for batch in entries.to_batches(max_chunksize=_SLICE))


def claims(batch: pa.RecordBatch) -> bytes:
    """The claims of a batch of entries in their order, 32 bytes each."""
    return hash_pieces(_fields(batch, _CLAIM_FIELDS), batch.num_rows, CLAIM_CONTEXT)[0]


def sample_keys(entries: pa.Table, by: Literal["source", "labeler"]) -> pa.Array:
    """The keys of `entries` in revocations that list samples, 32 bytes each, in their order.

    By `source` a key is of id and content, by `labeler` of id, content and label
    (docs/format/revocation.md, "Listed samples").
    """
    columns = [name for name, _ in _KEY_FIELDS[by]]
    batches = entries.select(columns).to_batches(max_chunksize=_SLICE)
    hashed = b"".join(
        hash_pieces(_fields(batch, _KEY_FIELDS[by]), batch.num_rows, _KEY_CONTEXTS[by])[0]
        for batch in batches
    )
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(LEAF_BYTES), entries.num_rows, [None, pa.py_buffer(hashed)]
    )


def _leaves(batch: pa.RecordBatch) -> bytes:
    claim = np.frombuffer(claims(batch), np.uint8).reshape(-1, LEAF_BYTES)
    pieces = [
        *_field(batch.column("id"), _ID),
        *_of_width(claim, _CLAIM),
        *_fields(batch, _LEAF_FIELDS),
    ]
    return hash_pieces(pieces, batch.num_rows, LEAF_CONTEXT)[0]


def fixed_values(column: pa.Array) -> npt.NDArray[np.void]:
    """A fixed-size binary array as numpy void items; the bytes of nulls are arbitrary."""
    width = column.type.byte_width
    items = np.frombuffer(column.buffers()[1], f"V{width}", count=column.offset + len(column))
    return items[column.offset :]


def _fields(batch: pa.RecordBatch, fields: Sequence[tuple[str, int]]) -> list[Piece]:
    pieces: list[Piece] = []
    for name, number in fields:
        column = batch.column(name)
        if column.null_count < len(column):
            pieces += _field(column, number)
    return pieces


def _field(column: pa.Array, number: int) -> list[Piece]:
    """Number, length and bytes of each value; nothing for null."""
    if pa.types.is_dictionary(column.type):
        distinct = column.dictionary
        return [join_pieces(_field(distinct, number), len(distinct)).take(column.indices)]
    valid = validity(column)
    if pa.types.is_list(column.type):
        counts, annotations = _annotations(column)
        lengths = counts.shape[1] + np.diff(offsets_of(annotations))
        return [*thin_pieces([_headers(number, lengths), counts], valid), annotations]
    if pa.types.is_fixed_size_binary(column.type):
        values = fixed_values(column).view(np.uint8).reshape(-1, column.type.byte_width)
        return thin_pieces(_of_width(values, number), valid)
    if pa.types.is_timestamp(column.type) or pa.types.is_integer(column.type):
        numbers = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        return thin_pieces(_of_width(bytes_of(numbers_of(numbers)), number), valid)
    texts = column.cast(pa.large_binary())
    return [*thin_pieces([_headers(number, np.diff(offsets_of(texts)))], valid), texts]


def _of_width(values: Fixed, number: int) -> list[Piece]:
    rows, width = values.shape
    header = number.to_bytes(1, "little") + width.to_bytes(4, "little")
    return [constant(header, rows), values]


def _headers(number: int, lengths: npt.NDArray[np.int64]) -> Fixed:
    headers = np.empty(len(lengths), [("number", "u1"), ("length", "<u4")])
    headers["number"], headers["length"] = number, lengths
    return headers.view(np.uint8).reshape(len(lengths), headers.dtype.itemsize)


def _annotations(column: pa.Array) -> tuple[Fixed, pa.Array]:
    """The number of annotations in each list (u32), and for each its length (u32) and fields."""
    items = pa.RecordBatch.from_struct_array(column.flatten())
    fields = join_pieces(
        [constant(b"", len(items)), *_fields(items, _ANNOTATION_FIELDS)], len(items)
    )
    sizes = bytes_of(np.diff(offsets_of(fields)).astype(np.uint32))
    encoded = join_pieces([sizes, fields], len(items))
    counts = numbers_of(pc.list_value_length(column))
    ends = offsets_of(encoded)[np.concatenate(([0], np.cumsum(counts)))]
    return bytes_of(counts.astype(np.uint32)), large_binary(ends, encoded.buffers()[2])
