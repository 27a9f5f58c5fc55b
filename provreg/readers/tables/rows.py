"""The rows of a table's files and the samples that they are, slice by slice or file by file."""

from __future__ import annotations

from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Protocol, TypeVar

import pyarrow as pa

from provreg.core.manifest.columns import nulls
from provreg.core.manifest.entry import SAMPLE
from provreg.core.rows.arrow_types import cast_batch
from provreg.core.rows.row import hash_rows
from provreg.errors import InputError
from provreg.executors.threads import prefetched
from provreg.readers.data_files.source_file import (
    ByteSlice,
    SourceFile,
    ValueMismatchError,
    display,
)
from provreg.readers.tables import hugging_face
from provreg.readers.tables.parquet import parquet
from provreg.readers.tables.samples import samples_of
from provreg.readers.tables.text import delimited, json_array, jsonlines

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from typing import TypeAlias

    from provreg.core.rows.column import Column, LogicalType
    from provreg.executors.api import Executor
    from provreg.readers.tables.options import TableOptions
    from provreg.readers.tables.samples import HashRows

    # (payload columns, samples of schema SAMPLE), in batches.
    Rows: TypeAlias = Generator[tuple[pa.RecordBatch, pa.RecordBatch], None, None]

Result = TypeVar("Result")


class _Reader(Protocol):
    """What each format's module offers."""

    def slices(self, file: SourceFile, options: TableOptions) -> Iterator[ByteSlice]: ...

    def batches(self, piece: ByteSlice, options: TableOptions) -> Iterator[pa.RecordBatch]: ...


class _Headed(Protocol):
    """What modules of formats that say their columns offer besides."""

    def columns_of(self, files: list[SourceFile], options: TableOptions) -> tuple[Column, ...]: ...


class _Growing(Protocol):
    """What modules of formats offer that tell the types of columns which a later version adds."""

    def new_columns_of(
        self, files: list[SourceFile], options: TableOptions
    ) -> dict[str, LogicalType | None]: ...


READERS: dict[str, _Reader] = {
    "csv": delimited,
    "tsv": delimited,
    "json": json_array,
    "jsonl": jsonlines,
    "parquet": parquet,
    "huggingface": hugging_face,
}
HEADED: dict[str, _Headed] = {
    "csv": delimited,
    "tsv": delimited,
    "parquet": parquet,
    "huggingface": hugging_face,
}
GROWING: dict[str, _Growing] = {"csv": delimited, "tsv": delimited, "parquet": parquet}


def slices_of(files: list[SourceFile], format_: str, options: TableOptions) -> Iterator[ByteSlice]:
    """The slices of all files, one after another."""
    for file in files:
        yield from READERS[format_].slices(file, options)


def slice_samples(
    pieces: Iterable[ByteSlice], format_: str, options: TableOptions, executor: Executor
) -> Iterator[tuple[ByteSlice, list[pa.RecordBatch]]]:
    """Each slice with its samples in batches of `drop_null_columns`, read by `executor`.

    Raises InputError, naming file and row, NotFoundError and StorageError.
    """
    return map_slices(partial(_samples, format_=format_, options=options), pieces, executor)


def map_slices(
    task: Callable[[ByteSlice], Result], pieces: Iterable[ByteSlice], executor: Executor
) -> Iterator[Result]:
    pieces = iter(pieces)
    # Where rows begin may take looking for: workers begin before all slices are known.
    first = list(islice(pieces, executor.workers))
    return executor.map(task, chain(first, pieces), most=len(first))


def _samples(
    piece: ByteSlice, *, format_: str, options: TableOptions
) -> tuple[ByteSlice, list[pa.RecordBatch]]:
    with prefetched(READERS[format_].batches(piece, options)) as batches:
        rows = slice_rows(piece, batches, options, format_=format_)
        return piece, [drop_null_columns(samples) for _, samples in rows]


def drop_null_columns(samples: pa.RecordBatch) -> pa.RecordBatch:
    """Without columns that say nothing: they are half of what would go through a worker's pipe."""
    columns = zip(samples.schema.names, samples.columns, strict=True)
    return samples.select([name for name, column in columns if column.null_count < len(column)])


def all_columns(samples: pa.RecordBatch) -> pa.RecordBatch:
    """The inverse of `drop_null_columns`."""
    columns = dict(zip(samples.schema.names, samples.columns, strict=True))
    arrays = [columns.get(field.name, nulls(field.type, samples.num_rows)) for field in SAMPLE]
    return pa.RecordBatch.from_arrays(arrays, schema=SAMPLE)


def file_rows(file: SourceFile, format_: str, options: TableOptions) -> Rows:
    """The rows of a file. Raises as `slice_samples`."""
    reader = READERS[format_]
    for piece in reader.slices(file, options):
        yield from slice_rows(piece, reader.batches(piece, options), options, format_=format_)


def slice_rows(
    piece: ByteSlice,
    batches: Iterable[pa.RecordBatch],
    options: TableOptions,
    hash_: HashRows = hash_rows,
    *,
    format_: str = "parquet",
) -> Rows:
    """The rows in `batches` of a slice; misfits get their places here. The rest as `samples_of`.

    What is hashed and handed on are the values in the types of `options.columns`.
    """
    payload = options.payload_columns()
    names = [column.name for column in payload]
    rows = 0
    try:
        for batch in typed_rows(batches, payload):
            try:
                samples = samples_of(batch, options, hash_)
            except ValueMismatchError as misfit:
                raise misfit.after(rows) from None
            except InputError as error:
                raise InputError(f"{display(piece.file.path)}: {error.message}") from None
            yield batch.select(names), samples
            rows += batch.num_rows
    except ValueMismatchError as misfit:
        before = rows_before(piece, format_, options)
        raise misfit.in_file(piece.file.path, before) from None


def typed_rows(
    batches: Iterable[pa.RecordBatch], columns: tuple[Column, ...]
) -> Iterator[pa.RecordBatch]:
    """All of `batches`, as `typed_batches`; misfits are at their row in all of them."""
    rows = 0
    for batch in batches:
        try:
            yield from typed_batches(batch, columns)
        except ValueMismatchError as misfit:
            raise misfit.after(rows) from None
        rows += batch.num_rows


def typed_batches(batch: pa.RecordBatch, columns: tuple[Column, ...]) -> Iterator[pa.RecordBatch]:
    """`batch` as `typed_batch`, in several where texts of a column would be too long together.

    Raises ValueMismatchError at the first row that does not fit.
    """
    try:
        typed = cast_batch(batch, columns)
    except InputError as error:
        if batch.num_rows < 2:
            raise ValueMismatchError(error.message, row=0, hint=error.hint) from None
        half = batch.num_rows // 2
        yield from typed_batches(batch.slice(0, half), columns)
        try:
            yield from typed_batches(batch.slice(half), columns)
        except ValueMismatchError as misfit:
            raise misfit.after(half) from None
    else:
        yield typed


def rows_before(piece: ByteSlice, format_: str, options: TableOptions) -> int:
    """The number of rows in the file before `piece`."""
    if piece.first_row is not None:
        return piece.first_row
    if format_ == "jsonl":
        return jsonlines.rows_before(piece)
    return delimited.rows_before(piece, options)
