"""provreg.executors.threads: one step ahead, and never a thread left behind."""

from __future__ import annotations

import multiprocessing
import threading
from typing import TYPE_CHECKING

import pytest

from provreg.executors.threads import prefetched

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_the_next_item_is_made_before_it_is_asked_for() -> None:
    second = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        second.set()
        yield 2

    with prefetched(items()) as found:
        assert next(found) == 1
        assert second.wait(timeout=10)
        assert list(found) == [2]


def test_no_more_than_one_item_is_made_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            yield number

    with prefetched(items()) as found:
        for number in found:
            assert len(made) <= number + 2
    assert made == [0, 1, 2, 3, 4]


def test_what_making_an_item_raises_is_raised_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    with prefetched(items()) as found:
        assert next(found) == 1
        with pytest.raises(ZeroDivisionError):
            next(found)


def test_no_thread_is_left_when_the_rest_is_not_wanted() -> None:
    before = threading.active_count()
    with prefetched(iter(range(5))) as found:
        next(found)
    assert threading.active_count() == before


def _threads_in_worker(_: int) -> tuple[int, list[int]]:
    before = threading.active_count()
    with prefetched(iter([1, 2])) as found:
        return threading.active_count() - before, list(found)


def test_workers_make_nothing_ahead() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_threads_in_worker, [0]) == [(0, [1, 2])]
