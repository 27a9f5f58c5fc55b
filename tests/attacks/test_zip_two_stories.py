"""Attack: a zip file that tells provreg one story and another program another one."""

from __future__ import annotations

import io
import struct
import subprocess
import zipfile
from shutil import which
from typing import TYPE_CHECKING

import pytest

from provreg.errors import InputError
from provreg.readers.api import ReadContext
from provreg.readers.archives import zip_folder
from provreg.readers.files.folder import FolderOptions
from tests.archives import Zipped, extra_field, unicode_path, zip_archive

if TYPE_CHECKING:
    from pathlib import Path

A = Zipped(b"x/a", b"abc" * 9)
B = Zipped(b"x/b", b"b", method=0)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "a.zip"


def read(place: Path, data: bytes) -> dict[str, bytes]:
    """The members, as they are hashed and as they are handed on."""
    place.write_bytes(data)
    options = FolderOptions(label="none")
    found = zip_folder.read([place], "zip", options, ReadContext())
    with zip_folder.files([place], "zip", options) as files:
        return {name: files.read(name, limit=1 << 20) for name in found.table["id"].to_pylist()}


def refused(place: Path, data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(place, data)


def test_the_parts_that_the_attacks_are_made_of_are_read(place: Path) -> None:
    behind = Zipped(b"c", b"ccc", flags=8)
    folder = Zipped(b"d/", b"", attributes=0o40755 << 16 | 0x10)
    found = read(place, zip_archive(A, B, behind, folder, comment=b"hello"))
    assert found == {"x/a": A.data, "x/b": b"b", "c": b"ccc"}


@pytest.mark.parametrize("in_local", [False, True])
def test_unicode_path_with_another_name(place: Path, in_local: bool) -> None:
    for extra in (
        unicode_path(b"x/b", b"x/a"),
        unicode_path(b"x/b", b"wrong"),
        extra_field(0x7075, b"\2"),
        unicode_path(b"x/a", b"x/a") + unicode_path(b"x/a", b"x/a"),
    ):
        told = {"extra": extra}
        one = Zipped(b"x/a", local=told) if in_local else Zipped(b"x/a", table=told)
        refused(place, zip_archive(one), "two names|damaged")
    assert read(place, zip_archive(Zipped(b"x/a", extra=unicode_path(b"x/a", b"x/a"))))


@pytest.mark.parametrize("extra", [b"\0", b"\x0a\0\x09\0x", extra_field(0x756E, bytes(14)),
    extra_field(0x9901, bytes(7)), extra_field(0x4242, b"")])  # fmt: skip
def test_extra_field_that_is_damaged_or_unknown(place: Path, extra: bytes) -> None:
    for told in ("local", "table"):
        one = Zipped(b"x/a", **{told: {"extra": extra}})  # type: ignore[arg-type]
        refused(place, zip_archive(one), "damaged|unknown")


def test_entry_in_a_gap_before_a_member_or_the_table(place: Path) -> None:
    hidden = zip_archive(Zipped(b"x/hidden"))
    for data in (
        zip_archive(A, Zipped(b"x/b", before=hidden)),
        zip_archive(Zipped(b"x/b", before=b"\0")),
        zip_archive(A, B, between=hidden),
        zip_archive(A, Zipped(b"x/b", behind=b"\0")),
    ):
        refused(place, data, "belong to no file")


def test_table_of_contents_that_leaves_out_a_member(place: Path) -> None:
    data = zip_archive(A, B)
    table = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", table + 1)
    end = bytearray(data[-22:])
    struct.pack_into("<HHII", end, 8, 1, 1, second - table, table)
    refused(place, data[:second] + end, "belong to no file")
    struct.pack_into("<HHII", end, 8, 1, 1, len(data) - 22 - table, table)
    refused(place, data[:-22] + end, "of another length")


def test_entry_that_points_into_another_member(place: Path) -> None:
    inner = zip_archive(Zipped(b"x/b", b"poison", method=0))[:-22].partition(b"PK\1\2")[0]
    outer = Zipped(b"x/a", inner, method=0)
    points = Zipped(b"x/b", b"poison", method=0, table={"offset": 33})
    data = zip_archive(outer, points)
    refused(place, data, "overlaps|belong to no file")
    refused(place, zip_archive(A, Zipped(b"x/a", table={"offset": 0})), "is duplicated")
    refused(place, zip_archive(A, Zipped(b"x/b", table={"offset": 0})), "overlaps|another name")


@pytest.mark.parametrize(
    "told",
    [
        {"name": b"x/z"}, {"method": 0}, {"flags": 0x800}, {"flags": 2}, {"checksum": 1},
        {"packed": 1}, {"size": 1}, {"size": 0}, {"size": 2**32 - 1},
        {"extra": extra_field(1, bytes(16))},
    ],
)  # fmt: skip
def test_local_header_that_is_another_than_the_tables(place: Path, told: dict[str, int]) -> None:
    one = Zipped(b"x/a", b"abc" * 9, local=told)
    refused(place, zip_archive(one, B), "another")


def test_sizes_behind_a_member_that_are_others(place: Path) -> None:
    packed, size, checksum = len(A.packed()), len(A.data), A.said({})["checksum"]
    right = struct.pack("<III", checksum, packed, size)
    wide = struct.pack("<IQQ", checksum, packed, size)
    for behind in (right, b"PK\7\x08" + right, wide, b"PK\7\x08" + wide):
        one = Zipped(b"x/a", A.data, flags=8, behind=behind)
        assert read(place, zip_archive(one, B))["x/a"] == A.data
    for behind in (b"", right[:-1], right + b"\0", struct.pack("<III", checksum, packed, size + 1),
                   struct.pack("<III", 0, packed, size), b"PK\7\x09" + right):  # fmt: skip
        one = Zipped(b"x/a", A.data, flags=8, behind=behind)
        refused(place, zip_archive(one, B), "other sizes|belong to no file")
    stored = Zipped(b"x/a", b"PK\7\x08" + bytes(12), method=0, flags=8)
    refused(place, zip_archive(stored, B), "others must guess")
    # A size before the bytes and another behind them.
    one = Zipped(b"x/a", A.data, flags=8, local={"size": 1})
    refused(place, zip_archive(one, B), "another")


def test_two_ends(place: Path) -> None:
    """An archive within the comment of another, and one within the last member of another."""
    inner = zip_archive(Zipped(b"x/b", b"hidden"))
    refused(place, zip_archive(A, comment=inner), "begins or ends with something else")
    nested = bytearray(zip_archive(B))
    whole = Zipped(b"x/a", bytes(nested), method=0)
    assert read(place, zip_archive(whole)) == {"x/a": bytes(nested)}
    # The inner end's comment reaches exactly to the outer end.
    behind = len(zip_archive(whole)) - 30 - 3 - len(nested)
    struct.pack_into("<H", nested, len(nested) - 2, behind)
    whole = Zipped(b"x/a", bytes(nested), method=0)
    refused(place, zip_archive(whole), "begins or ends with something else")


def test_archive_before_behind_or_after_another(place: Path) -> None:
    first, second = zip_archive(A), zip_archive(B)
    for data in (first + second, first + b"\0", b"\0" + first, first + bytes(22)):
        refused(place, data, "begins or ends with something else|not a valid zip archive")


@pytest.mark.parametrize("told", [{"disk": 1}, {"here": 2}, {"count": 2}, {"begin": 1},
    {"length": 1}, {"comment_length": 1}, {"count": 0xFFFF, "here": 0xFFFF}])  # fmt: skip
def test_end_that_says_two_things(place: Path, told: dict[str, int]) -> None:
    with pytest.raises(InputError):
        read(place, zip_archive(A, **told))


def zip64(data: bytes, **told: int) -> bytes:
    """`data` with a zip64 end before its own, which says what `told` does."""
    count, length, begin = struct.unpack_from("<HII", data, len(data) - 12)
    said = {"count": count, "length": length, "begin": begin} | told
    end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", told.get("own", 44), 45, 45, 0, 0, said["count"],
                      said["count"], said["length"], said["begin"])  # fmt: skip
    at = told.get("at", len(data) - 22)
    return data[:-22] + end + struct.pack("<4sIQI", b"PK\6\7", 0, at, 1) + data[-22:]


def test_zip64_end_that_contradicts_the_other(place: Path) -> None:
    data = zip_archive(A, B)
    assert len(read(place, zip64(data))) == 2
    for told in ({"count": 1}, {"length": 1}, {"begin": 1}, {"at": 0}, {"own": 45}, {"own": 2**63}):
        refused(place, zip64(data, **told), "end records disagree|something else")
    hollow = data[:-12] + b"\xff" * 10 + data[-2:]
    refused(place, zip64(hollow), "part|end records disagree|something else")


def test_zip64_field_that_contradicts_its_header(place: Path) -> None:
    full = 2**32 - 1
    sizes = extra_field(1, struct.pack("<QQ", 27, len(A.packed())))
    right = {"size": full, "packed": full, "extra": sizes}
    for told in ("local", "table"):
        one = Zipped(b"x/a", A.data, **{told: right})  # type: ignore[arg-type]
        assert read(place, zip_archive(one))["x/a"] == A.data
        for wrong in (
            {"size": full}, {"packed": full, "extra": sizes},
            {"extra": sizes}, right | {"extra": extra_field(1, bytes(16))},
            right | {"extra": extra_field(1, struct.pack("<Q", 27))},
            right | {"extra": sizes + sizes},
        ):  # fmt: skip
            one = Zipped(b"x/a", A.data, **{told: wrong})  # type: ignore[arg-type]
            refused(place, zip_archive(one), "two sizes|another|damaged")


@pytest.mark.parametrize(
    ("mode", "made_by", "says"),
    [
        (0o120777 << 16, 3 << 8, "link"),
        (0o120777 << 16, 19 << 8, "link"),
        (0o010644 << 16, 0, "device"),
        (0o040755 << 16, 3 << 8, "folder and a file"),
        (0x10, 0, "folder and a file"),
    ],
)
def test_member_that_is_a_link_or_a_folder_to_some(
    place: Path, mode: int, made_by: int, says: str
) -> None:
    one = Zipped(b"x/a", attributes=mode, made_by=made_by)
    refused(place, zip_archive(one), says)


def test_folder_with_bytes_and_file_with_files_in_it(place: Path) -> None:
    java = Zipped(b"d/", b"", flags=8)
    assert java.packed() == b"\3\0"
    assert read(place, zip_archive(java, A))
    refused(place, zip_archive(Zipped(b"d/", b"x")), "folder")
    refused(place, zip_archive(Zipped(b"d/", b"", attributes=0o100644 << 16)), "link or a device")
    refused(place, zip_archive(Zipped(b"x"), A), "folder and a file")


@pytest.mark.parametrize("flags", [0x10, 0x80, 0x1000, 0x4000, 0x8000])
def test_flag_that_is_unknown(place: Path, flags: int) -> None:
    refused(place, zip_archive(Zipped(b"x/a", flags=flags)), "unknown here")


def test_names_that_are_one_in_another_programs_characters(place: Path) -> None:
    """zipfile reads what is not marked as in the characters of the IBM PC."""
    plain = "x/é".encode()
    shown = plain.decode("cp437").encode()
    assert set(read(place, zip_archive(Zipped(plain)))) == {"x/é"}
    data = zip_archive(Zipped(plain), Zipped(shown, flags=0x800))
    refused(place, data, "is duplicated")


@pytest.mark.parametrize("name", [b"", b"x/a\0.jpg", b"x/\xff"])
def test_name_that_is_none(place: Path, name: bytes) -> None:
    refused(place, zip_archive(Zipped(name)), "two names|not UTF-8")


@pytest.mark.parametrize("twin", ["x/A", "x/a\u0301", "X/á"])
def test_names_that_differ_in_case_or_composition(place: Path, twin: str) -> None:
    data = zip_archive(A, Zipped("x/á".encode()), Zipped(twin.encode()))
    refused(place, data, "one file on systems")


class _NoWayBack(io.RawIOBase):
    """A pipe."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += bytes(data)
        return len(data)


def test_archive_of_zipfile_into_a_pipe_is_read(place: Path) -> None:
    pipe = _NoWayBack()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        archive.writestr("x/ä", b"abc")
        with archive.open("x/b", "w", force_zip64=True) as file:
            file.write(b"b" * 999)
    assert read(place, pipe.data) == {"x/ä": b"abc", "x/b": b"b" * 999}


@pytest.mark.parametrize(
    "command",
    [
        ["zip", "-q", "-r", "a.zip", "x"],
        ["zip", "-q", "-0", "-r", "a.zip", "x"],
        ["sh", "-c", "zip -q -r - x | cat > a.zip"],
        ["jar", "cMf", "a.zip", "x"],
        ["7z", "a", "-bd", "a.zip", "x"],
        ["bsdtar", "--format", "zip", "-cf", "a.zip", "x"],
    ],
)
def test_archive_of_another_program_is_read(place: Path, command: list[str]) -> None:
    needed = "zip" if command[0] == "sh" else command[0]
    if which(needed) is None:
        pytest.skip(f"the program {needed} is not there")
    files = {"x/ä b.txt": b"hello\n" * 99, "x/empty": b"", "x/y/noise": bytes(range(256)) * 3}
    for name, data in files.items():
        (place.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (place.parent / name).write_bytes(data)
    subprocess.run(command, cwd=place.parent, check=True, capture_output=True,
                   env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin:/usr/local/bin"})  # fmt: skip
    assert read(place, place.read_bytes()) == files
