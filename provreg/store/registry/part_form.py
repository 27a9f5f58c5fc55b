"""What Parquet may be in a part file (docs/format/manifest.md, "Part file").

Looked at by provreg itself, before anything is decoded. What Arrow takes grows with its versions;
an Arrow schema in the file changes the types that it gives; and the encodings that a footer lists
are only its word: those that count stand before each page.
Source: Apache Parquet, parquet.thrift; Thrift compact protocol.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from provreg.core.encoding.thrift import fields_of, struct_at
from provreg.errors import FormatError

_MAGIC = b"PAR1"
_MAX_FOOTER = 1 << 20
_MAX_UNFOLDED, _TIMES_ITS_BYTES, _OF_AN_ANNOTATION = 1 << 28, 64, 32

_INT64, _BYTES, _FIXED = 2, 6, 7
_REQUIRED, _OPTIONAL, _REPEATED = 0, 1, 2
_LOGICAL: dict[str, dict[int, Any]] = {
    "text": {1: {}},
    "list": {3: {}},
    "moment": {8: {1: True, 2: {2: {}}}},
    "uint64": {10: {1: 64, 2: False}},
}
# The converted types that say the same.
_CONVERTED = {"text": 0, "list": 3, "moment": 10, "uint64": 14}

_UNCOMPRESSED, _ZSTD = 0, 6
_PLAIN, _RLE, _DELTA_BINARY_PACKED, _DELTA_BYTE_ARRAY, _RLE_DICTIONARY = 0, 3, 5, 7, 8
# What the values of a column may be encoded in, beside these two.
_ANY_COLUMN = (_PLAIN, _RLE_DICTIONARY)
_DELTA = {b"id": _DELTA_BYTE_ARRAY, b"size": _DELTA_BINARY_PACKED}
_DATA_PAGE, _DICTIONARY_PAGE = 0, 2


@dataclass(frozen=True, slots=True)
class Form:
    """What Arrow is told of a part file, and what it takes to decode it."""

    # A Parquet file of the footer alone, as far as it says how to read the columns.
    footer: bytes
    # Numbers of the columns that have a dictionary, whose texts can be said again and again.
    dictionaries: tuple[int, ...]
    # What the largest page of each column unfolds to.
    pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Element:
    """One element of the file's schema; without a name where names mean nothing."""

    name: str | None
    repetition: int | None
    children: int = 0
    physical: int | None = None
    logical: str | None = None


def _column(name: str, kind: int, logical: str | None = None, *, needed: bool = False) -> _Element:
    return _Element(name, _REQUIRED if needed else _OPTIONAL, 0, kind, logical)


_SCHEMA = (
    _Element(None, None, 14),
    _column("id", _BYTES, "text", needed=True),
    _column("content", _FIXED, needed=True),
    _column("size", _INT64, "uint64", needed=True),
    _column("label", _BYTES, "text"),
    _column("label_digest", _FIXED),
    _column("source", _BYTES, "text", needed=True),
    _column("labeler", _BYTES, "text"),
    _column("labeled_at", _INT64, "moment"),
    _column("split", _BYTES, "text"),
    _column("delivery", _FIXED),
    _Element("annotations", _OPTIONAL, 1, None, "list"),
    _Element(None, _REPEATED, 1),
    _Element(None, _OPTIONAL, 3),
    _column("label", _BYTES, "text"),
    _column("labeler", _BYTES, "text"),
    _column("labeled_at", _INT64, "moment"),
    _column("uri", _BYTES, "text"),
    _column("content_sha256", _FIXED),
    _column("attrs", _BYTES, "text"),
)  # fmt: skip
_UNFOLDS = "unfolds to more than its size allows"
# The places of the list and of the two groups inside it, above the three columns of its items.
_LIST = (11, 12, 13)


def most_unfolded(size: int) -> int:
    """How many bytes a part file of `size` bytes may unfold to: its pages, and its texts."""
    return max(_MAX_UNFOLDED, _TIMES_ITS_BYTES * size)


def check_form(data: bytes, rows: int) -> Form:
    """What is to be known of a part file before it is decoded.

    Raises FormatError for anything that no part file of `rows` rows has.
    """
    try:
        return _check_form(data, rows)
    except (IndexError, KeyError, TypeError, ValueError, struct.error) as error:
        raise FormatError(f"a part file is not readable Parquet: {error!r}") from None


def _check_form(data: bytes, rows: int) -> Form:
    size = int.from_bytes(data[-8:-4], "little")
    begin = len(data) - 8 - size
    _refuse_unless(
        data[:4] == _MAGIC == data[-4:] and 0 < size <= _MAX_FOOTER and begin >= 4,
        "is not readable Parquet: it has no footer",
    )
    footer, kept, last = {}, bytearray(), 0
    for number, kind, value, start, end in fields_of(data[begin:-8]):
        footer[number] = value
        if 1 <= number <= 4:  # version, schema, rows, row groups
            kept += bytes([(number - last) << 4 | kind]) + data[begin + start : begin + end]
            last = number
    kept += b"\0"
    _refuse_unless(8 not in footer, "is encrypted")
    groups = footer[4]
    _refuse_unless(
        len(groups) == 1 and footer[3] == rows == groups[0][3],
        f"has {footer[3]} rows, its head says {rows}",
    )
    _check_schema(footer[2])
    chunks = groups[0][1]
    leaves = list(_leaves(footer[2]))
    _refuse_unless(len(chunks) == len(leaves), "does not have the columns of an entry")
    most, unfolded = most_unfolded(len(data)), 0
    dictionaries, largest = [], []
    for number, (chunk, (path, kind)) in enumerate(zip(chunks, leaves, strict=True)):
        _refuse_unless(not chunk.keys() & {1, 8, 9}, "has columns elsewhere, or encrypted ones")
        meta = chunk[3]
        _refuse_unless((meta[1], meta[3]) == (kind, path), "does not have the columns of an entry")
        _refuse_unless(
            meta[4] in (_UNCOMPRESSED, _ZSTD),
            f"is compressed by {_codec_name(meta[4])}, not by ZSTD",
        )
        if len(path) == 1:
            _refuse_unless(meta[5] == rows, "has a column that is longer or shorter than others")
        else:
            _refuse_unless(meta[5] * _OF_AN_ANNOTATION <= most, _UNFOLDS)
        taken = (*_ANY_COLUMN, _DELTA.get(path[-1], _PLAIN))
        pages = _pages(data, begin, meta, taken)
        unfolded += sum(pages)
        _refuse_unless(unfolded <= most, _UNFOLDS)
        largest.append(max(pages))
        if (meta.get(11) or meta[9]) < meta[9]:
            dictionaries.append(number)
    whole = _MAGIC + bytes(kept) + struct.pack("<I", len(kept)) + _MAGIC
    return Form(whole, tuple(dictionaries), tuple(largest))


def _check_schema(elements: list[dict[int, Any]]) -> None:
    for found, element in zip(elements, _SCHEMA, strict=False):
        logical = None if element.logical is None else _LOGICAL[element.logical]
        # What follows from the logical type may stand beside it, for older readers.
        converted = {None, None if element.logical is None else _CONVERTED[element.logical]}
        name = str(found[4], "utf-8")
        holds = (
            name == (element.name or name)
            and found.get(5, 0) == element.children
            and found.get(1) == element.physical
            and (element.physical != _FIXED or found.get(2) == 32)
            and (element.repetition is None or found.get(3) == element.repetition)
            and found.get(10) == logical
            and found.get(6) in converted
        )
        _refuse_unless(holds, "does not have the columns of an entry")
    _refuse_unless(len(elements) == len(_SCHEMA), "does not have the columns of an entry")


def _leaves(elements: list[dict[int, Any]]) -> Iterator[tuple[list[bytes], int]]:
    """(path, physical type) of each column of a schema that was checked."""
    names = [element[4] for element in elements]
    for place, element in enumerate(elements):
        if 1 in element:
            yield (
                [*(names[at] for at in _LIST if _LIST[-1] < place <= _LIST[-1] + 3), names[place]],
                element[1],
            )


def _pages(data: bytes, footer: int, meta: dict[int, Any], taken: tuple[int, ...]) -> list[int]:
    """How many bytes each page of a column unfolds to: Arrow unfolds it to what it says."""
    first, values = meta[9], 0
    unfolded = []
    at = meta.get(11) or first
    end = at + meta[7]
    _refuse_unless(4 <= at <= first < end <= footer, "has pages outside of their column")
    while at < end:
        start, (header, at) = at, struct_at(data, at)
        page, dictionary = header[1], start < first
        _refuse_unless(
            page == (_DICTIONARY_PAGE if dictionary else _DATA_PAGE)
            and min(header[2], header[3]) >= 0,
            f"has a page of kind {page} where none may be",
        )
        about = header[7] if dictionary else header[5]
        _refuse_unless(
            about[2] in ((_PLAIN,) if dictionary else taken)
            and (dictionary or about[3] == about[4] == _RLE),
            f"has a page in the encoding {about[2]}, which no part file has",
        )
        unfolded.append(header[2])
        values += 0 if dictionary else about[1]
        at += header[3]
        _refuse_unless(not dictionary or at == first, "has pages outside of their column")
    _refuse_unless(at == end and values == meta[5], "has pages outside of their column")
    return unfolded


def _codec_name(codec: int) -> str:
    names = ("none", "SNAPPY", "GZIP", "LZO", "BROTLI", "LZ4", "ZSTD", "LZ4_RAW")
    return names[codec] if 0 <= codec < len(names) else f"codec {codec}"


def _refuse_unless(holds: bool, why: str) -> None:
    if not holds:
        raise FormatError(f"a part file {why}")
