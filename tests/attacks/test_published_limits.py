"""What the format forbids must not be published: nobody could ever use the version again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provreg.errors import InputError, NotFoundError, ProvregError
from provreg.flows.ingest import draft as drafting
from provreg.readers.api import ReadOptions

if TYPE_CHECKING:
    from tests.conftest import Bench

LONG = "a sentence as key " * 300


def refused(bench: Bench, data: Path, match: str, **options: Any) -> None:
    with pytest.raises(InputError, match=match) as caught:
        bench.ingest(data, **options)
    assert caught.value.exit_code == 2
    with pytest.raises(NotFoundError):
        bench.open().verify("pets")


@pytest.mark.parametrize(
    "row",
    [
        {"classes": {f"n{i:08}": i for i in range(17_000)}},
        {"seen": {LONG: 1}},
        {"seen": [{"x": {LONG: 1}}]},
        {LONG: 1},
        {f"c{i}": {f"n{j}": j for j in range(200)} for i in range(100)},
    ],
    ids=["keys", "long", "nested", "column", "together"],
)
@pytest.mark.parametrize("format_", ["jsonl", "json", "parquet"])
def test_schema_beyond_the_limits_is_not_published(
    bench: Bench, row: dict[str, Any], format_: str
) -> None:
    data = bench.folder / f"t.{format_}"
    if format_ == "parquet":
        pq.write_table(pa.Table.from_pylist([{"id": 1} | row]), data)
    else:
        text = json.dumps({"id": 1} | row)
        data.write_text(f"[{text}]" if format_ == "json" else text + "\n", "utf-8")
    refused(bench, data, "more than|longer than", options=ReadOptions(id="id"))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"message": "m" * 4097}, "message is longer than 4096"),
        ({"options": ReadOptions(exclude=tuple(f"x{n}" for n in range(2000)))}, "patterns"),
    ],
)
def test_head_beyond_the_limits_is_not_published(
    bench: Bench, options: dict[str, Any], match: str
) -> None:
    with pytest.raises(ProvregError, match=match):
        bench.ingest(bench.pets(), **options)
    with pytest.raises(NotFoundError):
        bench.open().verify("pets")


def test_null_words_beyond_the_limit_are_not_published(bench: Bench) -> None:
    data = bench.folder / "t.csv"
    data.write_text("id,text\n1,one\n", "utf-8")
    how = ReadOptions(id="id", null_words=tuple(f"n{n}" for n in range(1001)))
    refused(bench, data, "null_words has 1001 items", options=how)


def test_reading_that_its_own_reader_refuses_is_not_published(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a reader, also one of another package, writes into the head."""
    read = drafting.read_new

    def more(*given: Any, **said: Any) -> Any:
        found = read(*given, **said)
        reading = found.reading | {"more": 1}
        return replace(found, reading=reading)

    monkeypatch.setattr(drafting, "read_new", more)
    refused(bench, bench.pets(), "unknown field 'more'")
