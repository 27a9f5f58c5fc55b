"""Texts that differ only in case or composition: two for who compares bytes, one for programs
that compare otherwise, or for who looks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provreg.core.rows.column import TEXT, Column
from provreg.errors import FormatError, InputError
from provreg.readers.api import ReadOptions
from provreg.readers.tables.options import TableOptions, options_from_reading, reading_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Bench

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def write(path: Path, row: dict[str, str]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: [cell] for name, cell in row.items()}), path)
    elif path.suffix == ".csv":
        path.write_text(f"{','.join(row)}\n{','.join(row.values())}\n")
    else:
        path.write_text(json.dumps(row, ensure_ascii=False) + "\n")
    return path


@pytest.mark.parametrize("format_", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize(
    ("columns", "how"),
    [
        (("text", "label", "Label"), {"label": "label"}),
        (("text", "label", "Label"), {"label": "Label"}),
        (("text", "key", "KEY"), {"id": "key"}),
        (("text", "Split", "split"), {"split": "split"}),
        (("text", "by", "BY"), {"labeler_column": "by"}),
        (("text", "stra\u00dfe", "strasse"), {"source_column": "strasse"}),
        (("text", COMPOSED, DECOMPOSED), {"label": COMPOSED}),
        (("text", COMPOSED, DECOMPOSED), {}),
    ],
)
def test_a_column_that_other_programs_take_for_another_is_refused(
    bench: Bench, format_: str, columns: tuple[str, ...], how: dict[str, Any]
) -> None:
    """DuckDB and Spark, say, give whichever comes first."""
    row = {name: f"value {place}" for place, name in enumerate(columns)}
    data = write(bench.folder / f"t.{format_}", row)
    with pytest.raises(InputError, match="differ only in case or composition"):
        bench.ingest(data, options=ReadOptions(**how))
    assert not list(bench.registry.glob("datasets/*"))


def test_a_signed_reading_with_such_columns_is_none() -> None:
    columns = tuple(Column(name, TEXT) for name in ("text", "label", "Label"))
    reading = reading_of("jsonl", TableOptions(label="label", columns=columns))
    with pytest.raises(FormatError, match="differ only in case or composition"):
        options_from_reading(reading)


def test_columns_of_the_payload_may_differ_in_case(bench: Bench) -> None:
    """Both are signed under their own names."""
    data = write(bench.folder / "t.csv", {"m": "mass", "M": "magnitude", "label": "x"})
    bench.ingest(data, options=ReadOptions(label="label"))
    assert bench.open().verify("pets", data=[data]).head.samples == 1


def labeled(bench: Bench, *labels: str) -> Path:
    rows = "".join(f"{place},{label}\n" for place, label in enumerate(labels))
    path = bench.folder / "labels.csv"
    path.write_text("text,label\n" + rows, "utf-8")
    return path


def test_a_class_that_seems_another_is_no_class_beside_it(bench: Bench) -> None:
    data = labeled(bench, COMPOSED, DECOMPOSED)
    outcome = bench.ingest(data, options=ReadOptions(label="label"))
    assert (outcome.head.label_type, outcome.head.classes) == ("text", ())
    assert bench.open().verify("pets", data=[data]).head.samples == 2


def test_a_class_that_seems_one_of_the_parent_is_refused(bench: Bench) -> None:
    bench.ingest(labeled(bench, COMPOSED, "tea"), options=ReadOptions(label="label"))
    with pytest.raises(InputError, match="differs only in composition"):
        bench.ingest(labeled(bench, COMPOSED, "tea", DECOMPOSED))


def test_classes_may_differ_in_case(bench: Bench) -> None:
    """Characters to be recognised, say."""
    outcome = bench.ingest(labeled(bench, "a", "A"), options=ReadOptions(label="label"))
    assert outcome.head.classes == ("A", "a")


@pytest.mark.parametrize(
    ("said", "signed"), [("Row", "row"), (DECOMPOSED, COMPOSED), (COMPOSED, DECOMPOSED)]
)
def test_a_labels_file_that_names_a_sample_otherwise_says_which(
    bench: Bench, said: str, signed: str
) -> None:
    data = write(bench.folder / "t.jsonl", {"key": signed, "text": "x"})
    labels = bench.folder / "labels.csv"
    labels.write_text(f"id,label\n{said},cat\n", "utf-8")
    with pytest.raises(InputError, match="not in the data") as caught:
        bench.ingest(data, options=ReadOptions(id="key"), labels=labels)
    assert caught.value.hint is not None
    assert "differs only in case or composition" in caught.value.hint
