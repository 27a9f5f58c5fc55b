"""Terminals and pipes: progress, width, colours, Ctrl-C, and readers that go away."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

PROVREG = [sys.executable, "-m", "provreg"]
# Ctrl-C reaches those whose controlling terminal it is typed at.
TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
INGEST = ["ingest", "big", "--name", "big", "--source", "s", "--sign", "key:ann.key"]


def on_a_terminal(
    arguments: list[str], environment: dict[str, str], *, width: int = 80, interrupt: bytes = b""
) -> tuple[int, str]:
    """(exit code, what was shown); Ctrl-C is typed when `interrupt` has been shown."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-c", TAKE_TERMINAL, *PROVREG, *arguments],
        env=environment,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    ) as process:
        os.close(follower)
        shown, typed = b"", not interrupt
        while True:
            if not select.select([leader], [], [], 60)[0]:
                process.kill()
                raise TimeoutError(shown)
            try:
                data = os.read(leader, 1 << 16)
            except OSError:  # Linux says so when the last writer closes.
                data = b""
            if not data:
                break
            shown += data
            if not typed and interrupt in shown:
                # So that nothing but hashing goes on.
                time.sleep(1)
                os.write(leader, b"\x03")
                typed = True
    os.close(leader)
    return process.returncode, shown.decode().replace("\r\n", "\n")


def piped(
    arguments: list[str], environment: dict[str, str], **options: int
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROVREG, *arguments], env=environment, check=False, text=True, timeout=60,
        **({"stdout": subprocess.PIPE} | options), stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def big(pets: Path) -> Path:
    """A file of holes, which takes much longer to hash than the test takes."""
    (pets / "big/a").mkdir(parents=True)
    with (pets / "big/a/holes.bin").open("wb") as file:
        file.truncate(1 << 37)
    return pets


def published(folder: Path) -> bool:
    return (folder / ".provreg/datasets/big").exists()


def test_ctrl_c_on_a_terminal_publishes_nothing(big: Path, environment: dict[str, str]) -> None:
    code, shown = on_a_terminal(INGEST, environment, interrupt=b"hashing")
    assert code == 130
    assert shown.splitlines()[-1].endswith(
        "provreg: interrupted; `provreg log` shows whether a version was published"
    )
    assert "Traceback" not in shown
    assert not published(big)
    assert piped(["check"], environment).returncode == 0


def test_ctrl_c_at_the_passphrase_makes_no_key(pets: Path, environment: dict[str, str]) -> None:
    """No version is mentioned where none could have been published."""
    command = ["key", "generate", "--out", "new.key"]
    code, shown = on_a_terminal(command, environment, interrupt=b"new passphrase")
    assert code == 130
    assert shown.splitlines()[-1].endswith("provreg: interrupted")
    assert not list(pets.glob("**/new.key*"))


def wait_for_workers(process: subprocess.Popen[str]) -> None:
    """Waits until `process` does nothing but hash, which other processes do for it."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + 30
    while children.exists() and not children.read_text("ascii"):
        assert time.monotonic() < until, "nothing is hashed"
        time.sleep(0.03)
    # It still loads modules meanwhile, where Python may lose what Ctrl-C raises.
    time.sleep(2)


def test_ctrl_c_without_a_terminal_publishes_nothing(
    big: Path, environment: dict[str, str]
) -> None:
    with subprocess.Popen(
        [*PROVREG, *INGEST], env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        wait_for_workers(process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (out, err) == (
        "",
        "provreg: interrupted; `provreg log` shows whether a version was published\n",
    )
    assert not published(big)


def test_progress_is_shown_on_a_terminal_only(pets: Path, environment: dict[str, str]) -> None:
    command = ["ingest", "data", "--name", "n", "--source", "s", "--dry-run"]
    assert "hashing" in on_a_terminal(command, environment)[1]
    for quiet in ("--quiet", "--json"):
        assert "hashing" not in on_a_terminal([*command, quiet], environment)[1]
    ran = piped(command, environment)
    assert (ran.returncode, ran.stdout, ran.stderr) == (
        0, "n would have 10 samples, 10 injected\n", "",
    )  # fmt: skip


@pytest.mark.parametrize("width", [80, 40])
def test_ids_are_whole_in_a_narrow_terminal(
    pets: Path, environment: dict[str, str], width: int
) -> None:
    name = "a folder/" + "long" * 20 + ".txt"
    (pets / "deep/cat/a folder").mkdir(parents=True)
    (pets / "deep/cat" / name).write_text("x")
    ingest = ["ingest", "deep", "--name", "deep", "--label", "none", "--source", "s"]
    assert piped([*ingest, "--sign", "key:ann.key"], environment).returncode == 0
    for command in (["blame", "deep"], ["show", "deep", f"cat/{name}"]):
        _, shown = on_a_terminal(command, environment, width=width)
        assert f"cat/{name}" in shown
    _, shown = on_a_terminal(["diff", "pets@1", "pets@2"], environment, width=width)
    for word in ("dog/2.txt", "dog/3.txt", "dog/evil.txt", "cat/1.txt", "dog/moved.txt"):
        assert word in shown


def test_no_color_is_respected(pets: Path, environment: dict[str, str]) -> None:
    assert "\x1b[1mversion" in on_a_terminal(["log", "pets", "-q"], environment, width=200)[1]
    plain = environment | {"NO_COLOR": "1"}
    assert "\x1b[" not in on_a_terminal(["log", "pets", "-q"], plain)[1]
    assert "\x1b[" not in piped(["log", "pets"], environment).stdout


def test_a_reader_that_goes_away_is_no_success(pets: Path, environment: dict[str, str]) -> None:
    """`provreg verify … | head -0` must not say that all is well."""
    for command in (
        ["verify", "pets@1", "--data", "bad"],
        ["verify", "pets@1", "--data", "bad", "--json"],
        ["blame", "pets", "--json"],
        ["log", "pets"],
    ):
        reading, writing = os.pipe()
        os.close(reading)
        ran = piped(command, environment, stdout=writing)
        os.close(writing)
        assert ran.returncode in {4, 141}
        assert "Traceback" not in ran.stderr
        assert "BrokenPipe" not in ran.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="not macOS, which has no /dev/full")
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_full_disk_is_said(pets: Path, environment: dict[str, str], more: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = piped(["show", "pets@1", *more], environment, stdout=full.fileno())
    assert (ran.returncode, ran.stderr) == (6, "provreg: No space left on device\n")


def test_a_current_folder_that_is_gone_is_said(home: Path, environment: dict[str, str]) -> None:
    gone = home / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    ran = piped(["ls"], environment)
    os.chdir(home)
    assert ran.returncode == 6
    assert "Traceback" not in ran.stderr
