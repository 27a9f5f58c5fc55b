"""Hashing listed files: each opened once, read once, and refused if it changed meanwhile.

The workers read with `readv` into one buffer they keep, which is what makes small files cheap, and
never from a mapping: a file cut short under a mapping kills the process. Threads inside BLAKE3 are
not used: at this buffer size they gain nothing, and they do not survive a fork.
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from blake3 import blake3

from provreg.core.text import quoted
from provreg.errors import InputError, StorageError
from provreg.readers.descent import Descent, is_file, is_transient, named, open_file, reason_of
from provreg.readers.parallel import ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from provreg.readers.runs import Run

DIGEST_SIZE = 32
# A file's stat as the stat cache keeps it: device, inode, size, mtime_ns, ctime_ns.
STAT = struct.Struct("=QQQqq")
STAT_FIELDS = 5

_BUFFER = 1024 * 1024
# Below both, starting processes costs more than it saves.
_FEW_FILES, _FEW_BYTES = 1000, 32 * 1024 * 1024
_FEW_STATS = 20_000
# What one spec should hold: enough to be worth sending, little enough to share out evenly.
_MOST_FILES, _MOST_BYTES = 1024, 32 * 1024 * 1024
_FIRST_FILES = 32
_STATS_A_SPEC = 4096
# Seconds to wait before trying again after a transient failure.
_DELAYS = (0.05, 0.2, 0.8)
_PROGRESS_EVERY = 0.05

Spec = TypeVar("Spec")


@dataclass(frozen=True, slots=True)
class Hashes:
    """What was read, one row a sample, in the order of the runs.

    `content` and `sha256` (None unless asked for): uint8 of shape (n, 32). `stats`: uint64 of shape
    (n, 5), fields as in `STAT`. `failures`: by row, why a file could not be read; its row is zero.
    """

    content: npt.NDArray[np.uint8]
    sha256: npt.NDArray[np.uint8] | None
    stats: npt.NDArray[np.uint64]
    failures: dict[int, InputError | StorageError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slice:
    """Work for one call in a worker: (root, folder, file names), and what to do with them."""

    places: list[tuple[str, str, list[str]]]
    with_sha256: bool = False


@dataclass(frozen=True, slots=True)
class SliceHashes:
    """The answer to a `Slice`: rows one after another; failures as (row, reason, transient)."""

    content: bytes
    sha256: bytes
    stats: bytes
    failures: list[tuple[int, str, bool]]


def hash_files(
    runs: Sequence[Run],
    *,
    workers: int,
    with_sha256: bool = False,
    collect: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Hashes:
    """Reads and hashes every file of `runs` in up to `workers` processes.

    `progress(files, bytes)` hears, at most some 20 times a second, what is done so far. Raises
    InputError naming the first file that cannot be read, is not a regular file any more or changed
    while it was read, StorageError when the disk or server kept failing; with `collect` both are
    returned as failures instead.
    """
    total = sum(len(run.files) for run in runs)
    if total < _FEW_FILES and stat_files(runs, workers=1)[:, 2].sum() < _FEW_BYTES:
        workers = 1
    pace = _Pace(progress)
    content, sha256, stats = bytearray(), bytearray(), bytearray()
    failures: dict[int, InputError | StorageError] = {}
    specs = (Slice(places, with_sha256) for places in _cut(runs, pace.files_a_spec))
    for answer in ordered_map(hash_slice, specs, workers=workers):
        before = len(content) // DIGEST_SIZE
        for row, reason, transient in answer.failures:
            error = _failure(_sample(runs, before + row), reason, transient)
            if not collect:
                raise error
            failures[before + row] = error
        content += answer.content
        sha256 += answer.sha256
        stats += answer.stats
        pace.advance(answer.stats)
    pace.finish()
    return Hashes(
        _rows(content),
        _rows(sha256) if with_sha256 else None,
        np.frombuffer(stats, np.uint64).reshape(-1, STAT_FIELDS),
        failures,
    )


def stat_files(runs: Sequence[Run], *, workers: int) -> npt.NDArray[np.uint64]:
    """The stats of the files of `runs`: uint64 of shape (n, 5), fields as in `STAT`.

    The row of a file that is gone, or not a regular file any more, is zero: reading it will say so.
    """
    if sum(len(run.files) for run in runs) < _FEW_STATS:
        workers = 1
    specs = _cut(runs, lambda: _STATS_A_SPEC)
    stats = bytearray().join(ordered_map(stat_slice, specs, workers=workers))
    return np.frombuffer(stats, np.uint64).reshape(-1, STAT_FIELDS)


def hash_slice(work: Slice) -> SliceHashes:
    """Reads the files of one slice, in this process."""
    content: list[bytes] = []
    sha256: list[bytes] = []
    stats = bytearray()
    failures: list[tuple[int, str, bool]] = []
    read = _Read(work.with_sha256)
    for root, folder, files in work.places:
        with _below(root) as descent:
            for name in files:
                try:
                    found = _persistently(read, descent, folder, name)
                except OSError as error:
                    found = _NOTHING
                    failures.append((len(content), reason_of(error), is_transient(error)))
                except InputError as error:
                    found = _NOTHING
                    failures.append((len(content), error.message, False))
                stats += found[0]
                content.append(found[1])
                sha256.append(found[2])
    return SliceHashes(b"".join(content), b"".join(sha256), bytes(stats), failures)


def stat_slice(places: list[tuple[str, str, list[str]]]) -> bytes:
    """The stats of the files of `places`, one after another as in `STAT`."""
    stats: list[bytes] = []
    for root, folder, files in places:
        with _below(root) as descent:
            for name in files:
                try:
                    found = os.stat(name, dir_fd=descent.folder(folder), follow_symlinks=False)
                except OSError:
                    stats.append(_NOTHING[0])
                else:
                    stats.append(_packed(found) if is_file(found.st_mode) else _NOTHING[0])
    return b"".join(stats)


class _Read:
    """Reads one file after another into the same buffer."""

    def __init__(self, with_sha256: bool) -> None:
        self._with_sha256 = with_sha256
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)

    def __call__(self, folder: int, name: str) -> tuple[bytes, bytes, bytes]:
        """(stat, BLAKE3, SHA-256 or nothing) of the file `name` in an open folder.

        Raises OSError, and InputError for what is not a regular file or changed meanwhile.
        """
        file = open_file(name, folder)
        try:
            before = os.fstat(file)
            if not is_file(before.st_mode):
                raise InputError("is not a regular file")
            got = size = os.readv(file, [self._buffer])
            hashed = blake3(self._view[:got])
            also = hashlib.sha256(self._view[:got]) if self._with_sha256 else None
            # What the first read did not hold; a file that grows without end is not followed.
            while got and size < before.st_size:
                got = os.readv(file, [self._buffer])
                hashed.update(self._view[:got])
                if also:
                    also.update(self._view[:got])
                size += got
            after = os.fstat(file)
        finally:
            os.close(file)
        if (
            size != before.st_size
            or before.st_mtime_ns != after.st_mtime_ns
            or before.st_ctime_ns != after.st_ctime_ns
            or before.st_size != after.st_size
        ):
            raise InputError("changed while it was read")
        return _packed(before), hashed.digest(), also.digest() if also else b""


_NOTHING = (bytes(STAT.size), bytes(DIGEST_SIZE), b"")


def _persistently(
    read: _Read, descent: Descent, folder: str, name: str
) -> tuple[bytes, bytes, bytes]:
    """`read`, tried again a few times while disk or server fail."""
    for delay in _DELAYS:
        try:
            return read(descent.folder(folder), name)
        except OSError as error:
            if not is_transient(error):
                raise
        time.sleep(delay)
        descent.forget()
    return read(descent.folder(folder), name)


def _below(root: str) -> Descent:
    try:
        return Descent(root)
    except OSError as error:
        raise named(error, root) from None


def _packed(found: os.stat_result) -> bytes:
    return STAT.pack(
        found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    )


def _rows(digests: bytearray) -> npt.NDArray[np.uint8]:
    return np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_SIZE)


def _cut(
    runs: Sequence[Run], most: Callable[[], int]
) -> Iterator[list[tuple[str, str, list[str]]]]:
    """The files of `runs` in slices of `most()` files, which is asked again for every slice."""
    places: list[tuple[str, str, list[str]]] = []
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


def _sample(runs: Sequence[Run], row: int) -> str:
    """The id of the sample in `row`."""
    for run in runs:
        if row < len(run.names):
            return run.prefix + run.names[row]
        row -= len(run.names)
    raise IndexError(row)


def _failure(sample: str, reason: str, transient: bool) -> InputError | StorageError:
    kind = StorageError if transient else InputError
    return kind(f"{quoted(sample)} {reason}", sample=sample)


class _Pace:
    """How far the work is: for the listener, and for the size of the next slices."""

    def __init__(self, progress: Callable[[int, int], None] | None) -> None:
        self._progress = progress
        self._files = self._bytes = 0
        self._told = time.monotonic()

    def files_a_spec(self) -> int:
        if not self._files:
            return _FIRST_FILES
        mean = self._bytes // self._files
        return max(1, min(_MOST_FILES, _MOST_BYTES // (mean + 1)))

    def advance(self, stats: bytes) -> None:
        sizes = np.frombuffer(stats, np.uint64).reshape(-1, STAT_FIELDS)[:, 2]
        self._files += len(sizes)
        self._bytes += int(sizes.sum())
        if self._progress and time.monotonic() - self._told >= _PROGRESS_EVERY:
            self._told = time.monotonic()
            self._progress(self._files, self._bytes)

    def finish(self) -> None:
        if self._progress:
            self._progress(self._files, self._bytes)
