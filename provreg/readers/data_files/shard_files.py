"""Tar shards as files: which there are, what their names say, and how they are opened."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from provreg.readers.data_files.compression import (
    Bounded,
    Gunzip,
    buffered,
    two_streams,
    unpacking,
    zstd_stream,
)
from provreg.readers.data_files.source_file import SourceFile, open_source, stat_source
from provreg.readers.data_files.table_files import TAR, all_files, chosen_files, files_at, is_tar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# What numbers a shard in its name: `train-000003`, `train-00000-of-00012`, `val_7`.
_NUMBER = re.compile(r"[-_.]?[0-9]+(?:[-_.]?of[-_.]?[0-9]+)?")
_BUFFER = 1024 * 1024


@dataclass(frozen=True, slots=True)
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
    return all_files(paths, is_tar)


def shards(paths: Sequence[Path]) -> list[Shard]:
    """The tar files at `paths`, by path. Raises as `table_files.chosen_files`."""
    names: dict[Path, str] = {}
    for path in paths:
        for file in files_at([path]):
            inside = file.relative_to(path) if path.is_dir() else file.relative_to(file.parent)
            match = TAR.fullmatch(inside.as_posix())
            names[file] = match[1] if match else inside.as_posix()
    chosen = chosen_files(paths, is_tar, "tar")
    return [Shard(stat_source(file), names[file]) for file in chosen]


@contextmanager
def unpacked(file: SourceFile) -> Iterator[BinaryIO]:
    """The archive in `file`, decompressed as its first bytes say, read from front to back.

    Raises InputError for what cannot be decompressed, is far larger than any data, or holds more
    than one compressed stream: where the first ends, many programs end too.
    """
    with open_source(file) as stream:
        begin = stream.read(4)
        stream.seek(0)
        with unpacking(file):
            if begin[:2] == b"\x1f\x8b":
                yield buffered(Bounded(_Gunzipped(stream, file), file))
            elif begin == b"\x28\xb5\x2f\xfd":
                yield buffered(Bounded(zstd_stream(stream, file), file))
            else:
                yield buffered(stream)


class _Gunzipped:
    """The bytes of the one gzip stream in a file; zeros may follow, as on tapes."""

    def __init__(self, stream: BinaryIO, file: SourceFile) -> None:
        self._stream = stream
        self._file = file
        self._unpack = Gunzip()

    def read(self, size: int) -> bytes:
        while not self._unpack.eof:
            packed = self._stream.read(_BUFFER) if self._unpack.needs_input else b""
            if not packed and self._unpack.needs_input:
                raise EOFError
            if data := self._unpack.decompress(packed, size):
                return data
        left = self._unpack.unused_data
        while left:
            if left.count(0) < len(left):
                raise two_streams(self._file)
            left = self._stream.read(_BUFFER)
        return b""
