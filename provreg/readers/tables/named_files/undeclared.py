"""Texts of a table that are the names of files, though no column was said to name files.

Signed as texts, the names stay the same when the files are swapped. Only a few first rows are
looked at: whoever prepares a table so that they show nothing deceives nobody but himself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow.parquet as pq

from provreg.core.rows.column import Column
from provreg.core.rows.files import as_named, names_in, text_paths, with_files
from provreg.errors import InputError
from provreg.readers.data_files.source_file import (
    ByteSlice,
    SourceFile,
    ValueMismatchError,
    open_source,
    stat_source,
)
from provreg.readers.data_files.table_files import files_of_format
from provreg.readers.tables.first_rows import VALUED
from provreg.readers.tables.options import TableOptions
from provreg.readers.tables.parquet.parquet import our_errors
from provreg.readers.tables.rows import HEADED, READERS

if TYPE_CHECKING:
    import pyarrow as pa


# How much of the first file is looked at: bytes of text, rows of Parquet, values of a column.
_BYTES, _ROWS, _VALUES = 1 << 16, 64, 64
_LONGEST = 4096


class TextsOfFiles(NamedTuple):
    """A column, or `column.field`, of names of files, one of them, and whether it is absolute."""

    column: str
    example: str
    absolute: bool


def texts_of_files(
    paths: Sequence[Path], format_: str, options: TableOptions
) -> list[TextsOfFiles]:
    """The columns of text whose first values are, most of them, files that exist: beside the table,
    below a folder among `paths`, or at an absolute path."""
    first = stat_source(files_of_format(paths, format_)[0])
    folders = [first.path.parent, *(path for path in paths if path.is_dir())]
    try:
        texts = _first_texts(first, format_, options)
    except (InputError, ValueMismatchError):
        return []  # reading all of it tells what is wrong
    found = []
    for column, values in texts.items():
        distinct = list(dict.fromkeys(values))[:_VALUES]
        files = [value for value in distinct if _is_file(value, folders)]
        if 2 * len(files) > len(distinct):
            found.append(TextsOfFiles(column, files[0], Path(files[0]).is_absolute()))
    return found


def _is_file(text: str, folders: Sequence[Path]) -> bool:
    if not 0 < len(text) <= _LONGEST or "\0" in text or "\n" in text:
        return False
    return any(os.path.isfile(os.path.join(folder, text)) for folder in folders)  # noqa: PTH113, PTH118


def _first_texts(file: SourceFile, format_: str, options: TableOptions) -> dict[str, list[str]]:
    """The texts in the first rows of `file`, by `column` or `column.field`."""
    texts: dict[str, list[str]] = {}
    if format_ in VALUED:
        for row in _first_objects(file, format_, options):
            for name, value in row.items():
                _collect(texts, name, value)
        return texts
    columns = options.columns or HEADED[format_].columns_of([file], options)
    batch = _first_batch(file, format_, options, columns)
    if batch is None:
        return texts
    for column in columns:
        for path in text_paths(column.type):
            named = with_files(column.type, path)
            if named is not None and column.name in batch.schema.names:
                array = batch.column(column.name)
                values = [names.drop_null().to_pylist() for names, _ in names_in(array, named)]
                texts[".".join((column.name, *path))] = [text for some in values for text in some]
    return texts


def _first_objects(
    file: SourceFile, format_: str, options: TableOptions
) -> Iterator[dict[str, Any]]:
    reader = VALUED[format_]
    for piece in islice(reader.slices(file, options), 1):
        for chunk in islice(reader.chunks(piece), 1):
            for line in chunk[:_BYTES].split(b"\n")[:_ROWS]:
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    continue  # cut off, or blank
                if isinstance(row, dict):
                    yield row


def _collect(texts: dict[str, list[str]], place: str, value: Any) -> None:
    if isinstance(value, str):
        texts.setdefault(place, []).append(value)
    elif isinstance(value, list):
        for element in value:
            _collect(texts, place, element)
    elif isinstance(value, dict):
        for name, inner in value.items():
            _collect(texts, f"{place}.{name}", inner)


def _first_batch(
    file: SourceFile, format_: str, options: TableOptions, columns: tuple[Column, ...]
) -> pa.RecordBatch | None:
    if format_ == "parquet":
        return _first_of_parquet(file, columns)
    table = TableOptions(
        columns=tuple(Column(one.name, as_named(one.type)) for one in columns),
        null_words=options.null_words,
        delimiter=options.delimiter,
        quoting=options.quoting,
    )
    batches = partial(READERS[format_].batches, options=table)
    if file.path.suffix.lower() == f".{format_}":
        try:
            return next(iter(batches(_first_lines(file))), None)
        except (InputError, ValueMismatchError):
            pass  # cut within a field that holds line ends
    first = next(iter(READERS[format_].slices(file, table)), None)
    return None if first is None else next(iter(batches(first)), None)


def _first_lines(file: SourceFile) -> ByteSlice:
    """The first whole lines of a file of plain text, which are read faster than a whole slice."""
    with open_source(file) as stream:
        stop = file.size if file.size <= _BYTES else stream.read(_BYTES).rfind(b"\n") + 1
    return ByteSlice(file, 0, stop)


def _first_of_parquet(file: SourceFile, columns: tuple[Column, ...]) -> pa.RecordBatch | None:
    names = [column.name for column in columns if next(text_paths(column.type), None) is not None]
    with open_source(file) as stream, our_errors(file):
        parquet = pq.ParquetFile(stream, memory_map=False, pre_buffer=False)
        if not names or not parquet.metadata.num_row_groups:
            return None
        return next(parquet.iter_batches(_ROWS, row_groups=[0], columns=names), None)
