"""Hashing listed files in several processes (what one of them does: `readers.files.hash_worker`).

This needs no numpy, whose import takes as long as hashing 10,000 small files.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from provreg.core.encoding.text import quoted
from provreg.executors.processes import IN_PROCESS
from provreg.readers.files.hash_worker import (
    DIGEST_SIZE,
    HashSlice,
    Place,
    SliceHashes,
    hash_slice,
    stat_slice,
)
from provreg.readers.files.stats import STAT_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from provreg.errors import InputError, StorageError
    from provreg.executors.api import Executor
    from provreg.readers.files.walk import ByteRun

# Below both, starting processes costs more than it saves.
_FEW_FILES, _FEW_BYTES = 1000, 32 * 1024 * 1024
_FEW_STATS = 20_000
# What one spec should hold: enough to be worth sending, little enough to share out evenly.
_MOST_FILES, _MOST_BYTES = 1024, 32 * 1024 * 1024
_FIRST_FILES = 32
# How many more would be of use was not measured: the machine had two cores.
_MOST_THREADS = 8
_STATS_A_SPEC = 4096
_PROGRESS_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Hashes:
    """What was read, one row a sample, in the order of the runs.

    `content` and `sha256` (empty unless asked for) have 32 bytes a row, `stats` the five fields of
    `STAT`. `failures`: by row, why a file could not be read; its row is zero.
    """

    content: bytes
    sha256: bytes
    stats: bytes
    failures: dict[int, InputError | StorageError] = field(default_factory=dict)


def hash_files(
    runs: Sequence[ByteRun],
    *,
    executor: Executor,
    with_sha256: bool = False,
    collect: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Hashes:
    """Reads and hashes every file of `runs` by `executor`.

    `progress(files, bytes)` hears, at most some 20 times a second, what is done so far. Raises
    InputError naming the first file that cannot be read, is not a regular file any more or changed
    while it was read, StorageError when the disk or server kept failing; with `collect` both are
    returned as failures instead.
    """
    pace, most = _Pace(), None
    if sum(len(run.files) for run in runs) < _FEW_FILES:
        sizes = sizes_of(stat_files(runs, executor=IN_PROCESS))
        if sum(sizes) < _FEW_BYTES:
            most = 1
        pace.expect(sum(sizes), len(sizes))
    cut = _with_threads(_cut(runs, pace.files_a_spec), runs, most or executor.workers)
    specs = (HashSlice(places, with_sha256, collect, threads) for places, threads in cut)
    ends = list(accumulate(len(run.files) for run in runs))
    told = _ProgressMeter(progress)
    content, sha256, stats = bytearray(), bytearray(), bytearray()
    failures: dict[int, InputError | StorageError] = {}
    for answer in executor.map(hash_slice, specs, most=most):
        pace.hear(answer)
        before = len(content) // DIGEST_SIZE
        for row, failure in answer.failures:
            sample = _sample(runs, ends, before + row)
            named = type(failure)(f"{quoted(sample)} {failure.message}", sample=sample)
            if not collect:
                raise named
            failures[before + row] = named
        content += answer.content
        sha256 += answer.sha256
        stats += answer.stats
        told.advance(answer.stats)
    told.finish()
    return Hashes(bytes(content), bytes(sha256), bytes(stats), failures)


def stat_files(runs: Sequence[ByteRun], *, executor: Executor) -> bytes:
    """The stats of the files of `runs`, one after another as in `STAT`.

    The row of a file that is gone, or not a regular file any more, is zero: reading it will say so.
    """
    few = sum(len(run.files) for run in runs) < _FEW_STATS
    specs = _cut(runs, lambda: _STATS_A_SPEC)
    return b"".join(executor.map(stat_slice, specs, most=1 if few else None))


def sizes_of(stats: bytes) -> memoryview:
    """The sizes in `stats`, in bytes."""
    return memoryview(stats).cast("Q")[2::STAT_FIELDS]


def _cut(runs: Sequence[ByteRun], most: Callable[[], int]) -> Iterator[list[Place]]:
    """The files of `runs` in slices of `most()` files, which is asked again for every slice."""
    places: list[Place] = []
    room = most()
    for run in runs:
        begin = 0
        while begin < len(run.files):
            taken = run.files[begin : begin + room]
            places.append((run.root, run.folder, taken))
            begin += len(taken)
            room -= len(taken)
            if room == 0:
                yield places
                places, room = [], most()
    if places:
        yield places


def _with_threads(
    slices: Iterable[list[Place]], runs: Sequence[ByteRun], workers: int
) -> Iterator[tuple[list[Place], int]]:
    """Each slice with its threads: cores for which no slice is left help with the last ones."""
    left = sum(len(run.files) for run in runs)
    for places in slices:
        left -= sum(len(files) for _, _, files in places)
        yield places, max(1, min(_MOST_THREADS, workers // (left + 1)))


def _sample(runs: Sequence[ByteRun], ends: Sequence[int], row: int) -> str:
    """The id of the sample in `row`; `ends` are the rows at which the runs end."""
    place = bisect_right(ends, row)
    return runs[place].prefix + runs[place].names[row - ends[place]]


class _Pace:
    """How large files are, as far as is known: for the size of the next slices."""

    def __init__(self) -> None:
        self._files = self._bytes = 0

    def expect(self, size: int, files: int) -> None:
        """Tells the sizes beforehand, so that a few large files are shared out from the first."""
        self._files, self._bytes = files, size

    def hear(self, answer: SliceHashes) -> None:
        """Learns from what was read."""
        sizes = sizes_of(answer.stats)
        self._files += len(sizes)
        self._bytes += sum(sizes)

    def files_a_spec(self) -> int:
        if not self._files:
            return _FIRST_FILES
        mean = self._bytes // self._files
        return max(1, min(_MOST_FILES, _MOST_BYTES // (mean + 1)))


class _ProgressMeter:
    """How far the work is, for who listens."""

    def __init__(self, progress: Callable[[int, int], None] | None) -> None:
        self._progress = progress
        self._files = self._bytes = 0
        self._told = time.monotonic()

    def advance(self, stats: bytes) -> None:
        if not self._progress:
            return
        sizes = sizes_of(stats)
        self._files += len(sizes)
        self._bytes += sum(sizes)
        if time.monotonic() - self._told >= _PROGRESS_EVERY:
            self._told = time.monotonic()
            self._progress(self._files, self._bytes)

    def finish(self) -> None:
        if self._progress:
            self._progress(self._files, self._bytes)
