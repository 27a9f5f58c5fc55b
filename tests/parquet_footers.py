"""Parquet files whose footers say something else: what a hostile writer of data makes."""

from __future__ import annotations

# Where in a footer the place of something in the file stands: row groups, columns, pages, indices.
_PLACES = {(4, 1, 2), (4, 1, 4), (4, 1, 6), (4, 1, 3, 9), (4, 1, 3, 10), (4, 1, 3, 11), (4, 5)}
_LENGTHS = {3: 1, 7: 8}  # a byte, a double


def moved(data: bytes, by: int) -> bytes:
    """A Parquet file behind `by` zeros, with all its offsets that much further on."""
    size = int.from_bytes(data[-8:-4], "little")
    start = len(data) - 8 - size
    footer = _Footer(data[start:-8], by).rewritten()
    return bytes(by) + data[:start] + footer + len(footer).to_bytes(4, "little") + data[-4:]


class _Footer:
    """A footer in Thrift's compact protocol, copied with other offsets."""

    def __init__(self, data: bytes, by: int) -> None:
        self._data, self._at, self._by = data, 0, by
        self._out = bytearray()

    def rewritten(self) -> bytes:
        self._struct(())
        assert self._at == len(self._data)
        return bytes(self._out)

    def _copy(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        self._at += count
        self._out += taken
        return taken

    def _number(self) -> int:
        value = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def _write(self, value: int) -> None:
        while value >= 0x80:
            self._out.append(value & 0x7F | 0x80)
            value >>= 7
        self._out.append(value)

    def _struct(self, path: tuple[int, ...]) -> None:
        field = 0
        while head := self._copy(1)[0]:
            if head >> 4:
                field += head >> 4
            else:
                said = self._number()
                self._write(said)
                field = said >> 1 ^ -(said & 1)
            self._value(head & 15, (*path, field))

    def _value(self, kind: int, path: tuple[int, ...], *, listed: bool = False) -> None:
        if kind in (1, 2):  # true and false have no byte of their own but in lists
            self._copy(1 if listed else 0)
        elif kind in _LENGTHS:
            self._copy(_LENGTHS[kind])
        elif kind in (4, 5, 6):
            number = self._number()
            # Zigzag: all places are positive.
            self._write(number + 2 * self._by if path in _PLACES and number else number)
        elif kind == 8:
            size = self._number()
            self._write(size)
            self._copy(size)
        elif kind in (9, 10):
            head = self._copy(1)[0]
            count = head >> 4
            if count == 15:
                count = self._number()
                self._write(count)
            for _ in range(count):
                self._value(head & 15, path, listed=True)
        elif kind == 12:
            self._struct(path)
        else:
            raise AssertionError(f"a Parquet footer has no values of the kind {kind}")
