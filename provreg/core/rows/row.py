"""The payload of a table row: an injective, typed encoding (docs/format/row.md), and its hash.

Encoded column by column: the values of a column become pieces (`row_hash.py`), and a row is its
pieces one after another.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import quoted
from provreg.core.rows.arrow_types import NAN_BITS, columns_from_arrow
from provreg.core.rows.column import (
    BINARY,
    BOOL,
    DATE,
    DURATION,
    FILE,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INT,
    JSON,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMP_UTC,
    Column,
    Decimal,
    List,
    LogicalType,
    Map,
    Scalar,
    Struct,
    accepts,
    json_as_text,
)
from provreg.core.rows.row_hash import (
    Fixed,
    Piece,
    bytes_of,
    check_lengths,
    constant,
    hash_pieces,
    join_pieces,
    large_binary,
    numbers_of,
    offsets_of,
    thin,
    thin_pieces,
    validity,
    without_dictionary,
)
from provreg.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

NULL_ELEMENT = 0x00
INT_BEYOND = 0x03  # of 2**63 and more
TAGS = {
    BOOL: 0x01, INT: 0x02, FLOAT16: 0x04, FLOAT32: 0x05, FLOAT64: 0x06, TEXT: 0x07, BINARY: 0x08,
    TIMESTAMP: 0x0A, TIMESTAMP_UTC: 0x0B, DATE: 0x0C, TIME: 0x0D, DURATION: 0x0E,
    JSON: 0x12, FILE: 0x13,
}  # fmt: skip
TAG_DECIMAL, TAG_LIST, TAG_STRUCT, TAG_MAP = 0x09, 0x0F, 0x10, 0x11

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_MILLISECONDS_A_DAY = 86_400 * 10**3
# Rows joined at once: few enough that their pieces stay in the processor's cache until they are
# hashed, and enough to amortize the calls from Python.
_SLICE_BYTES = 1 << 22
_SLICE_ROWS = 1 << 14


def encode_rows(batch: pa.RecordBatch | pa.Table, columns: tuple[Column, ...]) -> pa.Array:
    """The payloads of the rows of `batch`, a large_binary array without nulls.

    `columns` are the payload columns and their types, in any order; each must be in `batch`, whose
    other columns are ignored. Widths, dictionaries, chunks and offsets make no difference. Memory:
    all payloads, and the pieces of a slice of `batch`.

    Raises InputError for a column that is missing or whose values are not of its type, and for
    values that have no encoding (4 GiB or more; invalid times of day and dates).
    """
    slices = [
        join_pieces(_struct(arrays, present, rows), rows)
        for arrays, present, rows in _slices(batch, columns)
    ]
    return pa.concat_arrays(slices) if slices else pa.array([], pa.large_binary())


def hash_rows(
    batch: pa.RecordBatch | pa.Table, columns: tuple[Column, ...]
) -> tuple[pa.FixedSizeBinaryArray, pa.UInt64Array]:
    """`hash_payloads` of `encode_rows`, without all payloads in memory."""
    hashed = [
        hash_pieces(_struct(arrays, present, rows), rows)
        for arrays, present, rows in _slices(batch, columns)
    ]
    sizes = [size for _, size in hashed]
    return _as_arrays(
        b"".join(digests for digests, _ in hashed),
        np.concatenate(sizes) if sizes else np.empty(0, np.int64),
    )


def hash_payloads(encoded: pa.Array) -> tuple[pa.FixedSizeBinaryArray, pa.UInt64Array]:
    """BLAKE3-256 of every payload, and their lengths in bytes.

    `encoded` is a large_binary array without nulls.
    """
    return _as_arrays(*hash_pieces([encoded], len(encoded)))


def _as_arrays(
    digests: bytes, sizes: npt.NDArray[np.int64]
) -> tuple[pa.FixedSizeBinaryArray, pa.UInt64Array]:
    contents = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(32), len(sizes), [None, pa.py_buffer(digests)]
    )
    return contents, pa.array(sizes.astype(np.uint64))


def _slices(
    batch: pa.RecordBatch | pa.Table, columns: tuple[Column, ...]
) -> Iterator[tuple[dict[str, pa.Array], tuple[Column, ...], int]]:
    """Slices of `batch`: the arrays of the columns that have a value, these columns, the number of
    rows. Checks all columns against their types."""
    found = Counter(batch.schema.names)
    for column in columns:
        if found[column.name] != 1:
            raise InputError(f"the column {quoted(column.name)} is missing or duplicate")
    chosen = batch.select([column.name for column in columns])
    for column, actual in zip(columns, columns_from_arrow(chosen.schema), strict=True):
        if not accepts(json_as_text(column.type), actual.type):
            raise InputError(f"the values of column {quoted(column.name)} are not of its type")
    arrays = {
        name: _narrow(_whole(array))
        for name, array in zip(chosen.schema.names, chosen.columns, strict=True)
        if array.null_count < len(array)
    }
    present = tuple(column for column in columns if column.name in arrays)
    size = sum(array.nbytes for array in arrays.values())
    step = max(1, min(batch.num_rows * _SLICE_BYTES // max(1, size), _SLICE_ROWS))
    for start in range(0, batch.num_rows, step):
        rows = min(step, batch.num_rows - start)
        yield {name: array.slice(start, rows) for name, array in arrays.items()}, present, rows


def _narrow(array: pa.Array) -> pa.Array:
    """`array` without the fields of a struct that have no value, which payloads leave out.

    In structs whose keys are data most fields have none, and each slice would visit all of them.
    """
    if not pa.types.is_struct(array.type):
        return array
    fields = {name: array.field(k) for k, name in enumerate(array.type.names)}
    present = {
        name: _narrow(child) for name, child in fields.items() if child.null_count < len(child)
    }
    if not present or len(present) == len(fields):
        return array
    mask = array.is_null() if array.null_count else None
    return pa.StructArray.from_arrays(list(present.values()), list(present), mask=mask)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


# Pieces of values


def _struct(arrays: dict[str, pa.Array], fields: tuple[Column, ...], rows: int) -> list[Piece]:
    """Tag, number of fields that are not null, then name and value of each, by name."""
    counts = np.zeros(rows, np.uint32)
    pieces: list[Piece] = []
    for field in sorted(fields, key=lambda field: field.name.encode()):
        array = without_dictionary(arrays[field.name])
        if array.null_count == rows:
            continue
        valid = validity(array)
        counts += 1 if valid is None else valid
        name = field.name.encode()
        encoded_name = len(name).to_bytes(4, "little") + name
        pieces += thin_pieces([constant(encoded_name, rows), *_value(array, field.type)], valid)
    return [constant(bytes([TAG_STRUCT]), rows), bytes_of(counts), *pieces]


def _value(array: pa.Array, logical: LogicalType) -> list[Piece]:
    """Tag and body of every value. Where `array` is null, fixed pieces have arbitrary bytes."""
    match logical:
        case Scalar() if logical == FILE:
            return _file(array)
        case Scalar():
            return _scalar(array, logical)
        case Decimal():
            return _decimal(array, logical)
        case Struct():
            return _struct(*_present(array, logical), len(array))
        case List():
            elements = array.flatten()
            pieces = _elements(elements, logical.element)
            return _many(TAG_LIST, array, join_pieces(pieces, len(elements)))
        case Map():
            pair = pa.struct([("key", array.type.key_type), ("value", array.type.item_type)])
            lists = array.cast(pa.large_list(pair))
            pairs = lists.flatten()
            keys, values = pairs.flatten()
            pieces = _elements(keys, logical.key) + _elements(values, logical.value)
            return _many(TAG_MAP, lists, join_pieces(pieces, len(pairs)))


def _present(array: pa.Array, logical: Struct) -> tuple[dict[str, pa.Array], tuple[Column, ...]]:
    """The children that have a value, null where their parent is, and their fields.

    In structs whose keys are data most have none, and nulling these would take most of the time.
    """
    names = array.type.names
    children = {
        name: child
        for k, name in enumerate(names)
        if (child := array.field(k)).null_count < len(child)
    }
    if children and array.null_count:
        narrow = pa.StructArray.from_arrays(
            list(children.values()), list(children), mask=array.is_null()
        )
        children = dict(zip(children, narrow.flatten(), strict=True))
    return children, tuple(field for field in logical.fields if field.name in children)


def _elements(array: pa.Array, logical: LogicalType) -> list[Piece]:
    """The values, 0x00 for null."""
    array = without_dictionary(array)
    if len(array) == 0:
        return []
    valid = validity(array)
    if valid is None:
        return _value(array, logical)
    nulls = thin(constant(bytes([NULL_ELEMENT]), len(array)), ~valid)
    if array.null_count == len(array):
        return [nulls]
    return [nulls, *thin_pieces(_value(array, logical), valid)]


def _many(tag: int, array: pa.Array, encoded: pa.Array) -> list[Piece]:
    """Tag, count and elements; `encoded` has the elements of all rows one after another."""
    counts = pc.fill_null(pc.list_value_length(array), 0).to_numpy().astype(np.int64)
    ends = np.concatenate(([0], np.cumsum(counts)))
    offsets = offsets_of(encoded)[ends]
    check_lengths(counts)
    elements = large_binary(offsets, encoded.buffers()[2])
    return [constant(bytes([tag]), len(array)), bytes_of(counts.astype(np.uint32)), elements]


def _scalar(array: pa.Array, logical: Scalar) -> list[Piece]:
    tag = constant(bytes([TAGS[logical]]), len(array))
    if logical in (TEXT, BINARY, JSON):
        values = array.cast(pa.large_binary())
        lengths = np.diff(offsets_of(values))
        check_lengths(lengths)
        return [tag, bytes_of(lengths.astype(np.uint32)), values]
    if logical == INT:
        return _integers(array, tag)
    if logical in (TIMESTAMP, TIMESTAMP_UTC, DURATION):
        seconds, nanoseconds = _seconds(array)
        return [tag, bytes_of(seconds), bytes_of(nanoseconds)]
    if logical in NAN_BITS:
        return [tag, _floats(array, logical)]
    if logical == BOOL:
        return [tag, bytes_of(numbers_of(array.cast(pa.uint8())))]
    return [tag, bytes_of(_days(array) if logical == DATE else _time_of_day(array))]


def _file(array: pa.StructArray) -> list[Piece]:
    """Tag, size and digest of each file's bytes, and its name: empty where `path` is null."""
    children = dict(zip(array.type.names, array.flatten(), strict=True))
    data = children.get("bytes", children.get("blake3"))
    if data is None or data.null_count > array.null_count:
        raise InputError("a file has a name and no bytes")
    if "bytes" in children:
        contents, sizes = hash_pieces([data.cast(pa.large_binary())], len(array))
        digests = np.frombuffer(contents, np.uint8).reshape(-1, 32)
    else:
        sizes = numbers_of(children["size"])
        digests = np.frombuffer(data.buffers()[1], np.uint8)
        digests = digests[data.offset * 32 : (data.offset + len(data)) * 32].reshape(-1, 32)
    tag = constant(bytes([TAGS[FILE]]), len(array))
    pieces: list[Piece] = [tag, bytes_of(sizes.astype(np.uint64)), digests]
    if "path" not in children:
        return [*pieces, constant(bytes(4), len(array))]
    names = children["path"].fill_null("").cast(pa.large_binary())
    lengths = np.diff(offsets_of(names))
    check_lengths(lengths)
    return [*pieces, bytes_of(lengths.astype(np.uint32)), names]


def _integers(array: pa.Array, tag: Fixed) -> list[Piece]:
    values = numbers_of(array)
    if values.dtype == np.uint64:
        beyond = values >= np.uint64(2**63)
        if beyond.any():
            tag = np.where(beyond, INT_BEYOND, TAGS[INT]).astype(np.uint8).reshape(-1, 1)
        return [tag, bytes_of(values)]
    return [tag, bytes_of(values.astype(np.int64))]


def _floats(array: pa.Array, logical: Scalar) -> Fixed:
    bits, nan = NAN_BITS[logical]
    values = numbers_of(array)
    return bytes_of(np.where(np.isnan(values), bits(nan), values.view(bits)))


def _decimal(array: pa.Array, logical: Decimal) -> list[Piece]:
    wide = array.cast(pa.decimal256(76, logical.scale))
    data = np.frombuffer(wide.buffers()[1], np.uint8)
    unscaled = data[wide.offset * 32 : (wide.offset + len(wide)) * 32].reshape(-1, 32)
    head = bytes([TAG_DECIMAL]) + logical.scale.to_bytes(4, "little", signed=True)
    return [constant(head, len(array)), unscaled]


def _seconds(array: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """Whole seconds, rounded down, and the remaining nanoseconds."""
    per_second = _PER_SECOND[array.type.unit]
    seconds, left = np.divmod(numbers_of(array.view(pa.int64())), per_second)
    return seconds.astype(np.int64), (left * (10**9 // per_second)).astype(np.uint32)


def _days(array: pa.Array) -> npt.NDArray[np.int32]:
    if pa.types.is_date32(array.type):
        return numbers_of(array.view(pa.int32())).astype(np.int32)
    days, left = np.divmod(numbers_of(array.view(pa.int64())), _MILLISECONDS_A_DAY)
    narrow = days.astype(np.int32)
    if left.any() or (narrow != days).any():
        raise InputError("a date is not a whole day, or out of the range of 32 bits")
    return narrow


def _time_of_day(array: pa.Array) -> npt.NDArray[np.int64]:
    unit = array.type.unit
    per_second = _PER_SECOND[unit]
    values = numbers_of(array.view(pa.int64() if unit in ("us", "ns") else pa.int32()))
    if ((values < 0) | (values >= 86_400 * per_second)).any():
        raise InputError("a time of day is negative, or 24 hours or more")
    return (values.astype(np.int64) * (10**9 // per_second)).astype(np.int64)
