"""What was downloaded into a folder, so that it is not downloaded again: a private SQLite file.

It lies in the user's cache and not in the folder: who can write there could say of other bytes that
they came from a URL. Without it everything is downloaded again, and the same bytes are kept.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provreg.core.encoding.text import quoted
from provreg.errors import StorageError, UsageError
from provreg.store.private.folders import cache_folder, private_folder

_TABLE = """
CREATE TABLE IF NOT EXISTS fetched (
    id TEXT PRIMARY KEY, url TEXT NOT NULL, content BLOB NOT NULL, sha256 BLOB NOT NULL,
    size INTEGER NOT NULL, phash TEXT
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came from a URL: digests of the bytes, their number, the picture's perceptual hash."""

    url: str
    content: bytes
    sha256: bytes
    size: int
    phash: str | None


class FetchRecord:
    """What is in one folder of downloads, by id. One process at a time holds it."""

    def __init__(self, path: Path) -> None:
        # Nothing of it must survive a power cut: then files are downloaded again.
        self._db = sqlite3.connect(path, timeout=0.2, isolation_level=None)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("BEGIN EXCLUSIVE")
        self._db.execute(_TABLE)
        self._db.execute("COMMIT")

    def get(self, sample: str) -> Fetched | None:
        found = self._db.execute(
            "SELECT url, content, sha256, size, phash FROM fetched WHERE id = ?", (sample,)
        ).fetchone()
        return None if found is None else Fetched(*found)

    def put(self, sample: str, fetched: Fetched) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO fetched VALUES (?, ?, ?, ?, ?, ?)",
            (sample, fetched.url, fetched.content, fetched.sha256, fetched.size, fetched.phash),
        )

    def close(self) -> None:
        self._db.close()


@contextmanager
def fetch_record(folder: Path) -> Iterator[FetchRecord]:
    """The record of what was downloaded into `folder`, from any registry's ingestion.

    Raises UsageError while another process downloads into the folder, StorageError.
    """
    name = hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:32]
    path = private_folder(cache_folder() / "fetched") / name
    try:
        record = FetchRecord(path)
        try:
            yield record
        finally:
            record.close()
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise UsageError(
                f"another process downloads into {quoted(str(folder))}",
                hint="wait for it to finish, or use another folder",
            ) from None
        raise StorageError(
            f"the record of downloads {quoted(str(path))} cannot be used: {error}",
            hint="delete it: then everything is downloaded again",
        ) from None
