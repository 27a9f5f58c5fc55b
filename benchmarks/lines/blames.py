"""Line 6: blame and impact, asked in a process that is already running."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.harness import Row, absolute, alternate, require, run, seconds
from benchmarks.lines.diffs import doltlite

LINE = 6
NEEDS = ("doltlite",)


def rows(bench: Bench) -> Iterator[Row]:
    home = bench.history()
    entries = bench.size(1_000_000, 20_000)
    one = f"train/class_{7:04d}/{7 * entries // 1000:08d}.jpg"
    sides = {
        "all": home.task("blame", home.registry, home.public),
        "one": home.task("blame", home.registry, home.public, one),
        **doltlite(bench, "blame"),
    }
    runs = alternate(sides, min(3, bench.rounds))
    since = runs["all"][-1].answer["since"]
    require(sum(since) == entries and len(since) == 10, "every sample has its version")
    # Each version relabeled 20 at random; few were relabeled twice.
    require(all(15 <= count <= 20 for count in since[1:]), f"samples by version {since}")
    note = ""
    if "doltlite" in runs:
        note = f"doltlite {seconds(runs['doltlite'][-1].wall)}, of commits"
    yield absolute(
        LINE, f"blame of all of {entries:,} samples over 10 versions",
        [run_.wall for run_ in runs["all"]], "s", target=0.5, note=note,
        checked="samples by version",
    )  # fmt: skip
    yield absolute(
        LINE, f"blame of one of {entries:,} samples", [run_.wall * 1000 for run_ in runs["one"]],
        "ms", target=30, checked="found in one version",
    )  # fmt: skip
    large = bench.large()
    labeler = "labeler-007@example.org"
    runs_ = [run(large.task("impact", large.registry, large.public, labeler)) for _ in range(3)]
    share = bench.entries / 500
    require(abs(runs_[-1].answer["samples"] - share) < share, "samples of one labeler in 500")
    yield absolute(
        LINE, f"samples of one labeler of {bench.entries:,}, from the index",
        [run_.wall for run_ in runs_], "s", target=1, checked="about 1 in 500",
    )  # fmt: skip
