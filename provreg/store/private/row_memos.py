"""What the rows of a file hash to, remembered from reading it, in the user's private cache.

A memo says: a file of this size, of which chunks with these digests are read and no others, has
rows with these contents, in this order. Who believes it hashes every chunk again as it is read,
which is several times as fast as hashing row by row, and hands on nothing else. So a memo never
stands for bytes that were not looked at.

The file: n contents, n sizes (uint64), the digest of every chunk, `_END`, the BLAKE3 of all before.
A file that is not exactly that, or is not private to its user, is as good as none. Two readings of
a path have two memos; a file that changed gets a new one in place of the old.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from blake3 import blake3

from provreg.store.private.folders import open_private

_DIGEST_SIZE = 32
_NOT_READ = bytes(_DIGEST_SIZE)
_SIZE = np.dtype("<u8")
_ROW_SIZE = _DIGEST_SIZE + _SIZE.itemsize
# magic, key, the file's size, number of rows, number of chunks
_END = struct.Struct("<16s32sQQQ")
_MAGIC = b"provreg rows 2\n\0"
# All memos together, 100,000,000 rows: beyond that those go that were used the longest time ago.
_MOST_BYTES = 4 << 30


class RowMemo:
    """What is remembered of one file: its `size`, the digests of those of its `chunks` that were
    read, and what its rows hash to."""

    def __init__(
        self,
        content: pa.FixedSizeBinaryArray,
        sizes: pa.UInt64Array,
        size: int,
        chunks: Mapping[int, bytes],
    ) -> None:
        self.size, self.chunks = size, chunks
        self._content, self._sizes = content, sizes

    def digests(self, start: int, count: int) -> tuple[pa.FixedSizeBinaryArray, pa.UInt64Array]:
        """The contents and sizes, as `core.rows.row.hash_rows` has them, of the `count` rows from
        `start` on, fewer where it ends."""
        return self._content.slice(start, count), self._sizes.slice(start, count)


class RowHashCache:
    """The memos in `folder`, which must be private to the user. It pickles as the folder's name.

    What cannot be read or written costs time and is no error. Keys are digests of 32 bytes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: bytes) -> RowMemo | None:
        """What is remembered under `key`; None for a memo that is damaged or not for it."""
        path = self._path(key)
        try:
            data = _mapped(path)
            memo = None if data is None else _parsed(data, key)
            if memo is None:
                path.unlink()
            else:
                os.utime(path)
        except (OSError, ValueError):
            return None
        return memo

    def forget(self, key: bytes) -> None:
        """Removes what is remembered under `key`."""
        with suppress(OSError):
            self._path(key).unlink()

    def recording(self, key: bytes) -> CachedRows:
        """A memo to be written while a file is read."""
        return CachedRows(self._path(key), key)

    def _path(self, key: bytes) -> Path:
        return self._folder / key.hex()


class CachedRows:
    """A memo that is being written: rows are added in order, then it is kept, or else dropped."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path, self._key = path, key
        self._hasher = blake3()
        # 8 bytes a row wait here until all contents are written.
        self._sizes: list[npt.NDArray[np.uint64]] = []
        self._staged: str | None = None
        try:
            handle, self._staged = tempfile.mkstemp(dir=path.parent)
            self._file = os.fdopen(handle, "wb")
        except OSError:
            self.drop()

    def add(self, content: pa.FixedSizeBinaryArray, size: pa.UInt64Array) -> None:
        """The next rows, as `core.rows.row.hash_rows` gives them."""
        digests = np.frombuffer(content.buffers()[1], "V32", content.offset + len(content))
        self._write(digests[content.offset :].tobytes())
        self._sizes.append(size.to_numpy())

    def keep(self, size: int, chunks: Mapping[int, bytes]) -> None:
        """All rows were added; `chunks` of the file of `size` bytes were read for them, by
        number."""
        count = max(chunks, default=-1) + 1
        listed = [chunks.get(number, _NOT_READ) for number in range(count)]
        for sizes in self._sizes:
            self._write(sizes.astype(_SIZE).tobytes())
        rows = sum(map(len, self._sizes))
        self._write(b"".join(listed) + _END.pack(_MAGIC, self._key, size, rows, count))
        self._write(self._hasher.digest())
        if self._staged is not None:
            try:
                self._file.close()
                Path(self._staged).replace(self._path)
                self._staged = None
                _drop_oldest(self._path.parent)
            except OSError:
                self.drop()

    def drop(self) -> None:
        """Forgets what was not kept. May be called at any time, and again."""
        if self._staged is not None:
            staged, self._staged = self._staged, None
            with suppress(OSError):
                Path(staged).unlink()
            with suppress(OSError):
                self._file.close()

    def _write(self, data: bytes) -> None:
        self._hasher.update(data)
        if self._staged is not None:
            try:
                self._file.write(data)
            except OSError:
                self.drop()


def _mapped(path: Path) -> memoryview | None:
    """The bytes of a file that is the user's, and nobody else's to read or write."""
    file = open_private(path)
    if file is None:
        return None
    with file:
        return memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))


def _parsed(data: memoryview, key: bytes) -> RowMemo | None:
    body, digest = data[:-_DIGEST_SIZE], data[-_DIGEST_SIZE:]
    if len(body) < _END.size or blake3(body).digest() != digest:
        return None
    magic, of, size, rows, chunks = _END.unpack(body[-_END.size :])
    whole = rows * _ROW_SIZE + chunks * _DIGEST_SIZE + _END.size
    if (magic, of, whole) != (_MAGIC, key, len(body)):
        return None
    listed = bytes(body[rows * _ROW_SIZE : -_END.size])
    digests = {
        number: held
        for number in range(chunks)
        if (held := listed[number * _DIGEST_SIZE : (number + 1) * _DIGEST_SIZE]) != _NOT_READ
    }
    content, sizes = pa.py_buffer(body), pa.py_buffer(body[rows * _DIGEST_SIZE :])
    return RowMemo(
        pa.Array.from_buffers(pa.binary(_DIGEST_SIZE), rows, [None, content]),
        pa.Array.from_buffers(pa.uint64(), rows, [None, sizes]),
        size,
        digests,
    )


def _drop_oldest(folder: Path) -> None:
    found = sorted(
        ((status.st_mtime_ns, status.st_size, entry.path)
         for entry in os.scandir(folder)
         for status in [entry.stat(follow_symlinks=False)]),
        reverse=True,
    )  # fmt: skip
    total = 0
    for _, size, path in found:
        total += size
        if total > _MOST_BYTES:
            Path(path).unlink(missing_ok=True)
