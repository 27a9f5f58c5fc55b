"""Options of `ingest` for reading the data, their labels and their origin, as one group."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provreg.cli.ui.options import ORIGIN, READING
from provreg.core.encoding.text import quoted
from provreg.errors import FormatError, UsageError

if TYPE_CHECKING:
    from provreg.core.rows.column import LogicalType
    from provreg.readers.api import ReadOptions

_MAX_TYPE = 1 << 16

FormatOption = Annotated[
    str | None,
    typer.Option(
        metavar="FORMAT",
        rich_help_panel=READING,
        help="Format of the data (docs/reference/readers.md).",
    ),
]
IdOption = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        rich_help_panel=READING,
        help="Column of ids; for shards: stem, shard or content.",
    ),
]
LabelOption = Annotated[
    str | None,
    typer.Option(
        metavar="dir|none|COLUMN",
        rich_help_panel=ORIGIN,
        help="Labels: the last folder, none, a column or a member.",
    ),
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        metavar="dir|file|none|COLUMN",
        rich_help_panel=READING,
        help="Splits: the first folder, the file's name, none, or a column.",
    ),
]
SourceColumnOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", rich_help_panel=ORIGIN, help="Column of sources."),
]
LabelerColumnOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", rich_help_panel=ORIGIN, help="Column of labelers."),
]
LabeledAtColumnOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", rich_help_panel=ORIGIN, help="Column of labeling times."),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME:TYPE",
        rich_help_panel=READING,
        help="Type of a CSV or JSON column. Repeatable.",
    ),
]
NullOption = Annotated[
    list[str] | None,
    typer.Option(
        "--null",
        metavar="WORD",
        rich_help_panel=READING,
        help="Word that means null in CSV. Repeatable.",
    ),
]
DelimiterOption = Annotated[
    str | None,
    typer.Option(metavar="CHARACTER", rich_help_panel=READING, help="Separator of CSV columns."),
]
QuotingOption = Annotated[
    str | None,
    typer.Option(
        metavar="standard|none",
        rich_help_panel=READING,
        help="Whether quotes enclose CSV fields or are ordinary text.",
    ),
]
TimeOption = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        rich_help_panel=READING,
        help="Timestamp column; becomes part of the sample id.",
    ),
]
SplitAtOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TIME",
        rich_help_panel=READING,
        help="With --time: earlier rows are train, later ones test. Twice: also validation.",
    ),
]
LabelsOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", rich_help_panel=ORIGIN, help="File of labels and origins by id."),
]
IncludeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        rich_help_panel=READING,
        help="Read only files whose id matches. Repeatable.",
    ),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        rich_help_panel=READING,
        help="Exclude files whose id matches; x/ excludes a folder. Repeatable.",
    ),
]
RehashOption = Annotated[
    bool,
    typer.Option(
        "--rehash",
        rich_help_panel=READING,
        help="Read every file, even if it looks unchanged.",
    ),
]
Sha256Option = Annotated[
    bool,
    typer.Option(
        "--sha256",
        rich_help_panel=READING,
        help="Also sign the SHA-256 of every file (for export oms).",
    ),
]


@dataclass(frozen=True, slots=True)
class Reading:
    """How the data, their labels and their origin are read."""

    format: FormatOption = None
    id: IdOption = None
    label: LabelOption = None
    split: SplitOption = None
    source_column: SourceColumnOption = None
    labeler_column: LabelerColumnOption = None
    labeled_at_column: LabeledAtColumnOption = None
    column: ColumnOption = None
    null: NullOption = None
    delimiter: DelimiterOption = None
    quoting: QuotingOption = None
    time: TimeOption = None
    split_at: SplitAtOption = None
    labels: LabelsOption = None
    include: IncludeOption = None
    exclude: ExcludeOption = None
    rehash: RehashOption = False
    sha256: Sha256Option = False

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
        )


def _types(declared: list[str]) -> dict[str, LogicalType]:
    """The types of `--column NAME:TYPE`: a type's name or JSON form (docs/format/row.md)."""
    from provreg.core.encoding.canonical import parse_json
    from provreg.core.rows.column import type_from_json

    types = {}
    for text in declared:
        name, nested, rest = text.partition(":{")
        if not nested:
            name, colon, rest = text.rpartition(":")
            if not colon:
                raise UsageError(
                    f"--column {quoted(text)} has no type", hint="write --column NAME:TYPE"
                )
        what = f"--column {quoted(name)}"
        try:
            written = rest
            if nested:
                data = f"{{{rest}".encode("utf-8", "surrogateescape")
                written = parse_json(data, what=what, limit=_MAX_TYPE)
            types[name] = type_from_json(written, what)
        except FormatError as error:
            raise UsageError(error.message, hint="docs/format/row.md lists the types") from None
    return types
