"""Work in threads that asks no host for too much at once."""

from __future__ import annotations

from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

Task = TypeVar("Task")
Result = TypeVar("Result")

THREADS = 16
AT_ONE_HOST = 4
# How many tasks are looked at to find one whose host is free.
_AHEAD = 1000


def per_host(
    work: Callable[[Task], Result],
    tasks: Iterable[tuple[str, Task]],
    *,
    stop: Callable[[], None],
    threads: int = THREADS,
    at_one_host: int = AT_ONE_HOST,
) -> Generator[tuple[Task, Result]]:
    """(task, what `work` made of it) as they come; `tasks` are (host, task), taken as needed.

    No more than `at_one_host` tasks of a host run at once. What `work` raises ends it; who wants no
    more closes the generator. At the end `stop` is called, and tasks that still run waited for.
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
