"""Hugging Face's ImageFolder, AudioFolder and so on: files beside a table `metadata.csv`.

The table is called `metadata.csv`, `metadata.jsonl` or `metadata.parquet`, at the top or in the
folders of the splits. Its column `file_name`, and all columns `…_file_name` and `…_file_names`,
name files relative to its folder (the documentation of `datasets`, "ImageFolder with metadata").
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from provreg.core.encoding.text import quoted
from provreg.errors import UsageError
from provreg.readers.data_files.source_file import ValueMismatchError, stat_source
from provreg.readers.data_files.table_files import format_of
from provreg.readers.tables.options import TableOptions
from provreg.readers.tables.rows import HEADED
from provreg.readers.tables.text import jsonlines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from provreg.core.rows.column import LogicalType
    from provreg.readers.api import ReadOptions

FILE_NAME = "file_name"
_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_COLUMN = re.compile(r"(?:.+_)?file_name|.+_file_names", re.DOTALL)
# Bytes of a first row.
_FIRST = 1 << 16


def with_folder_metadata(paths: Sequence[Path], options: ReadOptions) -> ReadOptions:
    """`options` for a first version of the folder at `paths`: with the format of its metadata, the
    columns that name files, and `file_name` as the id, as far as they were not given.

    Raises UsageError for metadata in several formats, and as reading their columns does.
    """
    tables = _metadata(paths)
    formats = {str(format_of(table)) for table in tables}
    if options.format is not None:
        formats &= {options.format}
    if not formats or options.file_columns or options.text_columns:
        return options
    if len(formats) > 1:
        raise UsageError(
            f"{quoted(str(paths[0]))} has metadata in several formats",
            hint="choose one: --format " + min(formats),
        )
    format_ = formats.pop()
    table = next(table for table in tables if format_of(table) == format_)
    names = [name for name in _columns(table, format_, options) if _COLUMN.fullmatch(name)]
    if not names:
        return options
    identity = options.id or (FILE_NAME if FILE_NAME in names else None)
    return replace(options, format=format_, id=identity, file_columns=tuple(names))


def _metadata(paths: Sequence[Path]) -> list[Path]:
    """The tables of metadata in the folder at `paths`, and in the folders right inside."""
    if len(paths) != 1 or not paths[0].is_dir():
        return []
    folders = chain(paths, sorted(path for path in paths[0].iterdir() if path.is_dir()))
    found = (folder / name for folder in folders for name in _NAMES)
    return [table for table in found if table.is_file()]


def _columns(table: Path, format_: str, options: ReadOptions) -> list[str]:
    """The names of the columns, of JSON Lines those in the first rows."""
    file = stat_source(table)
    shape = TableOptions(
        types=options.types,
        delimiter=options.delimiter or ",",
        quoting=options.quoting != "none",
    )
    if format_ in HEADED:
        return [column.name for column in HEADED[format_].columns_of([file], shape)]
    columns: dict[str, LogicalType] = {}
    for chunk in islice(
        chain.from_iterable(map(jsonlines.chunks, jsonlines.slices(file, shape))), 1
    ):
        try:
            jsonlines.take_in(columns, chunk[: chunk.find(b"\n", _FIRST) + 1] or chunk, {})
        except ValueMismatchError as misfit:
            raise misfit.in_file(table, 0) from None
    return list(columns)
