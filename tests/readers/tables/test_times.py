"""Tables of rows in time: ids with the time in them, splits by ranges, stable when rows come."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from provreg.core.rows.column import TIMESTAMP, TIMESTAMP_UTC
from provreg.errors import FormatError, InputError, UsageError
from provreg.readers.api import ReadContext, ReadOptions, ReadResult
from provreg.readers.tables import table
from provreg.readers.tables.times import boundaries, splits_at, timed_ids, times_of, written_in_ids

if TYPE_CHECKING:
    from tests.conftest import Bench

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
NEAR = [NOON + dt.timedelta(microseconds=step) for step in (0, 1, 10, 100_000, 1_000_000)]
SCHEMA = json.loads((Path(__file__).parents[3] / "schemas/head.v1.json").read_text("utf-8"))
METER = ReadOptions(id="meter", time="at", split_at=("2026-01-01",))


def rows(*times: str, meter: str = "m1") -> list[dict[str, Any]]:
    return [{"meter": meter, "at": at, "value": n} for n, at in enumerate(times)]


def write(path: Path, data: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in data), "utf-8")
    return path


def read(path: Path, before: dict[str, Any] | None = None, **how: Any) -> ReadResult:
    format_ = path.suffix[1:]
    options = table.settle(format_, ReadOptions(**how), before)
    return table.read([path], format_, options, ReadContext())


def ids(found: ReadResult) -> list[str]:
    listed: list[str] = found.table["id"].to_pylist()
    return listed


def test_ids_are_key_and_time_and_splits_ranges(tmp_path: Path) -> None:
    at = ("2025-12-31T23:59:59.5Z", "2026-01-01", "2026-01-01T01:00:00+02:00")
    found = read(
        write(tmp_path / "a.jsonl", rows(*at)), id="meter", time="at", split_at=("2026-01-01",)
    )
    assert ids(found) == [
        "m1@2025-12-31T23:59:59.5Z", "m1@2026-01-01T00:00:00Z", "m1@2025-12-31T23:00:00Z",
    ]  # fmt: skip
    assert found.table["split"].to_pylist() == ["train", "test", "train"]
    assert found.splits_known
    assert found.reading["split_at"] == ["2026-01-01T00:00:00Z"]


def test_two_moments_give_a_validation_split(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", rows("2026-01-01", "2026-02-01", "2026-02-15", "2026-03-01"))
    found = read(path, time="at", split_at=("2026-02-01", "2026-03-01"))
    assert found.table["split"].to_pylist() == ["train", "validation", "validation", "test"]
    assert ids(found)[0] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([NEAR[2].replace(tzinfo=None)], pa.timestamp("us"), "2026-01-02T12:00:00.00001"),
        ([NOON.replace(tzinfo=None)], pa.timestamp("s"), "2026-01-02T12:00:00"),
        ([NOON], pa.timestamp("ms", "Europe/Berlin"), "2026-01-02T12:00:00Z"),
        ([1_000_000_001_000], pa.timestamp("ns", "UTC"), "1970-01-01T00:16:40.000001Z"),
        ([dt.date(2026, 1, 2)], pa.date32(), "2026-01-02"),
        ([dt.date(2026, 1, 2)], pa.date64(), "2026-01-02"),
        ([-62_135_596_800_000_000], pa.timestamp("us"), "0001-01-01T00:00:00"),
    ],
)
def test_times_of_every_type(
    tmp_path: Path, values: list[Any], kind: pa.DataType, expected: str
) -> None:
    data = pa.table({"at": pa.array(values, kind), "x": [1]})
    pq.write_table(data, tmp_path / "a.parquet")
    assert ids(read(tmp_path / "a.parquet", time="at")) == [expected]


@pytest.mark.parametrize(
    ("value", "kind", "says"),
    [
        (None, pa.timestamp("us"), "no time"),
        (1001, pa.timestamp("ns"), "between microseconds"),
        (2**62, pa.timestamp("ms"), "beyond microseconds in 64 bits"),
        (2**62, pa.timestamp("us"), "before the year 1 or after 9999"),
    ],
)
def test_row_whose_time_cannot_be_one(
    tmp_path: Path, value: Any, kind: pa.DataType, says: str
) -> None:
    data = pa.table({"at": pa.array([0, value], pa.int64()).cast(kind), "x": [1, 2]})
    pq.write_table(data, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=says) as caught:
        read(tmp_path / "a.parquet", time="at")
    assert "row 2" in caught.value.message


def test_text_that_is_no_time(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 2"):
        read(write(tmp_path / "a.jsonl", rows("2026-01-01", "yesterday")), time="at")


def test_one_thing_twice_at_one_moment(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", rows("2026-01-01", "2026-01-01T00:00:00Z"))
    with pytest.raises(InputError, match="is duplicated"):
        read(path, id="meter", time="at")


def test_the_time_stays_content_and_the_key_does_not(tmp_path: Path) -> None:
    contents = [
        read(write(tmp_path / "a.jsonl", rows(at, meter=meter)), id="meter", time="at")
        .table["content"][0]
        .as_py()
        for at, meter in (("2026-01-01", "a"), ("2026-01-01", "b"), ("2026-01-02", "a"))
    ]
    assert contents[0] == contents[1] != contents[2]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.text("a@T:-0Z", max_size=6),
            st.datetimes(timezones=st.just(dt.UTC)) | st.sampled_from(NEAR),
        ),
        min_size=1, max_size=8,
    )
)  # fmt: skip
def test_ids_are_one_exactly_where_key_and_time_are(pairs: list[tuple[str, dt.datetime]]) -> None:
    times = times_of(pa.array([at for _, at in pairs], pa.timestamp("us", "UTC")), TIMESTAMP_UTC)
    written = written_in_ids(times, TIMESTAMP_UTC)
    made = timed_ids(pa.array([key for key, _ in pairs], pa.string()), written).to_pylist()
    assert len(set(made)) == len(set(pairs))
    for text, (_, at) in zip(written.to_pylist(), pairs, strict=True):
        assert dt.datetime.fromisoformat(text) == at
        assert "@" not in text


@settings(deadline=None, max_examples=30)
@given(
    at=st.lists(st.datetimes(), min_size=1, max_size=8),
    edges=st.lists(st.datetimes(), min_size=1, max_size=2, unique=True).map(sorted),
)
def test_a_row_is_in_the_split_of_its_own_time(
    at: list[dt.datetime], edges: list[dt.datetime]
) -> None:
    said = boundaries([f"{edge.isoformat()}Z" for edge in edges])
    found = splits_at(times_of(pa.array(at, pa.timestamp("us")), TIMESTAMP), said).to_pylist()
    names = ["train", "test"] if len(edges) == 1 else ["train", "validation", "test"]
    assert found == [names[sum(edge <= one for edge in edges)] for one in at]


@pytest.mark.parametrize(
    "how",
    [
        {"split_at": ("2026-01-01",)},
        {"time": "at", "split_at": ("soon",)},
        {"time": "at", "split_at": ("2026-01-02", "2026-01-01")},
        {"time": "at", "split_at": ("2026-01-01", "2026-01-01")},
        {"time": "at", "split_at": ("2026-01-01", "2026-01-02", "2026-01-03")},
        {"time": "at", "split_at": ("2026-01-01",), "split": "meter"},
        {"time": "none such"},
        {"time": "value"},
        {"time": "at", "id": "at"},
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, how: dict[str, Any]) -> None:
    with pytest.raises((UsageError, InputError)):
        read(write(tmp_path / "a.jsonl", rows("2026-01-01")), **how)


def test_the_reading_is_parsed_strictly_and_inherited(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", rows("2025-01-01", "2026-01-01"))
    reading = read(path, id="meter", time="at", split_at=("2026-01-01",)).reading
    assert read(path, before=reading).reading == reading
    document = {"$ref": "#/$defs/reading-table", "$defs": SCHEMA["$defs"]}
    validator = Draft202012Validator(document)
    validator.validate(reading)
    for change in (
        {"time": None}, {"time": "value"}, {"time": "meter"}, {"split_at": "2026-01-01T00:00:00Z"},
        {"split_at": ["2026-01-01"]}, {"split_at": ["2026-01-01T00:00:00Z"] * 3},
        {"split": "value"},
    ):  # fmt: skip
        with pytest.raises(FormatError):
            table.options_from_reading(reading | change)
    for name in ("time", "split_at"):
        less = {key: value for key, value in reading.items() if key != name}
        assert not validator.is_valid(less)
        with pytest.raises(FormatError):
            table.options_from_reading(less)
    assert "time" not in read(path, before=reading, id="none", time="none", split="none").reading


def test_rows_that_come_change_nothing_of_those_that_are_there(bench: Bench) -> None:
    path = write(bench.folder / "a.jsonl", rows("2025-12-31", "2026-01-02"))
    bench.ingest(path, options=METER)
    later = write(bench.folder / "b.jsonl", rows("2025-12-30", "2026-01-03"))
    outcome = bench.ingest(later, append=True)
    counts = outcome.changes
    assert counts == dict.fromkeys(counts, 0) | {"injected": 2}
    entries = bench.open().verify("pets").entries
    assert dict(zip(entries["id"].to_pylist(), entries["split"].to_pylist(), strict=True)) == {
        "m1@2025-12-30T00:00:00Z": "train", "m1@2025-12-31T00:00:00Z": "train",
        "m1@2026-01-02T00:00:00Z": "test", "m1@2026-01-03T00:00:00Z": "test",
    }  # fmt: skip
    bench.open().verify("pets@1", data=[write(path, rows("2025-12-31", "2026-01-02"))])
