"""Bytes of many rows at once, as arrays: what the encoding of rows (`row.py`) is put together from.

A *piece* holds some bytes of every row: a (rows, width) array of uint8 where the width is the same
in every row, a large_binary array otherwise. In a large_binary piece a row that is null has no
bytes; a fixed piece is *thinned* into one where rows are null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from provreg.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Fixed: TypeAlias = npt.NDArray[np.uint8]
Mask: TypeAlias = npt.NDArray[np.bool_]
Piece: TypeAlias = Fixed | pa.Array
Numbers: TypeAlias = npt.NDArray[Any]

_LONGEST = 2**32 - 1
_NOTHING = pa.scalar(b"", pa.large_binary())


def plain(array: pa.Array) -> pa.Array:
    """`array` without a dictionary."""
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def validity(array: pa.Array) -> Mask | None:
    """Which values are not null; None for all of them."""
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


def thinned(pieces: Sequence[Piece], valid: Mask | None) -> list[Piece]:
    """`pieces` without bytes in the rows that are not `valid` (None: all are)."""
    if valid is None:
        return list(pieces)
    return [thin(run, valid) if isinstance(run, np.ndarray) else run for run in _runs(pieces)]


def thin(fixed: Fixed, keep: Mask) -> pa.Array:
    """`fixed` in the rows to `keep`, nothing in the others."""
    offsets = np.concatenate(([0], np.cumsum(keep) * fixed.shape[1]))
    return large_binary(offsets, pa.py_buffer(np.ascontiguousarray(fixed[keep])))


def _runs(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """`pieces`, with neighbouring fixed ones made one: joins cost by the piece."""
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


def joined(pieces: Sequence[Piece], rows: int) -> pa.Array:
    """The bytes of each row, a large_binary array."""
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
    """Where each value of a large_binary array begins, and where the last one ends."""
    _, offsets, _ = array.buffers()
    if len(array) == 0:
        return np.zeros(1, np.int64)
    return np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]


def check_lengths(lengths: npt.NDArray[np.int64]) -> None:
    """Raises InputError for lengths that do not fit into 32 bits."""
    if len(lengths) and int(lengths.max()) > _LONGEST:
        raise InputError(f"a value is longer than {_LONGEST} bytes or elements")
