"""Which samples of a version had a revoked name before, remembered in the user's private cache.

A head names its whole line by digest, so what was once found of it stays true.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from blake3 import blake3

from provreg.core.changes.revoked_rows import Name
from provreg.core.encoding.bitmap import max_bytes, pack, unpack
from provreg.core.encoding.digest import parse_digest
from provreg.core.manifest.columns import Mask
from provreg.errors import FormatError
from provreg.store.files import storage_error
from provreg.store.private.folders import read_private, replace_private

_DIGEST = 32


class FormerNames:
    """The masks in `folder`, which must be private to the user; by head and name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, head: str, name: Name, samples: int) -> Mask | None:
        """The mask of a version of so many samples; None where it is not there, or damaged."""
        data = read_private(self._path(head, name), _DIGEST + max_bytes(samples))
        if data is None or blake3(data[_DIGEST:]).digest() != data[:_DIGEST]:
            return None
        try:
            return unpack(data[_DIGEST:], samples)
        except FormatError:
            return None

    def put(self, head: str, name: Name, mask: Mask) -> None:
        """Raises StorageError."""
        path, data = self._path(head, name), pack(mask)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error("write", str(path), error) from error
        replace_private(path, blake3(data).digest() + data)

    def _path(self, head: str, name: Name) -> Path:
        kind = f"listed {name.by}" if name.listed else name.by  # else a name could be a list's
        key = hashlib.sha256(f"{kind} {name.name}".encode()).hexdigest()
        return self._folder / "former-1" / parse_digest(head)[1].hex() / key
