from __future__ import annotations

import datetime as dt
import json
import os
from collections import Counter
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from hypothesis import example, given, settings
from hypothesis import strategies as st

from provreg.core.manifest.entry import SAMPLE
from provreg.core.rows.arrow_types import to_arrow
from provreg.core.rows.column import (
    BOOL,
    DATE,
    FLOAT32,
    FLOAT64,
    INT,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMP_UTC,
    Column,
    Decimal,
    LogicalType,
)
from provreg.core.rows.row import encode_rows
from provreg.errors import FormatError, InputError, NotFoundError, UsageError
from provreg.readers.tables import rows
from provreg.readers.tables import table as table_reader
from provreg.readers.tables.samples import numbered_ids, with_numbered_ids
from provreg.readers.tables.table import (
    TableOptions,
    detect_format,
    files_of_format,
    iter_rows,
    options_from_reading,
    read_table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import nullcontext
from pathlib import Path

FORMATS = ("csv", "jsonl", "json", "parquet")


def write(
    folder: Path, format_: str, rows: list[dict[str, Any]], columns: tuple[Column, ...]
) -> Path:
    """The same rows in any format."""
    file = folder / f"rows.{format_}"
    names = [column.name for column in columns]
    if format_ == "parquet":
        schema = pa.schema([(column.name, to_arrow(column.type)) for column in columns])
        pq.write_table(pa.Table.from_pylist(rows, schema), file)
    elif format_ == "csv":
        lines = [",".join(names)]
        lines += [",".join(_cell(row.get(name)) for name in names) for row in rows]
        file.write_bytes("".join(line + "\n" for line in lines).encode())
    else:
        lines = [json.dumps({k: _json(v) for k, v in row.items()}) for row in rows]
        file.write_text("\n".join(lines) if format_ == "jsonl" else "[" + ",\n".join(lines) + "]")
    return file


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    return '"' + text.replace('"', '""') + '"'


def _json(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=6)
_moments = st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(3000, 1, 1))  # noqa: DTZ001
SHARED: dict[str, tuple[LogicalType, st.SearchStrategy[Any]]] = {
    "bool": (BOOL, st.booleans()),
    "int": (INT, st.integers(-(2**63), 2**63 - 1)),
    "float": (FLOAT64, st.floats(allow_nan=False, allow_infinity=False)),
    "float32": (FLOAT32, st.floats(allow_nan=False, allow_infinity=False, width=32)),
    "text": (TEXT, _text),
    "décimal": (Decimal(2), st.decimals(-999, 999, places=2)),
    "naive": (TIMESTAMP, _moments),
    "utc": (TIMESTAMP_UTC, _moments.map(lambda moment: moment.replace(tzinfo=dt.UTC))),
    "date": (DATE, st.dates()),
    "time": (TIME, st.times()),
}
COLUMNS = tuple(Column(name, logical) for name, (logical, _) in SHARED.items())
shared_rows = st.fixed_dictionaries({name: st.none() | v for name, (_, v) in SHARED.items()})


@settings(max_examples=30, deadline=None)
@given(st.lists(shared_rows, min_size=1, max_size=4))
def test_the_same_rows_have_the_same_hashes_in_every_format(
    tmp_path_factory: Any, rows: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    options = TableOptions(columns=COLUMNS)
    found = {}
    for format_ in FORMATS:
        file = write(folder, format_, rows, COLUMNS)
        samples = read_table([file], format_, options)
        found[format_] = samples.table.to_pylist()
        assert options_from_reading(samples.reading).columns == COLUMNS
    schema = pa.schema([(column.name, to_arrow(column.type)) for column in COLUMNS])
    payloads = encode_rows(pa.Table.from_pylist(rows, schema), COLUMNS).to_pylist()
    assert [row["content"] for row in found["csv"]] == sorted(blake3(p).digest() for p in payloads)
    assert found["csv"] == found["jsonl"] == found["json"] == found["parquet"]


def _jsonl(folder: Path, *rows: Any, name: str = "t.jsonl") -> Path:
    file = folder / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def _ids(file: Path, **options: str) -> list[str]:
    ids: list[str] = read_table([file], "jsonl", TableOptions(**options)).table["id"].to_pylist()
    return ids


# Roles


def test_samples_have_the_schema_of_samples_and_roles_are_no_payload(tmp_path: Path) -> None:
    row = {
        "key": 7,
        "y": "cat",
        "part": "train",
        "from": "web",
        "by": 17,
        "at": "2024-01-02T03:04:05+01:00",
        "x": 1,
    }
    file = _jsonl(tmp_path, row)
    options = TableOptions(
        id="key", label="y", split="part", source="from", labeler="by", labeled_at="at"
    )
    samples = read_table([file], "jsonl", options)
    assert samples.table.schema == SAMPLE
    payload = b"\x10\x01\0\0\0\x01\0\0\0x\x02\x01\0\0\0\0\0\0\0"
    assert samples.table.to_pylist() == [
        {
            "id": "7",
            "content": blake3(payload).digest(),
            "size": len(payload),
            "label": "cat",
            "source": "web",
            "labeler": "17",
            "labeled_at": dt.datetime(2024, 1, 2, 2, 4, 5, tzinfo=dt.UTC),
            "split": "train",
            "uri": None,
            "content_sha256": None,
            "attrs": None,
        }
    ]
    assert options_from_reading(samples.reading).roles() == options.roles()
    assert options_from_reading(samples.reading).payload_columns() == (Column("x", INT),)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("cat ", "cat "),
        (3, "3"),
        (True, "true"),
        (1.0, "1"),
        (1e22, "1e+22"),
        (0.1, "0.1"),
        (-0.0, "-0"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (123456789012345680000.0, "123456789012345680000"),
        (None, None),
    ],
)
def test_labels_of_any_type_become_text(tmp_path: Path, value: Any, label: str | None) -> None:
    file = _jsonl(tmp_path, {"x": 1, "y": value}, {"x": 2, "y": value})
    table = read_table([file], "jsonl", TableOptions(label="y")).table
    assert table["label"].to_pylist() == [label, label]


@pytest.mark.parametrize(
    ("kind", "label"),
    [(pa.float16(), "0.0999755859375"), (pa.float32(), "0.10000000149011612"),
     (pa.float64(), "0.1")],
    ids=str,
)  # fmt: skip
def test_labels_of_every_width_are_the_number_that_is_there(
    tmp_path: Path, kind: pa.DataType, label: str
) -> None:
    values = pa.array([0.1, None, 2.0], pa.float64()).cast(kind)
    pq.write_table(pa.table({"y": values, "x": [1, 2, 3]}), tmp_path / "t.parquet")
    table = read_table([tmp_path], "parquet", TableOptions(label="y")).table
    assert set(table["label"].to_pylist()) == {label, None, "2"}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()], ids=str)
def test_label_that_is_no_finite_number_is_refused(
    tmp_path: Path, kind: pa.DataType, bad: float
) -> None:
    values = pa.array([0.5, None, bad], pa.float64()).cast(kind)
    pq.write_table(pa.table({"y": values, "x": [1, 2, 3]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="NaN and infinities are no labels"):
        read_table([tmp_path], "parquet", TableOptions(label="y"))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-02", dt.datetime(2024, 1, 2, tzinfo=dt.UTC)),
        ("2024-01-02 03:04", dt.datetime(2024, 1, 2, 3, 4, tzinfo=dt.UTC)),
        ("2024-01-02T03:04:05.000006Z", dt.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)),
        ("2024-01-02T03:04:05-0230", dt.datetime(2024, 1, 2, 5, 34, 5, tzinfo=dt.UTC)),
        (None, None),
    ],
)
def test_moments_without_a_zone_are_utc(tmp_path: Path, text: Any, moment: Any) -> None:
    rows = ({"k": "a", "x": 1, "at": text}, {"k": "b", "x": 2, "at": "2024-01-01T00:00Z"})
    file = _jsonl(tmp_path, *rows)
    table = read_table([file], "jsonl", TableOptions(id="k", labeled_at="at")).table
    assert table["labeled_at"][0].as_py() == moment


@pytest.mark.parametrize(
    ("role", "value", "message"),
    [
        ("id", None, "has no id"),
        ("id", "", "empty"),
        ("id", "a\u202eb", "bidirectional"),
        ("id", "a\nb", "control"),
        ("id", "é" * 2049, "longer than 4096 bytes"),
        ("source", "é" * 129, "longer than 256 bytes"),
        ("labeler", "x" * 257, "longer than 256 bytes"),
        ("split", "x" * 257, "longer than 256 bytes"),
        ("labeled_at", "yesterday", "'yesterday' is no timestamp-utc"),
        ("labeled_at", "2024-02-30T00:00:00", "is no timestamp-utc"),
    ],
)
def test_values_that_a_role_cannot_have_are_named_by_row(
    tmp_path: Path, role: str, value: Any, message: str
) -> None:
    good = {"x": 1, "c": "2024-01-01" if role == "labeled_at" else "ok"}
    file = _jsonl(tmp_path, good, {"x": 1, "c": value}, good)
    with pytest.raises(InputError, match=rf"t\.jsonl', row 2: column 'c': .*{message}"):
        read_table([file], "jsonl", TableOptions(**{role: "c"}))


def test_hostile_text_does_not_reach_messages(tmp_path: Path) -> None:
    file = _jsonl(tmp_path, {"x": 1, "at": "\x1b[2J"}, name="\x1b[31m.jsonl")
    with pytest.raises(InputError) as caught:
        read_table([file], "jsonl", TableOptions(labeled_at="at"))
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("role", "value"),
    [("id", 1.5), ("id", True), ("source", [1]), ("labeled_at", 1), ("label", {"a": 1})],
)
def test_columns_of_a_type_that_a_role_cannot_have_are_refused(
    tmp_path: Path, role: str, value: Any
) -> None:
    with pytest.raises(InputError, match=f"no {role} can have"):
        read_table([_jsonl(tmp_path, {"x": 1, "c": value})], "jsonl", TableOptions(**{role: "c"}))


def test_roles_of_columns_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'y'") as caught:
        read_table([_jsonl(tmp_path, {"x": 1})], "jsonl", TableOptions(label="y"))
    assert "'x'" in caught.value.hint
    with pytest.raises(InputError, match="nothing is left"):
        read_table([_jsonl(tmp_path, {"x": 1})], "jsonl", TableOptions(label="x"))


# Ids


def test_repeated_ids_are_refused_with_both_places(tmp_path: Path) -> None:
    _jsonl(tmp_path, {"k": "a", "x": 1}, {"k": "b", "x": 1}, name="1.jsonl")
    _jsonl(tmp_path, {"k": "c", "x": 1}, {"k": "b", "x": 2}, name="2.jsonl")
    with pytest.raises(
        InputError, match=r"'b' is duplicated: .*1\.jsonl', row 2 and .*2\.jsonl', row 2"
    ):
        read_table([tmp_path], "jsonl", TableOptions(id="k"))


def test_ids_that_only_look_alike_are_no_repeats(tmp_path: Path) -> None:
    ids = ["plumless", "buckeroo", "a"]
    assert len(set(map(crc32, map(str.encode, ids)))) == 2
    assert _ids(_jsonl(tmp_path, *({"k": id_, "x": 1} for id_ in ids)), id="k") == ids


def test_rows_of_many_small_files_are_kept_together(tmp_path: Path) -> None:
    for number in range(20):
        _jsonl(tmp_path, {"k": f"{number:02}", "x": 1}, name=f"{number:02}.jsonl")
    table = read_table([tmp_path], "jsonl", TableOptions(id="k")).table
    assert table["id"].to_pylist() == [f"{number:02}" for number in range(20)]
    assert table["id"].num_chunks == 1


def test_without_a_key_the_id_is_the_content(tmp_path: Path) -> None:
    file = _jsonl(tmp_path, {"x": 1}, {"x": 2})
    table = read_table([file], "jsonl", TableOptions()).table
    assert table["id"].to_pylist() == [
        "blake3:" + content.hex() for content in table["content"].to_pylist()
    ]


@given(st.permutations(range(8)))
@settings(max_examples=25, deadline=None)
def test_repeats_are_numbered_by_their_fields_never_by_row_order(
    tmp_path_factory: Any, order: list[int]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    rows: list[dict[str, Any]] = [
        {"x": 1, "y": "a", "by": "q"},
        {"x": 1, "y": "a", "by": "z"},
        {"x": 1, "y": "é", "by": "a"},
        {"x": 1, "y": None, "by": "a"},
        {"x": 1, "y": None, "by": None},
        {"x": 2, "y": "a", "by": "q"},
        {"x": 3, "y": "a", "by": "q"},
        {"x": 3, "y": "a", "by": "q"},
    ]
    file = _jsonl(folder, *(rows[place] for place in order))
    options = TableOptions(label="y", labeler="by")
    found = read_table([file], "jsonl", options).table.to_pylist()
    said = [(row["label"], row["labeler"], row["id"][71:]) for row in found]
    repeats = [(y["y"], y["by"], f"#{n + 1}" if n else "") for n, y in enumerate(rows[:5])]
    others = [("a", "q", ""), ("a", "q", ""), ("a", "q", "#2")]
    assert sorted(map(str, said)) == sorted(map(str, repeats + others))
    assert len({row["id"] for row in found}) == 8


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(1, 9))
@example([1, 3, 0] * 12, 5)
@settings(max_examples=30, deadline=None)
def test_samples_without_ids_are_numbered_and_then_in_the_order_of_their_ids(
    numbers: list[int], chunk: int
) -> None:
    """Of twelve repeats, `#10` comes before `#2`."""
    rows = [
        # Of two contents that begin alike, and others.
        {"content": bytes(8) + bytes([n]) * 24 if n < 2 else bytes([9 - n]) * 32, "size": place}
        for place, n in enumerate(numbers)
    ]
    rows = [dict.fromkeys(SAMPLE.names) | row for row in rows]
    whole = pa.Table.from_pylist(rows, SAMPLE)
    parts = [whole.slice(at, chunk) for at in range(0, len(rows), chunk)]
    samples = pa.concat_tables(parts)
    found = with_numbered_ids(samples)
    expected = samples.set_column(0, SAMPLE.field("id"), numbered_ids(samples))
    assert found["id"].to_pylist() == sorted(expected["id"].to_pylist())
    contents = Counter((row["id"], row["content"]) for row in expected.to_pylist())
    assert Counter((row["id"], row["content"]) for row in found.to_pylist()) == contents
    # Nothing is lost of a row, and nothing goes to another.
    assert sorted(found["size"].to_pylist()) == list(range(len(rows)))
    assert all(rows[row["size"]]["content"] == row["content"] for row in found.to_pylist())


def test_rows_again_have_the_ids_without_numbers(tmp_path: Path) -> None:
    file = _jsonl(tmp_path, {"x": 1}, {"x": 1}, {"x": 2})
    samples = read_table([file], "jsonl", TableOptions())
    ((_, again),) = iter_rows([file], samples.reading)
    assert sorted(again["id"].to_pylist()) == [id_[:71] for id_ in samples.table["id"].to_pylist()]
    assert sorted(again["content"].to_pylist()) == samples.table["content"].to_pylist()


# Files


def test_formats_are_told_by_extension(tmp_path: Path) -> None:
    for name, format_ in (
        ("a.csv", "csv"),
        ("a.TSV", "tsv"),
        ("a.json", "json"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.txt", None),
        ("a", None),
    ):
        (tmp_path / name).touch()
        assert detect_format([tmp_path / name]) == format_
    assert detect_format([tmp_path]) is None
    assert detect_format([tmp_path / "a.jsonl", tmp_path / "a.ndjson"]) == "jsonl"
    with pytest.raises(NotFoundError):
        detect_format([tmp_path / "none"])


def test_a_folder_of_one_kind_is_a_table_and_hidden_files_do_not_count(tmp_path: Path) -> None:
    for name in ("b/2.csv", "b/1.csv", "a.csv", ".x/y.txt", ".DS_Store", "b/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert detect_format([tmp_path]) == "csv"
    assert files_of_format([tmp_path], "csv") == [
        tmp_path / "a.csv",
        tmp_path / "b/1.csv",
        tmp_path / "b/2.csv",
    ]
    (tmp_path / "readme.md").touch()
    assert detect_format([tmp_path]) is None
    with pytest.raises(InputError, match="no parquet files"):
        files_of_format([tmp_path], "parquet")
    with pytest.raises(UsageError, match="twice"):
        files_of_format([tmp_path, tmp_path / "a.csv"], "csv")


def test_compressed_tables_are_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "a.csv.lz4").touch()
    with pytest.raises(InputError, match="compressed"):
        detect_format([tmp_path])
    (tmp_path / "a.csv.lz4").rename(tmp_path / "a.tar.gz")
    assert detect_format([tmp_path]) is None


@pytest.mark.parametrize("format_", FORMATS)
def test_files_that_are_none_are_our_errors(tmp_path: Path, format_: str) -> None:
    with pytest.raises(NotFoundError):
        read_table([tmp_path / "none"], format_, TableOptions())
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match="not a regular file"):
        read_table([tmp_path / "fifo"], format_, TableOptions())
    (tmp_path / "empty").touch()
    with pytest.raises(InputError):
        read_table([tmp_path / "empty"], format_, TableOptions())


def test_a_format_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'xml'"):
        read_table([tmp_path], "xml", TableOptions())


@pytest.mark.parametrize("format_", FORMATS)
def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, format_, [{"a": "x"}] * 50, (Column("a", TEXT),))
    hashed = rows.samples_of

    def change(*args: Any, **said: Any) -> Any:
        status = file.stat()
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        return hashed(*args, **said)

    monkeypatch.setattr(rows, "samples_of", change)
    # Or the end may be read before the first rows are changed.
    monkeypatch.setattr(rows, "prefetched", nullcontext)
    # Between two chunks: a chunk that was read whole may change behind our back.
    monkeypatch.setattr("provreg.readers.tables.text.jsonlines.CHUNK", 40)
    monkeypatch.setattr("provreg.readers.tables.text.delimited._SLICE", 40)
    with pytest.raises(InputError, match="changed while it was being read"):
        read_table([file], format_, TableOptions(columns=(Column("a", TEXT),)))


def test_a_file_swapped_after_it_was_looked_at_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = _jsonl(tmp_path, {"x": 1}), _jsonl(tmp_path, {"x": 2}, name="other.jsonl")
    state = table_reader.stat_source(file)
    os.utime(other, ns=(state.mtime_ns, state.mtime_ns))
    other.replace(file)
    monkeypatch.setattr(table_reader, "stat_source", lambda _: state)
    with pytest.raises(InputError, match="changed while"):
        read_table([file], "jsonl", TableOptions())


def test_a_pipe_put_in_a_files_place_does_not_hang_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _jsonl(tmp_path, {"x": 1})
    state = table_reader.stat_source(file)
    file.unlink()
    os.mkfifo(file)
    monkeypatch.setattr(table_reader, "stat_source", lambda _: state)
    with pytest.raises(InputError, match="not a regular file"):
        read_table([file], "jsonl", TableOptions())


# The reading in the head


def _readings() -> Iterator[dict[str, Any]]:
    good: dict[str, Any] = {
        "reader": "csv",
        "reader_version": 1,
        "columns": [{"name": "a", "type": "text"}, {"name": "k", "type": "text"}],
        "id": "k",
        "label": None,
        "split": None,
        "source": None,
        "labeler": None,
        "labeled_at": None,
        "null_words": [""],
        "delimiter": ",",
    }
    yield good
    yield from ({key: value for key, value in good.items() if key != name} for name in good)
    yield good | {"more": 1}
    for key, value in (
        ("reader", "folder"),
        ("reader_version", 2),
        ("columns", []),
        ("id", "b"),
        ("id", 1),
        ("null_words", "x"),
        ("null_words", [None]),
        ("delimiter", '"'),
        ("delimiter", ";;"),
        ("columns", [{"name": "k", "type": "text"}]),
        ("columns", [{"name": "a", "type": "text"}, {"name": "k", "type": "bool"}]),
    ):
        yield good | {key: value}


def test_readings_are_read_strictly(tmp_path: Path) -> None:
    good, *bad = _readings()
    options = options_from_reading(good)
    assert options.null_words == ("",)
    (tmp_path / "t.csv").write_text("a,k\n1,2\n")
    assert read_table([tmp_path], "csv", options).reading == good
    for reading in bad:
        with pytest.raises(FormatError):
            options_from_reading(reading)


def test_a_successor_is_read_under_the_first_versions_schema(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("a\tb\nNA\t1\n")
    options = TableOptions(types={"b": INT}, null_words=("NA",))
    first = read_table([tmp_path], "tsv", options)
    assert (first.reading["reader"], first.reading["delimiter"]) == ("tsv", "\t")
    inherited = options_from_reading(first.reading)
    again = read_table([tmp_path], "tsv", inherited)
    assert again.table == first.table
    assert again.reading == first.reading
    assert [
        row for rows, _ in iter_rows([tmp_path], first.reading) for row in rows.to_pylist()
    ] == [{"a": None, "b": 1}]
    file = _jsonl(tmp_path, {"b": 1})
    assert read_table([file], "jsonl", inherited).table["content"] == first.table["content"]
    with pytest.raises(InputError, match="'c' is not in the schema"):
        read_table([_jsonl(tmp_path, {"b": 1, "c": 1})], "jsonl", inherited)
