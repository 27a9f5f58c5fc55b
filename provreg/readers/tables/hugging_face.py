"""Files of Hugging Face datasets: Arrow as `save_to_disk` writes it, Parquet as the Hub has it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from provreg.core.rows.arrow_types import columns_from_arrow, storage_schema, to_storage_types
from provreg.core.rows.column import Column, accepts
from provreg.errors import FormatError, InputError
from provreg.readers.data_files.source_file import (
    ByteSlice,
    SourceFile,
    ValueMismatchError,
    display,
    open_source,
)
from provreg.readers.tables.features import features_of, plain_batch, plain_schema
from provreg.readers.tables.parquet import parquet
from provreg.readers.tables.parquet.pandas_metadata import check_pandas
from provreg.readers.tables.parquet.parquet import check_names, other_type, our_errors
from provreg.readers.tables.signed_features import extra_features

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provreg.readers.tables.options import TableOptions
    from provreg.readers.tables.signed_features import Feature


def schema_of(file: SourceFile) -> pa.Schema:
    """The schema of an Arrow or Parquet file, with its extension types and metadata. Raises
    InputError."""
    with open_source(file) as stream, our_errors(file, "Parquet or Arrow"):
        if is_parquet(file):
            schema = pq.ParquetFile(stream, memory_map=False).schema_arrow
        else:
            schema = pa.ipc.open_stream(stream).schema
    check_pandas(file, storage_schema(schema))
    return schema


def file_features(file: SourceFile) -> tuple[Feature, ...]:
    """What the features of a file say. Raises InputError."""
    with _features(file):
        schema = schema_of(file)
        columns_from_arrow(schema)
        return extra_features(schema, features_of(schema))


def is_parquet(file: SourceFile) -> bool:
    return file.path.suffix.lower() == ".parquet"


def columns_of(
    files: list[SourceFile],
    options: TableOptions,  # noqa: ARG001 - types are declared by the files
) -> tuple[Column, ...]:
    """The columns that all files have, class labels as text. Raises InputError."""

    def columns(file: SourceFile) -> tuple[Column, ...]:
        with _features(file):
            return columns_from_arrow(plain_schema(schema_of(file)))

    return parquet.common_columns((file, columns(file)) for file in files)


def slices(file: SourceFile, options: TableOptions) -> Iterator[ByteSlice]:
    """A slice per row group; an Arrow file is one."""
    if is_parquet(file):
        yield from parquet.slices(file, options)
    else:
        yield ByteSlice(file, 0, file.size)


def batches(piece: ByteSlice, options: TableOptions) -> Iterator[pa.RecordBatch]:
    """The rows of a slice, with the columns of `options.columns`.

    Raises InputError, and ValueMismatchError for a row whose class has no name or whose image has
    no bytes.
    """
    columns = options.columns or ()
    types = {column.name: column.type for column in columns}
    names = [column.name for column in columns]
    file = piece.file
    rows = 0
    with _features(file):
        schema = schema_of(file)
        features, found = features_of(schema), columns_from_arrow(plain_schema(schema))
        check_names(file, found, types)
        for column in found:
            if not accepts(types[column.name], column.type):
                raise other_type(file, column)
        raw = parquet.raw_batches(piece) if is_parquet(file) else _arrow_batches(file)
        stored = storage_schema(schema)
        for batch in raw:
            if not batch.schema.equals(stored):
                raise InputError(f"{display(file.path)} changed while it was being read")
            try:
                yield plain_batch(batch, features).select(names)
            except ValueMismatchError as misfit:
                raise misfit.after(rows) from None
            rows += batch.num_rows


def _arrow_batches(file: SourceFile) -> Iterator[pa.RecordBatch]:
    # Never a memory map: what is hashed must be what is handed on.
    with open_source(file) as stream, our_errors(file, "Arrow"):
        for batch in map(to_storage_types, pa.ipc.open_stream(stream)):
            batch.validate(full=True)
            yield batch


@contextmanager
def _features(file: SourceFile) -> Iterator[None]:
    try:
        yield
    except FormatError as error:
        raise InputError(f"{display(file.path)}: {error.message}", hint=error.hint) from None
