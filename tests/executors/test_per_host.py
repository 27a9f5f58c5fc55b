"""Threads that ask no host for too much at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest

from provreg.executors.threads import per_host


def ignore() -> None: ...


def test_all_is_done_and_no_host_is_asked_more_often_at_once_than_allowed() -> None:
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()
    lock = threading.Lock()
    together = threading.Barrier(3, timeout=30)

    def work(task: tuple[str, int]) -> int:
        host, number = task
        with lock:
            now[host] += 1
            most[host] = max(most[host], now[host])
        if host == "large":
            # Three of it do run at once, or this is never passed.
            together.wait()
        with lock:
            now[host] -= 1
        return number

    tasks = [("large", n) for n in range(30)] + [("small", n) for n in range(30, 60)]
    found = per_host(
        work, ((task[0], task) for task in tasks), stop=ignore, threads=5, at_one_host=3
    )
    assert dict(found) == {task: task[1] for task in tasks}
    assert most["large"] == 3
    assert most["small"] <= 3


def test_a_slow_host_does_not_hold_up_the_others() -> None:
    others = threading.Semaphore(0)

    def work(task: str) -> bool:
        if task == "slow":
            return all(others.acquire(timeout=30) for _ in range(20))
        others.release()
        return True

    tasks = [("slow", "slow")] * 1 + [(f"host {n % 3}", "quick") for n in range(20)]
    assert all(done for _, done in per_host(work, tasks, stop=ignore, threads=2, at_one_host=1))


def test_tasks_are_taken_as_they_are_needed() -> None:
    taken = 0

    def tasks() -> Iterator[tuple[str, int]]:
        nonlocal taken
        for number in range(1_000_000):
            taken += 1
            yield "a", number

    with closing(per_host(abs, tasks(), stop=ignore)) as found:
        next(found)
    assert taken < 2000


def test_what_work_raises_ends_it_after_stopping() -> None:
    stopped = threading.Event()
    begun = threading.Semaphore(0)
    in_time: list[bool] = []

    def work(task: int) -> int:
        if task == 0:
            begun.acquire(timeout=30)
            raise ValueError("nothing")
        begun.release()
        in_time.append(stopped.wait(10))
        return task

    with pytest.raises(ValueError, match="nothing"):
        list(per_host(work, (("a", n) for n in range(100)), stop=stopped.set))
    assert in_time
    assert all(in_time)
