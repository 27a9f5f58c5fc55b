"""Who writes the data rewrites what they say of split, source, labeler and time: payloads are as
signed, and whoever reads the file learns something else than what was signed."""

from __future__ import annotations

import io
import json
import struct
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest

import provreg
from provreg.errors import NotTrustedError, SampleError
from provreg.loaders import arrow, numpy
from provreg.readers.api import ReadOptions

if TYPE_CHECKING:
    from provreg.errors import Finding
    from tests.conftest import Bench

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

Rows = list[dict[str, Any]]
ROLES = {
    "split": "part",
    "source_column": "origin",
    "labeler_column": "by",
    "labeled_at_column": "at",
    "label": "y",
}


def rows() -> Rows:
    return [
        {
            "key": f"row-{row:02}",
            "text": f"text {row}",
            "y": "cat" if row % 2 else "dog",
            "part": "test" if row % 3 == 0 else "train",
            "origin": "web" if row % 5 else "scans",
            "by": "ann" if row % 2 else "fay",
            "at": f"2026-01-{row + 1:02}T12:00:00Z",
        }
        for row in range(11)
    ]


def table(many: Rows) -> pa.Table:
    made = pa.Table.from_pylist(many, pa.schema([(name, pa.string()) for name in rows()[0]]))
    moments = [
        None if row["at"] is None else datetime.fromisoformat(row["at"]).astimezone(UTC)
        for row in many
    ]
    place = made.schema.get_field_index("at")
    return made.set_column(place, "at", pa.array(moments, pa.timestamp("us", "UTC")))


def as_parquet(path: Path, many: Rows) -> None:
    pq.write_table(table(many), path, row_group_size=4)


def as_csv(path: Path, many: Rows) -> None:
    pcsv.write_csv(pa.Table.from_pylist(many, pa.schema([(n, pa.string()) for n in many[0]])), path)


def as_jsonl(path: Path, many: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in many))


def as_json(path: Path, many: Rows) -> None:
    path.write_text(json.dumps(many))


FORMATS: dict[str, Callable[[Path, Rows], None]] = {
    "parquet": as_parquet,
    "csv": as_csv,
    "jsonl": as_jsonl,
    "json": as_json,
}
# What is rewritten of the row 3, the finding that tells it, and what of it.
REWRITTEN = {
    "split": ("part", "train", "resplit", "test", None),
    "source": ("origin", "scans", "reattributed", "web", "source"),
    "labeler": ("by", "mallory", "reattributed", "ann", "labeler"),
    "time": (
        "at", "2026-02-01T12:00:00Z", "reattributed", "2026-01-04T12:00:00Z", "labeled_at",
    ),
}  # fmt: skip


def findings(bench: Bench, data: Path) -> list[Finding]:
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets", data=[data])
    assert caught.value.step == 12
    return list(caught.value.findings)


def load(bench: Bench, data: Path, **said: Any) -> provreg.VerifiedSamples:
    return provreg.load("pets", data=data, registry=bench.registry, key=public(bench), **said)


def public(bench: Bench) -> Path:
    path = bench.folder / "alice.pub"
    path.write_text(bench.signer().key.public.pem)
    return path


def without_ids(many: Rows) -> Rows:
    return [{name: cell for name, cell in row.items() if name != "key"} for row in many]


def publish(bench: Bench, data: Path, *, ids: bool, **more: Any) -> None:
    how = ReadOptions(id="key" if ids else None, **(ROLES | more))
    bench.ingest(data, options=how)


@pytest.mark.parametrize("ids", [True, False], ids=["ids", "content ids"])
@pytest.mark.parametrize("what", REWRITTEN)
@pytest.mark.parametrize("format_", FORMATS)
def test_a_rewritten_column_of_origins_is_found(
    bench: Bench, format_: str, what: str, ids: bool
) -> None:
    column, new, kind, old, field = REWRITTEN[what]
    data, write = bench.folder / f"table.{format_}", FORMATS[format_]
    many = rows() if ids else without_ids(rows())
    write(data, many)
    publish(bench, data, ids=ids)
    assert bench.open().verify("pets", data=[data]).head.samples == 11
    assert len(list(load(bench, data))) == 11
    many[3] |= {column: new}
    write(data, many)
    (finding,) = findings(bench, data)
    assert (finding.kind, finding.expected, finding.found) == (kind, old, new)
    assert finding.detail == field
    with pytest.raises(SampleError, match="differs from the signed"):
        list(load(bench, data))


def test_swapped_splits_are_found_and_do_not_load(bench: Bench) -> None:
    """What is selected by the signed split would still be that; who reads the file is fooled."""
    data = bench.folder / "table.parquet"
    as_parquet(data, rows())
    publish(bench, data, ids=True)
    swap = {"test": "train", "train": "test"}
    as_parquet(data, [row | {"part": swap[row["part"]]} for row in rows()])
    assert {finding.kind for finding in findings(bench, data)} == {"resplit"}
    with pytest.raises(SampleError, match="its split differs"):
        list(load(bench, data, select="split = 'test'"))


def test_blanked_splits_are_found(bench: Bench) -> None:
    data = bench.folder / "table.parquet"
    as_parquet(data, rows())
    publish(bench, data, ids=True)
    as_parquet(data, [row | {"part": None} for row in rows()])
    assert len(findings(bench, data)) == 11
    with pytest.raises(SampleError, match="its split differs"):
        list(load(bench, data))


@pytest.mark.parametrize("ids", [True, False], ids=["ids", "content ids"])
def test_where_the_data_say_nothing_what_was_said_of_the_ingestion_holds(
    bench: Bench, ids: bool
) -> None:
    """Equal rows without ids, too, of which some say who they are from: they come in any order."""
    silent = ({}, {"origin": None}, {"by": None, "at": None})
    equal = {"text": "equal", "y": "cat", "part": "train"}
    many = [row | equal | silent[number % 3] for number, row in enumerate(rows())]
    many = many if ids else without_ids(many)
    data = bench.folder / "table.parquet"
    as_parquet(data, many)
    how = ReadOptions(id="key" if ids else None, **ROLES)
    bench.ingest(data, options=how, source="web", labeler="ann")
    bench.ingest(data, options=how, source="web", labeler="ann", message="again")
    as_parquet(data, many[5:] + many[:5][::-1])
    assert bench.open().verify("pets", data=[data]).head.samples == 11
    assert len(list(load(bench, data))) == 11
    many[3] |= {"origin": "mallory"}
    as_parquet(data, many)
    assert {finding.kind for finding in findings(bench, data)} == {"reattributed"}
    with pytest.raises(SampleError, match="its source differs"):
        list(load(bench, data))


@pytest.mark.parametrize("what", ["source", "labeler", "time"])
@pytest.mark.parametrize("format_", FORMATS)
def test_emptied_column_of_origins_is_found(bench: Bench, format_: str, what: str) -> None:
    """Whoever reads the file finds nobody to ask."""
    column, _, kind, old, field = REWRITTEN[what]
    data, write = bench.folder / f"table.{format_}", FORMATS[format_]
    many = rows()
    many[7] |= {"by": None, "at": None}  # nor did the signed data say so of every row
    write(data, many)
    publish(bench, data, ids=True)
    reading = bench.open().verify("pets", data=[data]).head.reading
    assert reading["says"] == ["source", "labeler", "labeled_at"]
    many[3] |= {column: None}
    write(data, many)
    (finding,) = findings(bench, data)
    assert (finding.kind, finding.expected, finding.found) == (kind, old, None)
    assert finding.detail == field
    with pytest.raises(SampleError, match="differs from the signed"):
        list(load(bench, data))
    write(data, [row | {column: None} for row in many])
    assert len(findings(bench, data)) == (11 if what == "source" else 10)


@pytest.mark.parametrize("ids", [True, False], ids=["ids", "content ids"])
def test_equal_rows_of_which_some_say_who_labeled_them_come_in_any_order(
    bench: Bench, ids: bool
) -> None:
    silent = ({}, {"by": None, "at": None}, {"at": None})
    equal = {"text": "equal", "y": "cat", "part": "train", "origin": "web"}
    many = [row | equal | silent[number % 3] for number, row in enumerate(rows())]
    many = many if ids else without_ids(many)
    data = bench.folder / "table.parquet"
    as_parquet(data, many)
    publish(bench, data, ids=ids)
    as_parquet(data, many[5:] + many[:5][::-1])
    head = bench.open().verify("pets", data=[data]).head
    assert head.reading["says"] == ["source", "labeler", "labeled_at"]
    assert len(list(load(bench, data))) == 11


def test_what_was_said_of_the_ingestion_is_not_looked_for_in_what_is_appended(
    bench: Bench,
) -> None:
    first, second = bench.folder / "a.parquet", bench.folder / "b.parquet"
    many = rows()
    as_parquet(first, [row | {"by": None} for row in many[:5]])
    as_parquet(second, many[5:])
    how = ReadOptions(id="key", **ROLES)
    bench.ingest(first, options=how, labeler="ann")
    bench.ingest(second, options=how, append=True)
    head = bench.open().verify("pets", data=[first, second]).head
    assert head.reading["says"] == ["source", "labeled_at"]


def test_what_a_labels_file_said_is_not_looked_for_in_the_data(bench: Bench) -> None:
    data = bench.folder / "table.parquet"
    as_parquet(data, rows())
    labels = bench.folder / "labels.csv"
    labels.write_text("id,split,source,labeler\nrow-03,held-out,studio,maria\n")
    bench.ingest(data, options=ReadOptions(id="key", **ROLES), labels=labels)
    assert bench.open().verify("pets", data=[data]).head.samples == 11
    assert len(list(load(bench, data))) == 11
    as_parquet(data, [row | {"at": "2026-02-01T12:00:00Z"} for row in rows()])
    assert {finding.detail for finding in findings(bench, data)} == {"labeled_at"}


def test_shards_renamed_to_another_split_are_found(bench: Bench) -> None:
    for name, number in (("train", 1), ("test", 2)):
        shard(bench.folder / f"shards/{name}-000.tar", number)
    data = bench.folder / "shards"
    bench.ingest(data, options=ReadOptions(split="file"))
    assert bench.open().verify("pets", data=[data]).head.samples == 2
    for old, new in (("train", "aside"), ("test", "train"), ("aside", "test")):
        (data / f"{old}-000.tar").rename(data / f"{new}-000.tar")
    assert {finding.kind for finding in findings(bench, data)} == {"resplit"}
    with pytest.raises(SampleError, match="its split differs"):
        list(load(bench, data))


def test_files_of_a_hugging_face_dataset_swapped_between_splits_are_found(bench: Bench) -> None:
    data = bench.folder / "dataset"
    (data / "data").mkdir(parents=True)
    for name, part in (("train", slice(0, 7)), ("test", slice(7, 11))):
        as_parquet(data / f"data/{name}-00000-of-00001.parquet", rows()[part])
    bench.ingest(data, options=ReadOptions(format="huggingface", id="key", split="file", label="y"))
    assert bench.open().verify("pets", data=[data]).head.samples == 11
    assert len(list(load(bench, data))) == 11
    for old, new in (("train", "aside"), ("test", "train"), ("aside", "test")):
        there = (data / f"data/{name}-00000-of-00001.parquet" for name in (old, new))
        next(there).rename(next(there))
    assert {finding.kind for finding in findings(bench, data)} == {"resplit"}
    with pytest.raises(SampleError, match="its split differs"):
        list(load(bench, data))


def test_idx_files_swapped_between_splits_are_found(bench: Bench) -> None:
    data = bench.folder / "idx"
    data.mkdir()
    for name, first in (("train", 0), ("t10k", 100)):
        (data / f"{name}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 0x803, 3, 2, 2) + bytes(range(first, first + 12))
        )
    bench.ingest(data)
    for old, new in (("train", "aside"), ("t10k", "train"), ("aside", "t10k")):
        (data / f"{old}-images-idx3-ubyte").rename(data / f"{new}-images-idx3-ubyte")
    assert findings(bench, data)
    with pytest.raises(SampleError):
        list(load(bench, data))


def shard(path: Path, number: int) -> None:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, payload in ((f"{number}.txt", b"text %d" % number), (f"{number}.cls", b"1")):
            header = tarfile.TarInfo(name)
            header.size = len(payload)
            tar.addfile(header, io.BytesIO(payload))


LOADERS: dict[str, Callable[[provreg.VerifiedSamples], object]] = {
    "arrow": arrow.table,
    "batches": lambda samples: list(arrow.reader(samples)),
    "numpy": lambda samples: numpy.arrays(samples, decode=lambda row: [len(row["text"])]),
    "verify_data": lambda samples: samples.verify_data(),
}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("remembered", [True, False], ids=["second pass", "first pass"])
def test_no_loader_hands_on_what_says_another_source(
    bench: Bench, loader: str, remembered: bool
) -> None:
    data = bench.folder / "table.parquet"
    as_parquet(data, rows())
    publish(bench, data, ids=True)
    if remembered:
        LOADERS[loader](load(bench, data))
    many = rows()
    many[3] |= {"origin": "mallory"}
    as_parquet(data, many)
    with pytest.raises((SampleError, NotTrustedError)):
        LOADERS[loader](load(bench, data))


def test_a_sample_that_says_several_things_else_is_one_sample(bench: Bench) -> None:
    data = bench.folder / "table.parquet"
    as_parquet(data, rows())
    publish(bench, data, ids=True)
    many = rows()
    many[3] |= {"origin": "x", "by": "y", "part": "train", "y": "dog"}
    as_parquet(data, many)
    with pytest.raises(NotTrustedError, match="1 sample is not as") as caught:
        bench.open().verify("pets", data=[data])
    assert [(finding.kind, finding.detail) for finding in caught.value.findings] == [
        ("relabeled", None), ("resplit", None), ("reattributed", "source"),
        ("reattributed", "labeler"),
    ]  # fmt: skip
