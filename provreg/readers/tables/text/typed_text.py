"""Text to typed values, for formats whose values are text (docs/format/row.md, "Values from text").

Arrow's own conversions accept more than one should be able to sign (hexadecimal integers, overflow
to infinity), so every text must first have the written form of its type.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import quoted
from provreg.core.rows.arrow_types import to_arrow
from provreg.core.rows.column import (
    BINARY,
    BOOL,
    DATE,
    DURATION,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INT,
    MAX_SCALE,
    SHORT_SCALES,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMP_UTC,
    Decimal,
    LogicalType,
    Scalar,
)
from provreg.readers.data_files.source_file import ValueMismatchError

UNWRITTEN = frozenset({BINARY, DURATION})  # types that have no written form

_INTEGER = r"-?[0-9]+"
_FLOAT = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MOMENT = _DAY + r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_ZONE = r"(Z|[+-][0-9]{2}:?[0-9]{2})"
_FORMS = {
    BOOL: r"true|false|True|False|TRUE|FALSE",
    INT: _INTEGER,
    **dict.fromkeys((FLOAT16, FLOAT32, FLOAT64), rf"{_FLOAT}|[+-]?(?i:nan|inf|infinity)"),
    TIMESTAMP: rf"{_DAY}|{_MOMENT}",
    TIMESTAMP_UTC: _MOMENT + _ZONE,
    DATE: _DAY,
    TIME: r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?",
}
# What Arrow reads as a number and is made of these characters alone has the form of one.
_CHARACTERS: dict[LogicalType, bytes] = {
    INT: b"0123456789-",
    **dict.fromkeys((FLOAT32, FLOAT64), b"0123456789+-.eE"),
}
_BOTH_ENDS = (
    "int64 holds -2^63 to 2^63 - 1, uint64 holds 0 to 2^64 - 1; the first version decides: declare"
    """ --column 'NAME:{"int":"uint64"}', or for integers of both ends 'NAME:{"decimal128":0}',"""
    " or make the column text (NAME:text; in JSON write them in quotes)"
)
# Halfway between the largest float16 and what would be the next.
_BEYOND_HALVES = 65520.0
# From here on not every integer is a float.
FIRST_ROUNDED: dict[LogicalType, float] = {FLOAT16: 2.0**11, FLOAT32: 2.0**24, FLOAT64: 2.0**53}


def parsed(texts: pa.Array, logical: Scalar | Decimal) -> pa.Array:
    """The values that `texts` (an Arrow string array) write; nulls stay null.

    Raises ValueMismatchError at the first text that is not a value of `logical`.
    """
    if logical == TEXT:
        return texts
    if isinstance(logical, Decimal):
        return _decimals(texts, logical)
    if (numbers := _plain_numbers(texts, logical)) is not None:
        return numbers
    _require(texts, _matches(texts, _FORMS[logical]), logical)
    return _CONVERSIONS.get(logical, _converted)(texts, logical)


def _plain_numbers(texts: pa.Array, logical: LogicalType) -> pa.Array | None:
    """The values of `texts` where it can be told without a look at each that all are numbers."""
    characters = _CHARACTERS.get(logical)
    if characters is None or not len(texts):
        return None
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    written = data.slice(ends[0], ends[-1] - ends[0]).to_pybytes() if data else b""
    if written.translate(None, characters):
        return None
    try:
        values = texts.cast(to_arrow(logical))
    except pa.ArrowInvalid:
        return None
    if logical == INT:
        return values
    largest = pc.max(pc.abs(values)).as_py()
    return values if largest is None or largest < FIRST_ROUNDED[logical] else None


def moments(texts: pa.Array) -> pa.Array:
    """ISO 8601 moments as timestamps in microseconds of UTC; those without a zone are UTC.

    Raises ValueMismatchError at the first text that is not a moment.
    """
    _require(texts, _matches(texts, rf"{_DAY}|{_MOMENT}{_ZONE}?"), TIMESTAMP_UTC)
    whole = pc.replace_substring_regex(texts, rf"\A({_DAY})\z", r"\1T00:00")
    zoned = pc.match_substring_regex(whole, rf"{_ZONE}\z")
    with_zone = pc.if_else(zoned, whole, pc.binary_join_element_wise(whole, "Z", ""))
    return _cast(with_zone, to_arrow(TIMESTAMP_UTC), TIMESTAMP_UTC, texts)


def _converted(texts: pa.Array, logical: Scalar) -> pa.Array:
    return _cast(texts, to_arrow(logical), logical)


def _times(texts: pa.Array, logical: Scalar) -> pa.Array:
    # Arrow reads no times of day, but moments of a day.
    moment = pc.binary_join_element_wise("1970-01-01", texts, "T")
    return _cast(moment, pa.timestamp("ns"), logical, texts).view(to_arrow(logical))


def _integers(texts: pa.Array, logical: Scalar) -> pa.Array:
    # Arrow takes no minus before an unsigned zero.
    plain = pc.replace_substring_regex(texts, r"\A-(0+)\z", r"\1")
    try:
        return plain.cast(to_arrow(logical))
    except pa.ArrowInvalid:
        row = _first_failing(plain, lambda part: part.cast(to_arrow(logical)))
        complaint = f"{quoted(texts[row].as_py())} is no {to_arrow(logical)}"
        raise ValueMismatchError(complaint, row=row, hint=_BOTH_ENDS) from None


def _decimals(texts: pa.Array, logical: Decimal) -> pa.Array:
    # Arrow does not see every number that overflows: here they are too long.
    digits = max(SHORT_SCALES) if logical.short else MAX_SCALE
    scale, most = max(logical.scale, 0), digits - logical.scale
    whole = f"-?0*[0-9]{{1,{most}}}" if most else "-?0+"
    fraction = rf"(\.[0-9]{{1,{scale}}})?" if scale else ""
    _require(texts, _matches(texts, whole + fraction), logical)
    if logical.scale >= 0:
        return _cast(texts, to_arrow(logical), logical)
    # Arrow's own way there loses digits: the zeros that are not written are taken off as text.
    zeros = -logical.scale
    short = pc.replace_substring_regex(texts, r"\A(-?)0+([0-9])", r"\1\2")
    none = pc.match_substring_regex(short, r"\A-?0\z")
    fits = pc.or_(none, pc.match_substring_regex(short, rf"[1-9-][0-9]*0{{{zeros}}}\z"))
    _require(texts, fits, logical)
    unscaled = pc.if_else(none, "0", pc.utf8_slice_codeunits(short, 0, -zeros))
    integers = _cast(unscaled, pa.decimal256(76, 0), logical, texts)
    buffers = integers.buffers()
    return pa.Array.from_buffers(
        to_arrow(logical), len(integers), buffers, integers.null_count, integers.offset
    )


def _floats(texts: pa.Array, logical: Scalar) -> pa.Array:
    values = _halves(texts) if logical == FLOAT16 else texts.cast(to_arrow(logical))
    magnitude = pc.abs(values.cast(pa.float64()))
    overflown = pc.and_(pc.is_inf(values), _matches(texts, _FLOAT))
    _require(texts, pc.invert(overflown), logical)
    large = pc.and_(
        pc.greater_equal(magnitude, FIRST_ROUNDED[logical]), _matches(texts, r"[+-]?[0-9]+")
    )
    for row in pc.indices_nonzero(pc.fill_null(large, False)).to_pylist():
        if exact(texts[row].as_py()) != Fraction(float(values[row].as_py())):
            complaint = f"{quoted(texts[row].as_py())} is an integer that no {logical.name} is"
            raise ValueMismatchError(complaint, row=row)
    return values


def _halves(texts: pa.Array) -> pa.Array:
    """float16, each text rounded once; beyond its range infinite.

    What is rounded to a float64 first and then again may only go wrong where the first is just
    between two halves: there the text itself says which one is nearer.
    """
    wide = texts.cast(pa.float64()).fill_null(0.0).to_numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        halves = wide.astype(np.float16)
        near = halves.astype(np.float64)
        other = np.nextafter(halves, np.where(wide > near, np.inf, -np.inf).astype(np.float16))
        between = (wide - near == other.astype(np.float64) - wide) & np.isfinite(wide)
    between |= np.abs(wide) == _BEYOND_HALVES  # there `halves` are infinite, `other` the largest
    for row in np.flatnonzero(between):
        written, middle = exact(texts[int(row)].as_py()), Fraction(float(wide[row]))
        if written != middle:
            toward = np.float16(np.inf if written > middle else -np.inf)
            inner = (
                np.float16(np.copysign(65504, wide[row])) if np.isinf(halves[row]) else halves[row]
            )
            outer = halves[row] if np.isinf(halves[row]) else other[row]
            halves[row] = max(inner, outer) if toward > 0 else min(inner, outer)
    return pa.array(halves, mask=texts.is_null().to_numpy(zero_copy_only=False))


_CONVERSIONS: dict[LogicalType, Callable[[pa.Array, Scalar], pa.Array]] = {
    INT: _integers,
    TIME: _times,
    **dict.fromkeys((FLOAT16, FLOAT32, FLOAT64), _floats),
}


def exact(text: str) -> Fraction:
    """Exactly what a text in the form of a number says."""
    return Fraction(decimal.Decimal(text))


def _cast(
    texts: pa.Array, arrow: pa.DataType, logical: LogicalType, original: pa.Array | None = None
) -> pa.Array:
    """`texts` as `arrow`; messages show the `original` ones."""
    try:
        return texts.cast(arrow)
    except pa.ArrowInvalid:
        row = _first_failing(texts, lambda part: part.cast(arrow))
        raise _misfit(texts if original is None else original, row, logical) from None


def _first_failing(texts: pa.Array, convert: Callable[[pa.Array], object]) -> int:
    """The index of the first value `convert` refuses; it refuses one at least."""
    low, high = 0, len(texts)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            convert(texts.slice(low, middle - low))
        except pa.ArrowInvalid:
            high = middle
        else:
            low = middle
    return low


def _matches(texts: pa.Array, form: str) -> pa.Array:
    return pc.match_substring_regex(texts, rf"\A(?:{form})\z")


def _require(texts: pa.Array, fits: pa.Array, logical: LogicalType) -> None:
    row = pc.index(fits, pa.scalar(False)).as_py()
    if row >= 0:
        raise _misfit(texts, row, logical)


def _misfit(texts: pa.Array, row: int, logical: LogicalType) -> ValueMismatchError:
    name = logical.name if isinstance(logical, Scalar) else "decimal"
    return ValueMismatchError(f"{quoted(texts[row].as_py())} is no {name}", row=row)
