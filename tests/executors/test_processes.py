"""provreg.executors.processes: processes that end, answer in order, and survive being killed."""

from __future__ import annotations

import gc
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provreg.errors import InputError, SampleError, StorageError
from provreg.executors.processes import LocalProcesses, default_workers

if TYPE_CHECKING:
    from collections.abc import Iterator


def _square_slowest_first(number: int) -> int:
    time.sleep(0.02 if number % 5 == 0 else 0)
    return number * number


def _process_id(_: int) -> int:
    time.sleep(0.01)
    return os.getpid()


def _frozen(_: int) -> int:
    return gc.get_freeze_count()


def _length(data: bytes) -> bytes:
    return data[::-1]


def _refuse(number: int) -> int:
    if number == 3:
        raise SampleError("no", sample="a/b", expected="x", found="y", hint="h")
    return number


class _UnpicklableError(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__("two arguments")


def _raise_what_does_not_pickle(number: int) -> int:
    raise _UnpicklableError(number, number)


def _divide(number: int) -> float:
    return 1 / number


def _die_once(marker: str) -> str:
    path = Path(marker)
    if path.name == "deadly" and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def _die(_: int) -> int:
    os._exit(7)


def _sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def _interrupt(process: int) -> int:
    if process:
        time.sleep(0.1)
        os.kill(process, signal.SIGINT)
    time.sleep(60)
    return process


def _interrupt_self(number: int) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return number


def _no_children_left() -> bool:
    """No workers, not even dead ones that nobody waited for; servers of other tests may run."""
    lists = (path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    children = [Path(f"/proc/{child}/cmdline") for text in lists for child in text.split()]
    ours = Path("/proc/self/cmdline").read_bytes()
    said = [path.read_bytes() for path in children]
    return not any(words in (b"", ours) or b"provreg.executors.worker" in words for words in said)


def test_workers_do_not_look_for_garbage_in_what_they_inherited() -> None:
    before = gc.get_freeze_count()
    assert all(frozen > before for frozen in LocalProcesses(2).map(_frozen, range(4)))
    assert gc.get_freeze_count() == before


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_results_come_in_the_order_of_the_specs(workers: int) -> None:
    found = list(LocalProcesses(workers).map(_square_slowest_first, range(40)))
    assert found == [number * number for number in range(40)]
    assert _no_children_left()


def test_one_worker_is_this_process() -> None:
    assert set(LocalProcesses(1).map(_process_id, range(3))) == {os.getpid()}


def test_two_workers_are_two_other_processes() -> None:
    found = set(LocalProcesses(2).map(_process_id, range(20)))
    assert len(found) == 2
    assert os.getpid() not in found


def _processes_of_a_workers_work(_: int) -> bool:
    return {*LocalProcesses(2).map(_process_id, range(3))} == {os.getpid()}


def test_workers_start_no_workers() -> None:
    assert list(LocalProcesses(2).map(_processes_of_a_workers_work, range(2))) == [True, True]


def test_nothing_to_do_starts_nothing() -> None:
    assert list(LocalProcesses(2).map(_die, [])) == []


def test_specs_and_results_larger_than_a_pipe_do_not_block() -> None:
    specs = [bytes([number]) * 3_000_000 + b"!" for number in range(12)]
    assert list(LocalProcesses(2).map(_length, specs)) == [spec[::-1] for spec in specs]


def test_specs_are_not_taken_far_ahead_of_the_consumer() -> None:
    taken = 0

    def specs() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    results = LocalProcesses(2).map(_square_slowest_first, specs())
    next(results)
    assert taken < 20
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("workers", [1, 2])
def test_our_errors_arrive_intact_and_in_order(workers: int) -> None:
    results = LocalProcesses(workers).map(_refuse, range(20))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SampleError) as caught:
        next(results)
    error = caught.value
    assert (error.sample, error.expected, error.found, error.hint) == ("a/b", "x", "y", "h")
    assert error.step == 12
    assert _no_children_left()


def test_a_bug_in_a_worker_arrives_with_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        list(LocalProcesses(2).map(_divide, [1, 0]))
    assert "_divide" in caught.value.__notes__[0]


def test_an_exception_that_does_not_pickle_is_reported_not_hung() -> None:
    with pytest.raises(RuntimeError, match="_raise_what_does_not_pickle"):
        list(LocalProcesses(2).map(_raise_what_does_not_pickle, [1]))


def test_killed_worker_is_replaced_and_its_work_done_again(tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(10)]
    names[4] = "deadly"
    specs = [str(tmp_path / name) for name in names]
    assert list(LocalProcesses(2).map(_die_once, specs)) == names
    assert _no_children_left()


def test_work_that_kills_every_worker_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match=r"exit code 7"):
        list(LocalProcesses(2).map(_die, range(4)))
    assert _no_children_left()


def test_closing_early_does_not_wait_for_work_under_way() -> None:
    results = LocalProcesses(2).map(_sleep, [0, 60, 60, 60])
    assert next(results) == 0
    started = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 5
    assert _no_children_left()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell starts what it runs in the background with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_ends_the_run_and_its_workers() -> None:
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        # Not of whose child the worker is: beside other threads that is the fork server.
        list(LocalProcesses(2).map(_interrupt, [os.getpid(), 0, 0, 0]))
    assert time.monotonic() - started < 5
    assert _no_children_left()


def test_interrupt_of_the_group_leaves_the_workers_to_their_parent() -> None:
    assert list(LocalProcesses(2).map(_interrupt_self, range(6))) == list(range(6))


def test_errors_raised_by_the_specs_end_the_workers() -> None:
    def specs() -> Iterator[int]:
        yield from range(12)
        raise InputError("the listing broke")

    with pytest.raises(InputError):
        list(LocalProcesses(2).map(_process_id, specs()))
    assert _no_children_left()


def test_default_workers_is_at_least_one() -> None:
    assert 1 <= default_workers() <= (os.cpu_count() or 1)
