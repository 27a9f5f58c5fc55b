"""Claims and leaves: the digests that bind one entry (docs/format/manifest.md, "Claim and leaf").

claim = H(content, size, label or its digest, labeler, labeled_at, annotations)
leaf  = H(id, claim, source, delivery, split, uri, content_sha256, attrs)

H is BLAKE3 in derive-key mode, one context per kind, over the fields that are not null, each as
(number u8, length u32, value), little-endian. A field added later leaves old leaves unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.each import hash_each

if TYPE_CHECKING:
    from collections.abc import Sequence

CLAIM_CONTEXT = "provreg 2026-11-22 v1 claim"
LEAF_CONTEXT = "provreg 2026-11-22 v1 leaf"

# Field numbers are part of the format: never reused, never renumbered.
_CLAIM_FIELDS = (("label", 3), ("label_digest", 4), ("labeler", 5), ("labeled_at", 6),
                 ("annotations", 7))  # fmt: skip
_LEAF_FIELDS = (("source", 3), ("delivery", 4), ("split", 5), ("uri", 6), ("content_sha256", 7),
                ("attrs", 8))  # fmt: skip
_ANNOTATION_FIELDS = (("label", 1), ("labeler", 2), ("labeled_at", 3))

_HEADER = np.dtype([("number", "u1"), ("length", "<u4")])
_CONTENT_AND_SIZE = np.dtype(
    [
        ("content_number", "u1"), ("content_length", "<u4"), ("content", "V32"),
        ("size_number", "u1"), ("size_length", "<u4"), ("size", "<u8"),
    ]
)  # fmt: skip
_EMPTY = pa.scalar(b"", pa.binary())
_SLICE = 1 << 16


def leaves(entries: pa.Table) -> bytes:
    """The leaves of `entries` (schema `core.entry.ENTRY`) in their order, 32 bytes each."""
    return b"".join(_leaves(batch) for batch in entries.to_batches(max_chunksize=_SLICE))


def claims(batch: pa.RecordBatch) -> bytes:
    """The claims of a batch of entries in their order, 32 bytes each."""
    fixed = np.empty(batch.num_rows, _CONTENT_AND_SIZE)
    fixed["content_number"], fixed["content_length"] = 1, 32
    fixed["content"] = fixed_values(batch.column("content"))
    fixed["size_number"], fixed["size_length"] = 2, 8
    fixed["size"] = batch.column("size").to_numpy()
    joined = _join([_binary(fixed), *_fields(batch, _CLAIM_FIELDS)])
    return hash_each(joined, CLAIM_CONTEXT)


def _leaves(batch: pa.RecordBatch) -> bytes:
    claim = np.empty(batch.num_rows, np.dtype([("header", _HEADER), ("value", "V32")]))
    claim["header"]["number"], claim["header"]["length"] = 2, 32
    claim["value"] = np.frombuffer(claims(batch), "V32")
    parts = [_field(batch.column("id"), 1), _binary(claim), *_fields(batch, _LEAF_FIELDS)]
    return hash_each(_join(parts), LEAF_CONTEXT)


def fixed_values(column: pa.Array) -> npt.NDArray[np.void]:
    """A fixed-size binary array as numpy void items; nulls have arbitrary bytes."""
    width = column.type.byte_width
    items = np.frombuffer(column.buffers()[1], f"V{width}", count=column.offset + len(column))
    return items[column.offset :]


def _fields(batch: pa.RecordBatch, fields: Sequence[tuple[str, int]]) -> list[pa.Array]:
    columns = ((batch.column(name), number) for name, number in fields)
    return [_field(column, number) for column, number in columns
            if column.null_count < len(column)]  # fmt: skip


def _field(column: pa.Array, number: int) -> pa.Array:
    """(number, length, value) of each value as a binary array; null where the value is null."""
    if pa.types.is_dictionary(column.type):
        return _field(column.dictionary, number).take(column.indices)
    if pa.types.is_list(column.type):
        return _field(_annotations(column), number)
    if pa.types.is_timestamp(column.type):
        value = column.cast(pa.int64()).fill_null(0).to_numpy().astype("<i8").view("V8")
        return _fixed_field(value, number, column)
    if pa.types.is_fixed_size_binary(column.type):
        return _fixed_field(fixed_values(column), number, column)
    header = np.empty(len(column), _HEADER)
    header["number"] = number
    header["length"] = pc.fill_null(pc.binary_length(column), 0).to_numpy()
    return pc.binary_join_element_wise(_binary(header), column.cast(pa.binary()), _EMPTY)


def _fixed_field(values: npt.NDArray[np.void], number: int, column: pa.Array) -> pa.Array:
    width = values.dtype.itemsize
    record = np.empty(len(values), np.dtype([("header", _HEADER), ("value", f"V{width}")]))
    record["header"]["number"], record["header"]["length"] = number, width
    record["value"] = values
    encoded = _binary(record)
    return encoded if not column.null_count else pc.if_else(column.is_valid(), encoded, None)


def _annotations(column: pa.Array) -> pa.Array:
    """Each list as count u32, then for each annotation its length u32 and its fields."""
    items = column.flatten()
    table = pa.RecordBatch.from_struct_array(items)
    encoded = [_field(table.column(name), number) for name, number in _ANNOTATION_FIELDS]
    item = _join([pa.array([b""] * len(items), pa.binary()), *encoded])
    sized = _join([_lengths(pc.binary_length(item)), item])
    counts = pc.list_value_length(column)
    offsets = np.concatenate([[0], np.cumsum(counts.fill_null(0).to_numpy())]).astype(np.int32)
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), sized), b"")
    whole = _join([_lengths(counts.fill_null(0)), joined])
    return pc.if_else(column.is_valid(), whole, None)


def _lengths(values: pa.Array) -> pa.Array:
    return _binary(values.to_numpy().astype("<u4"))


def _join(parts: list[pa.Array]) -> pa.Array:
    """Element-wise concatenation in which a null field is simply absent."""
    return pc.binary_join_element_wise(
        *parts, _EMPTY, null_handling="replace", null_replacement=b""
    )


def _binary(records: npt.NDArray[np.generic]) -> pa.Array:
    """Fixed-width numpy records as a binary array."""
    width = records.dtype.itemsize
    offsets = np.arange(0, (len(records) + 1) * width, width, dtype=np.int32)
    return pa.Array.from_buffers(
        pa.binary(), len(records), [None, pa.py_buffer(offsets), pa.py_buffer(records)]
    )
