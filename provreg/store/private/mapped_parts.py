"""Verified parts as Arrow files in the user's private cache, mapped and never parsed again.

A file here stands for one (logical digest, file digest) pair whose entries were decoded and
recomputed once (step 11). It holds nothing that cannot be made again from the registry. Columns
that are null throughout are left out: with them an entry would take 206 bytes, and not 82. Its last
32 bytes are the BLAKE3 of those before them, so that a failing disk is told from a signed label.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
from blake3 import blake3

from provreg.core.encoding.digest import parse_digest
from provreg.core.encoding.text import quoted
from provreg.core.manifest.columns import nulls
from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.head import PartRef
from provreg.core.manifest.limits import PART_MAX_ENTRIES
from provreg.errors import StorageError
from provreg.executors.threads import thread_pool
from provreg.store.files import storage_error

_DIGEST_SIZE = 32
_HASHERS = 2
# Parts of a version of some four million entries.
_RECENT = 64


class MappedParts:
    """The mapped parts in `folder`, which must be private to the user.

    It pickles as the name of its folder. What writes raises StorageError.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, part: PartRef) -> pa.Table | None:
        """The entries of a part checked before, one chunk a column, or None."""
        return self._mapped(part, _opened)

    def recent(self, part: PartRef) -> pa.Table | None:
        """As `get`; the last few stay mapped, for questions about one history ask for the same."""
        return self._mapped(part, _recently_opened)

    def _mapped(
        self, part: PartRef, opened: Callable[[Path, int, int, int], pa.Table]
    ) -> pa.Table | None:
        path = self._path(part)
        try:
            found = path.stat()
            entries = opened(path, found.st_size, found.st_ino, found.st_mtime_ns)
        except (pa.ArrowException, OSError, ValueError):
            return None
        return entries if entries.num_rows == part.rows else None

    def put(self, part: PartRef, entries: pa.Table) -> None:
        """Remembers that `entries` are the checked ones of `part`; whole or not at all."""
        path = self._path(part)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, staged = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    written = _without_nulls(entries).combine_chunks()
                    with pa.ipc.new_file(file, written.schema) as writer:
                        writer.write_table(written)
                    file.flush()
                    with pa.memory_map(os.fsencode(staged)) as source:
                        digest = blake3(source.read_buffer()).digest()
                    file.write(digest)
                Path(staged).replace(path)
            except BaseException:
                Path(staged).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise storage_error("write", str(path), error) from error

    def drop_damaged(self, parts: Iterable[PartRef]) -> int:
        """Hashes the files of `parts` and removes those a disk has damaged; how many those were.

        One that is not there is not damaged.
        """
        with thread_pool(_HASHERS) as hashers:
            return sum(hashers.map(self._drop_damaged, parts))

    def _drop_damaged(self, part: PartRef) -> bool:
        path = self._path(part)
        try:
            with pa.memory_map(os.fsencode(path)) as source:
                data = memoryview(source.read_buffer()).cast("B")
            if blake3(data[:-_DIGEST_SIZE]).digest() == data[-_DIGEST_SIZE:]:
                return False
            path.unlink()
        except FileNotFoundError:
            return False
        except (OSError, pa.ArrowException) as error:
            raise StorageError(f"cannot read {quoted(str(path))}: {error}") from None
        return True

    def _path(self, part: PartRef) -> Path:
        logical, file = parse_digest(part.blocks)[1].hex(), parse_digest(part.file)[1].hex()
        return self._folder / logical[:2] / f"{logical}-{file}.arrow"


def _opened(path: Path, size: int, _inode: int, _modified_ns: int) -> pa.Table:
    """The entries in a file. Raises OSError, ValueError and pa.ArrowException if it holds none."""
    with path.open("rb") as file:
        # Not Arrow's own mapping, which asks for every page beforehand.
        mapped = pa.py_buffer(mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ))
    return _whole(pa.ipc.open_file(mapped.slice(0, size - _DIGEST_SIZE)).read_all())


_recently_opened = lru_cache(maxsize=_RECENT)(_opened)


def _whole(written: pa.Table) -> pa.Table:
    """The entries of which `written` has the columns with values. ValueError for no such."""
    rows, schema = written.num_rows, written.schema
    names = frozenset(schema.names)
    absent = [field for field in ENTRY if field.name not in names]
    known = schema.equals(pa.schema([field for field in ENTRY if field.name in names]))
    if not known or rows > PART_MAX_ENTRIES or not all(field.nullable for field in absent):
        raise ValueError("not the columns of entries")
    columns = [
        written.column(field.name) if field.name in names else nulls(field.type, rows)
        for field in ENTRY
    ]
    return pa.Table.from_arrays(columns, schema=ENTRY)


def _without_nulls(entries: pa.Table) -> pa.Table:
    count = entries.num_rows
    return entries.select(
        [name for name in entries.column_names if entries.column(name).null_count < count]
    )
