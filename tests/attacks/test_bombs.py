"""Attacks: small files that take gigabytes of memory, or hours.

What takes memory is read in a process of its own, whose peak is measured.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provreg.errors import InputError
from provreg.readers.api import ReadContext, ReadOptions
from provreg.readers.archives import webdataset
from provreg.readers.archives.zip_contents import members_of
from provreg.readers.tables.parquet import pandas_metadata

_READ = """
import sys
from pathlib import Path
from provreg.errors import InputError
from provreg.readers.tables.parquet import parquet
from provreg.readers.data_files.source_file import stat_source
from provreg.readers.tables.options import TableOptions

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))

file, options = stat_source(Path(sys.argv[1])), TableOptions()
before, rows, said = peak(), 0, ""
try:
    for piece in parquet.slices(file, options):
        for batch in parquet.raw_batches(piece):
            rows += batch.num_rows
except InputError as error:
    said = error.message
print(rows, peak() - before, said)
"""
_TABLE = """
import sys, time
from pathlib import Path
from provreg.errors import InputError
from provreg.readers.tables.table import TableOptions, read_table

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))

path = Path(sys.argv[1])
before, rows, said = peak(), 0, ""
try:
    rows = read_table([path], path.suffix[1:], TableOptions()).table.num_rows
except InputError as error:
    said = f"{error.message} {error.hint}"
print(rows, peak() - before, time.process_time(), said)
"""
# Pages and a batch of 64 MB, and what Arrow takes beside them.
_MOST_MEGABYTES = 350
linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")


def _read(path: Path) -> tuple[int, int, str]:
    """The rows that were read, the megabytes that took, and what was said in refusal."""
    command = (sys.executable, "-c", _READ, str(path))
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
    rows, megabytes, said = done.stdout.rstrip("\n").split(" ", 2)
    return int(rows), int(megabytes), said


def _written(path: Path, table: pa.Table, **how: Any) -> Path:
    how = {"compression": "zstd", "store_schema": False} | how
    pq.write_table(table, path, row_group_size=1 << 20, **how)
    assert path.stat().st_size < 128 << 10
    return path


def _repeated(value: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [value])


def _listed(items: pa.Array, *lengths: int) -> pa.Array:
    ends = [0]
    for length in lengths:
        ends.append(ends[-1] + length)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), items)


@linux
@pytest.mark.parametrize(("codec", "version"), [("zstd", "2.0"), ("snappy", "1.0"), ("lz4", "1.0")])
def test_one_value_of_a_megabyte_said_in_each_of_1000_rows(
    tmp_path: Path, codec: str, version: str
) -> None:
    rows = 1000
    table = pa.table({"a": _repeated("x" * (1 << 20), rows)})
    path = _written(tmp_path / "t.parquet", table, compression=codec, data_page_version=version)
    read, megabytes, said = _read(path)
    assert (read, said) == (rows, "")
    assert megabytes < _MOST_MEGABYTES


@linux
def test_small_values_before_large_ones(tmp_path: Path) -> None:
    """What a batch takes says nothing of the next one."""
    places = pa.array([0] * 70_000 + [1] * 1000, pa.int32())
    values = pa.DictionaryArray.from_arrays(places, ["x", "y" * (1 << 20)])
    read, megabytes, _ = _read(_written(tmp_path / "t.parquet", pa.table({"a": values})))
    assert read == 71_000
    assert megabytes < _MOST_MEGABYTES


@linux
def test_text_that_is_the_one_before_it_again_and_again(tmp_path: Path) -> None:
    table = pa.table({"a": ["x" * (1 << 20)] * 1000})
    how = {"use_dictionary": False, "column_encoding": {"a": "DELTA_BYTE_ARRAY"}}
    read, megabytes, _ = _read(_written(tmp_path / "t.parquet", table, **how))
    assert read == 1000
    assert megabytes < _MOST_MEGABYTES


def _page() -> pa.Table:
    return pa.table({"a": ["y" * (600 << 20)]})


def _pages() -> pa.Table:
    return pa.table({f"a{number}": ["y" * (30 << 20)] for number in range(20)})


def _nulls() -> pa.Table:
    return pa.table({"a": _listed(pa.nulls(1 << 25, pa.int8()), 1 << 25)})


def _nulls_further_down() -> pa.Table:
    inner = _listed(pa.nulls(1 << 25, pa.int8()), *[1 << 16] * (1 << 9))
    return pa.table({"a": _listed(inner, 1 << 9)})


def _texts() -> pa.Table:
    items = _repeated("x" * (1 << 20), 600)
    return pa.table({"a": _listed(items, 600)})


def _structs() -> pa.Table:
    items = pa.StructArray.from_arrays([pa.array(np.full(1 << 25, 7))], ["b"])
    return pa.table({"a": _listed(items, 1 << 25)})


# Those without a dictionary take seconds to write.
_GIGABYTES = [
    pytest.param(
        made, version, id=f"{made.__name__}-{version}",
        marks=[pytest.mark.long] if made in (_page, _pages) and version == "1.0" else [],
    )
    for made in (_page, _pages, _nulls, _nulls_further_down, _texts, _structs)
    for version in ("1.0", "2.0")
]  # fmt: skip


@linux
@pytest.mark.parametrize(("made", "version"), _GIGABYTES)
def test_row_that_takes_gigabytes_is_refused(
    tmp_path: Path, made: Callable[[], pa.Table], version: str
) -> None:
    how = {"use_dictionary": made not in (_page, _pages), "data_page_version": version}
    read, megabytes, said = _read(_written(tmp_path / "t.parquet", made(), **how))
    assert "a row of row group 1 can take more than 512 MB of memory" in said
    assert str(tmp_path) in said
    assert (read, megabytes < _MOST_MEGABYTES) == (0, True)


@linux
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_lists_of_one_value_are_read_a_few_rows_at_a_time(tmp_path: Path, version: str) -> None:
    """Masks of models are such lists: the file is small, and they are good."""
    rows, length = 40_000, 512
    table = pa.table({"mask": _listed(pa.array(np.ones(rows * length, np.int8)), *[length] * rows)})
    path = tmp_path / "t.parquet"
    pq.write_table(table, path, compression="zstd", data_page_version=version)
    read, megabytes, said = _read(path)
    assert (read, said) == (rows, "")
    assert megabytes < _MOST_MEGABYTES


@contextmanager
def _soon(seconds: float = 5) -> Iterator[None]:
    """What is done inside takes so many seconds of CPU at most; quadratic, it takes several times
    that."""
    before = time.process_time()
    yield
    assert time.process_time() - before < seconds


def _tar(path: Path, names: Iterator[str]) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1, format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    return path


def test_thousands_of_files_of_one_stem_are_refused_soon(tmp_path: Path) -> None:
    path = _tar(tmp_path / "a.tar.gz", (f"a.e{number}" for number in range(20_000)))
    options = webdataset.settle("webdataset", ReadOptions(), None)
    with _soon(), pytest.raises(InputError, match=r"'a' has more than 1,024 files") as caught:
        webdataset.read([path], "webdataset", options, ReadContext())
    assert "no dot in front of what tells samples apart" in (caught.value.hint or "")


def test_pandas_index_of_all_columns_is_looked_at_soon() -> None:
    names = [f"__index_level_{number}__" for number in range(16_384)]
    schema = pa.schema([(name, pa.int64()) for name in names])
    kind = {"pandas_type": "int64", "numpy_type": "int64"}
    said = {
        "columns": [{"field_name": name, "name": name} | kind for name in names],
        "index_columns": names,
        "column_indexes": [],
    }
    with _soon():
        pandas_metadata._check(said, schema)


@linux
def test_zip_member_below_thousands_of_folders_is_refused(tmp_path: Path) -> None:
    name = b"a/" * 32_000 + b"a"
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0x800, 0, 0, 0, 0, 0, 0, len(name), 0)
    entry = struct.pack(
        "<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0x800, 0, 0, 0, 0, 0, 0, len(name), *[0] * 4, 0, 0
    )
    end = struct.pack(
        "<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(entry + name), len(local + name), 0
    )
    path = tmp_path / "a.zip"
    path.write_bytes(local + name + entry + name + end)
    with _soon(), path.open("rb") as file, pytest.raises(InputError, match="more than 200 folders"):
        members_of(file, "a.zip")


def _table(path: Path, data: bytes) -> tuple[int, int, float, str]:
    """The rows of a file of text, the megabytes and seconds of CPU that they took, and what was
    said in refusal."""
    path.write_bytes(data)
    command = (sys.executable, "-c", _TABLE, str(path))
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
    rows, megabytes, seconds, said = done.stdout.rstrip("\n").split(" ", 3)
    return int(rows), int(megabytes), float(seconds), said


@linux
@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_megabyte_of_delimiters_is_refused_before_it_is_divided(tmp_path: Path, name: str) -> None:
    delimiter = b"," if name == "t.csv" else b"\t"
    header = b'"a' + delimiter * 9 + b'"' + delimiter * 200_000 + b"\n"
    rows, megabytes, seconds, said = _table(tmp_path / name, header)
    assert (rows, megabytes < 100, seconds < 5) == (0, True, True)
    assert "200,001 columns, at most 16,384 are allowed" in said


@linux
def test_header_of_as_many_columns_as_there_may_be_is_read_soon(tmp_path: Path) -> None:
    """Delimiters inside of quotes divide nothing. To look each name up in all others took 5 s."""
    names = ",".join(f'"c{number},,"' for number in range(16_384))
    rows, megabytes, seconds, said = _table(
        tmp_path / "t.csv", f"{names}\n{',' * 16_383}\n".encode()
    )
    assert (rows, said) == (1, "")
    assert (megabytes < 250, seconds < 6) == (True, True)


def _lines(rows: Iterator[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _a_key_a_row() -> bytes:
    return _lines({"id": f"i{number}", f"k{number}": 1} for number in range(8000))


def _a_key_a_row_below_one() -> bytes:
    return _lines({"x": {f"k{number}": 1}} for number in range(8000))


def _all_keys_in_one_row() -> bytes:
    keys = {f"k{number}": 1 for number in range(16_000)}
    return _lines(keys if number == 9000 else {"id": str(number)} for number in range(10_000))


def _objects_in_a_list() -> bytes:
    return _lines([{"id": "a", "x": [{f"k{number}": 1 for number in range(4000)}, *[{}] * 90_000]}])


def _nulls_in_a_list() -> bytes:
    return _lines(
        [{"id": "a", "x": [{f"k{number}": 1 for number in range(4000)}, *[None] * 90_000]}]
    )


@linux
@pytest.mark.parametrize(
    "made",
    [
        _a_key_a_row,
        _a_key_a_row_below_one,
        _all_keys_in_one_row,
        _objects_in_a_list,
        _nulls_in_a_list,
    ],
    ids=lambda one: one.__name__,
)
def test_keys_that_are_data_are_refused_before_they_take_gigabytes(
    tmp_path: Path, made: Callable[[], bytes]
) -> None:
    rows, megabytes, seconds, said = _table(tmp_path / "t.jsonl", made())
    assert (rows, megabytes < 300, seconds < 12) == (0, True, True)
    assert "almost none holds a value here: keys are data" in said
    assert "write a list of pairs" in said
