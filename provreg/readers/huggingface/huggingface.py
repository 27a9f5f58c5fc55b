"""Hugging Face datasets: saved folders and the Hub's Parquet files as samples, one a row."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import printable, quoted
from provreg.core.manifest.limits import LIMITS
from provreg.core.rows.column import columns_from_json, columns_to_json, has_files
from provreg.errors import Finding, FormatError, InputError
from provreg.readers.api import ReadContext, ReadResult, SampleKind, SampleStream
from provreg.readers.data_files.source_file import SourceFile, display
from provreg.readers.huggingface.layout import (
    dataset_files,
    files_and_documents,
    looks_like_dataset,
)
from provreg.readers.tables.features import class_columns, features_of
from provreg.readers.tables.hugging_face import file_features, schema_of
from provreg.readers.tables.options import ROLES, TableOptions, override_options, with_schema
from provreg.readers.tables.signed_features import (
    Feature,
    difference,
    features_from_json,
    features_to_json,
    merge_features,
)
from provreg.readers.tables.table import read_files, stream_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from provreg.readers.api import ReadOptions

READER = "huggingface"
SAMPLES = SampleKind.ROWS
READER_VERSION = 1
OPTIONS = frozenset(
    {"id", "label", "split", "source_column", "labeler_column", "labeled_at_column"}
)
_WHAT = "head.reading"


@dataclass(frozen=True, slots=True)
class DatasetOptions:
    """How rows become samples.

    `table`: the columns with roles. `by_file`: splits are those of the files, not of a column.
    `assumed`: nobody said which column is the label. `features`: what the features say beside
    types, None where no version says so yet.
    """

    table: TableOptions
    by_file: bool = True
    assumed: bool = False
    features: tuple[Feature, ...] | None = None


def detect(paths: Sequence[Path]) -> str | None:
    """`huggingface` for what the library `datasets` wrote."""
    return READER if looks_like_dataset(paths) else None


def settle(_format: str, options: ReadOptions, before: Mapping[str, Any] | None) -> DatasetOptions:
    """What was said, over what `before` says. Raises UsageError, and FormatError for `before`."""
    old = DatasetOptions(TableOptions()) if before is None else options_from_reading(before)
    by_file = old.by_file if options.split is None else options.split == "file"
    by_columns = replace(options, split="none") if by_file else options
    return DatasetOptions(
        override_options(by_columns, old.table),
        by_file,
        assumed=before is None and options.label is None,
        features=old.features,
    )


def read(
    paths: Sequence[Path], _format: str, options: DatasetOptions, context: ReadContext
) -> ReadResult:
    """Every row. Raises as `table.read_table`, and InputError for a dataset that is not whole, and
    for files whose features do not say the same, nor what those of the version before said; with
    `work.collect` these are findings."""
    found = dataset_files(paths)
    files_ = [file for file, _ in found.values()]
    if context.collect and options.features is not None:
        signed, findings = options.features, _other_features(files_, options.features)
    else:
        signed, findings = _agreed(files_, options.features), ()
    table_options = options.table
    if options.assumed:
        table_options = replace(table_options, label=_only_label(files_))
    splits = _splits(found, options)
    table, table_options = read_files(
        files_,
        READER,
        table_options,
        context=context,
        splits=splits,
    )
    return ReadResult(
        table,
        _reading(replace(options, table=table_options, features=signed)),
        labels_known=table_options.label is not None,
        splits_known=table_options.split is not None or any((splits or {}).values()),
        classes=next(
            (feature.names or () for feature in signed if feature.at == (table_options.label,)), ()
        ),
        findings=findings,
    )


def files(_paths: Sequence[Path], _format: str, _options: DatasetOptions) -> None:
    """None: rows are streamed."""


def listed_files(paths: Sequence[Path], _format: str, _label: str | None) -> set[Path]:
    """The files of the rows, and the documents of saved datasets."""
    return files_and_documents(paths)


def stream(
    paths: Sequence[Path], _format: str, options: DatasetOptions, _context: ReadContext
) -> SampleStream:
    """The rows, class labels as their names."""
    found = dataset_files(paths)
    files_ = [file for file, _ in found.values()]
    return stream_files(files_, READER, options.table, splits=_splits(found, options))


def options_from_reading(reading: Any) -> DatasetOptions:
    """The options that `reading`, from a head, was made with. Raises FormatError."""
    fields = Fields(reading, _WHAT)
    if fields.text("reader") != READER:
        raise fields.wrong("reader", f"is not {READER}")
    if fields.integer("reader_version") != READER_VERSION:
        raise fields.wrong("reader_version", f"is not {READER_VERSION}: a newer provreg is needed")
    columns = columns_from_json(fields.raw("columns"), f"{_WHAT}.columns")
    if any(has_files(column.type) for column in columns):
        raise fields.wrong("columns", "name files, which datasets hold themselves")
    roles: dict[str, Any] = {role: fields.optional_text(role) for role in ROLES}
    by_file = fields.text("split_from", pattern="file|column") == "file"
    if by_file and roles["split"] is not None:
        raise fields.wrong("split", "is a column, and splits are those of files")
    said = features_from_json(fields, "features", columns)
    fields.done()
    try:
        return DatasetOptions(with_schema(TableOptions(**roles), columns), by_file, features=said)
    except InputError as error:
        raise FormatError(f"{_WHAT}: {error.message}") from None


def signed_features(reading: Mapping[str, Any]) -> tuple[Feature, ...]:
    """What features add to the types of columns, by a head's `reading`; other readers have none."""
    if reading["reader"] != READER:
        return ()
    return options_from_reading(reading).features or ()


def _reading(options: DatasetOptions) -> dict[str, Any]:
    return {
        "reader": READER,
        "reader_version": READER_VERSION,
        "columns": columns_to_json(options.table.columns or ()),
        **{role: getattr(options.table, role) for role in ROLES},
        "split_from": "file" if options.by_file else "column",
        "features": features_to_json(options.features or ()),
    }


def _agreed(
    files_: Sequence[SourceFile], before: tuple[Feature, ...] | None
) -> tuple[Feature, ...]:
    """What all files and the version before say, who must not contradict each other."""
    features, by = before, "the version before"
    for file in files_:
        own = file_features(file)
        together = own if features is None else merge_features(features, own)
        if isinstance(together, str):
            raise InputError(
                f"{display(file.path)} has other features than {by}: {together}",
                hint="bring the columns to the same features and save again: dataset.cast_column;"
                " names of classes keep their order, new ones come last",
            )
        if together != features:
            by = display(file.path)
        features = together
    return features or ()


def _other_features(
    files_: Sequence[SourceFile], signed: tuple[Feature, ...]
) -> tuple[Finding, ...]:
    """A finding for each file whose features do not say what is signed."""
    why = ((file, difference(signed, file_features(file))) for file in files_)
    return tuple(
        Finding("changed", printable(os.fsdecode(file.path)), detail=f"its features: {complaint}")
        for file, complaint in why
        if complaint is not None
    )


def _only_label(files_: Sequence[SourceFile]) -> str | None:
    """The column of class labels, where there is one and no other."""
    try:
        labels = class_columns(features_of(schema_of(files_[0])))
    except FormatError as error:
        raise InputError(error.message) from None
    return labels[0] if len(labels) == 1 else None


def _splits(
    found: Mapping[Path, tuple[SourceFile, str | None]], options: DatasetOptions
) -> dict[Path, str | None] | None:
    if not options.by_file:
        return None
    splits = {path: split for path, (_, split) in found.items()}
    for split in splits.values():
        if split is not None and len(split.encode()) > LIMITS["split"]:
            raise InputError(f"the split {quoted(split)} is longer than {LIMITS['split']} bytes")
    return splits
