"""The numbers of Thrift structs: of Parquet's footers and page headers.

A footer can have a million of them: `files.c` finds them, where it could be compiled (ADR 22).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from provreg import _native
from provreg._native import checked
from provreg.core.encoding.thrift import struct_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt


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


# An integer, a list of two, a struct with one; and texts of 1, 300 and 2 bytes.
_STRUCT = bytes.fromhex("1502192502041c160600000000")
_TEXTS = b"".join(len(text).to_bytes(4, "little") + text for text in (b"a", b"b" * 300, b"cc"))


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
