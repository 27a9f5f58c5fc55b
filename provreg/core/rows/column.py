"""The columns of a table and their logical types (docs/format/row.md, "Types").

A logical type is independent of the stored width: int8 and uint64 are both `int`. In heads it is
JSON: the name of a scalar, or an object with one key: `{"decimal": scale}`, `{"list": T}`,
`{"struct": [{"name": …, "type": T}, …]}` or `{"map": [K, V]}`.

A `file` is stored as text, the name of a file; its value is the file's bytes and that name.

The type, which is signed, also determines the Arrow type in which values are delivered: the default
form of the scalar, or a wider one: `{"int": "uint64"}`, `{"timestamp": "ns"}`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import quoted
from provreg.errors import FormatError

MAX_DEPTH = 16
MAX_FIELDS = 16_384
MAX_NAME = 4096
MAX_SCALE = 76


@dataclass(frozen=True, slots=True)
class Scalar:
    """A type without parameters, by its name in JSON.

    `form` is the form in which values are delivered, None for the default; it does not count when
    types are compared.
    """

    name: str
    form: str | None = dataclasses.field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Decimal:
    """Decimal numbers with `scale` digits after the point (before it, if negative).

    They are delivered in 256 bits, or in 128 if `short`, which does not count when types are
    compared.
    """

    scale: int
    short: bool = dataclasses.field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class List:
    element: LogicalType


@dataclass(frozen=True, slots=True)
class Struct:
    """Named fields; their order does not affect hashes."""

    fields: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Map:
    key: LogicalType
    value: LogicalType


LogicalType = Scalar | Decimal | List | Struct | Map


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or a field of a struct."""

    name: str
    type: LogicalType


BOOL, INT, TEXT, BINARY = Scalar("bool"), Scalar("int"), Scalar("text"), Scalar("binary")
FLOAT16, FLOAT32, FLOAT64 = Scalar("float16"), Scalar("float32"), Scalar("float64")
TIMESTAMP, TIMESTAMP_UTC = Scalar("timestamp"), Scalar("timestamp-utc")
DATE, TIME, DURATION = Scalar("date"), Scalar("time"), Scalar("duration")
JSON = Scalar("json")  # any JSON value, as its canonical text
FILE = Scalar("file")  # the bytes of a file that the data name, and the name
# Files in Arrow: as they are delivered, and as they are hashed once their bytes have been read.
FILE_BYTES = Struct((Column("bytes", BINARY), Column("path", TEXT)))
FILE_DIGESTS = Struct((Column("blake3", BINARY), Column("path", TEXT), Column("size", INT)))

# Only nulls so far. It fits every type and is never written.
NULL = Scalar("null")

# Integers of JSON that fit any form so far; never written.
SMALL = Scalar("int", "small")

# The forms of a scalar, from the smallest range to the largest.
_UNITS = ("s", "ms", "us", "ns")
DELIVERY_FORMS: dict[str, tuple[str, ...]] = {
    INT.name: ("int64", "uint64"),
    TIMESTAMP.name: _UNITS,
    TIMESTAMP_UTC.name: _UNITS,
    DURATION.name: _UNITS,
}
DEFAULT_FORM = {
    INT.name: "int64", TIMESTAMP.name: "us", TIMESTAMP_UTC.name: "us", DURATION.name: "ns",
}  # fmt: skip
# Scales of decimals that have a short form.
SHORT_SCALES = range(39)

_SCALARS = {
    scalar.name: scalar
    for scalar in (
        BOOL, INT, TEXT, BINARY, FLOAT16, FLOAT32, FLOAT64,
        TIMESTAMP, TIMESTAMP_UTC, DATE, TIME, DURATION, JSON, FILE,
    )
}  # fmt: skip


def columns_to_json(columns: tuple[Column, ...]) -> list[dict[str, Any]]:
    """The JSON form of a column schema, in its order."""
    return [{"name": column.name, "type": type_to_json(column.type)} for column in columns]


def type_to_json(logical: LogicalType) -> Any:
    match logical:
        case Scalar():
            return logical.name if logical.form is None else {logical.name: logical.form}
        case Decimal():
            return {"decimal128" if logical.short else "decimal": logical.scale}
        case List():
            return {"list": type_to_json(logical.element)}
        case Struct():
            return {"struct": columns_to_json(logical.fields)}
        case Map():
            return {"map": [type_to_json(logical.key), type_to_json(logical.value)]}


def columns_from_json(document: Any, what: str) -> tuple[Column, ...]:
    """The strict inverse of `columns_to_json`; `what` names the document in messages.

    Raises FormatError, also for duplicate names, types nested deeper than MAX_DEPTH, and more than
    MAX_FIELDS columns and fields in total.
    """
    return _Parser(what).columns(document, depth=0)


def type_from_json(document: Any, what: str) -> LogicalType:
    """The strict inverse of `type_to_json`. Raises FormatError."""
    return _Parser(what).type(document, depth=1)


class _Parser:
    def __init__(self, what: str) -> None:
        self._what = what
        self._left = MAX_FIELDS

    def columns(self, document: Any, depth: int) -> tuple[Column, ...]:
        if not isinstance(document, list):
            raise self._wrong("columns are not an array")
        self._left -= len(document)
        if self._left < 0:
            raise self._wrong(f"more than {MAX_FIELDS} columns")
        columns = tuple(self._column(item, depth) for item in document)
        if len({column.name for column in columns}) != len(columns):
            raise self._wrong("duplicate column name")
        return columns

    def _column(self, document: Any, depth: int) -> Column:
        fields = Fields(document, f"{self._what}: a column")
        column = Column(
            fields.text("name", limit=MAX_NAME), self.type(fields.raw("type"), depth + 1)
        )
        fields.done()
        return column

    def type(self, document: Any, depth: int) -> LogicalType:
        if depth > MAX_DEPTH:
            raise self._wrong(f"types are nested deeper than {MAX_DEPTH}")
        if isinstance(document, str):
            if document not in _SCALARS:
                raise self._wrong(f"unknown type {quoted(document)}")
            return _SCALARS[document]
        match document:
            case {"decimal": int(scale), **rest} if not rest and not isinstance(scale, bool):
                if abs(scale) > MAX_SCALE:
                    raise self._wrong(
                        f"a decimal has the scale {scale}, at most {MAX_SCALE} is allowed"
                    )
                return Decimal(scale)
            case {"list": element, **rest} if not rest:
                return List(self.type(element, depth + 1))
            case {"struct": fields, **rest} if not rest:
                return Struct(self.columns(fields, depth))
            case {"map": [key, value], **rest} if not rest:
                found = Map(self.type(key, depth + 1), self.type(value, depth + 1))
                if has_files(found):
                    raise self._wrong("a map holds files")
                return found
        return self._with_form(document)

    def _with_form(self, document: Any) -> Scalar | Decimal:
        """A type with a form other than the default, which is never written."""
        match document:
            case {"decimal128": int(scale), **rest} if not rest and not isinstance(scale, bool):
                if scale not in SHORT_SCALES:
                    raise self._wrong(f"a decimal of scale {scale} has no short form")
                return Decimal(scale, short=True)
            case dict() if len(document) == 1:
                [(name, form)] = document.items()
                if form in DELIVERY_FORMS.get(name, ()) and form != DEFAULT_FORM[name]:
                    return Scalar(name, form)
        raise self._wrong("not a type")

    def _wrong(self, complaint: str) -> FormatError:
        return FormatError(f"{self._what}: {complaint}")


def common_type(  # noqa: PLR0911 - a case for each type
    left: LogicalType, right: LogicalType, *, json: bool = False
) -> LogicalType | None:
    """The type of the values of both, in the larger form; None if there is none.

    NULL fits any type. Structs must have the same fields. With `json`, integers among float64 are
    float64, and fields can be absent.
    """
    if NULL in (left, right):
        return right if left == NULL else left
    match left, right:
        case (Scalar(), Scalar()) if json and {left, right} == {INT, FLOAT64}:
            return FLOAT64
        case (Scalar(), Scalar()) if json and left == right == INT:
            if SMALL.form in (left.form, right.form):
                return right if left.form == SMALL.form else left
            return left if left.form == right.form else INT
        case (Scalar(), Scalar()) if left == right and left.name in DELIVERY_FORMS:
            return with_form(
                left, max(map(form_of, (left, right)), key=DELIVERY_FORMS[left.name].index)
            )
        case (Scalar(), Struct()) if left == FILE and right in (FILE_BYTES, FILE_DIGESTS):
            return left
        case (Decimal(), Decimal()) if left == right:
            return Decimal(left.scale, short=left.short and right.short)
        case List(), List():
            element = common_type(left.element, right.element, json=json)
            return None if element is None else List(element)
        case Map(), Map():
            key = common_type(left.key, right.key, json=json)
            value = common_type(left.value, right.value, json=json)
            return None if key is None or value is None else Map(key, value)
        case Struct(), Struct():
            return _merged_structs(left, right, json)
    return left if left == right else None


def with_form(logical: Scalar, form: str) -> Scalar:
    """`logical`, with its values delivered in `form`."""
    return Scalar(logical.name, None if form == DEFAULT_FORM[logical.name] else form)


def form_of(logical: Scalar) -> str:
    """The form in which values of `logical`, one of DELIVERY_FORMS, are delivered."""
    return logical.form or DEFAULT_FORM[logical.name]


def _merged_structs(left: Struct, right: Struct, json: bool) -> Struct | None:
    types = {field.name: field.type for field in left.fields}
    if not json and types.keys() != {field.name for field in right.fields}:
        return None
    for field in right.fields:
        both = common_type(types.get(field.name, NULL), field.type, json=json)
        if both is None:
            return None
        types[field.name] = both
    return Struct(tuple(Column(name, logical) for name, logical in types.items()))


def accepts(schema: LogicalType, found: LogicalType) -> bool:
    """Whether values of the type `found` are of the type `schema` without conversion."""
    return common_type(schema, found) == schema


def json_as_text(logical: LogicalType) -> LogicalType:
    """`logical` with TEXT in place of JSON, which has no Arrow type of its own."""
    match logical:
        case List():
            return List(json_as_text(logical.element))
        case Struct():
            return Struct(tuple(Column(f.name, json_as_text(f.type)) for f in logical.fields))
        case Map():
            return Map(json_as_text(logical.key), json_as_text(logical.value))
    return TEXT if logical == JSON else logical


def has_files(logical: LogicalType) -> bool:
    """Whether values of `logical` name files."""
    match logical:
        case List():
            return has_files(logical.element)
        case Struct():
            return any(has_files(field.type) for field in logical.fields)
        case Map():
            return has_files(logical.key) or has_files(logical.value)
    return logical == FILE


def final_type(logical: LogicalType) -> LogicalType:
    """`logical` with TEXT where only nulls were seen: a schema needs a type."""
    match logical:
        case List():
            return List(final_type(logical.element))
        case Struct():
            return Struct(tuple(Column(f.name, final_type(f.type)) for f in logical.fields))
        case Map():
            return Map(final_type(logical.key), final_type(logical.value))
    if isinstance(logical, Scalar) and logical.form == SMALL.form:
        return INT
    return TEXT if logical == NULL else logical
