"""readers.archives.tar_stream: what tarfile writes is read, what two programs could read is not."""

from __future__ import annotations

import contextlib
import io
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provreg.errors import InputError
from provreg.readers.archives.tar_stream import tar_members

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
LIMIT = 1 << 20


def archive(
    *files: tuple[str, bytes] | tarfile.TarInfo, form: int = tarfile.PAX_FORMAT, **options: object
) -> bytes:
    """A tar archive of files, or of headers without bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, **options) as tar:  # type: ignore[call-overload]
        for file in files:
            if isinstance(file, tarfile.TarInfo):
                tar.addfile(file)
                continue
            header = tarfile.TarInfo(file[0])
            header.size = len(file[1])
            tar.addfile(header, io.BytesIO(file[1]))
    return out.getvalue()


def read(data: bytes, limit: int = LIMIT) -> list[tuple[str, bytes]]:
    return list(tar_members(io.BytesIO(data), "'x.tar'", limit=limit))


def header(name: str = "a.txt", **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def resummed(data: bytes, **fields: tuple[int, bytes]) -> bytes:
    """`data` with bytes of its first header put in place, and the header's sum made right again."""
    block = bytearray(data[:512])
    for place, value in fields.values():
        block[place : place + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + data[512:]


NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1, max_size=60
)


@settings(deadline=None, max_examples=30)
@given(
    files=st.lists(
        st.tuples(st.lists(NAMES, min_size=1, max_size=4).map("/".join), st.binary(max_size=1100)),
        max_size=5,
    ),
    form=st.sampled_from(FORMATS[1:]),
)
def test_whatever_tarfile_writes_is_read_as_tarfile_reads_it(
    files: Sequence[tuple[str, bytes]], form: int
) -> None:
    data = archive(*files, form=form)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        there = [(one.name, tar.extractfile(one).read()) for one in tar]  # type: ignore[union-attr]
    assert [(name.rstrip("/"), found) for name, found in read(data)] == there


@pytest.mark.parametrize("form", FORMATS)
def test_long_names_are_read_in_every_format(form: int) -> None:
    name = "folder/" * 20 + "a.jpg"
    assert read(archive((name, b"x"), form=form)) == [(name, b"x")]


def test_sizes_in_pax_headers_and_in_binary_count() -> None:
    plain = archive(("a.txt", b"abc"), form=tarfile.USTAR_FORMAT)
    binary = resummed(plain, size=(124, b"\x80" + (3).to_bytes(11, "big")))
    assert read(binary) == [("a.txt", b"abc")]
    assert read(pax(b"10 size=3\n", before=plain)) == [("a.txt", b"abc")]
    no_room = resummed(plain, size=(124, b"%011o\0" % 0))
    with pytest.raises(InputError, match="has 8,589,934,592 bytes, more than"):
        read(pax(b"19 size=8589934592\n", before=no_room))
    with pytest.raises(InputError, match="two sizes"):
        read(pax(b"10 size=3\n", before=no_room))


def test_folders_are_passed_over() -> None:
    data = archive(header("d", type=tarfile.DIRTYPE), ("d/a.txt", b"x"))
    assert read(data) == [("d/a.txt", b"x")]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.SYMTYPE, "is a link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "pipe"),
        (tarfile.GNUTYPE_SPARSE, "sparse"),
        (b"Z", "unknown kind"),
        (tarfile.CONTTYPE, "unknown kind"),
    ],
)
def test_links_devices_and_sparse_files_in_an_archive(kind: bytes, says: str) -> None:
    data = archive(header("a.txt", type=kind, linkname="/etc/passwd"))
    with pytest.raises(InputError, match=says):
        read(data)


def test_pax_sparse_file() -> None:
    data = archive(header(pax_headers={"GNU.sparse.major": "1"}))
    with pytest.raises(InputError, match="sparse"):
        read(data)


def test_pax_bomb_is_refused_by_its_claim() -> None:
    bomb = archive(header(pax_headers={"comment": "x" * 70_000}))
    with pytest.raises(InputError, match="an extended header has"):
        read(bomb)


@pytest.mark.parametrize("claimed", [2**30, 8**11 - 1])
def test_huge_member_is_refused_by_its_claim_before_memory_is_taken(claimed: int) -> None:
    data = resummed(archive(("a.txt", b"abc")), size=(124, b"%011o\0" % claimed))
    with pytest.raises(InputError, match="bytes, more than"):
        read(data)
    with pytest.raises(InputError, match="cut off within"):
        read(data, limit=1 << 40)


@pytest.mark.parametrize("cut", [1, 100, 511, 512, 513, 600, 1023, 1024, 1536])
def test_truncated_archive(cut: int) -> None:
    data = archive(("a.txt", b"x" * 600), form=tarfile.USTAR_FORMAT)
    with pytest.raises(InputError, match="cut off"):
        read(data[:cut])


@pytest.mark.parametrize(
    "after", [archive(("b.txt", b"hidden")), b"\0" * 512 + b"x", b"\0" * (1 << 21)]
)
def test_archive_that_goes_on_after_its_end(after: bytes) -> None:
    with pytest.raises(InputError, match="goes on after its end"):
        read(archive(("a.txt", b"x")) + after)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"sum": (148, b"0000000\0")}, "sum is wrong"),
        ({"sum": (148, b"\0" * 8)}, "sum is wrong"),
    ],
)
def test_header_whose_sum_is_wrong(fields: dict[str, tuple[int, bytes]], says: str) -> None:
    data = bytearray(archive(("a.txt", b"x")))
    for place, value in fields.values():
        data[place : place + len(value)] = value
    with pytest.raises(InputError, match=says):
        read(bytes(data))


@pytest.mark.parametrize("size", [b"99999999999\0", b"-0000000001\0", b"0x1\0\0\0\0\0\0\0\0\0"])
def test_size_that_is_no_number(size: bytes) -> None:
    with pytest.raises(InputError, match="no size"):
        read(resummed(archive(("a.txt", b"x")), size=(124, size)))


def test_name_that_is_not_utf8() -> None:
    with pytest.raises(InputError, match="not UTF-8"):
        read(resummed(archive(("a.txt", b"x")), name=(0, b"\xff.txt")))


def pax(records: bytes, kind: bytes = tarfile.XHDTYPE, before: bytes = b"") -> bytes:
    """A pax header of any bytes before a file."""
    extended = archive(("h", records), form=tarfile.USTAR_FORMAT)
    extended = extended[: 512 + -(-len(records) // 512) * 512]
    file = before or archive(("a.txt", b"x"), form=tarfile.USTAR_FORMAT)
    return resummed(extended, kind=(156, kind)) + file


@pytest.mark.parametrize(
    "records",
    [
        b"12 path=b.txt",  # without its line break
        b"13 path=b.txt\n",  # longer than it is
        b"99 path=b.txt\n",
        b"012 path=b.txt\n",
        b"x",
        b"12 path=b.txt\n12 path=c.txt\n",
        b"4 =\n",
        b"22 hdrcharset=BINARY\n\n",
        b"9 size=x\n",
        b"10 size=-1\n",
        b"24 size=" + b"9" * 16 + b"\n",
    ],
)
def test_pax_header_that_two_programs_could_read_differently(records: bytes) -> None:
    with pytest.raises(InputError):
        read(pax(records))


def test_pax_header_that_renames_and_measures_all_files_to_come() -> None:
    with pytest.raises(InputError, match="global header"):
        read(pax(b"14 path=b.txt\n", tarfile.XGLTYPE))
    assert read(pax(b"17 comment=hello\n", tarfile.XGLTYPE))


def test_pax_header_of_no_file() -> None:
    data = pax(b"14 path=b.txt\n")[:1024] + bytes(1024)
    with pytest.raises(InputError, match="belongs to no file"):
        read(data)


def test_no_archive_at_all() -> None:
    for data in (b"", b"PK\x03\x04" + bytes(600), b"x" * 2000):
        with pytest.raises(InputError, match="no tar archive"):
            read(data)


@settings(deadline=None, max_examples=60)
@given(place=st.integers(0, 2047), value=st.integers(0, 255), cut=st.integers(0, 10_240))
def test_any_damage_is_our_error_or_the_same_files(place: int, value: int, cut: int) -> None:
    data = bytearray(archive(("a.txt", b"x" * 600), ("d/b.txt", b"")))
    data[place] = value
    with contextlib.suppress(InputError):
        read(bytes(data[:cut]))
