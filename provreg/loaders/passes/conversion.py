"""Which signed samples a dataset in memory was made of, for receipts.

A converted dataset (Hugging Face) no longer reads through `VerifiedSamples`, so nothing counts what
it delivers. Its information carries a mark instead, which other libraries copy as they copy text.
"""

from __future__ import annotations

import secrets
from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from provreg.loaders.passes.matching import Rows
    from provreg.loaders.samples import VerifiedSamples


class Conversion(NamedTuple):
    """A dataset that was made of `rows` of the manifest of `samples`, in this order."""

    samples: VerifiedSamples
    rows: Rows


class _Span(NamedTuple):
    """Items `start` to `stop` of an array's memory are the rows from `row` on."""

    start: int
    stop: int
    row: int


# By address of a buffer; the buffers are held, so that no other array gets their addresses.
_Memory: TypeAlias = Mapping[int, tuple[pa.Buffer, list[_Span]]]

# All conversions of this process: marks that went through another process are plain text.
_CONVERSIONS: dict[str, Conversion] = {}


class Mark(str):
    """The name of a conversion. It holds the memory of the rows while a dataset has it."""

    memory: _Memory

    def __new__(cls) -> Mark:
        mark = super().__new__(cls, secrets.token_hex(16))
        mark.memory = {}
        return mark

    def __deepcopy__(self, _: Any) -> Mark:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)


def remember_conversion(mark: Mark, conversion: Conversion, table: pa.Table) -> None:
    """Remembers that the rows of `table` are those of `conversion`."""
    _CONVERSIONS[mark] = conversion
    mark.memory = _memory_of(table)


def converted(mark: Any, table: pa.Table, indices: pa.Table | None) -> Conversion | None:
    """The samples in a dataset of `table`, or of its rows `indices`; None if `mark` is unknown.

    They are exact if a column of the table still is the one that was made, or a slice of it. Else
    the rows were written anew, by a function that can have used any of them: all count.
    """
    conversion = _CONVERSIONS.get(mark) if isinstance(mark, str) else None
    if conversion is None:
        return None
    memory = mark.memory if isinstance(mark, Mark) else {}
    columns = (_rows_in(column, memory) for column in table.columns)
    places = next((rows for rows in columns if rows is not None), None)
    if places is None:
        return conversion
    if indices is not None:
        places = places[indices.column(0).to_numpy()]
    return Conversion(conversion.samples, np.unique(conversion.rows[places]))


def _memory_of(table: pa.Table) -> _Memory:
    """Where the rows of `table` are, without memory that several of its arrays share."""
    memory: dict[int, tuple[pa.Buffer, list[_Span]]] = {}
    for column in table.columns:
        row = 0
        for chunk in column.chunks:
            buffer = _smallest_buffer(chunk)
            if buffer is not None:
                _, spans = memory.setdefault(buffer.address, (buffer, []))
                spans.append(_Span(chunk.offset, chunk.offset + len(chunk), row))
            row += len(chunk)
    for _, spans in memory.values():
        spans.sort()
    return {address: found for address, found in memory.items() if _are_apart(found[1])}


def _are_apart(spans: list[_Span]) -> bool:
    return all(before.stop <= after.start for before, after in pairwise(spans))


def _rows_in(column: pa.ChunkedArray, memory: _Memory) -> Rows | None:
    """The rows of the made table that `column` has, None if it is not of its memory."""
    found = []
    for chunk in column.chunks:
        buffer = _smallest_buffer(chunk)
        _, spans = memory.get(0 if buffer is None else buffer.address, (None, []))
        start, stop = chunk.offset, chunk.offset + len(chunk)
        place = bisect_right(spans, start, key=lambda span: span.start) - 1
        if place < 0 or spans[place].stop < stop:
            return None
        span = spans[place]
        found.append(np.arange(start, stop) + (span.row - span.start))
    return np.concatenate(found) if found else None


def _smallest_buffer(array: pa.Array) -> pa.Buffer | None:
    """A buffer of the array: the smallest, since it is held."""
    buffers = (buffer for buffer in array.buffers() if buffer is not None and buffer.size)
    return min(buffers, key=lambda buffer: buffer.size, default=None)
