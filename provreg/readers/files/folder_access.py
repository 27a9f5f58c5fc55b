"""Reading single samples of a folder by id, for loaders: bytes once, never from outside."""

from __future__ import annotations

import errno
import os
import time
import weakref
from contextlib import ExitStack
from stat import S_ISREG
from typing import TYPE_CHECKING, Self

from provreg.core.encoding.text import quoted
from provreg.core.manifest.limits import LIMITS
from provreg.errors import InputError, NotFoundError
from provreg.readers.api import Closing
from provreg.readers.files.safe_open import READ_FILE, Descent, error_for, is_transient, resolve
from provreg.readers.files.walk import ByteRun, starting_points

if TYPE_CHECKING:
    from collections.abc import Sequence

# What opening says where a link stands, at the end of a path and within it.
_LINK_MET = frozenset({errno.ELOOP, errno.ENOTDIR})
# Seconds to wait before each new try where the disk or file server failed.
_DELAYS = (0.05, 0.25, 1.0)
# Folders kept open: samples in random order come from all classes in turn.
_MOST_OPEN = 128


class FolderFiles(Closing):
    """The files of the samples below `paths`, by the ids `readers.files.walk` gives them.

    A context manager that keeps folders open, so that reading samples is cheap; what is left open
    is closed with the object. It may cross a fork, but serves one thread at a time.

    Nothing outside is ever read, whatever changes meanwhile: ids that could leave are refused, and
    folders and files are opened without following links. Where a link stands its target is
    resolved, must lie inside, and is then opened in the same way.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]]) -> None:
        self._roots: dict[str, _Root] = {}
        self._single: dict[str, str] = {}
        with ExitStack() as opened:
            for start in starting_points(paths, frozenset()):
                try:
                    root = opened.enter_context(_Root(start.root))
                except OSError as error:
                    raise error_for(error, start.root) from None
                name = start.names[0] if isinstance(start, ByteRun) else start.prefix[:-1]
                self._roots[name] = root
                if isinstance(start, ByteRun):
                    self._single[name] = start.files[0]
            self.close = weakref.finalize(self, opened.pop_all().close)

    def read(self, sample: str, *, limit: int) -> bytes:
        """The bytes of `sample`, read once; `limit + 1` of them if there are more than `limit`.

        Where the disk or server fails, it is tried again a few times. Raises NotFoundError if there
        is no such file, InputError for an id that is not one, a file that is not regular or cannot
        be read and a link that leaves the folder, StorageError when the disk or server kept
        failing; all name the sample.
        """
        root, folder, name = self._place(sample)
        delays = iter(_DELAYS)
        reopened = False
        while True:
            try:
                return self._open_and_read(root, folder, name, sample, limit)
            except FileNotFoundError:
                # Its folder may have been replaced since it was opened.
                if reopened:
                    raise NotFoundError(f"{quoted(sample)} has no file", sample=sample) from None
                reopened = True
                root.forget()
            except OSError as error:
                delay = next(delays, None) if is_transient(error) else None
                if delay is None:
                    raise error_for(error, sample) from None
                root.forget()
                time.sleep(delay)

    @staticmethod
    def _open_and_read(root: _Root, folder: str, name: str, sample: str, limit: int) -> bytes:
        try:
            file = os.open(name, READ_FILE, dir_fd=root.folder(folder))
        except OSError as error:
            if error.errno not in _LINK_MET:
                raise
            target, _ = resolve(root.path, f"{root.path}/{folder}/{name}", sample)
            folder, _, name = target.rpartition("/")
            file = os.open(name, READ_FILE, dir_fd=root.folder(folder))
        try:
            return _read(file, sample, limit)
        finally:
            os.close(file)

    def _place(self, sample: str) -> tuple[_Root, str, str]:
        """(root, folder, file name) of an id that cannot leave its root."""
        segments = sample.split("/")
        if "" in segments or "." in segments or ".." in segments or "\0" in sample:
            raise InputError(f"{quoted(sample)} is not the id of a file", sample=sample)
        if len(sample) > LIMITS["id"]:
            raise InputError(f"{quoted(sample)} is too long for an id", sample=sample)
        if "" in self._roots:
            folder, _, name = sample.rpartition("/")
            return self._roots[""], folder, name
        if segments[0] not in self._roots or (segments[0] in self._single) != (len(segments) == 1):
            raise NotFoundError(f"{quoted(sample)} has no file", sample=sample)
        root = self._roots[segments[0]]
        if len(segments) == 1:
            return root, "", self._single[sample]
        return root, "/".join(segments[1:-1]), segments[-1]


class _Root:
    """One folder of `paths`, with the folders below it that were used last kept open."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descent = Descent(path)
        self._opened: dict[str, int] = {}

    def folder(self, path: str) -> int:
        """The descriptor of the folder at `path`, valid until the next call. Raises OSError."""
        opened = self._opened.get(path)
        if opened is None:
            opened = os.dup(self._descent.folder(path))
            self._opened[path] = opened
            if len(self._opened) > _MOST_OPEN:
                os.close(self._opened.pop(next(iter(self._opened))))
        return opened

    def forget(self) -> None:
        """Closes all but the root, so that folders are opened again."""
        while self._opened:
            os.close(self._opened.popitem()[1])
        self._descent.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.forget()
        self._descent.close()


def _read(file: int, sample: str, limit: int) -> bytes:
    found = os.fstat(file)
    if not S_ISREG(found.st_mode):
        raise InputError(f"{quoted(sample)} is not a regular file", sample=sample)
    # One byte more than there should be: whether it comes tells the end of the file.
    wanted = min(found.st_size, limit) + 1
    data = os.read(file, wanted)
    if len(data) == wanted - 1:
        return data
    chunks = [data]
    size = len(data)
    while size <= limit and (chunk := os.read(file, min(limit + 1 - size, 1 << 20))):
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)
