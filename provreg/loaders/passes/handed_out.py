"""Which samples were handed out, and how often: what a training run's receipt is made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from provreg.store.private.shared import SharedMemory

# What a byte holds: whatever was handed out more often counts as this often.
MOST = 255


class HandedOut:
    """How often each of `rows` samples was handed out, by all processes that load them together.

    A byte a row, in memory that they share. Where two processes hand out the very same sample at
    the very same moment, one of the two can go uncounted, but never both.
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
        """Counts samples of which none stands twice."""
        counts = self._counts()
        now = counts[rows]
        counts[rows] = np.where(now == MOST, now, now + 1)

    def reset(self) -> None:
        """Counts anew, in all processes."""
        self._counts()[:] = 0

    def counts(self) -> npt.NDArray[np.uint8]:
        """A copy of the counts, shape (rows,)."""
        return self._counts().copy()

    def _counts(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self._memory.map, np.uint8)[: self._rows]


def merged(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The counts of two who counted the same samples apart."""
    together: npt.NDArray[np.uint8] = np.minimum(one.astype(np.uint16) + other, MOST).astype(
        np.uint8
    )
    return together
