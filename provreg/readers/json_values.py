"""JSON values as Python's parser sees them: their types, and what is wrong with them.

Arrow's parser reads the rows; this one finds out the columns of a first version, and explains what
Arrow refused. Where the two could differ, this one is right.
"""

from __future__ import annotations

import decimal
import json
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pyarrow as pa

from provreg.core.column import (
    BOOL,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INT,
    MAX_DEPTH,
    NULL,
    TEXT,
    Column,
    Decimal,
    List,
    LogicalType,
    Map,
    Scalar,
    Struct,
    merged,
)
from provreg.core.text import quoted
from provreg.errors import InputError
from provreg.readers.source_file import MisfitError
from provreg.readers.typed_text import parsed

if TYPE_CHECKING:
    from collections.abc import Sequence

Path = tuple[str, ...]

_DECLARE = "declare the column's type, or make its values of one type"
_KINDS = {bool: BOOL, str: TEXT, type(None): NULL}


def inferred(rows: Sequence[dict[str, Any]], declared: frozenset[str]) -> dict[str, LogicalType]:
    """The columns of `rows` in the order of their first appearance, but for those `declared`.

    NULL where there were only nulls. Raises InputError naming the column for values of two types
    (integers among floats are floats), integers beyond 64 bits, and infinite numbers.
    """
    names = dict.fromkeys(chain.from_iterable(rows))
    columns: dict[str, LogicalType] = {}
    for name in names:
        if name in declared:
            continue
        try:
            columns[name] = _inferred([row.get(name) for row in rows], depth=1)
        except ValueError as error:
            raise InputError(f"column {quoted(name)}: {error}", hint=_DECLARE) from None
    return columns


def merge_columns(columns: dict[str, LogicalType], found: dict[str, LogicalType]) -> None:
    """Takes what was `found` further down into `columns`. Raises InputError as `inferred`."""
    for name, logical in found.items():
        both = merged(columns.get(name, NULL), logical, json=True)
        if both is None:
            raise InputError(f"column {quoted(name)} holds values of two types", hint=_DECLARE)
        columns[name] = both


def _inferred(values: list[Any], depth: int) -> LogicalType:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    logical: LogicalType = NULL
    for kind in set(map(type, values)):
        found = _KINDS.get(kind) or _checked(kind, [v for v in values if type(v) is kind], depth)
        both = merged(logical, found, json=True)
        if both is None:
            raise ValueError("holds values of two types")
        logical = both
    return logical


def _checked(kind: type, values: list[Any], depth: int) -> LogicalType:
    """The type of `values`, all of one kind, where more than the kind has to be looked at."""
    if kind is list:
        return List(_inferred(list(chain.from_iterable(values)), depth + 1))
    if kind is dict:
        names = dict.fromkeys(chain.from_iterable(values))
        return Struct(
            tuple(
                Column(name, _inferred([value.get(name) for value in values], depth + 1))
                for name in names
            )
        )
    if kind is int:
        if min(values) < -(2**63) or max(values) >= 2**64:
            raise ValueError("holds integers beyond 64 bits")
        return INT
    if not np.isfinite(values).all():
        raise ValueError("holds NaN or infinite numbers")
    return FLOAT64


class Inspection:
    """Rows, one after another, held against a schema.

    `beyond` collects the paths of integers of 2**63 and more (Arrow must be told to expect them).
    """

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._row = Struct(columns)
        self.beyond: set[Path] = set()
        self._negative: set[Path] = set()

    def add(self, number: int, line: bytes) -> None:
        """Row `number` (from 0) of what is being read. Raises MisfitError naming its column."""
        try:
            document = json.loads(
                line.decode(),
                object_pairs_hook=_unique_keys,
                parse_constant=_no_constant,
                parse_float=decimal.Decimal,
            )
        except UnicodeDecodeError:
            raise MisfitError("not UTF-8", row=number) from None
        except (ValueError, RecursionError) as error:
            raise MisfitError(f"not a JSON object: {quoted(str(error))}", row=number) from None
        if not isinstance(document, dict):
            raise MisfitError("not a JSON object", row=number)
        try:
            self._check(document, self._row, ())
        except ValueError as error:
            raise MisfitError(str(error), row=number) from None

    def _check(self, value: Any, logical: LogicalType, path: Path) -> None:
        if value is None:
            return
        match logical:
            case Struct():
                self._check_struct(value, logical, path)
            case List() if isinstance(value, list):
                for element in value:
                    self._check(element, logical.element, (*path, "[]"))
            case Map() if isinstance(value, list):
                self._check_map(value, logical, path)
            case Decimal() if isinstance(value, int | decimal.Decimal | str):
                _check_decimal(value, logical, path)
            case Scalar():
                self._check_scalar(value, logical, path)
            case _:
                raise _wrong(path, value, logical)

    def _check_struct(self, value: Any, logical: Struct, path: Path) -> None:
        if not isinstance(value, dict):
            raise _wrong(path, value, logical)
        types = {field.name: field.type for field in logical.fields}
        for name, child in value.items():
            if name not in types:
                where = f" in {_shown(path)}" if path else ""
                raise ValueError(f"the column {quoted(name)}{where} is not in the schema")
            self._check(child, types[name], (*path, name))

    def _check_map(self, value: list[Any], logical: Map, path: Path) -> None:
        for pair in value:
            if not isinstance(pair, dict) or pair.get("key") is None:
                raise ValueError(f'{_shown(path)} is not an array of {{"key", "value"}}')
            fields = Struct((Column("key", logical.key), Column("value", logical.value)))
            self._check(pair, fields, (*path, "[]"))

    def _check_scalar(self, value: Any, logical: Scalar, path: Path) -> None:
        if logical == INT and type(value) is int and -(2**63) <= value < 2**64:
            self._note_integer(value, path)
        elif logical in (FLOAT16, FLOAT32, FLOAT64) and type(value) in (int, decimal.Decimal):
            text = pa.array([str(value)])
            _check_text(text, logical, path)
        elif isinstance(value, str) and logical not in (BOOL, INT, FLOAT16, FLOAT32, FLOAT64):
            _check_text(_arrow_text(value, path), logical, path)
        elif not (logical == BOOL and isinstance(value, bool)):
            raise _wrong(path, value, logical)

    def _note_integer(self, value: int, path: Path) -> None:
        if value >= 2**63:
            self.beyond.add(path)
        elif value < 0:
            self._negative.add(path)
        if path in self.beyond and path in self._negative:
            raise ValueError(f"{_shown(path)} holds both negative integers and such beyond 2**63")


def _check_text(text: pa.Array, logical: Scalar, path: Path) -> None:
    try:
        parsed(text, logical)
    except MisfitError as misfit:
        raise ValueError(f"{_shown(path)}: {misfit.complaint}") from None


def _arrow_text(value: str, path: Path) -> pa.Array:
    try:
        return pa.array([value], pa.string())
    except UnicodeEncodeError:
        raise ValueError(f"{_shown(path)} holds half of a surrogate pair") from None


def _check_decimal(value: int | decimal.Decimal | str, logical: Decimal, path: Path) -> None:
    try:
        pa.array([decimal.Decimal(value)], pa.decimal256(76, logical.scale))
    except (pa.ArrowInvalid, decimal.InvalidOperation, ValueError):
        raise _wrong(path, value, logical) from None


def _wrong(path: Path, value: Any, logical: LogicalType) -> ValueError:
    name = logical.name if isinstance(logical, Scalar) else type(logical).__name__.lower()
    return ValueError(f"{_shown(path)}: {quoted(str(value))} is no {name}")


def _shown(path: Path) -> str:
    return "column " + quoted(".".join(path))


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
