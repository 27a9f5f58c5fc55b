"""How large the pages of a Parquet file become, checked before Arrow decompresses them.

A few bytes can repeat a value of megabytes a million times or give a list 2³¹ items, and a page of
zeros compresses 30,000 to 1. Arrow believes the sizes in the footer, so provreg reads the header of
each page.

Footers and page headers are structs of Thrift. A footer can have a million numbers: `files.c` finds
them if it could be compiled (ADR 22).
"""

from __future__ import annotations

import os
import struct
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from provreg import _native
from provreg._native import checked
from provreg.core.encoding.text import quoted
from provreg.core.encoding.thrift import struct_at
from provreg.errors import InputError
from provreg.readers.data_files.source_file import SourceFile, display

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    import pyarrow.parquet as pq

    Numbers = npt.NDArray[np.int64]

# An integer, a list of two, a struct with one; and texts of 1, 300 and 2 bytes.
_STRUCT = bytes.fromhex("1502192502041c160600000000")
_TEXTS = b"".join(len(text).to_bytes(4, "little") + text for text in (b"a", b"b" * 300, b"cc"))
# What so many rows take together, beside what a single one takes.
_MOST_OF_ROWS = 1 << 26
# What a row may take with all pages that it stands in: so much, or so many times its bytes in the
# file. What a column may take without a look at how long its lists are.
_MOST_OF_ONE, _TIMES_ITS_BYTES, _TIMES_UNSEEN = 1 << 29, 64, 16
# Levels, the end of a text or list, and what widening takes, for each value.
_BESIDE = 24
_FIXED = 16
# Of a column chunk, below the row groups of a footer: paths of `numbers`.
_ROWS, _PLACE, _CODEC, _VALUES, _SIZE, _DATA, _DICTIONARY = (
    0x0403, 0x040102, 0x04010304, 0x04010305, 0x04010307, 0x04010309, 0x0401030B,
)  # fmt: skip
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_2 = 0, 2, 3
# All that is asked of a page's header.
_OF_A_PAGE = (1, 2, 3, 0x0501, 0x0502, 0x0504, 0x0701, 0x0702, 0x0801, 0x0804, 0x0806)
_RLE, _DELTA_BYTE_ARRAY = 3, 7
_CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
# Of a page header; what Arrow takes at most.
_SMALL_HEADER, _MOST_HEADER = 1 << 9, 1 << 24


def numbers(data: bytes, at: int = 0) -> tuple[npt.NDArray[np.int64], int]:
    """The integers of the struct at `at`, int64 of shape (integers, 2), and where it ends.

    Each has a path, a byte for the number of each field, and its value. Raises ValueError.
    """
    if integers is not None:
        found, end = integers(data, at)
        return np.frombuffer(found, np.int64).reshape(-1, 2), end
    return _numbers(data, at)


def _numbers(data: bytes, at: int) -> tuple[npt.NDArray[np.int64], int]:
    try:
        value, end = struct_at(data, at)
    except (IndexError, struct.error, TypeError) as error:
        raise ValueError("no Thrift struct") from error
    pairs = list(_pairs(value, 0))
    return np.array(pairs, np.int64).reshape(-1, 2), end


def _pairs(value: Any, path: int) -> Iterator[tuple[int, int]]:
    if isinstance(value, dict):
        for number, below in value.items():
            yield from _pairs(below, path << 8 | min(number, 255))
    elif isinstance(value, list):
        for below in value:
            yield from _pairs(below, path)
    elif isinstance(value, int):
        yield path, int(value)


def longest_text(data: bytes, most: int) -> int:
    """The length of the longest of the first `most` texts in `data`, each behind its length."""
    return _longest(data, most) if longest is None else longest(data, most)


def _longest(data: bytes, most: int) -> int:
    found = at = 0
    while most > 0 and at + 4 <= len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        at += 4 + length
        if at > len(data):
            break
        found, most = max(found, length), most - 1
    return found


def _same_integers(kernel: Any) -> bool:
    found, end = kernel(_STRUCT, 0)
    expected, expected_end = _numbers(_STRUCT, 0)
    return bool(found == expected.tobytes() and end == expected_end)


integers = checked(_native.integers, "integers", _same_integers)
longest = checked(
    _native.longest,
    "longest",
    lambda kernel: all(kernel(_TEXTS, most) == _longest(_TEXTS, most) for most in range(4)),
)


class _Chunk(NamedTuple):
    """Where the pages of a column are, and what the footer says of them."""

    codec: int
    values: int
    start: int
    stop: int


class _Page(NamedTuple):
    """A data page, or a dictionary; `size` is that of its body, `unfolded` what becomes of it."""

    body: int
    size: int
    unfolded: int
    values: int
    encoding: int
    level_encoding: int = _RLE
    # Of the second version: the bytes of repetition levels, which are not packed.
    levels: int | None = None


class _Column:
    """What the values of a column take when they are decoded."""

    def __init__(
        self, file: int, chunk: _Chunk, schema: pq.ColumnSchema, rows: int, most: int
    ) -> None:
        self._file, self._chunk = file, chunk
        self._pages, dictionaries = _pages(file, chunk)
        self.dictionary = sum(page.unfolded for page in dictionaries)
        self.nested = schema.max_repetition_level > 0
        self._values = np.array([page.values for page in self._pages], np.int64)
        self._unfolded = np.cumsum([0, *(page.unfolded for page in self._pages)])
        self._total = int(self._values.sum())
        self._each = _BESIDE + max(_FIXED, schema.length or 0)
        if self.dictionary > most or max((page.unfolded for page in self._pages), default=0) > most:
            self._each, self._in_a_row = most + 1, 1  # too large to look at
            return
        if schema.physical_type == "BYTE_ARRAY":
            self._each += self._longest(dictionaries, rows)
            delta = [page.unfolded for page in self._pages if page.encoding == _DELTA_BYTE_ARRAY]
            self._each += max(delta, default=0)
        self._in_a_row = 1
        if self.nested:
            self._in_a_row = max(1, self._total)
            packed = chunk.stop - chunk.start
            if self._total * self._each > max(_MOST_OF_ROWS, _TIMES_UNSEEN * packed):
                self._in_a_row = self._most_in_a_row(schema.max_repetition_level)

    def takes(self, rows: int) -> int:
        """The bytes that so many rows take at most, with the pages that they stand in."""
        values = rows * self._in_a_row
        if self.nested:
            values = min(values, self._total)
        ends = np.cumsum(self._values)
        last = np.searchsorted(ends - self._values, ends + min(values, self._total))
        pages = (self._unfolded[last] - self._unfolded[:-1]).max(initial=0)
        return values * self._each + int(pages) + self.dictionary

    def _longest(self, dictionaries: Sequence[_Page], rows: int) -> int:
        """The length of the longest text that can be said again and again."""
        # Where it does not matter it is not looked for.
        if rows * self.dictionary <= _MOST_OF_ROWS >> 3 and not self.nested:
            return self.dictionary
        found = 0
        for page in dictionaries:
            texts = self._unpacked(page)
            known = None if texts is None else longest_text(texts, page.values)
            found = max(found, page.unfolded if known is None else known)
        return found

    def _most_in_a_row(self, most_level: int) -> int:
        """The most values that one row has."""
        width = most_level.bit_length()
        longest = row = 0
        for page in self._pages:
            levels = self._levels(page)
            if levels is None:
                return self._total
            for starts, count in _runs(levels, width, page.values):
                if len(starts):
                    between = int(np.diff(starts).max(initial=0))
                    longest = max(longest, row + int(starts[0]), between)
                    row = count - int(starts[-1])
                else:
                    row += count
        return max(1, longest, row)

    def _levels(self, page: _Page) -> bytes | None:
        """The encoded repetition levels of a page, None where they are in no form known here."""
        if page.levels is not None:
            return os.pread(self._file, page.levels, page.body)
        body = self._unpacked(page) if page.level_encoding == _RLE else None
        return None if body is None else body[4 : 4 + int.from_bytes(body[:4], "little")]

    def _unpacked(self, page: _Page) -> bytes | None:
        """The body of a page; None where it is packed in a way that is not known here."""
        body = os.pread(self._file, page.size, page.body)
        if self._chunk.codec == 0:
            return body
        if self._chunk.codec not in _CODECS:
            return None
        codec = pa.Codec(_CODECS[self._chunk.codec])
        found: bytes = codec.decompress(body, page.unfolded, asbytes=True)
        return found


def rows_at_once(
    file: SourceFile, descriptor: int, schema: pq.ParquetSchema, group: int, rows: int
) -> int:
    """How many rows of a row group to decode together, at most `rows`, so that memory is bounded.

    Raises InputError where one takes too much, ValueError and what Arrow raises for what is not
    readable.
    """
    size = int.from_bytes(os.pread(descriptor, 4, file.size - 8), "little")
    try:
        chunks = _chunks(os.pread(descriptor, size, file.size - 8 - size))[group]
        packed = min(file.size, sum(chunk.stop - chunk.start for chunk in chunks))
        most = max(_MOST_OF_ONE, _TIMES_ITS_BYTES * packed)
        columns, one = [], 0
        for number, chunk in enumerate(chunks):
            column = _Column(descriptor, chunk, schema.column(number), rows, most)
            columns.append(column)
            one += column.takes(1)
            if one > most:
                raise InputError(
                    f"{display(file.path)}: a row of row group {group + 1} can take more than"
                    f" {most >> 20} MB of memory, up to {quoted(schema.column(number).path)}",
                    hint="if the file is your own, write it with smaller pages and shorter lists",
                )
    except (KeyError, IndexError) as error:
        raise ValueError(f"a page does not say what it must: {error}") from error
    while rows > 1 and sum(column.takes(rows) for column in columns) > one + _MOST_OF_ROWS:
        rows //= 2
    return rows


@lru_cache(maxsize=2)
def _chunks(footer: bytes) -> list[list[_Chunk]]:
    """The column chunks of each row group. Raises ValueError."""
    found, _ = numbers(footer)
    paths, values = found[:, 0], found[:, 1]
    at = {
        path: np.flatnonzero(paths == path)
        for path in (_ROWS, _PLACE, _CODEC, _VALUES, _SIZE, _DATA, _DICTIONARY)
    }
    places = at[_PLACE]
    if any(len(at[path]) != len(places) for path in (_CODEC, _VALUES, _SIZE, _DATA)):
        raise ValueError("a column chunk lacks what it must say")
    start = values[at[_DATA]]
    # A dictionary stands before the data, where there is one.
    owner = np.searchsorted(places, at[_DICTIONARY]) - 1
    dictionary = values[at[_DICTIONARY]]
    before = (dictionary > 0) & (dictionary < start[owner])
    start[owner[before]] = dictionary[before]
    size = values[at[_SIZE]]
    if (start < 0).any() or (size < 0).any():
        raise ValueError("a column chunk is before the file")
    chunks = [
        _Chunk(*chunk)
        for chunk in zip(
            values[at[_CODEC]].tolist(),
            values[at[_VALUES]].tolist(),
            start.tolist(),
            (start + size).tolist(),
            strict=True,
        )
    ]
    ends = [0, *np.searchsorted(places, at[_ROWS]).tolist()]
    return [chunks[first:last] for first, last in pairwise(ends)]


def _pages(file: int, chunk: _Chunk) -> tuple[list[_Page], list[_Page]]:
    """The data pages of a column as Arrow reads them, and its dictionaries. Raises ValueError."""
    data, dictionaries = [], []
    at, seen = chunk.start, 0
    while seen < chunk.values and at < chunk.stop:
        header, at = _header(file, at, chunk.stop)
        kind, size = header[1], header[3]
        unfolded = header[2]
        if size < 0 or unfolded < 0:
            raise ValueError("a page is smaller than nothing")
        if kind == _DICTIONARY_PAGE:
            values, encoding = header[0x0701], header[0x0702]
            dictionaries.append(_Page(at, size, unfolded, values, encoding))
        elif kind == _DATA_PAGE:
            values, encoding, level_encoding = header[0x0501], header[0x0502], header[0x0504]
            data.append(_Page(at, size, unfolded, values, encoding, level_encoding))
        elif kind == _DATA_PAGE_2:
            values, encoding, levels = header[0x0801], header[0x0804], header[0x0806]
            data.append(_Page(at, size, unfolded, values, encoding, levels=levels))
        if kind in (_DATA_PAGE, _DATA_PAGE_2):
            if data[-1].values < 0:
                raise ValueError("a page has fewer values than none")
            seen += data[-1].values
        at += size
    return data, dictionaries


def _header(file: int, at: int, stop: int) -> tuple[dict[int, int], int]:
    """The numbers of the page header at `at`, and where it ends."""
    size = _SMALL_HEADER
    while True:
        data = os.pread(file, min(size, stop - at), at)
        try:
            found, end = numbers(data)
        except ValueError:
            if len(data) < size or size >= _MOST_HEADER:
                raise
            size *= 16
        else:
            header = dict(found.tolist())
            # Arrow takes the lower bits of longer ones.
            if any(abs(header.get(path, 0)) >= 1 << 31 for path in _OF_A_PAGE):
                raise ValueError("a page says a number that is too large")
            return header, at + end


def _runs(levels: bytes, width: int, values: int) -> Iterator[tuple[Numbers, int]]:
    """The runs of encoded repetition levels: the places at which rows start, and the length."""
    at = 0
    while values > 0:
        head = shift = 0
        while (byte := levels[at]) > 127:
            head |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
        head, at = head | byte << shift, at + 1
        if head & 1:
            size = (head >> 1) * width
            packed = np.frombuffer(levels[at : at + size], np.uint8)
            bits = np.unpackbits(packed, bitorder="little").reshape(-1, width)[:values]
            count = len(bits)
            starts = np.flatnonzero(~bits.any(axis=1))
        else:
            size = (width + 7) // 8
            count = min(values, head >> 1)
            # Where each starts a row, the first and the last tell all.
            starts = np.array([] if any(levels[at : at + size]) else [0, count - 1], np.int64)
            starts = np.unique(starts)
        if count < 1:
            raise ValueError("the levels of a page end too early")
        yield starts, count
        at += size
        values -= count
