"""Attacks: compressed tables that unpack to what no disk holds, or to other rows elsewhere."""

from __future__ import annotations

import bz2
import gzip
import lzma
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from zlib import crc32

import pyarrow as pa
import pytest

from provreg.errors import InputError
from provreg.readers.data_files import compression
from provreg.readers.data_files.table_files import detect_format
from provreg.readers.tables.table import TableOptions, read_table
from provreg.readers.tables.text import jsonlines

ROWS = b'{"id":"a","x":1}\n{"id":"b","x":2}\n'
MORE = b'{"id":"c","x":3}\n'


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd,
}
every = pytest.mark.parametrize("ending", PACK)


def read(path: Path, format_: str = "jsonl") -> list[str]:
    found = read_table([path], format_, TableOptions(id="id")).table["id"].to_pylist()
    return [str(name) for name in found]


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@every
def test_a_file_that_is_cut_off_anywhere(tmp_path: Path, ending: str) -> None:
    whole = PACK[ending](ROWS)
    for size in range(len(whole)):
        path = written(tmp_path, f"t.jsonl{ending}", whole[:size])
        with pytest.raises(InputError):
            read(path)


@every
def test_a_byte_that_was_changed_is_refused_or_makes_no_difference(
    tmp_path: Path, ending: str
) -> None:
    whole = PACK[ending](ROWS)
    for place in range(len(whole)):
        path = written(
            tmp_path, f"t.jsonl{ending}",
            whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :],
        )  # fmt: skip
        with suppress(InputError):
            # zstd has a checksum only where it was asked for.
            assert read(path) == ["a", "b"] or ending == ".zst"


@every
@pytest.mark.parametrize("garbage", [b"\0", b"\0" * 512, b"x", b'{"id":"z","x":9}\n', b"\n"])
def test_bytes_behind_the_end(tmp_path: Path, ending: str, garbage: bytes) -> None:
    """Some programs pass over them, and some fail: so nobody may rely on either."""
    path = written(tmp_path, f"t.jsonl{ending}", PACK[ending](ROWS) + garbage)
    with pytest.raises(InputError):
        read(path)


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz"])
def test_streams_one_after_another_are_all_read(tmp_path: Path, ending: str) -> None:
    """As gzip, bzip2, xz, Arrow, pandas, Polars and DuckDB read them."""
    path = written(tmp_path, f"t.jsonl{ending}", PACK[ending](ROWS) + PACK[ending](MORE))
    assert read(path) == ["a", "b", "c"]


def test_rows_in_a_second_frame_of_zstd(tmp_path: Path) -> None:
    """pandas reads the first frame alone, others both."""
    path = written(tmp_path, "t.jsonl.zst", zstd(ROWS) + zstd(MORE))
    with pytest.raises(InputError, match="more than one stream"):
        read(path)


def test_rows_in_a_frame_that_zstd_skips(tmp_path: Path) -> None:
    skipped = b"\x50\x2a\x4d\x18" + len(MORE).to_bytes(4, "little") + MORE
    path = written(tmp_path, "t.jsonl.zst", zstd(ROWS) + skipped)
    with pytest.raises(InputError, match="more than one stream"):
        read(path)
    # Before the data it is no table by name, and not zstd by its first bytes.
    path = written(tmp_path, "t.jsonl.zst", skipped + zstd(ROWS))
    with pytest.raises(InputError, match="not compressed with zstd"):
        read(path)


@every
def test_a_name_that_says_another_program(tmp_path: Path, ending: str) -> None:
    """Some programs go by the name, some by the first bytes."""
    for other in PACK:
        if other != ending:
            path = written(tmp_path, f"t.jsonl{other}", PACK[ending](ROWS))
            with pytest.raises(
                InputError, match=r"is not compressed with \w+, as its name says, but with"
            ):
                read(path)
    with pytest.raises(InputError, match="is not compressed with"):
        read(written(tmp_path, f"t.jsonl{ending}", ROWS))


@every
@pytest.mark.parametrize("format_", ["csv", "tsv", "json", "jsonl"])
def test_a_name_that_does_not_say_that_it_is_compressed(
    tmp_path: Path, ending: str, format_: str
) -> None:
    path = written(tmp_path, f"t.{format_}", PACK[ending](ROWS))
    with pytest.raises(InputError, match="its name does not say so"):
        read(path, format_)


@every
def test_a_table_beside_itself_unpacked(tmp_path: Path, ending: str) -> None:
    """Without ids every row would be there twice, and nothing would say so."""
    written(tmp_path, f"t.jsonl{ending}", PACK[ending](ROWS))
    written(tmp_path, "t.jsonl", ROWS)
    with pytest.raises(InputError, match="are one table"):
        read(tmp_path)
    (tmp_path / "t.jsonl").unlink()
    other = next(name for name in PACK if name != ending)
    written(tmp_path, f"t.jsonl{other}", PACK[other](ROWS))
    with pytest.raises(InputError, match="are one table"):
        read(tmp_path)


@every
def test_bombs_of_one_byte(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_FREE", 1 << 16)
    monkeypatch.setattr(compression, "_MOST_TIMES", 100)
    blank = b" " * (4 << 20)
    path = written(tmp_path, f"t.jsonl{ending}", PACK[ending](ROWS + blank))
    with pytest.raises(InputError, match="unpacks to more than 100 times"):
        read(path)


_READ = """
import sys
from pathlib import Path
from provreg.errors import InputError
from provreg.readers.tables.table import TableOptions, read_table

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))

before, said = peak(), ""
try:
    read_table([Path(sys.argv[1])], "csv", TableOptions())
except InputError as error:
    said = error.message
print(peak() - before, said)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_a_bomb_takes_no_more_memory_than_the_rows_that_are_allowed(tmp_path: Path) -> None:
    """Some 120 KB, which would be 60 million samples."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(b"id\n"), *(packer.compress(b"1\n" * (1 << 20)) for _ in range(58))]
    path = written(tmp_path, "t.csv.gz", b"".join([*parts, packer.flush()]))
    assert path.stat().st_size < 128 << 10
    command = (sys.executable, "-c", _READ, str(path))
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
    megabytes, said = done.stdout.split(" ", 1)
    assert "lines or objects" in said
    assert int(megabytes) < 900


@every
@pytest.mark.parametrize(
    ("format_", "row"), [("jsonl", b"{}\n"), ("json", b"{},"), ("csv", b"1\n")]
)
def test_bombs_of_tiny_rows(
    tmp_path: Path, ending: str, format_: str, row: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three bytes make a sample of some fifty."""
    monkeypatch.setattr(compression, "_FREE_ROWS", 1 << 12)
    begin = {"jsonl": b"", "json": b"[", "csv": b"id\n"}[format_]
    path = written(tmp_path, f"t.{format_}{ending}", PACK[ending](begin + row * (1 << 18)))
    with pytest.raises(InputError, match="lines or objects"):
        read(path, format_)


def test_many_empty_streams_take_no_quadratic_time(tmp_path: Path) -> None:
    empty = gzip.compress(b"", mtime=0)
    path = written(tmp_path, "t.jsonl.gz", empty * 100_000 + gzip.compress(ROWS, mtime=0))
    assert read(path) == ["a", "b"]


def test_an_xz_dictionary_of_gigabytes(tmp_path: Path) -> None:
    packed = lzma.compress(ROWS, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 4096}])
    # The block's header: its size, flags, the filter, the size of its properties, the dictionary.
    size = (packed[12] + 1) * 4
    block = packed[12 : 12 + size - 4]
    assert block[2:4] == b"\x21\x01"
    block = block[:4] + bytes([40]) + block[5:]  # 4 GiB - 1
    packed = packed[:12] + block + crc32(block).to_bytes(4, "little") + packed[12 + size :]
    with pytest.raises(InputError, match="too much memory"):
        read(written(tmp_path, "t.jsonl.xz", packed))


def test_a_zstd_window_of_gigabytes(tmp_path: Path) -> None:
    # A frame with a window of 2 GiB and one raw block.
    frame = b"\x28\xb5\x2f\xfd" + bytes([0x00, (31 - 10) << 3])
    frame += (len(ROWS) << 3 | 1).to_bytes(3, "little") + ROWS
    with pytest.raises(InputError, match="memory"):
        read(written(tmp_path, "t.jsonl.zst", frame))


@every
def test_rows_behind_what_looks_like_the_end(tmp_path: Path, ending: str) -> None:
    array = b'[{"id":"a","x":1}]' + b" " * (9 << 20) + b'[{"id":"z","x":1}]'
    with pytest.raises(InputError, match="more after the end"):
        read(written(tmp_path, f"t.json{ending}", PACK[ending](array)), "json")


@every
def test_a_line_without_end(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", 1 << 16)
    monkeypatch.setattr(jsonlines, "MAX_ROW", 1 << 18)
    line = b'{"id":"a","x":"' + bytes(range(97, 123)) * (1 << 15)
    with pytest.raises(InputError, match="a line is longer than"):
        read(written(tmp_path, f"t.jsonl{ending}", PACK[ending](line)))


@pytest.mark.parametrize("name", ["t.parquet.gz", "t.csv.lz4", "t.csv.zip"])
def test_what_is_compressed_otherwise_is_refused_by_name(tmp_path: Path, name: str) -> None:
    written(tmp_path, name, b"x")
    with pytest.raises(InputError, match="is compressed"):
        detect_format([tmp_path])
