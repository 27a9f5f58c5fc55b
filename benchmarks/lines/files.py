"""Line 2: ingesting files, against b3sum over the same files."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from statistics import median

from benchmarks import digests
from benchmarks.bench import Bench, Files
from benchmarks.harness import Home, Row, Run, Side, absolute, alternate, ratio, require, run, task

LINE = 2
NEEDS = ("b3sum",)
_ONE = "b3sum --num-threads 1"
# What no command can do without that writes Parquet and signs.
_IMPORTS = (sys.executable, "-c", "import typer, cryptography.hazmat.primitives.asymmetric.ec, "
            "pyarrow.parquet, numpy")  # fmt: skip


def rows(bench: Bench) -> Iterator[Row]:
    small = bench.files((100_000, 3000), (1000, 300))
    yield from _shape(bench, small, threads=1, hashing=0.75, whole=1.5)
    medium = bench.files((10_000, 100_000), (200, 3000))
    yield from _shape(bench, medium, threads=1, hashing=0.6, whole=None)
    large = bench.files((8, 1_000_000_000), (2, 3_000_000))
    yield from _shape(bench, large, threads=2, hashing=1.1, whole=1.1)
    yield _unchanged(bench, small)
    yield _few_changed(bench)


def _shape(
    bench: Bench, files: Files, *, threads: int, hashing: float, whole: float | None
) -> Iterator[Row]:
    data = files.folder
    home = bench.home("files")
    sides = {"hash": task("hash_folder", data), "ingest": home.ingest(data, fresh=True)}
    reference = _reference(bench, data, threads)
    if reference and threads == 1:
        reference["two"] = digests.parallel_b3sum(str(bench.references.program("b3sum")), data)
    runs = alternate(sides | reference, bench.many)
    expected = _expected(runs, data)
    require(runs["hash"][-1].answer["contents"] == expected, f"digests of {files}")
    _require_contents(home, expected)
    what = (f"hash {files}, process start included", f"ingest {files}, signed and published")
    if not reference:
        for name, words in zip(sides, what, strict=True):
            yield absolute(LINE, words, [one.wall for one in runs[name]], "s",
                           checked="digests as the blake3 library's")  # fmt: skip
        return
    against = f"b3sum --num-threads {threads}"
    note = ""
    if "two" in runs:
        two = median(a.wall / b.wall for a, b in zip(runs["two"], runs["b3sum"], strict=True))
        note = f"xargs -P2 b3sum {two:.2f} x"
    for name, words, target in zip(sides, what, (hashing, whole), strict=True):
        yield ratio(LINE, words, runs[name], runs["b3sum"], against=against, target=target,
                    checked="digests as b3sum's", note=note)  # fmt: skip


def _unchanged(bench: Bench, files: Files) -> Row:
    data = files.folder
    home = bench.home("again")
    first = run(home.ingest(data, fresh=True))
    # The first time again leaves what all later ones go by: with several rounds it warms the rest.
    sides = {"again": home.ingest(data, fresh=False), **_reference(bench, data, 1)}
    runs = alternate(sides, bench.many)
    for one in runs["again"]:
        require(json.loads(one.output)["published"] is False, "nothing changed, yet published")
    return _against_b3sum(runs, f"ingest {files} again, nothing changed", 0.3,
                         "nothing is published", first)  # fmt: skip


def _few_changed(bench: Bench) -> Row:
    original, changed = bench.files((50_000, 3000), (1000, 300)), 10
    # A copy: what is kept between runs is never changed.
    data = bench.scratch / "changing"
    run(Side(("cp", "-r", str(original.folder), str(data))))
    paths = sorted(path for path in data.rglob("*") if path.is_file())
    # The cache believes no file touched in the two seconds before it is read.
    time.sleep(2.5)
    home = bench.home("changes")
    first = run(home.ingest(data, fresh=True))
    rounds = count(1)

    def change() -> None:
        turn = next(rounds)
        for place in range(0, original.count, original.count // changed):
            paths[place].write_bytes(os.urandom(64) + turn.to_bytes(4, "little"))

    side = home.ingest(data, fresh=False)
    again = Side(side.command, side.folder, side.environment, before=change)
    sides = {"again": again, "imports": Side(_IMPORTS), **_reference(bench, data, 1)}
    runs = alternate(sides, bench.many)
    for one in runs["again"]:
        found = json.loads(one.output)["changes"]["modified"]
        require(found == changed, f"{changed} files changed, {found} found")
    _require_contents(home, _expected(runs, data))
    return _against_b3sum(runs, f"ingest {original} again, {changed} changed", 0.4,
                         "10 modified, digests as b3sum's", first)  # fmt: skip


def _reference(bench: Bench, data: Path, threads: int) -> dict[str, Side]:
    program = bench.references.program("b3sum")
    return {} if program is None else {"b3sum": digests.b3sum(program, data, threads)}


def _expected(runs: dict[str, list[Run]], data: Path) -> str:
    if "b3sum" in runs:
        return digests.of_b3sum(runs["b3sum"][-1].output)
    return digests.of_files(data)


def _require_contents(home: Home, expected: str) -> None:
    found = run(home.task("contents", home.registry, home.public)).answer["contents"]
    require(found == expected, "digests in the published version")


def _against_b3sum(
    runs: dict[str, list[Run]], what: str, target: float, checked: str, first: Run
) -> Row:
    ours = median(one.wall for one in runs["again"])
    note = f"{ours / first.wall:.2f} x of the first ingestion"
    if "imports" in runs:
        imports = median(one.wall for one in runs["imports"])
        note += f"; only to import typer, cryptography and Arrow takes {imports:.2f} s"
    if "b3sum" in runs:
        return ratio(LINE, what, runs["again"], runs["b3sum"], against=_ONE, target=target,
                     checked=checked, note=note)  # fmt: skip
    return absolute(LINE, what, [one.wall for one in runs["again"]], "s", checked=checked,
                    note=note)  # fmt: skip
