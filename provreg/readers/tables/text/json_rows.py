"""A chunk of JSON rows, one object a line, to Arrow batches under a given schema.

Arrow's parser of JSON does the work; it is only trusted with what it is known to read as Python's
does (`json_plain.py`). It takes NaN and several objects on a line, and it crashes on a leading
`null`. So every line is seen to be one object first, and all that comes out is validated.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as arrow_json

from provreg.core.encoding.text import quoted
from provreg.core.manifest.columns import nulls
from provreg.core.rows.arrow_types import to_arrow
from provreg.core.rows.column import (
    BOOL,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INT,
    JSON,
    MAX_DEPTH,
    MAX_FIELDS,
    NULL,
    SMALL,
    TEXT,
    Column,
    List,
    LogicalType,
    Map,
    Scalar,
    Struct,
    common_type,
    with_form,
)
from provreg.errors import InputError
from provreg.readers.data_files.source_file import ValueMismatchError
from provreg.readers.tables.text.json_plain import (
    KEYS_HINT,
    Path,
    batches_of,
    check_cells,
    most_rows,
    parsed_row,
    shown,
)
from provreg.readers.tables.text.typed_text import FIRST_ROUNDED, UNWRITTEN, parsed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

_BLANK = b" \t\r"
# Integers as long as the shortest that no float32 is.
_LONG = re.compile(rb"(?<![0-9.])[0-9]{8,}+(?![.eE])")
# What may be a key: texts before colons. Those with escapes are not looked for.
_KEYS = re.compile(rb'"([^"\\]*+)"[ \t\r]*+:')
_DIRECT = {
    NULL: pa.null(),
    BOOL: pa.bool_(),
    FLOAT32: pa.float32(),
    FLOAT64: pa.float64(),
}
_KINDS = {bool: BOOL, str: TEXT, type(None): NULL}
_LARGEST = 2**53  # up to which every integer is a float64


def json_lines_of(data: bytes) -> list[bytes]:
    """The lines of `data` that are not blank, without the blanks around them."""
    return [row for line in data.split(b"\n") if (row := line.strip(_BLANK))]


def batches_of_lines(
    data: bytes, columns: tuple[Column, ...], excluded: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """The rows of `data`: one JSON object a line, blank lines between them allowed.

    One batch, or as many as it takes (`json_plain.batches_of`). Raises ValueMismatchError at the
    first row that is not an object of `columns`; what it has under the keys `excluded` is not read.
    """
    before = 0
    for lines, count, names in _parts(data, columns):
        try:
            yield from (
                _plainly(lines, columns, excluded)
                if (batch := _trusted(lines, count, columns, names, excluded)) is None
                else [batch]
            )
        except ValueMismatchError as misfit:
            raise misfit.after(before) from None
        before += count


def _trusted(
    lines: bytes,
    count: int,
    columns: tuple[Column, ...],
    names: set[bytes] | None,
    excluded: Collection[str],
) -> pa.RecordBatch | None:
    """The rows of `lines` by Arrow's parser; None where it cannot be trusted with them."""
    try:
        return _by_arrow(lines, count, columns, names, excluded)
    except (pa.ArrowInvalid, ValueMismatchError):
        return None


def _plainly(
    lines: bytes, columns: tuple[Column, ...], excluded: Collection[str]
) -> Iterator[pa.RecordBatch]:
    rows = [parsed_row(line, number) for number, line in enumerate(json_lines_of(lines))]
    for row in rows if excluded else ():
        for name in excluded:
            row.pop(name, None)
    return batches_of(rows, columns)


def batches_at_once(
    data: bytes, columns: tuple[Column, ...], excluded: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """As `batches_of_lines`, parsing all rows together; columns may have the type NULL.

    Raises ValueMismatchError without a row, also for valid rows that only parsing line by line can
    accept, and InputError as `check_types`.
    """
    check_types(columns)
    found = False
    for lines, count, names in _parts(data, columns):
        try:
            batch = _by_arrow(lines, count, columns, names, excluded)
        except pa.ArrowInvalid as error:
            raise ValueMismatchError(str(error), row=0) from None
        yield batch
        found = True
    if not found:
        raise ValueMismatchError("no rows", row=0)


def check_types(columns: tuple[Column, ...]) -> None:
    """Raises InputError, naming the column, for types that JSON cannot hold."""
    for column in columns:
        if _unwritten(column.type):
            raise InputError(f"the type of column {quoted(column.name)} cannot be read from JSON")


def _unwritten(logical: LogicalType) -> bool:
    match logical:
        case List():
            return _unwritten(logical.element)
        case Map():
            return _unwritten(logical.key) or _unwritten(logical.value)
        case Struct():
            return any(_unwritten(field.type) for field in logical.fields)
    return logical in UNWRITTEN


def _lines(data: bytes) -> tuple[bytes, int]:
    """`data` as lines that begin with `{` and end with `}`, and their number.

    A line can then only hold whole objects: after the `}` nothing but a new one could begin with a
    `{`. As many objects as lines are one a line. Raises ValueMismatchError.
    """
    characters = np.frombuffer(data, np.uint8)
    breaks = np.flatnonzero(characters == ord("\n"))
    if not (
        data.startswith(b"{")
        and data.endswith(b"}\n")
        and (characters[breaks - 1] == ord("}")).all()
        and (characters[breaks[:-1] + 1] == ord("{")).all()
    ):
        lines = json_lines_of(data)
        for row, line in enumerate(lines):
            if not (line.startswith(b"{") and line.endswith(b"}")):
                raise ValueMismatchError(
                    "not one JSON object on one line",
                    row=row,
                    hint="JSON Lines have one object a line; the file may also be cut off",
                )
        return b"".join(line + b"\n" for line in lines), len(lines)
    return data, len(breaks)


def _parts(
    data: bytes, columns: tuple[Column, ...]
) -> Iterator[tuple[bytes, int, set[bytes] | None]]:
    """The lines of `data`, as many at a time as are to be in one batch, their number, and what may
    be keys in them, None for anything. Raises ValueMismatchError."""
    lines, count = _lines(data)
    check_cells(lines, count, columns)
    step = most_rows(columns)
    if count <= step:
        if count:
            yield lines, count, None
        return
    ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n")) + 1
    starts = np.append(0, ends)[:count:step].tolist()
    for k, (start, stop) in enumerate(zip(starts, [*starts[1:], len(lines)], strict=True)):
        # Rows lack most of so many fields, and Arrow takes time for each field in each row.
        part = lines[start:stop]
        yield part, min(step, count - k * step), _names_in(part)


def _by_arrow(
    lines: bytes,
    count: int,
    columns: tuple[Column, ...],
    names: set[bytes] | None,
    excluded: Collection[str],
) -> pa.RecordBatch:
    """The rows of `lines`, by Arrow's parser.

    Raises ArrowInvalid or ValueMismatchError without a row, also where Arrow's parser cannot be
    trusted with the lines.
    """
    schema = _schema(columns, names)
    _check_text(lines)
    table = arrow_json.read_json(
        pa.BufferReader(lines),
        arrow_json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
        arrow_json.ParseOptions(
            explicit_schema=schema,
            unexpected_field_behavior="infer" if excluded else "error",
        ),
    )
    if excluded:
        table = _without(table, schema, excluded)
    table.validate(full=True)
    if table.num_rows != count:
        raise pa.ArrowInvalid("more than one object on a line")
    found = dict(zip(table.column_names, table.columns, strict=True))
    arrays = [
        _finished(found[column.name].combine_chunks(), column.type, lines)
        if column.name in found
        else nulls(pa.null(), count)
        for column in columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def _without(table: pa.Table, schema: pa.Schema, excluded: Collection[str]) -> pa.Table:
    """`table` without `excluded` columns. Raises ArrowInvalid for any other column or field that is
    not in `schema`."""
    read = [name for name in table.column_names if name not in excluded]
    found = table.select(read)
    if set(read) - set(schema.names) or any(
        found.schema.field(name).type != schema.field(name).type for name in read
    ):
        raise pa.ArrowInvalid("a column that is not in the schema")
    return found


def _schema(columns: tuple[Column, ...], names: set[bytes] | None) -> pa.Schema:
    """What Arrow is asked for: the columns, and fields of structs, that have these `names`."""
    held = [column for column in columns if names is None or column.name.encode() in names]
    return pa.schema([(column.name, _transport(column.type, names)) for column in held])


def _names_in(lines: bytes) -> set[bytes] | None:
    """What may be a key in `lines`, None for anything. Arrow refuses one that is not found here."""
    return None if b"\\" in lines else set(_KEYS.findall(lines))


def _check_text(lines: bytes) -> None:
    """Raises ArrowInvalid for what is not UTF-8; in a quarter of the time that decoding takes."""
    ends = np.array([0, len(lines)], np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(lines)]
    pa.Array.from_buffers(pa.large_string(), 1, buffers).validate(full=True)


def _transport(logical: LogicalType, names: set[bytes] | None) -> pa.DataType:
    """The Arrow type to parse JSON into: text for what JSON has no values of its own for.

    Structs have only the fields of these `names`, where they are known.
    Raises ValueMismatchError for types of which Arrow accepts invalid forms, or rounds twice.
    """
    match logical:
        case List():
            return pa.list_(_transport(logical.element, names))
        case Struct():
            held = [f for f in logical.fields if names is None or f.name.encode() in names]
            return pa.struct([(f.name, _transport(f.type, names)) for f in held])
        case Map():
            key, value = _transport(logical.key, names), _transport(logical.value, names)
            return pa.list_(pa.struct([("key", key), ("value", value)]))
        case Scalar() if logical not in (JSON, FLOAT16):
            return to_arrow(logical) if logical == INT else _DIRECT.get(logical, pa.string())
    raise ValueMismatchError("values to be read as they are written", row=0)


def _finished(array: pa.Array, logical: LogicalType, lines: bytes) -> pa.Array:
    """`array`, of the transport type, as values of `logical`. Raises ValueMismatchError."""
    match logical:
        case List():
            values = _finished(array.values, logical.element, lines)
            return pa.ListArray.from_arrays(array.offsets, values, mask=array.is_null())
        case Struct():
            found = {name: array.field(k) for k, name in enumerate(array.type.names)}
            children = [
                _finished(found[field.name], field.type, lines)
                if field.name in found
                else nulls(pa.null(), len(array))
                for field in logical.fields
            ]
            fields = [
                pa.field(field.name, child.type)
                for field, child in zip(logical.fields, children, strict=True)
            ]
            return _struct(children, fields, array)
        case Map():
            return _map(array, logical, lines)
        case Scalar():
            return _finished_scalar(array, logical, lines)
    return array


def _struct(children: list[pa.Array], fields: list[pa.Field], like: pa.Array) -> pa.Array:
    if not fields:
        return like
    return pa.StructArray.from_arrays(children, fields=fields, mask=like.is_null())


def _map(array: pa.Array, logical: Map, lines: bytes) -> pa.Array:
    pairs = array.values
    if pairs.null_count or pairs.field(0).null_count:
        raise ValueMismatchError("a map's pair or key is null", row=0)
    keys = _finished(pairs.field(0), logical.key, lines)
    values = _finished(pairs.field(1), logical.value, lines)
    return pa.MapArray.from_arrays(array.offsets, keys, values, mask=array.is_null())


def _finished_scalar(array: pa.Array, logical: Scalar, lines: bytes) -> pa.Array:
    if logical in (FLOAT32, FLOAT64):
        largest = pc.max(pc.abs(array)).as_py()
        if not np.isfinite(pc.fill_null(array, 0.0).to_numpy()).all():
            raise ValueMismatchError("NaN or infinite numbers", row=0)
        if largest is not None and largest >= FIRST_ROUNDED[logical] and _LONG.search(lines):
            raise ValueMismatchError("perhaps integers that would be rounded", row=0)
        return array
    if pa.types.is_string(array.type) and logical != TEXT:
        return parsed(array, logical)
    return array


class UntypedError(Exception):
    """Values that no type holds. Never leaves the readers: who knows the row makes it an
    InputError."""

    def __init__(self, path: Path, complaint: str, hint: str) -> None:
        super().__init__(path, complaint, hint)
        self.complaint = f"{shown(path) if path else 'the table'} {complaint}"
        self.hint = hint


def inferred(rows: Sequence[dict[str, Any]], declared: frozenset[str]) -> dict[str, LogicalType]:
    """The columns of `rows` in the order of their first appearance, but for those `declared`.

    NULL where there were only nulls. Raises UntypedError for values of two types (integers among
    floats are floats), integers beyond 64 bits, infinite numbers and more fields than there may be.
    """
    return {
        name: _inferred(values, (name,))
        for name, values in _by_key(rows).items()
        if name not in declared
    }


def _by_key(objects: Iterable[dict[str, Any]], path: Path = ()) -> dict[str, list[Any]]:
    """The values that stand under each key; nothing for objects that lack it."""
    values: dict[str, list[Any]] = {}
    for object_ in objects:
        for name, value in object_.items():
            values.setdefault(name, []).append(value)
        if len(values) > MAX_FIELDS:
            raise UntypedError(
                path,
                f"has more than {MAX_FIELDS:,} different keys",
                KEYS_HINT + (f", or take it as text: --column {path[0]}:json" if path else ""),
            )
    return values


def merge_columns(columns: dict[str, LogicalType], found: dict[str, LogicalType]) -> None:
    """Takes what was `found` further down into `columns`. Raises UntypedError."""
    for name, logical in found.items():
        columns[name] = _merged(columns.get(name, NULL), logical, (name,))


def _merged(left: LogicalType, right: LogicalType, path: Path) -> LogicalType:
    both = common_type(left, right, json=True)
    if both is None:
        raise UntypedError(
            _apart(left, right, path),
            "holds values of two types",
            f"make them of one type, or take all as text: --column {path[0]}:json",
        )
    return both


def _apart(left: LogicalType, right: LogicalType, path: Path) -> Path:
    """Where two types that do not fit together differ, as deep as can be said."""
    match left, right:
        case List(), List():
            return _apart(left.element, right.element, (*path, "[]"))
        case Struct(), Struct():
            types = {field.name: field.type for field in left.fields}
            for field in right.fields:
                before = types.get(field.name, NULL)
                if common_type(before, field.type, json=True) is None:
                    return _apart(before, field.type, (*path, field.name))
    return path


def _inferred(values: list[Any], path: Path) -> LogicalType:
    if len(path) > MAX_DEPTH:
        hint = f"take it as text: --column {path[0]}:json"
        raise UntypedError(path, f"is nested deeper than {MAX_DEPTH}", hint)
    logical: LogicalType = NULL
    for kind in dict.fromkeys(map(type, values)):
        found = _KINDS.get(kind) or _checked(kind, [v for v in values if type(v) is kind], path)
        if {logical, found} == {INT, FLOAT64}:
            _check_floats([v for v in values if type(v) is int], path)
        logical = _merged(logical, found, path)
    return logical


def _checked(kind: type, values: list[Any], path: Path) -> LogicalType:
    """The type of `values`, all of one kind, where more than the kind has to be looked at."""
    if kind is list:
        return List(_inferred(list(chain.from_iterable(values)), (*path, "[]")))
    if kind is dict:
        return Struct(
            tuple(
                Column(name, _inferred(under, (*path, name)))
                for name, under in _by_key(values, path).items()
            )
        )
    if kind is int:
        if min(values) < -(2**63) or max(values) >= 2**64:
            raise UntypedError(path, "holds integers beyond 64 bits", "write them as text")
        # Beside such of 2**63 and more, which are refused when read: floats may be among them.
        if min(values) < 0:
            return INT
        return with_form(INT, "uint64") if max(values) >= 2**63 else SMALL
    if not np.isfinite(values).all():
        complaint = "holds NaN, infinite numbers, or such beyond the range of floats"
        raise UntypedError(path, complaint, "JSON has none of these: write null")
    return FLOAT64


def _check_floats(integers: list[int], path: Path) -> None:
    """For integers that stand among floats."""
    if max(map(abs, integers)) > _LARGEST and any(
        int(float(number)) != number for number in integers
    ):
        complaint = "holds floats, and integers so large that they would be rounded"
        raise UntypedError(path, complaint, "write all of them with a point, or as text")
