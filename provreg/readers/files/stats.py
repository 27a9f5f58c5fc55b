"""The stats of files as the stat cache keeps them, and fingerprints of all stats below some paths.

Python makes an object of twenty numbers for each file, which takes as long as to ask the system:
`files.c` does without, if it could be compiled (ADR 22).

A fingerprint is one digest over all names and stats. It says less than a listing and is much
cheaper: nothing is sorted, named or left out, and no file is opened. Equal fingerprints are of the
same files with the same stats, in folders that nothing left or entered meanwhile; unequal ones
prove nothing.
"""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from provreg import _native
from provreg._native import checked
from provreg.readers.files.safe_open import DEEPEST, FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from provreg.executors.api import Executor

# Device, inode, size, mtime_ns, ctime_ns.
STAT = struct.Struct("=QQQqq")
STAT_FIELDS = 5
# That of what is gone, or no regular file.
NO_STAT = bytes(STAT.size)
# Folders to have found before what they hold is shared out.
_FOLDERS = 16
# Starting a process costs what looking at these does.
_FEW_FILES = 5000
_LENGTHS = struct.Struct("=QQ")
_TIMES = struct.Struct("=qq")


def packed(found: os.stat_result) -> bytes:
    return STAT.pack(
        found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    )


def nul_terminated(names: Sequence[str]) -> bytes:
    """`names`, each with a zero byte at its end. Raises ValueError for one within a name."""
    written = os.fsencode("\0".join([*names, ""]))
    if written.count(b"\0") != len(names):
        raise ValueError("embedded null byte")
    return written


def _stat(folder: int, name: bytes) -> bytes:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return NO_STAT
    return packed(found) if S_ISREG(found.st_mode) else NO_STAT


def _agrees(kernel: Any) -> bool:
    """Whether `kernel` tells the stats of this file, of a folder, and of nothing as Python does."""
    here = Path(__file__)
    names = [os.fsencode(here.name), b"..", b"no such name"]
    folder = os.open(here.parent, os.O_RDONLY)
    try:
        expected = b"".join(_stat(folder, name) for name in names)
        return bool(kernel(folder, b"".join(name + b"\0" for name in names)) == expected)
    finally:
        os.close(folder)


fstats = checked(_native.fstats, "fstats", _agrees)


def stats_in(folder: int, names: bytes) -> bytes:
    """The stats of files in an open folder, one after another; `names` are `nul_terminated`.

    No link is followed.
    """
    if fstats is None:
        return b"".join([_stat(folder, name) for name in names.split(b"\0")[:-1]])
    return fstats(folder, names)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`digest` of everything found, the `devices` it lies on, when any of it was `touched` last.

    `touched` is the latest mtime or ctime of a file or folder, in Unix nanoseconds.
    """

    digest: bytes
    devices: frozenset[int]
    touched: int


@dataclass(frozen=True, slots=True)
class _Share:
    """Work for one process: folders, with all below them, and files of single folders, by their
    `nul_terminated` names: a hundred thousand texts would take a while from process to process."""

    folders: list[str]
    files: list[tuple[str, bytes]]
    leave_out: frozenset[str]


def fingerprint_of(
    paths: Sequence[str | os.PathLike[str]],
    *,
    leave_out: Iterable[str | os.PathLike[str]],
    executor: Executor,
) -> Fingerprint | None:
    """The fingerprint of everything at `paths`, looked at by `executor`.

    None where there can be none: for links and other special files, for folders too deep, and where
    something cannot be read. Folders of `leave_out` are not entered.
    """
    aside = frozenset(os.path.realpath(path) for path in leave_out)
    roots = [os.path.realpath(path) for path in paths]
    shares = _shares(roots, aside, executor.workers)
    if shares is None:
        return None
    known = sum(names.count(b"\0") for share in shares for _, names in share.files)
    few = known < _FEW_FILES and not any(share.folders for share in shares)
    found = list(executor.map(_look, shares, most=1 if few else None))
    parts = [part for part in found if part is not None]
    if len(parts) < len(found):
        return None
    return Fingerprint(
        blake3(b"".join(part.digest for part in parts)).digest(),
        frozenset[int]().union(*(part.devices for part in parts)),
        max(part.touched for part in parts),
    )


def _shares(roots: list[str], aside: frozenset[str], number: int) -> list[_Share] | None:
    """What `number` processes are to look at; None where there are special files on the way."""
    folders: list[str] = []
    files: list[tuple[str, list[str]]] = []
    try:
        for root in roots:
            mode = os.stat(root).st_mode  # noqa: PTH116
            if S_ISDIR(mode):
                folders.append(root)
            elif S_ISREG(mode):
                above, _, name = root.rpartition("/")
                files.append((above or "/", [name]))
            else:
                return None
        for _ in range(DEEPEST):
            if not folders or len(folders) >= _FOLDERS:
                break
            below: list[str] = []
            for folder in folders:
                with _opened(folder) as opened, os.scandir(opened) as entries:
                    found = _sorted_out(folder, entries, aside)
                below += found[0]
                files.append((folder, found[1]))
            folders = below
    except (OSError, _SpecialError):
        return None
    return [
        _Share(
            folders[share::number],
            [(folder, nul_terminated(names[share::number])) for folder, names in files],
            aside,
        )
        for share in range(number)
    ]


def _look(share: _Share) -> Fingerprint | None:
    """The fingerprint of one share. Raises nothing."""
    look = _Look()
    try:
        for folder, names in share.files:
            with _opened(folder) as opened:
                look.add(folder, opened, names)
        pending = [(folder, 0) for folder in reversed(share.folders)]
        while pending:
            folder, depth = pending.pop()
            if depth > DEEPEST:
                return None
            # Relative to the open folder: the system need not walk the whole path for every file.
            with _opened(folder) as opened, os.scandir(opened) as entries:
                below, files = _sorted_out(folder, entries, share.leave_out)
                look.add(folder, opened, nul_terminated(files))
            pending += [(path, depth + 1) for path in below]
    except (OSError, _SpecialError):
        return None
    return look.fingerprint()


class _Look:
    """What was found so far."""

    def __init__(self) -> None:
        self._digest = blake3()
        self._devices: set[int] = set()
        self._touched = 0

    def add(self, folder: str, opened: int, names: bytes) -> None:
        """Takes in the files of one folder, or some of them, by their `nul_terminated` names.

        And the folder's own times: they tell that something was away and came back, folders too,
        whose files keep their times.
        """
        itself = os.fstat(opened)
        own = itself.st_mtime_ns, itself.st_ctime_ns
        times = _TIMES.pack(*own)
        stats = stats_in(opened, names)
        named = nul_terminated([folder]) + names
        lengths = _LENGTHS.pack(len(named), len(stats) // STAT.size)
        self._digest.update(lengths + named + times + stats)
        numbers = memoryview(stats).cast("q")
        devices, _, _, modified, changed = (numbers[k::STAT_FIELDS] for k in range(STAT_FIELDS))
        self._devices.update(devices)
        if 0 in self._devices:  # gone since, or a regular file no more
            raise _SpecialError
        # A folder's as well: of a file that is gone nothing else tells.
        touched = max(modified, default=0), max(changed, default=0)
        self._touched = max(self._touched, *own, *touched)

    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self._digest.digest(), frozenset(self._devices), self._touched)


def _sorted_out(
    folder: str, entries: Iterable[os.DirEntry[str]], aside: frozenset[str]
) -> tuple[list[str], list[str]]:
    """The paths of the folders right inside `folder`, and the names of its files."""
    folders: list[str] = []
    files: list[str] = []
    for entry in entries:
        if entry.is_file(follow_symlinks=False):
            files.append(entry.name)
        elif entry.is_dir(follow_symlinks=False):
            path = f"{folder}/{entry.name}"
            if path not in aside:
                folders.append(path)
        else:
            raise _SpecialError
    return folders, files


@contextmanager
def _opened(folder: str) -> Iterator[int]:
    opened = os.open(folder, FOLDER)
    try:
        yield opened
    finally:
        os.close(opened)


class _SpecialError(Exception):
    """A link, or something else that is neither a folder nor a regular file."""
