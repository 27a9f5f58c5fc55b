"""Attacks: small part files that unfold to gigabytes.

Each is read in a process of its own, whose peak is measured.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provreg.core.manifest.entry import ANNOTATIONS, ENTRY

_READ = """
import sys
from pathlib import Path
import pyarrow.parquet
from provreg.errors import FormatError
from provreg.store.registry.parts import read_part

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))

data = Path(sys.argv[1]).read_bytes()
before, said = peak(), ""
try:
    read_part(data, rows=int(sys.argv[2]))
except FormatError as error:
    said = error.message
print(peak() - before, said)
"""
# Ids of 128 MB together, twice as Arrow copies what it decodes, and what it takes beside them.
_MOST_MEGABYTES = 450
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
_MEGABYTE = 1 << 20


def _read(path: Path, rows: int) -> tuple[int, str]:
    """The megabytes that reading took, and what was said in refusal."""
    command = (sys.executable, "-c", _READ, str(path), str(rows))
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
    megabytes, said = done.stdout.rstrip("\n").split(" ", 1)
    return int(megabytes), said


def _entries(rows: int, **columns: pa.Array) -> pa.Table:
    zeros = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(32), rows, [None, pa.py_buffer(bytes(32 * rows))]
    )
    given = {
        "id": pa.array(np.char.mod("%08d", np.arange(rows)), pa.string()),
        "content": zeros,
        "size": pa.array(np.zeros(rows, np.uint64)),
        "source": _repeated("s", rows),
    } | columns
    arrays = [
        given[field.name] if field.name in given else pa.nulls(rows, field.type) for field in ENTRY
    ]
    return pa.Table.from_arrays(arrays, schema=_file_schema(arrays))


def _file_schema(arrays: list[pa.Array]) -> pa.Schema:
    return pa.schema(
        [field.with_type(array.type) for field, array in zip(ENTRY, arrays, strict=True)]
    )


def _repeated(value: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [value])


def _listed(length: int, rows: int, **columns: pa.Array) -> pa.Array:
    """Annotations of which each row has `length`."""
    count = length * rows
    fields = [
        pa.field(field.name, columns[field.name].type if field.name in columns else field.type)
        for field in ANNOTATIONS.value_type
    ]
    items = pa.StructArray.from_arrays(
        [columns.get(field.name, pa.nulls(count, field.type)) for field in fields], fields=fields
    )
    ends: npt.NDArray[np.int32] = np.arange(rows + 1, dtype=np.int32) * length
    return pa.ListArray.from_arrays(pa.array(ends), items)


def _delta_ids() -> tuple[pa.Table, str]:
    return _entries(1000, id=pa.array(["x" * _MEGABYTE] * 1000)), "longer id"


def _dictionary_ids() -> tuple[pa.Table, str]:
    return _entries(2000, id=_repeated("x" * _MEGABYTE, 2000)), "longer id"


def _uris() -> tuple[pa.Table, str]:
    return _entries(2000, uri=_repeated("x" * _MEGABYTE, 2000)), "longer uri"


def _small_attrs_before_large_ones() -> tuple[pa.Table, str]:
    places = pa.array([0] * 50_000 + [1] * 2000, pa.int32())
    texts = pa.DictionaryArray.from_arrays(places, ["x", "y" * _MEGABYTE])
    return _entries(52_000, attrs=texts), "longer attrs"


def _labels_of_annotations() -> tuple[pa.Table, str]:
    labels = _repeated("x" * _MEGABYTE, 4000)
    return _entries(2000, annotations=_listed(2, 2000, label=labels)), "longer label"


def _uris_within_their_limit() -> tuple[pa.Table, str]:
    return _entries(200_000, uri=_repeated("x" * 8192, 200_000)), "unfolds to"


def _page_of_one_letter() -> tuple[pa.Table, str]:
    return _entries(1, uri=pa.array(["x" * (300 * _MEGABYTE)])), "unfolds to"


def _dictionary_in_every_batch() -> tuple[pa.Table, str]:
    """A reader that takes rows by the thousand is given the whole dictionary with each."""
    texts = [f"{number:0>1000}" for number in range(30_000)]
    places = pa.array(np.arange(200_000, dtype=np.int32) % len(texts))
    labels = pa.DictionaryArray.from_arrays(places, texts)
    return _entries(200_000, label=labels), ""


def _annotations_in_one_row() -> tuple[pa.Table, str]:
    return _entries(1, annotations=_listed(1 << 24, 1)), "unfolds to"


def _annotations_within_their_limit() -> tuple[pa.Table, str]:
    return _entries(20_000, annotations=_listed(1000, 20_000)), "unfolds to"


@pytest.mark.parametrize(
    "made",
    [_delta_ids, _dictionary_ids, _uris, _small_attrs_before_large_ones, _labels_of_annotations,
     _uris_within_their_limit, _page_of_one_letter, _dictionary_in_every_batch,
     _annotations_in_one_row, _annotations_within_their_limit],
    ids=lambda one: one.__name__,
)  # fmt: skip
def test_small_part_file_does_not_take_gigabytes(
    tmp_path: Path, made: Callable[[], tuple[pa.Table, str]]
) -> None:
    table, says = made()
    path = tmp_path / "part"
    delta = {"id": "DELTA_BYTE_ARRAY"} if made is _delta_ids else None
    pq.write_table(
        table, path, compression="zstd", store_schema=False, row_group_size=1 << 18,
        use_dictionary=not delta, column_encoding=delta,
        dictionary_pagesize_limit=1 << 28, write_statistics=False,
    )  # fmt: skip
    assert path.stat().st_size < 2 * _MEGABYTE
    megabytes, said = _read(path, table.num_rows)
    assert (says in said, bool(says)) == (True, bool(said)), said
    assert megabytes < _MOST_MEGABYTES
