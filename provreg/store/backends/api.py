"""What a registry asks of its storage. Every backend must pass
`tests/store/backends/test_backends.py`.

Nothing is ever changed in place: a key is created once, read, listed. An object store with a
conditional put can do the same as a folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


class Backend(Protocol):
    """Bytes under keys (docs/format/registry.md, "Keys"), which anybody may have written.

    Every method raises FormatError for a malformed key, DamagedError where something else than a
    registry's own stands in the way, NotFoundError where the registry itself is gone, and
    StorageError where storage or its permissions fail.
    """

    @property
    def location(self) -> str:
        """The registry's canonical address, a URI."""
        ...

    @property
    def places(self) -> tuple[str, ...]:
        """The canonical address, and the one it was given by, where that is another."""
        ...

    @property
    def address(self) -> str:
        """What a user passes as --registry to come here again."""
        ...

    @property
    def folder(self) -> Path | None:
        """The registry's own folder, which is never data; None where it is in none."""
        ...

    def where(self, key: str) -> str:
        """The place of `key`, for messages."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Stores `data` under `key`, whole and durable; False if the key exists already.

        Of several who create one key at once exactly one is told True.
        """
        ...

    def read(self, key: str, limit: int) -> bytes:
        """The bytes under `key`, DamagedError if more than `limit`, NotFoundError if none."""
        ...

    def exists(self, key: str) -> bool:
        """Whether `key` exists, sound or not."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """The keys right under the folder `prefix`, in no order; nothing if there is none.

        Names are as they stand and may be any text: strangers are the caller's to report.
        """
        ...

    def remove(self, key: str) -> None:
        """Removes `key`, if it exists. Nothing may depend on it."""
        ...
