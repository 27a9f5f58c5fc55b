"""Reaching files below a root without following a single link.

Every folder on the way is opened from the one above with `O_NOFOLLOW`, so that nothing swapped for
a link between listing and reading can lead out of the root. Where links are followed at all, the
path is resolved first and the resolved path walked.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from provreg.core.encoding.text import quoted
from provreg.errors import InputError, StorageError
from provreg.readers.api import Closing

if TYPE_CHECKING:
    pass

# Folders below folders: more would run into the limit of open files.
DEEPEST = 200

# How to open a folder.
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# How to open a file in a folder: never a link's target, and without waiting, as opening a pipe that
# nobody writes to otherwise does.
READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

# Failures of servers and disks, as opposed to files that are simply not readable.
TRANSIENT = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN})
_REASONS = {
    errno.EACCES: "cannot be read: permission denied",
    errno.EPERM: "cannot be read: permission denied",
    errno.ENOENT: "vanished while the folder was read",
    errno.ELOOP: "was replaced by a link while the folder was read",
    errno.ENOTDIR: "lies under a folder that was replaced while it was read",
    errno.ENXIO: "is not a regular file",
    errno.ENAMETOOLONG: "has a path that is too long to be opened",
}


class Descent(Closing):
    """The folders below one root, the last one used kept open with all those above it.

    A context manager. Raises OSError as the system does: ELOOP or ENOTDIR where a link stands.
    """

    def __init__(self, root: str) -> None:
        self._segments: list[str] = []
        self._opened = [os.open(root, FOLDER)]
        self._path = ""

    def folder(self, path: str) -> int:
        """The descriptor of the folder at `path`, relative to the root, which is "" itself.

        It belongs to this object and is valid until the next call.
        """
        if path == self._path:
            return self._opened[-1]
        segments = path.split("/") if path else []
        if len(segments) > DEEPEST:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        shared = 0
        for ours, theirs in zip(self._segments, segments, strict=False):
            if ours != theirs:
                break
            shared += 1
        self._close_below(shared)
        for segment in segments[shared:]:
            opened = os.open(segment, FOLDER | os.O_NOFOLLOW, dir_fd=self._opened[-1])
            self._opened.append(opened)
            self._segments.append(segment)
            self._path = "/".join(self._segments)
        return self._opened[-1]

    def _close_below(self, depth: int) -> None:
        self._path = "/".join(self._segments[:depth])
        while len(self._segments) > depth:
            self._segments.pop()
            os.close(self._opened.pop())

    def forget(self) -> None:
        """Closes all but the root, so that the next call opens its folders again."""
        self._close_below(0)

    def close(self) -> None:
        """Closes every descriptor; the object is of no use afterwards."""
        self._close_below(0)
        while self._opened:
            os.close(self._opened.pop())


def reason_of(error: OSError) -> str:
    """What an `OSError` means for the file, as the end of a sentence that begins with its name."""
    return _REASONS.get(error.errno or 0, f"cannot be read: {error.strerror}")


def is_transient(error: OSError) -> bool:
    """Whether trying again may help."""
    return error.errno in TRANSIENT


def kind_of(error: OSError) -> type[InputError | StorageError]:
    """StorageError where disk or server are to blame rather than the file."""
    return InputError if error.errno in _REASONS else StorageError


def error_for(error: OSError, sample: str) -> InputError | StorageError:
    """The error to raise for `sample`."""
    return kind_of(error)(f"{quoted(sample)} {reason_of(error)}", sample=sample)


def resolve(root: str, link: str, sample: str) -> tuple[str, bool]:
    """(path relative to `root`, whether it is a folder) of what the link at `link` stands for.

    `root` is a path without links in it. The answer holds for the moment only: read what is there
    without following links (`files.safe_open`). Raises InputError, naming `sample`, for a link
    that dangles, leaves `root`, leads to a folder it lies in, or to neither folder nor file.
    """
    try:
        target = os.path.realpath(link, strict=True)
        mode = os.lstat(target).st_mode
    except OSError:
        raise InputError(f"{quoted(sample)} is a link to nothing", sample=sample) from None
    if f"{os.path.realpath(os.path.dirname(link))}/".startswith(f"{target}/"):  # noqa: PTH120
        raise InputError(f"{quoted(sample)} is a link to a folder it lies in", sample=sample)
    if not target.startswith(f"{root}/"):
        raise InputError(
            f"{quoted(sample)} is a link that leaves the folder, to {quoted(target)}",
            hint="copy the file in, or leave the link out with --exclude",
            sample=sample,
        )
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise InputError(f"{quoted(sample)} is not a regular file", sample=sample)
    return target[len(root) + 1 :], stat.S_ISDIR(mode)
