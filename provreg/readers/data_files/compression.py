"""Files that are compressed as a whole: with which program, and their bytes unpacked, bounded.

Tables name it by their ending, and their first bytes must agree: some programs go by the one, some
by the other.
"""

from __future__ import annotations

import io
import os
import re
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from provreg.errors import InputError
from provreg.readers.data_files.source_file import SourceFile, display, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# The last ending of a file's name, and the program that it stands for.
COMPRESSIONS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
# What compressed files begin with; bzip2 with data, which text may not look like by chance.
_MAGIC = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bzip2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
}
_LONGEST_MAGIC = 10

_BUFFER = 1 << 20
# So little that the rest of it can be copied for each of many tiny streams.
_PACKED = 1 << 16
# A file may unpack to this, and to so many times its size: beyond what data give.
_MOST_TIMES, _FREE = 1000, 256 << 20
# Rows of text, likewise: each takes memory, however short it is.
_MOST_ROWS_A_BYTE, _FREE_ROWS = 16, 1 << 22
# What xz may take for its dictionary; zstd takes 128 MiB at most.
_MOST_MEMORY = 192 << 20
# Behind the end of what a file can unpack to.
END = 1 << 62


def compression_of(path: Path) -> str | None:
    """The program that a file's name stands for, None for a file that is not compressed."""
    return COMPRESSIONS.get(path.suffix.lower())


@contextmanager
def open_unpacked(file: SourceFile) -> Iterator[BinaryIO]:
    """The bytes of a table of text, unpacked as its name says.

    Of compressed files reading can go on from anywhere behind, but back only to where the last
    `read` began; at their end they are seen to be whole.

    Raises as `open_source`, and InputError for bytes that are not what the name says, and as
    `unpacking` does. Streams of gzip, bzip2 and xz may follow each other, which all programs read;
    of zstd a second one is refused, since many read the first alone.
    """
    program = compression_of(file.path)
    with open_source(file) as stream:
        begin = stream.read(_LONGEST_MAGIC)
        stream.seek(0)
        found = next((name for name, magic in _MAGIC.items() if magic.match(begin)), None)
        if found != program:
            raise _other_program(file, program, found)
        if program is None:
            yield stream
            return
        with unpacking(file):
            if program == "zstd":
                source = zstd_stream(stream, file)
            else:
                source = _Streams(stream, _DECOMPRESSORS[program])
            yield _Window(buffered(Bounded(source, file, rows=True)))  # type: ignore[misc]


@contextmanager
def unpacking(file: SourceFile) -> Iterator[None]:
    """InputError for what cannot be decompressed, instead of each program's own errors."""
    try:
        yield
    except _errors() as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if "memory" in str(error).lower():
            raise InputError(
                f"{display(file.path)} needs too much memory to be decompressed",
                hint="compress it again with a smaller dictionary: xz -6, or zstd without --long",
            ) from None
        raise InputError(
            f"{display(file.path)} cannot be decompressed",
            hint="the file may be cut off or damaged, or more may follow its end",
        ) from None


def buffered(source: Any) -> BinaryIO:
    """`source` in large reads; a read gives what was asked for until the end."""
    stream: BinaryIO = io.BufferedReader(source, _BUFFER)
    return stream


def two_streams(file: SourceFile) -> InputError:
    """What to raise for a second compressed stream where many programs read the first alone."""
    return InputError(
        f"{display(file.path)} holds more than one stream of compressed bytes, and many programs"
        " read the first alone",
        hint="decompress it and compress it again as a whole, with gzip or zstd",
    )


def zstd_stream(stream: BinaryIO, file: SourceFile) -> Any:
    """The bytes of the one zstd frame in a file. Raises InputError for more than one."""
    import pyarrow as pa

    if _end_of_frame(stream.fileno(), file.size) < file.size:
        raise two_streams(file)
    return pa.CompressedInputStream(pa.PythonFile(stream), "zstd")


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


class Bounded(io.RawIOBase):
    """A decompressed file that ends in an error where it goes on beyond all reason.

    `rows`: it holds rows, of which there may not be too many either.
    """

    def __init__(self, source: Any, file: SourceFile, *, rows: bool = False) -> None:
        self._source = source
        self._path = file.path
        self._left = _FREE + _MOST_TIMES * file.size
        self._most_rows = _FREE_ROWS + _MOST_ROWS_A_BYTE * file.size if rows else None
        self._rows = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        self._left -= len(data)
        if self._left < 0:
            raise self._bomb(f"more than {_MOST_TIMES:,} times its size")
        if self._most_rows is not None:
            # A row ends in a line feed, or begins with a brace in an array.
            self._rows += data.count(b"\n") + data.count(b"{")
            if self._rows > self._most_rows:
                raise self._bomb(f"more than {self._most_rows:,} lines or objects")
        return len(data)

    def _bomb(self, size: str) -> InputError:
        return InputError(
            f"{display(self._path)} unpacks to {size}",
            hint="it looks like a decompression bomb; unpack it yourself if you trust it",
        )


class _Decompressor(Protocol):
    """One compressed stream, as the modules bz2 and lzma have it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Streams:
    """The bytes of the streams in a file, one after another; at its end each must be whole."""

    def __init__(self, stream: BinaryIO, decompressor: Callable[[], _Decompressor]) -> None:
        self._stream = stream
        self._new = decompressor
        self._unpack = decompressor()

    def read(self, size: int) -> bytes:
        while True:
            packed = b""
            if self._unpack.eof:
                packed = self._unpack.unused_data or self._stream.read(_PACKED)
                if not packed:
                    return b""
                self._unpack = self._new()
            elif self._unpack.needs_input:
                packed = self._stream.read(_PACKED)
                if not packed:
                    raise EOFError
            if data := self._unpack.decompress(packed, size):
                return data


class Gunzip:
    """One gzip stream, with the attributes of the other modules' decompressors."""

    def __init__(self) -> None:
        self._unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._unpack.eof

    @property
    def needs_input(self) -> bool:
        return not self._unpack.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._unpack.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._unpack.decompress(self._unpack.unconsumed_tail or data, max_length)


def _bunzip() -> _Decompressor:
    import bz2

    return bz2.BZ2Decompressor()


def _unxz() -> _Decompressor:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_MEMORY)


_DECOMPRESSORS: dict[str, Callable[[], _Decompressor]] = {
    "gzip": Gunzip,
    "bzip2": _bunzip,
    "xz": _unxz,
}


def _errors() -> tuple[type[Exception], ...]:
    """What the programs raise on files that are cut off or damaged."""
    try:
        import lzma
    except ImportError:  # a Python that was built without it
        return (EOFError, zlib.error, OSError)
    return (EOFError, zlib.error, OSError, lzma.LZMAError)


class _Window:
    """A stream that is read from front to back, with what was read last kept."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        # The bytes that are kept, where they begin, and where reading goes on.
        self._kept, self._start, self._place = b"", 0, 0

    def seek(self, place: int) -> int:
        """Raises ValueError for a place before the last read."""
        if place < self._start:
            raise ValueError(f"{place} has gone by")
        while place > self._start + len(self._kept):
            self._place = self._start + len(self._kept)
            if not self.read(min(_BUFFER, place - self._place)):
                break
        self._place = place
        return place

    def read(self, size: int) -> bytes:
        kept = self._kept[self._place - self._start :]
        if len(kept) < size:
            kept += self._stream.read(size - len(kept))
        self._kept, self._start = kept, self._place
        data = kept[:size]
        self._place += len(data)
        return data


def _other_program(file: SourceFile, named: str | None, found: str | None) -> InputError:
    name = display(file.path)
    if named is None:
        ending = next(ending for ending, program in COMPRESSIONS.items() if program == found)
        return InputError(
            f"{name} is compressed with {found}, and its name does not say so",
            hint=f"let its name end in {ending}, or decompress it",
        )
    complaint = f"{name} is not compressed with {named}, as its name says"
    if found is not None:
        complaint += f", but with {found}"
    return InputError(complaint, hint="rename it, or compress it again")
