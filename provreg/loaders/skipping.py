"""Skipping samples that are not as signed: only where it was asked for, counted, and bounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from provreg.errors import NotTrustedError, SampleError
from provreg.store.shared import SharedMemory

# One of a thousand: what a failing disk may cost, and less than most poisonings need.
MOST_BAD = 0.001


class Skips:
    """The samples that were skipped, of a version of `rows`; at most `most` different ones.

    All processes that load count together, however often the data are gone through: a limit of each
    one's own would grow with their number.
    """

    def __init__(self, folder: Path, rows: int, most: int) -> None:
        # A byte a row and not a bit: neighbouring bits that two processes set could be lost.
        self._marks = SharedMemory(folder, rows)
        self._most = most

    def __len__(self) -> int:
        return int(np.count_nonzero(np.frombuffer(self._marks.map, np.uint8)))

    def add(self, row: int, error: SampleError) -> None:
        """Counts a sample; raises NotTrustedError (step 12) when there are too many."""
        self._marks.map[row] = 1
        self.check(len(self), error)

    def check(self, count: int, error: SampleError | NotTrustedError) -> None:
        """Raises NotTrustedError (step 12) if `count` are too many; `error` is the last one's."""
        if count > self._most:
            raise NotTrustedError(
                f"{count:,} samples are not as signed, more than the {self._most:,} that may"
                f" be skipped; the last: {error.message}",
                step=12,
                sample=error.sample,
                hint=error.hint,
            ) from error
