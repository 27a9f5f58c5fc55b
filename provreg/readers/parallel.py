"""Running one function over many small specs in several processes, results in order.

Processes, because most samples are too small for BLAKE3 to let go of the interpreter lock.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import ExitStack, closing, contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from provreg.readers.interrupts import interrupts_wait
from provreg.readers.pool import Pool
from provreg.readers.worker import can_fork, in_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

Spec = TypeVar("Spec")
Result = TypeVar("Result")


def default_workers() -> int:
    """The number of cores this process may use, at least 1."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered_map(
    function: Callable[[Spec], Result], specs: Iterable[Spec], *, workers: int
) -> Iterator[Result]:
    """`function` of every spec, in order, computed in up to `workers` processes.

    `function` must be importable (top level) and may run twice on a spec: a worker that is killed
    is replaced and its specs are given out again. Specs and results must pickle. At most
    four specs a worker are taken from `specs` ahead of the results taken by the consumer.
    With `workers` of 1 or less, and in processes that work for another themselves, everything runs
    in this process.

    Raises what `function` raised, and StorageError when a spec loses its worker repeatedly. Workers
    end when the generator is exhausted, closed or interrupted, and when this process dies.
    """
    if workers <= 1 or in_worker():
        return map(function, specs)
    return Pool(function, specs, workers).results()


@contextmanager
def begun_map(
    function: Callable[[Spec], Result],
    specs: Iterable[Spec],
    *,
    workers: int,
    heard: Callable[[Result], None] | None = None,
) -> Iterator[Iterator[Result]]:
    """As `ordered_map`, but begun at once, so that this thread can do other things meanwhile.

    Another thread takes the specs and gathers the results, and tells `heard` of each. Where
    processes cannot be forked nothing is begun before the first result is asked for. What is still
    going on at the end of the context is given up.
    """
    if workers <= 1 or not can_fork() or in_worker():
        with closing(_told(ordered_map(function, specs, workers=workers), heard)) as results:
            yield results
        return
    reader, writer = socket.socketpair()
    pool = Pool(function, specs, workers, stop=reader)
    gathered: SimpleQueue[Any] = SimpleQueue()
    thread = threading.Thread(target=_gather, args=(pool, heard, gathered), daemon=True)
    with reader, writer, ExitStack() as ending:
        with interrupts_wait():
            # Forks, as long as there is no other thread.
            pool.begin()
            thread.start()
            ending.callback(thread.join)
            ending.callback(writer.send, b"stop")
        yield _taken(gathered)


def _told(
    results: Iterator[Result], heard: Callable[[Result], None] | None
) -> Generator[Result, None, None]:
    for result in results:
        if heard is not None:
            heard(result)
        yield result


def _gather(pool: Pool, heard: Callable[[Any], None] | None, gathered: SimpleQueue[Any]) -> None:
    """Life of the thread: all results, or what was raised in their place, and then None."""
    try:
        for result in _told(pool.results(), heard):
            gathered.put((True, result))
    except BaseException as error:
        gathered.put((False, error))
    gathered.put(None)


def _taken(gathered: SimpleQueue[Any]) -> Iterator[Any]:
    while (result := gathered.get()) is not None:
        succeeded, value = result
        if not succeeded:
            raise value
        yield value
