"""Reading single samples of a folder by id, for loaders: bytes once, never from outside."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from stat import S_ISREG
from typing import TYPE_CHECKING, Self

from provreg.core.entry import LIMITS
from provreg.core.text import quoted
from provreg.errors import InputError, NotFoundError
from provreg.readers.descent import READ_FILE, Descent, named
from provreg.readers.links import resolve
from provreg.readers.runs import Run, starting_points

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

# What opening says where a link stands, at the end of a path and within it.
_LINK_MET = frozenset({errno.ELOOP, errno.ENOTDIR})


class FolderFiles:
    """The files of the samples below `paths`, by the ids `readers.listing` gives them.

    A context manager that keeps the folders of the last sample open, so that reading samples in
    order is cheap. It may cross a fork, but serves one thread at a time.

    Nothing outside is ever read, whatever changes meanwhile: ids that could leave are refused, and
    folders and files are opened without following links. Where a link stands its target is
    resolved, must lie inside, and is then opened in the same way.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]]) -> None:
        self._roots: dict[str, tuple[str, Descent]] = {}
        self._single: dict[str, str] = {}
        with ExitStack() as opened:
            for start in starting_points(paths, frozenset()):
                try:
                    descent = opened.enter_context(Descent(start.root))
                except OSError as error:
                    raise named(error, start.root) from None
                name = start.names[0] if isinstance(start, Run) else start.prefix[:-1]
                self._roots[name] = (start.root, descent)
                if isinstance(start, Run):
                    self._single[name] = start.files[0]
            self._opened = opened.pop_all()

    def read(self, sample: str, *, limit: int) -> bytes:
        """The bytes of `sample`, read once; `limit + 1` of them if there are more than `limit`.

        Raises NotFoundError if there is no such file, InputError for an id that is not one, a file
        that is not regular or cannot be read and a link that leaves the folder, StorageError when
        the disk or server failed; all name the sample.
        """
        root, descent, folder, name = self._place(sample)
        try:
            try:
                file = os.open(name, READ_FILE, dir_fd=descent.folder(folder))
            except OSError as error:
                if error.errno not in _LINK_MET:
                    raise
                target, _ = resolve(root, f"{root}/{folder}/{name}", sample)
                folder, _, name = target.rpartition("/")
                file = os.open(name, READ_FILE, dir_fd=descent.folder(folder))
            try:
                return _read(file, sample, limit)
            finally:
                os.close(file)
        except FileNotFoundError:
            raise NotFoundError(f"{quoted(sample)} has no file", sample=sample) from None
        except OSError as error:
            raise named(error, sample) from None

    def _place(self, sample: str) -> tuple[str, Descent, str, str]:
        """(root, descent, folder, file name) of an id that cannot leave its root."""
        segments = sample.split("/")
        encoded = sample.encode(errors="replace")
        if not {"", ".", ".."}.isdisjoint(segments) or b"\0" in encoded:
            raise InputError(f"{quoted(sample)} is not the id of a file", sample=sample)
        if len(encoded) > LIMITS["id"]:
            raise InputError(f"{quoted(sample)} is too long for an id", sample=sample)
        if "" in self._roots:
            return *self._roots[""], "/".join(segments[:-1]), segments[-1]
        if segments[0] not in self._roots or (segments[0] in self._single) != (len(segments) == 1):
            raise NotFoundError(f"{quoted(sample)} has no file", sample=sample)
        root, descent = self._roots[segments[0]]
        if len(segments) == 1:
            return root, descent, "", self._single[sample]
        return root, descent, "/".join(segments[1:-1]), segments[-1]

    def close(self) -> None:
        """Closes every folder; the object is of no use afterwards."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


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
