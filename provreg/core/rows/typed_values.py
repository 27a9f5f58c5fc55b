"""The values of rows in the types that are signed, whatever they are stored in (row.md, "Types").

What is hashed and what is handed on is this and nothing else: moments in UTC, fields in the order
of the schema, one NaN, one width and unit. So nothing of how data are stored, which no signature
covers, reaches whoever trains on them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import quoted
from provreg.core.rows.column import (
    FLOAT16,
    FLOAT32,
    FLOAT64,
    Column,
    Decimal,
    List,
    LogicalType,
    Map,
    Scalar,
    Struct,
)
from provreg.core.rows.column_arrow import to_arrow
from provreg.core.rows.pieces import plain
from provreg.errors import InputError

# The bits of each width, and those of the one NaN.
NAN_BITS: dict[Scalar, tuple[type[np.unsignedinteger[Any]], int]] = {
    FLOAT16: (np.uint16, 0x7E00),
    FLOAT32: (np.uint32, 0x7FC0_0000),
    FLOAT64: (np.uint64, 0x7FF8_0000_0000_0000),
}
_FLOATS = {FLOAT16: np.float16, FLOAT32: np.float32, FLOAT64: np.float64}


def typed_batch(batch: pa.RecordBatch, columns: tuple[Column, ...]) -> pa.RecordBatch:
    """`batch` with the values of `columns` as their types say; its other columns as they are.

    Each of `columns` stands in `batch` and holds values of its logical type. Raises InputError,
    naming the column, for a value that the form in which its type is handed out cannot hold.
    """
    arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
    for column in columns:
        try:
            arrays[column.name] = typed_array(arrays[column.name], column.type)
        except (pa.ArrowException, OverflowError) as error:
            raise _does_not_fit(column.name, str(error)) from None
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


def _does_not_fit(column: str, why: str) -> InputError:
    return InputError(
        f"column {quoted(column)} holds a value that does not fit its type: {quoted(why)}",
        hint="the first version's data decide how a column is handed out (docs/format/row.md,"
        " What is handed out); convert these, or begin a new dataset",
    )


def typed_array(  # noqa: PLR0911 - a case for each type
    array: pa.Array, logical: LogicalType
) -> pa.Array:
    """The values of `array`, which are of `logical`, in the Arrow type `to_arrow(logical)`.

    Raises ArrowException for a value that this cannot hold.
    """
    array = plain(array)
    target = to_arrow(logical)
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), target)
    if array.type.equals(target) and not _has_floats(logical):
        return array
    match logical:
        case Scalar() if logical in NAN_BITS:
            return _one_nan(array, logical)
        case Scalar() | Decimal():
            return array.cast(target)
        case Struct():
            return _struct(array, logical)
        case List():
            elements = typed_array(array.flatten(), logical.element)
            return pa.ListArray.from_arrays(_offsets(array), elements, mask=_nulls(array))
        case Map():
            pair = pa.struct([("key", array.type.key_type), ("value", array.type.item_type)])
            lists = array.cast(pa.large_list(pair))
            keys, values = lists.flatten().flatten()
            return pa.MapArray.from_arrays(
                _offsets(lists),
                typed_array(keys, logical.key),
                typed_array(values, logical.value),
                mask=_nulls(array),
            )


def _has_floats(logical: LogicalType) -> bool:
    match logical:
        case List():
            return _has_floats(logical.element)
        case Map():
            return _has_floats(logical.key) or _has_floats(logical.value)
        case Struct():
            return any(_has_floats(field.type) for field in logical.fields)
    return logical in NAN_BITS


def _one_nan(array: pa.Array, logical: Scalar) -> pa.Array:
    bits, nan = NAN_BITS[logical]
    validity, data = array.buffers()
    if data is None or not len(array):
        return array
    values = np.frombuffer(data, _FLOATS[logical], array.offset + len(array))
    if not (found := np.isnan(values)).any():
        return array
    made = np.where(found, bits(nan), values.view(bits))
    buffers = [validity, pa.py_buffer(made)]
    return pa.Array.from_buffers(array.type, len(array), buffers, offset=array.offset)


def _struct(array: pa.Array, logical: Struct) -> pa.Array:
    if not logical.fields:
        return array
    # flatten() makes children null where their parent is.
    names = [field.name for field in array.type.fields]
    children = dict(zip(names, array.flatten(), strict=True))
    arrays = [typed_array(children[field.name], field.type) for field in logical.fields]
    names = [field.name for field in logical.fields]
    return pa.StructArray.from_arrays(arrays, names=names, mask=_nulls(array))


def _offsets(lists: pa.Array) -> pa.Array:
    """Where each list begins and the last one ends, in the elements of those that are not null."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    ends = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    return pa.array(ends).cast(pa.int32())


def _nulls(array: pa.Array) -> pa.Array | None:
    return array.is_null() if array.null_count else None
