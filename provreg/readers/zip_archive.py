"""Zip archives: what is in them, and the bytes of one member, read once.

The table of contents is read by Python's `zipfile`. Where it and the members themselves could
tell two programs two stories, the archive is refused; members are decompressed here, since
`zipfile` stops where the table says that a member ends, whatever comes out of it beyond.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from provreg.core.text import quoted
from provreg.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCAL = struct.Struct("<4s22xHH")
_LAST = struct.Struct("<4s12xIH")
_END, _IN_ZIP64 = b"PK\x05\x06", 0xFFFFFFFF
_ENCRYPTED, _UTF8, _PATCH = 0x1 | 0x40 | 0x2000, 0x800, 0x20
_STORED, _DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
_CHUNK = 1024 * 1024
_DAMAGED = "the archive may be damaged: pack it again"
_UNIX = 3
# What zipfile raises on tables of contents that are none.
_BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,
    ValueError,
    OverflowError,
    struct.error,
    EOFError,
)


class Member(NamedTuple):
    """A file in an archive: where its packed bytes begin, how many they are, and how many come out;
    `method` is zipfile's, `checksum` the CRC-32 it must have."""

    name: str
    offset: int
    packed: int
    size: int
    method: int
    checksum: int


def members_of(stream: BinaryIO, place: str) -> list[Member]:
    """The files in the archive, folders passed over, in the order of their bytes.

    `place` names the archive in messages. Raises InputError, naming the member: for what is no
    archive or damaged, encrypted members, links and devices, members packed otherwise than by
    deflate, names that are not UTF-8, hold a backslash or differ between table and member, names
    that stand twice, and members whose bytes overlap.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            contents, comment = archive.infolist(), archive.comment
            end = archive.start_dir
        last = _end_record(stream.fileno(), comment)
    except _BROKEN as error:
        raise InputError(f"{place}: no zip archive: {quoted(str(error))}", hint=_DAMAGED) from None
    # Something before the archive moves all that it tells; something behind it is another's end.
    if last not in {end, _IN_ZIP64} or _END in comment:
        raise InputError(f"{place}: begins or ends with something else", hint=_DAMAGED)
    found: list[Member] = []
    names: set[str] = set()
    free = 0
    for entry in sorted(contents, key=lambda entry: entry.header_offset):
        name = _name(entry, place)
        if name in names:
            raise InputError(f"{place}: {quoted(name)} stands twice", sample=name)
        names.add(name)
        offset = _begin(stream.fileno(), entry, place)
        if entry.header_offset < free or offset + entry.compress_size > end:
            raise InputError(f"{place}: {quoted(name)} overlaps what is beside it", sample=name)
        free = offset + entry.compress_size
        if not name.endswith("/"):
            _check(entry, name, place)
            found.append(
                Member(
                    name,
                    offset,
                    entry.compress_size,
                    entry.file_size,
                    entry.compress_type,
                    entry.CRC,
                )
            )
        elif entry.file_size:
            raise InputError(f"{place}: the folder {quoted(name)} has bytes", sample=name)
    return found


def _end_record(file: int, comment: bytes) -> int:
    """Where the table of contents begins, by the record that ends the archive; -1 without one."""
    place = os.fstat(file).st_size - _LAST.size - len(comment)
    mark, offset, length = _LAST.unpack(os.pread(file, _LAST.size, place))
    return offset if (mark, length) == (_END, len(comment)) else -1


def pieces(file: int, member: Member) -> Iterator[bytes]:
    """The bytes of `member`, from the open archive `file`, in pieces of about 1 MiB.

    Raises InputError, without a name, where they are not exactly as many as the table of contents
    says, or are damaged. What comes out of compressed bytes is never more than is asked for.
    """
    left, checksum = member.size, 0
    unpack = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == _DEFLATED else None
    for packed in _packed(file, member):
        for piece in (packed,) if unpack is None else _unpacked(unpack, packed):
            left -= len(piece)
            if left < 0:
                raise InputError("holds more bytes than its archive says", hint=_DAMAGED)
            checksum = zlib.crc32(piece, checksum)
            yield piece
    if left or (unpack and not unpack.eof):
        raise InputError("holds fewer bytes than its archive says", hint=_DAMAGED)
    if checksum != member.checksum:
        raise InputError("is damaged: its checksum is wrong", hint=_DAMAGED)


def _unpacked(unpack: zlib._Decompress, packed: bytes) -> Iterator[bytes]:
    """What comes out of `packed`, a bounded piece at a time."""
    while packed:
        if unpack.eof:
            raise InputError("is followed by bytes that belong to nothing", hint=_DAMAGED)
        try:
            piece = unpack.decompress(packed, _CHUNK)
            while len(piece) == _CHUNK:
                yield piece
                piece = unpack.decompress(unpack.unconsumed_tail, _CHUNK)
        except zlib.error as error:
            raise InputError(f"is damaged: {error}", hint=_DAMAGED) from None
        yield piece
        packed = unpack.unconsumed_tail or unpack.unused_data


def _packed(file: int, member: Member) -> Iterator[bytes]:
    offset, end = member.offset, member.offset + member.packed
    while offset < end:
        data = os.pread(file, min(_CHUNK, end - offset), offset)
        if not data:
            raise InputError("is cut off", hint=_DAMAGED)
        offset += len(data)
        yield data


def _name(entry: zipfile.ZipInfo, place: str) -> str:
    name = entry.orig_filename
    if entry.filename != name:
        raise InputError(f"{place}: {quoted(name)} has two names", sample=name)
    if not entry.flag_bits & _UTF8 and not name.isascii():
        raise InputError(
            f"{place}: {quoted(name)} is not marked as UTF-8",
            sample=name,
            hint="pack the archive again with a program that writes UTF-8 names",
        )
    if "\\" in name:
        raise InputError(f"{place}: {quoted(name)} holds a backslash", sample=name)
    return name


def _begin(file: int, entry: zipfile.ZipInfo, place: str) -> int:
    """Where the bytes of a member begin: behind its own header, which must bear the same name."""
    name = entry.orig_filename
    written = name.encode("utf-8" if entry.flag_bits & _UTF8 else "ascii", "replace")
    header = os.pread(file, _LOCAL.size + len(written), max(0, entry.header_offset))
    if len(header) == _LOCAL.size + len(written):
        mark, length, more = _LOCAL.unpack(header[: _LOCAL.size])
        if mark == b"PK\x03\x04" and length == len(written) and header.endswith(written):
            return int(entry.header_offset + _LOCAL.size + length + more)
    raise InputError(
        f"{place}: {quoted(name)} has another name or none at its place", sample=name, hint=_DAMAGED
    )


def _check(entry: zipfile.ZipInfo, name: str, place: str) -> None:
    mode = entry.external_attr >> 16 if entry.create_system == _UNIX else 0
    complaint = ""
    if entry.flag_bits & _ENCRYPTED:
        complaint = "is encrypted"
    elif stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        complaint = "is a link or a device"
    elif entry.compress_type not in {_STORED, _DEFLATED} or entry.flag_bits & _PATCH:
        complaint = "is packed otherwise than by deflate"
    elif entry.compress_type == _STORED and entry.compress_size != entry.file_size:
        complaint = "has two sizes"
    if complaint:
        raise InputError(f"{place}: {quoted(name)} {complaint}", sample=name)
