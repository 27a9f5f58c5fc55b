"""Passes over data that several processes make together: what none of them found is missing.

Each process reads some of the shards, and none knows what the others found. So each writes into
memory that they share in which pass it took which sample; whoever is the last to end its part looks
at all of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from provreg.errors import UsageError
from provreg.loaders.matching import Rows
from provreg.store.shared import SharedMemory

if TYPE_CHECKING:
    import numpy.typing as npt

MOST_WORKERS = 1024


class Ended(NamedTuple):
    """What is `missing` of the samples, and how many came `repeated`, to several workers."""

    missing: Rows
    repeated: int


class SharedPasses:
    """The passes of up to MOST_WORKERS workers over `rows` samples; 4 bytes a sample, shared.

    A worker's number belongs to one process at a time. Its passes are numbered; what a sample holds
    is the last pass that took it, and whose. Raises StorageError.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self._memory = SharedMemory(folder, 4 * (3 * MOST_WORKERS + rows))

    def begin(self, worker: int) -> int:
        """The number of `worker`'s next pass, which makes unended ones as if they had not been.

        Raises UsageError for more than MOST_WORKERS workers.
        """
        if worker >= MOST_WORKERS:
            raise UsageError(f"shards can be read by {MOST_WORKERS:,} worker processes at most")
        begun, _, count, _ = self._parts()
        begun[worker] += 1
        count[worker] = 0
        return int(begun[worker])

    def take(self, worker: int, number: int, rows: Rows) -> None:
        """Notes that `worker` took `rows`, none of which it took before, in its pass `number`."""
        _, _, count, taken = self._parts()
        taken[rows] = _mark(number, worker)
        count[worker] += len(rows)

    def end(self, worker: int, number: int, workers: int) -> Ended | None:
        """Ends a pass of one of `workers`. What they took in the last pass of each; None as long as
        others are still at theirs, who will be told."""
        begun, ended, count, taken = self._parts()
        ended[worker] = number
        of_all = begun[:workers].copy()
        if not of_all.all() or (ended[:workers] != of_all).any():
            return None
        found = np.isin(taken, _mark(of_all, np.arange(workers, dtype=np.uint32)))
        repeated = int(count[:workers].sum(dtype=np.int64)) - int(np.count_nonzero(found))
        return Ended(np.flatnonzero(~found), repeated)

    def _parts(self) -> tuple[npt.NDArray[np.uint32], ...]:
        """Each worker's last pass that began and that ended, how many samples it took in that, and
        each sample's mark."""
        numbers = np.frombuffer(self._memory.map, np.uint32)
        return (
            numbers[:MOST_WORKERS],
            numbers[MOST_WORKERS : 2 * MOST_WORKERS],
            numbers[2 * MOST_WORKERS : 3 * MOST_WORKERS],
            numbers[3 * MOST_WORKERS :],
        )


def _mark(number: Any, worker: Any) -> Any:
    """What a sample holds that `worker` took in its pass `number` (from 1, so that none is 0)."""
    return number * MOST_WORKERS + worker
