"""What the second reader (`second_reader.py`) takes from docs/format/manifest.md, "Part file".

The file's own footer and page headers, in Thrift's compact protocol. Values are left to Arrow,
which is given a footer without anything that could change them.
"""

from __future__ import annotations

import io
import struct
from typing import Any

from second_conventions import Refused, refuse_unless

STRING, LIST, MICROS = {1: {}}, {3: {}}, {8: {1: True, 2: {2: {}}}}
UINT_64 = {10: {1: 64, 2: False}}
# (name, or None for any; repetition; children; physical type; logical type; its converted type)
ELEMENTS: list[tuple[str | None, int | None, int, int | None, Any, int | None]] = [
    (None, None, 14, None, None, None),
    ("id", 0, 0, 6, STRING, 0), ("content", 0, 0, 7, None, None), ("size", 0, 0, 2, UINT_64, 14),
    ("label", 1, 0, 6, STRING, 0), ("label_digest", 1, 0, 7, None, None),
    ("source", 0, 0, 6, STRING, 0), ("labeler", 1, 0, 6, STRING, 0),
    ("labeled_at", 1, 0, 2, MICROS, 10), ("split", 1, 0, 6, STRING, 0),
    ("delivery", 1, 0, 7, None, None), ("annotations", 1, 1, None, LIST, 3),
    (None, 2, 1, None, None, None), (None, 1, 3, None, None, None),
    ("label", 1, 0, 6, STRING, 0), ("labeler", 1, 0, 6, STRING, 0),
    ("labeled_at", 1, 0, 2, MICROS, 10), ("uri", 1, 0, 6, STRING, 0),
    ("content_sha256", 1, 0, 7, None, None), ("attrs", 1, 0, 6, STRING, 0),
]  # fmt: skip
DELTAS = {b"id": 7, b"size": 5}


class Thrift:
    """Reads structs, one after the other; `spans` are where the last struct's fields stand."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.file = io.BytesIO(data)
        self.file.seek(at)
        self.depth = 0

    def byte(self) -> int:
        return self.exactly(1)[0]

    def exactly(self, size: int) -> bytes:
        data = self.file.read(size)
        refuse_unless(len(data) == size, "cut short")
        return data

    def varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
        raise Refused("a long integer")

    def struct(self, spans: dict[int, tuple[int, int, int]] | None = None) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            refuse_unless(number > max(fields, default=0), "fields out of order")
            start = self.file.tell()
            fields[number] = head & 15 == 1 if head & 15 < 3 else self.value(head & 15)
            if spans is not None:
                spans[number] = (head & 15, start, self.file.tell())
        return fields

    def zigzag(self) -> int:
        value = self.varint()
        return value // 2 if value % 2 == 0 else -(value + 1) // 2

    def value(self, kind: int) -> Any:
        self.depth += 1
        refuse_unless(self.depth < 20, "too deep")
        try:
            return self.shallow(kind)
        finally:
            self.depth -= 1

    def shallow(self, kind: int) -> Any:
        if kind in (1, 2):
            return self.byte() == 1
        if kind == 3:
            return struct.unpack("<b", self.exactly(1))[0]
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind == 7:
            return self.exactly(8)
        if kind == 8:
            return self.exactly(self.varint())
        if kind in (9, 10):
            head = self.byte()
            size = self.varint() if head >> 4 == 15 else head >> 4
            return [self.value(head & 15) for _ in range(size)]
        refuse_unless(kind == 12, "an unknown type")
        return self.struct()


def check_form(data: bytes, rows: int) -> bytes:
    """A file of the footer alone, of which only what says where the values are is left."""
    try:
        return _check_form(data, rows)
    except (KeyError, TypeError, IndexError, UnicodeError) as error:
        raise Refused(f"not a Parquet file: {error!r}") from None


def _check_form(data: bytes, rows: int) -> bytes:
    refuse_unless(data[:4] == data[-4:] == b"PAR1" and len(data) >= 12, "no Parquet")
    size = int.from_bytes(data[-8:-4], "little")
    refuse_unless(0 < size <= min(1 << 20, len(data) - 12), "no footer")
    body = data[-8 - size : -8]
    spans: dict[int, tuple[int, int, int]] = {}
    footer = Thrift(body).struct(spans)
    refuse_unless(8 not in footer, "encrypted")
    [group] = footer[4] if len(footer[4]) == 1 else [{}]
    refuse_unless(footer[3] == group.get(3) == rows, "rows")
    elements = footer[2]
    refuse_unless(len(elements) == len(ELEMENTS), "columns")
    for found, expected in zip(elements, ELEMENTS, strict=True):
        name, repetition, children, kind, logical, converted = expected
        found_name = str(found[4], "utf-8")
        refuse_unless(found_name == (name or found_name), "name")
        refuse_unless(repetition is None or found.get(3) == repetition, "repetition")
        refuse_unless(found.get(5, 0) == children and found.get(1) == kind, "type")
        refuse_unless(kind != 7 or found[2] == 32, "length")
        refuse_unless(found.get(10) == logical, "logical type")
        refuse_unless(found.get(6) in (None, converted), "converted type")
    names = [found[4] for found in elements]
    paths = [[name] for name in names]
    paths[14:17] = [[*names[11:14], name] for name in names[14:17]]
    columns = [(path, found[1]) for path, found in zip(paths, elements, strict=True) if 1 in found]
    refuse_unless(len(group[1]) == len(columns), "columns")
    unfolded, most = 0, most_unfolded(data)
    for chunk, (path, kind) in zip(group[1], columns, strict=True):
        refuse_unless(not {1, 8, 9} & set(chunk), "elsewhere or encrypted")
        meta = chunk[3]
        refuse_unless(meta[1] == kind and meta[3] == path and meta[4] in (0, 6), "column")
        if len(path) == 1:
            refuse_unless(meta[5] == rows, "values")
        else:
            refuse_unless(32 * meta[5] <= most, "too many annotations")
        unfolded += pages(data, len(data) - 8 - size, meta, DELTAS.get(path[-1], 0))
    refuse_unless(unfolded <= most, "too large")
    kept, before = b"", 0
    for number in sorted(number for number in spans if 1 <= number <= 4):
        form, start, end = spans[number]
        kept += bytes([number - before << 4 | form]) + body[start:end]
        before = number
    kept += b"\0"
    return b"PAR1" + kept + len(kept).to_bytes(4, "little") + b"PAR1"


def most_unfolded(data: bytes) -> int:
    return max(64 * len(data), 1 << 28)


def pages(data: bytes, footer: int, meta: dict[int, Any], delta: int) -> int:
    data_at = meta[9]
    at = meta.get(11) or data_at
    end = at + meta[7]
    refuse_unless(4 <= at <= data_at < end <= footer, "place of pages")
    unfolded = values = 0
    while at < end:
        thrift = Thrift(data, at)
        header = thrift.struct()
        if at < data_at:
            refuse_unless(header[1] == 2 and header[7][2] == 0, "dictionary")
            following = data_at
        else:
            refuse_unless(header[1] == 0, "kind of page")
            about = header[5]
            refuse_unless(about[2] in (0, 8, delta), "encoding")
            refuse_unless(about[3] == about[4] == 3, "levels")
            values += about[1]
            following = None
        refuse_unless(header[2] >= 0 and header[3] >= 0, "size")
        unfolded += header[2]
        at = thrift.file.tell() + header[3]
        refuse_unless(following in (None, at), "place of pages")
    refuse_unless(at == end and values == meta[5], "pages")
    return unfolded
