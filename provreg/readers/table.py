"""Tables: CSV, JSON Lines, JSON arrays and Parquet, one file or a folder of shards, to samples."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import pyarrow as pa

from provreg.core.entry import SAMPLE
from provreg.core.text import quoted
from provreg.errors import InputError, NotFoundError, StorageError, UsageError
from provreg.readers import delimited, json_array, jsonlines, parquet
from provreg.readers.parallel import ordered_map
from provreg.readers.source_file import MisfitError, Slice, SourceFile, examined, shown
from provreg.readers.table_options import (
    TableOptions,
    check_delimiter,
    options_from_reading,
    reading_of,
    with_schema,
)
from provreg.readers.table_samples import check_unique, content_ids, numbered_ids, samples_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from provreg.core.column import Column

__all__ = [
    "TableOptions",
    "TableSamples",
    "detect_format",
    "iter_rows",
    "options_from_reading",
    "read_table",
    "shards",
]

# The files' extension, the format it stands for.
_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")
_LEFT_OUT = "Thumbs.db"


class _Reader(Protocol):
    """What each format's module offers."""

    def columns_of(
        self, files: list[SourceFile], options: TableOptions, *, workers: int
    ) -> tuple[Column, ...]: ...

    def slices(self, file: SourceFile) -> Iterator[Slice]: ...

    def batches(self, piece: Slice, options: TableOptions) -> Iterator[pa.RecordBatch]: ...


_READERS: dict[str, _Reader] = {
    "csv": delimited,
    "tsv": delimited,
    "json": json_array,
    "jsonl": jsonlines,
    "parquet": parquet,
}


@dataclass(frozen=True, slots=True)
class TableSamples:
    """The samples of a table (schema SAMPLE, in the order of rows), and how they were read.

    `reading` goes into the head: with it, `options_from_reading` and `iter_rows` read the same.
    """

    table: pa.Table
    reading: dict[str, Any]


def detect_format(paths: Sequence[Path]) -> str | None:
    """`csv`, `tsv`, `json`, `jsonl` or `parquet` where all files at `paths` are of this one kind.

    None where they are not, or there are none. Raises NotFoundError, StorageError, and InputError
    for tables that are compressed as a whole.
    """
    kinds: set[str | None] = set()
    for file in _files(paths):
        kind = _format_of(file)
        if kind is None and file.suffix.lower() in _COMPRESSED and _format_of(Path(file.stem)):
            raise InputError(
                f"{shown(file)} is compressed", hint="decompress it, or convert it to Parquet"
            )
        kinds.add(kind)
        if kind is None or len(kinds) > 1:
            return None
    return kinds.pop() if kinds else None


def shards(paths: Sequence[Path], format_: str) -> list[Path]:
    """The files to read: those named, and those of the format in the folders named, by path.

    Raises InputError where there are none, UsageError where one is named twice, NotFoundError and
    StorageError.
    """
    found = [
        file
        for path in paths
        for file in _files([path])
        if not path.is_dir() or _format_of(file) == format_
    ]
    if len(set(found)) != len(found):
        raise UsageError("a file is named twice")
    if not found:
        raise InputError(f"there are no {format_} files")
    return sorted(found, key=os.fsencode)


def read_table(
    paths: Sequence[Path],
    format_: str,
    options: TableOptions,
    *,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> TableSamples:
    """Reads all rows, in up to `workers` processes, and hashes them.

    `progress` is told now and then how many rows are done. Labels, sources and so on are as the
    data has them; without an id column, ids are content digests (`numbered_ids`).

    Raises InputError, naming file and row (data rows, from 1), for data that is not the format or
    not of the schema, for ids that are not unique, and for a table without rows; UsageError for a
    format or an option that is none, NotFoundError, StorageError.
    """
    options = _with_delimiter(format_, options)
    files = [examined(path) for path in shards(paths, format_)]
    columns = options.columns
    if columns is None:
        columns = _READERS[format_].columns_of(files, options, workers=workers)
    options = with_schema(options, columns)
    batches: list[pa.RecordBatch] = []
    places: dict[Path, int] = {}
    rows = 0
    for piece, batch in _samples(files, format_, options, workers):
        if batch.num_rows == 0:
            continue
        batches.append(batch)
        places[piece.file.path] = places.get(piece.file.path, 0) + batch.num_rows
        rows += batch.num_rows
        if progress is not None:
            progress(rows)
    if not batches:
        raise InputError("the table has no rows")
    table = pa.Table.from_batches(batches, SAMPLE)
    if options.id is None:
        table = table.set_column(0, SAMPLE.field("id"), numbered_ids(table))
    else:
        check_unique(table["id"], [(shown(path), count) for path, count in places.items()])
    return TableSamples(table, reading_of(format_, options))


def iter_rows(
    paths: Sequence[Path], reading: dict[str, Any]
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """The rows again, as the head's `reading` says: (payload columns, samples), in batches.

    The payload columns are the very values that the samples' `content` was computed from, in the
    widths in which the file holds them. Samples have the schema SAMPLE and stand in the same order,
    which is that of `read_table`.

    Where ids are content digests, a batch cannot know which repeats come elsewhere: `id` is the
    digest without `#k`. Who needs the ids takes them from `read_table` of the same files, by
    position; who only checks looks `content` up, and then the remaining fields (`numbered_ids`).

    Raises as `read_table`, and FormatError for a `reading` that is none.
    """
    options = options_from_reading(reading)
    format_ = reading["reader"]
    for path in shards(paths, format_):
        for piece in _READERS[format_].slices(examined(path)):
            for rows, samples in _rows(piece, format_, options):
                if options.id is None:
                    ids = content_ids(samples.column("content"))
                    yield rows, samples.set_column(0, SAMPLE.field("id"), ids)
                else:
                    yield rows, samples


def _with_delimiter(format_: str, options: TableOptions) -> TableOptions:
    """`options` with the delimiter settled where there is one. Raises UsageError."""
    if format_ not in _READERS:
        raise UsageError(f"{quoted(format_)} is not a format of tables")
    if format_ not in ("csv", "tsv"):
        return options
    delimiter = options.delimiter or ("\t" if format_ == "tsv" else ",")
    return replace(options, delimiter=check_delimiter(delimiter))


def _samples(
    files: list[SourceFile], format_: str, options: TableOptions, workers: int
) -> Iterator[tuple[Slice, pa.RecordBatch]]:
    pieces = [piece for file in files for piece in _READERS[format_].slices(file)]
    if workers <= 1 or len(pieces) <= 1:
        for piece in pieces:
            for _, samples in _rows(piece, format_, options):
                yield piece, samples
        return
    task = partial(_slice_samples, format_=format_, options=options)
    results = ordered_map(task, pieces, workers=min(workers, len(pieces)))
    for piece, found in zip(pieces, results, strict=True):
        for samples in found:
            yield piece, samples


def _slice_samples(piece: Slice, *, format_: str, options: TableOptions) -> list[pa.RecordBatch]:
    return [samples for _, samples in _rows(piece, format_, options)]


def _rows(
    piece: Slice, format_: str, options: TableOptions
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """(payload columns, samples), in batches; misfits get their places here."""
    names = [column.name for column in options.payload_columns()]
    rows = 0
    try:
        for batch in _READERS[format_].batches(piece, options):
            try:
                samples = samples_of(batch, options)
            except MisfitError as misfit:
                raise misfit.after(rows) from None
            except InputError as error:
                raise InputError(f"{shown(piece.file.path)}: {error.message}") from None
            yield batch.select(names), samples
            rows += batch.num_rows
    except MisfitError as misfit:
        before = piece.first_row
        if before is None:
            before = jsonlines.rows_before(piece)
        raise misfit.in_file(piece.file.path, before) from None


def _format_of(path: Path) -> str | None:
    return _FORMATS.get(path.suffix.lower())


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files at `paths` and, but for hidden ones, in the folders there. Links to folders are
    not followed."""
    for path in paths:
        if not path.exists():
            raise NotFoundError(f"there is no file or folder {shown(path)}")
        if not path.is_dir():
            yield path
            continue
        for folder, below, names in os.walk(path, onerror=_raise_storage_error):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith(".") and name != _LEFT_OUT:
                    yield Path(folder, name)


def _raise_storage_error(error: OSError) -> NoReturn:
    raise StorageError(f"a folder cannot be listed: {error}") from error
