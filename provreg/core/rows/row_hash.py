"""The hash of every row that is put together from pieces.

Short rows are hashed side by side in wide registers by `lanes.c`, where it could be compiled
(docs/adr/0021-rows-in-lanes.md), and elsewhere one by one, with the same result.
"""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from blake3 import blake3

from provreg import _native
from provreg._native import checked
from provreg.core.rows.pieces import joined, offsets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from provreg import _native
from provreg.core.rows.pieces import Fixed, Piece

# One chunk of BLAKE3: what is hashed in a lane, and what is copied to be hashed.
_SHORT = 1024


def _agrees(kernel: Any) -> bool:
    """Whether `kernel` hashes rows of up to 40 bytes, and of a whole chunk, as blake3 does."""
    sizes = [*range(41), _SHORT]
    data, ends = bytes(range(251)) * 20, np.cumsum([0, *sizes])
    rows = [data[start:end] for start, end in pairwise(ends.tolist())]
    for context in ("", "provreg check"):
        hasher = blake3(derive_key_context=context) if context else blake3()
        expected = b"".join(hasher.copy().update(row).digest() for row in rows)
        digests, found = kernel(((data, ends),), len(rows), context.encode())
        if bytes(digests) != expected or np.frombuffer(found, np.int64).tolist() != sizes:
            return False
    return True


hash_short = checked(_native.hash_short, "hash_short", _agrees)


def hash_pieces(
    pieces: Sequence[Piece], rows: int, context: str = ""
) -> tuple[bytes, npt.NDArray[np.int64]]:
    """The BLAKE3-256 of each row, joined, 32 bytes each; and how many bytes each row has.

    With a `context` the mode is that of deriving keys.
    """
    if hash_short is None:
        return _one_by_one(joined(pieces, rows), context)
    described = tuple(_described(piece, rows) for piece in pieces)
    digests, size = hash_short(described, rows, context.encode())
    sizes = np.frombuffer(size, np.int64)
    long = np.flatnonzero(sizes > _SHORT)
    if len(long):
        taken = pieces if len(long) == rows else [_taken(piece, long) for piece in pieces]
        found, _ = _one_by_one(joined(taken, len(long)), context)
        np.frombuffer(digests, "V32")[long] = np.frombuffer(found, "V32")
    return bytes(digests), sizes


def _one_by_one(encoded: pa.Array, context: str) -> tuple[bytes, npt.NDArray[np.int64]]:
    ends = offsets_of(encoded)
    each: Iterable[bytes | memoryview]
    if ends[-1] - ends[0] <= _SHORT * len(encoded):
        each = iter_value_bytes(encoded)
    else:
        view = memoryview(encoded.buffers()[2])
        each = (view[start:end] for start, end in pairwise(ends.tolist()))
    # One that is reset is 30 % faster than one for each value.
    hasher = blake3(derive_key_context=context) if context else blake3()
    reset, update, digest = hasher.reset, hasher.update, hasher.digest
    digests = []
    for value in each:
        update(value)
        digests.append(digest())
        reset()
    return b"".join(digests), np.diff(ends)


def _described(
    piece: Piece, rows: int
) -> tuple[pa.Buffer | bytes | Fixed, npt.NDArray[np.int64] | int]:
    """What `hash_short` needs to know: the bytes, and how many of them are each row's."""
    if not isinstance(piece, np.ndarray):
        # What stands in place of nulls is noise. Ends are copied: nobody else can change them.
        values = piece.fill_null(b"") if piece.null_count else piece
        return values.buffers()[2] or b"", offsets_of(values).copy()
    same = rows and piece.strides[0] == 0
    return np.ascontiguousarray(piece[0] if same else piece), piece.shape[1]


def _taken(piece: Piece, rows: npt.NDArray[np.int64]) -> Piece:
    return piece[rows] if isinstance(piece, np.ndarray) else piece.take(pa.array(rows))


def iter_value_bytes(values: pa.Array) -> Iterator[bytes]:
    """The values of a binary or text array without nulls, faster than `to_pylist`."""
    if not len(values):
        return iter(())
    wide = pa.types.is_large_binary(values.type) or pa.types.is_large_string(values.type)
    _, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, np.int64 if wide else np.int32)
    ends = ends[values.offset : values.offset + len(values) + 1]
    first = ends[0].item()
    text = b"" if data is None else data.slice(first, ends[-1].item() - first).to_pybytes()
    # A file in memory gives one value after another without a slice object for each.
    return map(BytesIO(text).read, np.diff(ends).tolist())
