"""Line 3: ingesting rows, against DuckDB hashing or merely reading them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.harness import Row, alternate, ratio, require, run, task

LINE = 3
NEEDS: tuple[str, ...] = ()
_SHA256 = "DuckDB sha256, 2 threads"
_READ = "DuckDB reading, 2 threads"
_COLUMNS = ("--id", "key", "--label", "class")


def rows(bench: Bench) -> Iterator[Row]:
    many = bench.size(5_000_000, 20_000)
    narrow = bench.data("rows", "parquet", many, 250) / "rows.parquet"
    yield from _parquet(bench, narrow, f"{many:,} rows x 250 B, Parquet", 1.0, 3.0)
    few = bench.size(100_000, 500)
    wide = bench.data("rows", "parquet", few, 10_000) / "rows.parquet"
    yield from _parquet(bench, wide, f"{few:,} rows x 10 KB, Parquet", 0.4, None)
    yield from _texts(bench)


def _parquet(
    bench: Bench, path: Path, what: str, hashing: float, whole: float | None
) -> Iterator[Row]:
    home = bench.home("rows")
    sides = {
        "hash": task("hash_rows", path, "parquet"),
        "ingest": home.ingest(path, *_COLUMNS, fresh=True),
        "duckdb": task("duckdb_sha256", path),
    }
    runs = alternate(sides, min(3, bench.rounds))
    found = runs["hash"][-1].answer
    require(found["samples"] == runs["duckdb"][-1].answer["samples"], f"rows of {what}")
    published = run(home.task("contents", home.registry, home.public)).answer
    require(published["contents"] == found["contents"], f"published contents of {what}")
    checked = "number of rows; published as hashed"
    yield ratio(LINE, f"read and hash {what}", runs["hash"], runs["duckdb"], against=_SHA256,
                target=hashing, checked=checked)  # fmt: skip
    yield ratio(LINE, f"ingest {what}", runs["ingest"], runs["duckdb"], against=_SHA256,
                target=whole, checked=checked)  # fmt: skip


def _texts(bench: Bench) -> Iterator[Row]:
    """The same rows in three formats have the same digests."""
    many = bench.size(1_000_000, 5000)
    contents = {}
    for format_ in ("parquet", "csv", "jsonl"):
        path = bench.data("rows", format_, many, 250) / f"rows.{format_}"
        ours = task("hash_rows", path, format_)
        if format_ == "parquet":
            contents[format_] = run(ours).answer["contents"]
            continue
        sides = {"ours": ours, "duckdb": task("duckdb_read", path, format_)}
        runs = alternate(sides, min(3, bench.rounds))
        contents[format_] = runs["ours"][-1].answer["contents"]
        require(contents[format_] == contents["parquet"], f"{format_} against Parquet")
        yield ratio(LINE, f"read and hash {many:,} rows x 250 B, {format_.upper()}", runs["ours"],
                    runs["duckdb"], against=_READ, target=1.5,
                    checked="same digests as from Parquet")  # fmt: skip
