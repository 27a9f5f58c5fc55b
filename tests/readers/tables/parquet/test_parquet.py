from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provreg.core.rows.column import INT
from provreg.core.rows.row import hash_rows
from provreg.errors import InputError, ProvregError
from provreg.executors.processes import LocalProcesses
from provreg.readers.api import ReadContext
from provreg.readers.data_files.source_file import SourceFile, open_source, stat_source
from provreg.readers.tables.parquet import parquet
from provreg.readers.tables.table import (
    TableOptions,
    iter_rows,
    options_from_reading,
    read,
    read_table,
)

if TYPE_CHECKING:
    import threading
from pathlib import Path

TABLE = pa.table(
    {
        "id": [f"r{n}" for n in range(100)],
        "text": [None if n % 7 == 0 else "text " * n for n in range(100)],
        "n": pa.array(range(100), pa.int16()),
        "nested": [[{"x": n, "y": None}] * (n % 3) for n in range(100)],
        "map": pa.array([[("k", n)] for n in range(100)], pa.map_(pa.string(), pa.int8())),
        "at": pa.array(range(100), pa.timestamp("ms", "Europe/Paris")),
        "coded": pa.array(["a", "b"] * 50).dictionary_encode(),
        "list": pa.array([[n, None] for n in range(100)], pa.list_(pa.float32(), 2)),
    }
)
OPTIONS = TableOptions(id="id")


@pytest.mark.parametrize("workers", [1, 2])
def test_row_groups_are_hashed_as_the_whole_table(tmp_path: Path, workers: int) -> None:
    pq.write_table(TABLE, tmp_path / "t.parquet", row_group_size=17)
    seen: list[int] = []
    samples = read_table(
        [tmp_path], "parquet", OPTIONS, executor=LocalProcesses(workers), progress=seen.append
    )
    options = options_from_reading(samples.reading)
    contents, sizes = hash_rows(TABLE, options.payload_columns())
    assert samples.table["content"].to_pylist() == contents.to_pylist()
    assert samples.table["size"].to_pylist() == sizes.to_pylist()
    assert samples.table["id"].to_pylist() == TABLE["id"].to_pylist()
    assert seen == [17, 34, 51, 68, 85, 100]


def test_what_is_handed_on_is_what_was_hashed(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "t.parquet", row_group_size=40)
    samples = read_table([tmp_path], "parquet", OPTIONS)
    columns = options_from_reading(samples.reading).payload_columns()
    rows = list(iter_rows([tmp_path], samples.reading))
    assert pa.Table.from_batches([found for _, found in rows]) == samples.table
    for payload, found in rows:
        assert payload.schema.names == [name for name in TABLE.column_names if name != "id"]
        assert hash_rows(payload, columns)[0].equals(found["content"])
    assert pa.Table.from_batches([payload for payload, _ in rows])["n"].equals(
        TABLE["n"].cast(pa.int64())
    )


def test_shards_may_differ_in_widths_and_order(tmp_path: Path) -> None:
    narrow = pa.table({"a": pa.array([1, 2], pa.int8()), "b": ["x", None], "c": pa.nulls(2)})
    wide = pa.table({"c": [None, "z"], "b": pa.array(["x", None], pa.large_string()), "a": [1, 2]})
    pq.write_table(narrow, tmp_path / "1.parquet")
    pq.write_table(wide, tmp_path / "2.parquet")
    samples = read_table([tmp_path], "parquet", TableOptions())
    contents = samples.table["content"].to_pylist()
    # The first rows are the same, the second are not.
    assert sorted(contents.count(one) for one in set(contents)) == [1, 1, 2]
    assert [column["type"] for column in samples.reading["columns"]] == ["int", "text", "text"]


def _texts_of(file: SourceFile, stream: Any) -> Any:
    return pq.ParquetFile(parquet._source(file, stream, None)).read()["a"].to_pylist()


def test_file_swapped_once_it_is_open_is_not_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": ["signed"]}), path)
    file = stat_source(path)
    read = []

    def read_while_swapped() -> None:
        with open_source(file) as stream:
            pq.write_table(pa.table({"a": ["poison"]}), tmp_path / "other")
            (tmp_path / "other").replace(path)
            read.extend(_texts_of(file, stream))

    # Its name is gone, which is a change of the file that is open.
    with pytest.raises(InputError, match="changed while"):
        read_while_swapped()
    assert read == ["signed"]


def test_rows_are_read_where_the_system_does_not_open_open_files_again(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": ["x"]}), path)
    with (
        patch.object(pa, "OSFile", side_effect=FileNotFoundError("/dev/fd/3")),
        open_source(stat_source(path)) as stream,
    ):
        assert _texts_of(stat_source(path), stream) == ["x"]


_PEAK = """
import sys
from provreg.core.rows.column import BINARY, Column
from provreg.readers.tables.parquet import parquet
from provreg.readers.tables.parquet.checked_file import FileChunks
from provreg.readers.data_files.source_file import ByteSlice, stat_source
from provreg.readers.tables.options import TableOptions
from pathlib import Path

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))

parquet._READ_WHOLE_CHECKED = parquet._READ_WHOLE
options = TableOptions(columns=(Column("data", BINARY),))
piece = ByteSlice(stat_source(Path(sys.argv[1])), 0, 1, first_row=0)
chunks = FileChunks(piece.file.size) if sys.argv[2] == "checked" else None
rows = parquet.batches(piece, options, chunks)
before = peak()
print(sum(batch.num_rows for batch in rows), peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
@pytest.mark.parametrize("how", ["plain", "checked"])
def test_row_group_larger_than_memory_should_hold(tmp_path: Path, how: str) -> None:
    """Some writers put all rows into one."""
    random = np.random.default_rng(1)
    rows = pa.array([random.bytes(4000) for _ in range(80_000)])
    pq.write_table(pa.table({"data": rows}), tmp_path / "t.parquet", row_group_size=80_000)
    command = (sys.executable, "-c", _PEAK, str(tmp_path / "t.parquet"), how)
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    read, megabytes = map(int, done.stdout.split())
    assert read == 80_000
    assert megabytes < 200, "of 320"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (pa.table({"a": [1]}), "lacks the column 'b'"),
        (pa.table({"a": [1], "b": ["x"], "c": [1]}), "has an additional column 'c'"),
        (pa.table({"a": [1.0], "b": ["x"]}), "another type for the column 'a'"),
        (pa.table({"a": [1], "b": [["x"]]}), "another type for the column 'b'"),
        (
            pa.Table.from_arrays([pa.array([1]), pa.array([1])], names=["a", "a"]),
            "duplicate column name 'a'",
        ),
    ],
)
def test_shards_that_disagree_are_refused_by_file_and_column(
    tmp_path: Path, other: pa.Table, message: str
) -> None:
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "1.parquet")
    reading = read_table([tmp_path], "parquet", TableOptions()).reading
    pq.write_table(other, tmp_path / "2.parquet")
    for options in (TableOptions(), options_from_reading(reading)):
        with pytest.raises(InputError, match=message):
            read_table([tmp_path], "parquet", options)


def test_declared_types_must_be_the_files_own(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    assert read_table([tmp_path], "parquet", TableOptions(types={"a": INT}))
    pq.write_table(pa.table({"a": ["1"]}), tmp_path / "1.parquet")
    with pytest.raises(InputError, match="'a' was declared with another type"):
        read_table([tmp_path], "parquet", TableOptions(types={"a": INT}))


def _bytes(tmp_path: Path) -> bytes:
    pq.write_table(TABLE, tmp_path / "good.parquet", row_group_size=50)
    return (tmp_path / "good.parquet").read_bytes()


@pytest.mark.parametrize("keep", [0, 1, 4, 8, 100, -1, -8, -9, -100])
def test_truncated_files_are_refused(tmp_path: Path, keep: int) -> None:
    (tmp_path / "t.parquet").write_bytes(_bytes(tmp_path)[:keep])
    with pytest.raises(InputError, match="not readable as Parquet"):
        read_table([tmp_path / "t.parquet"], "parquet", OPTIONS)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4
    )
)
def test_altered_files_are_rows_or_our_error(tmp_path_factory: Any, flips: Any) -> None:
    folder = tmp_path_factory.getbasetemp()
    data = bytearray(_bytes(folder))
    for place, bits in flips:
        data[int(place * len(data))] ^= bits
    file = folder / "altered.parquet"
    file.write_bytes(data)
    for whole in (parquet._READ_WHOLE, 0):
        with patch.object(parquet, "_READ_WHOLE", whole), suppress(ProvregError):
            assert read_table([file], "parquet", OPTIONS).table.num_rows


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_are_counted_across_batches_and_row_groups(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_MOST_ROWS", 7)
    table = pa.table({"a": range(50), "by": ["x" * 300 if n == 37 else "x" for n in range(50)]})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=20)
    with pytest.raises(InputError, match="row 38: column 'by'"):
        read_table(
            [tmp_path], "parquet", TableOptions(labeler="by"), executor=LocalProcesses(workers)
        )


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    offsets = pa.py_buffer(np.array([0, 1], np.int32))
    bad = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"\xff"))
    pq.write_table(pa.table({"a": bad}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="UTF8"):
        read_table([tmp_path], "parquet", TableOptions())


@pytest.mark.parametrize(
    "values",
    [pa.array([b"x" * 16], pa.uuid()), pa.array(["{}"], pa.json_())],
)
def test_extension_types_are_what_they_are_stored_as(tmp_path: Path, values: pa.Array) -> None:
    """Known ones and those that nothing imported has registered give the same samples."""
    pairs = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), values)
    pq.write_table(pa.table({"odd": values, "pairs": pairs}), tmp_path / "t.parquet")
    known = read_table([tmp_path], "parquet", TableOptions())
    stored = pa.table(
        {
            "odd": values.storage,
            "pairs": pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), values.storage),
        }
    )
    pq.write_table(stored, tmp_path / "t.parquet")
    assert read_table([tmp_path], "parquet", TableOptions()) == known


def test_row_groups_without_rows_are_passed_over(tmp_path: Path) -> None:
    schema = pa.schema([("a", pa.int8())])
    with pq.ParquetWriter(tmp_path / "t.parquet", schema) as writer:
        for values in ([], [1], [], [2]):
            writer.write_table(pa.table({"a": pa.array(values, pa.int8())}))
    assert read_table([tmp_path], "parquet", TableOptions()).table.num_rows == 2


def test_moments_of_labeling_of_any_unit_become_microseconds_of_utc(tmp_path: Path) -> None:
    moment = dt.datetime(1969, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    for unit, zone in (("s", None), ("ms", "Asia/Tokyo"), ("us", "UTC"), ("ns", None)):
        values = pa.array([moment.replace(tzinfo=None)], pa.timestamp(unit))
        if zone:
            values = values.cast(pa.timestamp(unit, zone))
        pq.write_table(pa.table({"at": values, "a": [1]}), tmp_path / "t.parquet")
        table = read_table([tmp_path], "parquet", TableOptions(labeled_at="at")).table
        assert table["labeled_at"].to_pylist() == [moment]


@pytest.mark.parametrize(
    ("numbers", "unit", "complaint"),
    [
        ([0, 1999], "ns", "lies between microseconds"),
        ([0, -1], "ns", "lies between microseconds"),
        ([0, 2**62], "ms", "beyond microseconds in 64 bits"),
        ([0, 253402300800], "s", "before the year 1 or after 9999"),
    ],
)
def test_moments_of_labeling_that_no_entry_can_hold_are_refused(
    tmp_path: Path, numbers: list[int], unit: str, complaint: str
) -> None:
    """Rounded, two moments would be one to whoever reads what is signed."""
    at = pa.array(numbers, pa.int64()).view(pa.timestamp(unit))
    pq.write_table(pa.table({"at": at, "a": [1, 2]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=f"row 2: column 'at': the time.*{complaint}"):
        read_table([tmp_path], "parquet", TableOptions(labeled_at="at"))


def test_beside_other_threads_workers_read_the_same(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": range(9)}), tmp_path / "t.parquet", row_group_size=3)
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        found = read_table([tmp_path], "parquet", TableOptions(), executor=LocalProcesses(2))
    finally:
        release.set()
        thread.join()
    assert found.table == read_table([tmp_path], "parquet", TableOptions()).table


def test_progress_knows_the_rows_of_all_files(tmp_path: Path) -> None:
    for number in range(3):
        pq.write_table(pa.table({"a": [number, 10 + number]}), tmp_path / f"{number}.parquet")
    totals: list[int] = []
    done: list[int] = []
    context = ReadContext(progress=done.append, total=totals.append)
    read([tmp_path], "parquet", TableOptions(), context)
    assert totals == [6]
    assert done[-1] == 6
