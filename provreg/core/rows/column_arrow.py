"""Logical column types in Arrow: which Arrow types they are of, and the one they are held in."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from provreg.core.encoding.text import quoted
from provreg.core.rows.column import (
    BINARY,
    BOOL,
    DATE,
    DURATION,
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
    held_in,
)
from provreg.errors import InputError

# How the values of a scalar are held, unless its type says otherwise.
_ARROW = {
    BOOL: pa.bool_(), INT: pa.int64(), TEXT: pa.string(), BINARY: pa.binary(),
    FLOAT16: pa.float16(), FLOAT32: pa.float32(), FLOAT64: pa.float64(),
    TIMESTAMP: pa.timestamp("us"), TIMESTAMP_UTC: pa.timestamp("us", tz="UTC"),
    DATE: pa.date32(), TIME: pa.time64("ns"), DURATION: pa.duration("ns"), JSON: pa.string(),
}  # fmt: skip


def to_arrow(logical: LogicalType) -> pa.DataType:
    """The Arrow type in which values are held and handed out. It depends on `logical` alone."""
    match logical:
        case Scalar():
            return _ARROW[logical] if logical.held is None else _held(logical)
        case Decimal():
            bits, digits = (pa.decimal128, 38) if logical.short else (pa.decimal256, 76)
            return bits(digits, logical.scale)
        case List():
            return pa.list_(to_arrow(logical.element))
        case Struct():
            return pa.struct([pa.field(f.name, to_arrow(f.type)) for f in logical.fields])
        case Map():
            return pa.map_(to_arrow(logical.key), to_arrow(logical.value))


def _held(logical: Scalar) -> pa.DataType:
    if logical == INT:
        return pa.uint64() if logical.held == "uint64" else pa.int64()
    if logical == DURATION:
        return pa.duration(logical.held)
    return pa.timestamp(logical.held, tz="UTC" if logical == TIMESTAMP_UTC else None)


def columns_from_arrow(schema: pa.Schema) -> tuple[Column, ...]:
    """The columns of `schema`, in its order; columns of Arrow's null type have the type NULL.

    Extension types count as what they are stored as. Raises InputError, naming the column, for
    names that are empty, too long or stand twice, and for types without a logical type (interval,
    union, run-end encoded …).
    """
    check_names([field.name for field in schema])
    return tuple(Column(f.name, _from_arrow(f.type, f.name, depth=1)) for f in schema)


def check_names(names: list[str]) -> None:
    """Raises InputError unless every name has 1 to MAX_NAME bytes and stands once, and there are at
    most MAX_FIELDS."""
    check_count(len(names))
    for name, times in Counter(names).items():
        if not 0 < len(name.encode()) <= MAX_NAME:
            raise InputError(
                f"the column name {quoted(name)} is empty or longer than {MAX_NAME} bytes",
                hint="name every column; pandas writes its index without a name unless told:"
                " to_csv(…, index=False)"
                if not name
                else "",
            )
        if times > 1:
            raise InputError(f"the column name {quoted(name)} stands {times} times")


def check_count(columns: int) -> None:
    """Raises InputError for more than MAX_FIELDS."""
    if columns > MAX_FIELDS:
        raise InputError(f"there are {columns:,} columns, more than {MAX_FIELDS:,}")


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
        raise InputError(f"column {quoted(column)} has a field whose name stands twice")
    return Struct(fields)


def _flat(arrow: pa.DataType, column: str) -> LogicalType:
    if pa.types.is_decimal(arrow) and abs(arrow.scale) <= MAX_SCALE:
        short = arrow.scale in SHORT_SCALES and not pa.types.is_decimal256(arrow)
        return Decimal(arrow.scale, short=short)
    if pa.types.is_timestamp(arrow):
        return held_in(TIMESTAMP if arrow.tz is None else TIMESTAMP_UTC, arrow.unit)
    if pa.types.is_duration(arrow):
        return held_in(DURATION, arrow.unit)
    if pa.types.is_uint64(arrow):
        return held_in(INT, "uint64")
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
