"""Files of tables as they are read: opened once, seen to stay the same, cut into slices."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from provreg.core.encoding.text import quoted
from provreg.errors import InputError, NotFoundError, ProvregError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A regular file and what it was when first looked at; `size` in bytes.

    `ctime_ns` tells of a write whose `mtime_ns` was set back: nobody can set it.
    """

    path: Path
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class ByteSlice:
    """What one task reads of a file: the bytes or the row groups from `start` to before `stop`.

    `first_row` is the number of rows before it in the file, None where that takes counting.
    """

    file: SourceFile
    start: int
    stop: int
    first_row: int | None = 0


class ValueMismatchError(Exception):
    """A value that cannot be taken in, at `row` (from 0) of what is being read.

    Never leaves the readers: who knows the file and its rows makes it an InputError.
    """

    def __init__(self, complaint: str, *, row: int, hint: str = "") -> None:
        super().__init__(complaint, row, hint)
        self.complaint = complaint
        self.row = row
        self.hint = hint

    def after(self, rows: int) -> ValueMismatchError:
        """The same, `rows` further down."""
        return ValueMismatchError(self.complaint, row=self.row + rows, hint=self.hint)

    def in_file(self, path: Path, rows_before: int) -> InputError:
        """As the user sees it; `rows_before` rows precede what was read. Rows count from 1."""
        place = place_of(path, rows_before + self.row)
        return InputError(f"{place}: {self.complaint}", hint=self.hint, sample=place)


def place_of(path: Path, row: int) -> str:
    """Where the row with the index `row` (from 0) is, for messages: data rows count from 1."""
    return f"{display(path)}, row {row + 1}"


def display(path: Path) -> str:
    """`path` for messages."""
    return quoted(os.fsdecode(path))


def stat_source(path: Path) -> SourceFile:
    """`path` as it is now. Raises NotFoundError, InputError for what is no regular file, and
    StorageError."""
    with _storage_errors(path):
        return _state(path, path.stat())


@contextmanager
def open_source(file: SourceFile) -> Iterator[BinaryIO]:
    """`file`, open for reading. Raises InputError when it is, on leaving, not what it was when
    `stat_source`; also NotFoundError and StorageError."""
    with _storage_errors(file.path):
        # Without O_NONBLOCK a FIFO put in the file's place would wait for ever.
        descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as stream:
        _check_unchanged(file, descriptor)
        try:
            with _storage_errors(file.path):
                yield stream
        except ProvregError:
            # A file that changes often stops making sense; the cause is the better message.
            _check_unchanged(file, descriptor)
            raise
        _check_unchanged(file, descriptor)


def changed_error(file: SourceFile) -> InputError:
    """What to raise for a file that did not stay the same."""
    return InputError(
        f"{display(file.path)} changed while it was being read",
        hint="ingest a copy that nothing writes to",
    )


def additional_column(file: SourceFile, name: str) -> InputError:
    """What to raise for a column that the dataset does not have."""
    return InputError(
        f"{display(file.path)} has an additional column {quoted(name)}", hint=columns_hint(name)
    )


def columns_hint(name: str) -> str:
    """What can be done about a column that the dataset does not have."""
    return (
        f"leave it out with --exclude-column {quoted(name)}, or sign it from this version on with"
        f" --column-added {quoted(name)}"
    )


def _check_unchanged(file: SourceFile, descriptor: int) -> None:
    with _storage_errors(file.path):
        now = _state(file.path, os.fstat(descriptor))
    if now != file:
        raise changed_error(file)


def _state(path: Path, status: os.stat_result) -> SourceFile:
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{display(path)} is not a regular file")
    return SourceFile(
        path,
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"there is no file {display(path)}") from None
    except OSError as error:
        raise StorageError(f"{display(path)} cannot be read: {error.strerror}") from error
