"""Running one function over many small specs in several processes, results in order.

Processes, because most samples are too small for BLAKE3 to let go of the interpreter lock.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from provreg.executors.pool import Pool
from provreg.executors.worker import in_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Spec = TypeVar("Spec")
Result = TypeVar("Result")


def default_workers() -> int:
    """The number of cores this process may use, at least 1."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class InProcess:
    """Does all work in this process, when its result is asked for."""

    workers: int = 1

    def map(
        self,
        function: Callable[[Spec], Result],
        specs: Iterable[Spec],
        *,
        most: int | None = None,  # noqa: ARG002
    ) -> Iterator[Result]:
        return map(function, specs)


@dataclass(frozen=True, slots=True)
class LocalProcesses:
    """Up to `workers` processes beside this one, started for each `map`; of one worker, this one.

    They end when the results are exhausted, closed or interrupted, and when this process dies. In
    processes that work for another themselves everything runs in this process.
    """

    workers: int

    def map(
        self, function: Callable[[Spec], Result], specs: Iterable[Spec], *, most: int | None = None
    ) -> Iterator[Result]:
        workers = self.workers if most is None else min(self.workers, most)
        if workers <= 1 or in_worker():
            return map(function, specs)
        return Pool(function, specs, workers).results()


IN_PROCESS = InProcess()


def local_processes() -> LocalProcesses:
    """As many processes as there are cores for this one."""
    return LocalProcesses(default_workers())
