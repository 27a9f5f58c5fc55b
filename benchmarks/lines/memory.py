"""Line 10: peak memory."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.harness import Row, absolute, alternate, private_peak, require, run

LINE = 10
NEEDS: tuple[str, ...] = ()


def rows(bench: Bench) -> Iterator[Row]:
    yield _ingested_rows(bench, "--id", "key")
    yield _ingested_rows(bench)
    large = bench.large()
    last = len(bench.changes) + 1
    diff = large.task("diff", large.registry, last - 1, last)
    resident = run(diff)
    require(resident.answer["changes"] == bench.changes[-1], "changes")
    yield absolute(LINE, f"diff 2 x {bench.entries:,} entries, {bench.changes[-1]:,} changes: peak",
                   [private_peak(diff) / 1e6], "MB", target=2000, checked="number of changes",
                   note=f"private; {resident.peak / 1e6:,.0f} MB with mapped files")  # fmt: skip
    yield _large_files(bench)
    yield _large_row_group(bench)


def _ingested_rows(bench: Bench, *ids: str) -> Row:
    """Rows in the order of their ids, or whose ids are digests, which are in no order."""
    path = bench.data("rows", "parquet", bench.entries, 32) / "rows.parquet"
    home = bench.home("memory" if ids else "digests")
    one = run(home.ingest(path, *ids, "--label", "class", fresh=True))
    found = run(home.task("contents", home.registry, home.public)).answer
    require(found["samples"] == bench.entries, "all rows are published")
    what = f"{bench.entries:,} rows" if ids else f"{bench.entries:,} rows without an id column"
    return absolute(LINE, f"ingest {what} by command: peak", [one.peak / 1e6], "MB",
                    target=2000, checked="all rows published",
                    note=f"largest process, mapped files included; {one.wall:.0f} s")  # fmt: skip


def _large_files(bench: Bench) -> Row:
    """Files a hundred times as large may not take more memory."""
    homes = [bench.home("large"), bench.home("little")]
    folders = [bench.files((8, 10**9), (2, 3_000_000)), bench.files((8, 10**7), (2, 10**5))]
    sides = {
        str(files): home.ingest(files.folder, fresh=True)
        for files, home in zip(folders, homes, strict=True)
    }
    runs = alternate(sides, 1)
    large, little = (max(one.peak for one in runs[str(files)]) / 1e6 for files in folders)
    return absolute(LINE, f"ingest {folders[0]}: peak beyond that of {folders[1]}",
                    [large - little], "MB", target=32, note=f"{large:.0f} MB in all")  # fmt: skip


def _large_row_group(bench: Bench) -> Row:
    """All rows of this file stand in one."""
    count = bench.size(100_000, 1000)
    path = bench.data("rows", "parquet", count, 10_000) / "rows.parquet"
    home = bench.home("row-group")
    one = run(home.ingest(path, "--id", "key", "--label", "class", fresh=True))
    what = f"ingest {count:,} rows x 10 KB of one row group: peak"
    return absolute(LINE, what, [one.peak / 1e6], "MB",
                    note=f"the file has {path.stat().st_size / 1e6:,.0f} MB")  # fmt: skip
