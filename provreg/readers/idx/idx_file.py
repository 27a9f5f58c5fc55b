"""IDX files, as MNIST and its kin are kept in: a header, then items of one shape and type.

Two zero bytes, the type of the values, the number of dimensions, each dimension as four big-endian
bytes, then the values, big-endian, the first dimension slowest. The first dimension counts items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from provreg.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

# The types' codes, as numpy calls them.
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_ITEM = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Idx:
    """An open IDX file behind its header: `count` items of `shape`, each of `size` bytes. `header`
    is what an IDX file of one item alone would begin with: the same, without the count."""

    stream: BinaryIO
    place: str
    count: int
    shape: tuple[int, ...]
    type: np.dtype[np.generic]
    header: bytes

    @property
    def size(self) -> int:
        return math.prod(self.shape) * self.type.itemsize

    def take(self, count: int) -> npt.NDArray[np.uint8]:
        """The next `count` items, uint8 of shape (count, size). Raises InputError at the end."""
        data = self.stream.read(count * self.size)
        if len(data) < count * self.size:
            raise InputError(f"{self.place}: is cut off", hint="the file may be damaged")
        return np.frombuffer(data, np.uint8).reshape(count, self.size)

    def finish(self) -> None:
        """Raises InputError where bytes follow the last item."""
        if self.stream.read(1):
            raise InputError(f"{self.place}: goes on after its last item")


def open_idx(stream: BinaryIO, place: str) -> Idx:
    """Reads the header. Raises InputError for what is no IDX file, and for items of more than 1 GiB
    or of no bytes at all, which a header could claim any number of."""
    mark = stream.read(4)
    if len(mark) < 4 or mark[:2] != b"\0\0" or mark[2] not in _TYPES or not mark[3]:
        raise InputError(f"{place}: no IDX file")
    dimensions = mark[3]
    written = stream.read(4 * dimensions)
    if len(written) < 4 * dimensions:
        raise InputError(f"{place}: is cut off")
    count, *shape = (
        int.from_bytes(written[at : at + 4], "big") for at in range(0, len(written), 4)
    )
    header = bytes([0, 0, mark[2], dimensions - 1]) + written[4:]
    found = Idx(stream, place, count, tuple(shape), np.dtype(_TYPES[mark[2]]), header)
    if not 0 < found.size <= _MAX_ITEM:
        raise InputError(f"{place}: its items have {found.size:,} bytes")
    return found
