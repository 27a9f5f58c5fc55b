"""How often each sample was delivered, for the receipt of a training run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from provreg.store.private.shared import SharedMemory

# The largest value of a byte: a sample that is delivered more often counts this often.
MOST = 255


class HandedOut:
    """How often each of `rows` samples was delivered by all processes together.

    One byte a row, in shared memory. If two processes deliver the same sample at the same moment,
    one of the two may go uncounted, but never both.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self._memory = SharedMemory(folder, rows)
        self._rows = rows

    def add(self, row: int) -> None:
        """Counts one sample."""
        counts = self._memory.map
        if counts[row] != MOST:
            counts[row] += 1

    def add_all(self, rows: npt.NDArray[np.integer]) -> None:
        """Counts distinct samples."""
        counts = self._counts()
        now = counts[rows]
        counts[rows] = np.where(now == MOST, now, now + 1)

    def reset(self) -> None:
        """Starts again from zero, in all processes."""
        self._counts()[:] = 0

    def counts(self) -> npt.NDArray[np.uint8]:
        """A copy of the counts, shape (rows,)."""
        return self._counts().copy()

    def _counts(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self._memory.map, np.uint8)[: self._rows]


def merged(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The sum of two counts of the same samples, at most MOST each."""
    together: npt.NDArray[np.uint8] = np.minimum(one.astype(np.uint16) + other, MOST).astype(
        np.uint8
    )
    return together
