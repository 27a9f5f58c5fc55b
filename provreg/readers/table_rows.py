"""The rows of a table's files and the samples that they are, slice by slice or file by file."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from importlib.metadata import version
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Protocol, TypeVar

import pyarrow as pa
from blake3 import blake3

from provreg.core.canonical import canonical
from provreg.core.column import columns_to_json
from provreg.core.entry import SAMPLE
from provreg.core.nulls import nulls
from provreg.core.row import hash_rows
from provreg.errors import InputError
from provreg.readers import delimited, hugging_face_files, json_array, jsonlines, parquet
from provreg.readers.checked_file import ChangedError
from provreg.readers.parallel import ordered_map
from provreg.readers.source_file import MisfitError, Slice, SourceFile, changed, shown
from provreg.readers.table_samples import samples_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from typing import TypeAlias

    from provreg.core.column import Column
    from provreg.readers.reader import KnownRows, RememberedRows
    from provreg.readers.table_options import TableOptions
    from provreg.readers.table_samples import HashRows

    # (payload columns, samples of schema SAMPLE), in batches.
    Rows: TypeAlias = Generator[tuple[pa.RecordBatch, pa.RecordBatch], None, None]

Result = TypeVar("Result")


class _Reader(Protocol):
    """What each format's module offers."""

    def slices(self, file: SourceFile, options: TableOptions) -> Iterator[Slice]: ...

    def batches(self, piece: Slice, options: TableOptions) -> Iterator[pa.RecordBatch]: ...


class _Headed(Protocol):
    """What modules of formats that say their columns offer besides."""

    def columns_of(self, files: list[SourceFile], options: TableOptions) -> tuple[Column, ...]: ...


_LARGE = 1 << 26  # bytes of a row group

READERS: dict[str, _Reader] = {
    "csv": delimited,
    "tsv": delimited,
    "json": json_array,
    "jsonl": jsonlines,
    "parquet": parquet,
    "huggingface": hugging_face_files,
}
HEADED: dict[str, _Headed] = {
    "csv": delimited,
    "tsv": delimited,
    "parquet": parquet,
    "huggingface": hugging_face_files,
}


def slices_of(files: list[SourceFile], format_: str, options: TableOptions) -> Iterator[Slice]:
    """The slices of all files, one after another."""
    for file in files:
        yield from READERS[format_].slices(file, options)


def slice_samples(
    pieces: Iterable[Slice], format_: str, options: TableOptions, workers: int
) -> Iterator[tuple[Slice, list[pa.RecordBatch]]]:
    """Each slice with its samples in batches of `said_columns`, read in up to `workers` processes.

    Raises InputError, naming file and row, NotFoundError and StorageError.
    """
    return _of_each(partial(_samples, format_=format_, options=options), pieces, workers)


def remembered_samples(
    pieces: Iterable[Slice], options: TableOptions, workers: int, remember: KnownRows
) -> Iterator[tuple[Slice, list[pa.RecordBatch]]]:
    """As `slice_samples` of Parquet files. What their rows hash to is left to `remember`, file by
    file, once all of a file's were handed on; it is not asked.
    """
    results = _of_each(partial(_samples_by_chunks, options=options), pieces, workers)
    for file, together in groupby(results, key=lambda result: result[0].file):
        recorded = remember.recording(_key(file, options))
        chunks: dict[int, bytes] = {}
        try:
            for piece, found, read in together:
                if any(chunks.setdefault(number, read[number]) != read[number] for number in read):
                    raise changed(file)
                for samples in found:
                    recorded.add(samples.column("content"), samples.column("size"))
                yield piece, found
            recorded.keep(chunks)
        finally:
            recorded.drop()


def _of_each(
    task: Callable[[Slice], Result], pieces: Iterable[Slice], workers: int
) -> Iterator[Result]:
    pieces = iter(pieces)
    # Where rows begin may take looking for: workers begin before all slices are known.
    first = list(islice(pieces, workers))
    return ordered_map(task, chain(first, pieces), workers=len(first))


def _samples(
    piece: Slice, *, format_: str, options: TableOptions
) -> tuple[Slice, list[pa.RecordBatch]]:
    return piece, [said_columns(samples) for _, samples in _slice_rows(piece, format_, options)]


def _samples_by_chunks(
    piece: Slice, *, options: TableOptions
) -> tuple[Slice, list[pa.RecordBatch], dict[int, bytes]]:
    """As `_samples`, and the digests of the chunks that they were read from."""
    chunks: dict[int, bytes] = {}
    try:
        rows = _rows(piece, parquet.batches(piece, options, chunks), options)
        return piece, [said_columns(samples) for _, samples in rows], chunks
    except ChangedError:
        raise changed(piece.file) from None


def said_columns(samples: pa.RecordBatch) -> pa.RecordBatch:
    """Without columns that say nothing: they are half of what would go through a worker's pipe."""
    columns = zip(samples.schema.names, samples.columns, strict=True)
    return samples.select([name for name, column in columns if column.null_count < len(column)])


def all_columns(said: pa.RecordBatch) -> pa.RecordBatch:
    """The inverse of `said_columns`."""
    columns = dict(zip(said.schema.names, said.columns, strict=True))
    arrays = [columns.get(field.name, nulls(field.type, said.num_rows)) for field in SAMPLE]
    return pa.RecordBatch.from_arrays(arrays, schema=SAMPLE)


def file_rows(
    file: SourceFile, format_: str, options: TableOptions, known: KnownRows | None
) -> Rows:
    """The rows of a file. With `known`, row by row only those are hashed that it does not know.

    Raises as `slice_samples`.
    """
    # Other formats take so long to parse that the hash makes no difference.
    if known is not None and format_ == "parquet":
        yield from _parquet_rows(file, options, known)
        return
    for piece in READERS[format_].slices(file, options):
        yield from _slice_rows(piece, format_, options)


def _slice_rows(piece: Slice, format_: str, options: TableOptions) -> Rows:
    return _rows(piece, READERS[format_].batches(piece, options), options, format_=format_)


def _rows(
    piece: Slice,
    batches: Iterable[pa.RecordBatch],
    options: TableOptions,
    hash_: HashRows = hash_rows,
    *,
    valid: bool = False,
    format_: str = "parquet",
) -> Rows:
    """The rows in `batches` of a slice; misfits get their places here. The rest as `samples_of`."""
    names = [column.name for column in options.payload_columns()]
    rows = 0
    try:
        for batch in batches:
            try:
                samples = samples_of(batch, options, hash_, valid=valid)
            except MisfitError as misfit:
                raise misfit.after(rows) from None
            except InputError as error:
                raise InputError(f"{shown(piece.file.path)}: {error.message}") from None
            yield batch.select(names), samples
            rows += batch.num_rows
    except MisfitError as misfit:
        before = rows_before(piece, format_, options)
        raise misfit.in_file(piece.file.path, before) from None


def rows_before(piece: Slice, format_: str, options: TableOptions) -> int:
    """The number of rows in the file before `piece`."""
    if piece.first_row is not None:
        return piece.first_row
    if format_ == "jsonl":
        return jsonlines.rows_before(piece)
    return delimited.rows_before(piece, options)


# Rows of files that are read again and again


def _parquet_rows(file: SourceFile, options: TableOptions, known: KnownRows) -> Rows:
    key = _key(file, options)
    memo = known.get(key)
    if memo is None:
        yield from _recorded_rows(file, options, known, key)
        return
    done = 0
    try:
        for rows, samples in _remembered_rows(file, options, memo):
            yield rows, samples
            done += rows.num_rows
    except ChangedError:
        # Another file, or one that was touched: hashed row by row, so that the row has a name.
        known.forget(key)
        for rows, samples in file_rows(file, "parquet", options, None):
            left = max(0, rows.num_rows - done)
            done -= rows.num_rows - left
            if left:
                yield rows.slice(rows.num_rows - left), samples.slice(rows.num_rows - left)


def _recorded_rows(file: SourceFile, options: TableOptions, known: KnownRows, key: bytes) -> Rows:
    """The rows, hashed one by one, and remembered once all of them were handed on."""
    chunks: dict[int, bytes] = {}
    recorded = known.recording(key)

    def hash_and_record(
        batch: pa.RecordBatch, columns: tuple[Column, ...]
    ) -> tuple[pa.FixedSizeBinaryArray, pa.UInt64Array]:
        content, size = hash_rows(batch, columns)
        recorded.add(content, size)
        return content, size

    try:
        pieces = list(parquet.slices(file, options, chunks))
        runs = [parquet.batches(piece, options, chunks) for piece in pieces]
        with closing(_ahead(file, runs)) as ahead:
            for piece, batches in zip(pieces, ahead, strict=True):
                yield from _rows(piece, batches, options, hash_and_record)
        recorded.keep(chunks)
    except ChangedError:
        raise changed(file) from None
    finally:
        recorded.drop()


def _remembered_rows(file: SourceFile, options: TableOptions, memo: RememberedRows) -> Rows:
    """The rows of a file whose chunks are all as in `memo`; raises ChangedError where one is not.

    The same bytes, decoded by the same program, are the same rows (`_key`).
    """
    chunks = dict(memo.chunks)
    start = 0

    def remembered(
        batch: pa.RecordBatch, _: tuple[Column, ...]
    ) -> tuple[pa.FixedSizeBinaryArray, pa.UInt64Array]:
        nonlocal start
        content, size = memo.digests(start, batch.num_rows)
        if len(content) != batch.num_rows:
            raise ChangedError
        start += batch.num_rows
        return content, size

    pieces = list(parquet.slices(file, options, chunks))
    runs = [parquet.batches(piece, options, chunks, valid=True) for piece in pieces]
    with closing(_ahead(file, runs)) as ahead:
        for piece, batches in zip(pieces, ahead, strict=True):
            yield from _rows(piece, batches, options, remembered, valid=True)


def _key(file: SourceFile, options: TableOptions) -> bytes:
    """What decides which memo is a file's: its place, and all that leads from bytes to digests."""
    said = {
        "path": str(file.path.absolute()),
        "columns": columns_to_json(options.payload_columns()),
        "versions": [version("provreg"), pa.__version__],
    }
    return blake3(canonical(said)).digest()


def _ahead(
    file: SourceFile, runs: Sequence[Iterator[pa.RecordBatch]]
) -> Generator[Iterator[pa.RecordBatch], None, None]:
    """The batches of each of `runs`, the row groups of `file`, which are to be taken in order.

    While the caller works on a batch the next one is decoded, and the first of the next run. To be
    closed: a thread that is left behind keeps this process from forking.
    """
    # Large groups are not held two at a time.
    large = file.size > _LARGE * len(runs)
    for together in [[run] for run in runs] if large else [runs]:
        with ThreadPoolExecutor(2) as threads:
            begun = deque(threads.submit(next, run, None) for run in together[:1])
            for number, run in enumerate(together, 1):
                following = together[number : number + 1]
                begun.extend(threads.submit(next, further, None) for further in following)
                yield _taken(threads, run, begun.popleft())


def _taken(
    threads: ThreadPoolExecutor,
    run: Iterator[pa.RecordBatch],
    coming: Future[pa.RecordBatch | None],
) -> Iterator[pa.RecordBatch]:
    while (batch := coming.result()) is not None:
        coming = threads.submit(next, run, None)
        yield batch
