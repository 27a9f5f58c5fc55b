"""A file read through the digests of its chunks: what was read once can be known again.

Reading notes the digest of every chunk. Reading again with those digests gives the very bytes, and
no others, or fails. A chunk is read, hashed, and handed on from the same memory; the hash lets
other threads run.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pyarrow as pa
from blake3 import blake3

from provreg.executors.threads import thread_pool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

CHUNK = 1 << 18  # bytes
_MANY = 16  # chunks, worth a second thread


class ChangedError(Exception):
    """A file is not what it was. Never leaves the readers."""


class FileChunks:
    """A file's size, and the digests of its chunks by number.

    Without `known` those that are read are noted. With it they are all there is: a chunk without a
    digest was not read then, and may be anything.
    """

    def __init__(self, size: int, known: Mapping[int, bytes] | None = None) -> None:
        self.size = size
        self.known = known is not None
        self.digests = dict(known or {})

    def check(self, number: int, digest: bytes) -> None:
        """Raises ChangedError for a chunk that is not what it was, or was not read."""
        if not self.known:
            self.digests.setdefault(number, digest)
        if self.digests.get(number) != digest:
            raise ChangedError


class CheckedFile:
    """What Arrow needs of a file, over `stream` of `size` bytes.

    Its chunks are as in `chunks`, and so is its size, or ChangedError is raised. Arrow buffers are
    handed out, which nothing else refers to.
    """

    def __init__(self, stream: BinaryIO, size: int, chunks: FileChunks) -> None:
        if size != chunks.size:
            raise ChangedError
        self._stream, self._size, self._chunks = stream, size, chunks
        self._place = 0
        # The chunks read last: columns that follow each other share the one between them.
        self._start, self._buffer = 0, pa.py_buffer(b"")

    @property
    def closed(self) -> bool:
        return self._stream.closed

    def close(self) -> None:
        """Nothing: `stream` is its owner's to close."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place}.get(whence, self._size)
        return self._place

    def read(self, size: int = -1) -> pa.Buffer:
        """The next `size` bytes, all that is left where it is negative."""
        left = max(0, self._size - self._place)
        count = left if size < 0 else min(size, left)
        start = self._place
        self._place += count
        if not count:
            return pa.py_buffer(b"")
        if not (self._start <= start and start + count <= self._start + self._buffer.size):
            self._load(start, start + count)
        return self._buffer.slice(start - self._start, count)

    def _load(self, start: int, stop: int) -> None:
        first, last = start // CHUNK, -(-stop // CHUNK)
        # Arrow's own memory, which is used again where fresh pages would cost as much as the hash.
        buffer = pa.allocate_buffer(min(last * CHUNK, self._size) - first * CHUNK)
        view = memoryview(buffer).cast("B")
        if last - first < _MANY:
            self._check(first, last, view)
        else:
            half = (last - first) // 2
            with thread_pool(1) as thread:
                rest = thread.submit(self._check, first + half, last, view[half * CHUNK :])
                self._check(first, first + half, view)
                rest.result()
        self._start, self._buffer = first * CHUNK, buffer

    def _check(self, first: int, last: int, view: memoryview) -> None:
        """Reads chunks from `first` to before `last` into `view`, and hashes them."""
        file = self._stream.fileno()
        for number in range(first, last):
            chunk = view[(number - first) * CHUNK : (number - first + 1) * CHUNK]
            read = os.preadv(file, [chunk], number * CHUNK)
            if read != len(chunk):
                raise ChangedError
            self._chunks.check(number, blake3(chunk).digest())
