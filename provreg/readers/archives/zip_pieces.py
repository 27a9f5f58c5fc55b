"""The bytes of one member of a zip archive, read once.

Members are decompressed here, since Python's `zipfile` stops where the table of contents says that
a member ends, whatever comes out of it beyond.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

from provreg.errors import InputError
from provreg.readers.archives.zip_contents import DAMAGED, DEFLATED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provreg.readers.archives.zip_contents import Member

_CHUNK = 1024 * 1024


def pieces(file: int, member: Member) -> Iterator[bytes]:
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
