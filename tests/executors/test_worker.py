"""provreg.executors.worker: one process, forked or fresh, that answers and runs nothing else."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provreg.errors import StorageError
from provreg.executors.worker import Worker, can_fork, in_worker, outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]


@contextmanager
def another_thread() -> Iterator[None]:
    let_go = threading.Event()
    thread = threading.Thread(target=let_go.wait)
    thread.start()
    try:
        yield
    finally:
        let_go.set()
        thread.join()


def in_process(check: Callable[[], None], *, forking: bool) -> None:
    """Checks in a process that forks its workers, which the test runner's may not, or starts fresh
    ones."""
    if not forking:
        with another_thread():
            check()
        return
    words = f"from tests.executors import test_worker as here; here.{check.__name__}()"
    command = (sys.executable, "-c", f"{words}; assert here.can_fork()")
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)


KINDS = pytest.mark.parametrize("forking", [True, False], ids=["forked", "fresh"])


def answers(function: Callable[[Any], Any], *specs: Any) -> list[tuple[bool, Any]]:
    worker = Worker(function)
    try:
        found = []
        for spec in specs:
            worker.send(pickle.dumps(spec))
            found.append(outcome(worker.receive()))
        return found
    finally:
        worker.kill()
        assert worker.wait() is not None


def run(script: str, *, flags: tuple[str, ...] = (), environment: dict[str, str] | None = None,
        folder: Path) -> str:  # fmt: skip
    """What a user's script says, which is a file of its own and no module."""
    path = folder / "script.py"
    path.write_text(textwrap.dedent(script))
    done = subprocess.run(
        (sys.executable, *flags, str(path)), cwd=folder, env=os.environ | (environment or {}),
        text=True, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def answer_and_raise() -> None:
    (first, made), (failed, told), (succeeded, again) = answers(int, "1", "x", "3")
    assert (first, made, failed, succeeded, again) == (True, 1, False, True, 3)
    assert isinstance(told, ValueError)


@KINDS
def test_a_worker_answers_what_it_is_sent_and_says_what_was_raised(forking: bool) -> None:
    in_process(answer_and_raise, forking=forking)


_KIND = (
    "(__import__('provreg.executors.worker').executors.worker.in_worker(),"
    " 'pytest' in __import__('sys').modules)"
)


def test_beside_another_thread_a_worker_is_a_fresh_interpreter() -> None:
    with another_thread():
        assert not can_fork()
        assert answers(eval, _KIND) == [(True, (True, False))]


def test_alone_a_worker_is_a_fork(tmp_path: Path) -> None:
    said = run(
        """
        import os, pickle
        from provreg.executors.worker import Worker, in_worker, outcome

        def parent_and_kind(_):
            return os.getppid(), in_worker()

        worker = Worker(parent_and_kind)
        worker.send(pickle.dumps(None))
        print(outcome(worker.receive()) == (True, (os.getpid(), True)), in_worker())
        """,
        folder=tmp_path,
    )
    assert said == "True False\n"


def test_processes_of_training_frameworks_are_workers_too() -> None:
    assert not in_worker()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(eval, [_KIND])[0][0]


def test_a_script_without_main_guard_is_run_once_beside_other_threads(tmp_path: Path) -> None:
    """`multiprocessing` would run it again in every worker, and these would fail."""
    said = run(
        """
        import threading, time
        print("run", flush=True)
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        from provreg.executors.processes import LocalProcesses
        print(list(LocalProcesses(2).map(abs, range(-9, 0))))
        """,
        folder=tmp_path,
    )
    assert said == f"run\n{list(range(9, 0, -1))}\n"


def test_a_fresh_worker_finds_modules_where_its_parent_does(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/of_a_user.py").write_text("def double(number): return number * 2\n")
    said = run(
        """
        import sys, threading, time
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        sys.path.append("elsewhere")
        import of_a_user
        from provreg.executors.processes import LocalProcesses
        print(list(LocalProcesses(2).map(of_a_user.double, [1, 2])))
        """,
        folder=tmp_path,
    )
    assert said == "[2, 4]\n"


def test_a_fresh_worker_of_an_isolated_process_heeds_no_environment(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('code of the environment', flush=True)\n")
    script = f"""
        import sys, threading, time
        sys.path.insert(0, {str(ROOT)!r})
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        from provreg.executors.processes import LocalProcesses
        print(list(LocalProcesses(2).map(abs, [-1, -2])))
        """
    environment = {"PYTHONPATH": str(tmp_path)}
    assert "code of the environment" in run(script, environment=environment, folder=tmp_path)
    said = run(script, flags=("-I",), environment=environment, folder=tmp_path)
    assert said == "[1, 2]\n"


def _read_standard_input(_: object) -> bytes:
    return os.read(0, 100)


def test_what_reads_standard_input_in_a_fresh_worker_takes_nothing_from_it() -> None:
    with another_thread():
        assert answers(_read_standard_input, None, None) == [(True, b"")] * 2


def interrupt_while_starting() -> None:
    worker = Worker(abs)
    try:
        os.kill(worker._process, signal.SIGINT)
        worker.send(pickle.dumps(-1))
        assert outcome(worker.receive()) == (True, 1)
    finally:
        worker.kill()
        worker.wait()


@KINDS
def test_interrupt_while_a_worker_starts_leaves_it_to_its_parent(forking: bool) -> None:
    in_process(interrupt_while_starting, forking=forking)


def die() -> None:
    worker = Worker(os._exit)
    worker.send(pickle.dumps(7))
    with pytest.raises((EOFError, OSError)):
        worker.receive()
    worker.kill()
    assert worker.wait() == 7


@KINDS
def test_dead_worker_gives_no_answer_and_an_exit_code(forking: bool) -> None:
    in_process(die, forking=forking)


def test_no_worker_where_none_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with another_thread(), pytest.raises(StorageError, match="no worker process could be started"):
        Worker(abs)


@pytest.mark.parametrize("thread", ["", "threading.Thread(target=time.sleep, args=(60,)).start()"])
def test_workers_end_when_their_parent_is_killed(tmp_path: Path, thread: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import threading, time
            {thread}
            from provreg.executors.processes import LocalProcesses
            results = LocalProcesses(2).map(eval, ["__import__('os').getpid()"] * 1000)
            print(*[next(results) for _ in range(50)], flush=True)
            time.sleep(60)
            """
        )
    )
    with subprocess.Popen((sys.executable, str(script)), stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        workers = {int(word) for word in user.stdout.readline().split()}
        user.kill()
    assert len(workers) == 2
    until = time.monotonic() + 10
    while any(_is_running(worker) for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.02)


def _is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
