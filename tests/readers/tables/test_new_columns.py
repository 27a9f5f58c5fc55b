"""Columns that are not signed, and columns that come with a later version."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Bench
from hypothesis import given
from hypothesis import strategies as st

import provreg
from provreg.core.rows.arrow_types import cast_batch
from provreg.core.rows.column import FLOAT64, INT, TEXT, Column, Struct
from provreg.errors import InputError, UsageError
from provreg.readers.api import ReadOptions
from provreg.readers.data_files.source_file import ValueMismatchError
from provreg.readers.tables.text import json_rows

OLD = [{"id": "a", "text": "one"}, {"id": "b", "text": "two"}]
NEW = [{"id": "c", "text": "three", "score": "0.5", "note": "x"}]
FORMATS = ("csv", "jsonl", "json", "parquet")
Write = Callable[[str, list[dict[str, Any]]], Path]


@pytest.fixture(params=FORMATS)
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Writes rows as a shard of a folder, in one of the formats."""
    kind = request.param

    def write(name: str, rows: list[dict[str, Any]]) -> Path:
        path = tmp_path / "shards" / f"{name}.{kind}"
        path.parent.mkdir(exist_ok=True)
        if kind == "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        elif kind == "csv":
            with path.open("w", newline="") as stream:
                writer = csv.DictWriter(stream, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        elif kind == "json":
            path.write_text(json.dumps(rows), "utf-8")
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return path.parent

    return write


def _ingest(bench: Bench, data: Path, **options: Any) -> Any:
    bench.ingest(data, options=ReadOptions(id="id", **options))
    return bench.open().verify("pets")


def _contents(version: Any) -> dict[str, bytes]:
    entries = version.entries
    return dict(zip(entries["id"].to_pylist(), entries["content"].to_pylist(), strict=True))


def test_an_additional_column_is_refused_with_both_ways_on(bench: Bench, write: Write) -> None:
    _ingest(bench, write("one", OLD))
    with pytest.raises(InputError, match="'note'") as caught:
        _ingest(bench, write("two", [{"id": "c", "text": "three", "note": "x"}]))
    assert "--exclude-column 'note'" in caught.value.hint
    assert "--column-added 'note'" in caught.value.hint


def test_an_excluded_column_is_not_signed(bench: Bench, write: Write) -> None:
    """Whatever is in it, and wherever it is missing."""
    before = _ingest(bench, write("one", OLD))
    data = write("two", NEW)
    after = _ingest(bench, data, columns_excluded=("note", "score"))
    assert after.head.changes["injected"] == 1
    assert sum(after.head.changes.values()) == 1
    assert _contents(before).items() <= _contents(after).items()
    assert after.head.reading["columns_excluded"] == ["note", "score"]
    write("two", [{**NEW[0], "note": "another", "score": "7"}])
    bench.open().verify("pets", data=(data,))
    loaded = provreg.load("pets", data=data, registry=bench.registry, key=bench.key_file())
    assert all(sample.payload.keys() == {"text"} for sample in loaded)
    # The next version leaves it out without being told.
    write("three", [{**NEW[0], "id": "d"}])
    assert sum(_ingest(bench, data).head.changes.values()) == 1


def test_a_first_version_can_exclude_columns(bench: Bench, write: Write) -> None:
    version = _ingest(bench, write("one", NEW), columns_excluded=("note", "score"))
    assert [column["name"] for column in version.head.reading["columns"]] == ["id", "text"]


def test_a_column_is_added_and_old_rows_keep_their_digests(bench: Bench, write: Write) -> None:
    before = _ingest(bench, write("one", OLD))
    data = write("two", [{"id": "c", "text": "three", "score": "0.5"}])
    after = _ingest(bench, data, columns_added={"score": TEXT})
    assert after.head.changes["injected"] == 1
    assert sum(after.head.changes.values()) == 1
    assert _contents(before).items() <= _contents(after).items()
    assert after.head.reading["columns_added"] == ["score"]
    bench.open().verify("pets", data=(data,))
    loaded = provreg.load("pets", data=data, registry=bench.registry, key=bench.key_file())
    assert {sample.id: sample.payload["score"] for sample in loaded} == {
        "a": None, "b": None, "c": "0.5",
    }  # fmt: skip
    # The value is signed.
    write("two", [{"id": "c", "text": "three", "score": "0.6"}])
    with pytest.raises(provreg.errors.NotTrustedError, match="1 changed"):
        bench.open().verify("pets", data=(data,))


def test_attack_a_column_taken_out_of_a_file(bench: Bench, write: Write) -> None:
    """Only a column that was added may be missing, and its values with it only where null."""
    _ingest(bench, write("one", OLD))
    data = write("two", [{"id": "c", "text": "three", "score": "0.5"}])
    _ingest(bench, data, columns_added={"score": TEXT})
    write("two", [{"id": "c", "text": "three"}])
    with pytest.raises(provreg.errors.NotTrustedError, match="1 changed"):
        bench.open().verify("pets", data=(data,))


def test_types_are_declared_or_those_of_the_files(bench: Bench, tmp_path: Path) -> None:
    data = tmp_path / "shards"
    data.mkdir()
    pq.write_table(pa.Table.from_pylist(OLD), data / "one.parquet")
    _ingest(bench, data)
    pq.write_table(pa.table({"id": ["c"], "text": ["x"], "score": [0.5]}), data / "two.parquet")
    version = _ingest(bench, data, columns_added={"score": None})
    assert version.head.reading["columns"][-1] == {"name": "score", "type": "float64"}


def test_a_type_of_json_is_declared(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id":"a","text":"x"}\n', "utf-8")
    _ingest(bench, path)
    path.write_text('{"id":"a","text":"x"}\n{"id":"b","text":"y","score":1}\n', "utf-8")
    with pytest.raises(InputError, match="type of the new column 'score' is not known"):
        _ingest(bench, path, columns_added={"score": None})
    version = _ingest(bench, path, columns_added={"score": FLOAT64})
    assert sum(version.head.changes.values()) == 1


def test_what_was_excluded_can_be_added_later(bench: Bench, write: Write) -> None:
    data = write("one", [{"id": "a", "text": "x", "score": "1"}])
    _ingest(bench, data, columns_excluded=("score",))
    version = _ingest(bench, data, columns_added={"score": TEXT})
    assert version.head.changes["modified"] == 1
    assert "columns_excluded" not in version.head.reading


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns_excluded": ("text",)}, "signed since an earlier version"),
        ({"columns_excluded": ("id",)}, "signed since an earlier version"),
        ({"columns_excluded": ("x",), "columns_added": {"x": TEXT}}, "both name 'x'"),
        ({"columns_added": {"text": TEXT}}, "is signed already"),
        ({"columns_excluded": ("kind",), "label": "kind"}, "--label both name 'kind'"),
    ],
)
def test_contradictions_are_refused(
    bench: Bench, write: Write, options: dict[str, Any], message: str
) -> None:
    data = write("one", OLD)
    _ingest(bench, data)
    with pytest.raises(UsageError, match=message):
        _ingest(bench, data, **options)


def test_a_first_version_adds_no_columns(bench: Bench, write: Write) -> None:
    with pytest.raises(UsageError, match="for a later version"):
        _ingest(bench, write("one", NEW), columns_added={"score": TEXT})


def test_a_column_that_no_file_has(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,text\na,x\n", "utf-8")
    _ingest(bench, path)
    with pytest.raises(InputError, match="no file has the column 'scroe'"):
        _ingest(bench, path, columns_added={"scroe": None})


def test_attack_other_unknown_keys_beside_an_excluded_one(bench: Bench, write: Write) -> None:
    _ingest(bench, write("one", OLD))
    with pytest.raises(InputError, match="'note'"):
        _ingest(bench, write("two", NEW), columns_excluded=("score",))


def test_a_changed_row_is_named_with_its_file_and_number(bench: Bench, write: Write) -> None:
    write("one", OLD)
    data = write("two", [{"id": f"n{number}", "text": "x"} for number in range(30)])
    _ingest(bench, data)
    write(
        "two", [{"id": f"n{number}", "text": "y" if number == 11 else "x"} for number in range(30)]
    )
    with pytest.raises(provreg.errors.NotTrustedError) as caught:
        bench.open().verify("pets", data=(data,))
    [finding] = caught.value.findings
    assert finding.id == "n11"
    assert "row 12 of '" in str(finding.detail)
    assert "two." in str(finding.detail)


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.just(0.5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
_rows = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "a": st.integers(-9, 9),
            "s": st.fixed_dictionaries(
                {}, optional={"t": st.text(max_size=3), "unknown": st.integers(0, 1)}
            ),
            "x": _values,
            "y": st.booleans(),
        },
    ),
    min_size=1,
    max_size=6,
)


@given(rows=_rows)
def test_excluded_keys_are_read_as_the_plain_reader_does(rows: list[dict[str, Any]]) -> None:
    """Arrow infers what is excluded; nothing else that it infers may get through."""
    columns = (Column("a", INT), Column("s", Struct((Column("t", TEXT),))))
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()

    def read(batches: Any) -> list[Any] | str:
        try:
            return [cast_batch(batch, columns).to_pylist() for batch in batches]
        except ValueMismatchError as error:
            return error.complaint

    fast = read(json_rows.batches_of_lines(lines, columns, {"x"}))
    plain = read(json_rows._plainly(lines, columns, {"x"}))
    assert fast == plain
