"""Logical types in Arrow: the Arrow types of each, and values in the one that is signed.

Only values in the types of a schema are hashed and delivered (docs/format/row.md, "Types"): times
in UTC, fields in the order of the schema, one NaN, one width and unit. So no property of how data
is stored, which no signature covers, reaches a model. Extension types count as their storage type:
which of them Arrow knows depends on what the process has imported, the storage does not.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import quoted
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
    MAX_DEPTH,
    MAX_FIELDS,
    MAX_NAME,
    MAX_SCALE,
    NULL,
    SHORT_SCALES,
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
    with_form,
)
from provreg.core.rows.files import as_named
from provreg.core.rows.row_hash import without_dictionary
from provreg.errors import InputError

# The Arrow types of scalars in their default form.
_ARROW = {
    BOOL: pa.bool_(), INT: pa.int64(), TEXT: pa.string(), BINARY: pa.binary(),
    FLOAT16: pa.float16(), FLOAT32: pa.float32(), FLOAT64: pa.float64(),
    TIMESTAMP: pa.timestamp("us"), TIMESTAMP_UTC: pa.timestamp("us", tz="UTC"),
    DATE: pa.date32(), TIME: pa.time64("ns"), DURATION: pa.duration("ns"), JSON: pa.string(),
    FILE: pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
}  # fmt: skip


def to_arrow(logical: LogicalType) -> pa.DataType:
    """The Arrow type in which values are hashed and delivered. It depends on `logical` alone."""
    match logical:
        case Scalar():
            return _ARROW[logical] if logical.form is None else _with_form(logical)
        case Decimal():
            bits, digits = (pa.decimal128, 38) if logical.short else (pa.decimal256, 76)
            return bits(digits, logical.scale)
        case List():
            return pa.list_(to_arrow(logical.element))
        case Struct():
            return pa.struct([pa.field(f.name, to_arrow(f.type)) for f in logical.fields])
        case Map():
            return pa.map_(to_arrow(logical.key), to_arrow(logical.value))


def _with_form(logical: Scalar) -> pa.DataType:
    if logical == INT:
        return pa.uint64() if logical.form == "uint64" else pa.int64()
    if logical == DURATION:
        return pa.duration(logical.form)
    return pa.timestamp(logical.form, tz="UTC" if logical == TIMESTAMP_UTC else None)


def columns_from_arrow(schema: pa.Schema) -> tuple[Column, ...]:
    """The columns of `schema`, in its order; columns of Arrow's null type have the type NULL.

    Extension types count as their storage types. Raises InputError that names the column for names
    that are empty, too long or duplicate, and for types without a logical type (interval, union,
    run-end encoded …).
    """
    check_column_names([field.name for field in schema])
    return tuple(Column(f.name, _from_arrow(f.type, f.name, depth=1)) for f in schema)


def check_column_names(names: list[str]) -> None:
    """Raises InputError unless there are at most MAX_FIELDS names, all different, of 1 to MAX_NAME
    bytes each."""
    check_column_count(len(names))
    for name, times in Counter(names).items():
        if not 0 < len(name.encode()) <= MAX_NAME:
            raise InputError(
                f"the column name {quoted(name)} is empty or longer than {MAX_NAME} bytes",
                hint="name every column; pandas writes its index without a name, unless you pass"
                " index=False to to_csv"
                if not name
                else "",
            )
        if times > 1:
            raise InputError(f"duplicate column name {quoted(name)} ({times} times)")


def check_column_count(columns: int) -> None:
    """Raises InputError for more than MAX_FIELDS."""
    if columns > MAX_FIELDS:
        raise InputError(f"{columns:,} columns, at most {MAX_FIELDS:,} are allowed")


def _from_arrow(arrow: pa.DataType, column: str, depth: int) -> LogicalType:
    if depth > MAX_DEPTH:
        raise InputError(f"column {quoted(column)} is nested deeper than {MAX_DEPTH}")
    kinds = pa.types
    if isinstance(arrow, pa.BaseExtensionType):
        return _from_arrow(arrow.storage_type, column, depth)
    if kinds.is_dictionary(arrow):
        return _from_arrow(arrow.value_type, column, depth)
    if kinds.is_map(arrow):
        key = _from_arrow(arrow.key_type, column, depth + 1)
        return Map(key, _from_arrow(arrow.item_type, column, depth + 1))
    if any(test(arrow) for test in LISTS):
        return List(_from_arrow(arrow.value_type, column, depth + 1))
    return (
        _struct_from_arrow(arrow, column, depth) if kinds.is_struct(arrow) else _flat(arrow, column)
    )


def _struct_from_arrow(arrow: pa.DataType, column: str, depth: int) -> Struct:
    fields = tuple(Column(f.name, _from_arrow(f.type, column, depth + 1)) for f in arrow.fields)
    if len({field.name for field in fields}) != len(fields):
        raise InputError(f"column {quoted(column)} has duplicate field names")
    return Struct(fields)


def _flat(arrow: pa.DataType, column: str) -> LogicalType:
    if pa.types.is_decimal(arrow) and abs(arrow.scale) <= MAX_SCALE:
        short = arrow.scale in SHORT_SCALES and not pa.types.is_decimal256(arrow)
        return Decimal(arrow.scale, short=short)
    if pa.types.is_timestamp(arrow):
        return with_form(TIMESTAMP if arrow.tz is None else TIMESTAMP_UTC, arrow.unit)
    if pa.types.is_duration(arrow):
        return with_form(DURATION, arrow.unit)
    if pa.types.is_uint64(arrow):
        return with_form(INT, "uint64")
    for test, scalar in _TESTS:
        if test(arrow):
            return scalar
    raise _unknown(arrow, column)


LISTS = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
)
_TESTS = (
    (pa.types.is_null, NULL),
    (pa.types.is_boolean, BOOL),
    (pa.types.is_integer, INT),
    (pa.types.is_float16, FLOAT16),
    (pa.types.is_float32, FLOAT32),
    (pa.types.is_float64, FLOAT64),
    (pa.types.is_string, TEXT),
    (pa.types.is_large_string, TEXT),
    (pa.types.is_string_view, TEXT),
    (pa.types.is_binary, BINARY),
    (pa.types.is_large_binary, BINARY),
    (pa.types.is_binary_view, BINARY),
    (pa.types.is_fixed_size_binary, BINARY),
    (pa.types.is_date, DATE),
    (pa.types.is_time, TIME),
)


def _unknown(arrow: pa.DataType, column: str) -> InputError:
    return InputError(
        f"column {quoted(column)} has the type {quoted(str(arrow))}, which cannot be hashed",
        hint="convert it to numbers, text, binary, times, or lists, structs and maps of these",
    )


# For each width: its integer type, and the bits of the canonical NaN.
NAN_BITS: dict[Scalar, tuple[type[np.unsignedinteger[Any]], int]] = {
    FLOAT16: (np.uint16, 0x7E00),
    FLOAT32: (np.uint32, 0x7FC0_0000),
    FLOAT64: (np.uint64, 0x7FF8_0000_0000_0000),
}
_FLOATS = {FLOAT16: np.float16, FLOAT32: np.float32, FLOAT64: np.float64}


def cast_batch(batch: pa.RecordBatch, columns: tuple[Column, ...]) -> pa.RecordBatch:
    """`batch` with the values of `columns` in the Arrow types of their logical types.

    Each of `columns` is in `batch` and has values of its logical type; other columns stay as they
    are. Raises InputError that names the column for a value that does not fit the delivered form.
    """
    arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
    for column in columns:
        try:
            arrays[column.name] = cast_array(arrays[column.name], column.type)
        except (pa.ArrowException, OverflowError) as error:
            raise _does_not_fit(column.name, str(error)) from None
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


def _does_not_fit(column: str, why: str) -> InputError:
    return InputError(
        f"column {quoted(column)} has a value that does not fit its type: {quoted(why)}",
        hint="convert the values, or start a new dataset: the first version determines the types of"
        " columns (docs/format/row.md, What is handed out)",
    )


def cast_array(  # noqa: PLR0911 - a case for each type
    array: pa.Array, logical: LogicalType
) -> pa.Array:
    """The values of `array`, which are of `logical`, in the Arrow type `to_arrow(logical)`.

    Names of files stay texts. Raises ArrowException for a value that does not fit.
    """
    array = without_dictionary(array)
    target = to_arrow(logical)
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), to_arrow(as_named(logical)))
    if array.type.equals(target) and not _has_floats(logical):
        return array
    match logical:
        case Scalar() if logical in NAN_BITS:
            return _with_canonical_nan(array, logical)
        case Scalar() | Decimal():
            return array.cast(pa.string() if logical == FILE else target)
        case Struct():
            return _struct(array, logical)
        case List():
            elements = cast_array(array.flatten(), logical.element)
            return pa.ListArray.from_arrays(_offsets(array), elements, mask=_nulls(array))
        case Map():
            pair = pa.struct([("key", array.type.key_type), ("value", array.type.item_type)])
            lists = array.cast(pa.large_list(pair))
            keys, values = lists.flatten().flatten()
            return pa.MapArray.from_arrays(
                _offsets(lists),
                cast_array(keys, logical.key),
                cast_array(values, logical.value),
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


def _with_canonical_nan(array: pa.Array, logical: Scalar) -> pa.Array:
    bits, nan = NAN_BITS[logical]
    validity, data = array.buffers()
    if data is None or not len(array):
        return array
    values = np.frombuffer(data, _FLOATS[logical], array.offset + len(array))
    if not (is_nan := np.isnan(values)).any():
        return array
    canonical = np.where(is_nan, bits(nan), values.view(bits))
    buffers = [validity, pa.py_buffer(canonical)]
    return pa.Array.from_buffers(array.type, len(array), buffers, offset=array.offset)


def _struct(array: pa.Array, logical: Struct) -> pa.Array:
    if not logical.fields:
        return array
    # flatten() makes children null where their parent is.
    names = [field.name for field in array.type.fields]
    children = dict(zip(names, array.flatten(), strict=True))
    arrays = [cast_array(children[field.name], field.type) for field in logical.fields]
    names = [field.name for field in logical.fields]
    return pa.StructArray.from_arrays(arrays, names=names, mask=_nulls(array))


def _offsets(lists: pa.Array) -> pa.Array:
    """Where each list begins and the last list ends, in the elements of the non-null lists."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    ends = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    return pa.array(ends).cast(pa.int32())


def _nulls(array: pa.Array) -> pa.Array | None:
    return array.is_null() if array.null_count else None


def to_storage_types(batch: pa.RecordBatch) -> pa.RecordBatch:
    """`batch` without extension types: the same buffers, and the metadata of its schema."""
    if not any(_has_extension(field.type) for field in batch.schema):
        return batch
    return pa.record_batch(_RetypedBatch(batch, storage_schema(batch.schema)))


def storage_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of the batches of `to_storage_types`."""
    return pa.schema([_storage_field(field) for field in schema], schema.metadata)


class _RetypedBatch:
    """A batch whose buffers are exported through Arrow's C data interface with another schema.

    The layout of an extension type is that of its storage.
    """

    def __init__(self, batch: pa.RecordBatch, schema: pa.Schema) -> None:
        self._batch = batch
        self._schema = schema

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[Any, Any]:
        return self._schema.__arrow_c_schema__(), self._batch.__arrow_c_array__()[1]


def _has_extension(arrow: pa.DataType, depth: int = 1) -> bool:
    """Whether `arrow` contains an extension type, down to the allowed depth."""
    if isinstance(arrow, pa.BaseExtensionType):
        return True
    if pa.types.is_dictionary(arrow):
        return _has_extension(arrow.value_type, depth)
    below = range(arrow.num_fields if depth <= MAX_DEPTH else 0)
    return any(_has_extension(arrow.field(number).type, depth + 1) for number in below)


def _storage_field(field: pa.Field) -> pa.Field:
    return field.with_type(_storage_type(field.type))


def _storage_type(arrow: pa.DataType) -> pa.DataType:
    """`arrow` without extension types."""
    while isinstance(arrow, pa.BaseExtensionType):
        arrow = arrow.storage_type
    if not _has_extension(arrow):
        return arrow
    kinds = pa.types
    if kinds.is_dictionary(arrow):
        return pa.dictionary(arrow.index_type, _storage_type(arrow.value_type), arrow.ordered)
    if kinds.is_map(arrow):
        key, value = (_storage_field(field) for field in (arrow.key_field, arrow.item_field))
        return pa.map_(key, value, arrow.keys_sorted)
    fields = [_storage_field(arrow.field(number)) for number in range(arrow.num_fields)]
    if kinds.is_struct(arrow):
        return pa.struct(fields)
    # Other nested types (unions …) are refused by name.
    for test, list_of in _LISTS:
        if test(arrow):
            return list_of(arrow, fields[0])
    return arrow


_LISTS: tuple[tuple[Any, Any], ...] = (
    (pa.types.is_list, lambda _, field: pa.list_(field)),
    (pa.types.is_large_list, lambda _, field: pa.large_list(field)),
    (pa.types.is_list_view, lambda _, field: pa.list_view(field)),
    (pa.types.is_large_list_view, lambda _, field: pa.large_list_view(field)),
    (pa.types.is_fixed_size_list, lambda arrow, field: pa.list_(field, arrow.list_size)),
)
