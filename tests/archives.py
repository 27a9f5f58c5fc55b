"""Tar and zip archives byte by byte: built as no program would, and read slowly and plainly.

The plain readers here go through an archive from front to back and believe what stands there. They
share nothing with provreg's, which are held against them and against other packages' readers.
"""

from __future__ import annotations

import io
import struct
import tarfile
import warnings
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import Any

END = bytes(1024)
Files = list[tuple[str, bytes]]


# Tar


def block(
    name: bytes,
    size: int,
    kind: bytes = b"0",
    *,
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    tail: bytes = bytes(12),
) -> bytes:
    """A header, its sum right."""
    made = bytearray(512)
    made[: len(name)] = name
    made[100:108] = b"0000644\0"
    made[124:136] = b"%011o\0" % size
    made[156:157] = kind
    made[257 : 257 + len(magic)] = magic
    made[345 : 345 + len(prefix)] = prefix
    made[500:512] = tail
    return summed(made)


def summed(header: bytearray) -> bytes:
    """`header` with its sum made right."""
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def filled(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def member(name: bytes, data: bytes = b"x", **fields: Any) -> bytes:
    return block(name, len(data), **fields) + filled(data)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    """An extended header of `records`, each with its length before it."""
    data = b""
    for key, value in records:
        rest = b" " + key + b"=" + value + b"\n"
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length += 1
        data += str(length).encode() + rest
    return block(b"PaxHeaders/x", len(data), kind) + filled(data)


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    return block(b"././@LongLink", len(name) + 1, kind, magic=b"ustar  \0") + filled(name + b"\0")


def plain_tar(data: bytes) -> Files:
    """The regular files of a tar archive."""
    found: Files = []
    at = 0
    path: bytes | None = None
    length: int | None = None
    while any(header := data[at : at + 512]):
        digits = header[124:136].strip(b" \0")
        size = (
            int.from_bytes(header[125:136], "big")
            if header[124] == 0x80
            else int(digits or b"0", 8)
        )
        kind = header[156:157]
        if kind not in {b"x", b"g", b"L"} and length is not None:
            size = length
        at += 512
        body = data[at : at + size]
        at += size + -size % 512
        if kind == b"L":
            path = body.split(b"\0")[0]
        elif kind == b"x":
            while body:
                record = body[: int(body.split(b" ")[0])]
                key, _, value = record.partition(b" ")[2][:-1].partition(b"=")
                path = value if key == b"path" else path
                length = int(value) if key == b"size" else length
                body = body[len(record) :]
        elif kind != b"g":
            name = header[:100].split(b"\0")[0]
            if header[257:263] == b"ustar\0" and header[345]:
                name = header[345:500].split(b"\0")[0] + b"/" + name
            if kind in {b"0", b"\0"}:
                found.append(((name if path is None else path).decode(), body))
            path = length = None
    return found


def tarfile_tar(data: bytes, mode: str) -> Files | None:
    """What Python's tarfile makes of an archive; None where it refuses."""
    found: Files = []
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode=mode) as tar:  # type: ignore[call-overload]
            for one in tar:
                if one.isreg():
                    found.append((one.name, tar.extractfile(one).read()))
    except Exception:
        return None
    return found


def webdataset_samples(data: bytes) -> list[tuple[str, dict[str, bytes]]] | None:
    """What the package webdataset makes of a shard: (key, members); None where it refuses."""
    from webdataset.tariterators import group_by_keys, tar_file_iterator

    try:
        files = [one | {"__url__": "a.tar"} for one in tar_file_iterator(io.BytesIO(data))]  # type: ignore[arg-type]
        samples = list(group_by_keys(files))
    except Exception:
        return None
    return [
        (sample.pop("__key__"), {name: sample[name] for name in sample if name != "__url__"})
        for sample in samples
    ]


# Zip


@dataclass
class Zipped:
    """A member, and all that its two headers say; what is None is what it should be."""

    name: bytes
    data: bytes = b"x"
    method: int = 8
    flags: int = 0
    local: dict[str, Any] = field(default_factory=dict)
    table: dict[str, Any] = field(default_factory=dict)
    before: bytes = b""
    behind: bytes | None = None
    attributes: int = 0
    made_by: int = 20
    extra: bytes = b""

    def packed(self) -> bytes:
        if self.method == 0:
            return self.data
        pack = zlib.compressobj(wbits=-15)
        return pack.compress(self.data) + pack.flush()

    def said(self, told: dict[str, Any]) -> dict[str, Any]:
        return {
            "needed": 20, "flags": self.flags, "method": self.method, "name": self.name,
            "checksum": zlib.crc32(self.data), "packed": len(self.packed()),
            "size": len(self.data), "extra": self.extra, "comment": b"", "disk": 0,
        } | told  # fmt: skip


def extra_field(number: int, data: bytes) -> bytes:
    return struct.pack("<HH", number, len(data)) + data


def unicode_path(name: bytes, of: bytes) -> bytes:
    return extra_field(0x7075, b"\1" + struct.pack("<I", zlib.crc32(of)) + name)


def zip_archive(*members: Zipped, between: bytes = b"", comment: bytes = b"", **end: int) -> bytes:
    """An archive of `members`, `between` before its table, and an end that says what `end` does."""
    data, table = b"", b""
    for one in members:
        data += one.before
        offset = len(data)
        behind = one.flags & 8
        nothing = {"checksum": 0, "packed": 0, "size": 0} if behind else {}
        said = one.said(nothing | one.local)
        data += struct.pack(
            "<4s5H3I2H", b"PK\3\4", said["needed"], said["flags"], said["method"], 0, 33,
            said["checksum"], said["packed"], said["size"], len(said["name"]), len(said["extra"]),
        ) + said["name"] + said["extra"] + one.packed()  # fmt: skip
        said = one.said(one.table)
        if one.behind is not None:
            data += one.behind
        elif behind:
            data += b"PK\7\10" + struct.pack("<III", said["checksum"], said["packed"], said["size"])
        table += struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", one.made_by, said["needed"], said["flags"], said["method"],
            0, 33, said["checksum"], said["packed"], said["size"], len(said["name"]),
            len(said["extra"]), len(said["comment"]), said["disk"], 0, one.attributes,
            said.get("offset", offset),
        ) + said["name"] + said["extra"] + said["comment"]  # fmt: skip
    data += between
    told = {"disk": 0, "here": len(members), "count": len(members), "length": len(table)}
    told |= {"begin": len(data), "comment_length": len(comment)} | end
    return data + table + struct.pack(
        "<4s4H2IH", b"PK\5\6", told["disk"], 0, told["here"], told["count"], told["length"],
        told["begin"], told["comment_length"],
    ) + comment  # fmt: skip


def plain_zip(data: bytes) -> Files:
    """The files of a zip archive, from front to back: no table of contents is looked at."""
    found: Files = []
    at = 0
    while data[at : at + 4] == b"PK\3\4":
        said = struct.unpack_from("<4s5H3I2H", data, at)
        flags, method, checksum, packed, size, length, more = *said[2:4], *said[6:]
        name = data[at + 30 : at + 30 + length].decode()
        extra = data[at + 30 + length : at + 30 + length + more]
        at += 30 + length + more
        if extra[:4] == b"\1\0\x10\0":
            wide = struct.unpack_from("<QQ", extra, 4)
            size, packed = wide[0] if size == 2**32 - 1 else size, wide[1]
        if method == 8:
            unpack = zlib.decompressobj(-15)
            body = unpack.decompress(data[at:])
            assert unpack.eof
            taken = len(data) - at - len(unpack.unused_data)
        else:
            body, taken = data[at : at + packed], packed
        at += taken
        if flags & 8:
            at += 4 * (data[at : at + 4] == b"PK\7\10")
            for form in ("<III", "<IQQ"):
                checksum, packed, size = struct.unpack_from(form, data, at)
                if (packed, size) == (taken, len(body)):
                    at += struct.calcsize(form)
                    break
        assert (taken, len(body), zlib.crc32(body)) == (packed, size, checksum)
        if not name.endswith("/"):
            found.append((name, body))
    assert data[at : at + 4] in {b"PK\1\2", b"PK\5\6", b"PK\6\6"}
    return found


def zipfile_zip(data: bytes) -> Files | None:
    """What Python's zipfile makes of an archive, its names UTF-8; None where it refuses."""
    try:
        with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [
                (
                    one.filename
                    if one.flag_bits & 0x800
                    else one.filename.encode("cp437").decode("utf-8"),
                    archive.read(one),
                )
                for one in archive.infolist()
                if not one.is_dir()
            ]
    except Exception:
        return None
