"""CSV (docs/format/row.md, "CSV") and other delimited text, as UTF-8, with a header row.

The bytes of rows are first seen to be of the grammar; then Arrow's parser, which takes more than
that, divides them. It is given whole rows in memory: where it reads a file itself, what it reads
ahead keeps a process from ending after an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as arrow_csv

from provreg.core.encoding.text import quoted
from provreg.core.manifest.columns import nulls
from provreg.core.rows.arrow_types import check_column_count, check_column_names
from provreg.core.rows.column import JSON, TEXT, Column, Decimal, LogicalType, Scalar
from provreg.errors import InputError
from provreg.readers.data_files.compression import END, compression_of, open_unpacked
from provreg.readers.data_files.source_file import (
    ByteSlice,
    SourceFile,
    ValueMismatchError,
    additional_column,
    display,
)
from provreg.readers.tables.text.json_plain import parsed_texts
from provreg.readers.tables.text.typed_text import UNWRITTEN, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provreg.readers.tables.options import TableOptions

_SLICE = 8 << 20
# Most headers end in this much of a file; it is read again for every slice.
_HEADER = 64 << 10
MAX_ROW = 64 << 20  # bytes of one row
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ROW_NUMBER = re.compile(r"Row #([0-9]+): ")
_QUOTE, _CR, _LF = b'"\r\n'
_NONE = np.zeros(0, np.int64)
_AT_A_TIME = 1 << 18  # bytes whose comparisons stay in the processor's cache
_PAIRS_AT_A_TIME = _AT_A_TIME // 4
_BLANK = "a line is blank, which some programs read as a row of nulls"
QUOTES_HINT = (
    "quotes around a field are doubled inside of it; where files have none: --quoting none"
)
_BLANK_HINT = "delete blank lines: those in front of this row, or behind the last one"


def columns_of(files: list[SourceFile], options: TableOptions) -> tuple[Column, ...]:
    """The header's columns that are read, text unless declared otherwise. Raises InputError."""
    names, _ = _header(files[0], options)
    read = (name for name in names if name not in options.excluded)
    return tuple(Column(name, options.types.get(name, TEXT)) for name in read)


def new_columns_of(files: list[SourceFile], options: TableOptions) -> dict[str, LogicalType | None]:
    """Text for each of `options.new_columns` that a header has. Raises InputError."""
    names = {name for file in files for name in _header(file, options)[0]}
    return {name: TEXT if name in names else None for name in options.new_columns}


def slices(file: SourceFile, options: TableOptions) -> Iterator[ByteSlice]:
    """`file` in slices of about 8 MiB, cut where rows end; from where it is no CSV the rest is one
    slice, and a compressed file is one as a whole."""
    if compression_of(file.path) is not None:
        yield ByteSlice(file, 0, END)
        return
    start = 0
    with open_unpacked(file) as stream:
        while file.size - start > _SLICE:
            try:
                rows, found = _rows_at(stream, start, file.size, _SLICE, options)
            except ValueMismatchError:
                break
            if not rows or found.fault is not None or start + len(rows) == file.size:
                break
            yield ByteSlice(file, start, start + len(rows), first_row=0 if start == 0 else None)
            start += len(rows)
    yield ByteSlice(file, start, file.size, first_row=0 if start == 0 else None)


def _rows_at(
    stream: BinaryIO, start: int, stop: int, size: int, options: TableOptions
) -> tuple[bytes, Quoted]:
    """The whole rows in `size` bytes from `start` on, one at least, and what is quoted in them.

    At `stop` the last one ends, or is cut off. Raises ValueMismatchError.
    """
    while True:
        stream.seek(start)
        wanted = min(size, stop - start)
        data = stream.read(wanted)
        ended = start + len(data) == stop or len(data) < wanted
        if start == 0 and data.startswith(_BYTE_ORDER_MARK):
            # As long, and nothing to what comes next.
            data = data.replace(_BYTE_ORDER_MARK, b"\n\n\n", 1)
        found = quoted_in(data, _delimiter(options), quoting=options.quoting)
        if ended:
            return data, found
        if (end := end_of_rows(data, found)) > 0:
            return data[:end], found.until(end)
        if found.fault is not None:
            return data, found
        if size >= MAX_ROW:
            complaint = f"the row is longer than {MAX_ROW} bytes, or a quote is never closed"
            raise ValueMismatchError(complaint, row=0, hint=QUOTES_HINT)
        size = min(2 * size, MAX_ROW)


def _end(file: SourceFile) -> int:
    """Where the text of a file ends, or behind it."""
    return file.size if compression_of(file.path) is None else END


def _delimiter(options: TableOptions) -> bytes:
    return (options.delimiter or ",").encode()


def batches(piece: ByteSlice, options: TableOptions) -> Iterator[pa.RecordBatch]:
    """The rows, with the columns of `options.columns`, about 8 MiB at a time.

    Raises InputError, and ValueMismatchError for a value that does not fit its column's type.
    """
    columns = options.columns or ()
    for column in columns:
        if not isinstance(column.type, Scalar | Decimal) or column.type in UNWRITTEN:
            raise InputError(f"the type of column {quoted(column.name)} cannot be read from CSV")
    header, begin = _header(piece.file, options)
    _check_header(piece.file, header, options)
    rows = 0
    for texts in _texts(piece, header, begin, options):
        try:
            yield _typed(texts, columns)
        except ValueMismatchError as misfit:
            raise misfit.after(rows) from None
        rows += texts.num_rows


def _typed(texts: pa.RecordBatch, columns: tuple[Column, ...]) -> pa.RecordBatch:
    arrays = []
    columns_of_file = dict(zip(texts.schema.names, texts.columns, strict=True))
    for column in columns:
        try:
            array = columns_of_file.get(column.name, nulls(pa.string(), texts.num_rows))
            if column.type == JSON:
                arrays.append(parsed_texts(array))
            else:
                arrays.append(parsed(array, column.type))  # type: ignore[arg-type]
        except ValueMismatchError as misfit:
            complaint = f"column {quoted(column.name)}: {misfit.complaint}"
            raise ValueMismatchError(complaint, row=misfit.row, hint=misfit.hint) from None
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def rows_before(piece: ByteSlice, options: TableOptions) -> int:
    """The number of rows in the file before `piece`, counted: only messages need it."""
    header, begin = _header(piece.file, options)
    earlier = ByteSlice(piece.file, 0, piece.start)
    return sum(texts.num_rows for texts in _texts(earlier, header, begin, options))


def _header(file: SourceFile, options: TableOptions) -> tuple[list[str], int]:
    """The names of the columns, and where the first line ends that has them. Raises InputError."""
    try:
        with open_unpacked(file) as stream:
            start = len(_BYTE_ORDER_MARK) if stream.read(3) == _BYTE_ORDER_MARK else 0
            data, found = _rows_at(stream, start, _end(file), _HEADER, options)
        ends = (int(places[0]) + 1 for places in found.outside(ord("\n"), data) if len(places))
        end = next(ends, len(data))
        line, found = data[:end], found.until(end)
        if not line:
            raise InputError("not readable as CSV: the file is empty")
        if (fault := first_fault(line, found)) is not None:
            complaint = f"not readable as CSV: {fault.complaint}, in the header"
            raise InputError(complaint, hint=fault.hint)
        # Arrow takes kilobytes for each: they are counted before it divides them.
        delimiters = sum(map(len, found.outside(ord(_delimiter(options)), line)))
        check_column_count(delimiters + 1)
        try:
            # Arrow takes no header that nothing follows.
            names: list[str] = _read(line + b"\n", options).schema.names
        except UnicodeDecodeError:
            raise InputError("the header is not UTF-8") from None
        check_column_names(names)
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{display(file.path)}: not readable as CSV: {quoted(str(error))}"
        ) from None
    except ValueMismatchError as misfit:
        raise InputError(f"{display(file.path)}: {misfit.complaint}", hint=misfit.hint) from None
    except InputError as error:
        raise InputError(f"{display(file.path)}: {error.message}", hint=error.hint) from None
    return names, start + end


def _check_header(file: SourceFile, header: list[str], options: TableOptions) -> None:
    expected = {column.name for column in options.columns or ()}
    for name in sorted(expected.symmetric_difference(header) - set(options.excluded)):
        if name not in expected:
            raise additional_column(file, name)
        if name not in options.added:
            raise InputError(f"{display(file.path)} lacks the column {quoted(name)}")


def _texts(
    piece: ByteSlice, header: list[str], begin: int, options: TableOptions
) -> Iterator[pa.RecordBatch]:
    """The fields as texts. Raises ValueMismatchError for what is not CSV, or not UTF-8."""
    position = max(piece.start, begin)
    rows = 0
    with open_unpacked(piece.file) as stream:
        while position < piece.stop:
            try:
                data, found = _rows_at(stream, position, piece.stop, _SLICE, options)
                if not data:
                    break  # the end of a compressed file, or it has become shorter
                texts = _divided(data, found, header, options)
            except ValueMismatchError as misfit:
                raise misfit.after(rows) from None
            if texts is not None:
                yield texts
                rows += texts.num_rows
            position += len(data)


def _divided(
    data: bytes, found: Quoted, header: list[str], options: TableOptions
) -> pa.RecordBatch | None:
    """The fields of whole rows, None where there are none. Raises ValueMismatchError."""
    if not data:
        return None
    if (fault := first_fault(data, found)) is not None:
        before = data[: fault.at]
        start = end_of_rows(before, quoted_in(before, _delimiter(options), quoting=options.quoting))
        rows = _divided(data[:start], found.until(start), header, options)
        row = 0 if rows is None else rows.num_rows
        raise ValueMismatchError(
            f"not readable as CSV: {fault.complaint}", row=row, hint=fault.hint
        )
    # What looks like a byte order mark is one at the beginning of a file only.
    whole = b"\n" + data if data.startswith(_BYTE_ORDER_MARK) else data
    try:
        table = _read(whole, options, header)
    except pa.ArrowInvalid as error:
        message = str(error)
        number = _ROW_NUMBER.search(message)
        complaint = "not readable as CSV: " + quoted(_ROW_NUMBER.sub("", message))
        raise ValueMismatchError(complaint, row=int(number[1]) - 1 if number else 0) from None
    (batch,) = table.combine_chunks().to_batches()
    return batch


def _read(data: bytes, options: TableOptions, names: list[str] | None = None) -> pa.Table:
    """All of `data` by Arrow's parser, as texts; without `names` the first row has them."""
    return arrow_csv.read_csv(
        pa.BufferReader(data),
        arrow_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
        arrow_csv.ParseOptions(
            delimiter=options.delimiter or ",",
            quote_char='"' if options.quoting else False,
            newlines_in_values=options.quoting,
        ),
        arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names or [], pa.string()),
            null_values=list(options.null_words),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            check_utf8=True,
        ),
    )


Places: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fault:
    """Where bytes first break the grammar, how, and what to do."""

    at: int
    complaint: str
    hint: str = QUOTES_HINT


@dataclass(frozen=True, slots=True)
class Quoted:
    """Where quoted stretches are opened and closed; a quote that is doubled closes one and opens
    the next. The last one may be open. Nothing is known from `fault` on, where text stands behind
    a closing quote."""

    opened: Places
    closed: Places
    fault: int | None = None

    def holds(self, places: Places) -> npt.NDArray[np.bool_]:
        """Which of `places` lie inside of quotes."""
        opened = np.searchsorted(self.opened, places)
        inside: npt.NDArray[np.bool_] = opened > np.searchsorted(self.closed, places, side="right")
        return inside

    def outside(self, character: int, data: bytes) -> Iterator[Places]:
        """Where `character` stands outside of quotes in `data`, a part of it at a time."""
        characters = np.frombuffer(data, np.uint8)
        for start in range(0, len(characters), _AT_A_TIME):
            places = np.flatnonzero(characters[start : start + _AT_A_TIME] == character) + start
            yield places[~self.holds(places)]

    def until(self, end: int) -> Quoted:
        """What is known of the bytes before `end`."""
        opened, closed = (
            int(np.searchsorted(places, end)) for places in (self.opened, self.closed)
        )
        fault = self.fault if self.fault is not None and self.fault < end else None
        return Quoted(self.opened[:opened], self.closed[:closed], fault)


def quoted_in(data: bytes, delimiter: bytes, *, quoting: bool) -> Quoted:
    """The quoted stretches of `data`, which begins with a row; its last row may be cut off."""
    if not quoting or b'"' not in data:
        return Quoted(_NONE, _NONE)
    characters = np.frombuffer(data, np.uint8)
    quotes = _places_of(_QUOTE, characters)
    opened, closed = quotes[::2], quotes[1::2]
    # Every other quote opens, and those between close, where they stand where only such can.
    before = characters[opened[np.searchsorted(opened, 1) :] - 1].tobytes()
    after = characters[closed[: np.searchsorted(closed, len(data) - 1)] + 1].tobytes()
    # What is not removed stands where it should not: in a sixth of the time that `strip` takes.
    if before.translate(None, b'"\n' + delimiter) or after.translate(None, b'"\r\n' + delimiter):
        return _one_by_one(data, quotes.tolist(), delimiter)
    return Quoted(opened, closed)


def _places_of(character: int, characters: npt.NDArray[np.uint8]) -> Places:
    parts = [
        np.flatnonzero(characters[start : start + _AT_A_TIME] == character) + start
        for start in range(0, len(characters), _AT_A_TIME)
    ]
    return np.concatenate(parts)


def _one_by_one(data: bytes, quotes: list[int], delimiter: bytes) -> Quoted:
    begins, ends = b"\n" + delimiter, b"\r\n" + delimiter
    opened: list[int] = []
    closed: list[int] = []
    fault = None
    count, k = len(quotes), 0
    while k < count:
        at = quotes[k]
        k += 1
        if at and data[at - 1] not in begins:
            continue
        opened.append(at)
        while k + 1 < count and quotes[k + 1] == quotes[k] + 1:
            k += 2
        if k == count:
            break
        closed.append(quotes[k])
        k += 1
        after = closed[-1] + 1
        if after < len(data) and data[after] not in ends:
            fault = after
            break
    return Quoted(np.array(opened, np.int64), np.array(closed, np.int64), fault)


def end_of_rows(data: bytes, quoted: Quoted) -> int:
    """Where the last row that ends in `data` does; 0 where there is none."""
    end = len(data) if quoted.fault is None else quoted.fault
    while (end := data.rfind(b"\n", 0, end)) >= 0:
        before = int(np.searchsorted(quoted.opened, end))
        if before == 0 or (before <= len(quoted.closed) and quoted.closed[before - 1] < end):
            return end + 1
        end = int(quoted.opened[before - 1])
    return 0


def first_fault(data: bytes, quoted: Quoted) -> Fault | None:
    """Where `data`, whole rows, first breaks the grammar; None where it does not."""
    faults = []
    if (at := data.find(b"\0")) >= 0:
        faults.append(Fault(at, "a NUL character"))
    if quoted.fault is not None:
        faults.append(Fault(quoted.fault, "text stands behind a closing quote"))
    if len(quoted.opened) > len(quoted.closed):
        faults.append(Fault(int(quoted.opened[-1]), "a quote is never closed"))
    characters = np.frombuffer(data, np.uint8)
    blank = _feeds_behind_feeds(characters)
    if b"\r" in data:
        returns = _places_of(_CR, characters)
        # Behind one at the very end stands as little a line feed as in its own place.
        following = characters[np.minimum(returns + 1, len(data) - 1)]
        alone = returns[following != _LF]
        alone = alone[~quoted.holds(alone)]
        complaint = "a carriage return stands without a line feed"
        faults += [Fault(int(at), complaint) for at in alone[:1]]
        begins = (returns == 0) | (characters[returns - 1] == _LF)
        blank = np.union1d(blank, returns[begins & (following == _LF)])
    blank = blank[~quoted.holds(blank)]
    faults += [Fault(int(at), _BLANK, _BLANK_HINT) for at in blank[:1]]
    return min(faults, key=lambda fault: fault.at, default=None)


def _feeds_behind_feeds(characters: npt.NDArray[np.uint8]) -> Places:
    """Where a line feed stands directly behind another one, or first of all."""
    parts = [np.flatnonzero(characters[:1] == _LF)]
    for start in range(0, len(characters), _PAIRS_AT_A_TIME):
        feeds = characters[start : start + _PAIRS_AT_A_TIME + 1] == _LF
        both = feeds[1:] & feeds[:-1]
        if both.any():  # hardly ever, and seen faster than where
            parts.append(np.flatnonzero(both) + start + 1)
    return np.concatenate(parts)
