"""What comes next, made by a thread while the caller works on what came before it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from provreg.executors.worker import in_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

Item = TypeVar("Item")


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
