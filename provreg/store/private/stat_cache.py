"""The stat cache: digests of files that have not changed since they were read.

It is a convenience of ingestion on the machine of its user. Loaders and verification never see it:
a write through an old memory mapping can leave size and times as they were.

The file: `MAGIC`, the BLAKE3 digest of all that follows, then the columns of its n entries, sorted
by key: stats (n by 5 uint64), digests (n by `width` bytes). A file that is not exactly that, or is
not private to its user, is as good as none.

A cache of BLAKE3 digests has a width of 32. One that keeps the SHA-256 after each is 64 wide and
another file, so that no digest is ever known without the other one that was asked for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from blake3 import blake3

from provreg.errors import StorageError
from provreg.store.backends.local_devices import SETTLED_NS
from provreg.store.files import replace_file
from provreg.store.private.folders import open_private

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

MAGIC = {32: b"provreg stats 1\n", 64: b"provreg stat256\n"}
MOST_ENTRIES = 4_000_000

_CHECKSUM = 32
_STATS = 5 * 8


class StatCache:
    """Digests by device, inode, size, mtime_ns and ctime_ns.

    Stats come as uint64 arrays of shape (n, 5) in this order (the times signed, in the same bits),
    digests as uint8 arrays of shape (n, width).
    """

    def __init__(
        self,
        path: Path,
        devices: frozenset[int],
        stats: npt.NDArray[np.uint64],
        digests: npt.NDArray[np.uint8],
    ) -> None:
        self._path = path
        self._devices = np.array(sorted(devices), np.uint64)
        self._stats = stats
        self._digests = digests
        self._keys = _keys(stats)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, devices: Iterable[int], width: int = 32) -> Self:
        """The cache at `path`, for files on `devices` (`store.backends.local_devices`) only.

        Its digests have `width` bytes, 32 or 64. Empty if there is none, or none that can be relied
        upon. Raises nothing.
        """
        magic = MAGIC[width]
        header = len(magic) + _CHECKSUM
        data = _private_bytes(path, header + MOST_ENTRIES * (_STATS + width))
        count, rest = divmod(len(data) - header, _STATS + width)
        if (
            count < 0
            or rest
            or not data.startswith(magic)
            or blake3(memoryview(data)[header:]).digest() != data[len(magic) : header]
        ):
            data, count = bytes(header), 0
        stats = np.frombuffer(data, np.uint64, count * 5, header).reshape(-1, 5)
        digests = np.frombuffer(data, np.uint8, count * width, header + count * _STATS)
        return cls(Path(path), frozenset(devices), stats, digests.reshape(-1, width))

    def __len__(self) -> int:
        return len(self._stats)

    def lookup(
        self, stats: npt.NDArray[np.uint64]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint8]]:
        """(which rows are known, (n,), their digests, (n, width), zero where not)."""
        digests = np.zeros((len(stats), self._digests.shape[1]), np.uint8)
        if not len(self._stats):
            return np.zeros(len(stats), np.bool_), digests
        place = np.searchsorted(self._keys, _keys(stats)).clip(max=len(self._keys) - 1)
        known = (self._stats[place] == stats).all(axis=1)
        known &= np.isin(stats[:, 0], self._devices)
        digests[known] = self._digests[place[known]]
        return known, digests

    def record(
        self, stats: npt.NDArray[np.uint64], digests: npt.NDArray[np.uint8], *, read_at_ns: int
    ) -> bool:
        """Remembers what was read after `read_at_ns` (Unix time); whether that could be saved.

        Left out are files touched in the two seconds before `read_at_ns` or later, and files of
        other devices. New entries replace those of the same file; beyond `MOST_ENTRIES` old go.
        """
        touched = stats[:, 3:].view(np.int64).max(axis=1, initial=np.iinfo(np.int64).min)
        settled = (touched < read_at_ns - SETTLED_NS) & np.isin(stats[:, 0], self._devices)
        known, before = self.lookup(stats)
        # Another digest under the same stat: read anew because somebody doubted the cache.
        news = settled & ~(known & (before == digests).all(axis=1))
        if not news.any():
            return True
        every = np.concatenate([stats[news], self._stats])
        # The first of each key is kept: the new before the old.
        keys, first = np.unique(_keys(every), return_index=True)
        if len(first) > MOST_ENTRIES:
            chosen = np.sort(np.argsort(first, kind="stable")[:MOST_ENTRIES])
            keys, first = keys[chosen], first[chosen]
        kept = np.concatenate([digests[news], self._digests])[first]
        self._keys, self._stats, self._digests = keys, every[first], kept
        return self._save()

    def _save(self) -> bool:
        body = self._stats.tobytes() + self._digests.tobytes()
        magic = MAGIC[self._digests.shape[1]]
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path, magic + blake3(body).digest() + body, 0o600)
        except (OSError, StorageError):  # it costs time next time, not this ingestion
            return False
        return True


def _keys(stats: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """One number for each (device, inode). Files that share one displace each other: a miss."""
    mixed: npt.NDArray[np.uint64] = stats[:, 1] ^ (stats[:, 0] * np.uint64(0x9E3779B97F4A7C15))
    return mixed


def _private_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """The at most `most` bytes of a file that is the user's, and nobody else's to read or write."""
    try:
        file = open_private(path)
        if file is None:
            return b""
        with file:
            size = os.fstat(file.fileno()).st_size
            return file.read(size) if size <= most else b""
    except OSError:
        return b""
