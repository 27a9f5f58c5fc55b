"""JSON rows that are all written alike: the same keys in the same order, texts in the same places.

Where no text has a backslash, quotes stand around texts and keys and nowhere else. Rows that are
alike have equally many, and what divides them there, twice as fast as JSON can be parsed, is
Arrow's parser of CSV. Keys and what stands around them must then be the same in every row, and a
value that is no text must have the form of one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from provreg.core.column import BOOL, FLOAT64, INT, TEXT, LogicalType, settled
from provreg.core.column_arrow import to_arrow

if TYPE_CHECKING:
    from collections.abc import Mapping

_BLANK = " \t"
_PIECE = 1 << 16
_INT = r"-?(?:0|[1-9][0-9]*)"
# JSON's own forms of values that are no texts.
_FORMS: dict[LogicalType, str] = {
    INT: _INT,
    FLOAT64: rf"{_INT}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?",
    BOOL: "true|false",
}
_OTHER = re.compile(r"([ \t]*:[ \t]*)[^ \t:,}]+([ \t]*[,}][ \t]*)")


class _Other(NamedTuple):
    """Where a value stands that is no text, and what stands before and after it there."""

    place: int
    before: str
    after: str


class _Form(NamedTuple):
    """What rows have between their quotes: by places, from 0, of which there are `width`.

    `same` has what is the same in every row; the others are the values, by their keys.
    """

    width: int
    same: dict[int, str]
    texts: dict[str, int]
    others: dict[str, _Other]


def rows_alike(data: bytes, types: Mapping[str, LogicalType]) -> dict[str, pa.Array] | None:
    """The values of the lines of `data`, one JSON object each, by their keys.

    None where the lines are not alike, not JSON, not of these `types`, or that cannot be told.
    """
    if b"\\" in data or b"\r" in data:
        return None
    data = data if data.endswith(b"\n") else data + b"\n"
    form = _form(data[: data.index(b"\n")])
    if form is None or not types.keys() >= {*form.texts, *form.others}:
        return None
    fields = _fields(data, form)
    if fields is None or any(types[key] != TEXT for key in form.texts):
        return None
    found = {key: fields[place] for key, place in form.texts.items()}
    for key, other in form.others.items():
        values = _values(fields[other.place], other, types[key])
        if values is None:
            return None
        found[key] = values
    return found


def _form(line: bytes) -> _Form | None:
    """The form of rows that are like `line`; None where it is no flat object."""
    try:
        fields = line.decode().split('"')
    except UnicodeDecodeError:
        return None
    form = _Form(len(fields), {0: fields[0]}, {}, {})
    place, end = 1, "," if fields[0].rstrip(_BLANK) == "{" else ""
    while end == "," and place + 1 < len(fields):
        key, after = fields[place : place + 2]
        form.same[place] = key
        if key in form.texts or key in form.others:
            return None
        if after.strip(_BLANK) == ":" and place + 3 < len(fields):
            form.texts[key] = place + 2
            form.same[place + 1], form.same[place + 3] = after, fields[place + 3]
            end = fields[place + 3].strip(_BLANK)
            place += 4
        elif other := _OTHER.fullmatch(after):
            form.others[key] = _Other(place + 1, other[1], other[2])
            end = other[2].strip(_BLANK)
            place += 2
        else:
            return None
    return form if end == "}" and place == len(fields) else None


def _fields(data: bytes, form: _Form) -> list[pa.StringArray] | None:
    """What is between quotes, by place; None unless all rows have the `form`."""
    names = [str(place) for place in range(form.width)]
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            arrow_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
            arrow_csv.ParseOptions(delimiter='"', quote_char=False),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    # No text holds a control character: all that there are divide rows, of which none is blank.
    if _controls(data) != table.num_rows:
        return None
    fields = [column.chunk(0) for column in table.columns]
    if all(pc.all(pc.equal(fields[place], word)).as_py() for place, word in form.same.items()):
        return fields
    return None


def _controls(data: bytes) -> int:
    """The number of control characters."""
    characters = np.frombuffer(data, np.uint8)
    # Piece by piece, in memory that is there: to be given that of all of them takes longer.
    starts = range(0, len(characters), _PIECE)
    return sum(int(np.count_nonzero(characters[at : at + _PIECE] < ord(" "))) for at in starts)


def _values(written: pa.StringArray, other: _Other, logical: LogicalType) -> pa.Array | None:
    """The values that are `written`, one in each row, and no texts; None where they are none."""
    rows = len(written)
    forms = "|".join(filter(None, (_FORMS.get(logical), "null")))
    one = rf"{re.escape(other.before)}(?:{forms}){re.escape(other.after)}"
    # All rows at once: a look at each takes several times as long. Each has a colon of its own, and
    # there are no more of them, so each is one of what all are.
    size = pc.sum(pc.binary_length(written)).as_py()
    together = written.buffers()[2].slice(0, size).to_pybytes()
    fit = pc.match_substring_regex(pa.array([together], pa.string()), rf"\A(?:{one})*\z")
    if (
        not fit[0].as_py()
        or together.count(b":") != rows
        or not pc.all(pc.starts_with(written, other.before)).as_py()
    ):
        return None
    arrow = to_arrow(settled(logical))
    if logical not in _FORMS:
        return pa.nulls(rows, arrow)
    values = pc.utf8_slice_codeunits(written, len(other.before), -len(other.after))
    if b"null" in together:
        values = pc.if_else(pc.equal(values, "null"), pa.scalar(None, pa.string()), values)
    try:
        found = values.cast(arrow)
    except pa.ArrowInvalid:  # beyond 64 bits
        return None
    if logical == FLOAT64 and pc.any(pc.is_inf(found)).as_py():
        return None
    return found
