"""Processes that work on specs they are given through pipes, and answer through them.

Pipes and no threads, unlike `concurrent.futures`: the parent stays free to fork again, a killed
worker costs only what it was working on, and an abandoned run ends at once.
"""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import signal
import sys
import threading
import traceback
import warnings
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from provreg.errors import ProvregError, StorageError
from provreg.readers.interrupts import interrupts_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess

# Specs a worker holds at once: the next one waits in its pipe while it works on the first.
_DEPTH = 2
# A pipe takes at least this much without a reader. Larger specs go to idle workers only: sending
# one to a worker that is itself blocked sending a result would block both for ever.
_PIPE_HOLDS = 32 * 1024
# Specs a worker taken ahead of the consumer, so that one slow spec does not stop the others.
_AHEAD = 4
# How often one spec may lose its worker before it is taken for the cause.
_MOST_LOSSES = 2


def can_fork() -> bool:
    """Whether worker processes start by fork: in milliseconds, with all that this process has.

    Not beside other Python threads, which may hold any lock at the moment of the fork, nor on
    macOS, whose system libraries do not survive it.
    """
    methods = multiprocessing.get_all_start_methods()
    return "fork" in methods and sys.platform != "darwin" and threading.active_count() == 1


@dataclass(slots=True)
class _Worker:
    """One process, our end of its pipe, and the tasks it holds, oldest first."""

    process: BaseProcess
    pipe: Connection
    tasks: deque[_Task] = field(default_factory=deque)


@dataclass(slots=True)
class _Task:
    """A spec, pickled, and how many workers it cost."""

    number: int
    pickled: bytes
    losses: int = 0


class _StoppedError(Exception):
    """Nobody wants the results any more."""


class Pool:
    """The processes of one `ordered_map`, from `begin` until its results are taken or closed.

    They end as soon as there is something to read from `stop`.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        specs: Iterable[Any],
        workers: int,
        stop: Connection | None = None,
    ) -> None:
        self._function = function
        self._numbered = enumerate(specs)
        self._most = workers
        self._stop = [] if stop is None else [stop]
        self._workers: list[_Worker] = []
        self._waiting: deque[_Task] = deque()
        self._done: dict[int, tuple[bool, Any]] = {}
        self._given = 0

    def begin(self) -> None:
        """Starts the processes and gives them their first work."""
        try:
            self._given = self._take(self._most * _AHEAD)
            self._hand_out()
        except BaseException:
            self._end(self._workers)
            raise

    def results(self) -> Iterator[Any]:
        """The results in order, begun now where they were not."""
        if not self._given:
            self.begin()
        taken = 0
        try:
            while taken < self._given:
                while taken not in self._done:
                    self._collect(timeout=None)
                    self._hand_out()
                self._collect(timeout=0)
                succeeded, value = self._done.pop(taken)
                if not succeeded:
                    raise value
                taken += 1
                self._given += self._take(1)
                # Before the consumer gets to work, so that nobody idles meanwhile.
                self._hand_out()
                yield value
        finally:
            self._end(self._workers)

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
            if len(self._workers) < self._most and all(worker.tasks for worker in self._workers):
                self._start()
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
        ready = wait([*pipes, *self._stop], timeout)
        if not pipes.keys() >= set(ready):
            raise _StoppedError
        for worker in [pipes[pipe] for pipe in ready]:
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

    def _start(self) -> None:
        context = _context()
        if context.get_start_method() != "fork":
            self._start_in(context)
            return
        with interrupts_wait(), warnings.catch_warnings():
            # Without other Python threads (see `can_fork`) Python 3.12 warns of the idle
            # threads of native pools (Arrow, BLAS), which survive forks by their own care.
            warnings.filterwarnings("ignore", r".*use of fork\(\)", DeprecationWarning)
            self._start_in(context)

    def _start_in(self, context: BaseContext) -> None:
        ours, theirs = context.Pipe()
        process = context.Process(  # type: ignore[attr-defined]
            target=_serve, args=(theirs, ours, self._function), daemon=True
        )
        process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours))

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
    # To look through what was inherited for garbage would copy all of it.
    gc.freeze()
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
