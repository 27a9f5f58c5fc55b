"""Parquet files: one, or shards that agree in their columns and logical types, not in widths."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from provreg.core.encoding.text import quoted
from provreg.core.manifest.columns import nulls
from provreg.core.rows.arrow_types import (
    check_column_names,
    columns_from_arrow,
    to_storage_types,
)
from provreg.core.rows.column import (
    NULL,
    Column,
    LogicalType,
    accepts,
    common_type,
    final_type,
)
from provreg.errors import InputError
from provreg.readers.data_files.source_file import (
    ByteSlice,
    SourceFile,
    additional_column,
    display,
    open_source,
)
from provreg.readers.tables.parquet.checked_file import CheckedFile, FileChunks
from provreg.readers.tables.parquet.pages import rows_at_once
from provreg.readers.tables.parquet.pandas_metadata import check_pandas

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import BinaryIO

    from provreg.readers.tables.options import TableOptions

# A batch has so many rows that Arrow's calls for each of its columns do not show, but no more than
# fit in so many bytes, as far as the file tells.
_MOST_ROWS, _MOST_BYTES = 1 << 16, 1 << 24
# A row group of so many bytes (unpacked) is read a whole column at a time, which is kept until its
# end; of larger ones so much of each column. Where chunks are hashed, each piece costs all chunks
# that it touches.
_READ_WHOLE, _READ_WHOLE_CHECKED, _READ_AT_A_TIME = 1 << 26, 1 << 28, 1 << 22
# What Arrow raises on files that are cut off, altered or made to hurt.
_BROKEN = (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, MemoryError)


def columns_of(files: list[SourceFile], options: TableOptions) -> tuple[Column, ...]:
    """The columns that all files have, but for those excluded. Raises InputError where they
    differ."""
    return common_columns((file, _columns(file, options)) for file in files)


def count_rows(files: list[SourceFile]) -> int:
    """The rows of all files, as they say. Raises InputError."""
    rows = 0
    for file in files:
        with open_source(file) as stream, our_errors(file):
            rows += _open(stream).metadata.num_rows
    return rows


def new_columns_of(files: list[SourceFile], options: TableOptions) -> dict[str, LogicalType | None]:
    """The types of `options.new_columns` in the files that have them. Raises InputError."""
    types: dict[str, LogicalType] = {}
    for file in files:
        for column in _columns(file, options):
            both = common_type(types.get(column.name, NULL), column.type)
            if both is None and column.name in options.new_columns:
                raise other_type(file, column)
            types[column.name] = both or NULL
    return {
        name: final_type(types[name]) if name in types else None for name in options.new_columns
    }


def _columns(file: SourceFile, options: TableOptions) -> tuple[Column, ...]:
    with open_source(file) as stream, our_errors(file):
        schema = _open(stream).schema_arrow
        check_pandas(file, schema)
        return columns_from_arrow(_read_of(schema, options))


def _read_of(schema: pa.Schema, options: TableOptions) -> pa.Schema:
    """The columns of `schema` that are read. Raises InputError for names that no table can have."""
    check_column_names(schema.names)
    return pa.schema([column for column in schema if column.name not in options.excluded])


def slices(
    file: SourceFile,
    options: TableOptions,  # noqa: ARG001 - as for the other formats
    chunks: FileChunks | None = None,
) -> Iterator[ByteSlice]:
    """A slice per row group. Raises InputError for what is not Parquet.

    The file is read through the digests of its `chunks` (`CheckedFile`) where they are given.
    """
    with open_source(file) as stream, our_errors(file):
        parquet = _open(_source(file, stream, chunks))
        check_pandas(file, parquet.schema_arrow)
        metadata = parquet.metadata
        groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    row = 0
    for number, rows in enumerate(groups):
        if rows:
            yield ByteSlice(file, number, number + 1, first_row=row)
        row += rows


def batches(
    piece: ByteSlice, options: TableOptions, chunks: FileChunks | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of a row group, with the columns of `options.columns`, in the file's own widths.

    `chunks` as in `slices`. Raises InputError, also for text that is not UTF-8 (Parquet readers
    take it on trust).
    """
    columns = options.columns or ()
    names = [column.name for column in columns]
    types = {column.name: column.type for column in columns}
    file = piece.file
    for batch in raw_batches(piece, chunks):
        found = columns_from_arrow(_read_of(batch.schema, options))
        check_names(file, found, types, options.added)
        for column in found:
            if not accepts(types[column.name], column.type):
                raise other_type(file, column)
        if len(found) < len(names):
            held = dict(zip(batch.schema.names, batch.columns, strict=True))
            absent = nulls(pa.null(), batch.num_rows)
            arrays = [held.get(name, absent) for name in names]
            yield pa.RecordBatch.from_arrays(arrays, names=names)
        else:
            yield batch.select(names)


def raw_batches(piece: ByteSlice, chunks: FileChunks | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a row group as the file has them, their bytes checked; as `batches`."""
    file = piece.file
    with open_source(file) as stream, our_errors(file):
        source = _source(file, stream, chunks)
        parquet = _open(source)
        group = parquet.metadata.row_group(piece.start)
        if _size(group) > (_READ_WHOLE if chunks is None else _READ_WHOLE_CHECKED):
            parquet = _open(source, parquet.metadata, _READ_AT_A_TIME)
        groups = list(range(piece.start, piece.stop))
        rows = _batch_rows(group)
        rows = rows_at_once(file, stream.fileno(), parquet.metadata.schema, piece.start, rows)
        # Whose rows need not be hashed has time for threads.
        threads = chunks is not None and chunks.known
        found = parquet.iter_batches(rows, row_groups=groups, use_threads=threads)
        for batch in map(to_storage_types, found):
            batch.validate(full=True)
            yield batch


def _size(group: pq.RowGroupMetaData) -> int:
    """The bytes of a row group when unpacked, as it says; what it says of single columns may end
    the process where it is made up."""
    return max(1, int(group.total_byte_size))


def _batch_rows(group: pq.RowGroupMetaData) -> int:
    return max(1, min(_MOST_ROWS, int(group.num_rows) * _MOST_BYTES // _size(group)))


def _source(
    file: SourceFile, stream: BinaryIO, chunks: FileChunks | None
) -> BinaryIO | CheckedFile | pa.NativeFile:
    """What Arrow reads the open file through."""
    if chunks is not None:
        return CheckedFile(stream, file.size, chunks)
    try:
        # The very file, whatever its path leads to by now; Arrow reads it without Python, whose
        # lock others hold, and copies less.
        return pa.OSFile(f"/dev/fd/{stream.fileno()}")
    except OSError:
        return stream


def _open(
    stream: BinaryIO | CheckedFile | pa.NativeFile,
    metadata: pq.FileMetaData | None = None,
    at_a_time: int = 0,
) -> pq.ParquetFile:
    # Never a memory map: what is hashed must be what is handed on.
    return pq.ParquetFile(
        stream, metadata=metadata, memory_map=False, pre_buffer=False, buffer_size=at_a_time
    )


def check_names(
    file: SourceFile,
    found: tuple[Column, ...],
    expected: Collection[str],
    added: Collection[str] = (),
) -> None:
    """InputError for columns that `file` has or lacks beside those `expected`; it may lack those
    that were `added` later."""
    names = {column.name for column in found}
    for name in sorted(names.symmetric_difference(expected)):
        if name in names:
            raise additional_column(file, name)
        if name not in added:
            raise InputError(f"{display(file.path)} lacks the column {quoted(name)}")


def other_type(file: SourceFile, column: Column) -> InputError:
    """What to raise for a column of `file` that does not fit the schema."""
    return InputError(
        f"{display(file.path)}: the schema has another type for the column {quoted(column.name)}",
        hint="types are fixed by the dataset's first version: convert the column",
    )


def common_columns(
    files: Iterable[tuple[SourceFile, tuple[Column, ...]]],
) -> tuple[Column, ...]:
    """The columns that all files have, each of the type that holds every file's.

    Raises InputError for a file with other columns, or a type that goes with none of the others'.
    """
    types: dict[str, LogicalType] = {}
    for file, columns in files:
        types = types or {column.name: column.type for column in columns}
        check_names(file, columns, types)
        for column in columns:
            both = common_type(types[column.name], column.type)
            if both is None:
                raise other_type(file, column)
            types[column.name] = both
    return tuple(Column(name, final_type(logical)) for name, logical in types.items())


@contextmanager
def our_errors(file: SourceFile, what: str = "Parquet") -> Iterator[None]:
    """Whatever Arrow raises on `file`, as an InputError."""
    try:
        yield
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(
            f"{display(file.path)}: not readable as {what}: {quoted(str(error))}",
            hint="the file may be cut off or damaged",
        ) from None
