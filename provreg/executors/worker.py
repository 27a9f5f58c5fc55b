"""One process beside this one, which applies a function to what it is sent.

`multiprocessing` is not used: where it cannot fork, it runs the user's script once more in every
process, unless all of the script stands under `if __name__ == "__main__"`, and it takes longer to
import than 3,000 small files to hash (docs/adr/0025-workers-without-multiprocessing.md).
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import socket
import struct
import sys
import threading
import traceback
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from provreg.errors import ProvregError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# What one end can send without the other receiving: some systems give 8 KiB, others 200.
_HOLDS = 128 * 1024
_LENGTH = struct.Struct("=Q")
# A fresh interpreter, with its end of the socket as standard input. It does not import the modules
# of this one: to hash a sample must not run the user's script again.
_START = (
    "import sys; sys.path[:] = sys.argv[1:]; from provreg.executors.worker import serve; serve()"
)

_serving = False


def in_worker() -> bool:
    """Whether this process works for another: a `Worker`, or one of a training framework's."""
    process = sys.modules.get("multiprocessing.process")
    return _serving or (process is not None and process.current_process().daemon)


def can_fork() -> bool:
    """Whether workers start by fork: in milliseconds, with all that this process has.

    Not beside other Python threads, which may hold any lock at the moment of the fork, nor on
    macOS, whose system libraries do not survive it.
    """
    return sys.platform != "darwin" and threading.active_count() == 1


class Worker:
    """A process that answers each pickled spec with what `function` makes of it, pickled.

    `function` must be importable (top level) where `can_fork` says no. The process ends with
    `kill`, and when this one dies. Raises StorageError where none can be started.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._ours, theirs = socket.socketpair()
        for end in (self._ours, theirs):
            for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, buffer, _HOLDS)
        try:
            # And for ever in the worker: what an interrupt of the whole group means is not for it
            # to say.
            with theirs, defer_interrupts():
                if can_fork():
                    self._process = _fork(function, self._ours, theirs)
                else:
                    by_name = pickle.dumps(function)
                    self._process = _spawn(theirs)
                    with suppress(OSError):  # dead: there will be no answer
                        self.send(by_name)
        except OSError as error:
            self._ours.close()
            raise StorageError(
                f"no worker process could be started: {error.strerror}",
                hint="try with fewer workers",
            ) from error

    def fileno(self) -> int:
        """What has something to read where there is an answer, or none will come."""
        return self._ours.fileno()

    def send(self, spec: bytes) -> None:
        """Raises OSError if the process is dead; blocks where it neither works nor receives."""
        _send(self._ours, spec)

    def receive(self) -> bytearray:
        """The next answer, see `outcome`. Raises EOFError or OSError if the process is dead."""
        return _receive(self._ours)

    def kill(self) -> None:
        """Ends the process, if it has not ended."""
        with suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGKILL)
        self._ours.close()

    def wait(self) -> int | None:
        """Waits for the end of the process: its exit code, negative for a signal.

        To be called once. None where somebody else was told.
        """
        try:
            _, status = os.waitpid(self._process, 0)
        except ChildProcessError:
            return None
        return os.waitstatus_to_exitcode(status)


def outcome(answer: bytearray) -> tuple[bool, Any]:
    """(True, what the function returned) or (False, what it raised)."""
    made: tuple[bool, Any] = pickle.loads(answer)  # noqa: S301 - made by a process of ours
    return made


def _fork(function: Callable[[Any], Any], ours: socket.socket, theirs: socket.socket) -> int:
    with warnings.catch_warnings():
        # Without other Python threads (see `can_fork`) Python 3.12 warns of the idle threads of
        # native pools (Arrow, BLAS), which survive forks by their own care.
        warnings.filterwarnings("ignore", r".*use of fork\(\)", DeprecationWarning)
        process = os.fork()
    if process:
        return process
    status = 1
    try:
        # An inherited copy of the parent's end would keep it open after the parent's death.
        ours.close()
        _serve(theirs, function)
        status = 0
    finally:
        # Nothing of what the parent would do at its end.
        os._exit(status)


def _spawn(theirs: socket.socket) -> int:
    flags = [f"-{flag}" for flag, is_set in (
        ("E", sys.flags.ignore_environment), ("s", sys.flags.no_user_site)
    ) if is_set]  # fmt: skip
    return os.posix_spawn(
        sys.executable,
        [sys.executable, *flags, "-c", _START, *sys.path],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)],
    )


def serve() -> None:
    """The life of a fresh interpreter: it is sent the function first."""
    with socket.socket(fileno=os.dup(0)) as theirs:
        # Nothing that reads standard input takes what is sent here.
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        _serve(theirs, pickle.loads(_receive(theirs)))  # noqa: S301 - from the process it works for


def _serve(theirs: socket.socket, function: Callable[[Any], Any]) -> None:
    """A worker's life: answers specs until its parent dies."""
    global _serving  # noqa: PLW0603 - a process is one from its beginning to its end
    _serving = True
    # To look through what was inherited for garbage would copy all of it.
    gc.freeze()
    with suppress(EOFError, OSError):
        while True:
            _send(theirs, _answer(function, _receive(theirs)))


def _answer(function: Callable[[Any], Any], spec: bytearray) -> bytes:
    try:
        return pickle.dumps((True, function(pickle.loads(spec))))  # noqa: S301
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


def _send(end: socket.socket, data: bytes) -> None:
    end.sendall(_LENGTH.pack(len(data)))
    end.sendall(data)


def _receive(end: socket.socket) -> bytearray:
    (length,) = _LENGTH.unpack(_received(end, _LENGTH.size))
    return _received(end, length)


def _received(end: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    room = memoryview(data)
    while room:
        got = end.recv_into(room)
        if not got:
            raise EOFError
        room = room[got:]
    return data


@contextmanager
def defer_interrupts() -> Iterator[None]:
    """Ctrl-C is heard at the end of the context.

    In the middle of a fork, and where a compiled module is loaded, what it raises is dropped.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
