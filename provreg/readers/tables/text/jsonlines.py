"""JSON Lines: one object a line, UTF-8. Missing keys and nulls are the same."""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

from provreg.core.encoding.text import quoted
from provreg.core.rows.column import LogicalType
from provreg.errors import InputError
from provreg.readers.data_files.compression import END, compression_of, open_unpacked
from provreg.readers.data_files.source_file import (
    ByteSlice,
    SourceFile,
    ValueMismatchError,
    display,
)
from provreg.readers.tables.text.json_rows import (
    UntypedError,
    batches_of_lines,
    check_types,
    inferred,
    json_lines_of,
    merge_columns,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import pyarrow as pa

    from provreg.readers.tables.options import TableOptions

CHUNK = 8 << 20
MAX_ROW = 64 << 20  # bytes of one row
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STEP = 1 << 16
_SURROGATE = re.compile(rb"\\u[dD]")  # perhaps half a pair, which no UTF-8 can hold


def take_in(
    columns: dict[str, LogicalType],
    data: bytes,
    declared: Mapping[str, LogicalType],
    excluded: Collection[str] = (),
) -> None:
    """Adds what the rows of `data` say of columns that are not `excluded`; NULL where only nulls
    were seen.

    Raises ValueMismatchError at a row that is not an object, and at the first row whose values have
    no type in common with those before it.
    """
    rows = _parsed_together(data)
    if rows is None:
        rows = [_parsed_alone(line, number) for number, line in enumerate(json_lines_of(data))]
    for row in rows if excluded else ():
        for name in excluded:
            row.pop(name, None)
    try:
        found = _with(columns, rows, declared)
    except UntypedError:
        fit, unfit = 0, len(rows)
        while unfit - fit > 1:
            middle = (fit + unfit) // 2
            try:
                _with(columns, rows[:middle], declared)
            except UntypedError:
                unfit = middle
            else:
                fit = middle
        try:
            found = _with(columns, rows[:unfit], declared)
        except UntypedError as error:
            raise ValueMismatchError(error.complaint, row=fit, hint=error.hint) from None
    columns.update(found)


def _with(
    columns: Mapping[str, LogicalType],
    rows: list[dict[str, Any]],
    declared: Mapping[str, LogicalType],
) -> dict[str, LogicalType]:
    """`columns` and those of `rows`. Raises UntypedError."""
    found = inferred(rows, frozenset(declared))
    names = dict.fromkeys(chain.from_iterable(rows))
    both = dict(columns)
    merge_columns(both, {name: declared.get(name) or found[name] for name in names})
    return both


def _parsed_together(data: bytes) -> list[dict[str, Any]] | None:
    """All rows at once, which is faster; None where they need a closer look."""
    lines = json_lines_of(data)
    if _SURROGATE.search(data):
        return None
    try:
        rows = json.loads((b"[" + b",".join(lines) + b"]").decode())
    except (ValueError, RecursionError):
        return None
    if len(rows) != len(lines) or not all(line.startswith(b"{") for line in lines):
        return None
    return rows if all(type(row) is dict for row in rows) else None


def _parsed_alone(line: bytes, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line.decode())
        if _SURROGATE.search(line):
            json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ValueMismatchError(f"not a JSON object: {quoted(str(error))}", row=number) from None
    if not isinstance(row, dict):
        raise ValueMismatchError("not a JSON object", row=number)
    return row


def slices(
    file: SourceFile,
    options: TableOptions,  # noqa: ARG001 - as for the other formats
) -> Iterator[ByteSlice]:
    """`file` in chunks of about 8 MiB, cut at line ends; a compressed file is one slice. Raises
    InputError for longer rows than MAX_ROW."""
    if compression_of(file.path) is not None:
        yield ByteSlice(file, 0, END)
        return
    start = 0
    with open_unpacked(file) as stream:
        while start < file.size:
            stop = _line_end(stream, start + CHUNK, file)
            yield ByteSlice(file, start, stop, first_row=0 if start == 0 else None)
            start = stop


def batches(piece: ByteSlice, options: TableOptions) -> Iterator[pa.RecordBatch]:
    """The rows of `piece`, with the columns of `options.columns`, in few batches.

    Raises InputError, and ValueMismatchError for a row that is not an object of these columns.
    """
    columns = options.columns or ()
    check_types(columns)
    rows = 0
    for chunk in chunks(piece):
        before = rows
        try:
            for batch in batches_of_lines(chunk, columns, options.excluded):
                yield batch
                rows += batch.num_rows
        except ValueMismatchError as misfit:
            raise misfit.after(before) from None


def chunks(piece: ByteSlice) -> Iterator[bytes]:
    """The lines of `piece`: all at once, of a compressed file about 8 MiB at a time."""
    if compression_of(piece.file.path) is not None:
        yield from _unpacked_lines(piece.file)
        return
    with open_unpacked(piece.file) as stream:
        stream.seek(piece.start)
        data = stream.read(piece.stop - piece.start)
    yield data.removeprefix(_BYTE_ORDER_MARK) if piece.start == 0 else data


def _unpacked_lines(file: SourceFile) -> Iterator[bytes]:
    """The lines of a compressed file, many at a time. Raises InputError for one longer than
    MAX_ROW."""
    begin, start = b"", True
    with open_unpacked(file) as stream:
        while data := stream.read(CHUNK):
            lines = begin + (data.removeprefix(_BYTE_ORDER_MARK) if start else data)
            start = False
            end = lines.rfind(b"\n") + 1
            begin = lines[end:]
            if len(begin) > MAX_ROW:
                raise _long_line(file)
            if end:
                yield lines[:end]
    if begin:
        yield begin


def rows_before(piece: ByteSlice) -> int:
    """The number of rows in the file before `piece`, counted: only messages need it."""
    rows = 0
    with open_unpacked(piece.file) as stream:
        start = 0
        while start < piece.start:
            stop = min(_line_end(stream, start + CHUNK, piece.file), piece.start)
            stream.seek(start)
            rows += len(json_lines_of(stream.read(stop - start)))
            start = stop
    return rows


def _line_end(stream: BinaryIO, position: int, file: SourceFile) -> int:
    """Where the line that holds the byte before `position` ends."""
    stream.seek(position - 1)
    for step in range(0, MAX_ROW, _STEP):
        data = stream.read(_STEP)
        found = data.find(b"\n")
        if found >= 0:
            return position + step + found
        if len(data) < _STEP:
            return file.size
    raise _long_line(file)


def _long_line(file: SourceFile) -> InputError:
    return InputError(f"{display(file.path)}: a line is longer than {MAX_ROW} bytes")
