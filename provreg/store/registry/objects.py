"""Objects: immutable bytes under their digest, checked whenever they are read."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from provreg.core.encoding.digest import digest_of, parse_digest
from provreg.core.encoding.text import quoted
from provreg.errors import DamagedError
from provreg.store.backends.api import Backend
from provreg.store.layout import object_key

# Waiting for the disk is what takes time: 300 objects of 20 KB took half as long as one by one.
_WRITERS = 8
_AT_ONCE = 32


class Objects:
    """The objects of the registry in `store`."""

    def __init__(self, store: Backend) -> None:
        self._store = store

    def put(self, data: bytes, algorithm: str = "blake3") -> str:
        """Stores `data`; returns its written digest under `algorithm`, `blake3` or `sha256`.

        Raises DamagedError if other bytes are stored under that digest, StorageError.
        """
        digest = digest_of(algorithm, data)
        create_or_match(self._store, object_key(digest), data)
        return digest

    def put_all(self, objects: Iterable[bytes]) -> None:
        """`put` for each, several at once, under its BLAKE3."""
        # Late: readers do not need it.
        from provreg.executors.threads import thread_pool

        remaining = iter(objects)
        with thread_pool(_WRITERS) as writers:
            # Not all that there are: together they may be more than memory should hold.
            while batch := list(islice(remaining, _AT_ONCE)):
                for _ in writers.map(self.put, batch):
                    pass

    def get(self, digest: str, limit: int) -> bytes:
        """The bytes whose written digest is `digest`: those that were hashed, from one read.

        Raises NotFoundError, DamagedError where they are others or more than `limit`,
        FormatError unless `digest` is one, StorageError.
        """
        key = object_key(digest)
        data = self._store.read(key, limit)
        found = digest_of(parse_digest(digest)[0], data)
        if found != digest:
            raise DamagedError(
                f"the object {digest} is damaged: the bytes in {quoted(self._store.where(key))}"
                f" have the digest {found}",
                hint="put back that file from a copy of the registry: a sound one fits by its name",
            )
        return data


def create_or_match(store: Backend, key: str, data: bytes) -> None:
    """Stores `data` under `key`, unless it is stored there already.

    Raises DamagedError where something else does: a key that follows from its content can only
    hold other bytes by a fault or because somebody took its place.
    """
    if store.create(key, data):
        return
    try:
        same = store.read(key, len(data)) == data
    except DamagedError:
        same = False
    if not same:
        raise DamagedError(
            f"the content of {quoted(store.where(key))} does not match its digest",
            hint="the disk damaged it or somebody took its place: keep a copy of that file to look"
            " into it, remove it and try again",
        )
