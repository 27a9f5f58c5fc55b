"""Compiled from lanes.c where there is a C compiler; absent where there was none."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

hash_short: Callable[[pa.Buffer, npt.NDArray[np.int64], bytes], bytearray] | None
"""The BLAKE3-256 of every value of at most 1,024 bytes, 32 bytes each; zeros for longer ones.

`hash_short(data, ends, context)`: value i is `data[ends[i]:ends[i + 1]]`; `ends` are int64. With a
`context` of 1 to 1,024 bytes the mode is that of deriving keys. Other threads run meanwhile. Raises
ValueError where `ends` do not ascend within `data`.
"""
