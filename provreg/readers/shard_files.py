"""Tar shards as files: which there are, what their names say, and how they are opened."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from provreg.errors import InputError
from provreg.readers.source_file import SourceFile, examined, opened, shown
from provreg.readers.table_files import all_files, chosen_files, files_at
from provreg.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_TAR = re.compile(r"(.+)\.(?:tar|tar\.gz|tgz|tar\.zst)", re.IGNORECASE)
# What numbers a shard in its name: `train-000003`, `train-00000-of-00012`, `val_7`.
_NUMBER = re.compile(r"[-_.]?[0-9]+(?:[-_.]?of[-_.]?[0-9]+)?")
_BUFFER = 1024 * 1024
# A compressed shard may unpack to this, and to so many times its size: beyond what data give.
_MOST_TIMES, _FREE = 1000, 256 * 1024 * 1024


@record
class Shard:
    """A tar file; `name` is its path below the folder that was named, without its ending."""

    file: SourceFile
    name: str

    def split_of_name(self) -> str | None:
        """`train` of `train-000003`: the name before the number; None where there is none."""
        name = self.name.rpartition("/")[2]
        end = re.search(_NUMBER.pattern + "$", name)
        return (name[: end.start()] if end else name) or None

    def split_of_folder(self) -> str | None:
        """The first folder, None where the shard lies in none."""
        folder, slash, _ = self.name.partition("/")
        return folder if slash else None


def looks_like_shards(paths: Sequence[Path]) -> bool:
    """Whether all files at `paths` are tar files."""
    return all_files(paths, _is_tar)


def shards(paths: Sequence[Path]) -> list[Shard]:
    """The tar files at `paths`, by path. Raises as `table_files.chosen_files`."""
    names: dict[Path, str] = {}
    for path in paths:
        for file in files_at([path]):
            inside = file.relative_to(path) if path.is_dir() else file.relative_to(file.parent)
            match = _TAR.fullmatch(inside.as_posix())
            names[file] = match[1] if match else inside.as_posix()
    chosen = chosen_files(paths, _is_tar, "tar")
    return [Shard(examined(file), names[file]) for file in chosen]


def _is_tar(path: Path) -> bool:
    return _TAR.fullmatch(path.name) is not None


@contextmanager
def unpacked(file: SourceFile) -> Iterator[BinaryIO]:
    """The archive in `file`, decompressed as its first bytes say, read from front to back.

    Raises InputError for what cannot be decompressed, or is far larger than any data.
    """
    with opened(file) as stream:
        begin = stream.read(4)
        stream.seek(0)
        try:
            if begin[:2] == b"\x1f\x8b":
                yield _buffered(_Bounded(gzip.GzipFile(fileobj=stream), file))
            elif begin == b"\x28\xb5\x2f\xfd":
                plain = pa.CompressedInputStream(pa.PythonFile(stream), "zstd")
                yield _buffered(_Bounded(plain, file))
            else:
                yield _buffered(stream)
        except (EOFError, zlib.error, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise InputError(
                f"{shown(file.path)} cannot be decompressed",
                hint="the file may be cut off or damaged",
            ) from None


def _buffered(source: Any) -> BinaryIO:
    """`source` in large reads; a read gives what was asked for until the end."""
    buffered: BinaryIO = io.BufferedReader(source, _BUFFER)
    return buffered


class _Bounded(io.RawIOBase):
    """A decompressed file that ends in an error where it goes on beyond all reason."""

    def __init__(self, source: Any, file: SourceFile) -> None:
        self._source = source
        self._path = file.path
        self._left = _FREE + _MOST_TIMES * file.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        self._left -= len(data)
        if self._left < 0:
            raise InputError(
                f"{shown(self._path)} unpacks to more than {_MOST_TIMES:,} times its size",
                hint="it looks like a bomb; unpack it yourself if it is none",
            )
        return len(data)
