"""Heads whose entries were checked as a whole (step 11), remembered in the user's private cache.

A head names its parts by digest, so what was once found of it stays true.
"""

from __future__ import annotations

from pathlib import Path

from provreg.core.encoding.digest import parse_digest, sha256_digest
from provreg.core.manifest.head import MAX_HEAD_BYTES, Head, parse_head
from provreg.store.files import storage_error
from provreg.store.private.folders import read_private, replace_private


class CheckedHeads:
    """The heads in `folder`, which must be private to the user. What writes raises StorageError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __contains__(self, digest: str) -> bool:
        return self._read(digest) is not None

    def get(self, digest: str) -> Head | None:
        """The head with that digest, if it was checked with its entries before."""
        data = self._read(digest)
        return None if data is None else parse_head(data)

    def add(self, head: Head) -> None:
        """Remembers `head`, and that what it says of its entries holds."""
        data = head.to_bytes()
        path = self._path(sha256_digest(data))
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error("write", str(path), error) from error
        replace_private(path, data)

    def _read(self, digest: str) -> bytes | None:
        data = read_private(self._path(digest), MAX_HEAD_BYTES)
        return None if data is None or sha256_digest(data) != digest else data

    def _path(self, digest: str) -> Path:
        return self._folder / "versions" / parse_digest(digest)[1].hex()
