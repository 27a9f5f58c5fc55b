"""Running one function over many small specs in several processes, results in order.

Processes, because most samples are too small for BLAKE3 to let go of the interpreter lock.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from dataclasses import dataclass
from itertools import islice
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any, TypeVar

from provreg.errors import StorageError
from provreg.executors.worker import Worker, in_worker, outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

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


# Specs a worker holds at once: the next one waits at its end while it works on the first.
_DEPTH = 2
# This much can be sent to a worker that does not receive. Larger specs go to idle ones only:
# sending one to a worker that is itself blocked sending a result would block both for ever.
_SENT_UNRECEIVED = 32 * 1024
# Specs a worker taken ahead of the consumer, so that one slow spec does not stop the others.
_AHEAD = 4
# How often one spec may lose its worker before it is taken for the cause.
_MOST_LOSSES = 2


@dataclass(slots=True)
class _Task:
    """A spec, pickled, and how many workers it cost."""

    number: int
    pickled: bytes
    losses: int = 0


class Pool:
    """The processes of one `LocalProcesses.map`, until its results are taken or closed."""

    def __init__(self, function: Callable[[Any], Any], specs: Iterable[Any], workers: int) -> None:
        self._function = function
        self._numbered = enumerate(specs)
        self._most = workers
        self._workers: dict[Worker, deque[_Task]] = {}
        self._waiting: deque[_Task] = deque()
        self._done: dict[int, tuple[bool, Any]] = {}
        self._given = 0

    def results(self) -> Iterator[Any]:
        """The results in order."""
        next_result = 0
        try:
            self._given = self._take(self._most * _AHEAD)
            self._hand_out()
            while next_result < self._given:
                while next_result not in self._done:
                    self._collect(wait=True)
                    self._hand_out()
                self._collect(wait=False)
                succeeded, value = self._done.pop(next_result)
                if not succeeded:
                    raise value
                next_result += 1
                self._given += self._take(1)
                # Before the consumer gets to work, so that nobody idles meanwhile.
                self._hand_out()
                yield value
        finally:
            self._end([*self._workers])

    def _take(self, most: int) -> int:
        """Takes up to `most` further specs; how many there were."""
        further = islice(self._numbered, most)
        tasks = [_Task(number, pickle.dumps(spec)) for number, spec in further]
        self._waiting.extend(tasks)
        return len(tasks)

    def _hand_out(self) -> None:
        """Gives waiting tasks to the workers that hold fewest, starting workers as needed."""
        while self._waiting:
            task = self._waiting[0]
            if len(self._workers) < self._most and all(self._workers.values()):
                self._workers[Worker(self._function)] = deque()
            worker, tasks = min(self._workers.items(), key=lambda item: len(item[1]))
            limit = _DEPTH if len(task.pickled) <= _SENT_UNRECEIVED else 1
            # A task that has cost a worker runs alone, so that it takes no other down with it.
            if len(tasks) >= limit or (tasks and task.losses):
                return
            self._waiting.popleft()
            tasks.append(task)
            try:
                worker.send(task.pickled)
            except OSError:  # dead: `_collect` hears of it
                return

    def _collect(self, *, wait: bool) -> None:
        """Takes one result from every worker that has one ready; replaces the dead."""
        busy = {worker.fileno(): worker for worker, tasks in self._workers.items() if tasks}
        for worker in [busy[end] for end in _ready(busy, wait=wait)]:
            try:
                answer = worker.receive()
            except (EOFError, OSError):
                self._bury(worker)
                continue
            self._done[self._workers[worker].popleft().number] = outcome(answer)

    def _bury(self, worker: Worker) -> None:
        tasks = self._workers[worker]
        exit_code = self._end([worker])
        tasks[0].losses += 1
        if tasks[0].losses > _MOST_LOSSES:
            raise StorageError(
                f"worker processes ended {_MOST_LOSSES + 1} times over the same work"
                f" (exit code {exit_code})",
                hint="memory may have run out (exit code -9): try with fewer workers",
            )
        self._waiting.extendleft(reversed(tasks))

    def _end(self, workers: Sequence[Worker]) -> int | None:
        """Ends some of the workers; the exit code of the last."""
        exit_code = None
        for worker in workers:
            worker.kill()
        for worker in workers:
            exit_code = worker.wait()
            del self._workers[worker]
        return exit_code


def _ready(ends: Iterable[int], *, wait: bool) -> list[int]:
    """Those that have something to read; none where none has and nobody wants to `wait`."""
    poller = poll()
    for end in ends:
        poller.register(end, POLLIN)
    return [end for end, _ in poller.poll(None if wait else 0)]
