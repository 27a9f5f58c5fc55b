"""A first version of rows whose columns only their values tell: columns and samples in one pass.

A slice is read as rows of the columns that are to be expected: those of slices before it, and those
of its first rows. If they fit, it has no others, and its samples are found as well. If they do not,
its values are looked at one by one. Such a slice is read again when the columns of all are known,
and so is one whose integers turn out to stand in a column of floats.
"""

from __future__ import annotations

from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.rows.arrow_types import check_column_names
from provreg.core.rows.column import (
    INT,
    NULL,
    SMALL,
    Column,
    List,
    LogicalType,
    Scalar,
    Struct,
    final_type,
)
from provreg.errors import InputError
from provreg.readers.data_files.source_file import ByteSlice, SourceFile, ValueMismatchError
from provreg.readers.tables.options import TableOptions, check_schema, with_schema
from provreg.readers.tables.rows import drop_null_columns, rows_before, slice_samples
from provreg.readers.tables.samples import samples_of
from provreg.readers.tables.text import json_array, jsonlines
from provreg.readers.tables.text.json_plain import few_cells
from provreg.readers.tables.text.json_rows import UntypedError, batches_at_once, merge_columns
from provreg.readers.tables.text.jsonlines import take_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from provreg.executors.api import Executor

    # Columns by name, in the order of their first appearance; NULL where only nulls were seen.
    Columns: TypeAlias = dict[str, LogicalType]


class _Reader(Protocol):
    """What the modules of these formats offer."""

    def slices(self, file: SourceFile, options: TableOptions) -> Iterator[ByteSlice]: ...

    def chunks(self, piece: ByteSlice) -> Iterator[bytes]: ...


VALUED: dict[str, _Reader] = {"json": json_array, "jsonl": jsonlines}

# Bytes of first rows: enough to see most columns, few enough to be looked at one by one.
_FIRST = 1 << 16


class _Seen(NamedTuple):
    """A slice, columns that it fits, and its samples where they were found under these; `chunks`
    are the bytes and rows of each."""

    piece: ByteSlice
    columns: Columns
    samples: list[pa.RecordBatch] | None
    chunks: list[tuple[int, int]]

    def is_final(self, columns: Columns) -> bool:
        """Whether the samples are those under `columns`, and may be read under them."""
        final = _schema(columns)
        return (
            self.samples is not None
            and _same_types(self.columns, columns)
            and all(few_cells(size, rows, final) for size, rows in self.chunks)
        )


def first_samples(
    files: list[SourceFile],
    format_: str,
    options: TableOptions,
    *,
    executor: Executor,
    progress: Callable[[int], None] | None,
) -> tuple[TableOptions, Iterator[tuple[ByteSlice, list[pa.RecordBatch]]]]:
    """The options with the columns of all rows, and the samples as `slice_samples` has them.

    Raises InputError, also where the values of a column have two types.
    """
    columns: Columns = {}
    pieces = (piece for file in files for piece in VALUED[format_].slices(file, options))
    first = list(islice(pieces, executor.workers))
    # A slice may be said to have any columns that slices before it have: that adds nothing.
    expecting = ((piece, dict(columns)) for piece in chain(first, pieces))
    task = partial(_seen, format_=format_, options=options)
    slices: list[_Seen] = []
    rows = 0
    for seen in executor.map(task, expecting, most=len(first)):
        try:
            merge_columns(columns, seen.columns)
        except UntypedError as error:
            _take_in(columns, seen.piece, format_, options)
            raise InputError(error.complaint, hint=error.hint) from None
        slices.append(seen)
        rows += sum(samples.num_rows for samples in seen.samples or ())
        if progress is not None:
            progress(rows)
    check_column_names(list(columns))
    options = with_schema(options, _schema(columns))
    return options, _completed(slices, columns, format_, options, executor)


def first_columns(
    files: list[SourceFile], format_: str, options: TableOptions, *, executor: Executor
) -> tuple[Column, ...]:
    """The columns of all rows, without samples; as `first_samples`."""
    # Roles are checked once it is known which columns name files.
    shape = TableOptions(
        types=options.types,
        null_words=options.null_words,
        delimiter=options.delimiter,
        quoting=options.quoting,
        excluded=options.excluded,
    )
    settled, found = first_samples(files, format_, shape, executor=executor, progress=None)
    for _ in found:
        pass
    return settled.columns or ()


def _completed(
    slices: list[_Seen], columns: Columns, format_: str, options: TableOptions, executor: Executor
) -> Iterator[tuple[ByteSlice, list[pa.RecordBatch]]]:
    """The samples of all `slices`; those that are not there, or of other types, are read."""
    final = [seen.is_final(columns) for seen in slices]
    left = [seen.piece for seen, done in zip(slices, final, strict=True) if not done]
    found = slice_samples(left, format_, options, executor)
    for seen, done in zip(slices, final, strict=True):
        yield (seen.piece, seen.samples or []) if done else next(found)


def _seen(expecting: tuple[ByteSlice, Columns], *, format_: str, options: TableOptions) -> _Seen:
    piece, expected = expecting
    try:
        return _at_once(piece, expected, format_, options)
    except (ValueMismatchError, InputError, UntypedError):
        # Whatever it is, a closer look finds the same or no fault.
        columns: Columns = {}
        _take_in(columns, piece, format_, options)
        return _Seen(piece, columns, None, [])


def _at_once(piece: ByteSlice, expected: Columns, format_: str, options: TableOptions) -> _Seen:
    """A slice whose rows are of the columns `expected` and those of its first rows.

    Raises ValueMismatchError or InputError where they are not, or that cannot be told.
    """
    columns = dict(expected)
    samples: list[pa.RecordBatch] = []
    chunks: list[tuple[int, int]] = []
    for chunk in VALUED[format_].chunks(piece):
        before = dict(columns)
        first = chunk[: chunk.find(b"\n", _FIRST) + 1] or chunk
        take_in(columns, first, options.types, options.excluded)
        if samples and not _same_types(before, columns):
            raise ValueMismatchError("integers became floats", row=0)
        expecting = tuple(Column(name, logical) for name, logical in columns.items())
        settled_ = with_schema(options, _schema(columns))
        check_schema(settled_)
        rows = 0
        for batch in batches_at_once(chunk, expecting, options.excluded):
            rows += batch.num_rows
            samples.append(drop_null_columns(samples_of(batch, settled_)))
            for name, array in zip(batch.schema.names, batch.columns, strict=True):
                columns[name] = _with_signs(columns[name], array)
        chunks.append((len(chunk), rows))
    return _Seen(piece, columns, samples, chunks)


def _with_signs(logical: LogicalType, values: pa.Array) -> LogicalType:
    """`logical` with INT for SMALL where an integer is below 0: first rows may not have it."""
    if pa.types.is_null(values.type):
        return logical
    match logical:
        case List():
            return List(_with_signs(logical.element, values.flatten()))
        case Struct():
            children = values.flatten()
            return Struct(
                tuple(
                    Column(field.name, _with_signs(field.type, child))
                    for field, child in zip(logical.fields, children, strict=True)
                )
            )
        case Scalar() if logical == INT and logical.form == SMALL.form:
            return INT if (pc.min(values).as_py() or 0) < 0 else logical
    return logical


def _take_in(columns: Columns, piece: ByteSlice, format_: str, options: TableOptions) -> None:
    """Adds the columns of a slice, its values looked at one by one. Raises InputError."""
    rows = 0
    for chunk in VALUED[format_].chunks(piece):
        try:
            take_in(columns, chunk, options.types, options.excluded)
        except ValueMismatchError as misfit:
            before = rows_before(piece, format_, options) + rows
            raise misfit.in_file(piece.file.path, before) from None
        rows += chunk.count(b"\n")


def _schema(columns: Columns) -> tuple[Column, ...]:
    return tuple(Column(name, final_type(logical)) for name, logical in columns.items())


def _same_types(found: Columns, final: Columns) -> bool:
    """Whether values of the columns `found` are the same ones as values of the columns `final`,
    which have been merged with them: no integers that are floats there, or in another form."""
    return all(_same_type(logical, final[name]) for name, logical in found.items())


def _same_type(found: LogicalType, final: LogicalType) -> bool:
    match found, final:
        case List(), List():
            return _same_type(found.element, final.element)
        case Struct(), Struct():
            types = {field.name: field.type for field in final.fields}
            return all(_same_type(field.type, types[field.name]) for field in found.fields)
    if found == INT == final:
        return found.form in (SMALL.form, final.form)
    return found in (NULL, final)
