"""Differential fuzzing of the archive readers: `python -m tests.fuzz_archives SECONDS [SEED]`.

Each seed makes an archive, damages it so that sums and offsets mostly stay right, and reads it with
provreg's reader, with a plain one (`tests.archives`), and with tarfile and webdataset, or zipfile.
What provreg takes the plain reader must take; where another program takes it too, names and bytes
must be the same. `tests/readers/archives/test_archives_alike.py` does so for some seconds.
"""

from __future__ import annotations

import io
import os
import random
import sys
import tempfile
import time
import zipfile
from collections import Counter
from typing import TYPE_CHECKING, Any

from provreg.errors import InputError
from provreg.readers.archives.stems import samples
from provreg.readers.archives.tar_stream import tar_members
from provreg.readers.archives.zip_contents import member_pieces, members_of
from tests.archives import (
    END,
    Files,
    Zipped,
    extra_field,
    filled,
    long_name,
    member,
    pax,
    plain_tar,
    plain_zip,
    summed,
    tarfile_tar,
    unicode_path,
    webdataset_samples,
    zip_archive,
    zipfile_zip,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_NAMES = (
    b"1.jpg", b"1.cls", b"2.jpg", b"2.JPG", b"d/1.jpg", b"./1.jpg", b"d/", b"d", b"README", b".x",
    b"d/.x", b"1.", b"1.__key__", b"__x__", b"__x__/1.jpg", "é.jpg".encode(),
    "e\u0301.jpg".encode(), b"\xff.jpg", b"", b"a\0b", b"../1.jpg",
    b"x" * 100, b"d/" * 60 + b"1.jpg", b"1.tar.gz",
)  # fmt: skip
_KEYS = (
    b"path", b"size", b"mtime", b"comment", b"linkpath", b"hdrcharset", b"GNU.sparse.size",
    b"GNU.sparse.name", b"SCHILY.realsize", b"unknown",
)  # fmt: skip
_KINDS = b"0\0005xgLK12S7V\x44"
_MAGICS = (b"ustar\x0000", b"ustar  \0", b"", b"ustar ", b"ustar\x0001")
_NUMBERS = (0, 1, 2, 8, 20, 22, 30, 46, 2048, 0xFFFF, 2**31, 2**32 - 1)


def tar(chance: random.Random) -> bytes:
    """A tar archive, mostly sound."""
    if chance.random() < 0.2:
        return _by_tarfile(chance)
    data = b""
    for _ in range(chance.randrange(1, 6)):
        name, body = chance.choice(_NAMES[:10]), chance.randbytes(chance.choice((0, 1, 511, 513)))
        fields: dict[str, Any] = {}
        odd = chance.random
        if odd() < 0.2:
            records = [_record(chance, name, body) for _ in range(chance.randrange(1, 3))]
            data += pax(*records, kind=chance.choice((b"x", b"x", b"g")))
        if odd() < 0.15:
            data += long_name(chance.choice(_NAMES))
        if odd() < 0.15:
            fields["prefix"] = chance.choice((b"d", b"e" * 131, b"e" * 155))
        if odd() < 0.15:
            fields["magic"] = chance.choice(_MAGICS)
        if odd() < 0.1:
            fields["kind"] = bytes([chance.choice(_KINDS)])
        if odd() < 0.1:
            name = chance.choice(_NAMES)[:100]
        data += member(name, body, **fields)
    return data + bytes(512 * chance.choice((0, 1, 2, 2, 2, 4, 20)))


def _record(chance: random.Random, name: bytes, body: bytes) -> tuple[bytes, bytes]:
    key = chance.choice((b"path", b"path", *_KEYS))
    if key == b"path":
        return key, chance.choice(_NAMES)
    if key == b"size":
        return key, b"%d" % chance.choice((len(body), len(body), 0, 1, 512, 2**33))
    return key, chance.choice((b"1", name, b"ISO-IR 10646 2000 UTF-8", b"\n9 path=x\n"))


def _by_tarfile(chance: random.Random) -> bytes:
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=chance.randrange(3)) as made:
        for name in chance.sample(_NAMES[:17], chance.randrange(1, 5)):
            info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
            info.size, info.mtime = chance.choice((0, 1, 600)), chance.choice((0, 1.5))
            made.addfile(info, io.BytesIO(bytes(info.size)))
    return out.getvalue()


def damaged_tar(chance: random.Random, data: bytes) -> bytes:
    """`data` with something wrong, the sums of its headers mostly right."""
    blocks = [bytearray(data[at : at + 512]) for at in range(0, len(data), 512)]
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        at = chance.randrange(len(blocks))
        match chance.randrange(8):
            case 0:
                blocks.insert(at, bytearray(chance.choice(blocks)))
            case 1 if len(blocks) > 1:
                del blocks[at]
            case 2:
                other = chance.randrange(len(blocks))
                blocks[at], blocks[other] = blocks[other], blocks[at]
            case 3:
                extra = bytearray(chance.choice((END, filled(b"x"), member(b"9.jpg"))))
                blocks[at:at] = [extra[n : n + 512] for n in range(0, len(extra), 512)]
            case _:
                header = chance.choice(_headers(blocks) or blocks)
                begin, end = chance.choice(
                    ((0, 100), (0, 12), (124, 136), (156, 157), (257, 265), (345, 350), (0, 512))
                )
                place = min(chance.randrange(begin, end), len(header) - 1)
                if begin == 124 and chance.random() < 0.5:
                    number = chance.choice((*_NUMBERS, 512, 513))
                    header[124:136] = chance.choice(
                        (
                            b"%011o\0" % number,
                            b"%11o " % number,
                            b"\x80" + number.to_bytes(11, "big"),
                        )
                    )
                else:
                    header[place] = chance.choice(
                        (0, 32, 47, 46, 48, 55, 120, 255, header[place] ^ 1)
                    )
                if len(header) == 512 and chance.random() < 0.95:
                    header[:] = summed(header)
    return b"".join(blocks)[: chance.choice((None, None, None, chance.randrange(len(data) + 1)))]


def _headers(blocks: list[bytearray]) -> list[bytearray]:
    return [
        block for block in blocks if block[257:262] == b"ustar" or block[100:108] == b"0000644\0"
    ]


def read_tar(data: bytes) -> Files:
    return list(tar_members(io.BytesIO(data), "a.tar", limit=1 << 20))


def check_tar(data: bytes) -> str:
    """How far provreg took a tar archive; AssertionError where another program takes another."""
    try:
        found = read_tar(data)
    except InputError:
        return "tar refused"
    assert found == plain_tar(data), "a plain reader"
    for mode in ("r:", "r|"):
        others = tarfile_tar(data, mode)
        assert others in (None, found), f"tarfile, mode {mode}"
    try:
        made = list(samples(found, "a.tar", None, {}))
    except InputError:
        return "tar read"
    given = webdataset_samples(data)
    mine = [(one.stem, {name.lower(): data for name, data in one.members.items()}) for one in made]
    if given is not None:
        assert [(_inside(key), named) for key, named in given] == mine, "webdataset"
    return "tar sampled"


def _inside(key: str) -> str:
    while key.startswith("./"):
        key = key[2:]
    return key


def zip_(chance: random.Random) -> bytes:
    """A zip archive, mostly sound."""
    if chance.random() < 0.2:
        return _by_zipfile(chance)
    rows = []
    for name in chance.sample(_NAMES[:16], chance.randrange(1, 5)):
        body = b"" if name.endswith(b"/") else chance.randbytes(chance.choice((0, 1, 99)))
        flags = chance.choice((0, 0, 0x800, 8, 2))
        one = Zipped(name, body, chance.choice((0, 8)), flags)
        if chance.random() < 0.2:
            other = chance.choice((name, name, chance.choice(_NAMES)))
            one.extra = chance.choice(
                (unicode_path(other, name), extra_field(0x5455, b"\1" + bytes(4)),
                 extra_field(chance.choice((1, 0x7875, 0x9901, 0x4242)), chance.randbytes(8)))
            )  # fmt: skip
        if chance.random() < 0.2:
            told = chance.choice((one.local, one.table))
            told[
                chance.choice(("needed", "flags", "method", "checksum", "packed", "size", "offset"))
            ] = chance.choice(_NUMBERS[:9])
        if chance.random() < 0.05:
            one.before = chance.choice((b"\0", zip_archive(Zipped(b"h.jpg"))))
        if chance.random() < 0.1:
            one.attributes = chance.choice((0o100644 << 16, 0o120777 << 16, 0x10, 0x20))
            one.made_by = chance.choice((20, 3 << 8))
        rows.append(one)
    comment = chance.choice((b"", b"", b"hello", zip_archive(Zipped(b"c.jpg"))))
    return zip_archive(*rows, comment=comment)


def _by_zipfile(chance: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", chance.choice((0, 8))) as made:
        for name in chance.sample(_NAMES[:16], chance.randrange(1, 5)):
            body = b"" if name.endswith(b"/") else bytes(chance.choice((0, 5, 600)))
            made.writestr(name.decode(), body)
    return out.getvalue()


def damaged_zip(chance: random.Random, data: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        marks = [at for at in range(len(made) - 3) if made[at : at + 2] == b"PK"]
        if not marks:
            break
        at = chance.choice(marks)
        match chance.randrange(6):
            case 0:
                made[at:at] = chance.choice((b"\0", made[:at], zip_archive(Zipped(b"i.jpg"))))
            case 1:
                end = chance.choice([*marks, len(made)])
                del made[min(at, end) : max(at, end)]
            case 2:
                made += chance.choice((b"\0", bytes(made), data[-22:]))
            case _:
                place = min(at + chance.randrange(4, 60), len(made) - 1)
                width = chance.choice((1, 1, 2, 4))
                number = chance.choice((*_NUMBERS, *marks)) % 256**width
                made[place : place + width] = number.to_bytes(width, "little")
    return bytes(made)


def read_zip(data: bytes) -> Files:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return [
            (one.name, b"".join(member_pieces(file.fileno(), one)))
            for one in members_of(file, "a.zip")
        ]


def check_zip(data: bytes) -> str:
    """As `check_tar`, of a zip archive."""
    try:
        found = read_zip(data)
    except InputError:
        return "zip refused"
    assert found == plain_zip(data), "a plain reader"
    others = zipfile_zip(data)
    assert others is None or sorted(others) == sorted(found), "zipfile"
    return "zip read"


_MADE: tuple[tuple[Callable[..., bytes], Callable[..., bytes], Callable[..., str]], ...] = (
    (tar, damaged_tar, check_tar),
    (zip_, damaged_zip, check_zip),
)


def one(seed: int) -> str:
    """What became of the archive of `seed`. Raises AssertionError with the seed and the archive."""
    chance = random.Random(seed)  # noqa: S311
    make, damage, check = _MADE[seed % 2]
    data = damage(chance, make(chance))
    try:
        return check(data)
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error!r}: {data!r}") from error


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    seconds = float(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "big")
    begin = said = time.monotonic()
    counts: Counter[str] = Counter()
    say(f"from seed {seed}")
    while (now := time.monotonic()) - begin < seconds:
        counts[one(seed)] += 1
        seed += 1
        if now - said > 60:
            said = now
            say(f"{now - begin:,.0f} s, before seed {seed}: {dict(counts)}")
    say(f"{seconds:,.0f} s without a difference: {dict(counts)}")


if __name__ == "__main__":
    main()
