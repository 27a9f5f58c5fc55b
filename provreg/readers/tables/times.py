"""Rows ordered by time: when each one is, ids with the time in them, splits by ranges of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import quoted
from provreg.core.manifest.columns import format_times
from provreg.core.manifest.limits import FIRST_TIME, LAST_TIME
from provreg.core.rows.column import DATE, TEXT, TIMESTAMP, LogicalType
from provreg.errors import UsageError
from provreg.readers.data_files.source_file import ValueMismatchError
from provreg.readers.tables.text.typed_text import moments

if TYPE_CHECKING:
    from collections.abc import Sequence

SPLITS = {1: ("train", "test"), 2: ("train", "validation", "test")}
_NAIVE = pa.timestamp("us")


def times_of(array: pa.Array, logical: LogicalType) -> pa.Array:
    """When each row is, as `moments_of`; ValueMismatchError for a row without a time, too."""
    if (row := pc.index(array.is_null(), pa.scalar(True)).as_py()) >= 0:
        raise ValueMismatchError("the row has no time", row=row)
    return moments_of(array, logical)


def moments_of(array: pa.Array, logical: LogicalType) -> pa.Array:
    """Moments as timestamps in microseconds; without a zone they are taken as UTC.

    Raises ValueMismatchError for text that is not a timestamp, for fractions of a microsecond,
    which readers round to the same time, and for years outside 1 to 9999.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if logical == TEXT:
        naive = moments(array.cast(pa.string())).cast(_NAIVE)
    elif logical == DATE:
        naive = array.cast(pa.timestamp("s"), safe=False).cast(_NAIVE, safe=False)
    else:
        plain = array.cast(pa.timestamp(array.type.unit))
        naive = plain.cast(_NAIVE, safe=False)
        if array.type.unit == "ns":
            between = pc.not_equal(
                plain.view(pa.int64()), pc.multiply(naive.view(pa.int64()), 1000)
            )
            _refuse(between, "the time lies between microseconds")
        elif array.type.unit in {"s", "ms"}:
            back = naive.cast(plain.type, safe=False)
            _refuse(pc.not_equal(back, plain), "the time is beyond microseconds in 64 bits")
    number = naive.view(pa.int64())
    beyond = pc.or_(pc.less(number, FIRST_TIME), pc.greater(number, LAST_TIME))
    _refuse(beyond, "the time is before the year 1 or after 9999")
    return naive


def written_in_ids(times: pa.Array, logical: LogicalType) -> pa.Array:
    """`times` as ids have them: RFC 3339 with as many digits as are needed, `Z` but for naive
    timestamps, and dates alone."""
    text = format_times(times)
    if logical == DATE:
        return pc.utf8_slice_codeunits(text, 0, 10)
    return text if logical == TIMESTAMP else pc.binary_join_element_wise(text, "Z", "")


def timed_ids(keys: pa.Array | None, written: pa.Array) -> pa.Array:
    """`key@time`, or the time alone. A time holds no `@`, so that no two pairs make one id."""
    return written if keys is None else pc.binary_join_element_wise(keys, written, "@")


def boundaries(moments_given: Sequence[str]) -> tuple[str, ...]:
    """One or two moments, ascending, as heads have them.

    Raises UsageError for others, and for what is no moment.
    """
    try:
        times = moments(pa.array(moments_given, pa.string())).cast(_NAIVE)
    except ValueMismatchError as misfit:
        raise UsageError(
            f"{quoted(moments_given[misfit.row])} is not a valid time",
            hint="write 2026-01-31 or 2026-01-31T12:00:00Z",
        ) from None
    ascending = len(times) < 2 or times[0].value < times[1].value
    if len(times) not in SPLITS or not ascending:
        raise UsageError(
            "splits by time need one moment or two, the earlier first",
            hint="train is before the first, test from the last on, validation between two",
        )
    return tuple(written_in_ids(times, TEXT).to_pylist())


def splits_at(times: pa.Array, edges_given: Sequence[str]) -> pa.Array:
    """The split of each time: a moment that is a boundary belongs to what follows."""
    edges = moments(pa.array(edges_given, pa.string())).cast(_NAIVE).view(pa.int64()).to_numpy()
    places = np.searchsorted(edges, times.view(pa.int64()).to_numpy(), side="right")
    return pa.array(SPLITS[len(edges_given)], pa.string()).take(pa.array(places))


def _refuse(refused: pa.Array, complaint: str) -> None:
    if (row := pc.index(refused, pa.scalar(True)).as_py()) >= 0:
        raise ValueMismatchError(complaint, row=row)
