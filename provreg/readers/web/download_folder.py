"""The folder that downloads go to: a file a sample, whole or not there, and nobody else's replaced.

A file comes under a hidden name beside its own, and gets its own when it is whole. No link on the
way is followed: others may write to the folder.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import contextmanager, suppress
from stat import S_ISREG
from typing import TYPE_CHECKING, BinaryIO

from blake3 import blake3

from provreg.core.encoding.text import quoted
from provreg.errors import InputError, StorageError
from provreg.readers.api import Closing
from provreg.readers.files.safe_open import READ_FILE, Descent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20


class DownloadFolder(Closing):
    """The files of the samples below `root`, by id. Several threads may use one.

    Its methods raise StorageError naming the sample, also where a link stands on the way.
    """

    def __init__(self, root: Path) -> None:
        self._lock = threading.Lock()
        self._begun: set[str] = set()
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._descent = Descent(str(root))
        except OSError as error:
            raise StorageError(
                f"{quoted(str(root))} cannot be the folder of downloads: {error.strerror}"
            ) from None

    def size(self, sample: str) -> int | None:
        """The bytes of the sample's file, None where there is no such file."""
        try:
            with self._place(sample, make=False) as (folder, name):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        return found.st_size if S_ISREG(found.st_mode) else None

    def begin(self, sample: str) -> BinaryIO:
        """A new file to write the sample's bytes to; `keep` or `discard` ends it."""
        with self._place(sample, make=True) as (folder, name):
            _unlinked(_coming(name), folder)
            self._begun.add(sample)
            return open(os.open(_coming(name), _NEW, 0o666, dir_fd=folder), "w+b")

    def keep(self, sample: str, *, ours: frozenset[bytes]) -> None:
        """Gives the file that was begun its name.

        A file that has the name already is replaced only where the BLAKE3 of its bytes is one of
        `ours`; else InputError.
        """
        with self._place(sample, make=False) as (folder, name):
            there = _content(name, folder)
            if there is not None and there not in ours:
                _unlinked(_coming(name), folder)
                raise InputError(
                    f"{quoted(sample)} is in the folder already, and not as it was downloaded",
                    sample=sample,
                    hint="move it away, or choose an empty folder",
                )
            os.rename(_coming(name), name, src_dir_fd=folder, dst_dir_fd=folder)
            self._begun.discard(sample)

    def discard(self, sample: str) -> None:
        """Takes away the file that was begun."""
        with self._place(sample, make=False) as (folder, name):
            _unlinked(_coming(name), folder)
            self._begun.discard(sample)

    def close(self) -> None:
        """Takes away what was begun and not ended."""
        for sample in tuple(self._begun):
            with suppress(StorageError):
                self.discard(sample)
        self._descent.close()

    @contextmanager
    def _place(self, sample: str, *, make: bool) -> Iterator[tuple[int, str]]:
        """(descriptor of the sample's folder, name of its file), while the lock is held."""
        path, _, name = sample.rpartition("/")
        try:
            with self._lock:
                if make:
                    self._make(path)
                yield self._descent.folder(path), name
        except OSError as error:
            raise StorageError(
                f"{quoted(sample)} cannot be written: {error.strerror}", sample=sample
            ) from error

    def _make(self, path: str) -> None:
        try:
            self._descent.folder(path)
        except FileNotFoundError:
            above, _, name = path.rpartition("/")
            self._make(above)
            # It may have come meanwhile.
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=self._descent.folder(above))


def _coming(name: str) -> str:
    return f".{name}.part"


def _unlinked(name: str, folder: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _content(name: str, folder: int) -> bytes | None:
    """The BLAKE3 of a file's bytes; None where there is no file."""
    try:
        opened = os.open(name, READ_FILE, dir_fd=folder)
    except FileNotFoundError:
        return None
    with open(opened, "rb", buffering=0) as file:
        if not S_ISREG(os.fstat(opened).st_mode):
            raise OSError(errno.EEXIST, "something else than a file is there")
        hashed = blake3()
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
        return hashed.digest()
