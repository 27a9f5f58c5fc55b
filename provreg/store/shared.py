"""Memory that the processes of one loader share: a private file that all of them map."""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

from provreg.errors import StorageError
from provreg.store.files import storage_error


class SharedMemory:
    """`size` bytes, zero at first, in `map`: what one process writes, all read.

    The file lies in `folder`, which must be private, and goes with the object that made it; files
    of makers that were killed go when the next one is made. Pickled, it is the file's name, for
    forked and spawned processes alike. Raises StorageError.
    """

    def __init__(self, folder: Path, size: int) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sweep(folder)
            descriptor, path = tempfile.mkstemp(dir=folder)
            # Held as long as this process or a fork of it lives: see `_sweep`.
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            os.truncate(descriptor, max(size, 1))
        except OSError as error:
            raise storage_error("make shared memory in", str(folder), error) from error
        weakref.finalize(self, _remove, descriptor, path, os.getpid())
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

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self._path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._open(**state)


def _remove(descriptor: int, path: str, maker: int) -> None:
    """Forks of the maker come here too when they end, and must leave the file to it."""
    os.close(descriptor)
    if os.getpid() == maker:
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - when the interpreter ends pathlib may be gone


def _sweep(folder: Path) -> None:
    """Removes the files whose makers were killed: nobody holds a lock on them any more."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError, BlockingIOError), open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
