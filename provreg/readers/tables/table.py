"""Tables: CSV, JSON Lines, JSON arrays and Parquet, one file or a folder of shards, to samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from provreg.core.encoding.text import quoted
from provreg.core.manifest.entry import SAMPLE
from provreg.errors import InputError, UsageError
from provreg.executors.processes import IN_PROCESS
from provreg.readers.api import ReadContext, ReadResult, SampleKind, SampleStream
from provreg.readers.data_files.source_file import SourceFile, changed_error, display, stat_source
from provreg.readers.data_files.table_files import detect_format, files_of_format
from provreg.readers.tables.first_rows import VALUED, first_samples
from provreg.readers.tables.options import (
    DELIMITED,
    TableOptions,
    check_delimiter,
    check_schema,
    options_from_reading,
    override_options,
    reading_of,
    with_schema,
)
from provreg.readers.tables.options import READERS as TABLES
from provreg.readers.tables.parquet import remembered_rows
from provreg.readers.tables.rows import (
    HEADED,
    all_columns,
    file_rows,
    slice_samples,
    slices_of,
)
from provreg.readers.tables.samples import Chunks, check_unique, content_ids, with_numbered_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from provreg.executors.api import Executor
    from provreg.readers.api import KnownRows, ReadOptions

__all__ = [
    "OPTIONS",
    "SAMPLES",
    "TableOptions",
    "TableSamples",
    "detect_format",
    "files",
    "files_of_format",
    "iter_rows",
    "listed_files",
    "options_from_reading",
    "read",
    "read_table",
    "settle",
    "stream",
]


SAMPLES = SampleKind.ROWS
OPTIONS = frozenset(
    {"id", "label", "split", "source_column", "labeler_column", "labeled_at_column"}
) | {"types", "null_words", "delimiter", "quoting", "time", "split_at"}


@dataclass(frozen=True, slots=True)
class TableSamples:
    """The samples of a table, and how they were read.

    Their schema is SAMPLE, and their order that of the rows, or of ids that are content digests.

    `reading` goes into the head: with it, `options_from_reading` and `iter_rows` read the same.
    """

    table: pa.Table
    reading: dict[str, Any]


def settle(_format: str, options: ReadOptions, before: Mapping[str, Any] | None) -> TableOptions:
    """What was said, over what `before` says. Raises UsageError, and FormatError for `before`."""
    old = TableOptions() if before is None else options_from_reading(before)
    return override_options(options, old)


def read(
    paths: Sequence[Path], format_: str, options: TableOptions, context: ReadContext
) -> ReadResult:
    """As `read_table`."""
    found = read_table(
        paths,
        format_,
        options,
        executor=context.executor,
        remember=context.known_rows,
        progress=context.progress,
    )
    return ReadResult(
        found.table,
        found.reading,
        labels_known=options.label is not None,
        splits_known=options.split is not None or bool(options.split_at),
    )


def files(_paths: Sequence[Path], _format: str, _options: TableOptions) -> None:
    """None: rows are streamed."""


def listed_files(paths: Sequence[Path], format_: str, _label: str | None) -> set[Path]:
    """The files of the format."""
    return set(files_of_format(paths, format_))


def stream(
    paths: Sequence[Path], format_: str, options: TableOptions, context: ReadContext
) -> SampleStream:
    """The rows, as `iter_rows`. Files with known rows are not hashed row by row."""
    found = [stat_source(path) for path in files_of_format(paths, format_)]
    return stream_files(found, format_, options, known=context.known_rows)


def read_table(
    paths: Sequence[Path],
    format_: str,
    options: TableOptions,
    *,
    executor: Executor = IN_PROCESS,
    remember: KnownRows | None = None,
    progress: Callable[[int], None] | None = None,
) -> TableSamples:
    """Reads all rows, by `executor`, and hashes them.

    `remember` is left what they hash to, for later passes; it is not asked. `progress` is told now
    and then how many rows are done. Labels, sources and so on are as the data has them; without an
    id column, ids are content digests (`numbered_ids`).

    Raises InputError, naming file and row (data rows, from 1), for data that is not the format or
    not of the schema, for ids that are not unique, and for a table without rows; UsageError for an
    unknown format or option, NotFoundError, StorageError.
    """
    options = _with_delimiter(format_, options)
    found = [stat_source(path) for path in files_of_format(paths, format_)]
    table, options = read_files(
        found, format_, options, executor=executor, remember=remember, progress=progress
    )
    return TableSamples(table, reading_of(format_, options))


def read_files(
    files: list[SourceFile],
    format_: str,
    options: TableOptions,
    *,
    splits: Mapping[Path, str | None] | None = None,
    executor: Executor = IN_PROCESS,
    remember: KnownRows | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[pa.Table, TableOptions]:
    """The samples of all rows of `files`, and the options with their columns settled.

    `splits` are those of whole files, where files and not rows have them. The rest, and what is
    raised, as `read_table`.
    """
    new = options.columns is None
    if new and format_ in VALUED:
        options, found = first_samples(
            files, format_, options, executor=executor, progress=progress
        )
        progress = None  # has been told
    else:
        columns = options.columns
        if columns is None:
            columns = HEADED[format_].columns_of(files, options)
        options = with_schema(options, columns)
        pieces = slices_of(files, format_, options)
        if remember is not None and format_ == "parquet":
            found = remembered_rows.read_recording(pieces, options, executor, remember)
        else:
            found = slice_samples(pieces, format_, options, executor)
    if new:
        check_schema(options)
    chunks = Chunks()
    places: dict[Path, int] = {}
    for piece, batches in found:
        for batch in map(all_columns, batches):
            if batch.num_rows == 0:
                continue
            chunks.add(_in_split(batch, piece.file.path, splits))
            places[piece.file.path] = places.get(piece.file.path, 0) + batch.num_rows
            if progress is not None:
                progress(chunks.rows)
    _check_unchanged(files)
    if not chunks.rows:
        raise InputError("the table has no rows")
    if not options.has_ids:
        return with_numbered_ids(chunks.to_table()), options
    table = chunks.to_table()
    check_unique(table["id"], [(display(path), count) for path, count in places.items()])
    return table, options


def _check_unchanged(files: list[SourceFile]) -> None:
    """Each slice was read from a file as it was; while others were, it may have been written to."""
    for file in files:
        if stat_source(file.path) != file:
            raise changed_error(file)


def iter_rows(
    paths: Sequence[Path], reading: Mapping[str, Any]
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """The rows again, as the head's `reading` says: (payload columns, samples), in batches.

    The payload columns are the very values that the samples' `content` was computed from, in the
    widths in which the file holds them. Samples have the schema SAMPLE and stand in the same order,
    that of the rows.

    Where ids are content digests, a batch cannot know which repeats come elsewhere: `id` is the
    digest without `#k`. Who checks looks `content` up, and then the remaining fields
    (`numbered_ids`).

    Raises as `read_table`, and FormatError for an invalid `reading`.
    """
    options, format_ = options_from_reading(reading), reading["reader"]
    found = [stat_source(path) for path in files_of_format(paths, format_)]
    return stream_files(found, format_, options)


def stream_files(
    files: list[SourceFile],
    format_: str,
    options: TableOptions,
    *,
    splits: Mapping[Path, str | None] | None = None,
    known: KnownRows | None = None,
) -> SampleStream:
    """The rows of `files` as `iter_rows` gives them; `splits` as in `read_files`, `known` as in
    `stream`."""
    for file in files:
        # Other formats take so long to parse that the hash makes no difference.
        if known is not None and format_ == "parquet":
            read = remembered_rows.stream_known(file, options, known)
        else:
            read = file_rows(file, format_, options)
        for rows, batch in read:
            samples = _in_split(batch, file.path, splits)
            if not options.has_ids:
                ids = content_ids(samples.column("content"))
                yield rows, samples.set_column(0, SAMPLE.field("id"), ids)
            else:
                yield rows, samples


def _in_split(
    samples: pa.RecordBatch, path: Path, splits: Mapping[Path, str | None] | None
) -> pa.RecordBatch:
    """`samples`, in the split of their file."""
    if splits is None:
        return samples
    place = SAMPLE.get_field_index("split")
    names = pa.repeat(pa.scalar(splits[path], pa.string()), samples.num_rows)
    return samples.set_column(place, SAMPLE.field("split"), names)


def _with_delimiter(format_: str, options: TableOptions) -> TableOptions:
    """`options` with the delimiter settled where there is one. Raises UsageError."""
    if format_ not in TABLES:
        raise UsageError(f"{quoted(format_)} is not a format of tables")
    if format_ not in DELIMITED:
        if not options.quoting:
            raise UsageError(f"--quoting means nothing in {format_}")
        return options
    delimiter = options.delimiter or ("\t" if format_ == "tsv" else ",")
    return replace(options, delimiter=check_delimiter(delimiter))
