"""The values of an array one by one, as bytes, and the hash of each.

Loops that Python runs cost more than the hash itself where values are short. Those are hashed
several at once by `lanes.c` where it could be compiled (ADR 21), and elsewhere one by one, with
every step that can be left to C.
"""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from blake3 import blake3

try:
    from provreg.core.lanes import hash_short
except ImportError:
    hash_short = None

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

# One chunk of BLAKE3: what is hashed in a lane, and what is copied to be hashed.
_SHORT = 1024


def each_value(values: pa.Array) -> Iterator[bytes]:
    """The values of a binary or text array without nulls as bytes, faster than `to_pylist`."""
    data, ends = _ends(values)
    first = ends[0].item()
    text = data.slice(first, ends[-1].item() - first).to_pybytes()
    # A file in memory gives one value after another without a slice object for each.
    return map(BytesIO(text).read, np.diff(ends).tolist())


def hash_each(values: pa.Array, context: str = "") -> bytes:
    """The BLAKE3-256 of each value of a binary array without nulls, joined; 32 bytes each.

    With a `context` the mode is that of deriving keys.
    """
    data, ends = _ends(values)
    if hash_short is None:
        return _one_by_one(values, data, ends, context)
    digests = hash_short(data, ends, context.encode())
    view, hasher = memoryview(data), _hasher(context)
    for at in np.flatnonzero(np.diff(ends) > _SHORT).tolist():
        hasher.update(view[ends[at] : ends[at + 1]])
        digests[32 * at : 32 * at + 32] = hasher.digest()
        hasher.reset()
    return bytes(digests)


def _one_by_one(
    values: pa.Array, data: pa.Buffer, ends: npt.NDArray[np.int64], context: str
) -> bytes:
    view = memoryview(data)
    short = ends[-1] - ends[0] <= _SHORT * len(values)
    each = each_value(values) if short else (view[a:b] for a, b in pairwise(ends.tolist()))
    # One that is reset is 30 % faster than one for each value.
    hasher = _hasher(context)
    reset, update, digest = hasher.reset, hasher.update, hasher.digest
    digests = []
    for value in each:
        update(value)
        digests.append(digest())
        reset()
    return b"".join(digests)


def _hasher(context: str) -> blake3:
    return blake3(derive_key_context=context) if context else blake3()


def _ends(values: pa.Array) -> tuple[pa.Buffer, npt.NDArray[np.int64]]:
    """The data of a binary or text array, and where in it each value begins and the last ends.

    The ends are a copy: what nobody else can change while it is used.
    """
    if not len(values):
        return pa.py_buffer(b""), np.zeros(1, np.int64)
    wide = pa.types.is_large_binary(values.type) or pa.types.is_large_string(values.type)
    _, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, np.int64 if wide else np.int32)
    ends = ends[values.offset : values.offset + len(values) + 1]
    return data or pa.py_buffer(b""), ends.astype(np.int64)
