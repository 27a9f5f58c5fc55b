"""The columns and samples of a first version, against a look at every value before any is read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from provreg.core.rows.arrow_types import check_column_names
from provreg.core.rows.column import Column, LogicalType, final_type, type_from_json
from provreg.errors import InputError
from provreg.readers.data_files.source_file import ValueMismatchError, stat_source
from provreg.readers.tables import first_rows
from provreg.readers.tables.table import TableOptions, TableSamples, read_table
from provreg.readers.tables.text import json_array, jsonlines
from provreg.readers.tables.text.jsonlines import take_in

if TYPE_CHECKING:
    from pathlib import Path

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from(
        [
            0.5,
            -0.0,
            1e300,
            2.0**63,
            2**63,
            2**64 - 1,
            2**64,
            2**53 + 1,
            2**60,
            -(2**63),
            -(2**63) - 1,
        ]
    ),
    st.sampled_from(["", "x", "2024-01-01", "2024-01-01T00:00:00Z", "1", "é\n"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("pq"), inner),
    max_leaves=4,
)
# Rows mostly alike, and such as hold anything.
alike = st.fixed_dictionaries(
    {"a": st.integers(-3, 3) | st.none()},
    optional={
        "b": st.sampled_from(["", "x", None]),
        "c": st.sampled_from([1, 2, 0.5, None]),
        "d": st.sampled_from([[], [None], [1], [0.5], None]),
        "e": st.fixed_dictionaries({}, optional={"p": st.sampled_from([1, 0.5, None])}),
    },
)
anything = st.dictionaries(st.sampled_from("abcde"), values, max_size=4)
odd = ["", " ", "{}", "1", '{"a":1,"a":2}', '{"a":NaN}', '{"c":1e400}', '{"a":1}\r']
lines = (
    alike.map(json.dumps)
    | anything.map(json.dumps)
    | st.sampled_from([*odd, '{"b":"\\ud800"}', '{"a":1}{"a":2}'])
)


def reading_each_value_first(file: Path, format_: str, options: TableOptions) -> TableSamples:
    """The rule itself: all columns first, from all values, then all rows under them."""
    columns: dict[str, LogicalType] = {}
    reader = first_rows.VALUED[format_]
    for piece in reader.slices(stat_source(file), options):
        for chunk in reader.chunks(piece):
            try:
                take_in(columns, chunk, options.types)
            except ValueMismatchError as misfit:
                raise InputError(misfit.complaint) from None
    check_column_names(list(columns))
    settled_ = tuple(Column(name, final_type(logical)) for name, logical in columns.items())
    options = TableOptions(label=options.label, types=options.types, columns=settled_)
    return read_table([file], format_, options)


def outcome(read: Any, *arguments: Any) -> Any:
    try:
        found = read(*arguments)
    except InputError:
        return None
    return found.reading, found.table.to_pylist()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(alike.map(json.dumps), min_size=1, max_size=12) | st.lists(lines, max_size=8),
    st.sampled_from(["json", "jsonl"]),
    st.integers(1, 60),
    st.integers(0, 40),
    st.sampled_from([None, "a", "c"]),
    st.sampled_from([{}, {"c": "float64"}, {"a": "float32", "b": "date"}]),
)
@example(['{"a":1}', '{"a":0.5}'], "jsonl", 1, 0, None, {})
@example(['{"a":0.5}', '{"a":18446744073709551616}'], "jsonl", 60, 0, None, {})
@example(['{"a":1}', '{"a":null,"b":[]}', '{"b":[1]}', '{"b":["x"]}'], "jsonl", 1, 0, None, {})
@example(['{"e":{"p":1}}', '{"e":{"q":1,"p":0.5}}'], "json", 1, 0, None, {})
def test_one_pass_finds_what_a_look_at_every_value_finds(
    tmp_path_factory: Any,
    rows: list[str],
    format_: str,
    chunk: int,
    first: int,
    label: str | None,
    types: dict[str, Any],
) -> None:
    file = tmp_path_factory.getbasetemp() / f"first.{format_}"
    text = "\n".join(rows) if format_ == "jsonl" else "[" + ",\n".join(rows) + "]"
    file.write_text(text, "utf-8", newline="")
    declared = {name: type_from_json(value, "t") for name, value in types.items()}
    options = TableOptions(label=label, types=declared)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonlines, "CHUNK", chunk)
        patch.setattr(json_array, "CHUNK", chunk)
        patch.setattr(first_rows, "_FIRST", first)
        found = outcome(read_table, [file], format_, options)
        wanted = outcome(reading_each_value_first, file, format_, options)
    assert repr(found) == repr(wanted)


def test_rows_that_are_alike_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", 200)
    monkeypatch.setattr(json_array, "CHUNK", 200)
    monkeypatch.setattr(first_rows, "_FIRST", 40)
    rows = [{"a": n, "b": [0.5], "c": {"d": None if n % 3 else "x"}} for n in range(100)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "t.json").write_text(json.dumps(rows))

    def never(*_: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(first_rows, "_take_in", never)
    monkeypatch.setattr(jsonlines, "batches", never)
    monkeypatch.setattr(json_array, "batches", never)
    contents = [
        read_table([tmp_path / f"t.{format_}"], format_, TableOptions()).table["content"]
        for format_ in ("json", "jsonl")
    ]
    assert contents[0].to_pylist() == contents[1].to_pylist()


def test_only_slices_whose_integers_become_floats_are_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", 1)
    (tmp_path / "t.jsonl").write_text('{"a":1}\n{"a":2,"b":"x"}\n{"a":0.5}\n{"a":3}\n')
    again = []
    batches = jsonlines.batches
    monkeypatch.setattr(
        jsonlines, "batches", lambda piece, options: again.append(piece) or batches(piece, options)
    )
    read_table([tmp_path / "t.jsonl"], "jsonl", TableOptions())
    assert [piece.start for piece in again] == [0, 8]


def test_rows_done_are_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", 1)
    (tmp_path / "t.jsonl").write_text('{"a":1}\n' * 4)
    told: list[int] = []
    read_table([tmp_path / "t.jsonl"], "jsonl", TableOptions(), progress=told.append)
    assert told == [1, 2, 3, 4]
