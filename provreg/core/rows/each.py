"""The values of an array one by one, as bytes: for what Python has to do with each of them."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator


def each_value(values: pa.Array) -> Iterator[bytes]:
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
