"""Verified parts as Arrow files in the user's private cache, mapped and never parsed again.

A file here stands for one (logical digest, file digest) pair whose entries were decoded and
recomputed once (step 11). It holds nothing that cannot be made again from the registry.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pyarrow as pa

from provreg.core.digest import parse_digest
from provreg.core.entry import ENTRY
from provreg.core.head import PartRef
from provreg.store.files import storage_error


class MappedParts:
    """The mapped parts in `folder`, which must be private to the user.

    What writes raises StorageError.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, part: PartRef) -> pa.Table | None:
        """The entries of a part checked before, one chunk a column, or None."""
        try:
            with pa.memory_map(str(self._path(part))) as source:
                entries = pa.ipc.open_file(source).read_all()
        except (pa.ArrowException, OSError):
            return None
        sound = entries.schema.equals(ENTRY) and entries.num_rows == part.rows
        return entries if sound else None

    def put(self, part: PartRef, entries: pa.Table) -> None:
        """Remembers that `entries` are the checked ones of `part`; whole or not at all."""
        path = self._path(part)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, staged = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file, pa.ipc.new_file(file, ENTRY) as writer:
                    writer.write_table(entries.combine_chunks())
                Path(staged).replace(path)
            except BaseException:
                Path(staged).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise storage_error("write", str(path), error) from error

    def is_checked(self, root: str, head: str) -> bool:
        """Whether what `head` says of the entries under `root` was checked as a whole before."""
        return self._mark(root, head).exists()

    def mark_checked(self, root: str, head: str) -> None:
        """Remembers that check."""
        mark = self._mark(root, head)
        try:
            mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            mark.touch(mode=0o600)
        except OSError as error:
            raise storage_error("write", str(mark), error) from error

    def _mark(self, root: str, head: str) -> Path:
        return (
            self._folder / "versions" / (parse_digest(root)[1].hex() + parse_digest(head)[1].hex())
        )

    def _path(self, part: PartRef) -> Path:
        logical, file = parse_digest(part.blocks)[1].hex(), parse_digest(part.file)[1].hex()
        return self._folder / logical[:2] / f"{logical}-{file}.arrow"
