"""Compressed tables of text: the digests of the unpacked ones, in every way that they are read."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from provreg.errors import InputError, NotTrustedError
from provreg.executors.processes import LocalProcesses
from provreg.readers.api import LabelsOptions, ReadOptions
from provreg.readers.data_files.table_files import detect_format
from provreg.readers.labels import read_labels
from provreg.readers.tables.table import TableOptions, iter_rows, read_table
from provreg.readers.tables.text import delimited, json_array, jsonlines

if TYPE_CHECKING:
    from tests.conftest import Bench

PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: bytes(pa.compress(data, codec="zstd", asbytes=True)),
}
FORMATS = ("csv", "tsv", "json", "jsonl")
every = pytest.mark.parametrize("ending", PACK)
formats = pytest.mark.parametrize("format_", FORMATS)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", 1 << 16)
    monkeypatch.setattr(json_array, "CHUNK", 1 << 16)
    monkeypatch.setattr(delimited, "_SLICE", 1 << 16)


def text(format_: str, rows: range = range(4000)) -> bytes:
    """Rows over many chunks, all with a line feed in a field."""
    found = [{"id": f"r{n:07}", "x": f"é {n}\n" + "long " * (n % 97)} for n in rows]
    if format_ == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in found).encode()
    if format_ == "json":
        return json.dumps(found, indent=1).encode()
    mark = "\t" if format_ == "tsv" else ","
    lines = [f'{row["id"]}{mark}"{row["x"]}"' for row in found]
    return "\ufeff".encode() + "\n".join([f"id{mark}x", *lines]).encode()


@every
@formats
def test_the_same_samples_as_unpacked(tmp_path: Path, ending: str, format_: str) -> None:
    data = text(format_)
    plain, packed = tmp_path / f"t.{format_}", tmp_path / f"packed/t.{format_}{ending.upper()}"
    packed.parent.mkdir()
    plain.write_bytes(data)
    packed.write_bytes(PACK[ending](data))
    assert detect_format([packed.parent]) == format_
    expected = read_table([plain], format_, TableOptions(id="id"))
    found = read_table([packed], format_, TableOptions(id="id"))
    assert found.table == expected.table
    assert found.reading == expected.reading
    rows = [samples for _, samples in iter_rows([packed], expected.reading)]
    assert pa.Table.from_batches(rows) == expected.table


@every
def test_several_files_in_parallel(tmp_path: Path, ending: str) -> None:
    for number in range(4):
        rows = range(number * 500, (number + 1) * 500)
        (tmp_path / f"{number}.jsonl{ending}").write_bytes(PACK[ending](text("jsonl", rows)))
    found = read_table([tmp_path], "jsonl", TableOptions(id="id"), executor=LocalProcesses(2))
    assert found.table.num_rows == 2000


@every
def test_a_wrong_row_is_named_far_behind(tmp_path: Path, ending: str) -> None:
    data = text("jsonl") + b'{"id": "x", "x": 5}\n'
    path = tmp_path / f"t.jsonl{ending}"
    path.write_bytes(PACK[ending](data))
    with pytest.raises(InputError, match=r"row 4001"):
        read_table([path], "jsonl", TableOptions(id="id"))
    data = text("csv") + b"\nx,y,z"
    path = tmp_path / f"t.csv{ending}"
    path.write_bytes(PACK[ending](data))
    with pytest.raises(InputError, match=r"row 4001"):
        read_table([path], "csv", TableOptions(id="id"))


@every
def test_versions_verify_packed_and_unpacked(bench: Bench, ending: str) -> None:
    data = text("jsonl", range(100))
    plain = bench.write("plain", {"t.jsonl": data})
    packed = bench.write("packed", {f"t.jsonl{ending}": PACK[ending](data)})
    bench.ingest(plain, name="rows", options=ReadOptions(id="id"))
    assert bench.ingest(packed, name="rows").head is None
    registry = bench.open()
    registry.verify("rows", data=[packed])
    other = data.replace(b"r0000005", b"r0000905")
    (packed / f"t.jsonl{ending}").write_bytes(PACK[ending](other))
    with pytest.raises(NotTrustedError) as caught:
        registry.verify("rows", data=[packed])
    assert {finding.kind for finding in caught.value.findings} == {"moved"}


def test_another_name_by_format(bench: Bench) -> None:
    path = bench.folder / "calls.txt.gz"
    path.write_bytes(gzip.compress(b"id;x\na;1\n"))
    bench.ingest(path, name="calls", options=ReadOptions(format="csv", delimiter=";", id="id"))
    bench.open().verify("calls", data=[path])


def test_a_compressed_labels_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv.zst"
    path.write_bytes(PACK[".zst"](b"id,label\na,cat\n"))
    assert read_labels(path, LabelsOptions()).to_pylist() == [{"id": "a", "label": "cat"}]
