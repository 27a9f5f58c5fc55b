"""Options of `ingest` for reading the data, their labels and their origin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provreg.cli.ui.options import ORIGIN, READING

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
