"""Rows of Parquet files that are read again and again: by the digests of their files' chunks.

What the rows of a file hash to is remembered with those digests. Whoever reads it again hashes the
chunks, and not every row (docs/adr/0019-row-memos.md).
"""

from __future__ import annotations

from collections import deque
from contextlib import closing
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import pyarrow as pa
from blake3 import blake3

from provreg.core.encoding.canonical import canonical
from provreg.core.rows.column import columns_to_json
from provreg.core.rows.row import hash_rows
from provreg.executors.threads import iter_prefetched, prefetched, thread_pool
from provreg.readers.data_files.source_file import ByteSlice, SourceFile, changed_error
from provreg.readers.tables.parquet import parquet
from provreg.readers.tables.parquet.checked_file import ChangedError, FileChunks
from provreg.readers.tables.rows import drop_null_columns, file_rows, map_slices, slice_rows
from provreg.version import __version__

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from provreg.core.rows.column import Column
    from provreg.executors.api import Executor
    from provreg.readers.api import KnownRows, RememberedRows
    from provreg.readers.tables.options import TableOptions
    from provreg.readers.tables.rows import Rows

_LARGE = 1 << 26  # bytes of a row group


def read_recording(
    pieces: Iterable[ByteSlice], options: TableOptions, executor: Executor, remember: KnownRows
) -> Iterator[tuple[ByteSlice, list[pa.RecordBatch]]]:
    """As `slice_samples` of Parquet files. What their rows hash to is left to `remember`, file by
    file, once all of a file's were handed on; it is not asked.
    """
    results = map_slices(partial(_samples_by_chunks, options=options), pieces, executor)
    for file, together in groupby(results, key=lambda result: result[0].file):
        recorded = remember.recording(_key(file, options))
        chunks = FileChunks(file.size)
        try:
            for piece, found, read in together:
                for number, digest in read.items():
                    chunks.check(number, digest)
                for samples in found:
                    recorded.add(samples.column("content"), samples.column("size"))
                yield piece, found
            recorded.keep(chunks.size, chunks.digests)
        except ChangedError:
            raise changed_error(file) from None
        finally:
            recorded.drop()


def _samples_by_chunks(
    piece: ByteSlice, *, options: TableOptions
) -> tuple[ByteSlice, list[pa.RecordBatch], dict[int, bytes]]:
    """A slice and its samples, and the digests of the chunks that they were read from."""
    chunks = FileChunks(piece.file.size)
    try:
        with prefetched(parquet.batches(piece, options, chunks)) as batches:
            rows = slice_rows(piece, batches, options)
            return piece, [drop_null_columns(samples) for _, samples in rows], chunks.digests
    except ChangedError:
        raise changed_error(piece.file) from None


def stream_known(file: SourceFile, options: TableOptions, known: KnownRows) -> Rows:
    """The rows of a file. Row by row only those are hashed that `known` does not know.

    Raises as `table_rows.slice_samples`.
    """
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
        for rows, samples in file_rows(file, "parquet", options):
            left = max(0, rows.num_rows - done)
            done -= rows.num_rows - left
            if left:
                yield rows.slice(rows.num_rows - left), samples.slice(rows.num_rows - left)


def _recorded_rows(file: SourceFile, options: TableOptions, known: KnownRows, key: bytes) -> Rows:
    """The rows, hashed one by one, and remembered once all of them were handed on."""
    chunks = FileChunks(file.size)
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
        with closing(_prefetched_runs(file, runs)) as coming:
            for piece, batches in zip(pieces, coming, strict=True):
                yield from slice_rows(piece, batches, options, hash_and_record)
        recorded.keep(chunks.size, chunks.digests)
    except ChangedError:
        raise changed_error(file) from None
    finally:
        recorded.drop()


def _remembered_rows(file: SourceFile, options: TableOptions, memo: RememberedRows) -> Rows:
    """The rows of a file of which nothing is read but the chunks in `memo`; else ChangedError.

    The same bytes, decoded by the same program, are the same rows (`_key`): what they hash to need
    not be computed again. All else that is checked of rows is checked.
    """
    chunks = FileChunks(memo.size, memo.chunks)
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
    runs = [parquet.batches(piece, options, chunks) for piece in pieces]
    with closing(_prefetched_runs(file, runs)) as coming:
        for piece, batches in zip(pieces, coming, strict=True):
            yield from slice_rows(piece, batches, options, remembered)


def _key(file: SourceFile, options: TableOptions) -> bytes:
    """What decides which memo is a file's: its place, and all that leads from bytes to digests."""
    facts = {
        "path": str(file.path.absolute()),
        "columns": columns_to_json(options.payload_columns()),
        "versions": [__version__, pa.__version__],
    }
    return blake3(canonical(facts)).digest()


def _prefetched_runs(
    file: SourceFile, runs: Sequence[Iterator[pa.RecordBatch]]
) -> Generator[Iterator[pa.RecordBatch], None, None]:
    """The batches of each of `runs`, the row groups of `file`, which are to be taken in order.

    While the caller works on a batch the next one is decoded, and the first of the next run. To be
    closed: a thread that is left behind keeps this process from forking.
    """
    # Large groups are not held two at a time.
    large = file.size > _LARGE * len(runs)
    for together in [[run] for run in runs] if large else [runs]:
        with thread_pool(2) as threads:
            started = deque(threads.submit(next, run, None) for run in together[:1])
            for number, run in enumerate(together, 1):
                following = together[number : number + 1]
                started.extend(threads.submit(next, further, None) for further in following)
                yield iter_prefetched(threads, run, started.popleft())
