"""Skipping samples that are not as signed: only on request, counted, and limited."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from provreg.errors import NotTrustedError, SampleError
from provreg.store.private.shared import SharedMemory

# One in a thousand: enough for a failing disk, too few for most poisoning.
MOST_BAD = 0.001
# Each stranger takes memory.
_MOST_STRANGERS = 1 << 20
_COUNT, _NAME = 8, 16  # bytes


class Skips:
    """The skipped samples of a version of `rows`; at most `most` distinct ones.

    All processes count together, over all passes: a limit for each process would grow with their
    number. It covers samples that differ from the signed ones or are missing, and strangers in
    streams.
    """

    def __init__(self, folder: Path, rows: int, most: int) -> None:
        # A byte a row and not a bit: two processes that set bits of one byte could lose one.
        self._marks = SharedMemory(folder, rows)
        self._most = most
        self._kept = min(most, _MOST_STRANGERS)
        self._strangers = SharedMemory(folder, _COUNT + self._kept * _NAME)

    def __len__(self) -> int:
        return int(np.count_nonzero(np.frombuffer(self._marks.map, np.uint8)))

    def add(self, row: int, error: SampleError, *, ranks: int = 1) -> None:
        """Counts a sample; raises NotTrustedError (step 12) if there are too many.

        `ranks` that share the samples do not know what the others skip: each may skip its part of
        the limit, at least one.
        """
        self._marks.map[row] = 1
        self._check(len(self), error, -(-self._most // ranks))

    def pass_over(self, names: Iterable[bytes], error: SampleError) -> None:
        """Counts unsigned samples of a stream, by digest; raises as `add`."""
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
        """Raises NotTrustedError (step 12) if `count` is too large; `error` is the last."""
        self._check(count, error, self._most)

    def _check(self, count: int, error: SampleError | NotTrustedError, most: int) -> None:
        if count > most:
            raise NotTrustedError(
                f"{count:,} samples are not as signed, at most {most:,} may be skipped;"
                f" the last: {error.message}",
                step=12,
                sample=error.sample,
                hint=error.hint,
            ) from error
