"""Rows with the bytes of the files that they name, for loaders: read once, hashed, delivered."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from provreg.core.encoding.text import quoted
from provreg.core.rows.files import names_in, replace_names
from provreg.core.rows.row import hash_rows
from provreg.errors import InputError, NotFoundError
from provreg.readers.api import MAX_SAMPLE
from provreg.readers.data_files.source_file import ValueMismatchError
from provreg.readers.files.folder_access import FolderFiles
from provreg.readers.tables.named_files.places import BadNameError, FilePlaces, TablePlaces
from provreg.readers.tables.rows import READERS, slice_rows, typed_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provreg.core.rows.column import Column
    from provreg.readers.data_files.source_file import SourceFile
    from provreg.readers.tables.options import TableOptions
    from provreg.readers.tables.rows import Rows

# Limits of a batch of rows with their files: their number, the bytes of the files.
_BATCH, MOST_BYTES = 1024, 64 << 20


def file_rows_with_files(
    file: SourceFile, format_: str, options: TableOptions, places: FilePlaces
) -> Rows:
    """The rows of a table's file, as `rows.file_rows`, with the bytes of the files they name.

    Raises InputError, naming file and row, for a file that cannot be read.
    """
    reader, table = READERS[format_], places.of_table(file.path)
    options = replace(options, id_prefix=places.id_prefix(file.path))
    with ExitStack() as opened:
        files = NamedFileReader(table, opened)
        for piece in reader.slices(file, options.as_stored()):
            named = reader.batches(piece, options.as_stored())
            batches = _batches_with_bytes(named, options.payload_columns(), files)
            hash_ = partial(hash_delivered, named_by=options.id)
            yield from slice_rows(piece, batches, options, hash_, format_=format_)


def hash_delivered(
    batch: pa.RecordBatch, columns: tuple[Column, ...], *, named_by: str | None
) -> tuple[pa.FixedSizeBinaryArray, pa.UInt64Array]:
    """As `hash_rows`, of rows with their files' bytes; the id, if it names a file, is `named_by`,
    and does not count as the file's name."""
    place = batch.schema.get_field_index(named_by or "")
    if place >= 0 and pa.types.is_struct(batch.column(place).type):
        file = batch.column(place)
        arrays = [file.field("bytes"), pa.nulls(len(file), pa.string())]
        nulls = file.is_null() if file.null_count else None
        unnamed = pa.StructArray.from_arrays(arrays, names=["bytes", "path"], mask=nulls)
        batch = batch.set_column(place, named_by, unnamed)
    return hash_rows(batch, columns)


class NamedFileReader:
    """Reads the files that one table names, each by its name, never from outside of its folders.

    What is opened is closed with the stack `opened`.
    """

    def __init__(self, places: TablePlaces, opened: ExitStack) -> None:
        self._places = places
        self._opened = opened
        self._folders: dict[str, FolderFiles] = {}

    def read(self, name: str) -> bytes:
        """The bytes of the file called `name`. Raises InputError, NotFoundError, StorageError."""
        try:
            root, path = self._places.place(name)
        except BadNameError as error:
            raise InputError(f"{quoted(name)} {error.complaint}", hint=error.hint) from None
        if root not in self._folders:
            self._folders[root] = self._opened.enter_context(FolderFiles([root]))
        data = self._folders[root].read(path, limit=MAX_SAMPLE)
        if len(data) > MAX_SAMPLE:
            raise InputError(f"{quoted(name)} has more than {MAX_SAMPLE:,} bytes")
        return data

    def read_all(self, named: Iterable[tuple[str, str]], data: dict[str, bytes]) -> int:
        """Adds to `data`, by name, the bytes of the files that a row names in its columns; their
        size. Raises InputError, NotFoundError and StorageError, with the column."""
        size = 0
        for column, name in named:
            if name not in data:
                try:
                    data[name] = self.read(name)
                except (InputError, NotFoundError) as error:
                    complaint = f"column {quoted(column)}: {error.message}"
                    raise type(error)(complaint, hint=error.hint) from None
            size += len(data[name])
            if size > MAX_SAMPLE:
                raise InputError(f"its files have more than {MAX_SAMPLE:,} bytes")
        return size


def _batches_with_bytes(
    batches: Iterable[pa.RecordBatch], columns: tuple[Column, ...], files: NamedFileReader
) -> Iterator[pa.RecordBatch]:
    """`batches` with the bytes of the files that `columns` name, in batches of limited size.

    Raises ValueMismatchError for a file that cannot be read.
    """
    done = 0
    for batch in typed_rows(batches, columns):
        start = 0
        while start < batch.num_rows:
            some = batch.slice(start, _BATCH)
            taken, data = _read_files(some, columns, files, done + start)
            yield with_bytes(some.slice(0, taken), columns, data)
            start += taken
        done += batch.num_rows


def _read_files(
    batch: pa.RecordBatch, columns: tuple[Column, ...], files: NamedFileReader, before: int
) -> tuple[int, dict[str, bytes]]:
    """(how many of the first rows of `batch` fit into one batch, their files' bytes by name).

    `before` rows precede them. A row whose files alone are too large is refused.
    """
    data: dict[str, bytes] = {}
    total = 0
    for row, named in enumerate(names_by_row(batch, columns)):
        try:
            total += files.read_all(named, data)
        except (InputError, NotFoundError) as error:
            raise ValueMismatchError(error.message, row=before + row, hint=error.hint) from None
        if total > MOST_BYTES and row:
            return row, data
    return batch.num_rows, data


def names_by_row(batch: pa.RecordBatch, columns: tuple[Column, ...]) -> list[list[tuple[str, str]]]:
    """The (column, name) of each file that a row of `batch` names."""
    named: list[list[tuple[str, str]]] = [[] for _ in range(batch.num_rows)]
    for column in columns:
        for names, rows in names_in(batch.column(column.name), column.type):
            for row, name in zip(rows.tolist(), names.to_pylist(), strict=True):
                if name is not None:
                    named[row].append((column.name, name))
    return named


def with_bytes(
    batch: pa.RecordBatch, columns: tuple[Column, ...], data: dict[str, bytes]
) -> pa.RecordBatch:
    """`batch` with the bytes and names of files in place of the names."""

    def file_of(names: pa.Array) -> pa.Array:
        distinct = names.dictionary_encode()
        contents: list[Any] = [data[name] for name in distinct.dictionary.to_pylist()]
        arrays = [pa.array(contents, pa.binary()).take(distinct.indices), names]
        nulls = names.is_null() if names.null_count else None
        return pa.StructArray.from_arrays(arrays, names=["bytes", "path"], mask=nulls)

    arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
    for column in columns:
        arrays[column.name] = replace_names(arrays[column.name], column.type, file_of)
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))
