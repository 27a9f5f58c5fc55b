"""Memory that the processes of one loader share: a private file that all of them map."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import tempfile
import weakref
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from provreg.errors import StorageError
from provreg.store.files import storage_error
from provreg.store.private.folders import CACHE_VARIABLE, locked

_FULL = f"free some space, or choose a folder on another disk with {CACHE_VARIABLE}"
_HINTS: dict[int | None, str] = {errno.ENOSPC: _FULL, errno.EDQUOT: _FULL}
_WRITTEN_AT_ONCE = 1 << 20


class SharedMemory:
    """`size` bytes, zero at first, in `map`: what one process writes, all read. With `space` the
    map is as long, and what lies behind the first `size` must be reserved before it is used.

    The file lies in `folder`, which must be private, and goes with the object that made it; files
    of makers that were killed go when the next one is made. What is used is on disk before it is:
    a full disk is an error here, and not the end of a process that writes to it. Pickled,
    it is the file's name, for forked and spawned processes alike. Raises StorageError.
    """

    def __init__(self, folder: Path, size: int, *, space: int = 0) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A file that is not locked yet looks as if its maker was killed: nobody else may look.
            with locked(_lock_of(folder), "making shared memory"):
                _sweep(folder)
                descriptor, path = tempfile.mkstemp(dir=folder)
                # Held as long as this process or a fork of it lives.
                fcntl.flock(descriptor, fcntl.LOCK_SH)
        except OSError as error:
            raise _no_memory(folder, error) from error
        weakref.finalize(self, _remove, descriptor, path, os.getpid())
        try:
            _reserve(descriptor, 0, max(size, 1))
            if space > size:
                os.ftruncate(descriptor, space)
        except OSError as error:
            _unlink(path)
            raise _no_memory(folder, error) from error
        self._open(path)

    def _open(self, path: str) -> None:
        try:
            with open(path, "r+b") as file:
                self.map = mmap.mmap(file.fileno(), 0)
        except (OSError, ValueError) as error:
            raise StorageError(
                f"the memory that processes share of a loader is gone: {error}",
                hint="keep the loader alive in the process that made it while others use it",
            ) from None
        self._path = path

    def reserve(self, start: int, size: int) -> None:
        """Puts `size` bytes from `start` on on the disk. Raises StorageError."""
        try:
            with open(self._path, "r+b") as file:
                _reserve(file.fileno(), start, size)
        except OSError as error:
            raise _no_memory(Path(self._path).parent, error) from error

    def locked(self) -> AbstractContextManager[None]:
        """Held by one process at a time, for what must be read and written together."""
        return locked(_lock_of(Path(self._path).parent), "writing shared memory")

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self._path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._open(**state)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _remove(descriptor: int, path: str, maker: int) -> None:
    """Forks of the maker come here too when they end, and must leave the file to it."""
    os.close(descriptor)
    if os.getpid() == maker:
        _unlink(path)


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - when the interpreter ends pathlib may be gone


def _reserve(descriptor: int, start: int, size: int) -> None:
    """Makes the file as long as to hold these bytes, with all their blocks. Raises OSError."""
    try:
        os.posix_fallocate(descriptor, start, size)
    except (AttributeError, OSError) as error:
        # Not every system and file system can do it at once.
        if isinstance(error, OSError) and error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
        zeros = bytes(min(size, _WRITTEN_AT_ONCE))
        done = 0
        while done < size:
            done += os.pwrite(descriptor, zeros[: size - done], start + done)


def _no_memory(folder: Path, error: OSError) -> StorageError:
    return storage_error("make shared memory in", str(folder), error, hint=_HINTS.get(error.errno))


def _sweep(folder: Path) -> None:
    """Removes the files whose makers were killed: nobody holds a lock on them any more."""
    for path in folder.iterdir():
        # Opened for writing: network file systems give exclusive locks for nothing else.
        with suppress(FileNotFoundError, BlockingIOError), open(path, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
