"""Private folders, files and locks: the user's alone, and nobody waits without knowing for what."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provreg.errors import DamagedError, StorageError, UsageError
from provreg.store.private import folders
from provreg.store.private.folders import (
    cache_folder,
    config_folder,
    locked,
    private_folder,
    read_private,
    replace_private,
    state_folder,
)

FOLDERS = [
    (cache_folder, "PROVREG_CACHE", "XDG_CACHE_HOME"),
    (state_folder, "PROVREG_STATE", "XDG_STATE_HOME"),
    (config_folder, "PROVREG_CONFIG", "XDG_CONFIG_HOME"),
]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize(("folder", "variable", "_platform"), FOLDERS)
def test_environment_names_the_folder(
    folder: Callable[[], Path],
    variable: str,
    _platform: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "a" / "b"))
    assert folder() == tmp_path / "a" / "b"
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700


@pytest.mark.parametrize("named", ["state", "../state", "~/state"])
@pytest.mark.parametrize(("folder", "variable", "_platform"), FOLDERS)
def test_private_folder_that_would_be_another_in_every_folder_is_refused(
    folder: Callable[[], Path],
    variable: str,
    _platform: str,
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, named)
    with pytest.raises(UsageError, match="another one in every folder") as refused:
        folder()
    assert variable in refused.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "darwin", reason="XDG variables are not macOS's")
@pytest.mark.parametrize(("folder", "variable", "platform"), FOLDERS)
def test_without_it_the_platform_names_the_folder(
    folder: Callable[[], Path],
    variable: str,
    platform: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, "")
    monkeypatch.setenv(platform, str(tmp_path))
    assert folder() == tmp_path / "provreg"


def test_folders_are_made_private_whatever_the_umask(tmp_path: Path) -> None:
    with umask(0):
        assert mode(private_folder(tmp_path / "x" / "y")) == 0o700
    assert mode(tmp_path / "x") == 0o700


def test_relative_folders_do_not_move_with_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert private_folder(Path("here")) == tmp_path / "here"


@pytest.mark.parametrize("bit", [0o020, 0o002])
def test_a_folder_others_may_write_to_is_refused(tmp_path: Path, bit: int) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o700 | bit)
    with pytest.raises(UsageError, match="others may write") as caught:
        private_folder(tmp_path / "open")
    assert "chmod go-w" in caught.value.hint


def test_a_folder_others_may_only_read_is_taken(tmp_path: Path) -> None:
    (tmp_path / "readable").mkdir(mode=0o755)
    private_folder(tmp_path / "readable")


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(UsageError, match="belongs to user") as caught:
        private_folder(tmp_path)
    assert "PROVREG_STATE" in caught.value.hint


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="not a folder"):
        private_folder(tmp_path / "file")
    with pytest.raises(StorageError):
        private_folder(tmp_path / "file" / "below")


def test_importing_does_not_look_for_the_platform() -> None:
    code = "import sys, provreg.store.private.folders; sys.exit('platformdirs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_files_are_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert read_private(path, 10) is None
    with umask(0):
        replace_private(path, b"old")
        replace_private(path, b"newer")
    assert read_private(path, 10) == b"newer"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_replacement_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace_private(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="cannot write") as caught:
        replace_private(path, b"new")
    assert "full" in caught.value.hint
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_planted_link_is_replaced_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"victim")
    (tmp_path / "file").symlink_to(tmp_path / "victim")
    with pytest.raises(DamagedError):
        read_private(tmp_path / "file", 10)
    replace_private(tmp_path / "file", b"mine")
    assert (tmp_path / "victim").read_bytes() == b"victim"
    assert not (tmp_path / "file").is_symlink()


def test_an_oversized_private_file_is_not_read(tmp_path: Path) -> None:
    replace_private(tmp_path / "file", b"12345")
    with pytest.raises(DamagedError):
        read_private(tmp_path / "file", 4)


def test_who_waits_is_told_once_what_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_PATIENCE", 0.05)
    heard: list[str] = []
    order: list[str] = []
    free = threading.Event()

    def wait(holder: str) -> None:
        heard.append(holder)
        free.set()

    def second() -> None:
        with locked(tmp_path / "lock", "syncing", waiting=wait):
            order.append("second")

    waiter = threading.Thread(target=second)
    with locked(tmp_path / "lock", "taking in \x1b[2J versions"):
        waiter.start()
        assert free.wait(10)
        order.append("first")
    waiter.join(10)
    assert order == ["first", "second"]
    assert heard == [f"taking in \\x1b[2J versions (process {os.getpid()})"]


def test_who_need_not_wait_hears_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "lock", "syncing", waiting=pytest.fail):
            pass


def test_an_error_inside_frees_the_lock_and_stays_itself(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), locked(tmp_path / "lock", "syncing"):
        raise OSError("mine")
    with locked(tmp_path / "lock", "syncing", waiting=pytest.fail):
        pass


def test_a_lock_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match="open the lock"),
        locked(tmp_path / "missing" / "lock", "syncing"),
    ):
        pass


def test_another_process_is_kept_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import fcntl, sys\n"
        "with open(sys.argv[1]) as file:\n"
        "    try:\n"
        "        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "    except BlockingIOError:\n"
        "        sys.exit(3)\n"
    )
    other = [sys.executable, "-c", code, str(path)]
    with locked(path, "syncing"):
        assert subprocess.run(other, check=False).returncode == 3
    assert subprocess.run(other, check=False).returncode == 0


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_file_system_without_locks_is_named_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def no_locks(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(StorageError) as caught, locked(tmp_path / "lock", "syncing"):
        pytest.fail("there is no lock")
    assert caught.value.message == (
        f"cannot take the lock '{tmp_path / 'lock'}': {os.strerror(number)}"
    )
    assert "PROVREG_STATE and PROVREG_CACHE" in caught.value.hint


def test_error_inside_is_not_hidden_by_a_lock_that_cannot_be_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with (  # noqa: PT012 - it is lost once it is held
        pytest.raises(OSError, match="mine"),
        locked(tmp_path / "lock", "syncing"),
    ):
        monkeypatch.setattr(fcntl, "flock", lost)
        raise OSError("mine")
