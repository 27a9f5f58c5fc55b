"""Rows that are written alike: what is read without a parser of JSON is what one reads."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from provreg.core.column import BOOL, FLOAT64, INT, TEXT, Column
from provreg.readers import json_alike, json_rows
from provreg.readers.json_alike import rows_alike

TYPES = {"i": INT, "f": FLOAT64, "b": BOOL, "t": TEXT, "u": TEXT}
SCHEMA = tuple(Column(name, logical) for name, logical in TYPES.items())
KINDS = {INT: (int,), FLOAT64: (int, float), BOOL: (bool,), TEXT: (str,)}


def truth(data: bytes) -> list[dict[str, Any]] | None:
    """What Python's parser makes of the lines, None for what is not JSON or not of the types."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    rows = []
    try:
        for line in data.decode().removesuffix("\n").split("\n"):
            row = json.loads(line, object_pairs_hook=unique)
            assert isinstance(row, dict)
            assert row.keys() <= TYPES.keys()
            for key, value in row.items():
                assert value is None or type(value) in KINDS[TYPES[key]]
                if TYPES[key] == FLOAT64 and value is not None:
                    row[key] = float(value)
                    assert math.isfinite(row[key])
                assert TYPES[key] != INT or value is None or -(2**63) <= value < 2**63
            rows.append({key: row.get(key) for key in TYPES})
    except (AssertionError, ValueError, OverflowError):
        return None
    return rows


def found(data: bytes) -> list[dict[str, Any]] | None:
    columns = rows_alike(data, TYPES)
    if columns is None:
        return None
    values = {key: column.to_pylist() for key, column in columns.items()}
    rows = len(next(iter(values.values())))
    return [{key: values.get(key, [None] * rows)[row] for key in TYPES} for row in range(rows)]


good = {
    "i": st.sampled_from(["0", "-0", "1", "-12", str(2**63 - 1), str(-(2**63)), "null"]),
    "f": st.sampled_from(["0", "-0", "-0.0", "1.5", "1e5", "1E+05", "12e-300", "null", "9" * 30]),
    "b": st.sampled_from(["true", "false", "null"]),
    "t": st.sampled_from(['""', '"x"', '"é, {}: 1"', '"null"', '"true"', '"\x7f"', '"2024-01-01"']),
}
good["u"] = good["t"]
numbers = "01 -01 +1 1. .5 1.e5 1e 0x1 - 1e999 -1e999 NaN Infinity 9223372036854775808 1: :1"
words = 'nul True null} 1} 1, 1}{} [1] {} {1} "x"} "x", "x"x "\\n" "\\"" "\\ud800" "\ud800" \ufeff'
blanks = ["", "1 ", " 1", "1\t", "1\r", '"\t"', '"\0"', '"\v"', "1}\n{", '"x"}\n{"t":"y"']
bad = st.sampled_from([*numbers.split(), *words.split(), *blanks, '1,"t":2', '"x","i":1'])


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Lines of one form, most of them; the values in some are not what they should be."""
    keys = draw(
        st.lists(st.sampled_from("ifbtu"), min_size=1, max_size=5, unique=draw(st.booleans()))
    )
    colon, comma = draw(st.sampled_from([(":", ","), (": ", ", "), (" :\t", "\t,")]))
    start, end = draw(st.sampled_from([("{", "}"), ("{ ", " }"), (" {", "} "), ("{", "}\r")]))
    rare = st.integers(0, draw(st.sampled_from([0, 6])))
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        pairs = [f'"{key}"{colon}' + draw(bad if draw(rare) == 1 else good[key]) for key in keys]
        rows.append(start + comma.join(pairs) + end)
    text = "\n".join(rows) + draw(st.sampled_from(["\n", "", "\n\n", "\n \n"]))
    return text.encode("utf-8", "surrogatepass")


@settings(max_examples=1000, deadline=None)
@given(lines())
@example(b'{"i":1,"f":[2,"b":3]}')
@example(b'{"i":1}{}\n{"i":2}')
@example(b'{"i":1}\r{"i":2}\n')
@example(b'{"i":1}\n{"i":1}\r{"i":2}\n')
@example(b'{"t":null,"i":1}\n{"t":null,:null,"i":1}\n')
@example(b'{"t":null,"i":1}\n{"t":null,:null,"i":1}\n{"t""i":1}\n')
@example(b'{"i":1,"i":2}')
@example(b'{"t":"a","u":"b"}\n{"u":"a","t":"b"}')
@example(b'{"i":,"f":1}\n{"i":1,,"f":1}')
def test_rows_are_what_pythons_parser_says_or_left_to_another(data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_alike, "_PIECE", 5)
        rows = found(data)
        assert rows is None or rows == truth(data)
        patch.setattr(json_rows, "rows_alike", lambda *_: None)
        assert rows is None or repr(rows) == repr(json_rows.batch_of(data, SCHEMA).to_pylist())


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_flat_rows_of_one_program_are_read_so(
    separators: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_alike, "_PIECE", 5)
    rows = [
        {"t": f"é {n},", "i": n - 2, "u": "", "f": n / 3, "b": n % 2 == 0 if n else None}
        for n in range(5)
    ]
    text = "\n".join(json.dumps(row, separators=separators, ensure_ascii=False) for row in rows)
    for data in (text.encode(), text.encode() + b"\n"):
        assert found(data) == rows
    without = [{"i": row["i"]} for row in rows]
    assert found(b"\n".join(json.dumps(row).encode() for row in without)) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"{}\n",
        b'{"t":"a"}\n{"t":null}\n',
        b'{"t":"a"}\n\n{"t":"b"}\n',
        b'{"t":"\\n"}\n',
        b'{"i":1}\n{"i":9223372036854775808}\n',
        b'{"f":1e999}\n',
        b'{"v":1}\n',
        b'{"i":"1"}\n',
        b'{"t":1}\n',
        b'\xef\xbb\xbf{"i":1}\n',
    ],
)
def test_others_are_left_to_the_parser(data: bytes) -> None:
    assert rows_alike(data, TYPES) is None
