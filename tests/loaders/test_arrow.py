"""Tables in Arrow, pandas and polars: only what is signed, typed by the version's schema."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import provreg
import provreg.loaders.arrow
import provreg.loaders.pandas
import provreg.loaders.polars

ROWS = [
    {"key": "b", "text": "two", "n": 2, "y": "pos"},
    {"key": "a", "text": "one", "n": None, "y": "neg"},
    {"key": "c", "text": None, "n": 3, "y": None},
]
Publish = Callable[..., None]
Load = Callable[..., provreg.VerifiedSamples]


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def path(tmp_path: Path, publish: Publish) -> Path:
    path = jsonl(tmp_path / "rows.jsonl", ROWS)
    publish(path, id="key", label="y", source="forum")
    return path


def test_rows_come_in_the_order_of_the_data_with_what_is_signed(
    path: Path, load_data: Load
) -> None:
    signed = ("id", "label", "source", "labeler", "split", "labeled_at")
    table = provreg.loaders.arrow.table(load_data(path), signed)
    assert table.schema == pa.schema(
        [("text", pa.string()), ("n", pa.int64()), *((name, pa.string()) for name in signed[:5]),
         ("labeled_at", pa.timestamp("us", "UTC"))]
    )  # fmt: skip
    assert table.to_pylist()[0] == {
        "text": "two", "n": 2, "id": "b", "label": "pos", "source": "forum", "labeler": "ann",
        "split": None, "labeled_at": None,
    }  # fmt: skip
    assert table["id"].to_pylist() == ["b", "a", "c"]
    assert table["label"].to_pylist() == ["pos", "neg", None]


def test_dictionaries_and_narrow_numbers_are_the_plain_table(
    tmp_path: Path, publish: Publish, load_data: Load
) -> None:
    narrow = pa.table(
        {
            "n": pa.array([2, None, 3], pa.int8()),
            "text": pa.array(["two", "one", None]).dictionary_encode(),
            "key": ["b", "a", "c"],
        }
    )
    pq.write_table(narrow, tmp_path / "rows.parquet")
    publish(tmp_path / "rows.parquet", id="key")
    table = provreg.loaders.arrow.table(load_data(tmp_path / "rows.parquet"), ())
    plain = pa.table({"n": pa.array([2, None, 3]), "text": ["two", "one", None]})
    assert table == plain


def test_columns_of_what_is_signed_can_have_other_names(path: Path, load_data: Load) -> None:
    samples = load_data(path)
    table = provreg.loaders.arrow.table(samples, {"label": "y", "source": "where"})
    assert table.column_names == ["text", "n", "y", "where"]
    with pytest.raises(provreg.UsageError, match="duplicate column name 'text'"):
        provreg.loaders.arrow.reader(samples, {"label": "text"})
    with pytest.raises(provreg.UsageError, match="unknown signed column: 'size!'"):
        provreg.loaders.arrow.reader(samples, ["size!"])


@pytest.mark.parametrize(
    ("poison", "why"),
    [
        ({1: ROWS[1] | {"text": "evil"}}, "'a' of d@1 does not load: its bytes differ"),
        ({3: {"key": "d", "text": "evil", "n": 1, "y": "pos"}}, "'d' does not load: d@1 has no"),
        ({0: ROWS[0] | {"y": "neg"}}, "'b' of d@1 does not load: its label differs"),
        ({2: None}, "1 samples of d@1 are missing"),
        ({0: ROWS[1] | {"key": "b"}, 1: ROWS[0] | {"key": "a"}}, "'b' of d@1 does not load"),
    ],
    ids=["changed", "stranger", "relabeled", "missing", "ids swapped"],
)
@pytest.mark.parametrize(
    "take",
    [
        provreg.loaders.arrow.table,
        provreg.loaders.pandas.frame,
        provreg.loaders.polars.frame,
        lambda samples: list(provreg.loaders.arrow.reader(samples)),
        lambda samples: pl.from_arrow(provreg.loaders.arrow.reader(samples)),
    ],
    ids=["table", "pandas", "polars", "batches", "C stream"],
)
def test_a_poisoned_table_loads_into_nothing(
    path: Path, load_data: Load, poison: dict[int, Any], why: str, take: Callable[..., Any]
) -> None:
    rows = [poison.get(at, row) for at, row in enumerate([*ROWS, None])]
    jsonl(path, [row for row in rows if row is not None])
    with pytest.raises(provreg.NotTrustedError, match=why):
        take(load_data(path))


def test_no_batch_after_a_changed_row_is_handed_on(
    tmp_path: Path, publish: Publish, load_data: Load
) -> None:
    path = tmp_path / "rows.parquet"
    table = pa.table({"n": range(30_000)})
    pq.write_table(table, path, row_group_size=10_000)
    publish(path)
    changed = [*range(15_000), -1, *range(15_001, 30_000)]
    pq.write_table(pa.table({"n": changed}), path, row_group_size=10_000)
    handed_on: list[int] = []
    batches = provreg.loaders.arrow.reader(load_data(path), ())
    with pytest.raises(provreg.SampleError):
        handed_on.extend(number for batch in batches for number in batch["n"].to_pylist())
    assert handed_on == changed[: len(handed_on)]
    assert 10_000 <= len(handed_on) <= 15_000


def test_rows_without_ids_load_in_any_order_with_their_own_labels(
    tmp_path: Path, publish: Publish, load_data: Load
) -> None:
    rows = [{"t": str(at % 50), "y": str(at % 3)} for at in range(500)]
    path = jsonl(tmp_path / "rows.jsonl", rows)
    publish(path, label="y")
    jsonl(path, rows[::-1])
    table = provreg.loaders.arrow.table(load_data(path), ("id", "label"))
    assert table.select(["t", "label"]).to_pylist() == [
        {"t": row["t"], "label": row["y"]} for row in rows[::-1]
    ]
    assert len(set(table["id"].to_pylist())) == 500
    jsonl(path, [*rows[:-1], rows[-1] | {"y": "2"}])
    with pytest.raises(provreg.SampleError, match="more often in the data than"):
        provreg.loaders.arrow.table(load_data(path))


def test_values_come_in_types_that_hold_them(
    tmp_path: Path, publish: Publish, load_data: Load
) -> None:
    when = dt.datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - naive on purpose
    table = pa.table(
        {
            "big": pa.array([2**64 - 1], pa.uint64()),
            "small": pa.array([1], pa.int16()),
            "ns": pa.array([1_000_000_000_000_000_001], pa.timestamp("ns")),
            "price": pa.array([Decimal("1.25")], pa.decimal128(9, 2)),
            "nested": pa.array([[{"at": when, "x": 1}]], pa.list_(pa.struct(
                [("at", pa.timestamp("s")), ("x", pa.uint8())]))),
            "half": pa.array([1.5], pa.float32()),
            "long": pa.array(["x"], pa.large_string()),
            "pairs": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32())),
            "nothing": pa.nulls(1),
        }
    )  # fmt: skip
    path = tmp_path / "rows.parquet"
    pq.write_table(table, path)
    publish(path)
    samples = load_data(path)
    loaded = provreg.loaders.arrow.table(samples, ())
    types = {field.name: str(field.type) for field in loaded.schema}
    assert types == {
        "big": "uint64", "small": "int64", "ns": "timestamp[ns]", "price": "decimal128(38, 2)",
        "nested": "list<element: struct<at: timestamp[ms], x: int64>>", "half": "float",
        "long": "string", "pairs": "map<string, int64>", "nothing": "string",
    } | {"nested": types["nested"]}  # fmt: skip
    assert loaded.to_pylist() == table.to_pylist()
    frame = provreg.loaders.pandas.frame(samples, ())
    assert frame["big"][0] == 2**64 - 1
    assert provreg.loaders.polars.frame(samples, ())["price"][0] == Decimal("1.25")


@pytest.mark.parametrize(
    ("first", "later", "held"),
    [
        (pa.nulls(1), pa.array([2**63 + 5], pa.uint64()), pa.uint64()),
        (pa.array([1]), pa.array([2**64 - 1], pa.uint64()), pa.uint64()),
        (pa.nulls(1), pa.array([10**18 + 1], pa.timestamp("ns")), pa.timestamp("ns")),
        (pa.array([1], pa.timestamp("ms")), pa.array([1], pa.timestamp("ns")), pa.timestamp("ns")),
        (pa.array([1], pa.duration("s")), pa.array([1], pa.duration("ms")), pa.duration("ms")),
        (
            pa.array([Decimal(1)], pa.decimal128(9, 0)),
            pa.array([Decimal(10**60)], pa.decimal256(76, 0)),
            pa.decimal256(76, 0),
        ),
        (pa.array([["x"]]), pa.array([None], pa.list_(pa.null())), pa.list_(pa.string())),
    ],
    ids=str,
)
def test_types_are_those_of_all_shards_and_not_of_the_first(
    tmp_path: Path, publish: Publish, load_data: Load, first: pa.Array, later: pa.Array, held: Any
) -> None:
    data = tmp_path / "shards"
    data.mkdir()
    pq.write_table(pa.table({"n": first}), data / "0.parquet")
    pq.write_table(pa.table({"n": later}), data / "1.parquet")
    publish(data)
    table = provreg.loaders.arrow.table(load_data(data), ())
    assert table.schema == pa.schema([("n", held)])
    written = pa.chunked_array([first.cast(held), later.cast(held)])
    assert table == pa.table([written], table.schema)


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (pa.array([-1]), pa.array([2**64 - 1], pa.uint64())),
        (pa.array([2**40], pa.timestamp("s")), pa.array([1], pa.timestamp("ns"))),
        (pa.array([-(2**62)], pa.duration("ms")), pa.array([1], pa.duration("ns"))),
    ],
    ids=str,
)
def test_shards_that_no_type_holds_together_are_not_published(
    tmp_path: Path, bench: Any, publish: Publish, first: pa.Array, later: pa.Array
) -> None:
    data = tmp_path / "shards"
    data.mkdir()
    pq.write_table(pa.table({"n": later}), data / "0.parquet")
    pq.write_table(pa.table({"n": first}), data / "1.parquet")
    with pytest.raises(provreg.InputError, match="parquet', row 1: column 'n' has a value"):
        publish(data)
    assert not list(bench.registry.glob("datasets/*/versions/*"))


def test_a_later_version_is_handed_out_as_the_first_was(
    tmp_path: Path, publish: Publish, load_data: Load
) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"at": pa.array([1], pa.timestamp("us"))}), path)
    publish(path)
    pq.write_table(pa.table({"at": pa.array([1000, 2000], pa.timestamp("ns"))}), path)
    publish(path)
    assert provreg.loaders.arrow.table(load_data(path), ())["at"].type == pa.timestamp("us")
    pq.write_table(pa.table({"at": pa.array([1000, 2001], pa.timestamp("ns"))}), path)
    with pytest.raises(provreg.InputError, match="row 2: column 'at' has a value that does not"):
        publish(path)


NANS = {
    "f2": (pa.float16(), 0x7E00, 0xFE01),
    "f4": (pa.float32(), 0x7FC00000, 0x7F800001),
    "f8": (pa.float64(), 0x7FF8000000000000, 0xFFF8000000000123),
}


def nan(form: str, bits: int) -> pa.Array:
    """A null, -0 and a NaN, which has these bits."""
    arrow = NANS[form][0]
    zero = 1 << (8 * int(form[1]) - 1)
    data = pa.py_buffer(np.array([0, zero, bits], form.replace("f", "u")))
    return pa.Array.from_buffers(arrow, 3, [pa.py_buffer(b"\6"), data])


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
@pytest.mark.parametrize(
    "attack", ["time zone", "field order", "NaN f2", "NaN f4", "NaN f8", "form"]
)
def test_what_is_stored_otherwise_than_signed_is_handed_out_as_signed(
    tmp_path: Path, publish: Publish, load_data: Load, attack: str, kind: str
) -> None:
    """The payloads are the same, and every digest agrees; but something else would come out."""
    at = pa.array([0, 1, None], pa.timestamp("us", "UTC"))
    forms = {
        "time zone": (at, at.cast(pa.timestamp("us", "America/New_York"))),
        "field order": tuple(
            pa.array([[{name: f"{name} {row}" for name in names}] for row in range(3)])
            for names in ("ab", "ba")
        ),
        "form": (
            pa.array([["x"], None, []], pa.list_(pa.string())),
            pa.array([["x"], None, []], pa.large_list(pa.large_string())),
        ),
    }
    for form, (_, canonical, other) in NANS.items():
        forms[f"NaN {form}"] = (
            pa.StructArray.from_arrays([nan(form, canonical)], names=["x"]),
            pa.StructArray.from_arrays([nan(form, other)], names=["x"]),
        )
    signed, stored = forms[attack]
    path = tmp_path / f"rows.{kind}"
    write = stream if kind == "arrow" else pq.write_table
    how = {"format": "huggingface" if kind == "arrow" else "parquet"}
    write(pa.table({"v": signed, "n": range(3)}), path)
    publish(path, **how)
    honest = load_data(path)
    expected = provreg.loaders.arrow.table(honest, ())
    samples = list(honest)
    write(pa.table({"n": range(3), "v": stored}), path)
    rewritten = load_data(path)
    rewritten.verify_data()  # the same samples
    for _ in range(2):
        table = provreg.loaders.arrow.table(rewritten, ())
        assert table.schema == expected.schema
        assert bits(table) == bits(expected)
        assert repr([one.payload for one in rewritten]) == repr([one.payload for one in samples])


def stream(table: pa.Table, path: Path) -> None:
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


def bits(table: pa.Table) -> bytes:
    """All that a loader hands out, bit by bit."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return sink.getvalue().to_pybytes()


def test_decimals_of_text_formats_reach_polars_unless_they_are_too_long(
    tmp_path: Path, publish: Publish, load_data: Load
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("price\n1.25\n")
    from provreg.core.rows.column import Decimal as DecimalType

    publish(path, types={"price": DecimalType(2)})
    assert provreg.loaders.polars.frame(load_data(path), ())["price"].to_list() == [Decimal("1.25")]
    path.write_text(f"price\n1.25\n{'9' * 60}.00\n")
    publish(path)
    assert provreg.loaders.pandas.frame(load_data(path), ())["price"][1] == Decimal("9" * 60)
    with pytest.raises(provreg.InputError, match="polars has no type"):
        provreg.loaders.polars.frame(load_data(path), ())


def test_frames_keep_integers_beside_nulls(path: Path, load_data: Load) -> None:
    frame = provreg.loaders.pandas.frame(load_data(path), ("id", "label"))
    assert frame["n"].tolist() == [2, pd.NA, 3]
    assert str(frame["n"].dtype) == "int64[pyarrow]"
    polars = provreg.loaders.polars.frame(load_data(path), ("id", "label"))
    assert polars.schema == {"text": pl.String, "n": pl.Int64, "id": pl.String, "label": pl.String}
    assert polars["n"].to_list() == [2, None, 3]


def test_a_selection_is_what_the_table_holds(path: Path, load_data: Load) -> None:
    some = load_data(path, select="label = 'pos'")
    assert provreg.loaders.arrow.table(some, ("id",))["id"].to_pylist() == ["b"]


def test_files_are_no_table(tmp_path: Path, publish: Publish, load_data: Load) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1.txt").write_text("x")
    publish(tmp_path / "data", label="none")
    with pytest.raises(provreg.UsageError, match="are read by id"):
        provreg.loaders.arrow.table(load_data(tmp_path / "data"))


def test_what_batches_and_shares_hand_out_is_counted(path: Path, load_data: Load) -> None:
    samples = load_data(path, select="label is not null")
    provreg.loaders.arrow.table(samples)
    assert samples.deliveries.counts().tolist() == [1, 1, 0]
    assert [one.id for one in samples.share(1, 2)] == ["b"]
    assert samples.deliveries.counts().tolist() == [1, 2, 0]
