"""Passes over data that several processes make together: what none of them found is missing.

Each worker process reads some of the shards, and none knows what the others found. So each writes
into memory that they share in which pass it took which sample; whoever is the last to end its part
looks at all of it. The workers of one DataLoader belong together, and no others do: each process
that has DataLoaders, a rank for one, has a part of the memory of its own, in which one DataLoader
is at its pass at a time.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from provreg.errors import UsageError
from provreg.loaders.passes.matching import Rows
from provreg.store.private.shared import SharedMemory

if TYPE_CHECKING:
    import numpy.typing as npt

MOST_WORKERS = 1024
MOST_PROCESSES = 64
_LOST = 64
_ALONE = "create a VerifiedWebDataset for each DataLoader, and delete unused iterators"


@dataclass(frozen=True, slots=True)
class Worker:
    """Worker `number` of `of`, of the DataLoader `loader` (not 0) of the process `parent`."""

    parent: int
    loader: int
    number: int
    of: int


class Ended(NamedTuple):
    """What is `missing` of the samples, and how many came `repeated`, to several workers."""

    missing: Rows
    repeated: int


class _Part(NamedTuple):
    """One process's: which of its loaders, of how many workers, had its pass last, and those whose
    pass another one took the place of. Each worker's last pass that began and that ended, how many
    samples it took in that, and which process is at it, or was. Each sample's mark."""

    loader: npt.NDArray[np.uint64]
    lost: npt.NDArray[np.uint64]
    begun: npt.NDArray[np.uint32]
    ended: npt.NDArray[np.uint32]
    took: npt.NDArray[np.uint32]
    process: npt.NDArray[np.uint32]
    taken: npt.NDArray[np.uint32]


_FIXED = 8 * (2 + _LOST) + 4 * 4 * MOST_WORKERS


class SharedPasses:
    """The passes of the workers of up to MOST_PROCESSES processes over `rows` samples; 4 bytes a
    sample in each process that has workers, shared.

    A worker's passes are numbered; what a sample holds is the last pass that took it, and whose.
    Raises StorageError.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self._rows = rows
        self._size = _FIXED + 8 * -(-rows // 2)
        owners = 8 * MOST_PROCESSES
        self._memory = SharedMemory(folder, owners, space=owners + MOST_PROCESSES * self._size)

    def begin(self, worker: Worker) -> int:
        """The number of `worker`'s next pass, which makes unended ones of processes that are gone
        as if they had not been.

        Raises UsageError for more than MOST_WORKERS workers, or MOST_PROCESSES processes that have
        some, and where another loader of the process is at its pass.
        """
        if worker.of > MOST_WORKERS:
            raise UsageError(
                f"{worker.of:,} worker processes, at most {MOST_WORKERS:,} can read shards"
            )
        with self._memory.locked():
            part = self._part_of(worker.parent)
            at, process = worker.number, os.getpid()
            last = part.loader.tolist() == [worker.loader, worker.of]
            unended = np.flatnonzero(part.begun != part.ended)
            others = {int(part.process[one]) for one in unended if one == at or not last}
            if any(map(_lives, others - {0, process})):
                raise UsageError(
                    "another DataLoader of this process reads the same VerifiedWebDataset",
                    hint=_ALONE,
                )
            if worker.loader in part.lost:
                raise _place_taken()
            if not last:
                _change(part, worker)
            part.begun[at] += 1
            part.took[at] = 0
            part.process[at] = process
            return int(part.begun[at])

    def take(self, worker: Worker, number: int, rows: Rows) -> None:
        """Notes that `worker` took `rows`, none of which it took before, in its pass `number`."""
        # Nobody takes the place of a worker that lives and is at its pass: no lock is needed.
        part = self._own(worker, number)
        part.taken[rows] = _mark(number, worker.number)
        part.took[worker.number] += len(rows)

    def end(self, worker: Worker, number: int) -> Ended | None:
        """Ends a pass of `worker`. What all of its loader's took in the last pass of each; None as
        long as others are still at theirs, who will be told."""
        with self._memory.locked():
            part = self._own(worker, number)
            part.ended[worker.number] = number
            if not _complete(part):
                return None
            of_all = part.begun[: worker.of]
            found = np.isin(part.taken, _mark(of_all, np.arange(worker.of, dtype=np.uint32)))
            count = part.took[: worker.of].sum(dtype=np.int64)
            return Ended(np.flatnonzero(~found), int(count) - int(np.count_nonzero(found)))

    def leave(self, worker: Worker, number: int) -> None:
        """Breaks off a pass that did not end, so that it keeps nobody from beginning another."""
        with self._memory.locked(), suppress(UsageError):
            self._own(worker, number).process[worker.number] = 0

    def _own(self, worker: Worker, number: int) -> _Part:
        """The part in which `worker` is at its pass `number`."""
        part = self._part_of(worker.parent)
        if part.loader[0] != worker.loader or part.begun[worker.number] != number:
            raise _place_taken()
        return part

    def _part_of(self, parent: int) -> _Part:
        """That of the process `parent`: which it has, or a new one, or that of one that is gone."""
        memory = self._memory
        owners = np.frombuffer(memory.map, np.uint64, MOST_PROCESSES)
        have = np.flatnonzero(owners == parent)
        if not len(have):
            have = np.flatnonzero([owner == 0 or not _lives(owner) for owner in owners])
            if not len(have):
                raise UsageError(
                    f"more than {MOST_PROCESSES} processes read one VerifiedWebDataset",
                    hint="load the version in each process",
                )
        place = int(have[0])
        start = owners.nbytes + place * self._size
        if owners[place] != parent:
            memory.reserve(start, self._size)
            np.frombuffer(memory.map, np.uint8, self._size, start)[:] = 0
            owners[place] = parent
        return _part(memory.map, start, self._rows)


def _part(memory: Any, start: int, rows: int) -> _Part:
    long = np.frombuffer(memory, np.uint64, 2 + _LOST, start)
    short = np.frombuffer(memory, np.uint32, 4 * MOST_WORKERS + rows, start + long.nbytes)
    begun, ended, took, process, taken = np.split(short, np.arange(1, 5) * MOST_WORKERS)
    return _Part(long[:2], long[2:], begun, ended, took, process, taken)


def _complete(part: _Part) -> bool:
    """Whether all workers of the part's loader have begun, and ended the last pass of each."""
    of = int(part.loader[1])
    at_it, same = part.process[:of] != 0, part.begun[:of] == part.ended[:of]
    return bool(at_it.all() and same.all())


def _change(part: _Part, worker: Worker) -> None:
    """Gives the part to another loader. One that was not at the end has lost its pass."""
    if not _complete(part):
        part.lost[1:] = part.lost[:-1].copy()
        part.lost[0] = part.loader[0]
    part.loader[:] = worker.loader, worker.of
    part.ended[:] = part.begun
    part.process[:] = 0


def _place_taken() -> UsageError:
    return UsageError(
        "another DataLoader began to read the same VerifiedWebDataset before this one finished, so"
        " missing samples cannot be detected",
        hint=_ALONE,
    )


def _lives(process: Any) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return False
    return True


def _mark(number: Any, worker: Any) -> Any:
    """What a sample holds that `worker` took in its pass `number` (from 1, so that none is 0)."""
    return number * MOST_WORKERS + worker
