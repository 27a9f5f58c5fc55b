from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provreg.core.rows.column import type_from_json
from provreg.errors import FormatError, InputError, ProvregError, UsageError
from provreg.executors.processes import LocalProcesses
from provreg.readers.data_files.source_file import stat_source
from provreg.readers.tables.table import TableOptions, iter_rows, options_from_reading, read_table
from provreg.readers.tables.text import delimited

if TYPE_CHECKING:
    from pathlib import Path


def read(
    path: Path, data: bytes, options: TableOptions | None = None, **types: Any
) -> list[dict[str, Any]]:
    """The payload columns of a CSV file."""
    options = options or TableOptions(types={k: type_from_json(v, "t") for k, v in types.items()})
    file = path / "t.csv"
    file.write_bytes(data)
    reading = read_table([file], "csv", options).reading
    return [row for rows, _ in iter_rows([file], reading) for row in rows.to_pylist()]


def test_columns_are_text_and_an_unquoted_empty_field_is_null(tmp_path: Path) -> None:
    rows = read(tmp_path, b'a,b\n1,2024-01-01\n,""\nNA, x\n')
    assert rows == [{"a": "1", "b": "2024-01-01"}, {"a": None, "b": ""}, {"a": "NA", "b": " x"}]


def test_null_words_are_null_unless_quoted(tmp_path: Path) -> None:
    rows = read(tmp_path, b'a,b\nNA,1\n"NA",\n', TableOptions(null_words=("NA",)))
    assert rows == [{"a": None, "b": "1"}, {"a": "NA", "b": ""}]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfa,b\n1,2\n",
        b"a,b\r\n1,2\r\n",
        b'"a","b"\n"1","2"',
        b"a,b\n1,2",
    ],
)
def test_byte_order_marks_and_line_ends_make_no_difference(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path, data) == [{"a": "1", "b": "2"}]


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


@settings(deadline=None)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=5))
def test_quoted_fields_are_read_as_pythons_csv_writes_them(
    tmp_path_factory: Any, rows: list[tuple[str, str]]
) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    found = read(tmp_path_factory.getbasetemp(), text.getvalue().encode())
    assert [(row["a"], row["b"]) for row in found] == rows


def test_a_file_of_several_blocks_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "_SLICE", 256)
    data = b"a,n\n" + b"".join(b'"x\n%d",%d\n' % (n, n) for n in range(500))
    rows = read(tmp_path, data, n="int")
    assert [row["n"] for row in rows] == list(range(500))
    assert rows[499]["a"] == "x\n499"
    with pytest.raises(InputError, match=r"row 501: column 'n': 'z'"):
        read(tmp_path, data + b"x,z\n", n="int")


def pieces_of(path: Path, data: bytes, delimiter: str = ",") -> int:
    file = path / "p.csv"
    file.write_bytes(data)
    return len(list(delimited.slices(stat_source(file), TableOptions(delimiter=delimiter))))


rows_of_text = st.lists(
    st.tuples(*[cells | st.sampled_from(['"', 'a"b', "\ufeff", ""])] * 2), max_size=12
)


odd_fields = st.sampled_from(["1", "", 'a"b', 'a""', '"c"d', '"x\ny"', '"q""\nr"', '""'])


def lines_of(rows: list[tuple[str, str]]) -> str:
    return "".join(",".join(row) + "\n" for row in rows)


@st.composite
def delimited_text(draw: st.DrawFn) -> str:
    """Rows as they should be written, and what nobody should write."""
    text = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    ending = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    csv.writer(text, quoting=quoting, lineterminator=ending).writerows(draw(rows_of_text))
    odd = draw(st.lists(st.tuples(odd_fields, odd_fields), max_size=6).map(lines_of))
    return text.getvalue() + odd + draw(st.text('ab,"\n\r\ufeff', max_size=30))


@settings(max_examples=120, deadline=None)
@given(delimited_text(), st.integers(1, 40), st.sampled_from(["", "\ufeff"]), st.booleans())
def test_slices_have_the_rows_that_the_file_has(
    tmp_path_factory: Any, text: str, size: int, mark: str, headless: bool
) -> None:
    file = tmp_path_factory.getbasetemp() / "sliced.csv"
    file.write_text(mark + ("" if headless else "a,b\n") + text, "utf-8", newline="")

    def found() -> list[Any] | None:
        try:
            reading = read_table([file], "csv", TableOptions()).reading
            return [row for rows, _ in iter_rows([file], reading) for row in rows.to_pylist()]
        except InputError:
            return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "_SLICE", size)
        sliced = found()
    assert sliced == found()


def test_files_are_cut_where_rows_end_and_quotes_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "_SLICE", 64)
    text = io.StringIO()
    csv.writer(text).writerows([["a", "b"], *([f'x"\n"{n},', "y\n,"] for n in range(100))])
    quoted = text.getvalue().encode()
    assert pieces_of(tmp_path, b"a,b\n" + b"1,2\n" * 100) > 6
    assert pieces_of(tmp_path, quoted) > 20
    assert pieces_of(tmp_path, b'\xef\xbb\xbf"a",b\n' + quoted) > 20
    assert pieces_of(tmp_path, b'a;b\n"1";"2"\n' + b'"\n";\n' * 100, ";") > 6
    assert pieces_of(tmp_path, b'a,b\n1,a"b\n' + b'"1",2\n' * 100) > 6
    assert pieces_of(tmp_path, b'a;b\n"1";"2"\n' + b'"\n";\n' * 100) == 2
    assert pieces_of(tmp_path, b'a,b\n1,"' + b"1,2\n" * 100) == 2


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"1\n", "row 201: not readable as CSV: .*Expected 2 columns, got 1"),
        (b"1,\xff\n", "row 201: .*UTF8"),
        (b"1,x\n", "row 201: column 'n': 'x' is no int"),
        (b'"1,1\n', "row 201: .*text stands behind a closing quote"),
        (b"1\r1,1\n", "row 201: .*carriage return"),
        (b"\0,1\n", "row 201: .*NUL"),
        (b"\n", "row 201: .*a line is blank"),
        (b"\r\n", "row 201: .*a line is blank"),
    ],
)
def test_rows_are_counted_across_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes, message: str, workers: int
) -> None:
    monkeypatch.setattr(delimited, "_SLICE", 100)
    options = TableOptions(types={"n": type_from_json("int", "t")})
    good = b"".join(b'"x\n\n%d",%d\n' % (n, n) for n in range(200))
    file = tmp_path / "t.csv"
    file.write_bytes(b"a,n\n" + good + line + good)
    with pytest.raises(InputError, match=rf"t\.csv'(, |: ){message}"):
        read_table([file], "csv", options, executor=LocalProcesses(workers))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "CSV"),
        (b"a,b\n", "no rows"),
        (b"a,b", "no rows"),
        (b"a,a\n1,2\n", "duplicate column name 'a'"),
        (b"a,\n1,2\n", "'' is empty"),
        (b"a,b\n1,2\n1\n", "row 2.*Expected 2 columns, got 1"),
        (b"a,b\n1,2,3\n", "row 1.*Expected 2 columns, got 3"),
        (b"a,b\n1,\xff\n", "row 1.*UTF8"),
        (b"\xff,b\n1,2\n", "UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-8|CSV"),
        (b'a,b\n1,"2\n', "never closed"),
        (b'a,b\n1,"', "never closed"),
        (b'a\n"', "never closed"),
        (b'a\n"x\n', "never closed"),
    ],
)
def test_what_is_not_csv_is_refused_by_file_and_row(
    tmp_path: Path, data: bytes, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, data)
    assert "Row #" not in caught.value.message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'a,b\n1,2\n"3"x,4\n', "row 2: .*text stands behind a closing quote"),
        (b'a,b\n1,2\n"3" ,4\n', "row 2: .*text stands behind a closing quote"),
        (b'"a"x,b\n1,2\n', "text stands behind a closing quote, in the header"),
        (b"a,b\n1,2\r3,4\r", "row 1: .*carriage return"),
        (b"a,b\r1,2\r", "carriage return .*, in the header"),
        (b"a,b\n1,2\n3,\0\n", "row 2: .*NUL"),
        (b"a\0,b\n1,2\n", "NUL character, in the header"),
        (b"\na,b\n1,2\n", "blank, .* in the header"),
        (b"a\n1\n\n2\n", "row 2: .*a line is blank"),
        (b"a,b\n\n1,2\n", "row 1: .*a line is blank"),
        (b"a,b\n1,2\n\r\n3,4\n", "row 2: .*a line is blank"),
        (b"a,b\r\n\r\n1,2\r\n", "row 1: .*a line is blank"),
        (b"a,b\n1,2\n\n", "row 2: .*a line is blank"),
        (b"a,b\n1,2\n\r\n", "row 2: .*a line is blank"),
        (b"\xef\xbb\xbfa,b\n\n", "row 1: .*a line is blank"),
        (b'a\n"1\n\n2"\n\n', "row 2: .*a line is blank"),
    ],
)
def test_what_others_read_otherwise_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, data)


def test_quotes_inside_of_fields_are_text(tmp_path: Path) -> None:
    rows = read(tmp_path, b'a,b\n5" disk,x""\n"y\n",z"\n')
    assert rows == [{"a": '5" disk', "b": 'x""'}, {"a": "y\n", "b": 'z"'}]


def test_without_quoting_quotes_are_text(tmp_path: Path) -> None:
    data = b'a,b\n"To be,x\n,"y"\n'
    options = TableOptions(quoting=False)
    assert read(tmp_path, data, options) == [{"a": '"To be', "b": "x"}, {"a": None, "b": '"y"'}]
    reading = read_table([tmp_path / "t.csv"], "csv", options).reading
    assert reading["quoting"] == "none"
    assert options_from_reading(reading).quoting is False
    for wrong in (reading | {"quoting": "standard"}, reading | {"reader": "jsonl"}):
        with pytest.raises(FormatError, match="quoting"):
            options_from_reading(wrong)
    with pytest.raises(UsageError, match="--quoting"):
        read_table([tmp_path / "t.csv"], "jsonl", options)


def test_a_row_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "_SLICE", 10)
    monkeypatch.setattr(delimited, "MAX_ROW", 1000)
    assert read(tmp_path, b"a,b\n1,2\n" + b"x" * 900 + b",4\n")[1]["b"] == "4"
    with pytest.raises(InputError, match="row 2: the row is longer than 1000"):
        read(tmp_path, b"a,b\n1,2\n" + b"x" * 2000 + b",4\n5,6\n")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("bool", "TRUE", True),
        ("int", "-007", -7),
        ("int", "-9223372036854775808", -(2**63)),
        ({"int": "uint64"}, "18446744073709551615", 2**64 - 1),
        ("float64", "1e3", 1000.0),
        ("float64", "-inf", float("-inf")),
        ("float32", "0.1", pa.scalar(0.1, pa.float32()).as_py()),
        ("float16", "65504", 65504.0),
        ({"decimal": 2}, "1.5", "1.50"),
        ("date", "2024-02-29", "2024-02-29"),
        ("time", "23:59:59.123456", "23:59:59.123456"),
        ("timestamp", "2024-01-02", "2024-01-02 00:00:00"),
        ("timestamp", "2024-01-02T03:04:05.000006", "2024-01-02 03:04:05.000006"),
        ("timestamp-utc", "2024-01-02 03:04+01:00", "2024-01-02 02:04:00+00:00"),
    ],
)
def test_declared_types_are_read(tmp_path: Path, kind: Any, text: str, value: Any) -> None:
    (row,) = read(tmp_path, f"a\n{text}\n".encode(), a=kind)
    assert row["a"] == value or str(row["a"]) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("bool", "1"),
        ("bool", "yes"),
        ("int", "0x10"),
        ("int", " 1"),
        ("int", "1.0"),
        ("int", "+1"),
        ("int", "18446744073709551616"),
        ("int", "-9223372036854775809"),
        ("int", "\uff11"),
        ("float64", "1e999"),
        ("float32", "1e39"),
        ("float16", "65520"),
        ("float64", "1,5"),
        ("float64", "0x1p3"),
        ({"decimal": 2}, "1.555"),
        ({"decimal": 2}, "1e2"),
        ("date", "2024-02-30"),
        ("date", "2024-2-3"),
        ("time", "24:00:00"),
        ("time", "1:00"),
        ("timestamp", "2024-01-02T03:04:05Z"),
        ("timestamp", "2024-01-02T03:04:05.0000001"),
        ("timestamp", "2024-01-02T25:00"),
        ("timestamp-utc", "2024-01-02T03:04:05"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_row_and_column(
    tmp_path: Path, kind: Any, text: str
) -> None:
    good = {"bool": "true", "date": "2024-01-01", "time": "00:00", "timestamp": "2024-01-01"}
    good["timestamp-utc"] = "2024-01-01T00:00Z"
    first = good.get(str(kind), "1")
    data = f'a,b\n{first},\n,\n"{text}",\n{first},\n'.encode()
    with pytest.raises(InputError, match=r"t\.csv', row 3: column 'a': .* is no"):
        read(tmp_path, data, a=kind)


def test_integers_of_both_ends_are_refused(tmp_path: Path) -> None:
    data = b"a\n-1\n0\n9223372036854775808\n18446744073709551615\n"
    with pytest.raises(InputError, match=r"row 3: column 'a': '9223372036854775808'") as caught:
        read(tmp_path, data, a="int")
    assert "decimal" in caught.value.hint
    with pytest.raises(InputError, match=r"row 1: column 'a': '-1'"):
        read(tmp_path, data, a={"int": "uint64"})
    wanted = [-1, 0, 2**63, 2**64 - 1]
    assert [row["a"] for row in read(tmp_path, data, a={"decimal": 0})] == wanted
    assert [row["a"] for row in read(tmp_path, data, a="text")] == [str(one) for one in wanted]
    data = data.replace(b"-1", b"-0")
    rows = read(tmp_path, data, a={"int": "uint64"})
    assert [row["a"] for row in rows] == [0, 0, 2**63, 2**64 - 1]


@pytest.mark.parametrize("kind", ["binary", "duration", {"list": "text"}, {"struct": []}])
def test_types_that_csv_cannot_hold_are_refused(tmp_path: Path, kind: Any) -> None:
    with pytest.raises(InputError, match="cannot be read from CSV"):
        read(tmp_path, b"a\n1\n", a=kind)


@pytest.mark.parametrize("delimiter", ['"', "\n", ";;", "é", ""])
def test_delimiters_that_are_none_are_refused(tmp_path: Path, delimiter: str) -> None:
    with pytest.raises(UsageError):
        read_table([tmp_path], "csv", TableOptions(delimiter=delimiter or "\0"))


def test_another_delimiter_is_kept_in_the_reading(tmp_path: Path) -> None:
    assert read(tmp_path, b"a;b\n1,1;2\n", TableOptions(delimiter=";")) == [{"a": "1,1", "b": "2"}]


def test_shards_must_have_the_same_columns_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "2.csv").write_bytes(b"b,a\n2,1\n")
    first, second = read_table([tmp_path], "csv", TableOptions()).table["content"].to_pylist()
    assert first == second
    (tmp_path / "2.csv").write_bytes(b"b,c\n2,1\n")
    with pytest.raises(InputError, match=r"2\.csv' lacks the column 'a'"):
        read_table([tmp_path], "csv", TableOptions())


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text('a,"\n\r\0', max_size=20).map(str.encode))
def test_any_bytes_are_rows_or_our_error(tmp_path_factory: Any, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.csv"
    file.write_bytes(data)
    try:
        samples = read_table([file], "csv", TableOptions())
    except ProvregError:
        return
    assert samples.table.num_rows
    assert stat_source(file).size == len(data)
