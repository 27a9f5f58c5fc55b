"""Rows of JSON by Python's parser: every value as it is written, so that nothing is rounded twice.

This is how rows are read (docs/format/row.md, "Values from text"). Arrow's parser (`json_rows.py`)
is many times as fast, and reads what it can be trusted with; all else is read here.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from provreg.core.encoding.canonical import canonical, refuse_constant, unique_keys
from provreg.core.encoding.text import quoted
from provreg.core.rows.arrow_types import to_arrow
from provreg.core.rows.column import (
    BOOL,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INT,
    JSON,
    MAX_DEPTH,
    Column,
    Decimal,
    List,
    LogicalType,
    Map,
    Scalar,
    Struct,
    final_type,
)
from provreg.errors import FormatError
from provreg.readers.data_files.source_file import ValueMismatchError, columns_hint
from provreg.readers.tables.text.typed_text import exact, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Path: TypeAlias = tuple[str, ...]

KEYS_HINT = 'where keys are data, write a list of pairs, [{"key": …, "value": …}]'
_MOST_CELLS = 1 << 22
# Values and gaps that a byte of JSON may stand for, and as many more.
_CELLS_A_BYTE, _FREE_CELLS = 64, 10_000_000
# Cells of lists count this often: all those of a row are in memory together.
_IN_LISTS = 8
_SHORTEST = 3  # bytes of an object in a list, with its comma
_NULL_ELEMENT = re.compile(rb"[\[,][ \t\r]*+null")
_LARGEST = 2**53 - 1  # as an integer in canonical JSON
_WITH_EXPONENT = 1e21  # from here on numbers are written with an exponent there


class Number(str):
    """A number as it is written."""

    __slots__ = ()


_NUMBERS: frozenset[LogicalType] = frozenset({INT, FLOAT16, FLOAT32, FLOAT64})


def parsed_row(line: bytes, number: int) -> dict[str, Any]:
    """The object on a line, its numbers as Number.

    Raises ValueMismatchError at the row `number`.
    """
    try:
        row = _parsed(line.decode())
    except UnicodeDecodeError:
        raise ValueMismatchError("not UTF-8", row=number) from None
    except ValueError as error:
        raise ValueMismatchError(f"not a JSON object: {quoted(str(error))}", row=number) from None
    if not isinstance(row, dict):
        raise ValueMismatchError("not a JSON object", row=number)
    return row


def parsed_texts(texts: pa.Array) -> pa.Array:
    """Texts that are JSON, each as the canonical text of its value. Raises ValueMismatchError."""
    found: list[str | None] = []
    for row, text in enumerate(texts.to_pylist()):
        try:
            value = None if text is None else _parsed(text)
            found.append(None if value is None else _canonical(value))
        except ValueError as error:
            raise ValueMismatchError(f"{quoted(text)} is no json: {error}", row=row) from None
    return pa.array(found, pa.string())


def _parsed(text: str) -> Any:
    """A JSON text, its numbers as Number. Raises ValueError."""
    try:
        value = json.loads(
            text,
            object_pairs_hook=unique_keys,
            parse_constant=refuse_constant,
            parse_int=Number,
            parse_float=Number,
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a text holds half of a surrogate pair") from None
    except RecursionError:
        raise ValueError("nested too deep") from None
    return value


def batches_of(
    rows: Sequence[dict[str, Any]], columns: tuple[Column, ...]
) -> Iterator[pa.RecordBatch]:
    """`rows` as values of `columns`, in as many batches as it takes.

    Raises ValueMismatchError at the first row that is not of these columns.
    """
    start, most = 0, most_rows(columns)
    size = most
    while start < len(rows):
        part = rows[start : start + size]
        try:
            batch = _batch(part, columns)
        except (ValueError, ValueMismatchError) as error:
            if len(part) == 1:
                if isinstance(error, ValueMismatchError):
                    raise error.after(start) from None
                raise ValueMismatchError(str(error), row=start) from None
            size = len(part) // 2
            continue
        yield batch
        start += len(part)
        size = min(2 * len(part), most)


def most_rows(columns: tuple[Column, ...]) -> int:
    """How many rows a batch has at most: where there are very many fields, most of them hold
    nothing, and take memory."""
    fields = sum(_width(column.type) for column in columns)
    return max(1, _MOST_CELLS // max(1, fields))


def check_cells(lines: bytes, rows: int, columns: tuple[Column, ...]) -> None:
    """Raises ValueMismatchError where the objects of these `rows` make far more cells, empty ones
    included, than their bytes can hold: each cell would take time and memory."""
    if few_cells(len(lines), rows, columns):
        return
    objects = lines.count(b"{") - rows + len(_NULL_ELEMENT.findall(lines))
    if not few_cells(len(lines), rows, columns, objects):
        fields = sum(_width(column.type) for column in columns)
        complaint = f"of {fields:,} fields almost none holds a value here: keys are data"
        raise ValueMismatchError(complaint, row=0, hint=f"{KEYS_HINT}, or take the column as json")


def few_cells(
    size: int, rows: int, columns: tuple[Column, ...], objects: int | None = None
) -> bool:
    """Whether `size` bytes may hold `rows` of `columns`, with so many objects in lists, or as many
    as there can be."""
    fields = sum(_width(column.type) for column in columns)
    listed = max((_listed(column.type) for column in columns), default=0)
    cells = rows * fields + _IN_LISTS * listed * (size // _SHORTEST if objects is None else objects)
    return cells <= _CELLS_A_BYTE * size + _FREE_CELLS


def _listed(logical: LogicalType) -> int:
    """The fields that an element of a list has, at most."""
    match logical:
        case Struct():
            return max((_listed(field.type) for field in logical.fields), default=0)
        case List():
            return _width(logical.element)
        case Map():
            return 1 + _width(logical.key) + _width(logical.value)
    return 0


def _width(logical: LogicalType) -> int:
    match logical:
        case Struct():
            return 1 + sum(_width(field.type) for field in logical.fields)
        case List():
            return 1 + _width(logical.element)
        case Map():
            return 1 + _width(logical.key) + _width(logical.value)
    return 1


def _batch(rows: Sequence[dict[str, Any]], columns: tuple[Column, ...]) -> pa.RecordBatch:
    _check_keys(rows, columns, ())
    arrays = [_built([row.get(c.name) for row in rows], c.type, (c.name,)) for c in columns]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def _check_keys(values: Sequence[Any], columns: tuple[Column, ...], path: Path) -> None:
    known = {column.name for column in columns}
    for name in dict.fromkeys(chain.from_iterable(filter(None, values))):
        if name not in known:
            if path:
                where = f" in {shown(path)}"
                raise ValueError(f"the column {quoted(name)}{where} is not in the schema")
            complaint = f"the column {quoted(name)} is not in the schema"
            raise ValueMismatchError(complaint, row=0, hint=columns_hint(name))


def _built(values: list[Any], logical: LogicalType, path: Path) -> pa.Array:
    """Raises ValueError, and ValueMismatchError, at any row, with a hint."""
    match logical:
        case Struct():
            _require(values, dict, logical, path)
            return _struct(values, logical, path)
        case List():
            _require(values, list, logical, path)
            elements = list(chain.from_iterable(filter(None, values)))
            array = _built(elements, logical.element, (*path, "[]"))
            return pa.ListArray.from_arrays(_offsets(values), array, mask=_nulls(values))
        case Map():
            _require(values, list, logical, path)
            return _map(values, logical, path)
    return _leaves(values, logical, path)


def _require(values: list[Any], kind: type, logical: LogicalType, path: Path) -> None:
    for value in values:
        if value is not None and type(value) is not kind:
            raise _wrong(value, logical, path)


def _struct(values: list[Any], logical: Struct, path: Path) -> pa.Array:
    _check_keys(values, logical.fields, path)
    if not logical.fields:
        return pa.array(values, to_arrow(logical))
    children = [
        _built([None if v is None else v.get(f.name) for v in values], f.type, (*path, f.name))
        for f in logical.fields
    ]
    fields = [pa.field(f.name, c.type) for f, c in zip(logical.fields, children, strict=True)]
    return pa.StructArray.from_arrays(children, fields=fields, mask=_nulls(values))


def _map(values: list[Any], logical: Map, path: Path) -> pa.Array:
    pairs = list(chain.from_iterable(filter(None, values)))
    for pair in pairs:
        if type(pair) is not dict or pair.get("key") is None:
            raise ValueError(f'{shown(path)} is not an array of {{"key", "value"}}')
    kind = Struct((Column("key", logical.key), Column("value", logical.value)))
    struct = _struct(pairs, kind, (*path, "[]"))
    keys, items = struct.field(0), struct.field(1)
    return pa.MapArray.from_arrays(_offsets(values), keys, items, mask=_nulls(values))


def _offsets(values: list[Any]) -> pa.Array:
    offsets = [0]
    for value in values:
        offsets.append(offsets[-1] + len(value or ()))
    return pa.array(offsets, pa.int32())


def _nulls(values: list[Any]) -> pa.Array:
    return pa.array([value is None for value in values], pa.bool_())


def _leaves(values: list[Any], logical: LogicalType, path: Path) -> pa.Array:
    if logical == JSON:
        try:
            texts = [None if value is None else _canonical(value) for value in values]
        except ValueError as error:
            raise ValueError(f"{shown(path)}: {error}") from None
        return pa.array(texts, pa.string())
    logical = final_type(logical)
    if logical == BOOL:
        _require(values, bool, logical, path)
        return pa.array(values, pa.bool_())
    if isinstance(logical, Decimal):
        kinds: tuple[type, ...] = (Number, str)
    else:
        kinds = (Number,) if logical in _NUMBERS else (str,)
    for value in values:
        if value is not None and type(value) not in kinds:
            raise _wrong(value, logical, path)
    try:
        return parsed(pa.array(values, pa.string()), logical)  # type: ignore[arg-type]
    except ValueMismatchError as misfit:
        complaint = f"{shown(path)}: {misfit.complaint}"
        raise ValueMismatchError(complaint, row=0, hint=misfit.hint) from None


def _canonical(value: Any) -> str:
    """A value of any kind as RFC 8785 text. Raises ValueError."""
    try:
        return canonical(_numbered(value, MAX_DEPTH)).decode()
    except FormatError as error:
        raise ValueError(error.message) from None


def _numbered(value: Any, depth: int) -> Any:
    """`value` with numbers that are numbers. Raises ValueError."""
    if type(value) is Number:
        return _number(value)
    if type(value) in (dict, list) and not depth:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if type(value) is list:
        return [_numbered(element, depth - 1) for element in value]
    if type(value) is dict:
        return {key: _numbered(child, depth - 1) for key, child in value.items()}
    return value


def _number(text: str) -> int | float:
    value = float(text)
    if value - value:
        raise ValueError(f"{quoted(text)} is beyond the range of numbers")
    # Canonical JSON writes these as integers, some of others' digits, which readers round or not.
    if _LARGEST < abs(value) < _WITH_EXPONENT:
        raise ValueError(f"{quoted(text)} is a number that readers of JSON may round")
    if not text.lstrip("-").isdigit():
        return value
    if exact(text) != Fraction(value):
        raise ValueError(f"{quoted(text)} is a number that readers of JSON may round")
    return value if abs(value) > _LARGEST else int(text)


def _wrong(value: Any, logical: LogicalType, path: Path) -> ValueError:
    name = logical.name if isinstance(logical, Scalar) else type(logical).__name__.lower()
    shape = "an object" if type(value) is dict else "an array" if type(value) is list else None
    written = shape or quoted(json.dumps(value) if isinstance(value, bool) else str(value))
    return ValueError(f"{shown(path)}: {written} is no {name}")


def shown(path: Path) -> str:
    """A column, and the place in it, for messages."""
    return "column " + quoted(".".join(path))
