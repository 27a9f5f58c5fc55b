"""Tar archives, read once from front to back: names and bytes of their regular files.

A strict reader of POSIX.1-1988 ustar, POSIX.1-2001 pax and GNU long names. Python's `tarfile` takes
headers of any length into memory, passes over links and devices, follows sparse maps, and takes an
archive that was cut off between two members for a whole one. Everything of the kind is refused
here, since two programs could make different files of it; so are extended headers that contradict
each other or the header they belong to, and whatever this reader does not know.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO

from provreg.core.encoding.text import quoted
from provreg.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
# Extended headers hold a path of at most 4,096 bytes and some times.
_MAX_HEADER = 64 * 1024
# After the end of an archive come zeros up to a multiple of its record size, 10 KiB by default.
_MAX_PADDING = 1024 * 1024
_CHUNK = 16 * 1024 * 1024

_REGULAR, _FOLDER = (b"0", b"\0"), b"5"
_PAX, _PAX_GLOBAL, _GNU_NAME = b"x", b"g", b"L"
_REFUSED = {
    b"1": "a hard link",
    b"2": "a link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"K": "a link",
    b"S": "a sparse file",
}
_OCTAL = re.compile(rb" *([0-7]*)[ \0]*")
# Mode, owner, group, time and device: nothing here needs them, but Python ends an archive, without
# a word, at a header where one of them is no number. In binary they begin with one of two bytes.
_NUMBERS = ((100, 108), (108, 116), (116, 124), (136, 148), (329, 337), (337, 345))
_BINARY = (0x80, 0xFF)
_RECORD = re.compile(rb"([1-9][0-9]{0,5}) ([^=]+)=")
_NUMBER = re.compile(rb"0|[1-9][0-9]{0,17}")
_UTF8 = b"ISO-IR 10646 2000 UTF-8"
# POSIX, GNU, and what came before both, which has no more than 100 bytes for a name.
_USTAR, _GNU, _OLD = b"ustar\x0000", b"ustar  \0", bytes(8)
# star's own headers end so, and have times behind 131 bytes of the prefix.
_STAR, _STAR_PREFIX = b"tar\0", 131
# What eleven octal digits cannot hold stands in a pax record alone.
_MOST_OCTAL = 8**11 - 1
# Records that say nothing of a file's name or bytes. A record that is not known might.
_HARMLESS = re.compile(
    rb"atime|ctime|mtime|uid|gid|uname|gname|comment|hdrcharset|linkpath"
    rb"|SCHILY\.(xattr\..+|acl\..+|dev|ino|nlink|fflags)|LIBARCHIVE\.(xattr\..+|creationtime)"
    rb"|RHT\.security\..+|MSWINDOWS\..+",
    re.DOTALL,
)


def tar_members(stream: BinaryIO, place: str, *, limit: int) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of every regular file, in the order of the archive.

    `stream` must give as many bytes as are asked for until it ends. `place` names the archive in
    messages. At most `limit` bytes are taken for one file. Folders are passed over. Raises
    InputError for all else, and for an archive that is damaged, cut off or goes on after its end.
    """
    archive = _Archive(stream, place)
    # What the extended header before a member says; None where there is none.
    own: dict[bytes, bytes] | None = None
    while (block := archive.block()) != _ZEROS:
        kind = block[156:157]
        size = archive.size(block)
        if kind in (_PAX, _PAX_GLOBAL, _GNU_NAME):
            if own is not None:
                raise archive.wrong("two extended headers come before one file")
            own = archive.extended_header(kind, size)
            continue
        headers, own = own or {}, None
        name = archive.name(block, headers.get(b"path"))
        if b"size" in headers:
            size = archive.size_said(headers[b"size"], size, name)
        if archive.is_file(block, name, size, headers):
            yield name, archive.take(size, limit, quoted(name))
    if own is not None:
        raise archive.wrong("an extended header belongs to no file")
    archive.finish()


class _Archive:
    """The blocks of one archive."""

    def __init__(self, stream: BinaryIO, place: str) -> None:
        self._read = stream.read
        self._place = place

    def wrong(self, complaint: str) -> InputError:
        return InputError(
            f"{self._place}: {complaint}", hint="the archive may be damaged: pack it again"
        )

    def block(self) -> bytes:
        """The next header, its sum checked, or the zeros that end an archive."""
        block = self._read(_BLOCK)
        if len(block) < _BLOCK:
            raise self.wrong("is cut off, or no tar archive")
        if block == _ZEROS:
            return block
        written = _OCTAL.fullmatch(block, 148, 156)
        # The sum is taken with blanks in its own place.
        found = sum(block) - sum(block[148:156]) + 8 * ord(" ")
        if written is None or not written[1] or int(written[1], 8) != found:
            raise self.wrong("is damaged, or no tar archive: a header's sum is wrong")
        for begin, end in _NUMBERS:
            if _OCTAL.fullmatch(block, begin, end) is None and block[begin] not in _BINARY:
                raise self.wrong("a header has an invalid number")
        return block

    def size(self, block: bytes) -> int:
        if block[124] == 0x80:  # GNU: what octal digits cannot hold, as a number of 11 bytes
            return int.from_bytes(block[125:136], "big")
        written = _OCTAL.fullmatch(block, 124, 136)
        if written is None:
            raise self.wrong("a header has no size")
        return int(written[1] or b"0", 8)

    def extended_header(self, kind: bytes, size: int) -> dict[bytes, bytes] | None:
        """What an extended header says of the member behind it; None where it is of no member."""
        # With the rest of its last block: Python reads on there.
        data = self.take(size + -size % _BLOCK, _MAX_HEADER, "an extended header")
        if data.count(0, size) < len(data) - size:
            raise self.wrong("an extended header continues after its end")
        data = data[:size]
        if kind == _GNU_NAME:
            return {b"path": data.rstrip(b"\0")}
        records = self.records(data)
        if kind == _PAX:
            return records
        if records:
            raise self.wrong("a global header names or measures files")
        return None

    def is_file(self, block: bytes, name: str, size: int, headers: Mapping[bytes, bytes]) -> bool:
        """Whether the member is a file; a folder if not. Raises InputError for all else."""
        kind = block[156:157]
        if kind in _REFUSED:
            raise InputError(
                f"{self._place}: {quoted(name)} is {_REFUSED[kind]}",
                sample=name,
                hint="pack files only",
            )
        if kind == _FOLDER:
            if size:
                raise self.wrong(f"the folder {quoted(name)} has bytes")
            return False
        if kind not in _REGULAR:
            raise self.wrong(f"{quoted(name)} is of an unknown kind")
        # The oldest archives have no kind for folders but such names.
        short = block[:100].partition(b"\0")[0]
        if name.endswith("/") or (kind == b"\0" and short.endswith(b"/")):
            raise self.wrong(f"{quoted(name)} is a file with the name of a folder")
        if b"linkpath" in headers:
            raise self.wrong(f"{quoted(name)} is a file and a link")
        return True

    def size_said(self, written: bytes, in_header: int, name: str) -> int:
        """The size in a pax record; the header's must be the same, or have no room for it."""
        if _NUMBER.fullmatch(written) is None:
            raise self.wrong(f"{quoted(name)} has no size")
        size = int(written)
        if size != in_header and (size <= _MOST_OCTAL or in_header):
            raise self.wrong(f"{quoted(name)} has two sizes")
        return size

    def name(self, block: bytes, long_name: bytes | None) -> str:
        """The name in an extended header before, or else in the header itself."""
        raw = block[:100].partition(b"\0")[0]
        prefix = block[345:500].partition(b"\0")[0]
        magic = block[257:265]
        if magic not in {_USTAR, _GNU, _OLD}:
            raise self.wrong("is of an unknown kind of tar")
        if prefix:
            # GNU tar has times here when it is asked for them; Python reads them as a name.
            short = block[508:512] == _STAR and len(prefix) >= _STAR_PREFIX
            if magic != _USTAR or short:
                raise self.wrong(f"{quoted(repr(raw)[1:])} has a prefix, or not")
            raw = prefix + b"/" + raw
        if long_name is not None:
            raw = long_name
        if not raw:
            raise self.wrong("a file has no name")
        if b"\0" in raw:
            raise self.wrong(f"the name {quoted(repr(raw)[1:])} holds a null byte")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self.wrong(f"the name {quoted(repr(raw)[1:])} is not UTF-8") from None

    def records(self, data: bytes) -> dict[bytes, bytes]:
        """Those records of a pax header that say where a file is, how long, or that it is a link:
        `length key=value` and a line break, `length` counting all of it."""
        found: dict[bytes, bytes] = {}
        seen: set[bytes] = set()
        start = 0
        while start < len(data):
            match = _RECORD.match(data, start)
            end = start + int(match[1]) if match else 0
            if match is None or not match.end() < end <= len(data) or data[end - 1] != 0x0A:
                raise self.wrong("an extended header is damaged")
            key, value = match[2], data[match.end() : end - 1]
            if key in seen:
                raise self.wrong(f"an extended header says {quoted(repr(key)[1:])} twice")
            seen.add(key)
            if key.startswith(b"GNU.sparse"):
                raise self.wrong("holds a sparse file")
            if key == b"hdrcharset" and value != _UTF8:
                raise self.wrong("an extended header is not in UTF-8")
            if key in (b"path", b"size", b"linkpath"):
                found[key] = value
            elif _HARMLESS.fullmatch(key) is None:
                raise self.wrong(f"an extended header says an unknown {quoted(repr(key)[1:])}")
            start = end
        # Python looks for this one wherever it may stand.
        if data.count(b" hdrcharset=") > (b"hdrcharset" in seen):
            raise self.wrong("an extended header says its character set within a value")
        return found

    def take(self, size: int, limit: int, what: str) -> bytes:
        """The next `size` bytes, and past the zeros that fill their last block."""
        if size > limit:
            raise self.wrong(f"{what} has {size:,} bytes, more than {limit:,}")
        filled = -size % _BLOCK
        if size <= _CHUNK:
            data = self._read(size + filled)
            if len(data) < size + filled:
                raise self.wrong(f"is cut off within {what}")
            return data[:size] if filled else data
        # What a header claims is not set aside before it has come.
        chunks = []
        while size:
            chunks.append(self._read(min(size, _CHUNK)))
            if not chunks[-1]:
                raise self.wrong(f"is cut off within {what}")
            size -= len(chunks[-1])
        if len(self._read(filled)) < filled:
            raise self.wrong(f"is cut off within {what}")
        return b"".join(chunks)

    def finish(self) -> None:
        """Nothing but zeros may follow the end: some programs read on there."""
        left = self._read(_MAX_PADDING + 1)
        if len(left) > _MAX_PADDING or left.count(0) < len(left):
            raise self.wrong("goes on after its end")
