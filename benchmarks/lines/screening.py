"""Line 12: the checks of a very large dataset."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.harness import Row, absolute, private_peak, require, run

LINE = 12
NEEDS: tuple[str, ...] = ()


def rows(bench: Bench) -> Iterator[Row]:
    home = bench.large()
    side = home.task("screen", home.registry, home.public)
    runs = [run(side) for _ in range(min(3, bench.rounds))]
    answer = runs[-1].answer
    # What the data are made of is random: nobody misbehaves in them.
    require(answer["above_note"] == 0, "no finding above note in random data")
    what = f"exact and counted checks of {bench.entries:,} entries, 500 labelers, 20 sources"
    yield absolute(
        LINE, what, [one.answer["seconds"] for one in runs], "s", target=10,
        checked="no finding above note", note=f"{len(answer['checks'])} checks, entries read",
    )  # fmt: skip
    yield absolute(LINE, f"{what}: peak", [private_peak(side) / 1e6], "MB", target=2000,
                   note="private; mapped files are not included")  # fmt: skip
