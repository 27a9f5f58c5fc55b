"""Hashing listed files in several processes.

A worker opens and reads each file of its slice once. `readv` into one buffer that is kept makes
small files cheap; large files are read in blocks that several threads share.

This needs no numpy, whose import takes as long as hashing 10,000 small files.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import accumulate
from mmap import mmap
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from provreg import _native
from provreg._native import checked
from provreg.core.encoding.text import quoted
from provreg.errors import InputError, StorageError
from provreg.executors.processes import IN_PROCESS
from provreg.readers.files.safe_open import (
    READ_FILE,
    Descent,
    error_for,
    is_transient,
    kind_of,
    reason_of,
)
from provreg.readers.files.stats import NO_STAT, STAT_FIELDS, nul_terminated, packed, stats_in

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
DIGEST_SIZE = 32
# It stays in the processor's cache beside what is hashed.
_BUFFER = 256 * 1024
# Of a large file, so that each of several threads has enough of a block to be worth waking.
_BLOCK = 4 * 1024 * 1024
# Seconds to wait before trying again after a transient failure; a file gets some, a slice all of
# them, for a server that is gone must not be waited for once a file.
_PATIENCE = (0.05, 0.2, 0.8) * 2
_TRIES = 3
_NOTHING: _Found = (NO_STAT, bytes(DIGEST_SIZE), bytes(DIGEST_SIZE))


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
    meter = _ProgressMeter(progress)
    content, sha256, stats = bytearray(), bytearray(), bytearray()
    failures: dict[int, InputError | StorageError] = {}
    for answer in executor.map(hash_slice, specs, most=most):
        pace.hear(answer)
        before = len(content) // DIGEST_SIZE
        for row, failure in answer.failures:
            sample = _sample(runs, ends, before + row)
            error = type(failure)(f"{quoted(sample)} {failure.message}", sample=sample)
            if not collect:
                raise error
            failures[before + row] = error
        content += answer.content
        sha256 += answer.sha256
        stats += answer.stats
        meter.advance(answer.stats)
    meter.finish()
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
            names = run.files[begin : begin + room]
            places.append((run.root, run.folder, names))
            begin += len(names)
            room -= len(names)
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


def _agrees(kernel: Any) -> bool:
    """Whether `kernel` reads this file, and not its folder, as Python does."""
    here, buffer = Path(__file__), bytearray(1 << 16)
    folder = os.open(here.parent, os.O_RDONLY)
    try:
        size, stat = kernel(folder, here.name, READ_FILE, buffer)
        with here.open("rb") as file:
            same = file.read() == buffer[:size] and stat == packed(os.fstat(file.fileno()))
        return same and kernel(folder, "..", READ_FILE, buffer) is None
    finally:
        os.close(folder)


read_small = checked(_native.read_small, "read_small", _agrees)


# Files in one folder: (root, folder relative to it, file names).
Place = tuple[str, str, list[str]]
# (stat, BLAKE3, SHA-256) of one file.
_Found = tuple[bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class HashSlice:
    """Work for one call of `hash_slice`, which ends at the first failure unless it collects.

    `threads` share each block of a large file.
    """

    places: list[Place]
    with_sha256: bool
    collect: bool
    threads: int = 1


@dataclass(frozen=True, slots=True)
class SliceHashes:
    """The answer to a `HashSlice`: one row a file, joined; `sha256` is empty unless asked for.

    `failures` are (row, error); the messages still lack the sample's name, the rows are zero.
    """

    content: bytes
    sha256: bytes
    stats: bytes
    failures: list[tuple[int, InputError | StorageError]]


def hash_slice(spec: HashSlice) -> SliceHashes:
    """Reads the files of one slice, in this process. Raises only if a root cannot be opened."""
    found: list[_Found] = []
    failures: list[tuple[int, InputError | StorageError]] = []
    read = _reader(spec.with_sha256, spec.threads)
    patience = iter(_PATIENCE)
    for descent, folder, name in _files(spec.places):
        try:
            found.append(read(descent.folder(folder), name))
        except (OSError, InputError) as error:
            again = _try_again(read, descent, folder, name, error, patience)
            if isinstance(again, tuple):
                found.append(again)
                continue
            failures.append((len(found), again))
            found.append(_NOTHING)
            if not spec.collect:
                break
    stats, content, sha256s = (b"".join(column) for column in zip(*found, strict=True))
    return SliceHashes(content, sha256s if spec.with_sha256 else b"", stats, failures)


def stat_slice(places: list[Place]) -> bytes:
    """The stats of the files of `places`, one after another as in `STAT`."""
    stats: list[bytes] = []
    for descent, folder, files in _descents(places):
        try:
            opened = descent.folder(folder)
        except OSError:
            stats.append(NO_STAT * len(files))
        else:
            stats.append(stats_in(opened, nul_terminated(files)))
    return b"".join(stats)


def _files(places: list[Place]) -> Iterator[tuple[Descent, str, str]]:
    """(its root, opened, its folder, its name) of every file."""
    for descent, folder, files in _descents(places):
        for name in files:
            yield descent, folder, name


def _descents(places: list[Place]) -> Iterator[tuple[Descent, str, list[str]]]:
    """Every place with its root opened."""
    with ExitStack() as opened:
        descents = {
            root: opened.enter_context(_below(root))
            for root in dict.fromkeys(root for root, _, _ in places)
        }
        for root, folder, files in places:
            yield descents[root], folder, files


def _reader(with_sha256: bool, threads: int) -> Callable[[int, str], _Found]:
    """A function that reads a file, by folder descriptor and name, into one buffer of its own.

    A closure and not an object, and one hasher: at 8 microseconds a file, looking up attributes
    and making objects shows.
    """
    # Whole pages: the kernel copies twice as fast to where a page begins as to 16 bytes behind it.
    buffer = mmap(-1, _BUFFER)
    block = mmap(-1, _BLOCK) if threads > 1 else buffer
    hashed = blake3()
    fstat, readv = os.fstat, os.readv

    def read(folder: int, name: str) -> _Found:
        small = None if read_small is None else read_small(folder, name, READ_FILE, buffer)
        if small is not None:
            size, stat = small
            hashed.reset()
            view = memoryview(buffer)[:size]
            hashed.update(view)
            also = sha256(view) if with_sha256 else None
            return stat, hashed.digest(), also.digest() if also else b""
        # Large, or something is wrong with it.
        file = os.open(name, READ_FILE, dir_fd=folder)
        try:
            before = fstat(file)
            if not S_ISREG(before.st_mode):
                raise InputError("is not a regular file")
            size = 0
            hashed.reset()
            both: list[Any] = [hashed, sha256()] if with_sha256 else [hashed]
            into = buffer
            if before.st_size > _BLOCK and threads > 1:
                # With threads of its own, which none that this process was forked from had.
                into, both[0] = block, blake3(max_threads=threads)
            view = memoryview(into)
            # A file that grows without end is not followed.
            while got := readv(file, [into]):
                for hasher in both:
                    hasher.update(view[:got])
                size += got
                if size >= before.st_size:
                    break
            after = fstat(file)
        finally:
            os.close(file)
        if (
            size != before.st_size
            or size != after.st_size
            or before.st_mtime_ns != after.st_mtime_ns
            or before.st_ctime_ns != after.st_ctime_ns
        ):
            raise InputError("changed while it was read")
        return packed(after), both[0].digest(), both[1].digest() if with_sha256 else b""

    return read


def _try_again(
    read: Callable[[int, str], _Found],
    descent: Descent,
    folder: str,
    name: str,
    error: OSError | InputError,
    patience: Iterator[float],
) -> _Found | InputError | StorageError:
    """What becomes of a file after `error`: disks and servers get a few more tries."""
    for _ in range(_TRIES):
        if isinstance(error, InputError) or not is_transient(error):
            break
        if (delay := next(patience, None)) is None:
            break
        time.sleep(delay)
        descent.forget()
        try:
            return read(descent.folder(folder), name)
        except (OSError, InputError) as again:
            error = again
    return error if isinstance(error, InputError) else kind_of(error)(reason_of(error))


def _below(root: str) -> Descent:
    try:
        return Descent(root)
    except OSError as error:
        raise error_for(error, root) from None
