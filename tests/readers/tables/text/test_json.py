"""JSON Lines and arrays, with Python's parser as the truth."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from provreg.core.rows.column import (
    FLOAT64,
    INT,
    TEXT,
    Column,
    List,
    LogicalType,
    Struct,
    type_from_json,
    with_form,
)
from provreg.errors import InputError, ProvregError
from provreg.executors.processes import LocalProcesses
from provreg.readers.data_files.source_file import ValueMismatchError
from provreg.readers.tables import first_rows
from provreg.readers.tables.table import TableOptions, iter_rows, options_from_reading, read_table
from provreg.readers.tables.text import json_array, json_rows, jsonlines
from provreg.readers.tables.text.json_rows import batches_of_lines

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path, data: bytes, format_: str = "jsonl", **types: Any) -> list[dict[str, Any]]:
    """The payload columns of a JSON file."""
    file = folder / f"t.{format_}"
    file.write_bytes(data)
    options = TableOptions(
        types={name: type_from_json(value, "t") for name, value in types.items()}
    )
    reading = read_table([file], format_, options).reading
    return [row for rows, _ in iter_rows([file], reading) for row in rows.to_pylist()]


def rows_of_lines(data: bytes, columns: tuple[Column, ...]) -> list[dict[str, Any]]:
    return [row for batch in batches_of_lines(data, columns) for row in batch.to_pylist()]


def types_of(folder: Path, data: bytes) -> dict[str, Any]:
    file = folder / "t.jsonl"
    file.write_bytes(data)
    reading = read_table([file], "jsonl", TableOptions()).reading
    return {column["name"]: column["type"] for column in reading["columns"]}


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
TYPES: dict[str, tuple[LogicalType, st.SearchStrategy[Any]]] = {
    "text": (TEXT, text | st.sampled_from(["2024-01-01", "2024-01-01T00:00:00Z", "1", "null"])),
    "int": (INT, st.integers(-(2**63), 2**63 - 1)),
    "big": (with_form(INT, "uint64"), st.integers(0, 2**64 - 1)),
    "float": (FLOAT64, st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9)),
    "list": (List(INT), st.lists(st.none() | st.integers(-9, 9), max_size=3)),
    "lists": (
        List(List(TEXT)),
        st.lists(st.none() | st.lists(st.none() | text, max_size=2), max_size=2),
    ),
    "struct": (
        Struct((Column("x", FLOAT64), Column("é", TEXT))),
        st.fixed_dictionaries({}, optional={"x": st.none() | st.floats(0, 1), "é": text}),
    ),
    "structs": (
        List(Struct((Column("x", INT),))),
        st.lists(
            st.none() | st.fixed_dictionaries({"x": st.none() | st.integers(0, 9)}), max_size=3
        ),
    ),
}
SCHEMA = tuple(Column(name, logical) for name, (logical, _) in TYPES.items())
objects = st.fixed_dictionaries({}, optional={k: st.none() | v for k, (_, v) in TYPES.items()})


def _filled(value: Any, logical: LogicalType) -> Any:
    """A value as Python parsed it, with what a schema adds: absent fields, floats."""
    if value is None:
        return None
    match logical:
        case List():
            return [_filled(element, logical.element) for element in value]
        case Struct():
            return {
                field.name: _filled(value.get(field.name), field.type) for field in logical.fields
            }
    return float(value) if logical == FLOAT64 else value


@settings(max_examples=80, deadline=None)
@given(st.lists(objects, min_size=1, max_size=5), st.booleans())
def test_rows_are_what_pythons_parser_says(rows: list[dict[str, Any]], escaped: bool) -> None:
    lines = [json.dumps(row, ensure_ascii=escaped).encode() for row in rows]
    found = rows_of_lines(b"\n".join(lines), SCHEMA)
    wanted = [_filled(json.loads(line), Struct(SCHEMA)) for line in lines]
    assert repr(found) == repr(wanted)


_TOKENS = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"a"',
    '"b"',
    '"\\u0061"',
    "1",
    "-0",
    "1.5",
    "1e5",
    "01",
    "1.",
    "null",
    "true",
    "NaN",
    "Infinity",
    '"x"',
    '"\\ud800"',
    '"\\ud83d\\ude00"',
    "\n",
    " ",
    "\r",
    "\t",
    "\0",
    "//",
    "\v",
    "'a'",
    '"\x01"',
    '"\x7f"',
    "{}",
    '{"a":1}',
    '{"a":1,"b":"x"}',
    '{"a":null}\n',
    "\ufeff",
    "1e999",
    "18446744073709551616",
    "9223372036854775808",
    "-9223372036854775809",
]


def _truth(data: bytes) -> list[dict[str, Any]] | None:
    """What Python makes of lines of {"a": int, "b": text}; None for what is no such thing."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    rows = []
    try:
        for line in data.decode().split("\n"):
            if not line.strip(" \t\r"):
                continue
            row = json.loads(line, object_pairs_hook=unique)
            assert isinstance(row, dict)
            assert row.keys() <= {"a", "b"}
            a, b = row.get("a"), row.get("b")
            assert a is None or (type(a) is int and -(2**63) <= a < 2**63)
            assert b is None or (isinstance(b, str) and b.encode())
            rows.append({"a": a, "b": b})
    except (AssertionError, ValueError):
        return None
    return rows


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(_TOKENS), max_size=9).map("".join) | st.text(max_size=9))
def test_hostile_lines_are_read_as_python_does_or_refused(line: str) -> None:
    columns = (Column("a", INT), Column("b", TEXT))
    for data in (
        line.encode("utf-8", "surrogatepass"),
        b'{"a":1}\n' + line.encode("utf-8", "surrogatepass") + b'\n{"b":"x"}',
    ):
        try:
            found = rows_of_lines(data, columns)
        except ValueMismatchError:
            found = None
        assert found == _truth(data)


@pytest.mark.parametrize(
    "line",
    [
        b"null",
        b"1",
        b"[]",
        b'"x"',
        b'{"a":1',
        b'{"a":1}}',
        b'{"a":1}{"a":2}',
        b'{"a":1} null {"a":2}',
        b'{"a":1},',
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"s":"\\ud800"}',
        b'{"s":"\xff"}',
        b'{"s":"\xed\xa0\x80"}',
        b'{"s":"\t"}',
        b'{"a":1}\0}',
        b"\0",
        b'{"a":01}',
        b'{"a":"x"}',
        b'{"a":18446744073709551616}',
        b'{"a":-9223372036854775809}',
        b'{"a":[1]}',
        b'{"a":1}#',
        b'{"a":' + b"1" * 5000 + b"}",
        b'{"s":' + b"[" * 100_000,
        b'{"s":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"\\ud800":1}',
        b'{"":1}',
    ],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_no_row_is_refused_by_file_and_row(
    tmp_path: Path, line: bytes, workers: int
) -> None:
    good = b'{"a":1,"s":"x"}\n'
    file = tmp_path / "t.jsonl"
    file.write_bytes(good)
    schema = options_from_reading(read_table([file], "jsonl", TableOptions()).reading)
    file.write_bytes(good * 2 + b"\n" + line + b"\n" + good)
    with pytest.raises(InputError):
        read_table([file], "jsonl", TableOptions(), executor=LocalProcesses(workers))
    with pytest.raises(InputError, match=r"t\.jsonl', row 3: "):
        read_table([file], "jsonl", schema, executor=LocalProcesses(workers))


def test_rows_are_counted_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", 100)
    monkeypatch.setattr(jsonlines, "_STEP", 7)
    data = b"".join(b'{"a":%d}\n\n' % n for n in range(300))
    for workers in (1, 3):
        file = tmp_path / "t.jsonl"
        file.write_bytes(data)
        samples = read_table(
            [file],
            "jsonl",
            TableOptions(),
            executor=LocalProcesses(workers),
        )
        assert samples.table.num_rows == 300
        file.write_bytes(data + b'{"a":"x"}\n')
        with pytest.raises(InputError, match="row 301: column 'a': 'x' is no int"):
            read_table(
                [file],
                "jsonl",
                options_from_reading(samples.reading),
                executor=LocalProcesses(workers),
            )
    assert [row["a"] for row in read(tmp_path, data)] == list(range(300))


def test_types_are_inferred_from_all_rows(tmp_path: Path) -> None:
    rows = [
        {
            "t": "2024-01-01T00:00:00Z",
            "n": 1,
            "f": 1,
            "u": 2**64 - 1,
            "b": True,
            "z": None,
            "l": [],
        },
        {"l": [None], "s": {"x": 1}, "f": 0.5, "m": [{"at": "2024-01-01"}]},
        {"l": [1.5], "s": {"y": "2024-01-01"}, "m": [{"z": None}]},
    ]
    assert types_of(tmp_path, b"\n".join(json.dumps(row).encode() for row in rows)) == {
        "t": "text",
        "n": "int",
        "f": "float64",
        "u": {"int": "uint64"},
        "b": "bool",
        "z": "text",
        "l": {"list": "float64"},
        "s": {"struct": [{"name": "x", "type": "int"}, {"name": "y", "type": "text"}]},
        "m": {"list": {"struct": [{"name": "at", "type": "text"}, {"name": "z", "type": "text"}]}},
    }


@pytest.mark.parametrize(
    "values", [(1, "x"), (True, 1), ([1], ["x"]), ({"a": 1}, [1]), (2**64, 2**64), (2**64, 0.5)]
)
def test_columns_of_two_types_must_be_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: tuple[Any, Any]
) -> None:
    data = b"".join(json.dumps({"a": value}).encode() + b"\n" for value in values)
    for size in (8 << 20, 1):
        monkeypatch.setattr(jsonlines, "CHUNK", size)
        with pytest.raises(InputError, match=r"row 2: column 'a|row 1: .*64 bits") as caught:
            read(tmp_path, data)
        assert caught.value.hint


def test_declared_types_override_what_values_say(tmp_path: Path) -> None:
    data = b'{"f":1,"d":1.5,"at":"2024-01-01","m":[{"key":"k","value":null}],"h":1}\n{"d":"2"}\n'
    first, second = read(
        tmp_path,
        data,
        f="float32",
        d={"decimal": 2},
        at="date",
        m={"map": ["text", "int"]},
        h="float16",
    )
    assert (str(first["d"]), str(first["at"]), first["m"]) == ("1.50", "2024-01-01", [("k", None)])
    assert isinstance(first["f"], float)
    assert isinstance(first["h"], float)
    assert str(second["d"]) == "2.00"
    for kind, value in (
        ("date", '"2024-02-30"'),
        ("float32", "1e39"),
        ("float16", "1e5"),
        ({"decimal": 1}, "0.25"),
        ("binary", '"x"'),
        ({"map": ["text", "int"]}, '[{"value":1}]'),
        ("text", "1"),
    ):
        with pytest.raises(InputError):
            read(tmp_path, b'{"a":%s}\n' % value.encode(), a=kind)


def test_declaring_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'b'"):
        read(tmp_path, b'{"a":1}\n', b="int")


ends = st.sampled_from([None, 0, 1, -1, -(2**63), 2**63 - 1, 2**63, 2**64 - 1, 0.5, -0.5])


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(ends, min_size=1, max_size=5), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 60)), min_size=2, max_size=2),
    st.sampled_from(["a", "l", "s"]),
    st.sampled_from(["json", "jsonl"]),
)
@example([[0, -1], [2**63]], [(1, 0), (60, 8)], "a", "jsonl")
@example([[0, -1], [2**63]], [(60, 0), (60, 8)], "l", "json")
@example([[2**63, 0], [0, -1]], [(60, 0), (60, 8)], "s", "jsonl")
@example([[-1, 2**63, 0.5]], [(1, 0), (60, 8)], "a", "jsonl")
def test_integers_of_both_ends_are_refused_at_one_row_wherever_slices_fall(
    tmp_path_factory: Any,
    files: list[list[Any]],
    cuts: list[tuple[int, int]],
    shape: str,
    format_: str,
) -> None:
    folder = tmp_path_factory.mktemp("ends")
    paths = [folder / f"{number}.{format_}" for number in range(len(files))]
    for path, numbers in zip(paths, files, strict=True):
        rows = [{"a": n} if shape == "a" else {shape: [n] if shape == "l" else {"x": n}}
                for n in numbers]  # fmt: skip
        lines = "\n".join(map(json.dumps, rows))
        path.write_text(lines if format_ == "jsonl" else json.dumps(rows))
    found = []
    for chunk, first in cuts:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jsonlines, "CHUNK", chunk)
            patch.setattr(json_array, "CHUNK", chunk)
            patch.setattr(first_rows, "_FIRST", first)
            try:
                read = read_table(paths, format_, TableOptions())
                found.append((read.reading["columns"], sorted(map(str, read.table.to_pylist()))))
            except InputError as error:
                found.append(f"{error.message} ({error.hint})")
    numbers = [n for file in files for n in file if n is not None]
    if 0.5 in numbers or -0.5 in numbers:  # then all are floats, or refused as what floats round
        refused = any(int(float(n)) != n for n in numbers if type(n) is int)
        assert [isinstance(one, str) for one in found] == [refused, refused]
        return
    assert found[0] == found[1]
    mixed = min(numbers, default=0) < 0 and max(numbers, default=0) >= 2**63
    assert isinstance(found[0], str) == mixed
    if isinstance(found[0], str):
        place = next(
            f"{number}.{format_}', row {row + 1}: "
            for number, file in enumerate(files)
            for row, n in enumerate(file)
            if n is not None and n >= 2**63
        )
        assert place in found[0]
        assert "decimal128" in found[0]


@pytest.mark.parametrize("size", [1, 8 << 20])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("1e99999999999999999999", "'a' holds NaN, infinite numbers"),
        ("NaN", "'a' holds NaN, infinite numbers"),
        ("-Infinity", "'a' holds NaN, infinite numbers"),
        ("18446744073709551616", "'a' holds integers beyond 64 bits"),
        ('{"b":[1,"x"]}', r"'a\.b\.\[\]' holds values of two types"),
        ('{"b":[1,{"c":1}]}', r"'a\.b\.\[\]' holds values of two types"),
        ('["x"]', "'a' holds values of two types"),
    ],
)
def test_what_no_type_holds_is_named_with_its_place_and_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, value: str, message: str
) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", size)
    good = b'{"a":null}\n{"a":{"b":[]}}\n' if value.startswith(("{", "[")) else b'{"a":0.5}\n' * 2
    with pytest.raises(InputError, match=f"row 3: column {message}") as caught:
        read(tmp_path, good + b'{"a":%s}\n' % value.encode() + good)
    assert ("--column a:json" in caught.value.hint) == ("two types" in message)


def test_values_of_many_types_are_taken_as_canonical_text(tmp_path: Path) -> None:
    data = b'{"a":"hi"}\n{"a":[{"b":1.0,"\xc3\xa9":[1E2, null]}]}\n{"a":null}\n{"a":-0}\n'
    found = [row["a"] for row in read(tmp_path, data, a="json")]
    assert found == ['"hi"', '[{"b":1,"\u00e9":[100,null]}]', None, "0"]
    nested = [row["l"] for row in read(tmp_path, b'{"l":[1,"x",[2]]}\n', l={"list": "json"})]
    assert nested == [["1", '"x"', "[2]"]]
    for wrong in ("9007199254740993", "1e400", '{"b":1,"b":2}', "[" * 20 + "]" * 20, '"\\ud800"'):
        with pytest.raises(InputError, match="row 2: "):
            read(tmp_path, b'{"a":1}\n{"a":%s}\n' % wrong.encode(), a="json")


@pytest.mark.parametrize("format_", ["json", "jsonl"])
def test_objects_whose_keys_are_data_are_refused_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    common_type, touched = json_rows.common_type, 0

    def counted(left: LogicalType, right: LogicalType, *, json: bool) -> LogicalType | None:
        nonlocal touched
        touched += sum(len(one.fields) for one in (left, right) if isinstance(one, Struct))
        return common_type(left, right, json=json)

    monkeypatch.setattr(json_rows, "common_type", counted)
    rows = [{"votes": {f"annotator-{n:06}": n % 5}} for n in range(20_000)]
    text = json.dumps(rows) if format_ == "json" else "\n".join(map(json.dumps, rows))
    with pytest.raises(InputError, match=r"row 16385: .*'votes' has more than 16,384") as caught:
        read(tmp_path, text.encode(), format_)
    assert "list of pairs" in caught.value.hint
    assert "--column votes:json" in caught.value.hint
    # Row by row it would be 200 million; each step of the search for the row is a pass.
    assert 16_384 <= touched < 50 * len(rows)
    assert len(read(tmp_path, text.encode(), format_, votes="json")) == len(rows)


WIDE = [
    b'{"s":{"a":1},"l":[{"x":1}],"m":[{"key":"k"}]}',
    b'{"s":{"b" : 2},"l":[{"y":"z"},null,{}],"m":[{"key":"k","value":{"p":1}}]}',
    b'{"s":null,"l":null}',
    b'{"s":{},"l":[],"m":[]}',
    b'{"s":{"c":"x",":y":1}}',
    b'{"s":{"a":3,"c":"\\u0022"}}',
    b'{"s":{"\\u0061":4}}',
    b'{"s":{"c":"\xc3\xa9", "\xc3\xa9":5}}',
]


@pytest.mark.parametrize("most", [1, 2, 100])
@pytest.mark.parametrize(
    "wrong", [b"", b'{"s":{"q":1}}', b'{"s":{"x":null}}', b'{"s":{"a":1,"a":2}}']
)
def test_rows_that_lack_most_of_very_many_fields_are_read_as_others(
    monkeypatch: pytest.MonkeyPatch, most: int, wrong: bytes
) -> None:
    fields = [{"name": name, "type": "int"} for name in ("a", "b", ":y", "é")]
    kinds = {
        "s": {"struct": [*fields, {"name": "c", "type": "text"}]},
        "l": {"list": {"struct": [{"name": "x", "type": "int"}, {"name": "y", "type": "text"}]}},
        "m": {"map": ["text", {"struct": [{"name": "p", "type": "float64"}]}]},
    }
    columns = tuple(Column(name, type_from_json(kind, name)) for name, kind in kinds.items())
    parsed = [json.loads(line) for line in WIDE]
    monkeypatch.setattr(json_rows, "most_rows", lambda _: most)
    data = b"\n".join([*WIDE, wrong]) + b"\n"
    if wrong:
        with pytest.raises(ValueMismatchError) as caught:
            list(batches_of_lines(data, columns))
        assert caught.value.row == len(WIDE)
        return
    found = [row for batch in batches_of_lines(data, columns) for row in batch.to_pylist()]
    for row, truth in zip(found, parsed, strict=True):
        for name, value in (row["s"] or {}).items():
            assert value == (truth["s"] or {}).get(name)
        assert (row["s"] is None) == (truth["s"] is None)
        rows = truth.get("l")
        assert row["l"] == (rows and [x and {"x": x.get("x"), "y": x.get("y")} if x != {} else
                                      {"x": None, "y": None} for x in rows])  # fmt: skip
        pairs = truth.get("m")
        assert row["m"] == (pairs and [(pair["key"], pair.get("value")) for pair in pairs])


def test_arrow_is_asked_for_the_fields_that_rows_have(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    schema = json_rows._schema

    def counted(columns: tuple[Column, ...], names: set[bytes] | None) -> Any:
        made = schema(columns, names)
        asked.append(made.field("votes").type.num_fields)
        return made

    monkeypatch.setattr(json_rows, "_schema", counted)
    monkeypatch.setattr(json_rows, "most_rows", lambda _: 10)
    votes = Struct(tuple(Column(f"user{n}", INT) for n in range(100)))
    data = b"".join(b'{"votes":{"user%d":1}}\n' % n for n in range(100))
    found = list(batches_of_lines(data, (Column("votes", votes),)))
    assert asked == [10] * 10
    assert sum(batch.num_rows for batch in found) == 100


def test_a_line_beyond_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonlines, "CHUNK", 10)
    monkeypatch.setattr(jsonlines, "MAX_ROW", 100_000)
    with pytest.raises(InputError, match="longer"):
        read(tmp_path, b'{"a":"' + b"x" * 300_000 + b'"}\n')


# Arrays


@settings(max_examples=50, deadline=None)
@given(
    st.lists(objects, min_size=1, max_size=6), st.sampled_from([None, 1, "\t"]), st.integers(1, 40)
)
def test_arrays_give_the_same_rows_as_lines(
    tmp_path_factory: Any, rows: list[dict[str, Any]], indent: Any, chunk: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "array.json"
    file.write_bytes(json.dumps(rows, indent=indent, ensure_ascii=False).encode() + b" \n")
    options = TableOptions(columns=SCHEMA)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "CHUNK", chunk)
        reading = read_table([file], "json", options).reading
        found = [row for batch, _ in iter_rows([file], reading) for row in batch.to_pylist()]
    assert repr(found) == repr(
        [_filled(row, Struct(SCHEMA)) for row in json.loads(file.read_bytes())]
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"[]",
        b'{"a":1}',
        b'{"a":1}\n{"a":2}',
        b'[{"a":1}',
        b'[{"a":1},',
        b'[{"a":1}]]',
        b'[{"a":1}] x',
        b'[{"a":1},]',
        b'[{"a":1} {"a":2}]',
        b"[1]",
        b'[{"a":1},null]',
        b'[{"a":1},{"a"}]',
        b'[{"a":"\xff"}]',
        b'[{"a":NaN}]',
        b'[{"a":1,"a":2}]',
        b"[" * 100_000,
        b'[{"a":' + b"[" * 100_000,
        b'[{"a":"\n"}]',
        b'[{"a":"\\ud800"}]',
        b'[{"a":1}]\0',
        b'[{"a":"x"},{"a":1}]',
    ],
)
def test_what_is_no_array_of_objects_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InputError):
        read(tmp_path, data, "json")


def test_elements_that_do_not_fit_are_named_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_array, "CHUNK", 16)
    file = tmp_path / "t.json"
    file.write_bytes(b'[{"a":1}]')
    options = options_from_reading(read_table([file], "json", TableOptions()).reading)
    file.write_text(json.dumps([{"a": n} for n in range(50)] + [{"b": 1}], indent=2))
    with pytest.raises(InputError, match="row 51: the column 'b' is not in the schema"):
        read_table([file], "json", options)


@given(
    st.binary(max_size=40)
    | st.lists(st.sampled_from(_TOKENS), max_size=9).map("".join).map(str.encode)
)
def test_any_bytes_are_rows_or_our_error(tmp_path_factory: Any, data: bytes) -> None:
    for format_ in ("json", "jsonl"):
        file = tmp_path_factory.getbasetemp() / f"any.{format_}"
        file.write_bytes(data)
        try:
            table = read_table([file], format_, TableOptions()).table
        except ProvregError:
            continue
        assert table.num_rows


def test_floats_keep_their_sign_of_zero(tmp_path: Path) -> None:
    (row, *_) = read(tmp_path, b'{"a":-0.0}\n{"a":-0}\n', a="float64")
    assert math.copysign(1, row["a"]) == -1
