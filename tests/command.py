"""The `provreg` command in a process of its own, which is forked from this one if that is safe.

A fresh interpreter takes half a second to import what this process has imported already. What
starting costs, and that a command imports no more than it needs, is the subject of
`architecture/test_startup.py`; the terminal is that of `cli/ui/test_terminal.py`.
"""

from __future__ import annotations

import gc
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import IO, NoReturn

import provreg
from provreg.cli.app import command_line

PACKAGE = Path(provreg.__file__).parent


def run_command(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], seconds: float = 60
) -> subprocess.CompletedProcess[bytes]:
    """`provreg ARGUMENTS` with an empty standard input, `seconds` at most.

    A fresh interpreter beside other threads, such as a server's: one of them may hold a lock at the
    moment of the fork, which nobody in the fork would ever release. Raises TimeoutExpired.
    """
    words = ["provreg", *arguments]
    if threading.active_count() > 1:
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(PACKAGE.parent)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=seconds,
        )
    _import_all()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with warnings.catch_warnings():
            # Of the idle threads of native pools.
            warnings.filterwarnings("ignore", r".*use of fork\(\)", DeprecationWarning)
            process = os.fork()
        if not process:
            _run(words, folder, environment, out, err)
        status = _wait(process, words, seconds)
        out.seek(0)
        err.seek(0)
        code = os.waitstatus_to_exitcode(status)
        return subprocess.CompletedProcess(words, code, out.read(), err.read())


@cache
def _import_all() -> None:
    """Commands import when they need it what is imported here for all of them."""
    for module in walk_packages(provreg.__path__, "provreg."):
        if not module.name.startswith(("provreg.__main__", "provreg.loaders.")):
            import_module(module.name)
    for name in ("duckdb", "platformdirs", "cryptography.hazmat.backends.openssl"):
        import_module(name)
    # Typer imports what reads words when the first words are read.
    command_line("init").make_context("provreg", ["init"], resilient_parsing=True)


def _run(
    words: list[str],
    folder: Path,
    environment: Mapping[str, str],
    out: IO[bytes],
    err: IO[bytes],
) -> NoReturn:
    """The life of the fork."""
    try:
        gc.freeze()
        for number in (signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), "utf-8")
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(io.BufferedWriter(io.FileIO(end, "w", closefd=False)), "utf-8")
            for end in (1, 2)
        )
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = words
        os._exit(_main())
    finally:
        os._exit(70)


def _main() -> int:
    from provreg.cli import main

    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 70
    except BaseException:  # as the interpreter shows it
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _wait(process: int, words: list[str], seconds: float) -> int:
    until = time.monotonic() + seconds
    pause = 0.001
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() > until:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            raise subprocess.TimeoutExpired(words, seconds)
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
