"""The members of a zip archive and their bytes, as every program must read them.

A zip archive says everything twice: in the table of contents at its end, and before each member,
for programs that read it from front to back. Both must say the same here, and every byte of the
archive must belong to a member, to the table or to its end: what is left over is another archive to
somebody. Python's `zipfile` looks at the table alone, and lets bytes lie anywhere.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from provreg.core.encoding.text import quoted
from provreg.errors import InputError
from provreg.readers.files.safe_open import DEEPEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

STORED, DEFLATED = 0, 8
DAMAGED = "the archive may be damaged: pack it again"

_LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_DESCRIPTORS = (struct.Struct("<III"), struct.Struct("<IQQ"))
_IS_LOCAL, _IS_ENTRY, _IS_DESCRIPTOR = b"PK\x03\x04", b"PK\x01\x02", b"PK\x07\x08"
_IS_END, _IS_END64, _IS_LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_MOST_COMMENT = 0xFFFF
_IN_ZIP64, _MANY = 0xFFFFFFFF, 0xFFFF
_NEWEST = 63
_ENCRYPTED, _LEVEL, _BEHIND, _PATCH, _UTF8 = 0x1 | 0x40 | 0x2000, 0x6, 0x8, 0x20, 0x800
# MS-DOS's mark of a folder, which some programs believe more than the name.
_FOLDER = 0x10
_EMPTY = b"\x03\x00"
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
# Extra fields that give a member neither name nor bytes nor kind: times, owners, a comment, and
# padding. One that is not known might.
_HARMLESS = frozenset({0x000A, 0x5455, 0x5855, 0x7855, 0x7875, 0x6375, 0xCAFE, 0xA220, 0xD935})
_CHUNK = 1024 * 1024


class Member(NamedTuple):
    """A file in an archive: where its packed bytes begin, how many they are, and how many come out;
    `method` is STORED or DEFLATED, `checksum` the CRC-32 it must have."""

    name: str
    offset: int
    packed: int
    size: int
    method: int
    checksum: int


class _Entry(NamedTuple):
    """A row of the table of contents; `raw` is its name as it stands there."""

    raw: bytes
    name: str
    flags: int
    method: int
    checksum: int
    packed: int
    size: int
    offset: int


def members_of(stream: BinaryIO, place: str) -> list[Member]:
    """The files in the archive, folders passed over, in the order of their bytes.

    `place` names the archive in messages. Raises InputError, naming the member: for what is no
    archive or damaged, has bytes that belong to nothing, or says two things anywhere; for encrypted
    members, links and devices, members packed otherwise than by deflate, names that are not UTF-8
    or hold a backslash, names that stand twice or are a file and a folder, and for extra fields
    that are unknown.
    """
    file = stream.fileno()
    begin, length, count = _end(file, place)
    rows = sorted(
        _entries(os.pread(file, length, begin), count, place), key=lambda entry: entry.offset
    )
    _check_names(rows, place)
    found: list[Member] = []
    free = 0
    for row, beyond in zip(rows, [*(row.offset for row in rows[1:]), begin], strict=True):
        if row.offset != free:
            raise _beside(row, free, place)
        offset = _begin(file, row, place)
        free = _after(file, row, offset, beyond, place)
        if not row.name.endswith("/"):
            found.append(Member(row.name, offset, row.packed, row.size, row.method, row.checksum))
        elif row.packed and os.pread(file, row.packed, offset) != _EMPTY:
            raise _wrong(place, f"the folder {quoted(row.name)} has bytes", row.name)
    if free != begin:
        raise _wrong(place, "holds bytes that belong to no file")
    return found


def _wrong(place: str, complaint: str, name: str = "", hint: str = DAMAGED) -> InputError:
    return InputError(f"{place}: {complaint}", sample=name or None, hint=hint)


def _beside(row: _Entry, free: int, place: str) -> InputError:
    name = quoted(row.name)
    if row.offset < free:
        return _wrong(place, f"{name} overlaps what is beside it", row.name)
    return _wrong(place, f"holds bytes before {name} that belong to no file", row.name)


def _end(file: int, place: str) -> tuple[int, int, int]:
    """Where the table of contents begins, its length and number of entries, by the records that end
    the archive."""
    size = os.fstat(file).st_size
    last = os.pread(file, _END.size + _MOST_COMMENT, max(0, size - _END.size - _MOST_COMMENT))
    ends = [at for at in _all(_IS_END, last) if at + _END.size <= len(last)]
    if not ends:
        raise _wrong(place, "not a valid zip archive: it has no table of contents")
    whole = [at for at in ends if at + _END.size + _END.unpack_from(last, at)[-1] == len(last)]
    if whole != ends[-1:]:
        raise _wrong(place, "begins or ends with something else")
    _, disk, first_disk, here, count, length, begin, _ = _END.unpack_from(last, ends[-1])
    place_of_end = size - len(last) + ends[-1]
    if (disk, first_disk, here) != (0, 0, count):
        raise _wrong(place, "not a valid zip archive: it is one of several parts")
    locator = os.pread(file, _LOCATOR.size, max(0, place_of_end - _LOCATOR.size))
    if locator.startswith(_IS_LOCATOR) and place_of_end >= _LOCATOR.size + _END64.size:
        place_of_end -= _LOCATOR.size + _END64.size
        _, disk, at, disks = _LOCATOR.unpack(locator)
        fields = _END64.unpack(os.pread(file, _END64.size, place_of_end))
        if (disk, at, fields[0], fields[1]) != (0, place_of_end, _IS_END64, _END64.size - 12) or (
            disks > 1 or fields[4:6] != (0, 0) or fields[6] != fields[7]
        ):
            raise _wrong(place, "not a valid zip archive: its end records disagree")
        pairs = (
            (count, fields[7], _MANY),
            (length, fields[8], _IN_ZIP64),
            (begin, fields[9], _IN_ZIP64),
        )
        if any(narrow not in {wide, none} for narrow, wide, none in pairs):
            raise _wrong(place, "not a valid zip archive: its end records disagree")
        count, length, begin = fields[7:10]
    # Something before the archive moves all that it tells.
    if begin + length != place_of_end:
        raise _wrong(place, "begins or ends with something else")
    return begin, length, count


def _all(mark: bytes, data: bytes) -> Iterator[int]:
    at = data.find(mark)
    while at >= 0:
        yield at
        at = data.find(mark, at + 1)


def _entries(table: bytes, count: int, place: str) -> Iterator[_Entry]:
    """The rows of the table of contents, each checked by itself."""
    at = found = 0
    while at < len(table):
        if len(table) - at < _ENTRY.size or not table.startswith(_IS_ENTRY, at):
            raise _wrong(place, "not a valid zip archive: its table of contents is damaged")
        header = _ENTRY.unpack_from(table, at)
        needed, flags, method, checksum, *sizes = header[2:5] + header[7:10]
        lengths, disk, attributes, offset = header[10:13], header[13], header[15], header[16]
        at += _ENTRY.size + sum(lengths)
        if at > len(table):
            raise _wrong(place, "not a valid zip archive: its table of contents is damaged")
        begin = at - sum(lengths)
        raw, extra = table[begin : begin + lengths[0]], table[begin + lengths[0] : at - lengths[2]]
        shown = raw.decode("utf-8", "replace")
        fields = _extra_fields(extra, shown, place)
        name = _name(raw, flags, fields, place)
        wide = _wide((sizes[1], sizes[0], offset), fields.get(_ZIP64))
        if wide is None or disk:
            raise _wrong(place, f"{quoted(name)} has two sizes or places", name)
        size, packed, offset = wide
        row = _Entry(raw, name, flags, method, checksum, packed, size, offset)
        if complaint := _complaint(row, needed & 0xFF, attributes):
            raise InputError(f"{place}: {quoted(name)} {complaint}", sample=name)
        found += 1
        yield row
    if found != count:
        raise _wrong(place, "not a valid zip archive: its table of contents is of another length")


def _extra_fields(data: bytes, name: str, place: str) -> dict[int, bytes]:
    """The extra fields in `data`, by number."""
    fields: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        number, length = struct.unpack_from("<HH", data, at) if len(data) - at >= 4 else (0, _MANY)
        at += 4 + length
        if at > len(data) or number in fields:
            raise _wrong(place, f"the extra fields of {quoted(name)} are damaged", name)
        if number not in _HARMLESS and number not in {_ZIP64, _UNICODE_PATH}:
            raise _wrong(
                place,
                f"{quoted(name)} has the extra field {number:#06x}, which is unknown here",
                name,
                "pack the archive again with another program, such as zip, 7-Zip or Python",
            )
        fields[number] = data[at - length : at]
    return fields


def _name(raw: bytes, flags: int, fields: dict[int, bytes], place: str) -> str:
    """The name of a member, its mark as UTF-8 set or not."""
    shown = quoted(repr(raw)[1:])
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        marked = "is not UTF-8" if flags & _UTF8 else "is not UTF-8, nor marked as such (bit 11)"
        raise _wrong(
            place,
            f"the name {shown} {marked}",
            hint="pack the archive again with a program that writes UTF-8 names: Python, 7-Zip,"
            " Finder, or zip where the system's names are UTF-8",
        ) from None
    also = fields.get(_UNICODE_PATH)
    if also is not None and also != b"\x01" + zlib.crc32(raw).to_bytes(4, "little") + raw:
        raise _wrong(place, f"{quoted(name)} has two names: another in its Unicode path", name)
    if not name or "\0" in name:
        raise _wrong(place, f"{shown} has two names, or none: others end it at the null byte", name)
    if "\\" in name:
        raise _wrong(place, f"{quoted(name)} holds a backslash", name, "")
    return name


def _complaint(row: _Entry, needed: int, attributes: int) -> str:
    """What is wrong with a row by itself."""
    # Of all systems: programs differ in which ones they believe to have modes.
    kind = stat.S_IFMT(attributes >> 16)
    folder = row.name.endswith("/")
    complaint = ""
    if row.flags & _ENCRYPTED:
        complaint = "is encrypted"
    elif not folder and (kind == stat.S_IFDIR or attributes & _FOLDER):
        complaint = "is a folder and a file"
    elif kind not in {0, stat.S_IFDIR if folder else stat.S_IFREG}:
        complaint = "is a link or a device"
    elif row.method not in {STORED, DEFLATED} or row.flags & _PATCH:
        complaint = "is packed otherwise than by deflate"
    elif row.flags & ~(_LEVEL | _BEHIND | _UTF8) or needed > _NEWEST:
        complaint = "needs a version of the format that is unknown here"
    elif row.method == STORED and row.packed != row.size:
        complaint = "has two sizes"
    elif row.method == STORED and row.flags & _BEHIND and row.size:
        complaint = "is not packed and has its size behind it, where others must guess it"
    elif folder and (row.size or row.checksum or row.packed not in {0, len(_EMPTY)}):
        complaint = "is a folder and has bytes"
    return complaint


def _wide(narrow: Sequence[int], extra: bytes | None) -> tuple[int, ...] | None:
    """The numbers of a header, those that did not fit from its zip64 field; None where the two
    could be put together in another way as well."""
    missing = [number == _IN_ZIP64 for number in narrow]
    if extra is None:
        return None if any(missing) else tuple(narrow)
    wide = [number for (number,) in struct.iter_unpack("<Q", extra[: len(extra) // 8 * 8])]
    if len(extra) % 8 or not any(missing):
        return None
    if len(wide) == sum(missing):
        wide_values = iter(wide)
        return tuple(
            next(wide_values) if gone else value
            for value, gone in zip(narrow, missing, strict=True)
        )
    # Go writes all of them: the others must be the same, and stand behind what is read.
    same = len(wide) == len(narrow) and missing == sorted(missing, reverse=True)
    if same and all(gone or a == b for a, b, gone in zip(narrow, wide, missing, strict=True)):
        return tuple(wide)
    return None


def _check_names(rows: Iterable[_Entry], place: str) -> None:
    """No name is duplicated, nor used for a folder and a file, however unmarked names are
    read: as UTF-8, as here, or in the characters of the IBM PC."""
    names: set[str] = set()
    above: dict[str, None] = {}
    for row in rows:
        for name in {row.name, row.name if row.flags & _UTF8 else row.raw.decode("cp437")}:
            if name in names:
                raise InputError(f"{place}: {quoted(name)} is duplicated", sample=name)
            names.add(name)
        if row.name.count("/") > DEEPEST:
            shown = quoted(row.name)
            raise _wrong(place, f"{shown} lies more than {DEEPEST} folders deep", row.name, "")
        above[row.name.rpartition("/")[0]] = None
    for lowest in above:
        # The folders above are not kept: of long names they are many times their size.
        folder = lowest
        while folder:
            if folder in names:
                raise _wrong(place, f"{quoted(folder)} is a folder and a file", folder)
            folder = folder.rpartition("/")[0]


def _begin(file: int, row: _Entry, place: str) -> int:
    """Where the bytes of a member begin: behind its own header, which must say what the table
    says."""
    least = _LOCAL.size + len(row.raw)
    header = os.pread(file, least, row.offset)
    if len(header) < least or not header.startswith(_IS_LOCAL) or not header.endswith(row.raw):
        raise _elsewhere(row, place)
    flags, method, _, _, checksum, packed, size, length, more = _LOCAL.unpack_from(header)[2:]
    if length != len(row.raw):
        raise _elsewhere(row, place)
    extra = os.pread(file, more, row.offset + least)
    fields = _extra_fields(extra, row.name, place)
    _name(row.raw, flags, fields, place)
    wide = _wide((size, packed), fields.get(_ZIP64))
    found = (checksum, *(wide or ()))
    expected = (row.checksum, row.size, row.packed)
    # Where sizes stand behind the bytes, they may be left out before them.
    behind = bool(flags & _BEHIND)
    if (
        (flags, method) != (row.flags, row.method)
        or len(found) < len(expected)
        or not all(a == b or (behind and a == 0) for a, b in zip(found, expected, strict=True))
    ):
        raise _wrong(place, f"{quoted(row.name)} is another in the table of contents", row.name)
    begin: int = row.offset + least + more
    return begin


def _elsewhere(row: _Entry, place: str) -> InputError:
    return _wrong(place, f"{quoted(row.name)} has another name or none at its place", row.name)


def _after(file: int, row: _Entry, offset: int, beyond: int, place: str) -> int:
    """Where a member ends that begins at `offset`: behind its bytes, and behind its sizes if they
    stand there. What comes next is at `beyond`."""
    end = offset + row.packed
    if end > beyond:
        raise _wrong(place, f"{quoted(row.name)} overlaps what is beside it", row.name)
    if not row.flags & _BEHIND:
        return end
    behind = os.pread(file, min(beyond - end, 64), end)
    for form in _DESCRIPTORS:
        descriptor = form.pack(row.checksum, row.packed, row.size) if _fits(row, form) else b""
        if descriptor and behind in {descriptor, _IS_DESCRIPTOR + descriptor}:
            return beyond
    raise _wrong(place, f"{quoted(row.name)} has other sizes behind its bytes", row.name)


def _fits(row: _Entry, form: struct.Struct) -> bool:
    return form.size > _DESCRIPTORS[0].size or max(row.packed, row.size) <= _IN_ZIP64


def member_pieces(file: int, member: Member) -> Iterator[bytes]:
    """The bytes of `member`, from the open archive `file`, in pieces of about 1 MiB.

    Raises InputError, without a name, where they are not exactly as many as the table of contents
    says, or are damaged. What comes out of compressed bytes is never more than is asked for.
    """
    left, checksum = member.size, 0
    unpack = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == DEFLATED else None
    for packed in _packed(file, member):
        for piece in (packed,) if unpack is None else _unpacked(unpack, packed):
            left -= len(piece)
            if left < 0:
                raise InputError("holds more bytes than its archive says", hint=DAMAGED)
            checksum = zlib.crc32(piece, checksum)
            yield piece
    if left or (unpack and not unpack.eof):
        raise InputError("holds fewer bytes than its archive says", hint=DAMAGED)
    if checksum != member.checksum:
        raise InputError("is damaged: its checksum is wrong", hint=DAMAGED)


def _unpacked(unpack: zlib._Decompress, packed: bytes) -> Iterator[bytes]:
    """What comes out of `packed`, a bounded piece at a time."""
    while packed:
        if unpack.eof:
            raise InputError("is followed by bytes that belong to nothing", hint=DAMAGED)
        try:
            piece = unpack.decompress(packed, _CHUNK)
            while len(piece) == _CHUNK:
                yield piece
                piece = unpack.decompress(unpack.unconsumed_tail, _CHUNK)
        except zlib.error as error:
            raise InputError(f"is damaged: {error}", hint=DAMAGED) from None
        yield piece
        packed = unpack.unconsumed_tail or unpack.unused_data


def _packed(file: int, member: Member) -> Iterator[bytes]:
    offset, end = member.offset, member.offset + member.packed
    while offset < end:
        data = os.pread(file, min(_CHUNK, end - offset), offset)
        if not data:
            raise InputError("is cut off", hint=DAMAGED)
        offset += len(data)
        yield data
