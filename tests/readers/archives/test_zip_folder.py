"""archives.zip_folder: zip files as the folders they are of, and every way to cheat in one."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provreg.errors import FormatError, InputError, NotFoundError, NotTrustedError, UsageError
from provreg.executors.processes import LocalProcesses
from provreg.readers.api import ReadContext, ReadOptions, ReadResult
from provreg.readers.archives import zip_folder
from provreg.readers.catalog import detect
from provreg.readers.files.folder import FolderOptions, read_folder

if TYPE_CHECKING:
    from tests.conftest import Bench

FILES = {f"train/{'cat' if n % 2 else 'dog'}/{n}.jpg": b"picture %d" % n * 99 for n in range(8)}


def pack(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def read(*paths: Path, workers: int = 1, collect: bool = False, **how: Any) -> ReadResult:
    options = zip_folder.settle("zip", ReadOptions(**how), None)
    return zip_folder.read(
        paths, "zip", options, ReadContext(executor=LocalProcesses(workers), collect=collect)
    )


def rows(found: ReadResult) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = found.table.to_pylist()
    return listed


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_file_is_the_folder_that_was_packed(
    tmp_path: Path, method: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_folder, "_MOST_MEMBERS", 3)
    for name, data in FILES.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(data)
    path = pack(tmp_path / "a.zip", dict(reversed(FILES.items())), method)
    assert detect([path]) == "zip"
    for how in ({}, {"split": "dir"}, {"include": ("*/cat/*",)}, {"exclude": ("3.jpg",)}):
        expected = read_folder([tmp_path / "folder"], FolderOptions(**how))
        found = read(path, workers=workers, **how)
        assert rows(found) == rows(expected)
        expected.reading["left_out"].pop("empty", None)  # archives have no folders
        assert found.reading == expected.reading | {"reader": "zip"}


def test_sha256_is_taken_in_the_same_read(tmp_path: Path) -> None:
    from hashlib import sha256

    found = read(pack(tmp_path / "a.zip", FILES), sha256=True)
    assert [row["content_sha256"] for row in rows(found)] == [
        sha256(FILES[row["id"]]).digest() for row in rows(found)
    ]


def test_of_several_zip_files_each_ones_name_comes_first(tmp_path: Path) -> None:
    pack(tmp_path / "d/train.zip", {"cat/1.jpg": b"1"})
    pack(tmp_path / "d/more/test.zip", {"cat/1.jpg": b"2"})
    ids = [row["id"] for row in rows(read(tmp_path / "d"))]
    assert ids == ["more/test/cat/1.jpg", "train/cat/1.jpg"]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    extra = {"__MACOSX/x/._1.jpg": b"", ".hidden/1": b"", "x/.DS_Store": b"", "x/": b""}
    found = read(pack(tmp_path / "a.zip", extra | {"x/1": b"1"}))
    assert found.reading["left_out"] == {"system": 2, "hidden": 1}
    assert [row["id"] for row in rows(found)] == ["x/1"]


def test_zip64_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, archive.open("x/1", "w", force_zip64=True) as file:
        file.write(b"1")
    assert rows(read(path))[0]["size"] == 1


def test_members_are_read_by_id_within_limits(tmp_path: Path) -> None:
    big = bytes(range(256)) * 20_000
    path = pack(tmp_path / "a.zip", FILES | {"x/big": big})
    with zip_folder.files([path], "zip", FolderOptions()) as files:
        assert files.read("x/big", limit=len(big)) == big
        assert files.read("x/big", limit=10) == big[:11]
        assert files.read("train/cat/1.jpg", limit=10**9) == FILES["train/cat/1.jpg"]
        with pytest.raises(NotFoundError):
            files.read("x/other", limit=1)


def test_the_reading_is_parsed_strictly(tmp_path: Path) -> None:
    reading = read(pack(tmp_path / "a.zip", FILES)).reading
    assert zip_folder.options_from_reading(reading) == FolderOptions()
    for change in ({"reader": "folder"}, {"label": "file"}, {"more": 1}, {"reader_version": 2}):
        with pytest.raises(FormatError):
            zip_folder.options_from_reading(reading | change)
    with pytest.raises(UsageError):
        read(tmp_path / "a.zip", label="column")


def test_versions_of_zip_files_verify_load_and_name_what_was_touched(bench: Bench) -> None:
    import provreg

    path = pack(bench.folder / "a.zip", FILES)
    bench.ingest(path)
    bench.open().verify("pets", data=[path])
    key, place = bench.key_file(), bench.registry
    handed = {
        one.id: one.payload for one in provreg.load("pets", data=path, key=key, registry=place)
    }
    assert handed == FILES
    first, second, *rest = FILES
    moved = {name: FILES[name] for name in rest} | {first: b"poison", "train/cow/9.jpg": b"cow"}
    pack(path, moved)
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets", data=[path])
    assert {(one.kind, one.id) for one in caught.value.findings} == {
        ("missing", second), ("stranger", "train/cow/9.jpg"), ("changed", first),
    }  # fmt: skip


# Attacks: `edit` changes the bytes of an archive of one member, x/1, of 2,000 bytes.

DATA = bytes(range(200)) * 10


def edited(tmp_path: Path, edit: Any, method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = pack(tmp_path / "a.zip", {"x/1": DATA}, method)
    data = bytearray(path.read_bytes())
    edit(data, data.index(b"PK\x01\x02"))
    path.write_bytes(data)
    return path


def put(data: bytearray, place: int, form: str, *values: int) -> None:
    struct.pack_into(form, data, place, *values)


@pytest.mark.parametrize("name", ["../1", "/x/1", "x//1", "x/./1", "x/../../1"])
def test_name_that_leads_out_of_the_archive(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="absolute or leads out"):
        read(pack(tmp_path / "a.zip", {name: b"1"}))


@pytest.mark.parametrize("name", ["x/\x1b[2J", "x/\u202egpj"])
def test_name_that_acts_on_a_terminal(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="control or bidirectional"):
        read(pack(tmp_path / "a.zip", {name: b"1"}))


def test_name_of_a_windows_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="backslash"):
        read(pack(tmp_path / "a.zip", {"x\\..\\1": b"1"}))


def test_name_cut_by_a_null_byte(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"x/1.jpg_exe": b"1"})
    path.write_bytes(path.read_bytes().replace(b"x/1.jpg_exe", b"x/1.jpg\0exe"))
    with pytest.raises(InputError, match="two names"):
        read(path)


def test_name_that_is_utf8_is_read_so_with_or_without_the_mark(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"x/1234": b"1"})
    plain = path.read_bytes()
    path.write_bytes(plain.replace(b"x/1234", "x/12é".encode()))
    assert [row["id"] for row in rows(read(path))] == ["x/12é"]
    path.write_bytes(plain.replace(b"x/1234", b"x/123\x82"))
    with pytest.raises(InputError, match=r"not UTF-8, nor marked as such \(bit 11\)"):
        read(path)


def test_name_that_differs_between_table_and_member(tmp_path: Path) -> None:
    def edit(data: bytearray, table: int) -> None:
        data[table + 46 + 2] = ord("2")

    with pytest.raises(InputError, match="another name or none at its place"):
        read(edited(tmp_path, edit))


def test_member_that_stands_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/1", b"shown")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x/1", b"hashed")
    with pytest.raises(InputError, match="is duplicated"):
        read(path)


def test_id_that_two_archives_give(tmp_path: Path) -> None:
    """The id means two payloads, and nobody but who made the version could verify it."""
    (tmp_path / "d").mkdir()
    outer = pack(tmp_path / "d.zip", {"x/1.txt": b"one"})
    pack(tmp_path / "d/x.zip", {"1.txt": b"other"})
    with pytest.raises(InputError, match=r"'d/x/1\.txt' is duplicated") as caught:
        read(tmp_path)
    assert caught.value.sample == "d/x/1.txt"
    with pytest.raises(InputError, match="is duplicated"):
        read(tmp_path, collect=True)
    outer.rename(tmp_path / "d/x.ZIP")
    pack(tmp_path / "d/x.ZIP", {"1.txt": b"other"})
    with pytest.raises(InputError, match="is duplicated"):
        read(tmp_path)


def test_members_that_are_one_file_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one file on systems"):
        read(pack(tmp_path / "a.zip", {"x/A": b"1", "x/a": b"2"}))


def test_link_in_an_archive(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("x/1")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(InputError, match="link or a device"):
        read(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [(8, 1, "encrypted"), (8, 0x40, "encrypted"), (10, 12, "otherwise than by deflate"),
     (10, 14, "otherwise than by deflate"), (10, 99, "otherwise than by deflate")],
)  # fmt: skip
def test_member_that_is_encrypted_or_packed_otherwise(
    tmp_path: Path, place: int, value: int, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        read(edited(tmp_path, lambda data, table: put(data, table + place, "<H", value)))


def test_member_that_needs_a_version_of_the_format_which_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a version of the format"):
        read(edited(tmp_path, lambda data, table: put(data, table + 6, "<B", 99)))


@pytest.mark.parametrize(
    ("size", "says"), [(1999, "more bytes than"), (2001, "fewer bytes than"), (0, "more bytes")]
)
def test_declared_size_that_is_not_the_real_one(tmp_path: Path, size: int, says: str) -> None:
    def edit(data: bytearray, table: int) -> None:
        put(data, table + 24, "<I", size)
        put(data, 22, "<I", size)

    path = edited(tmp_path, edit)
    with pytest.raises(InputError, match=says) as caught:
        read(path)
    assert caught.value.sample == "x/1"
    assert [one.kind for one in read(path, collect=True).findings] == ["unreadable"]


def test_bomb_that_claims_to_be_small_is_left_after_what_it_claims(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"x/1": bytes(50 << 20)})
    data = bytearray(path.read_bytes())
    put(data, data.index(b"PK\x01\x02") + 24, "<I", 1000)
    put(data, 22, "<I", 1000)
    path.write_bytes(data)
    with pytest.raises(InputError, match="more bytes than"):
        read(path)


def test_bytes_behind_a_member_that_no_program_shows(tmp_path: Path) -> None:
    packed = zlib.compress(DATA, 9)[2:-4]
    path = pack(tmp_path / "a.zip", {"x/1": packed + b"hidden"}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    table = data.index(b"PK\x01\x02")
    for header, method in ((table, 10), (0, 8)):
        put(data, header + method, "<H", zipfile.ZIP_DEFLATED)
        put(data, header + method + 6, "<I", zlib.crc32(DATA))
        put(data, header + method + 14, "<I", len(DATA))
    path.write_bytes(data)
    with pytest.raises(InputError, match="belong to nothing"):
        read(path)


def test_checksum_that_is_wrong(tmp_path: Path) -> None:
    def edit(data: bytearray, table: int) -> None:
        data[40] ^= 1

    with pytest.raises(InputError, match="checksum is wrong"):
        read(edited(tmp_path, edit, zipfile.ZIP_STORED))


def test_members_whose_bytes_overlap(tmp_path: Path) -> None:
    """A better zip bomb: many members out of the same packed bytes."""
    path = pack(tmp_path / "a.zip", {"x/1": DATA, "x/2": DATA}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    for header in (data.index(b"PK\x01\x02") + 20, 18):
        put(data, header, "<II", 2500, 2500)
    path.write_bytes(data)
    with pytest.raises(InputError, match="overlaps"):
        read(path)


def test_comment_that_holds_another_end(tmp_path: Path) -> None:
    inner = pack(tmp_path / "b.zip", {"x/2": b"hidden"}).read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/1", b"1")
        archive.comment = b"x" + inner + b"x"
    with pytest.raises(InputError):
        read(tmp_path / "a.zip")


def test_any_damage_is_our_error_or_the_same_samples(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"x/1": DATA, "x/2": b""})
    whole, expected = path.read_bytes(), rows(read(path))
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
        with contextlib.suppress(InputError):
            found = rows(read(path))
            assert {row["content"] for row in found} <= {row["content"] for row in expected}
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError):
            read(path)


def test_archive_behind_something_else(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"x/1": b"1"})
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    with pytest.raises(InputError, match="begins or ends with something else"):
        read(path)


def test_no_archive_and_no_samples(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(InputError, match="not a valid zip archive"):
        read(tmp_path)
    (tmp_path / "a.zip").write_bytes(io.BytesIO().getvalue())
    with pytest.raises(InputError, match="not a valid zip archive"):
        read(tmp_path)
    with pytest.raises(InputError, match="no samples"):
        read(pack(tmp_path / "a.zip", {".hidden": b""}))
