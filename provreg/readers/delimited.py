"""CSV (RFC 4180) and other delimited text, as UTF-8, with a header row."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import pyarrow.csv as arrow_csv

from provreg.core.column import TEXT, Column, Decimal, Scalar
from provreg.core.column_arrow import check_names
from provreg.core.text import quoted
from provreg.errors import InputError
from provreg.readers.source_file import MisfitError, Slice, SourceFile, opened, shown
from provreg.readers.typed_text import UNWRITTEN, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provreg.readers.table_options import TableOptions

_BLOCK = 8 << 20
# Put after the file's end as a row of its own. A quote that is never closed would swallow it.
_END = "provreg: end of file"
_ROW_NUMBER = re.compile(r"Row #([0-9]+): ")


def columns_of(
    files: list[SourceFile],
    options: TableOptions,
    *,
    workers: int,  # noqa: ARG001 - as for the other formats
) -> tuple[Column, ...]:
    """The header's columns, text unless declared otherwise. Raises InputError."""
    return tuple(Column(name, options.types.get(name, TEXT)) for name in _header(files[0], options))


def slices(file: SourceFile) -> Iterator[Slice]:
    """The whole file: where rows begin inside of it only reading from its beginning can tell."""
    yield Slice(file, 0, file.size)


def batches(piece: Slice, options: TableOptions) -> Iterator[pa.RecordBatch]:
    """The rows, with the columns of `options.columns`, a block (8 MiB) at a time.

    Raises InputError, and MisfitError for a value that does not fit its column's type.
    """
    columns = options.columns or ()
    for column in columns:
        if not isinstance(column.type, Scalar | Decimal) or column.type in UNWRITTEN:
            raise InputError(f"the type of column {quoted(column.name)} cannot be read from CSV")
    header = _header(piece.file, options)
    _check_header(piece.file, header, columns)
    rows = 0
    for texts in _texts(piece.file, header, options):
        try:
            yield _typed(texts, columns)
        except MisfitError as misfit:
            raise misfit.after(rows) from None
        rows += texts.num_rows


def _typed(texts: pa.RecordBatch, columns: tuple[Column, ...]) -> pa.RecordBatch:
    arrays = []
    for column in columns:
        try:
            arrays.append(parsed(texts.column(column.name), column.type))  # type: ignore[arg-type]
        except MisfitError as misfit:
            complaint = f"column {quoted(column.name)}: {misfit.complaint}"
            raise MisfitError(complaint, row=misfit.row) from None
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def _header(file: SourceFile, options: TableOptions) -> list[str]:
    with opened(file) as stream:
        try:
            names: list[str] = _open(stream, options, {}).schema.names
            check_names(names)
        except UnicodeDecodeError:
            raise InputError(f"{shown(file.path)}: the header is not UTF-8") from None
        except pa.ArrowInvalid as error:
            raise _refusal(file, error) from None
        except InputError as error:
            raise InputError(f"{shown(file.path)}: {error.message}") from None
    return names


def _check_header(file: SourceFile, header: list[str], columns: tuple[Column, ...]) -> None:
    expected = {column.name for column in columns}
    for name in sorted(expected.symmetric_difference(header)):
        there = "lacks the" if name in expected else "has an additional"
        raise InputError(f"{shown(file.path)} {there} column {quoted(name)}")


def _texts(file: SourceFile, header: list[str], options: TableOptions) -> Iterator[pa.RecordBatch]:
    """The fields as texts. Raises InputError for what is not CSV, or not UTF-8."""
    delimiter = (options.delimiter or ",").encode()
    end = b"\n" + _END.encode() + delimiter * (len(header) - 1) + b"\n"
    last: pa.RecordBatch | None = None
    with opened(file) as stream:
        try:
            types = dict.fromkeys(header, pa.string())
            for batch in _open(_Ended(stream, end), options, types):
                if last is not None:
                    yield last
                last = batch if batch.num_rows else last
        except pa.ArrowInvalid as error:
            raise _refusal(file, error) from None
    if last is None or last.column(0)[-1].as_py() != _END:
        raise InputError(f"{shown(file.path)}: a quote is never closed")
    if last.num_rows > 1:
        yield last.slice(0, last.num_rows - 1)


def _open(
    stream: BinaryIO | io.RawIOBase, options: TableOptions, types: dict[str, pa.DataType]
) -> arrow_csv.CSVStreamingReader:
    return arrow_csv.open_csv(
        stream,
        arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK),
        arrow_csv.ParseOptions(delimiter=options.delimiter or ",", newlines_in_values=True),
        arrow_csv.ConvertOptions(
            column_types=types,
            null_values=list(options.null_words),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            check_utf8=True,
        ),
    )


def _refusal(file: SourceFile, error: pa.ArrowInvalid) -> InputError:
    """Arrow's complaint, its row counted as ours are: from 1, without the header."""
    message = str(error)
    found = _ROW_NUMBER.search(message)
    place = f", row {int(found[1]) - 1}" if found else ""
    reason = _ROW_NUMBER.sub("", message)
    return InputError(f"{shown(file.path)}{place}: not readable as CSV: {quoted(reason)}")


class _Ended(io.RawIOBase):
    """A file and some more bytes after its end."""

    def __init__(self, stream: BinaryIO, end: bytes) -> None:
        super().__init__()
        self._parts: list[BinaryIO] = [stream, io.BytesIO(end)]

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, fewer only at the very end."""
        data = self._parts[0].read(size)
        while len(data) < size and len(self._parts) > 1:
            del self._parts[0]
            data += self._parts[0].read(size - len(data))
        return data
