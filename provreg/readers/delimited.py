"""CSV (RFC 4180) and other delimited text, as UTF-8, with a header row."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
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

_SLICE = 8 << 20
_BLOCK = _SLICE
# Most headers end in this much of a file; it is read again for every slice.
_HEADER = 64 << 10
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_QUOTE = ord('"')
# Put after a slice's end as a row of its own. A quote that is never closed would swallow it.
_END = "provreg: end of file"
_ROW_NUMBER = re.compile(r"Row #([0-9]+): ")


def columns_of(files: list[SourceFile], options: TableOptions) -> tuple[Column, ...]:
    """The header's columns, text unless declared otherwise. Raises InputError."""
    return tuple(Column(name, options.types.get(name, TEXT)) for name in _header(files[0], options))


def slices(file: SourceFile, options: TableOptions) -> Iterator[Slice]:
    """`file` in slices of up to 8 MiB, cut where rows end.

    From where that cannot be told without reading all that comes before, the rest is one slice.
    """
    delimiter = (options.delimiter or ",").encode()
    start = 0
    with opened(file) as stream:
        while file.size - start > _SLICE:
            stream.seek(start)
            block = stream.read(_SLICE)
            if start == 0 and block.startswith(_BYTE_ORDER_MARK):
                block = block.replace(_BYTE_ORDER_MARK, b"\n" * len(_BYTE_ORDER_MARK), 1)
            stop = start + _end_of_rows(block, delimiter)
            if stop == start or (start == 0 and not block[:stop].strip(b"\r\n")):
                break  # nothing to go by, or not even the header
            yield Slice(file, start, stop, first_row=0 if start == 0 else None)
            start = stop
    yield Slice(file, start, file.size, first_row=0 if start == 0 else None)


def _end_of_rows(block: bytes, delimiter: bytes) -> int:
    """Where the last row that ends in `block` does; 0 where there is none or it cannot be told.

    `block` begins with a row. A quote begins a quoted field only where a field begins, and is a
    character like others elsewhere. Where every other one of them stands where a field begins, or
    after a quote that it doubles, those between end the quoted fields. So a line break is inside of
    one if an odd number of quotes comes before it.
    """
    if b'"' not in block:
        return block.rfind(b"\n") + 1
    data = np.frombuffer(block, np.uint8)
    quotes = np.flatnonzero(data == _QUOTE)
    beginning = quotes[::2][quotes[::2] > 0]
    may_precede = np.zeros(256, np.bool_)
    may_precede[list(delimiter + b'"\r\n')] = True
    if not may_precede[data[beginning - 1]].all():
        return 0
    end = len(block)
    while (end := block.rfind(b"\n", 0, end)) >= 0:
        before = int(np.searchsorted(quotes, end))
        if before % 2 == 0:
            return end + 1
        end = int(quotes[before - 1])
    return 0


def batches(piece: Slice, options: TableOptions) -> Iterator[pa.RecordBatch]:
    """The rows, with the columns of `options.columns`, up to 8 MiB at a time.

    Raises InputError, and MisfitError for a value that does not fit its column's type.
    """
    columns = options.columns or ()
    for column in columns:
        if not isinstance(column.type, Scalar | Decimal) or column.type in UNWRITTEN:
            raise InputError(f"the type of column {quoted(column.name)} cannot be read from CSV")
    header = _header(piece.file, options)
    _check_header(piece.file, header, columns)
    rows = 0
    for texts in _texts(piece, header, options):
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


def rows_before(piece: Slice, options: TableOptions) -> int:
    """The number of rows in the file before `piece`, counted: only messages need it."""
    header = _header(piece.file, options)
    earlier = Slice(piece.file, 0, piece.start)
    return sum(texts.num_rows for texts in _texts(earlier, header, options))


def _header(file: SourceFile, options: TableOptions) -> list[str]:
    with opened(file) as stream:
        try:
            try:
                names: list[str] = _open(stream, options, {}, _HEADER).schema.names
            except pa.ArrowInvalid:
                stream.seek(0)
                names = _open(stream, options, {}, _BLOCK).schema.names
            check_names(names)
        except UnicodeDecodeError:
            raise InputError(f"{shown(file.path)}: the header is not UTF-8") from None
        except pa.ArrowInvalid as error:
            refusal = _refusal(Slice(file, 0, file.size), error)
            if isinstance(refusal, MisfitError):
                refusal = refusal.in_file(file.path, 0)
            raise refusal from None
        except InputError as error:
            raise InputError(f"{shown(file.path)}: {error.message}") from None
    return names


def _check_header(file: SourceFile, header: list[str], columns: tuple[Column, ...]) -> None:
    expected = {column.name for column in columns}
    for name in sorted(expected.symmetric_difference(header)):
        there = "lacks the" if name in expected else "has an additional"
        raise InputError(f"{shown(file.path)} {there} column {quoted(name)}")


def _texts(piece: Slice, header: list[str], options: TableOptions) -> Iterator[pa.RecordBatch]:
    """The fields as texts. Raises InputError or MisfitError for what is not CSV, or not UTF-8."""
    delimiter = (options.delimiter or ",").encode()
    end = b"\n" + _END.encode() + delimiter * (len(header) - 1) + b"\n"
    types = dict.fromkeys(header, pa.string())
    # With the line break before it, so that nothing in a later slice is the file's byte order mark.
    start = max(0, piece.start - 1)
    last: pa.RecordBatch | None = None
    with opened(piece.file) as stream:
        stream.seek(start)
        ended = _Ended(stream, piece.stop - start, end)
        try:
            # The first slice brings its header. One that is no longer than a block is read as one.
            names = header if start else None
            for batch in _open(ended, options, types, _BLOCK + len(end), names):
                if last is not None:
                    yield last
                last = batch if batch.num_rows else last
        except pa.ArrowInvalid as error:
            raise _refusal(piece, error) from None
    if last is None or last.column(0)[-1].as_py() != _END:
        raise InputError(f"{shown(piece.file.path)}: a quote is never closed")
    if last.num_rows > 1:
        yield last.slice(0, last.num_rows - 1)


def _open(
    stream: BinaryIO | io.RawIOBase,
    options: TableOptions,
    types: dict[str, pa.DataType],
    block: int,
    names: list[str] | None = None,
) -> arrow_csv.CSVStreamingReader:
    return arrow_csv.open_csv(
        stream,
        arrow_csv.ReadOptions(use_threads=False, block_size=block, column_names=names),
        arrow_csv.ParseOptions(delimiter=options.delimiter or ",", newlines_in_values=True),
        arrow_csv.ConvertOptions(
            column_types=types,
            null_values=list(options.null_words),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            check_utf8=True,
        ),
    )


def _refusal(piece: Slice, error: pa.ArrowInvalid) -> InputError | MisfitError:
    """Arrow's complaint, with the row where it names one."""
    message = str(error)
    found = _ROW_NUMBER.search(message)
    complaint = "not readable as CSV: " + quoted(_ROW_NUMBER.sub("", message))
    if found is None:
        return InputError(f"{shown(piece.file.path)}: {complaint}")
    # Arrow counts from 1, and a header too.
    return MisfitError(complaint, row=int(found[1]) - (1 if piece.start else 2))


class _Ended(io.RawIOBase):
    """`size` bytes of a file, from where it stands, and some more after their end."""

    def __init__(self, stream: BinaryIO, size: int, end: bytes) -> None:
        super().__init__()
        self._stream = stream
        self._left = size
        self._end = end

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes, fewer only at the very end."""
        data = self._stream.read(min(size, self._left))
        self._left -= len(data)
        if len(data) < size:
            more = size - len(data)
            data += self._end[:more]
            self._end = self._end[more:]
        return data
