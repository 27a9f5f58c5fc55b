"""Measuring: every run is a process of its own, sides take turns, medians are compared.

This process imports nothing heavy: the system counts the memory of the process that starts a
command into the command's own peak, so the starter must stay small.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
# What the `provreg` script does, with the interpreter and the checkout that are measured.
PROVREG = (sys.executable, "-c", "from provreg.cli import main; main()")


class BenchmarkError(Exception):
    """A command failed, or what it found is not what its reference found."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: wall seconds, CPU seconds (user and system, children included), and the largest
    resident set of any one of its processes in bytes. `answer` is what a task printed."""

    wall: float
    cpu: float
    peak: int
    output: str
    answer: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Side:
    """A command to measure. `before` is run untimed before each run of it.

    A task (`task()`) prints JSON; where that has `seconds`, they are taken for the wall time: the
    task timed one call in its process, the start and the imports left out.
    """

    command: Sequence[str]
    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], object] = lambda: None
    is_task: bool = False
    may_exit: Sequence[int] = (0,)


def task(name: str, *arguments: object, environment: Mapping[str, str] | None = None) -> Side:
    """A function of `benchmarks.tasks` as a side."""
    command = (sys.executable, "-m", "benchmarks.tasks", name, *map(str, arguments))
    return Side(command, environment=environment or {}, is_task=True)


def run(side: Side) -> Run:
    """Runs a side once. Raises BenchmarkError with what it said where it failed."""
    side.before()
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), **side.environment}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            side.command, cwd=side.folder, env=environment, stdout=output, stderr=errors
        )
        # wait4 and not wait: it gives what this child used, with the children it waited for.
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        said = output.read().decode(errors="replace")
        if process.returncode not in side.may_exit:
            complaint = errors.read().decode(errors="replace")[-2000:]
            raise BenchmarkError(f"{' '.join(side.command)[:300]}\n{said[-500:]}{complaint}")
    answer: dict[str, Any] = json.loads(said.splitlines()[-1]) if side.is_task else {}
    wall = answer.get("seconds", wall)
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, said, answer)


def private_peak(side: Side) -> int:
    """The most memory of its own that one process of a side had, in bytes, looked at every 5 ms.

    Pages of mapped files do not count: the system drops them when it needs the room.
    """
    side.before()
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), **side.environment}
    process = subprocess.Popen(
        side.command, cwd=side.folder, env=environment, stdout=subprocess.DEVNULL
    )
    most = 0
    while process.poll() is None:
        with suppress(OSError):
            status = Path(f"/proc/{process.pid}/status").read_text("utf-8")
            private = re.search(r"RssAnon:\s+(\d+) kB", status)
            most = max(most, 1024 * int(private[1]) if private else 0)
        time.sleep(0.005)
    if process.returncode not in side.may_exit:
        raise BenchmarkError(f"{' '.join(side.command)[:300]} failed")
    return most


def alternate(sides: Mapping[str, Side], rounds: int) -> dict[str, list[Run]]:
    """`rounds` runs of each side, A B A B …, after one of each that only warms the caches.

    One round is for looking at results, or for what takes minutes: nothing is warmed for it.
    """
    if rounds > 1:
        for side in sides.values():
            run(side)
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            runs[name].append(run(side))
    return runs


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    `measured` is a median in `unit` (`x` for a ratio to `against`), `low` and `high` the spread of
    the runs. `target` is the most that the issue allows, or the least where it is `at_least`; None
    where it only wants to be known.
    `checked` says which results were compared. `ours` and `theirs` are the medians behind a ratio.
    """

    line: int
    what: str
    measured: float
    low: float
    high: float
    unit: str
    target: float | None = None
    against: str = ""
    ours: str = ""
    theirs: str = ""
    checked: str = ""
    note: str = ""
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self.target is None:
            return "-"
        met = self.measured >= self.target if self.at_least else self.measured <= self.target
        return "met" if met else "MISSED"


def wall(one: Run) -> float:
    return one.wall


def cpu(one: Run) -> float:
    return one.cpu


def peak(one: Run) -> float:
    return float(one.peak)


def ratio(
    line: int,
    what: str,
    ours: Sequence[Run],
    theirs: Sequence[Run],
    *,
    against: str,
    of: Callable[[Run], float] = wall,
    target: float | None = None,
    checked: str = "",
    note: str = "",
) -> Row:
    """The median over the rounds of ours divided by the reference's run beside it."""
    ratios = [of(a) / of(b) for a, b in zip(ours, theirs, strict=True)]
    shown = megabytes if of is peak else seconds
    return Row(
        line, what, statistics.median(ratios), min(ratios), max(ratios), "x", target, against,
        shown(statistics.median(map(of, ours))), shown(statistics.median(map(of, theirs))),
        checked, note,
    )  # fmt: skip


def absolute(
    line: int,
    what: str,
    values: Sequence[float],
    unit: str,
    *,
    target: float | None = None,
    checked: str = "",
    note: str = "",
) -> Row:
    """The median of `values`, which are in `unit`."""
    return Row(
        line, what, statistics.median(values), min(values), max(values), unit, target,
        checked=checked, note=note,
    )  # fmt: skip


def rate(
    line: int,
    what: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    count: int,
    *,
    against: str,
    target: float,
    checked: str = "",
    note: str = "",
) -> Row:
    """The median over the rounds of our rate divided by the reference's, which should be `target`
    or more; `ours` and `theirs` are the seconds that `count` samples took."""
    rates = [b / a for a, b in zip(ours, theirs, strict=True)]
    shown = [f"{count / statistics.median(taken):,.0f}/s" for taken in (ours, theirs)]
    return Row(
        line, what, statistics.median(rates), min(rates), max(rates), "x", target, against,
        *shown, checked, note, at_least=True,
    )  # fmt: skip


def seconds(value: float) -> str:
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.2f} s"


def megabytes(value: float) -> str:
    return f"{value / 1e6:,.0f} MB"


def require(same: bool, what: str) -> None:
    """Raises BenchmarkError unless the results agree: a fast wrong answer is no number."""
    if not same:
        raise BenchmarkError(f"results differ: {what}")


@dataclass(frozen=True, slots=True)
class Home:
    """A registry with a key and private folders of its own, below `folder`."""

    folder: Path

    @property
    def registry(self) -> Path:
        return self.folder / "registry"

    @property
    def key(self) -> Path:
        return self.folder / "signer.key"

    @property
    def public(self) -> Path:
        return self.folder / "signer.key.pub"

    @property
    def environment(self) -> dict[str, str]:
        names = ("cache", "state", "config")
        own = {f"PROVREG_{name.upper()}": str(self.folder / name) for name in names}
        return {"HOME": str(self.folder), **own}

    def command(self, *arguments: object, before: Callable[[], object] = lambda: None) -> Side:
        """`provreg` with these arguments on this registry."""
        words = (*PROVREG, *map(str, arguments), "--registry", str(self.registry))
        return Side(words, folder=self.folder, environment=self.environment, before=before)

    def ingest(self, data: Path, *options: object, fresh: bool) -> Side:
        """The whole command: read, hash, sign, publish; `fresh` begins with an empty registry."""
        words = ("ingest", data, "--name", "data", "--source", "somewhere", "--labeler", "somebody",
                 "--sign", f"key:{self.key}", "--json", *options)  # fmt: skip
        return self.command(*words, before=self.clear if fresh else lambda: None)

    def task(self, name: str, *arguments: object) -> Side:
        return task(name, *arguments, environment=self.environment)

    def clear(self) -> None:
        """Makes an empty registry, with a key, and empties the private folders."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        run(Side((*PROVREG, "init", str(self.registry)), environment=self.environment))
        make_key = (*PROVREG, "key", "generate", "--no-passphrase", "--out", str(self.key))
        run(Side(make_key, environment=self.environment))
