"""Single steps on files, safe in folders where others write: no links followed, nothing torn."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path

from provreg.core.encoding.text import quoted
from provreg.errors import DamagedError, StorageError

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_HINTS = {
    errno.ENOSPC: "the disk is full: free some space and try again",
    errno.EDQUOT: "your disk quota is used up: free some space and try again",
    errno.EACCES: "you may not do that there: ask the owner for access",
    errno.EPERM: "you may not do that there, or the file system has no hard links: use another",
    errno.ENOTSUP: "the file system has no hard links: put the registry on one that has",
    errno.EROFS: "the file system is mounted read-only",
    errno.EIO: "the disk or file server reports an error: check it before going on",
}


def hint_of_disk(text: str) -> str:
    """What to do where another library's `text` says that the disk fails; empty where not."""
    failing = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
    return next((_HINTS[number] for number in failing if os.strerror(number) in text), "")


def storage_error(
    doing: str, path: str, error: OSError, *, hint: str | None = None
) -> StorageError:
    """`error` as ours: "cannot <doing> <path>: <reason>", with what to do about it: `hint`, or
    what there is to say of such an error anywhere."""
    reason = error.strerror or type(error).__name__
    hint = hint or _HINTS.get(error.errno or 0, "")
    return StorageError(f"cannot {doing} {quoted(path)}: {reason}", hint=hint)


def read_regular(
    path: str | Path, limit: int, *, dir_fd: int | None = None, shown: str | None = None
) -> bytes:
    """All bytes of a regular file, at most `limit`, from one read; `shown` names it in messages.

    Raises DamagedError for a link, pipe, folder or device, and for a longer file; OSError as the
    system does.
    """
    # O_NONBLOCK: opening a planted pipe would otherwise wait for its writer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    shown = quoted(shown or str(path))
    try:
        descriptor = os.open(path, flags, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _irregular(shown) from None
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise _irregular(shown)
    with open(descriptor, "rb") as file:
        # What is announced is allocated at once: never more than the limit, whatever it says.
        data = file.read(min(status.st_size, limit) + 1)
    if len(data) > limit:
        raise DamagedError(f"{shown} is longer than the {limit} bytes allowed")
    return data


def write_new(path: str | Path, data: bytes, mode: int, *, dir_fd: int | None = None) -> None:
    """Makes a file that did not exist, with `data` safely on disk. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(path, flags, mode, dir_fd=dir_fd), "wb", buffering=0) as file:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes, mode: int) -> None:
    """Gives `path` new content: readers see the old or the new bytes, also after a power cut.

    A link standing at `path` is replaced, not followed. Raises StorageError.
    """
    staged = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            write_new(staged, data, mode)
            staged.replace(path)
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise storage_error("write", str(path), error) from error


def sync_folder(path: Path) -> None:
    """Makes the names in a folder survive a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _irregular(shown: str) -> DamagedError:
    return DamagedError(
        f"{shown} is not a regular file",
        hint="somebody put a link, pipe or folder in its place: look at it, then remove it",
    )
