"""What the processes that load one version share: deliveries, skips and passes.

`DeliveryCounts` counts the delivered samples for a receipt. `Skips` limits the samples that may be
skipped. `SharedPasses` finds the samples that no worker process found: each reads some of the
shards and marks what it took in its pass, and the last one to finish looks at all marks. The
workers of one DataLoader belong together: each process that has DataLoaders, a rank for example,
has its own part of the memory, for one DataLoader at a time.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from provreg.errors import NotTrustedError, SampleError, UsageError
from provreg.loaders.passes.matching import Rows
from provreg.store.private.shared import SharedMemory

if TYPE_CHECKING:
    import numpy.typing as npt

# The largest value of a byte: a sample that is delivered more often counts this often.
MAX_COUNT = 255


class DeliveryCounts:
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
        if counts[row] != MAX_COUNT:
            counts[row] += 1

    def add_all(self, rows: npt.NDArray[np.integer]) -> None:
        """Counts distinct samples."""
        counts = self._counts()
        now = counts[rows]
        counts[rows] = np.where(now == MAX_COUNT, now, now + 1)

    def reset(self) -> None:
        """Starts again from zero, in all processes."""
        self._counts()[:] = 0

    def counts(self) -> npt.NDArray[np.uint8]:
        """A copy of the counts, shape (rows,)."""
        return self._counts().copy()

    def _counts(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self._memory.map, np.uint8)[: self._rows]


def add_counts(
    first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """The sum of two counts of the same samples, at most MAX_COUNT each."""
    total: npt.NDArray[np.uint8] = np.minimum(first.astype(np.uint16) + second, MAX_COUNT).astype(
        np.uint8
    )
    return total


class SkippedSampleWarning(UserWarning):
    """A sample that is not as signed was skipped, the first of its dataset."""


# One in a thousand: enough for a failing disk, too few for most poisoning.
MOST_BAD = 0.001
# Each stranger takes memory.
_MOST_STRANGERS = 1 << 20
_COUNT, _NAME = 8, 16  # bytes
# The mark of a skipped sample: skipped in the present run, or before.
_IN_RUN, _BEFORE = 1, 2


class Skips:
    """The skipped samples of a version of `rows`; at most `most` distinct ones.

    All processes count together, over all passes: a limit for each process would grow with their
    number. It covers samples that differ from the signed ones or are missing, and strangers in
    streams.
    """

    def __init__(self, folder: Path, rows: int, most: int) -> None:
        # A byte a row and not a bit: two processes that set bits of one byte could lose one.
        self._marks = SharedMemory(folder, rows)
        self._rows = rows
        self._most = most
        self._filter = min(most, _MOST_STRANGERS)
        self._strangers = SharedMemory(folder, _COUNT + self._filter * _NAME)

    def __len__(self) -> int:
        return int(np.count_nonzero(self.marks()))

    def marks(self) -> npt.NDArray[np.uint8]:
        """Not 0 for each sample that was skipped, shape (rows,)."""
        marks: npt.NDArray[np.uint8] = np.frombuffer(self._marks.map, np.uint8, self._rows)
        return marks

    def start_run(self) -> None:
        """The samples skipped so far are no longer those of the present run."""
        marks = self.marks()
        marks[marks != 0] = _BEFORE

    def marks_of_run(self) -> npt.NDArray[np.uint8]:
        """1 for each sample skipped in the present run, else 0, shape (rows,)."""
        return np.asarray(self.marks() == _IN_RUN, np.uint8)

    def add(self, row: int, error: SampleError, *, ranks: int = 1) -> None:
        """Counts a sample; raises NotTrustedError (step 12) if there are too many.

        `ranks` that share the samples do not know what the others skip: each may skip its part of
        the limit, at least one.
        """
        is_first = len(self) == 0
        self._marks.map[row] = _IN_RUN
        self._check(len(self), error, -(-self._most // ranks))
        if is_first:
            self._warn(error)

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
                self._check(count, error, self._filter)
                if count == 1:
                    self._warn(error)
                memory[_COUNT + (count - 1) * _NAME : _COUNT + count * _NAME] = name
                memory[:_COUNT] = count.to_bytes(_COUNT, "little")

    @staticmethod
    def _warn(error: SampleError) -> None:
        """Warns of the first skipped sample; a loop should not print a line for each."""
        warnings.warn(
            f"skipped a sample: {error.message}; `skipped_ids` and the receipt list all",
            SkippedSampleWarning,
            stacklevel=2,
        )

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


MOST_WORKERS = 1024
MOST_PROCESSES = 64
_LOST = 64
_HINT = "create a VerifiedWebDataset for each DataLoader, and delete unused iterators"


@dataclass(frozen=True, slots=True)
class Worker:
    """Worker `number` of `of`, of the DataLoader `loader` (not 0) of the process `parent`."""

    parent: int
    loader: int
    number: int
    of: int


class PassResult(NamedTuple):
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
            if any(map(_is_alive, others - {0, process})):
                raise UsageError(
                    "another DataLoader of this process reads the same VerifiedWebDataset",
                    hint=_HINT,
                )
            if worker.loader in part.lost:
                raise _superseded()
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

    def end(self, worker: Worker, number: int) -> PassResult | None:
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
            return PassResult(np.flatnonzero(~found), int(count) - int(np.count_nonzero(found)))

    def leave(self, worker: Worker, number: int) -> None:
        """Breaks off a pass that did not end, so that it keeps nobody from beginning another."""
        with self._memory.locked(), suppress(UsageError):
            self._own(worker, number).process[worker.number] = 0

    def _own(self, worker: Worker, number: int) -> _Part:
        """The part in which `worker` is at its pass `number`."""
        part = self._part_of(worker.parent)
        if part.loader[0] != worker.loader or part.begun[worker.number] != number:
            raise _superseded()
        return part

    def _part_of(self, parent: int) -> _Part:
        """That of the process `parent`: which it has, or a new one, or that of one that is gone."""
        memory = self._memory
        owners = np.frombuffer(memory.map, np.uint64, MOST_PROCESSES)
        have = np.flatnonzero(owners == parent)
        if not len(have):
            have = np.flatnonzero([owner == 0 or not _is_alive(owner) for owner in owners])
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


def _superseded() -> UsageError:
    return UsageError(
        "another DataLoader began to read the same VerifiedWebDataset before this one finished, so"
        " missing samples cannot be detected",
        hint=_HINT,
    )


def _is_alive(process: Any) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return False
    return True


def _mark(number: Any, worker: Any) -> Any:
    """What a sample holds that `worker` took in its pass `number` (from 1, so that none is 0)."""
    return number * MOST_WORKERS + worker
