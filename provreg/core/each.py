"""The values of an array one by one, as bytes, and the hash of each: the loops that Python runs.

They cost more than the hash itself where values are short, so every step that can be is left to C.
"""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from blake3 import blake3

# Longer values are not copied: bytes each.
_SHORT = 1024


def each_value(values: pa.Array) -> Iterator[bytes]:
    """The values of a binary or text array without nulls as bytes, faster than `to_pylist`."""
    data, ends = _ends(values)
    first = ends[0].item()
    text = data.slice(first, ends[-1].item() - first).to_pybytes()
    # A file in memory gives one value after another without a slice object for each.
    return map(BytesIO(text).read, np.diff(ends).tolist())


def hash_each(values: pa.Array, hasher: blake3) -> bytes:
    """The hash of each value of a binary array without nulls, joined; 32 bytes each.

    `hasher` is a new one. It is reset: 30 % faster than one for each value.
    """
    data, ends = _ends(values)
    if ends[-1] - ends[0] <= _SHORT * len(values):
        return _hashes(each_value(values), hasher)
    view = memoryview(data)
    return _hashes((view[start:end] for start, end in pairwise(ends.tolist())), hasher)


def _hashes(values: Iterable[bytes | memoryview], hasher: blake3) -> bytes:
    reset, update, digest = hasher.reset, hasher.update, hasher.digest
    digests = []
    for value in values:
        update(value)
        digests.append(digest())
        reset()
    return b"".join(digests)


def _ends(values: pa.Array) -> tuple[pa.Buffer, np.ndarray]:
    """The data of a binary or text array, and where in it each value begins and the last ends."""
    if not len(values):
        return pa.py_buffer(b""), np.zeros(1, np.int64)
    wide = pa.types.is_large_binary(values.type) or pa.types.is_large_string(values.type)
    _, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, np.int64 if wide else np.int32)
    ends = ends[values.offset : values.offset + len(values) + 1]
    return data or pa.py_buffer(b""), ends
