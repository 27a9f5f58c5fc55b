"""Running one function over many small specs in several processes, results in order.

Processes, because most samples are too small for BLAKE3 to let go of the interpreter lock. Pipes
and no threads, unlike `concurrent.futures`: the parent stays free to fork again, a killed worker
costs only what it was working on, and an abandoned run ends at once.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
import warnings
from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, TypeVar

from provreg.errors import ProvregError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess

Spec = TypeVar("Spec")
Result = TypeVar("Result")

# Specs a worker holds at once: the next one waits in its pipe while it works on the first.
_DEPTH = 2
# A pipe takes at least this much without a reader. Larger specs go to idle workers only: sending
# one to a worker that is itself blocked sending a result would block both for ever.
_PIPE_HOLDS = 32 * 1024
# Specs a worker taken ahead of the consumer, so that one slow spec does not stop the others.
_AHEAD = 4
# How often one spec may lose its worker before it is taken for the cause.
_MOST_LOSSES = 2


def default_workers() -> int:
    """The number of cores this process may use, at least 1."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def can_fork() -> bool:
    """Whether worker processes start by fork: in milliseconds, with all that this process has.

    Not beside other Python threads, which may hold any lock at the moment of the fork, nor on
    macOS, whose system libraries do not survive it.
    """
    methods = multiprocessing.get_all_start_methods()
    return "fork" in methods and sys.platform != "darwin" and threading.active_count() == 1


def ordered_map(
    function: Callable[[Spec], Result], specs: Iterable[Spec], *, workers: int
) -> Iterator[Result]:
    """`function` of every spec, in order, computed in up to `workers` processes.

    `function` must be importable (top level) and may run twice on a spec: a worker that is killed
    is replaced and its specs are given out again. Specs and results must pickle. At most
    `_AHEAD` specs a worker are taken from `specs` ahead of the results taken by the consumer.
    With `workers` of 1 or less, and in daemonic processes (they may not have children), everything
    runs in this process.

    Raises what `function` raised, and StorageError when a spec loses its worker repeatedly. Workers
    end when the generator is exhausted, closed or interrupted, and when this process dies.
    """
    if workers <= 1 or multiprocessing.current_process().daemon:
        return map(function, specs)
    return _Pool(function, workers).run(specs)


@dataclass(slots=True)
class _Worker:
    """One process, our end of its pipe, and the tasks it holds, oldest first."""

    process: BaseProcess
    pipe: Connection
    tasks: deque[_Task] = field(default_factory=deque)


@dataclass(slots=True)
class _Task:
    number: int
    pickled: bytes
    losses: int = 0


class _Pool:
    """The processes of one `ordered_map`."""

    def __init__(self, function: Callable[[Any], Any], workers: int) -> None:
        self._function = function
        self._most = workers
        self._workers: list[_Worker] = []
        self._waiting: deque[_Task] = deque()
        self._done: dict[int, tuple[bool, Any]] = {}

    def run(self, specs: Iterable[Any]) -> Iterator[Any]:
        numbered = enumerate(specs)
        given = self._take(numbered, self._most * _AHEAD)
        taken = 0
        try:
            while taken < given:
                self._hand_out()
                while taken not in self._done:
                    self._collect(timeout=None)
                    self._hand_out()
                self._collect(timeout=0)
                succeeded, value = self._done.pop(taken)
                if not succeeded:
                    raise value
                taken += 1
                given += self._take(numbered, 1)
                # Before the consumer gets to work, so that nobody idles meanwhile.
                self._hand_out()
                yield value
        finally:
            self._end(self._workers)

    def _take(self, numbered: Iterator[tuple[int, Any]], most: int) -> int:
        """Takes up to `most` further specs; how many there were."""
        tasks = [_Task(number, pickle.dumps(spec)) for number, spec in islice(numbered, most)]
        self._waiting.extend(tasks)
        return len(tasks)

    def _hand_out(self) -> None:
        """Gives waiting tasks to the workers that hold fewest, starting workers as needed."""
        while self._waiting:
            task = self._waiting[0]
            if len(self._workers) < self._most and all(worker.tasks for worker in self._workers):
                self._workers.append(self._start())
            worker = min(self._workers, key=lambda worker: len(worker.tasks))
            limit = _DEPTH if len(task.pickled) <= _PIPE_HOLDS else 1
            # A task that has cost a worker runs alone, so that it takes no other down with it.
            if len(worker.tasks) >= limit or (worker.tasks and task.losses):
                return
            self._waiting.popleft()
            worker.tasks.append(task)
            try:
                worker.pipe.send_bytes(task.pickled)
            except OSError:  # dead: `_collect` sees its pipe closed
                return

    def _collect(self, timeout: float | None) -> None:
        """Takes one result from every worker that has one ready; replaces the dead."""
        pipes: dict[Any, _Worker] = {w.pipe: w for w in self._workers if w.tasks}
        for worker in [pipes[pipe] for pipe in wait(list(pipes), timeout)]:
            try:
                answer = worker.pipe.recv_bytes()
            except (EOFError, OSError):
                self._bury(worker)
                continue
            self._done[worker.tasks.popleft().number] = pickle.loads(answer)  # noqa: S301

    def _bury(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._end([worker])
        worker.tasks[0].losses += 1
        if worker.tasks[0].losses > _MOST_LOSSES:
            raise StorageError(
                f"worker processes ended {_MOST_LOSSES + 1} times over the same work"
                f" (exit code {worker.process.exitcode})",
                hint="memory may have run out (exit code -9): try with fewer workers."
                " A script must start its work under `if __name__ == '__main__':`",
            )
        self._waiting.extendleft(reversed(worker.tasks))

    def _start(self) -> _Worker:
        context = _context()
        forks = context.get_start_method() == "fork"
        ours, theirs = context.Pipe()
        process = context.Process(  # type: ignore[attr-defined]
            target=_serve, args=(theirs, ours, self._function), daemon=True
        )
        with warnings.catch_warnings() if forks else nullcontext():
            if forks:
                # Without other Python threads (see `can_fork`) Python 3.12 warns of the idle
                # threads of native pools (Arrow, BLAS), which survive forks by their own care.
                warnings.filterwarnings("ignore", r".*use of fork\(\)", DeprecationWarning)
            process.start()
        theirs.close()
        return _Worker(process, ours)

    @staticmethod
    def _end(workers: list[_Worker]) -> None:
        for worker in workers:
            worker.process.kill()
            worker.pipe.close()
        for worker in workers:
            worker.process.join()


def _context() -> BaseContext:
    """How to start processes: fork where it is safe, else as the platform offers."""
    if can_fork():
        return multiprocessing.get_context("fork")
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")


def _serve(pipe: Connection, parents: Connection, function: Callable[[Any], Any]) -> None:
    """A worker's life: answers specs until its parent closes the pipe or dies."""
    # An inherited copy of the parent's end would keep the pipe open after the parent's death.
    parents.close()
    # The terminal interrupts the whole group; the parent decides what that means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            pickled = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        answer = _answer(function, pickled)
        try:
            pipe.send_bytes(answer)
        except OSError:
            return


def _answer(function: Callable[[Any], Any], pickled: bytes) -> bytes:
    """(True, result) or (False, exception), pickled."""
    try:
        return pickle.dumps((True, function(pickle.loads(pickled))))  # noqa: S301
    except BaseException as error:  # whatever it is, it is raised again in the parent
        text = "in a worker process:\n" + "".join(traceback.format_exception(error))
        if not isinstance(error, ProvregError):
            error.add_note(text)
        try:
            answer = pickle.dumps((False, error))
            pickle.loads(answer)  # noqa: S301 - some exceptions only fail here
        except (pickle.PicklingError, TypeError, AttributeError):
            answer = pickle.dumps((False, RuntimeError(text)))
        return answer
