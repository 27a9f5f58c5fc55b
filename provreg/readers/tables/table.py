"""Tables: CSV, JSON Lines, JSON arrays and Parquet, one file or a folder of shards, to samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from provreg.core.encoding.text import quoted
from provreg.core.manifest.entry import SAMPLE
from provreg.errors import InputError, UsageError
from provreg.executors.processes import IN_PROCESS
from provreg.readers.api import ReadContext, ReadResult, SampleKind, SampleStream
from provreg.readers.data_files.source_file import SourceFile, changed_error, display, stat_source
from provreg.readers.data_files.table_files import detect_format, files_of_format
from provreg.readers.tables.first_rows import VALUED, first_columns, first_samples
from provreg.readers.tables.named_files.delivered import file_rows_with_files
from provreg.readers.tables.named_files.hashed import NamedFiles, differences_of, named_samples
from provreg.readers.tables.named_files.places import FilePlaces
from provreg.readers.tables.options import (
    DELIMITED,
    TableOptions,
    check_delimiter,
    check_root,
    check_schema,
    options_from_reading,
    override_options,
    reading_of,
    with_new_columns,
    with_schema,
)
from provreg.readers.tables.options import READERS as TABLES
from provreg.readers.tables.parquet import parquet, remembered_rows
from provreg.readers.tables.rows import (
    GROWING,
    HEADED,
    all_columns,
    file_rows,
    slice_samples,
    slices_of,
)
from provreg.readers.tables.samples import Chunks, check_unique, content_ids, with_numbered_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from provreg.core.rows.column import Column
    from provreg.executors.api import Executor
    from provreg.readers.api import KnownRows, ReadOptions
    from provreg.readers.data_files.source_file import ByteSlice

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
OPTIONS = (
    frozenset({"id", "label", "split", "source_column", "labeler_column", "labeled_at_column"})
    | {"types", "null_words", "delimiter", "quoting", "time", "split_at"}
    | {"file_columns", "files_root", "text_columns", "prefix"}
    | {"columns_excluded", "columns_added"}
)


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
    options = _with_delimiter(format_, options)
    found = [stat_source(path) for path in files_of_format(paths, format_)]
    if format_ == "parquet" and context.progress is not None:
        context.total(parquet.count_rows(found))
    named = NamedFiles()
    table, settled = read_files(found, format_, options, context=context, paths=paths, named=named)
    return ReadResult(
        table,
        reading_of(format_, settled),
        labels_known=options.label is not None,
        splits_known=options.split is not None or bool(options.split_at),
        reused=named.reused,
        findings=tuple(named.findings),
        files=named.stats,
        named_files=named.files,
        differences_of=partial(
            differences_of, found, format_, settled, FilePlaces(paths, settled.files_root)
        )
        if settled.has_ids
        else None,
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
    return stream_files(found, format_, options, known=context.known_rows, paths=paths)


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
    context = ReadContext(executor=executor, known_rows=remember, progress=progress)
    found = read(paths, format_, options, context)
    return TableSamples(found.table, found.reading)


def read_files(
    files: list[SourceFile],
    format_: str,
    options: TableOptions,
    *,
    context: ReadContext,
    splits: Mapping[Path, str | None] | None = None,
    paths: Sequence[Path] = (),
    named: NamedFiles | None = None,
) -> tuple[pa.Table, TableOptions]:
    """The samples of all rows of `files`, and the options with their columns settled.

    `splits` are those of whole files, where files and not rows have them. `named` is told of the
    files that rows name, which lie below `paths`. The rest, and what is raised, as `read_table`.
    """
    new = options.columns is None
    named = named or NamedFiles()
    if options.new_columns:
        options = _with_new_columns(files, format_, options)
    executor, progress, remember = context.executor, context.progress, context.known_rows
    if new and format_ in VALUED and not options.file_columns:
        options, found = first_samples(
            files, format_, options, executor=executor, progress=progress
        )
        progress = None  # has been told
    else:
        options = with_schema(options, _columns_of(files, format_, options, executor))
        pieces = slices_of(files, format_, options.as_stored())
        if options.has_files:
            places = FilePlaces(paths, options.files_root, options.prefix)
            found = named_samples(pieces, format_, options, places, context, named)
            progress = None  # is told by files
        elif remember is not None and format_ == "parquet":
            found = remembered_rows.read_recording(pieces, options, executor, remember)
        else:
            found = slice_samples(pieces, format_, options, executor)
    check_root(options)
    if new:
        check_schema(options)
    table, rows_of = _joined(found, splits, progress)
    _check_unchanged(files)
    if not rows_of and named.findings:
        return SAMPLE.empty_table(), options
    if not rows_of:
        raise InputError("the table has no rows")
    if not options.has_ids:
        return with_numbered_ids(table), options
    check_unique(table["id"], [(display(path), count) for path, count in rows_of.items()])
    return table, options


def _with_new_columns(files: list[SourceFile], format_: str, options: TableOptions) -> TableOptions:
    """`options` with the columns that this version adds. Raises InputError."""
    if format_ in GROWING:
        return with_new_columns(options, GROWING[format_].new_columns_of(files, options))
    untyped = [name for name, logical in options.new_columns.items() if logical is None]
    if untyped:
        raise InputError(
            f"the type of the new column {quoted(untyped[0])} is not known",
            hint=f"declare it, such as --column-added {untyped[0]}:float64",
        )
    return with_new_columns(options, dict(options.new_columns))


def _columns_of(
    files: list[SourceFile], format_: str, options: TableOptions, executor: Executor
) -> tuple[Column, ...]:
    """The columns of a first version's files, or those that are settled."""
    if options.columns is not None:
        return options.columns
    if format_ in VALUED:
        return first_columns(files, format_, options, executor=executor)
    return HEADED[format_].columns_of(files, options)


def _joined(
    found: Iterable[tuple[ByteSlice, list[pa.RecordBatch]]],
    splits: Mapping[Path, str | None] | None,
    progress: Callable[[int], None] | None,
) -> tuple[pa.Table, dict[Path, int]]:
    """(all samples, the number of rows of each file that has some)."""
    chunks = Chunks()
    rows_of: dict[Path, int] = {}
    for piece, batches in found:
        for batch in map(all_columns, batches):
            if batch.num_rows == 0:
                continue
            chunks.add(_in_split(batch, piece.file.path, splits))
            rows_of[piece.file.path] = rows_of.get(piece.file.path, 0) + batch.num_rows
            if progress is not None:
                progress(chunks.rows)
    return (chunks.to_table() if rows_of else SAMPLE.empty_table()), rows_of


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
    return stream_files(found, format_, options, paths=paths)


def stream_files(
    files: list[SourceFile],
    format_: str,
    options: TableOptions,
    *,
    splits: Mapping[Path, str | None] | None = None,
    known: KnownRows | None = None,
    paths: Sequence[Path] = (),
) -> SampleStream:
    """The rows of `files` as `iter_rows` gives them; `splits` and `paths` as in `read_files`,
    `known` as in `stream`."""
    for file in files:
        # Other formats take so long to parse that the hash makes no difference.
        if options.has_files:
            places = FilePlaces(paths, options.files_root)
            read = file_rows_with_files(file, format_, options, places)
        elif known is not None and format_ == "parquet":
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
