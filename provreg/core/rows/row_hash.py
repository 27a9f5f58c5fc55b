"""Bytes of many rows at once, and the hash of each row.

A *piece* holds some bytes of every row: a (rows, width) array of uint8 where the width is the same
in every row, a large_binary array otherwise. In a large_binary piece a null row has no bytes; a
fixed piece is *thinned* into one where rows are null. A row is its pieces one after another.

Short rows are hashed side by side in wide registers by `lanes.c`, where it could be compiled
(docs/adr/0021-rows-in-lanes.md), and elsewhere one by one, with the same result.
"""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from provreg import _native
from provreg._native import checked
from provreg.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Fixed: TypeAlias = npt.NDArray[np.uint8]
Mask: TypeAlias = npt.NDArray[np.bool_]
Piece: TypeAlias = Fixed | pa.Array
Numbers: TypeAlias = npt.NDArray[Any]

_MAX_LENGTH = 2**32 - 1
_NOTHING = pa.scalar(b"", pa.large_binary())


def without_dictionary(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """`column` with dictionaries decoded."""
    if not pa.types.is_dictionary(column.type):
        return column
    if isinstance(column, pa.ChunkedArray):
        chunks = [chunk.dictionary_decode() for chunk in column.chunks]
        return pa.chunked_array(chunks, column.type.value_type)
    return column.dictionary_decode()


def validity(array: pa.Array) -> Mask | None:
    """Which values are not null; None if all are."""
    if array.null_count == 0:
        return None
    valid: Mask = array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def numbers_of(array: pa.Array) -> Numbers:
    """The values, 0 where null."""
    filled = array.fill_null(pa.scalar(0, array.type)) if array.null_count else array
    values: Numbers = filled.to_numpy()
    return values


def constant(data: bytes, rows: int) -> Fixed:
    """`data` in every row."""
    return np.broadcast_to(np.frombuffer(data, np.uint8), (rows, len(data)))


def bytes_of(values: Numbers) -> Fixed:
    """The little-endian bytes of each value."""
    little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
    return little.view(np.uint8).reshape(len(values), values.dtype.itemsize)


def thin_pieces(pieces: Sequence[Piece], valid: Mask | None) -> list[Piece]:
    """`pieces` without bytes in the rows that are not `valid`; None means that all are."""
    if valid is None:
        return list(pieces)
    return [thin(run, valid) if isinstance(run, np.ndarray) else run for run in _runs(pieces)]


def thin(fixed: Fixed, keep: Mask) -> pa.Array:
    """`fixed` in the rows to `keep`, no bytes in the others."""
    offsets = np.concatenate(([0], np.cumsum(keep) * fixed.shape[1]))
    return large_binary(offsets, pa.py_buffer(np.ascontiguousarray(fixed[keep])))


def _runs(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """`pieces` with adjacent fixed ones concatenated: joins cost per piece."""
    fixed: list[Fixed] = []
    for piece in pieces:
        if isinstance(piece, np.ndarray):
            fixed.append(piece)
            continue
        if fixed:
            yield np.concatenate(fixed, axis=1)
            fixed = []
        yield piece
    if fixed:
        yield np.concatenate(fixed, axis=1)


def join_pieces(pieces: Sequence[Piece], rows: int) -> pa.Array:
    """The bytes of each row as a large_binary array."""
    arrays = [_as_array(run) for run in _runs(pieces)]
    if rows == 0:
        return pa.array([], pa.large_binary())
    return pc.binary_join_element_wise(
        *arrays, _NOTHING, null_handling="replace", null_replacement=b""
    )


def _as_array(piece: Piece) -> pa.Array:
    if not isinstance(piece, np.ndarray):
        return piece
    rows, width = piece.shape
    offsets = np.arange(rows + 1, dtype=np.int64) * width
    return large_binary(offsets, pa.py_buffer(np.ascontiguousarray(piece)))


def large_binary(offsets: npt.NDArray[np.int64], data: pa.Buffer | None) -> pa.Array:
    """The values of `data` between consecutive `offsets`; `data` may be None if empty."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(offsets, dtype=np.int64)), data]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def offsets_of(array: pa.Array) -> npt.NDArray[np.int64]:
    """Where each value of a large_binary array begins, and where the last value ends."""
    _, offsets, _ = array.buffers()
    if len(array) == 0:
        return np.zeros(1, np.int64)
    return np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]


def check_lengths(lengths: npt.NDArray[np.int64]) -> None:
    """Raises InputError for lengths that do not fit into 32 bits."""
    if len(lengths) and int(lengths.max()) > _MAX_LENGTH:
        raise InputError(f"a value has more than {_MAX_LENGTH:,} bytes or elements")


# A chunk of BLAKE3: the longest row that is hashed in a lane.
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
    """The BLAKE3-256 digests of all rows, 32 bytes each, and the size of each row in bytes.

    A `context` selects the derive-key mode.
    """
    if hash_short is None:
        return _hash_serially(join_pieces(pieces, rows), context)
    described = tuple(_describe(piece, rows) for piece in pieces)
    digests, size = hash_short(described, rows, context.encode())
    sizes = np.frombuffer(size, np.int64)
    long = np.flatnonzero(sizes > _SHORT)
    if len(long):
        long_pieces = pieces if len(long) == rows else [_take(piece, long) for piece in pieces]
        long_digests, _ = _hash_serially(join_pieces(long_pieces, len(long)), context)
        np.frombuffer(digests, "V32")[long] = np.frombuffer(long_digests, "V32")
    return bytes(digests), sizes


def _hash_serially(encoded: pa.Array, context: str) -> tuple[bytes, npt.NDArray[np.int64]]:
    ends = offsets_of(encoded)
    values: Iterable[bytes | memoryview]
    if ends[-1] - ends[0] <= _SHORT * len(encoded):
        values = iter_value_bytes(encoded)
    else:
        view = memoryview(encoded.buffers()[2])
        values = (view[start:end] for start, end in pairwise(ends.tolist()))
    # Resetting one hasher is 30 % faster than creating one for each value.
    hasher = blake3(derive_key_context=context) if context else blake3()
    reset, update, digest = hasher.reset, hasher.update, hasher.digest
    digests = []
    for value in values:
        update(value)
        digests.append(digest())
        reset()
    return b"".join(digests), np.diff(ends)


def _describe(
    piece: Piece, rows: int
) -> tuple[pa.Buffer | bytes | Fixed, npt.NDArray[np.int64] | int]:
    """`piece` for `hash_short`: the bytes, and the ends or the width of each row's bytes."""
    if not isinstance(piece, np.ndarray):
        # The bytes of nulls are arbitrary. Ends are copied so that nothing can change them.
        values = piece.fill_null(b"") if piece.null_count else piece
        return values.buffers()[2] or b"", offsets_of(values).copy()
    same = rows and piece.strides[0] == 0
    return np.ascontiguousarray(piece[0] if same else piece), piece.shape[1]


def _take(piece: Piece, rows: npt.NDArray[np.int64]) -> Piece:
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
    # Reading from a buffer needs no slice object for each value.
    return map(BytesIO(text).read, np.diff(ends).tolist())
