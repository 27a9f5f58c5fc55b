"""Measures everything and writes the table (docs/reference/performance.md)."""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from benchmarks import report
from benchmarks.bench import Bench
from benchmarks.harness import CHECKOUT, BenchmarkError, Row
from benchmarks.lines import (
    blames,
    diffs,
    files,
    loading,
    manifests,
    memory,
    peers,
    screening,
    small_versions,
    startup,
    tables,
    verifying,
)
from benchmarks.references import References

# In this order, so that what a broken-off run leaves is what matters most.
_GROUPS = (files, diffs, verifying, startup, tables, manifests, blames, small_versions, memory,
           loading, screening, peers)  # fmt: skip
_CORES = 2
_OUTPUT = CHECKOUT / "build" / "benchmarks"


def main(words: list[str]) -> int:
    """Exit codes: 0 all results as they should be, whatever the times; 1 one was wrong."""
    options = _parser().parse_args(words)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    # As an installation has them, whatever PYTHONDONTWRITEBYTECODE says: the compiler is not
    # what is measured.
    for package in ("provreg", "benchmarks"):
        compileall.compile_dir(CHECKOUT / package, quiet=2)
    cache = options.cache.absolute()
    scratch = cache / f"scratch-{os.getpid()}"
    references = References(cache, install=not options.small)
    scratch.mkdir(parents=True)
    bench = Bench(cache, scratch, references, options.small, options.rounds or _rounds(options))
    groups = [group for group in _GROUPS if not options.only or group.LINE in options.only]
    _say_missing(bench, groups)
    rows: list[Row] = []
    wrong: dict[str, str] = {}
    begun = time.monotonic()
    try:
        for group in groups:
            print(f"line {group.LINE}: {group.__name__.rpartition('.')[2]}", file=sys.stderr)
            try:
                for row in group.rows(bench):
                    # Small data have no targets: the start of a process is all they measure.
                    rows.append(replace(row, target=None) if bench.small else row)
                    _say(rows[-1], begun)
            except BenchmarkError as error:
                wrong[f"line {group.LINE}"] = str(error)
                print(f"WRONG: {error}", file=sys.stderr)
            _write(options.output.absolute(), rows, references, wrong)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print((options.output / "benchmarks.md").read_text("utf-8"))
    return 1 if wrong else 0


def _say_missing(bench: Bench, groups: list[ModuleType]) -> None:
    """What is not there and the lines that do without, before the first of them takes its time."""
    for name in dict.fromkeys(need for group in groups for need in group.NEEDS):
        if not bench.has(name):
            lines = sorted(group.LINE for group in groups if name in group.NEEDS)
            noun = "line" if len(lines) == 1 else "lines"
            numbers = ", ".join(map(str, lines))
            why = bench.references.missing[name]
            print(f"without {name} ({noun} {numbers}): {why}", file=sys.stderr)


def _write(folder: Path, rows: list[Row], references: References, wrong: dict[str, str]) -> None:
    about = {
        "machine": report.machine(),
        "versions": report.versions(references),
        "not measured": references.missing,
        "wrong": wrong,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.md").write_text(report.as_markdown(rows, about), "utf-8")
    (folder / "benchmarks.json").write_text(report.as_json(rows, about), "utf-8")


def _say(row: Row, begun: float) -> None:
    most = "at least" if row.at_least else "at most"
    target = "" if row.target is None else f" ({most} {row.target:g}: {row.verdict})"
    at = time.monotonic() - begun
    print(f"  {at:6.0f} s  {row.what}: {row.measured:.3g} {row.unit}{target}", file=sys.stderr)


def _rounds(options: argparse.Namespace) -> int:
    return 1 if options.small else 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--small", action="store_true", help="small data, one round: only results are checked")
    add("--only", type=int, action="append", metavar="LINE", help="this line; may be repeated")
    add("--rounds", type=int, help="runs of each side (3); three times as many of short ones")
    add("--cache", type=Path, default=_default_cache(), help="keeps data and references")
    add("--output", type=Path, default=_OUTPUT, help="for benchmarks.md and benchmarks.json")
    return parser


def _default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "provreg-benchmarks"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
