"""Rows that name files, by id: the table stays in memory, files are read when they are needed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import quoted
from provreg.errors import InputError, NotFoundError
from provreg.readers.api import Closing
from provreg.readers.data_files.source_file import SourceFile, stat_source
from provreg.readers.data_files.table_files import files_of_format
from provreg.readers.tables.named_files.delivered import (
    MOST_BYTES,
    NamedFileReader,
    hash_delivered,
    names_by_row,
    with_bytes,
)
from provreg.readers.tables.named_files.hashed import unhashed
from provreg.readers.tables.named_files.places import FilePlaces
from provreg.readers.tables.options import TableOptions, options_from_reading
from provreg.readers.tables.rows import READERS, slice_rows
from provreg.readers.tables.samples import samples_of

# Tables of more bytes are streamed: every process and thread that reads by id has its own copy.
_MOST_TABLE = 256 << 20


class RowsRead(NamedTuple):
    """Rows as a loader delivers them, and what they are as samples (schema SAMPLE)."""

    payloads: pa.RecordBatch
    samples: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class _TableFile:
    """The rows of one file of the table, with its options, and what reads the files they name."""

    rows: pa.RecordBatch
    options: TableOptions
    files: NamedFileReader


class RowAccess(Closing):
    """The rows of a table whose columns name files, by id. Serves one thread at a time."""

    def __init__(
        self,
        files: Sequence[SourceFile],
        format_: str,
        options: TableOptions,
        paths: Sequence[Path],
    ) -> None:
        """Reads the table of `files`, found at `paths`, and no file that it names.

        Raises InputError, also for an id that is duplicated, NotFoundError and StorageError.
        """
        self._opened = ExitStack()
        self.close = self._opened.close
        self._tables: list[_TableFile] = []
        places = FilePlaces(paths, options.files_root)
        ids: list[pa.Array] = []
        for file in files:
            table_options = replace(options, id_prefix=places.id_prefix(file.path))
            batches: list[pa.RecordBatch] = []
            for piece in READERS[format_].slices(file, options.as_stored()):
                read = READERS[format_].batches(piece, options.as_stored())
                hash_ = partial(_keep, batches)
                for _, samples in slice_rows(piece, read, table_options, hash_, format_=format_):
                    ids.append(samples.column("id"))
            if batches:
                rows = pa.concat_batches(batches) if len(batches) > 1 else batches[0]
                reader = NamedFileReader(places.of_table(file.path), self._opened)
                self._tables.append(_TableFile(rows, table_options, reader))
        every = pa.chunked_array(ids, pa.string()).combine_chunks()
        self._order = pc.sort_indices(every).to_numpy()
        self._ids = every.take(pa.array(self._order))
        twice = pc.index(pc.equal(self._ids[1:], self._ids[:-1]), pa.scalar(True)).as_py()
        if twice >= 0:
            sample = self._ids[twice].as_py()
            raise InputError(f"the id {quoted(sample)} is duplicated in the data", sample=sample)

    @classmethod
    def of(cls, paths: Sequence[Path], reading: Mapping[str, Any]) -> RowAccess | None:
        """The rows at `paths`, whose head has this `reading`; None if they name no files, have no
        ids, or are too many to be in memory. Raises as `RowAccess`, and FormatError."""
        options, format_ = options_from_reading(reading), reading["reader"]
        if not (options.has_files and options.has_ids):
            return None
        files = [stat_source(path) for path in files_of_format(paths, format_)]
        if sum(file.size for file in files) > _MOST_TABLE:
            return None
        return cls(files, format_, options, paths)

    def read(self, samples: Sequence[str]) -> Iterator[RowsRead | str]:
        """The rows with these ids, in their order: several at once, or in the place of a row why
        it cannot be read. A file is read once for all rows that come at once."""
        run: _Run | None = None
        for sample in samples:
            found = self._find(sample)
            complaint = "it is missing from the data"
            if found is not None:
                table, row = found
                if run is None or run.table is not table or run.size > MOST_BYTES:
                    yield from run.rows() if run is not None else ()
                    run = _Run(table)
                if (complaint := run.add(row)) == "":
                    continue
            yield from run.rows() if run is not None else ()
            run = None
            yield complaint
        yield from run.rows() if run is not None else ()

    def _find(self, sample: str) -> tuple[_TableFile, int] | None:
        ids, name = self._ids, sample.encode()
        place = bisect_left(range(len(ids)), name, key=lambda at: ids[at].as_py().encode())
        if place == len(ids) or ids[place].as_py() != sample:
            return None
        row = int(self._order[place])
        for table in self._tables:
            if row < table.rows.num_rows:
                return table, row
            row -= table.rows.num_rows
        return None


def _keep(
    batches: list[pa.RecordBatch], batch: pa.RecordBatch, columns: Any
) -> tuple[pa.FixedSizeBinaryArray, pa.UInt64Array]:
    """Keeps `batch` in the place of hashing it."""
    batches.append(batch)
    return unhashed(batch, columns)


class _Run:
    """Rows of one file of the table that are read together, and their files' bytes by name."""

    def __init__(self, table: _TableFile) -> None:
        self.table = table
        self.size = 0
        self._columns = table.options.payload_columns()
        self._rows: list[int] = []
        self._data: dict[str, bytes] = {}

    def add(self, row: int) -> str:
        """Reads the files of a row. Why one of them cannot be read, and then it is not added."""
        [named] = names_by_row(self.table.rows.slice(row, 1), self._columns)
        try:
            self.size += self.table.files.read_all(named, self._data)
        except (InputError, NotFoundError) as error:
            return error.message
        self._rows.append(row)
        return ""

    def rows(self) -> Iterator[RowsRead]:
        """The rows, if there are any."""
        if not self._rows:
            return
        some = self.table.rows.take(pa.array(self._rows))
        delivered = with_bytes(some, self._columns, self._data)
        hash_ = partial(hash_delivered, named_by=self.table.options.id)
        samples = samples_of(delivered, self.table.options, hash_)
        yield RowsRead(delivered.select([column.name for column in self._columns]), samples)
