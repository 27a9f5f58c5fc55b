"""Options of `ingest` that say how to read, and what the data say of their labels and origin."""

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
        help="How to read it (docs/reference/readers.md).",
    ),
]
IdOption = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        rich_help_panel=READING,
        help="The column of ids; of shards: stem, shard, content.",
    ),
]
LabelOption = Annotated[
    str | None,
    typer.Option(
        metavar="dir|none|COLUMN",
        rich_help_panel=ORIGIN,
        help="Labels: the last folder, none, a column or member.",
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
    typer.Option(metavar="COLUMN", rich_help_panel=ORIGIN, help="The column of sources."),
]
LabelerColumnOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", rich_help_panel=ORIGIN, help="The column of labelers."),
]
LabeledAtColumnOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", rich_help_panel=ORIGIN, help="The column of labeling times."),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME:TYPE",
        rich_help_panel=READING,
        help="The type of a CSV or JSON column. Repeatable.",
    ),
]
NullOption = Annotated[
    list[str] | None,
    typer.Option(
        "--null",
        metavar="WORD",
        rich_help_panel=READING,
        help="A word that means null in CSV. Repeatable.",
    ),
]
DelimiterOption = Annotated[
    str | None,
    typer.Option(metavar="CHARACTER", rich_help_panel=READING, help="What separates CSV columns."),
]
QuotingOption = Annotated[
    str | None,
    typer.Option(
        metavar="standard|none",
        rich_help_panel=READING,
        help="Whether quotes stand around CSV fields, or are text like others.",
    ),
]
TimeOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", rich_help_panel=READING, help="When a row is; part of its id."),
]
SplitAtOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TIME",
        rich_help_panel=READING,
        help="With --time: train before, test from it on. Twice: validation too.",
    ),
]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", rich_help_panel=ORIGIN, help="A file of labels and origins by id."
    ),
]
IncludeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        rich_help_panel=READING,
        help="Take only files whose id matches. Repeatable.",
    ),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        rich_help_panel=READING,
        help="Leave out files whose id matches, with x/ a folder. Repeatable.",
    ),
]
RehashOption = Annotated[
    bool,
    typer.Option(
        "--rehash",
        rich_help_panel=READING,
        help="Read every file, also those that look unchanged.",
    ),
]
Sha256Option = Annotated[
    bool,
    typer.Option(
        "--sha256",
        rich_help_panel=READING,
        help="Sign the SHA-256 of every file too (export oms).",
    ),
]
