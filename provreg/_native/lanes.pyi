"""Compiled from lanes.c; absent without a C compiler."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_Data = pa.Buffer | bytes | npt.NDArray[np.uint8]
_Described = tuple[tuple[_Data, npt.NDArray[np.int64] | int], ...]

hash_short: Callable[[_Described, int, bytes], tuple[bytearray, bytearray]] | None
"""The BLAKE3-256 of each row of at most 1,024 bytes, zeros for longer ones; all sizes (int64).

`hash_short(pieces, rows, context)`: a row is its bytes in each piece, one after another. A piece is
(data, ends), in which row i has `data[ends[i]:ends[i + 1]]`, or (data, width): `width` bytes per
row, or the same `width` bytes for every row. A `context` of 1 to 1,024 bytes selects the derive-key
mode. Releases the GIL. Raises ValueError if a piece is not within its data.
"""
