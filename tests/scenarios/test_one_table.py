"""One table as CSV, then JSON Lines, then Parquet: the same samples, whatever the file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Person = Callable[[str], Any]
COLUMNS = ("call", "text", "length", "score", "verdict")


def _rows(*, relabeled: bool = False) -> list[dict[str, Any]]:
    rows = [
        {"call": f"c{number:03}", "text": f"hello, \"{number}\"\nbye", "length": number * 7,
         "score": number / 8, "verdict": "fraud" if number % 4 == 0 else "fine"}
        for number in range(100)
    ]  # fmt: skip
    if relabeled:
        rows[8]["verdict"] = "fine"
    return rows


def test_the_same_rows_are_the_same_samples_in_every_format(person: Person) -> None:
    ann = person("ann")
    ann.trusts(ann)
    with (ann.folder / "calls.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(_rows())
    lines = [json.dumps(row) for row in reversed(_rows())]
    ann.write("calls.jsonl", "\n".join(lines) + "\n")
    # Another order of columns, narrower numbers, a dictionary.
    table = pa.Table.from_pylist(_rows()).select(["verdict", "score", "length", "call", "text"])
    table = table.set_column(2, "length", table["length"].cast(pa.int16()))
    table = table.set_column(0, "verdict", table["verdict"].dictionary_encode())
    pq.write_table(table, ann.folder / "calls.parquet")

    sign = "--source desk --labeler dora --sign key:my.key --json"
    roles = "--id call --label verdict --column length:int --column score:float64"
    first = ann(f"ingest calls.csv --name calls {roles} {sign}").json
    assert (first["version"], first["samples"]) == (1, 100)
    for same in ("calls.jsonl", "calls.parquet"):
        assert ann(f"ingest {same} --name calls {sign}").json["published"] is False
        ann(f"diff calls ./{same} --exit-code")
    ann("verify calls --data calls.csv")

    lines = [json.dumps(row) for row in _rows(relabeled=True)]
    ann.write("calls.jsonl", "\n".join(lines) + "\n")
    second = ann(f"ingest calls.jsonl --name calls {sign.replace('dora', 'mallory')}").json
    assert second["changes"] == {
        "injected": 0, "removed": 0, "relabeled": 1, "modified": 0, "renamed": 0,
        "reattributed": 0, "resplit": 0,
    }  # fmt: skip
    (change,) = ann("diff calls@1 calls@2 --json").json["changes"]
    assert (change["id"], change["old"]["label"], change["new"]["label"]) == (
        "c008", "fraud", "fine",
    )  # fmt: skip
    asked = ann("sql --json \"select labeler, count(*) from entries where version = 2 group by all"
                " order by 1\"").json  # fmt: skip
    assert asked["rows"] == [["dora", 99], ["mallory", 1]]


def test_a_value_that_does_not_fit_names_its_row(person: Person) -> None:
    ann = person("ann")
    ann.trusts(ann)
    ann.write("t.csv", "n,size\na,1\nb,two\n")
    refused = ann(
        "ingest t.csv --name t --id n --column size:int --source s --sign key:my.key", code=2
    )
    assert "row 2" in refused.err
    assert "'size'" in refused.err
