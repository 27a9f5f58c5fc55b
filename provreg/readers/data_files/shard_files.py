"""Tar shards as files: which there are, what their names say, and how they are opened."""

from __future__ import annotations

import io
import os
import re
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from provreg.errors import InputError
from provreg.readers.data_files.source_file import SourceFile, display, open_source, stat_source
from provreg.readers.data_files.table_files import TAR, all_files, chosen_files, files_at, is_tar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# What numbers a shard in its name: `train-000003`, `train-00000-of-00012`, `val_7`.
_NUMBER = re.compile(r"[-_.]?[0-9]+(?:[-_.]?of[-_.]?[0-9]+)?")
_BUFFER = 1024 * 1024
# A compressed shard may unpack to this, and to so many times its size: beyond what data give.
_MOST_TIMES, _FREE = 1000, 256 * 1024 * 1024


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
        try:
            if begin[:2] == b"\x1f\x8b":
                yield _buffered(_Bounded(_Gunzipped(stream, file), file))
            elif begin == b"\x28\xb5\x2f\xfd":
                if _end_of_frame(stream.fileno(), file.size) < file.size:
                    raise _two_streams(file)
                decompressed = pa.CompressedInputStream(pa.PythonFile(stream), "zstd")
                yield _buffered(_Bounded(decompressed, file))
            else:
                yield _buffered(stream)
        except (EOFError, zlib.error, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise InputError(
                f"{display(file.path)} cannot be decompressed",
                hint="the file may be cut off or damaged",
            ) from None


def _buffered(source: Any) -> BinaryIO:
    """`source` in large reads; a read gives what was asked for until the end."""
    buffered: BinaryIO = io.BufferedReader(source, _BUFFER)
    return buffered


def _two_streams(file: SourceFile) -> InputError:
    return InputError(
        f"{display(file.path)} holds more than one stream of compressed bytes, and many programs"
        " read the first alone",
        hint="decompress it and compress it again as a whole, with gzip or zstd",
    )


class _Gunzipped:
    """The bytes of the one gzip stream in a file; zeros may follow, as on tapes."""

    def __init__(self, stream: BinaryIO, file: SourceFile) -> None:
        self._stream = stream
        self._file = file
        self._unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def read(self, size: int) -> bytes:
        while not self._unpack.eof:
            packed = self._unpack.unconsumed_tail or self._stream.read(_BUFFER)
            if not packed:
                raise EOFError
            if data := self._unpack.decompress(packed, size):
                return data
        left = self._unpack.unused_data
        while left:
            if left.count(0) < len(left):
                raise _two_streams(self._file)
            left = self._stream.read(_BUFFER)
        return b""


def _end_of_frame(file: int, size: int) -> int:
    """Where the zstd frame at the start of a file ends (RFC 8878, 3.1.1); `size` or more where it
    is cut off or damaged, which whoever decompresses it will say."""
    frame = os.pread(file, 1, 4)
    if not frame:
        return size
    single = frame[0] >> 5 & 1
    place = 5 + (1 - single) + (0, 1, 2, 4)[frame[0] & 3] + (single, 2, 4, 8)[frame[0] >> 6]
    while len(header := os.pread(file, 3, place)) == 3:
        block = int.from_bytes(header, "little")
        kind = block >> 1 & 3
        # A run of one byte is packed as that byte.
        place += 3 + (1 if kind == 1 else block >> 3)
        if kind == 3:
            break
        if block & 1:
            return place + 4 * (frame[0] >> 2 & 1)
    return size


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
                f"{display(self._path)} unpacks to more than {_MOST_TIMES:,} times its size",
                hint="it looks like a decompression bomb; unpack it yourself if you trust it",
            )
        return len(data)
