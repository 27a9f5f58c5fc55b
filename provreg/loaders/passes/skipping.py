"""Skipping samples that are not as signed: only where it was asked for, counted, and bounded."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from provreg.errors import NotTrustedError, SampleError
from provreg.store.private.shared import SharedMemory

# One of a thousand: what a failing disk may cost, and less than most poisonings need.
MOST_BAD = 0.001
# However many may be skipped: each takes memory.
_MOST_STRANGERS = 1 << 20
_COUNT, _NAME = 8, 16  # bytes


class Skips:
    """The samples that were skipped, of a version of `rows`; at most `most` different ones.

    All processes that this is sent to count together, however often the data are gone through: a
    limit of each one's own would grow with their number. That holds for signed samples which are
    not as signed or missing, and in streams for what is read instead of them.
    """

    def __init__(self, folder: Path, rows: int, most: int) -> None:
        # A byte a row and not a bit: neighbouring bits that two processes set could be lost.
        self._marks = SharedMemory(folder, rows)
        self._most = most
        self._kept = min(most, _MOST_STRANGERS)
        self._strangers = SharedMemory(folder, _COUNT + self._kept * _NAME)

    def __len__(self) -> int:
        return int(np.count_nonzero(np.frombuffer(self._marks.map, np.uint8)))

    def add(self, row: int, error: SampleError, *, ranks: int = 1) -> None:
        """Counts a sample; raises NotTrustedError (step 12) when there are too many.

        Where samples are shared among `ranks`, of which none knows what the others skip, each may
        skip its part of all that may be skipped, or one.
        """
        self._marks.map[row] = 1
        self._check(len(self), error, -(-self._most // ranks))

    def pass_over(self, names: Iterable[bytes], error: SampleError) -> None:
        """Counts what stands in a stream and is not signed, by digests; raises as `add`."""
        memory = self._strangers.map
        with self._strangers.locked():
            count = int.from_bytes(memory[:_COUNT], "little")
            known = {
                memory[start : start + _NAME]
                for start in range(_COUNT, _COUNT + count * _NAME, _NAME)
            }
            for name in {name[:_NAME] for name in names} - known:
                count += 1
                self._check(count, error, self._kept)
                memory[_COUNT + (count - 1) * _NAME : _COUNT + count * _NAME] = name
                memory[:_COUNT] = count.to_bytes(_COUNT, "little")

    def check(self, count: int, error: SampleError | NotTrustedError) -> None:
        """Raises NotTrustedError (step 12) if `count` are too many; `error` is the last one's."""
        self._check(count, error, self._most)

    def _check(self, count: int, error: SampleError | NotTrustedError, most: int) -> None:
        if count > most:
            raise NotTrustedError(
                f"{count:,} samples are not as signed, more than the {most:,} that may"
                f" be skipped; the last: {error.message}",
                step=12,
                sample=error.sample,
                hint=error.hint,
            ) from error
