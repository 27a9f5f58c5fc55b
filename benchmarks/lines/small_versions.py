"""Line 8: a long history of a small dataset."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.harness import Row, absolute, require, run

LINE = 8
NEEDS: tuple[str, ...] = ()
_BY_COMMAND = 20


def rows(bench: Bench) -> Iterator[Row]:
    lines, versions = bench.size(9000, 300), bench.size(680, 12)
    folder = bench.data("lines", lines, versions)
    # By command, then all in one process.
    yield _by_command(bench, folder, lines)
    home = bench.home("history")
    times = run(home.task("small_versions", home.registry, home.key, folder)).answer["times"]
    require(len(times) == versions, "every file became a version")
    yield absolute(
        LINE, f"ingest a version of {lines:,} lines in one process, CPU",
        [taken * 1000 for taken in times[1:]], "ms", target=60,
        checked=f"{versions} versions", note=f"the last ten {sum(times[-10:]) * 100:.0f} ms each",
    )  # fmt: skip
    task = home.task("whole_history", home.registry, home.public)
    first = run(task)
    found = [run(task).answer for _ in range(min(3, bench.rounds))]
    for answer in found:
        require(answer["versions"] == versions and answer["descends"], "the log has every version")
        require(answer["attributed"] and answer["samples"] == lines, "every change has its version")
    for verb in ("log", "diff", "blame"):
        yield absolute(LINE, f"{verb} over {versions} versions of {lines:,} lines, in process",
                       [answer[verb] for answer in found], "s", target=1,
                       checked="all versions, all changes attributed")  # fmt: skip
    yield absolute(LINE, f"sync of {versions} versions into an empty index, whole process",
                   [first.wall], "s", note="once")  # fmt: skip


def _by_command(bench: Bench, folder: Path, lines: int) -> Row:
    files = sorted(folder.iterdir())
    home = bench.home("commands")
    cpu = []
    for number, file in enumerate(files[: 2 if bench.small else _BY_COMMAND], start=1):
        one = run(home.ingest(file, "--id", "id", "--label", "label", fresh=False))
        require(json.loads(one.output)["version"] == number, "each file is a version")
        cpu.append(one.cpu)
    return absolute(LINE, f"ingest a version of {lines:,} lines by command, CPU", cpu[1:], "s",
                    target=0.6, checked="version numbers")  # fmt: skip
