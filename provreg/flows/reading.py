"""Reading data into samples: which reader, with which options, and the same way again later.

How the data was read stands in the head. A successor inherits what it does not say otherwise, and
verification reads exactly so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from provreg.core.column import LogicalType
from provreg.core.finding import Finding
from provreg.core.manifest import in_order
from provreg.errors import FormatError, UsageError
from provreg.flows.draft import Samples
from provreg.readers import folder, table
from provreg.readers.labels import LABEL_COLUMNS, apply_labels, long_labels, read_labels
from provreg.readers.parallel import default_workers

LABELS_FILE = "labels_file"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class HowToRead:
    """What a user said about reading; what is None is inherited, or the reader's default.

    `label` and `split` are `dir`, `none` or a column. `types` declares columns of CSV files.
    """

    format: str | None = None
    id: str | None = None
    label: str | None = None
    split: str | None = None
    source_column: str | None = None
    labeler_column: str | None = None
    labeled_at_column: str | None = None
    types: Mapping[str, LogicalType] = field(default_factory=dict)
    null_words: tuple[str, ...] | None = None
    delimiter: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """What was read, and what could not be.

    `folder` is what the stat cache wants to know. `row_ids` are the ids of a table's samples in the
    order of its rows.
    """

    samples: Samples
    findings: tuple[Finding, ...] = ()
    folder: folder.FolderSamples | None = None
    row_ids: pa.ChunkedArray | None = None


def read_new(
    paths: Sequence[Path],
    how: HowToRead,
    inherited: Mapping[str, Any] | None,
    *,
    labels: Path | None = None,
    leave_out: Iterable[Path] = (),
    known: folder.KnownDigests | None = None,
    progress: Progress | None = None,
) -> Read:
    """Reads `paths` for ingestion; `inherited` is the reading of the parent's head.

    Raises InputError naming the sample that cannot be taken in, UsageError for options that do not
    fit the data or the parent, NotFoundError, StorageError.
    """
    before = None if inherited is None else dict(inherited)
    if before is not None:
        before.pop(LABELS_FILE, None)
    format_ = how.format or table.detect_format(paths) or folder.READER
    if before is not None and (format_ == folder.READER) != (before["reader"] == folder.READER):
        raise UsageError(
            f"this dataset is read as {before['reader']}, the data look like {format_}",
            hint="give data of the same kind, or another --name for a new dataset",
        )
    if format_ == folder.READER:
        options = _folder_options(how, before)
        read = _read_folder(
            paths, options, leave_out=leave_out, known=known, progress=progress, collect=False
        )
    else:
        read = _read_table(paths, format_, _table_options(how, before), progress=progress)
    if labels is None:
        return read
    given = read_labels(labels)
    reading = read.samples.reading | {
        LABELS_FILE: [name for name in LABEL_COLUMNS if name in given.column_names]
    }
    samples = replace(
        read.samples,
        table=apply_labels(read.samples.table, given),
        reading=reading,
        long_labels=long_labels(given),
    )
    return replace(read, samples=samples)


def read_again(
    paths: Sequence[Path],
    reading: Mapping[str, Any],
    *,
    leave_out: Iterable[Path] = (),
    progress: Progress | None = None,
) -> Read:
    """Reads `paths` the way a head says; unreadable samples become findings where they can.

    Believes no cache. Raises as `read_new`, and FormatError for a reading that is none.
    """
    again = dict(reading)
    again.pop(LABELS_FILE, None)
    if again.get("reader") == folder.READER:
        options = folder.options_from_reading(again)
        return _read_folder(
            paths, options, leave_out=leave_out, known=None, progress=progress, collect=True
        )
    options_of_table = table.options_from_reading(again)
    return _read_table(paths, again["reader"], options_of_table, progress=progress)


def rows_again(
    paths: Sequence[Path], reading: Mapping[str, Any]
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """(payload columns, samples of schema SAMPLE) of a table's rows, in batches, in their order."""
    again = dict(reading)
    again.pop(LABELS_FILE, None)
    return table.iter_rows(paths, again)


def labels_overridden(reading: Mapping[str, Any]) -> bool:
    """Whether labels came from a labels file, so that the data's own say nothing.

    Raises FormatError for a reading that is none.
    """
    return "label" in _given_by_file(reading)


def still_overridden(reading: dict[str, Any], inherited: Mapping[str, Any]) -> dict[str, Any]:
    """`reading` of an append: what a labels file said of the parent's samples still holds.

    Raises FormatError for an inherited reading that is none.
    """
    named = {*_given_by_file(inherited), *_given_by_file(reading)}
    if not named:
        return reading
    return reading | {LABELS_FILE: [name for name in LABEL_COLUMNS if name in named]}


def options_said(reading: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What of a head's reading its successor inherits: how to read, and not what came of it."""
    if reading is None:
        return None
    return {name: said for name, said in reading.items() if name not in (LABELS_FILE, "left_out")}


def _given_by_file(reading: Mapping[str, Any]) -> list[str]:
    named = reading.get(LABELS_FILE, [])
    if not isinstance(named, list) or not all(name in LABEL_COLUMNS for name in named):
        raise FormatError(f"head.reading: {LABELS_FILE} does not list columns of a labels file")
    return named


def _read_folder(
    paths: Sequence[Path],
    options: folder.FolderOptions,
    *,
    leave_out: Iterable[Path],
    known: folder.KnownDigests | None,
    progress: Progress | None,
    collect: bool,
) -> Read:
    def advance(files: int, _size: int) -> None:
        if progress is not None:
            progress(files, 0)

    found = folder.read_folder(
        paths,
        options,
        leave_out=leave_out,
        workers=default_workers(),
        known=known,
        collect=collect,
        progress=advance,
    )
    samples = Samples(
        found.table,
        found.reading,
        labels_known=options.label == "dir",
        splits_known=options.split == "dir",
        reused=found.reused,
    )
    return Read(samples, found.findings, found)


def _read_table(
    paths: Sequence[Path],
    format_: str,
    options: table.TableOptions,
    *,
    progress: Progress | None,
) -> Read:
    def advance(rows: int) -> None:
        if progress is not None:
            progress(rows, 0)

    found = table.read_table(paths, format_, options, workers=default_workers(), progress=advance)
    samples = Samples(
        in_order(found.table),
        found.reading,
        labels_known=options.label is not None,
        splits_known=options.split is not None,
    )
    return Read(samples, row_ids=found.table["id"])


def _folder_options(how: HowToRead, before: dict[str, Any] | None) -> folder.FolderOptions:
    for name in ("id", "source_column", "labeler_column", "labeled_at_column", "delimiter"):
        if getattr(how, name) is not None:
            raise UsageError(
                f"--{name.replace('_', '-')} is for tables, and the data are a folder of files",
                hint="say what each sample is with --labels FILE",
            )
    old = folder.FolderOptions() if before is None else folder.options_from_reading(before)
    return folder.FolderOptions(
        label=how.label or old.label,
        split=how.split or old.split,
        include=how.include or old.include,
        exclude=how.exclude or old.exclude,
    )


def _table_options(how: HowToRead, before: dict[str, Any] | None) -> table.TableOptions:
    if how.include or how.exclude:
        raise UsageError("--include and --exclude are for folders of files, not for tables")
    old = table.TableOptions() if before is None else table.options_from_reading(before)
    if before is not None and how.types:
        raise UsageError(
            "the types of columns are fixed by the first version",
            hint="leave --column away, or begin a new dataset with another --name",
        )
    for name, said in (("label", how.label), ("split", how.split)):
        if said == "dir":
            raise UsageError(f"--{name} dir is for folders of files: name a column, or none")

    def chosen(said: str | None, inherited: str | None) -> str | None:
        return inherited if said is None else None if said == "none" else said

    null_words, delimiter = how.null_words, how.delimiter
    return table.TableOptions(
        id=chosen(how.id, old.id),
        label=chosen(how.label, old.label),
        split=chosen(how.split, old.split),
        source=chosen(how.source_column, old.source),
        labeler=chosen(how.labeler_column, old.labeler),
        labeled_at=chosen(how.labeled_at_column, old.labeled_at),
        types=how.types,
        null_words=old.null_words if null_words is None else null_words,
        delimiter=old.delimiter if delimiter is None else delimiter,
        columns=old.columns,
    )
