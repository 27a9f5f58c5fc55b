"""Thrift's compact protocol, the part that Parquet's footers and page headers use.

No value is longer than the bytes around it. Raises IndexError, ValueError or struct.error for
malformed input.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

_MAX_NESTING = 16


def fields_of(
    data: bytes, at: int = 0, nesting: int = 0
) -> Iterator[tuple[int, int, Any, int, int]]:
    """(number, type, value, start and end of the value) of the fields of the struct at `at`."""
    number = before = 0
    while head := data[at]:
        at += 1
        kind, delta = head & 15, head >> 4
        if delta:
            number += delta
        else:
            number, at = _integer(data, at)
        if number <= before:
            raise ValueError(f"field {number} comes after field {before}")
        before = number
        start = at
        value, at = (kind == 1, at) if kind in (1, 2) else _value(data, at, kind, nesting)
        yield number, kind, value, start, at
    # The end of the struct.
    yield 0, 0, None, at, at + 1


def struct_at(data: bytes, at: int, nesting: int = 0) -> tuple[dict[int, Any], int]:
    """The struct at `at`, by the numbers of its fields, and where it ends."""
    *fields, end = fields_of(data, at, nesting)
    return {number: value for number, _, value, _, _ in fields}, end[4]


def _value(data: bytes, at: int, kind: int, nesting: int) -> tuple[Any, int]:
    if nesting > _MAX_NESTING:
        raise ValueError("nested too deep")
    match kind:
        case 3:
            return struct.unpack_from("<b", data, at)[0], at + 1
        case 4 | 5 | 6:
            return _integer(data, at)
        case 7:
            return struct.unpack_from("<d", data, at)[0], at + 8
        case 8:
            size, at = _varint(data, at)
            if size > len(data) - at:
                raise ValueError("a text is longer than the data")
            return data[at : at + size], at + size
        case 9 | 10:
            head, at = data[at], at + 1
            size, kind = head >> 4, head & 15
            if size == 15:
                size, at = _varint(data, at)
            items = []
            for _ in range(size):
                # In lists a boolean takes a byte.
                truth = kind in (1, 2)
                value, at = (
                    (data[at] == 1, at + 1) if truth else _value(data, at, kind, nesting + 1)
                )
                items.append(value)
            return items, at
        case 12:
            return struct_at(data, at, nesting + 1)
    raise ValueError(f"unknown type: {kind}")


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return value >> 1 ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte, at = data[at], at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("an integer of more than 64 bits")
