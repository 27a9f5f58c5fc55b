"""`sql`: the forms of its answer, and that others read them as they are."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provreg.cli.ui.output import Output

Run = Callable[..., Any]


def test_csv_has_a_field_for_every_kind_of_value(pets: Path, provreg: Run) -> None:
    query = (
        "select 1 as n, null as nothing, '' as empty, true as yes, [1, 2] as list,"
        " {'k': 'v'} as object, x'ff'::blob as bytes, 'nan'::double as nan,"
        " timestamptz '2026-01-02 03:04:05+00' as at, 'ü, \u202e' as text"
    )
    ran = provreg("sql", "--csv", query)
    assert (ran.code, ran.err) == (0, "")
    heading, row = csv.reader(io.StringIO(ran.out))
    assert dict(zip(heading, row, strict=True)) == {
        "n": "1", "nothing": "", "empty": "", "yes": "true", "list": "[1, 2]",
        "object": '{"k": "v"}', "bytes": "ff", "nan": "nan", "at": "2026-01-02T03:04:05Z",
        "text": "ü, \u202e",
    }  # fmt: skip
    assert '\n1,,"",true,' in ran.out


def test_csv_is_rfc_4180(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    rows = [['a"b, c', "two\r\nlines", " x", None], ["", "plain", "=1+1", 7]]
    Output().csv(["a", "b,", "c", "d"], rows)
    assert capsysbinary.readouterr().out == (
        b'a,"b,",c,d\r\n"a""b, c","two\r\nlines"," x",\r\n"",plain,=1+1,7\r\n'
    )


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def test_csv_cannot_act_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(io.BytesIO(), "utf-8")
    monkeypatch.setattr(sys, "stdout", terminal)
    Output().csv(["bad"], [["\x1b[2J\u202e"]])
    terminal.seek(0)
    assert terminal.read() == "bad\n\\x1b[2J\\u202e\n"


def test_json_lines_are_objects_and_nothing_else(pets: Path, provreg: Run) -> None:
    ran = provreg(
        "sql", "--json-lines", "select id, label from entries where version = 1 order by 1"
    )
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert len(lines) == 10
    assert lines[0] == {"id": "cat/1.txt", "label": "cat"}


@pytest.mark.parametrize("form", ["--csv", "--json-lines"])
def test_warnings_are_beside_the_rows_for_machines(pets: Path, provreg: Run, form: str) -> None:
    (pets / ".provreg/datasets/pets/versions/00000003.json").write_text("{}")
    ran = provreg("sql", form, "select 1 as n")
    assert "skipped pets@3" in ran.err
    assert len(ran.out.splitlines()) == 2 - (form == "--json-lines")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--csv", "--json", "select 1"], "exclude each other"),
        (["--csv", "--json-lines", "select 1"], "exclude each other"),
        (["--json-lines", "select 1 as n, 2 as n"], "duplicate column name 'n'"),
    ],
)
def test_forms_that_contradict_each_other(
    pets: Path, provreg: Run, arguments: list[str], message: str
) -> None:
    ran = provreg("sql", *arguments)
    assert ran.code == 2
    assert message in ran.out + ran.err


@pytest.mark.parametrize(("form", "file"), [("--csv", "l.csv"), ("--json-lines", "l.jsonl")])
def test_labeler_is_renamed_by_a_query_and_a_labels_file(
    pets: Path, provreg: Run, form: str, file: str
) -> None:
    """fay left and is now fay.miller: what a query prints is a labels file as it is."""
    sign = ("--sign", "key:ann.key")
    made = provreg("ingest", "data", "--name", "fays", "--source", "s", "--labeler", "fay", *sign)
    assert made.code == 0, made
    query = ("select id, 'fay.miller' as labeler from entries where dataset = 'fays'"
             " and labeler = 'fay' and label = 'cat'")  # fmt: skip
    Path(file).write_bytes(provreg("sql", form, query).out.encode())
    renamed = provreg("ingest", "data", "--name", "fays", "--labels", file, *sign)
    assert renamed.code == 0, renamed
    who = "select labeler, count(*) as n from entries where dataset = 'fays' and version = 2"
    rows = provreg("sql", "--json", f"{who} group by all order by 1").json["rows"]
    assert rows == [["fay", 5], ["fay.miller", 5]]
    changed = "select distinct kinds, old_labeler, new_labeler from changes where dataset = 'fays'"
    rows = provreg("sql", "--json", f"{changed} and version = 2").json["rows"]
    assert rows == [[["reattributed"], "fay", "fay.miller"]]


@pytest.mark.parametrize(("form", "file"), [("--csv", "l.csv"), ("--json-lines", "l.jsonl")])
def test_labels_file_of_a_whole_version_changes_nothing(
    pets: Path, provreg: Run, form: str, file: str
) -> None:
    """Nulls stay nulls, times are read as they are written, attrs stay the same text."""
    sign = ("--sign", "key:ann.key")
    Path("first.jsonl").write_text(
        '{"id": "cat/1.txt", "labeler": "zoë, \\"z\\"", "labeled_at": "2026-01-02T03:04:05.678Z",'
        ' "attrs": {"k": [1, 2], "t": "a,b"}, "split": "train"}\n'
        '{"id": "cat/2.txt", "labeler": null, "source": "web"}\n',
        "utf-8",
    )
    made = provreg("ingest", "data", "--name", "all", "--source", "s", *sign, "--labels",
                   "first.jsonl")  # fmt: skip
    assert made.code == 0, made
    query = ("select id, label, source, labeler, labeled_at, split, attrs from entries"
             " where dataset = 'all'")  # fmt: skip
    Path(file).write_bytes(provreg("sql", form, query).out.encode())
    again = provreg("ingest", "data", "--name", "all", *sign, "--labels", file, "--json")
    assert again.code == 0, again
    assert again.json["published"] is False
