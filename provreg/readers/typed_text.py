"""Text to typed values, for formats whose values are text (docs/format/row.md, "Values from text").

Arrow's own conversions accept more than one should be able to sign (hexadecimal integers, overflow
to infinity), so every text must first have the written form of its type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.column import (
    BINARY,
    BOOL,
    DATE,
    DURATION,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INT,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMP_UTC,
    Decimal,
    LogicalType,
    Scalar,
)
from provreg.core.column_arrow import to_arrow
from provreg.core.text import quoted
from provreg.readers.source_file import MisfitError

if TYPE_CHECKING:
    from collections.abc import Callable

UNWRITTEN = frozenset({BINARY, DURATION})  # types that have no written form

_NUMBER = r"-?[0-9]+(\.[0-9]+)?"
_FLOAT = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MOMENT = _DAY + r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_ZONE = r"(Z|[+-][0-9]{2}:?[0-9]{2})"
_FORMS = {
    BOOL: r"true|false|True|False|TRUE|FALSE",
    INT: r"-?[0-9]+",
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


def parsed(texts: pa.Array, logical: Scalar | Decimal) -> pa.Array:
    """The values that `texts` (an Arrow string array) write; nulls stay null.

    Raises MisfitError at the first text that is not a value of `logical`.
    """
    if logical == TEXT:
        return texts
    if (numbers := _plain_numbers(texts, logical)) is not None:
        return numbers
    form = _NUMBER if isinstance(logical, Decimal) else _FORMS[logical]
    _require(texts, _matches(texts, form), logical)
    if logical == INT:
        return _integers(texts)
    if logical in (FLOAT16, FLOAT32, FLOAT64):
        return _floats(texts, logical)
    if logical == TIME:
        # Arrow reads no times of day, but moments of a day.
        moment = pc.binary_join_element_wise("1970-01-01", texts, "T")
        return _cast(moment, pa.timestamp("ns"), logical, texts).view(to_arrow(TIME))
    return _cast(texts, to_arrow(logical), logical)


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
    overflown = logical != INT and pc.any(pc.is_inf(values)).as_py()
    return None if overflown else values


def moments(texts: pa.Array) -> pa.Array:
    """ISO 8601 moments as timestamps in microseconds of UTC; those without a zone are UTC.

    Raises MisfitError at the first text that is none.
    """
    _require(texts, _matches(texts, rf"{_DAY}|{_MOMENT}{_ZONE}?"), TIMESTAMP_UTC)
    whole = pc.replace_substring_regex(texts, rf"\A({_DAY})\z", r"\1T00:00")
    zoned = pc.match_substring_regex(whole, rf"{_ZONE}\z")
    with_zone = pc.if_else(zoned, whole, pc.binary_join_element_wise(whole, "Z", ""))
    return _cast(with_zone, to_arrow(TIMESTAMP_UTC), TIMESTAMP_UTC, texts)


def _integers(texts: pa.Array) -> pa.Array:
    try:
        return texts.cast(pa.int64())
    except pa.ArrowInvalid:
        # Of 2**63 and more, or beyond 64 bits. No Arrow type holds those beside negative ones.
        return _cast(texts, pa.uint64(), INT)


def _floats(texts: pa.Array, logical: Scalar) -> pa.Array:
    if logical == FLOAT16:
        # Rounded twice, harmlessly: no text of few digits comes so close to a float16's midpoint.
        wide = _floats(texts, FLOAT64)
        values = narrowed(wide)
    else:
        values = texts.cast(to_arrow(logical))
    overflown = pc.and_(pc.is_inf(values), _matches(texts, _FLOAT))
    _require(texts, pc.invert(overflown), logical)
    return values


def narrowed(wide: pa.Array) -> pa.Array:
    """float64 to float16; beyond its range to infinity."""
    with np.errstate(over="ignore"):
        values = wide.fill_null(0.0).to_numpy().astype(np.float16)
    return pa.array(values, mask=wide.is_null().to_numpy(zero_copy_only=False))


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


def _misfit(texts: pa.Array, row: int, logical: LogicalType) -> MisfitError:
    name = logical.name if isinstance(logical, Scalar) else "decimal"
    return MisfitError(f"{quoted(texts[row].as_py())} is no {name}", row=row)
