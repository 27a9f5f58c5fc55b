"""The columns of JSON rows, and their types, as their values say."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from provreg.core.rows.column import (
    BOOL,
    FLOAT64,
    INT,
    MAX_DEPTH,
    MAX_FIELDS,
    NULL,
    SMALL,
    TEXT,
    Column,
    List,
    LogicalType,
    Struct,
    common_type,
    with_form,
)
from provreg.readers.tables.text.json_plain import KEYS_HINT, Path, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_KINDS = {bool: BOOL, str: TEXT, type(None): NULL}
_LARGEST = 2**53  # up to which every integer is a float64


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
    for one in objects:
        for name, value in one.items():
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
    if max(map(abs, integers)) > _LARGEST and any(int(float(one)) != one for one in integers):
        complaint = "holds floats, and integers so large that they would be rounded"
        raise UntypedError(path, complaint, "write all of them with a point, or as text")
