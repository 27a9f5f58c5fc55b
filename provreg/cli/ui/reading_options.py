"""Options of `ingest` for reading the data, their labels and their origin, as one group."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.ui.options import ORIGIN, READING
from provreg.core.encoding.text import quoted
from provreg.errors import FormatError, UsageError

if TYPE_CHECKING:
    from provreg.core.rows.column import LogicalType
    from provreg.readers.api import LabelsOptions, ReadOptions

_MAX_TYPE = 1 << 16


def _reading(help: str, metavar: str | None = None, *, flag: str | None = None) -> Any:
    """An option under the heading of reading; `flag` names one without a value."""
    names = () if flag is None else (flag,)
    return typer.Option(*names, metavar=metavar, rich_help_panel=READING, help=help)


def _origin(help: str, metavar: str) -> Any:
    return typer.Option(metavar=metavar, rich_help_panel=ORIGIN, help=help)


@dataclass(frozen=True, slots=True)
class LabelsFile:
    """A file of labels and origins, and how it is read."""

    labels: Annotated[Path | None, _origin("File of labels and origins by id.", "FILE")] = None
    labels_delimiter: Annotated[
        str | None, _origin("Separator of the labels file's columns.", "CHARACTER")
    ] = None
    labels_exclude: Annotated[
        list[str] | None, _origin("Column of the labels file to exclude. Repeatable.", "COLUMN")
    ] = None
    labels_timezone: Annotated[
        str | None, _origin("Zone of times without one in the labels file.", "ZONE")
    ] = None
    aggregate: Annotated[
        str | None, _origin("Make one label of several people's labels of an id.", "majority")
    ] = None

    def options(self) -> LabelsOptions:
        """How the file is read."""
        from provreg.readers.api import LabelsOptions

        return LabelsOptions(
            self.labels_delimiter,
            tuple(self.labels_exclude or ()),
            self.labels_timezone,
            self.aggregate,
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """How the data and their origin are read."""

    format: Annotated[
        str | None, _reading("Format of the data (docs/reference/readers.md).", "FORMAT")
    ] = None
    id: Annotated[
        str | None, _reading("Column of ids; for shards: stem, shard or content.", "COLUMN")
    ] = None
    label: Annotated[
        str | None,
        _origin("Labels: the last folder, none, a column or a member.", "dir|none|COLUMN"),
    ] = None
    split: Annotated[
        str | None,
        _reading(
            "Splits: the first folder, the file's name, none, or a column.", "dir|file|none|COLUMN"
        ),
    ] = None
    source_column: Annotated[str | None, _origin("Column of sources.", "COLUMN")] = None
    labeler_column: Annotated[str | None, _origin("Column of labelers.", "COLUMN")] = None
    labeled_at_column: Annotated[str | None, _origin("Column of labeling times.", "COLUMN")] = None
    column: Annotated[
        list[str] | None, _reading("Type of a CSV or JSON column. Repeatable.", "NAME:TYPE")
    ] = None
    null: Annotated[
        list[str] | None, _reading("Word that means null in CSV. Repeatable.", "WORD")
    ] = None
    delimiter: Annotated[str | None, _reading("Separator of CSV columns.", "CHARACTER")] = None
    quoting: Annotated[
        str | None,
        _reading("Whether quotes enclose CSV fields or are ordinary text.", "standard|none"),
    ] = None
    time: Annotated[
        str | None, _reading("Timestamp column; becomes part of the sample id.", "COLUMN")
    ] = None
    split_at: Annotated[
        list[str] | None,
        _reading(
            "With --time: earlier rows are train, later ones test. Twice: also validation.", "TIME"
        ),
    ] = None
    file_column: Annotated[
        list[str] | None,
        _reading(
            "Column of file names; the files become part of their rows. Repeatable.",
            "COLUMN[.FIELD]",
        ),
    ] = None
    files_root: Annotated[
        str | None,
        _reading(
            "Folder that file names are relative to, from the table's folder (default: itself).",
            "FOLDER",
        ),
    ] = None
    text_column: Annotated[
        list[str] | None,
        _reading("Column of file names that are only text. Repeatable.", "COLUMN[.FIELD]"),
    ] = None
    exclude_column: Annotated[
        list[str] | None,
        _reading("Column that is not read and not signed. Repeatable.", "COLUMN"),
    ] = None
    column_added: Annotated[
        list[str] | None,
        _reading("Column that is signed from this version on. Repeatable.", "COLUMN[:TYPE]"),
    ] = None
    include: Annotated[
        list[str] | None, _reading("Read only files whose id matches. Repeatable.", "GLOB")
    ] = None
    exclude: Annotated[
        list[str] | None,
        _reading("Exclude files whose id matches; x/ excludes a folder. Repeatable.", "GLOB"),
    ] = None
    rehash: Annotated[
        bool, _reading("Read every file, even if it looks unchanged.", flag="--rehash")
    ] = False
    sha256: Annotated[
        bool, _reading("Also sign the SHA-256 of every file (for export oms).", flag="--sha256")
    ] = False

    def options(self) -> ReadOptions:
        """The settings of the reader. Raises UsageError for an invalid `--column`."""
        from provreg.readers.api import ReadOptions

        return ReadOptions(
            format=self.format,
            id=self.id,
            label=self.label,
            split=self.split,
            source_column=self.source_column,
            labeler_column=self.labeler_column,
            labeled_at_column=self.labeled_at_column,
            types=_types(self.column or []),
            null_words=tuple(self.null) if self.null else None,
            delimiter=self.delimiter,
            quoting=self.quoting,
            include=tuple(self.include or ()),
            exclude=tuple(self.exclude or ()),
            time=self.time,
            split_at=tuple(self.split_at or ()),
            sha256=self.sha256,
            file_columns=tuple(self.file_column or ()),
            files_root=self.files_root,
            text_columns=tuple(self.text_column or ()),
            columns_excluded=tuple(self.exclude_column or ()),
            columns_added=_added(self.column_added or []),
        )


def _types(declared: list[str]) -> dict[str, LogicalType]:
    """The types of `--column NAME:TYPE`: a type's name or JSON form (docs/format/row.md)."""
    types = {}
    for text in declared:
        name, logical = _column(text, "--column")
        if logical is None:
            raise UsageError(
                f"--column {quoted(text)} has no type", hint="write --column NAME:TYPE"
            )
        types[name] = logical
    return types


def _added(named: list[str]) -> dict[str, LogicalType | None]:
    """The columns of `--column-added NAME` or `NAME:TYPE`."""
    return dict(_column(text, "--column-added") for text in named)


def _column(text: str, option: str) -> tuple[str, LogicalType | None]:
    """The name and type in `NAME:TYPE`, None for a name without a type."""
    from provreg.core.encoding.canonical import parse_json
    from provreg.core.rows.column import type_from_json

    name, nested, rest = text.partition(":{")
    if not nested:
        name, colon, rest = text.rpartition(":")
        if not colon:
            return text, None
    what = f"{option} {quoted(name)}"
    try:
        written = rest
        if nested:
            data = f"{{{rest}".encode("utf-8", "surrogateescape")
            written = parse_json(data, what=what, limit=_MAX_TYPE)
        return name, type_from_json(written, what)
    except FormatError as error:
        raise UsageError(error.message, hint="docs/format/row.md lists the types") from None
