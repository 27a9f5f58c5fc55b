"""Attack: a tar shard that tells provreg one story and another program another one."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from shutil import which
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from provreg.errors import InputError
from provreg.readers.api import ReadContext
from provreg.readers.archives import webdataset
from provreg.readers.archives.tar_stream import tar_members
from tests.archives import (
    END,
    block,
    filled,
    long_name,
    member,
    pax,
    summed,
    tarfile_tar,
    webdataset_samples,
)

if TYPE_CHECKING:
    from pathlib import Path


def read(data: bytes) -> list[tuple[str, bytes]]:
    return list(tar_members(io.BytesIO(data), "'x.tar'", limit=1 << 20))


def refused(data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(data)


def test_the_parts_that_the_attacks_are_made_of_are_read() -> None:
    data = member(b"1.a") + pax((b"path", b"2.a")) + member(b"no") + long_name(b"3.a")
    data += member(b"no", magic=b"ustar  \0") + member(b"4.a", prefix=b"d")
    assert [name for name, _ in read(data + END)] == ["1.a", "2.a", "3.a", "d/4.a"]


@pytest.mark.parametrize(
    "headers",
    [
        pax((b"path", b"shown.txt")) + pax((b"mtime", b"1")),
        pax((b"path", b"1.txt")) + pax((b"path", b"2.txt")),
        pax((b"path", b"1.txt")) + long_name(b"2.txt"),
        long_name(b"1.txt") + pax((b"path", b"2.txt")),
        long_name(b"1.txt") + long_name(b"2.txt"),
        long_name(b"1.txt") + pax((b"comment", b"x"), kind=b"g"),
        pax((b"path", b"1.txt")) + pax((b"comment", b"x"), kind=b"g"),
    ],
)
def test_two_extended_headers_before_one_member(headers: bytes) -> None:
    refused(headers + member(b"0.txt") + END, "two extended headers")


def test_a_global_header_of_others_before_a_member_is_read() -> None:
    data = pax((b"comment", b"of git archive"), kind=b"g") + pax((b"path", b"1.txt"))
    assert read(data + member(b"0") + END) == [("1.txt", b"x")]


@pytest.mark.parametrize(
    ("magic", "says"),
    [
        (b"", "a prefix"),
        (b"ustar  \0", "a prefix"),
        (b"ustar ", "kind of tar"),
        (b"ustar\x0001", "kind of tar"),
        (b"\0\0\0\0\0\x0000", "kind of tar"),
    ],
)
def test_prefix_field_without_the_magic_of_ustar(magic: bytes, says: str) -> None:
    refused(member(b"1.txt", magic=magic, prefix=b"cat") + END, says)


def test_long_prefix_of_a_header_whose_prefix_field_is_short() -> None:
    """star's own headers have times where others still have the prefix."""
    tail = bytes(8) + b"tar\0"
    assert read(member(b"1.txt", prefix=b"d" * 130, tail=tail) + END)
    refused(member(b"1.txt", prefix=b"d" * 131, tail=tail) + END, "a prefix")


@pytest.mark.parametrize(
    "record",
    [
        (b"path", b""),
        (b"path", b"1.txt\0.jpg"),
        (b"path", b"cat/"),
        (b"size", b""),
        (b"size", b"+1"),
        (b"size", b"01"),
        (b"size", b"2"),
        (b"linkpath", b"2.txt"),
        (b"GNU.sparse.name", b"2.txt"),
        (b"SCHILY.realsize", b"2"),
        (b"SCHILY.filetype", b"directory"),
        (b"unknown", b"2"),
        (b"comment", b"\n22 hdrcharset=BINARY\n"),
    ],
)
def test_pax_record_that_says_otherwise_than_the_header_or_is_unknown(
    record: tuple[bytes, bytes],
) -> None:
    with pytest.raises(InputError):
        read(pax(record) + member(b"1.txt") + END)
    if record[0] not in {b"path", b"size", b"linkpath"}:
        with pytest.raises(InputError):
            read(pax(record, kind=b"g") + member(b"1.txt") + END)


@pytest.mark.parametrize(
    "known",
    [
        (b"mtime", b"1.5"), (b"uname", b"\xff"), (b"comment", b"x"),
        (b"SCHILY.xattr.user.a", b"\0"),
        (b"LIBARCHIVE.xattr.a", b"x"), (b"hdrcharset", b"ISO-IR 10646 2000 UTF-8"), (b"size", b"1"),
    ],
)  # fmt: skip
def test_pax_records_that_change_nothing_are_read(known: tuple[bytes, bytes]) -> None:
    assert read(pax(known) + member(b"1.txt") + END) == [("1.txt", b"x")]


@pytest.mark.parametrize("name", [b"", b"cat/", b"1.txt\0\0" + b"x" * 90, b"x" * 100 + b"/"])
def test_name_that_is_none_or_that_of_a_folder(name: bytes) -> None:
    if len(name) > 100:
        refused(long_name(name) + member(b"1", magic=b"ustar  \0") + END, "folder")
    elif b"\0" in name:
        assert read(member(name) + END) == [("1.txt", b"x")]
    else:
        for kind in (b"0", b"\0"):
            refused(member(name, kind=kind) + END, "no name|folder")


@pytest.mark.parametrize("kind", [b"x", b"g", b"L"])
def test_extended_header_that_goes_on_in_its_last_block(kind: bytes) -> None:
    header = bytearray(pax((b"mtime", b"1"), (b"path", b"2.txt"), kind=kind))
    if kind == b"L":
        header = bytearray(long_name(b"1.txt" + b"2.txt"))
    header[124:136] = b"%011o\0" % (5 if kind == b"L" else 11)
    data = summed(header[:512]) + header[512:] + member(b"1.txt", magic=b"") + END
    assert tarfile_tar(data, "r:") not in (None, [("1.txt", b"x")])
    refused(data, "continues after its end")


def test_name_of_a_folder_in_an_old_header_behind_a_long_name() -> None:
    data = long_name(b"d/1.txt") + member(b"d/", b"", kind=b"\0") + END
    assert tarfile_tar(data, "r:") == []
    refused(data, "a file with the name of a folder")


def test_long_name_with_a_null_byte_in_it() -> None:
    refused(long_name(b"1.txt\0.jpg") + member(b"0", magic=b"ustar  \0") + END, "null byte")


@pytest.mark.parametrize("kind", [b"M", b"V", b"D", b"N", b"A", b"X", b"7", b"K", b"S"])
def test_member_of_a_kind_that_other_programs_give_a_meaning(kind: bytes) -> None:
    refused(member(b"1.txt", kind=kind, magic=b"ustar  \0") + END, "kind|a link|a sparse file")


def test_size_in_two_numbers() -> None:
    header = bytearray(block(b"1.txt", 1))
    for size in (b"0000001 001\0", b"\xff" * 12, b"\x81" + bytes(10) + b"\1", b"1_0\0" * 3):
        header[124:136] = size
        refused(summed(header) + filled(b"x") + END, "no size")


@pytest.mark.parametrize("begin", [100, 108, 116, 136, 329, 337])
def test_header_at_which_python_ends_an_archive(begin: int) -> None:
    header = bytearray(block(b"2.txt", 1))
    header[begin : begin + 8] = b"000x000\0"
    data = member(b"1.txt") + summed(header) + filled(b"x") + END
    assert tarfile_tar(data, "r:") == [("1.txt", b"x")]
    refused(data, "an invalid number")
    header[begin : begin + 8] = b"\xff" * 8
    assert len(read(member(b"1.txt") + summed(header) + filled(b"x") + END)) == 2


def test_sum_of_signed_bytes() -> None:
    header = bytearray(block("é.txt".encode(), 1))
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(byte - 256 * (byte > 127) for byte in header)
    refused(bytes(header) + filled(b"x") + END, "sum is wrong")


def shard(folder: Path, *names: str, data: bytes = b"x", ending: str = "tar") -> Path:
    path = folder / f"a.{ending}"
    path.write_bytes(b"".join(member(name.encode(), data) for name in names) + END)
    return path


def sampled(path: Path) -> list[str]:
    found = webdataset.read(
        [path], "webdataset", webdataset.ShardOptions(label=None), ReadContext()
    )
    ids: list[str] = found.table["id"].to_pylist()
    return ids


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("1.", "ending"),
        ("1.__key__", "ending"),
        ("1.__URL__", "ending"),
        ("1.__bad__", "ending"),
        ("1.__local_path__", "ending"),
        ("d/.jpg", "WebDataset"),
        ("d/._1.jpg", "WebDataset"),
        ("Thumbs.db", "WebDataset"),
        ("d/.DS_Store", "WebDataset"),
    ],
)
def test_member_that_webdataset_takes_for_something_else(
    tmp_path: Path, name: str, says: str
) -> None:
    """A key of its own, a sample that is dropped, or one whose stem is the folder."""
    with pytest.raises(InputError, match=says):
        sampled(shard(tmp_path, "1.jpg", name))


def test_what_webdataset_passes_over_is_passed_over(tmp_path: Path) -> None:
    pytest.importorskip("webdataset")
    names = ("__meta__", "__a.b__", "__x__/2.jpg", ".hidden.jpg", "README", "v1.0/README", "1.jpg")
    path = shard(tmp_path, *names)
    assert sampled(path) == ["1"]
    assert webdataset_samples(path.read_bytes()) == [("1", {"jpg": b"x"})]


def test_one_stem_with_and_without_a_leading_dot(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stand apart"):
        sampled(shard(tmp_path, "1.jpg", "./1.cls"))


def test_second_gzip_member_that_a_stream_does_not_reach(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    first, second = member(b"1.jpg"), member(b"2.jpg") + END
    path.write_bytes(gzip.compress(first + second) + bytes(100))
    assert sampled(path) == ["1", "2"]
    path.write_bytes(gzip.compress(first) + gzip.compress(second))
    with pytest.raises(InputError, match="more than one stream"):
        sampled(path)
    path.write_bytes(gzip.compress(first + second) + b"poison")
    with pytest.raises(InputError, match="more than one stream"):
        sampled(path)


def test_second_zstd_frame_that_a_stream_does_not_reach(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.zst"
    first, second = member(b"1.jpg", bytes(300_000)), member(b"2.jpg") + END
    path.write_bytes(pa.compress(first + second, "zstd", asbytes=True))
    assert sampled(path) == ["1", "2"]
    frames = [pa.compress(part, "zstd", asbytes=True) for part in (first, second)]
    path.write_bytes(b"".join(frames))
    with pytest.raises(InputError, match="more than one stream"):
        sampled(path)
    skipped = b"\x50\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
    for data in (frames[0] + b"poison", frames[0] + skipped):
        path.write_bytes(data)
        with pytest.raises(InputError, match="more than one stream"):
            sampled(path)


@pytest.mark.parametrize("form", ["gnu", "oldgnu", "pax", "ustar", "v7", "bsdtar"])
def test_archive_of_another_program_is_read(tmp_path: Path, form: str) -> None:
    program = "bsdtar" if form == "bsdtar" else "tar"
    if which(program) is None:
        pytest.skip(f"the program {program} is not there")
    long = "ä/" * 60 + "long.jpg" if form in {"gnu", "oldgnu", "pax", "bsdtar"} else "d/é.jpg"
    files = {"1.jpg": b"", "2.jpg": bytes(1000), long: b"x" * 512}
    for name, data in files.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    command = [program, *([f"--format={form}"] if program == "tar" else []), "-cf", "../a.tar", "."]
    subprocess.run(
        command, cwd=tmp_path / "in", check=True, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    )
    data = (tmp_path / "a.tar").read_bytes()
    assert dict(read(data)) == {f"./{name}": data for name, data in files.items()}
    assert sorted(sampled(tmp_path / "a.tar")) == sorted(name[:-4] for name in files)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archive_of_tarfile_padded_and_compressed_is_read(tmp_path: Path, form: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name in ("1.jpg", "folder/" * 18 + "2.jpg"):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = 3, 1.5  # type: ignore[assignment]
            info.uname = "jürgen"
            tar.addfile(info, io.BytesIO(b"abc"))
    data = out.getvalue()
    assert len(data) % 10_240 == 0
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(data))
    assert sampled(path) == ["1", "folder/" * 18 + "2"]
