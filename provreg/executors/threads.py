"""Threads of this process."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


def thread_pool(threads: int) -> ThreadPoolExecutor:
    """A pool of up to `threads` threads, which are waited for at the end of its context."""
    return ThreadPoolExecutor(threads)


def abandonable(call: Callable[[], Result], name: str) -> Future[Result]:
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


def timer(seconds: float, call: Callable[[], None]) -> threading.Timer:
    """Has `call` called after `seconds`, unless it is cancelled before."""
    clock = threading.Timer(max(0.0, seconds), call)
    clock.daemon = True
    clock.start()
    return clock
