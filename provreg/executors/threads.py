"""Threads of this process: pools, prefetching, and bounded numbers of requests per host."""

from __future__ import annotations

import threading
from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from provreg.executors.worker import in_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

Result = TypeVar("Result")
Item = TypeVar("Item")
Task = TypeVar("Task")
THREADS = 16
AT_ONE_HOST = 4
# How many tasks are looked at to find one whose host is free.
_AHEAD = 1000


def thread_pool(threads: int) -> ThreadPoolExecutor:
    """A pool of up to `threads` threads, which are waited for at the end of its context."""
    return ThreadPoolExecutor(threads)


def start_abandonable(call: Callable[[], Result], name: str) -> Future[Result]:
    """What `call` will have returned or raised, in a thread called `name` that nobody waits for.

    Not in a pool: its threads are waited for when the interpreter ends, however long they hang.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # handed over to the caller whatever it is
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def start_timer(seconds: float, call: Callable[[], None]) -> threading.Timer:
    """Has `call` called after `seconds`, unless it is cancelled before."""
    clock = threading.Timer(max(0.0, seconds), call)
    clock.daemon = True
    clock.start()
    return clock


@contextmanager
def prefetched(items: Iterator[Item]) -> Iterator[Iterator[Item]]:
    """`items`, which must not be None, each made before it is asked for.

    Not in worker processes, where other cores have work of their own. The thread ends with the
    context: one that is left behind keeps the process from forking.
    """
    if in_worker():
        yield items
        return
    with ThreadPoolExecutor(1) as thread:
        yield iter_prefetched(thread, items, thread.submit(next, items, None))


def iter_prefetched(
    threads: ThreadPoolExecutor, items: Iterator[Item], coming: Future[Item | None]
) -> Iterator[Item]:
    """As `prefetched`, by one of `threads`; `coming` is the first of `items`."""
    while (item := coming.result()) is not None:
        coming = threads.submit(next, items, None)
        yield item


def per_host(
    work: Callable[[Task], Result],
    tasks: Iterable[tuple[str, Task]],
    *,
    stop: Callable[[], None],
    threads: int = THREADS,
    at_one_host: int = AT_ONE_HOST,
) -> Generator[tuple[Task, Result]]:
    """(task, what `work` made of it) as they come; `tasks` are (host, task), taken as needed.

    No more than `at_one_host` tasks of a host run at once. What `work` raises ends it, and so
    does closing the generator. At the end `stop` is called, and running tasks are waited for.
    """
    left = iter(tasks)
    waiting: dict[str, deque[Task]] = {}
    ahead = 0
    busy: Counter[str] = Counter()
    running: dict[Future[Result], tuple[str, Task]] = {}
    with ThreadPoolExecutor(threads) as pool:
        try:
            while True:
                while ahead < _AHEAD and (following := next(left, None)) is not None:
                    waiting.setdefault(following[0], deque()).append(following[1])
                    ahead += 1
                for host in [name for name in waiting if busy[name] < at_one_host]:
                    while waiting[host] and busy[host] < at_one_host and len(running) < threads:
                        task = waiting[host].popleft()
                        running[pool.submit(work, task)] = (host, task)
                        busy[host] += 1
                        ahead -= 1
                    if not waiting[host]:
                        del waiting[host]
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    host, task = running.pop(future)
                    busy[host] -= 1
                    yield task, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            stop()
