"""A JSON file that is one array of objects, indented or not, read without holding all of it."""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, BinaryIO

from provreg.core.encoding.text import quoted
from provreg.errors import InputError
from provreg.readers.data_files.compression import open_unpacked
from provreg.readers.data_files.source_file import (
    ByteSlice,
    SourceFile,
    ValueMismatchError,
    display,
)
from provreg.readers.tables.text.json_rows import batches_of_lines, check_types
from provreg.readers.tables.text.jsonlines import CHUNK, MAX_ROW

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from provreg.readers.tables.options import TableOptions

_BLANKS = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_LINE_BREAKS = str.maketrans("\r\n", "  ")


def slices(
    file: SourceFile,
    options: TableOptions,  # noqa: ARG001 - as for the other formats
) -> Iterator[ByteSlice]:
    """The whole file."""
    yield ByteSlice(file, 0, file.size)


def batches(piece: ByteSlice, options: TableOptions) -> Iterator[pa.RecordBatch]:
    """The elements, with the columns of `options.columns`, about 8 MiB at a time.

    Raises InputError, and ValueMismatchError for an element that is not an object of these columns.
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
    """The elements as lines: a line break cannot stand inside a JSON text, only between tokens."""
    with open_unpacked(piece.file) as stream:
        lines: list[str] = []
        size = 0
        for element in _Elements(stream, piece.file):
            lines.append(element.translate(_LINE_BREAKS) if "\n" in element else element)
            size += len(element)
            if size >= CHUNK:
                yield ("\n".join(lines) + "\n").encode()
                lines, size = [], 0
        if lines:
            yield ("\n".join(lines) + "\n").encode()


class _Elements:
    """The texts of the objects of one array, each seen to be an object by Python's parser."""

    def __init__(self, stream: BinaryIO, file: SourceFile) -> None:
        self._stream = stream
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._position = 0
        self._ended = False
        self._row = 0

    def __iter__(self) -> Iterator[str]:
        if self._next() != "[":
            raise self._wrong("not an array of objects")
        self._position += 1
        if self._next() == "]":
            self._end()
            return
        while True:
            yield self._element()
            self._row += 1
            separator = self._next()
            self._position += 1
            if separator == "]":
                self._position -= 1
                self._end()
                return
            if separator != ",":
                raise self._wrong(f"row {self._row} is not followed by a comma or a ]")

    def _element(self) -> str:
        if self._next() != "{":
            raise self._wrong(f"row {self._row + 1} is not an object")
        while True:
            try:
                _, end = _DECODER.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                if not self._more():
                    reason = quoted(error.msg)
                    raise self._wrong(f"row {self._row + 1} is not JSON: {reason}") from None
            except (ValueError, RecursionError) as error:
                reason = quoted(str(error))
                raise self._wrong(f"row {self._row + 1} is not JSON: {reason}") from None
            else:
                element = self._text[self._position : end]
                self._position = end
                return element

    def _end(self) -> None:
        self._position += 1
        if self._next():
            raise self._wrong("there is more after the end of the array")

    def _next(self) -> str:
        """The next character that is no blank, not taken; empty at the end of the file."""
        while True:
            blanks = _BLANKS.match(self._text, self._position)
            self._position = blanks.end() if blanks else self._position
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._more():
                return ""

    def _more(self) -> bool:
        """Reads on, at least as much as is waiting, so that a long row is not tried too often."""
        waiting = len(self._text) - self._position
        if self._ended or waiting > MAX_ROW:
            return False
        data = self._stream.read(max(CHUNK, waiting))
        self._ended = not data
        try:
            decoded = self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError:
            raise self._wrong(f"not UTF-8, in or after row {self._row + 1}") from None
        self._text = self._text[self._position :] + decoded
        self._position = 0
        return not self._ended

    def _wrong(self, complaint: str) -> InputError:
        return InputError(
            f"{display(self._file.path)}: {complaint}",
            hint="a .json table is one array of objects; one object a line is .jsonl;"
            " the file may also be cut off",
        )
