"""The user's own folders: cache, state, configuration. Nobody else may write there."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from provreg.core.encoding.text import printable, quoted
from provreg.errors import UsageError
from provreg.executors.api import no_report
from provreg.store.files import read_regular, replace_file, storage_error

if TYPE_CHECKING:
    from platformdirs import PlatformDirs

CACHE_VARIABLE = "PROVREG_CACHE"
STATE_VARIABLE = "PROVREG_STATE"
CONFIG_VARIABLE = "PROVREG_CONFIG"
_PATIENCE = 0.5  # seconds before a wait is worth a word
_POLL = 0.02
_MAX_PURPOSE = 256
# What file systems say that have no locks, and what to do then.
_LOCKLESS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
_NO_LOCKS = (
    f"choose folders on a file system that has locks, with {STATE_VARIABLE} and {CACHE_VARIABLE}"
)


def cache_folder() -> Path:
    """Where what can be made again lies: `PROVREG_CACHE`, or the platform's cache folder."""
    return _user_folder(CACHE_VARIABLE, lambda platform: platform.user_cache_path)


def state_folder() -> Path:
    """Where what was seen is remembered: `PROVREG_STATE`, or the platform's state folder."""
    return _user_folder(STATE_VARIABLE, lambda platform: platform.user_state_path)


def config_folder() -> Path:
    """Where the user's policy lies: `PROVREG_CONFIG`, or the platform's configuration folder."""
    return _user_folder(CONFIG_VARIABLE, lambda platform: platform.user_config_path)


def private_folder(path: Path) -> Path:
    """`path`, made for the user alone where it is missing.

    Raises UsageError where it belongs to somebody else or others may write to it, StorageError.
    """
    path = path.absolute()
    try:
        for folder in (*reversed(path.parents), path):
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
        status = path.stat()
    except OSError as error:
        raise storage_error("make the private folder", str(path), error) from error
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{quoted(str(path))} is not a folder", hint="move it out of the way")
    if status.st_uid != os.geteuid():
        raise UsageError(
            f"{quoted(str(path))} belongs to user {status.st_uid}, not to you: they could change"
            " what provreg relies on",
            hint=f"choose folders of your own with {CACHE_VARIABLE}, {STATE_VARIABLE} and"
            f" {CONFIG_VARIABLE}",
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(
            f"others may write to {quoted(str(path))}: they could change what provreg relies on",
            hint=f"if nobody did, close it with: chmod go-w {printable(str(path))}",
        )
    return path


def check_parents(path: Path) -> None:
    """Raises UsageError where others could put something else in the place of `path`, an absolute
    one without links: its folders are of the user or the system, and nobody else may write to them
    (in sticky ones nobody can move what is not theirs). StorageError."""
    for folder in path.parents:
        try:
            status = folder.stat()
        except OSError as error:
            raise storage_error("look at the folder", str(folder), error) from error
        writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if status.st_uid not in (0, os.geteuid()) or (
            writable and not status.st_mode & stat.S_ISVTX
        ):
            raise UsageError(
                f"others may write to {quoted(str(folder))}: they could put something else in the"
                f" place of {quoted(str(path))}",
                hint="choose a folder of your own, below which nobody else may write",
            )


def read_private(path: Path, limit: int) -> bytes | None:
    """The bytes of a private file, None if it does not exist.

    Raises DamagedError for more than `limit` bytes or anything but a file, StorageError.
    """
    try:
        return read_regular(path, limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise storage_error("read", str(path), error) from error


def open_private(path: str | os.PathLike[str]) -> BinaryIO | None:
    """A file of the user's own, to be read; None for one that is not regular, is another user's, or
    that others may read or write. Raises OSError."""
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(opened)
    if found.st_uid == os.geteuid() and not found.st_mode & 0o077 and stat.S_ISREG(found.st_mode):
        return open(opened, "rb")
    os.close(opened)
    return None


def replace_private(path: Path, data: bytes) -> None:
    """Gives a private file new content at once, durably. Raises StorageError."""
    replace_file(path, data, 0o600)


@contextmanager
def locked(
    path: Path,
    purpose: str,
    *,
    shared: bool = False,
    waiting: Callable[[str], None] = no_report,
) -> Iterator[None]:
    """Holds the lock file `path` against other processes and threads of this user.

    Several may hold it at once where all of them ask for it `shared`.
    `purpose` says what the holder does. Who has to wait longer than a moment is told once, through
    `waiting`, what for: the holder's purpose and process. Not reentrant. Raises StorageError.
    """
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise storage_error("open the lock", str(path), error) from error
    try:
        try:
            _acquire(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, waiting)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{purpose} (process {os.getpid()})".encode(), 0)
        except OSError as error:
            hint = _NO_LOCKS if error.errno in _LOCKLESS else None
            raise storage_error("take the lock", str(path), error, hint=hint) from error
        yield
    finally:
        # Closing alone would leave it held while a forked child has the descriptor open. What could
        # not be locked cannot be unlocked, which must not hide the error that said so.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _acquire(descriptor: int, how: int, waiting: Callable[[str], None]) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_POLL)
        else:
            return
    waiting(printable(os.pread(descriptor, _MAX_PURPOSE, 0).decode(errors="replace")))
    fcntl.flock(descriptor, how)


def _user_folder(variable: str, choose: Callable[[PlatformDirs], Path]) -> Path:
    if named := os.environ.get(variable):
        path = Path(named)
    else:
        from platformdirs import PlatformDirs

        path = choose(PlatformDirs("provreg", appauthor=False))
    if not path.is_absolute():
        # Else what was seen would be forgotten by going to another folder.
        raise UsageError(
            f"the private folder {quoted(str(path))} would be another one in every folder",
            hint=f"set {variable} to an absolute path; a ~ in quotes stays as it is",
        )
    return private_folder(path)
