"""Reading data into samples: which reader, with which options, and the same way again later.

The head records how the data were read. A successor inherits these settings unless it changes them,
and verification reads in the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import printable, quoted
from provreg.core.manifest.annotations import AGGREGATION
from provreg.core.manifest.data_fields import ORIGIN_FIELDS, ROW_ORIGIN_FIELDS, DataFields
from provreg.core.manifest.head import left_out_of
from provreg.core.manifest.manifest import sort_entries
from provreg.errors import Finding, FormatError, InputError, UsageError
from provreg.executors.api import Progress, no_report
from provreg.executors.processes import local_processes
from provreg.readers.api import (
    KnownDigests,
    KnownRows,
    LabelsOptions,
    ReadContext,
    Reader,
    ReadOptions,
    ReadResult,
    SampleFiles,
    SampleKind,
    SampleStream,
    check_options,
)
from provreg.readers.catalog import (
    detect,
    names_files,
    reader_of,
    recorded_reader,
    sample_kind,
)
from provreg.readers.data_files.table_files import format_of_tables
from provreg.readers.files.beside import MOST_ADOPTED, Adopted, Beside, look_beside
from provreg.readers.files.globs import Excluded
from provreg.readers.files.walk import folder_prefix
from provreg.readers.labels import (
    LABEL_COLUMNS,
    apply_labels,
    long_labels,
    read_labels,
    with_prefix,
)
from provreg.readers.tables.named_files.folder_metadata import with_folder_metadata
from provreg.readers.tables.named_files.row_access import RowAccess
from provreg.readers.tables.named_files.undeclared import texts_of_files
from provreg.readers.tables.options import READERS as TABLES
from provreg.readers.tables.options import TableOptions

LABELS_FILE, BESIDE, ADOPTED, SAYS = "labels_file", "beside", "adopted", "says"


def read_new(
    paths: Sequence[Path],
    options: ReadOptions,
    inherited: Mapping[str, Any] | None,
    *,
    labels: Path | None = None,
    labels_options: LabelsOptions | None = None,
    leave_out: Iterable[Path] = (),
    known: KnownDigests | None = None,
    progress: Progress | None = None,
) -> ReadResult:
    """The samples at `paths`, in the order of their ids, for ingestion.

    `inherited` is the reading of the parent's head.

    Raises InputError naming the sample that cannot be taken in, UsageError for options that do not
    fit the data or the parent, NotFoundError, StorageError.
    """
    before = None if inherited is None else reader_settings(inherited)
    if before is None:
        options = with_folder_metadata(paths, options)
    parent_format = None if before is None else before["reader"]
    # Files that rows name lie beside the tables, and only reading them tells which.
    named = bool(options.file_columns) or (before is not None and names_files(before))
    if options.format is not None:
        format_ = options.format
    elif named:
        format_ = format_of_tables(paths, parent_format)
    else:
        format_ = detect(paths, parent_format)
    reader = reader_of(format_)
    if before is not None:
        _check_continues(before, reader, format_, options.id)
    beside: dict[str, Any] = {}
    if not named:
        beside = _beside(paths, format_, options, inherited, leave_out)
    elif format_ not in TABLES:
        raise UsageError(f"--file-column means nothing to the reader of {quoted(format_)}")
    settled = _about_data(options, reader, paths, format_)
    if labels is not None:
        _check_delimiter(settled, reader, format_)
    check_options(settled, reader, format_)
    settings = reader.settle(format_, settled, before)
    unsigned = _only_named(paths, format_, settings) if format_ in TABLES else None
    if unsigned is not None and before is None:
        raise unsigned
    meter = None if progress is None else _Meter(progress)
    context = ReadContext(
        leave_out,
        local_processes(),
        known,
        progress=None if meter is None else meter.advance,
        total=no_report if meter is None else meter.expect,
    )
    read = _read(reader, paths, format_, settings, context)
    if named:
        beside = _beside(paths, format_, options, inherited, leave_out, read.named_files)
    if unsigned is not None:
        read = replace(read, warnings=(f"{unsigned.message} ({unsigned.hint})",))
    read = replace(read, reading=read.reading | beside)
    if labels is None:
        return read
    return _with_labels(read, labels, labels_options or LabelsOptions(), options.prefix)


def _check_continues(
    before: Mapping[str, Any], reader: Reader, format_: str, id_: str | None
) -> None:
    """Raises UsageError for data that cannot continue a version that was read as `before`."""
    if recorded_reader(before)[0] != reader:
        raise UsageError(
            f"this dataset is read as {before['reader']}, the data look like {format_}",
            hint="give data of the same kind, or another --name for a new dataset",
        )
    if id_ is not None and id_ != before.get("id"):
        ids = "content digests" if before.get("id") is None else f"from {quoted(before['id'])}"
        raise UsageError(
            f"the ids of this dataset are {ids}: with --id {printable(id_)} every sample would be"
            " removed and injected again",
            hint="omit --id to keep the ids, or give another --name for a new dataset",
        )


def _with_labels(
    read: ReadResult, labels: Path, options: LabelsOptions, prefix: str | None
) -> ReadResult:
    """What was read, with what the file `labels` says of its samples."""
    table = read_labels(labels, options)
    if prefix is not None:
        table = with_prefix(table, folder_prefix(prefix))
    columns = [name for name in LABEL_COLUMNS if name in table.column_names]
    reading = read.reading | {LABELS_FILE: columns}
    if options.aggregate is not None:
        reading |= {AGGREGATION: options.aggregate}
    samples, annotations = apply_labels(read.table, table, labels)
    return replace(
        read,
        table=samples,
        reading=reading,
        long_labels=long_labels(table),
        annotations=annotations,
    )


def _check_delimiter(options: ReadOptions, reader: Reader, format_: str) -> None:
    """Raises UsageError for a delimiter that can only be meant for the labels file."""
    if "delimiter" in options.explicitly_set() - reader.OPTIONS:
        raise UsageError(
            f"--delimiter means nothing to the reader of {quoted(format_)}",
            hint="for the labels file, pass --labels-delimiter",
        )


def read_again(
    paths: Sequence[Path],
    reading: Mapping[str, Any],
    *,
    sha256: bool = False,
    leave_out: Iterable[Path] = (),
    remember: KnownRows | None = None,
    samples: int = 0,
    progress: Progress | None = None,
) -> ReadResult:
    """Reads `paths` the way a head says; unreadable samples become findings where they can.

    `sha256`: of files that digest is taken, whatever the head says. Believes no cache; `remember`
    is left what rows hash to. `samples` is how many the head has, for `progress`. Raises as
    `read_new`, and FormatError for a malformed reading.
    """
    settings = reader_settings(reading)
    reader, format_ = recorded_reader(settings)
    if sha256 and "sha256" in reader.OPTIONS:
        settings = {"sha256": True} | settings
    options = reader.options_from_reading(settings)
    meter = None if progress is None else _Meter(progress, samples)
    context = ReadContext(
        leave_out,
        local_processes(),
        collect=True,
        known_rows=remember,
        progress=None if meter is None else meter.advance,
        total=no_report if meter is None else meter.expect,
    )
    read = _read(reader, paths, format_, options, context)
    findings = [*read.findings, *_unseen(read, settings)]
    if (files := reader.listed_files(paths, format_, settings.get("label"))) is not None:
        beside = look_beside(
            paths, files, _patterns(reading), leave_out=leave_out, named=read.named_files
        )
        findings += _strangers(beside, _adopted(reading))
    return replace(read, findings=tuple(findings))


def files_again(paths: Sequence[Path], reading: Mapping[str, Any]) -> SampleFiles | None:
    """The samples' bytes by id, where data read so can be read sample by sample; else None.

    Raises as `read_again`.
    """
    settings = reader_settings(reading)
    reader, format_ = recorded_reader(settings)
    return reader.files(paths, format_, reader.options_from_reading(settings))


def row_access(paths: Sequence[Path], reading: Mapping[str, Any]) -> RowAccess | None:
    """The rows of data read so, by id, where they name files and fit into memory; else None.

    Raises as `read_again`.
    """
    settings = reader_settings(reading)
    return RowAccess.of(paths, settings) if names_files(settings) else None


def listed_files_again(
    paths: Sequence[Path], reading: Mapping[str, Any]
) -> Collection[Path] | None:
    """The files at `paths` that are read; None for rows that name files, which are listed in their
    rows, and for a reader that lists what it leaves out itself.

    Raises InputError where there are none, and as `read_again`.
    """
    settings = reader_settings(reading)
    if names_files(settings):
        return None
    reader, format_ = recorded_reader(settings)
    return reader.listed_files(paths, format_, settings.get("label"))


def rows_again(
    paths: Sequence[Path], reading: Mapping[str, Any], known: KnownRows | None = None
) -> SampleStream:
    """(payloads, samples of schema SAMPLE) in batches, in their order, of data that are streamed.

    Files are hashed by their chunks alone where `known` remembers their rows. Raises UsageError
    where `files_again` reads them, else as `read_again`.
    """
    settings = reader_settings(reading)
    reader, format_ = recorded_reader(settings)
    options = reader.options_from_reading(settings)
    stream = reader.stream(paths, format_, options, ReadContext(known_rows=known))
    if stream is None:
        raise UsageError(f"data read as {quoted(format_)} are read by id")
    return stream


def data_fields_of(reading: Mapping[str, Any], *, labels: bool, splits: bool) -> DataFields:
    """What data read so say of their samples themselves: all but what a labels file said.

    `labels`, `splits`: the data speak of them at all. Raises FormatError for a reading that is
    none.
    """
    overridden = given_by_file(reading)
    says = reading.get(SAYS, [])
    if not isinstance(says, list) or not all(name in ROW_ORIGIN_FIELDS for name in says):
        raise FormatError(f"head.reading: {SAYS} does not list source, labeler or labeled_at")
    always = {"label": labels, "split": splits} | dict.fromkeys(says, True)
    return DataFields(
        tuple(name for name, known in always.items() if known and name not in overridden),
        tuple(name for name in ORIGIN_FIELDS if not always.get(name) and name not in overridden),
    )


def streamed_data_fields_of(reading: Mapping[str, Any]) -> DataFields:
    """As `data_fields_of`, of data that have not been read yet: only columns say every split."""
    rows = sample_kind(reading) is SampleKind.ROWS
    return data_fields_of(
        reading,
        labels=reading.get("label") not in {None, "none"},
        splits=rows and reading.get("split") is not None,
    )


def appended(reading: dict[str, Any], inherited: Mapping[str, Any]) -> dict[str, Any]:
    """`reading` of an append: what a labels file said of the parent's samples, what was left out
    and what lay beside them still holds.

    Raises FormatError for a malformed inherited reading.
    """
    columns = {*given_by_file(inherited), *given_by_file(reading)}
    if columns:
        reading = reading | {LABELS_FILE: [name for name in LABEL_COLUMNS if name in columns]}
    if adopted := {*_adopted(inherited), *_adopted(reading)}:
        reading = reading | {ADOPTED: _adopted_to_json(adopted)}
    if before := left_out_of(inherited):
        reading = reading | {"left_out": before | left_out_of(reading)}
    return reading


def given_by_file(reading: Mapping[str, Any]) -> list[str]:
    """The columns of the labels file of a reading. Raises FormatError."""
    columns = reading.get(LABELS_FILE, [])
    if not isinstance(columns, list) or not all(name in LABEL_COLUMNS for name in columns):
        raise FormatError(f"head.reading: {LABELS_FILE} does not list columns of a labels file")
    return columns


def _only_named(paths: Sequence[Path], format_: str, options: TableOptions) -> InputError | None:
    """The error for data that name files whose bytes would not be signed, None if they do not."""
    known = {*options.text_columns, *options.file_columns, *options.columns_of_files()}
    found = [
        texts for texts in texts_of_files(paths, format_, options) if texts.column not in known
    ]
    if not found:
        return None
    first = found[0]
    names = [quoted(texts.column) for texts in found]
    files = " ".join(f"--file-column {name}" for name in names)
    texts_only = " ".join(f"--text-column {name}" for name in names)
    return InputError(
        f"column {names[0]} names files, such as {quoted(first.example)}, and only their names"
        " would be signed",
        hint=(
            f"write names relative to the table's folder, then pass {files}; or "
            if first.absolute
            else f"{files} signs their bytes too; "
        )
        + f"{texts_only} signs the text alone",
    )


def _about_data(
    options: ReadOptions, reader: Reader, paths: Sequence[Path], format_: str
) -> ReadOptions:
    """`options` without those that are about the files beside the data alone."""
    if not options.exclude or "exclude" in reader.OPTIONS:
        return options
    listed = reader.listed_files(paths, format_, options.label)
    return options if listed is None else replace(options, exclude=())


def _beside(
    paths: Sequence[Path],
    format_: str,
    options: ReadOptions,
    inherited: Mapping[str, Any] | None,
    leave_out: Iterable[Path],
    named: Collection[str] = (),
) -> dict[str, Any]:
    """What the head records of the files beside the data, but for those that rows have `named`.

    Raises InputError for a file that nobody left out.
    """
    label = options.label or (None if inherited is None else inherited.get("label"))
    files = reader_of(format_).listed_files(paths, format_, label)
    if files is None:
        return {}
    patterns = options.exclude or (() if inherited is None else _patterns(inherited))
    beside = look_beside(paths, files, patterns, leave_out=leave_out, new=True, named=named)
    beside.refuse(format_)
    values: dict[str, Any] = {BESIDE: list(patterns)} if patterns else {}
    if beside.adopted:
        values[ADOPTED] = _adopted_to_json(beside.adopted)
    return values


def _strangers(beside: Beside, signed: Collection[Adopted]) -> Iterator[Finding]:
    """What lies beside the data and is not as `signed`."""
    for path, why in beside.strangers.items():
        yield Finding("stranger", printable(path), detail=why)
    contents = {adopted.path: adopted.content for adopted in signed}
    for adopted in beside.adopted:
        if adopted.path not in contents:
            why = "lies beside the data and did not when they were signed"
            yield Finding("stranger", printable(adopted.path), found=adopted.content, detail=why)
        elif adopted not in signed:
            expected = contents[adopted.path]
            yield Finding(
                "changed", printable(adopted.path), expected=expected, found=adopted.content
            )


# What other programs read in a folder of files that is no sample.
_UNSEEN = {
    "hidden": "is hidden, and called like data: other programs read it",
    "empty": "is a folder without samples, which other programs take for a class",
}


def _unseen(read: ReadResult, reading: Mapping[str, Any]) -> Iterator[Finding]:
    """What was not there when the data were signed: the head would say that such are left out."""
    for reason, names in read.unseen.items():
        if reason not in left_out_of(reading):
            yield from (
                Finding("stranger", printable(name), detail=_UNSEEN[reason]) for name in names
            )


def _adopted(reading: Mapping[str, Any]) -> list[Adopted]:
    """The files beside the data of which the head has the digests. Raises FormatError."""
    what = f"head.reading: {ADOPTED}"
    documents = reading.get(ADOPTED, [])
    if not isinstance(documents, list) or len(documents) > MOST_ADOPTED:
        raise FormatError(f"{what} is no list of at most {MOST_ADOPTED} files")
    adopted = []
    for document in documents:
        fields = Fields(document, what)
        adopted.append(Adopted(fields.text("path", limit=4096), fields.digest("content", "blake3")))
        fields.done()
    return adopted


def _adopted_to_json(adopted: Iterable[Adopted]) -> list[dict[str, str]]:
    ordered = sorted(adopted, key=lambda adopted_file: (adopted_file.path, adopted_file.content))
    return [
        {"path": adopted_file.path, "content": adopted_file.content} for adopted_file in ordered
    ]


def _patterns(reading: Mapping[str, Any]) -> tuple[str, ...]:
    """The patterns that leave out what lies beside the data. Raises FormatError."""
    value = reading.get(BESIDE, [])
    if not isinstance(value, list) or not all(isinstance(pattern, str) for pattern in value):
        raise FormatError(f"head.reading: {BESIDE} is no list of patterns")
    try:
        if value:
            Excluded(value)
    except UsageError as error:
        raise FormatError(f"head.reading: {BESIDE}: {error.message}") from None
    return tuple(value)


def _read(
    reader: Reader, paths: Sequence[Path], format_: str, options: Any, context: ReadContext
) -> ReadResult:
    found = reader.read(paths, format_, options, context)
    return replace(found, table=sort_entries(found.table))


class _Meter:
    """Reports samples to `progress` with their total; 0 if it is unknown."""

    def __init__(self, progress: Progress, total: int = 0) -> None:
        self._progress, self._total = progress, total

    def expect(self, total: int) -> None:
        self._total = total

    def advance(self, done: int) -> None:
        # There can be more samples than a head says.
        self._progress(done, self._total and max(done, self._total))


def reader_settings(reading: Mapping[str, Any]) -> dict[str, Any]:
    """What the reader itself said; without what a labels file said, and what lies beside."""
    others = (LABELS_FILE, BESIDE, ADOPTED, SAYS, AGGREGATION)
    return {name: value for name, value in reading.items() if name not in others}


def inheritable_settings(reading: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What of a head's reading its successor inherits: how to read, and not what came of it."""
    if reading is None:
        return None
    results = (LABELS_FILE, ADOPTED, SAYS, AGGREGATION, "left_out")
    return {name: value for name, value in reading.items() if name not in results}


def adopted_files(reading: Mapping[str, Any] | None) -> set[tuple[str, str]]:
    """(path, digest) of the well-known files beside data read so."""
    documents = () if reading is None else reading.get(ADOPTED, ())
    return {(document["path"], document["content"]) for document in documents}


def takes_sha256(options: ReadOptions, inherited: Mapping[str, Any] | None) -> bool:
    """Whether files are read for their SHA-256 too: it was asked for now, or before."""
    return options.sha256 or (inherited is not None and inherited.get("sha256") is True)
