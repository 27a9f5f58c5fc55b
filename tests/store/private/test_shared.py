from __future__ import annotations

import errno
import gc
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provreg.errors import StorageError
from provreg.store.private.shared import SharedMemory

ROOT = Path(__file__).parents[3]


def test_what_one_process_writes_all_read(tmp_path: Path) -> None:
    memory = SharedMemory(tmp_path, 10)
    again = pickle.loads(pickle.dumps(memory))  # noqa: S301
    again.map[3] = 7
    child = os.fork()
    if not child:
        memory.map[4] = 8
        del memory
        gc.collect()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert bytes(memory.map) == b"\0\0\0\7\x08\0\0\0\0\0"
    assert len(list(tmp_path.iterdir())) == 1, "the child's end took the file away"


def test_the_file_goes_with_its_maker(tmp_path: Path) -> None:
    memory = SharedMemory(tmp_path, 1)
    pickled = pickle.dumps(memory)
    del memory
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StorageError, match="gone"):
        pickle.loads(pickled)  # noqa: S301


def test_the_file_of_a_killed_maker_goes_when_the_next_is_made(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from provreg.store.private.shared import SharedMemory
memory = SharedMemory(Path({str(tmp_path)!r}), 1)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    first = SharedMemory(tmp_path, 1)
    second = SharedMemory(tmp_path, 1)
    assert len(list(tmp_path.iterdir())) == 2
    del first, second


def test_memory_that_two_make_at_once_is_not_swept_by_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is there before it is locked: whoever looks meanwhile would take it for left over."""
    made = tempfile.mkstemp
    others: list[threading.Thread] = []
    memories: list[SharedMemory] = []

    def make_while_another_begins(*arguments: Any, **more: Any) -> Any:
        file = made(*arguments, **more)
        if not others:
            begin = threading.Thread(target=lambda: memories.append(SharedMemory(tmp_path, 1)))
            others.append(begin)
            begin.start()
            begin.join(0.3)
        return file

    monkeypatch.setattr(tempfile, "mkstemp", make_while_another_begins)
    memories.append(SharedMemory(tmp_path, 1))
    others[0].join()
    assert len(memories) == len(list(tmp_path.iterdir())) == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S607


def test_full_disk_is_an_error_that_names_the_folder_and_a_way_out(small_disk: Path) -> None:
    folder = small_disk / "loading"
    script = f"""
from pathlib import Path
from provreg.errors import StorageError
from provreg.store.private.shared import SharedMemory
try:
    memory = SharedMemory(Path({str(folder)!r}), 2 << 20)
    memory.map[:] = bytes(2 << 20)
except StorageError as error:
    print(error.message, error.hint)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, "a signal ended the process"
    assert str(folder) in ran.stdout
    assert "No space left" in ran.stdout
    assert "PROVREG_CACHE" in ran.stdout
    assert list(folder.iterdir()) == [], "nothing is left of it"


def test_disk_that_fills_up_later_leaves_memory_to_write_to(small_disk: Path) -> None:
    script = f"""
from pathlib import Path
from provreg.store.private.shared import SharedMemory
memory = SharedMemory(Path({str(small_disk / "loading")!r}), 1 << 19)
try:
    Path({str(small_disk / "rest")!r}).write_bytes(bytes(1 << 20))
except OSError:
    memory.map[:] = bytes([1]) * (1 << 19)
    print(sum(memory.map[:]))
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout) == (0, f"{1 << 19}\n")


@pytest.mark.parametrize("size", [0, 1, 5000, (1 << 20) + 3])
def test_file_systems_that_reserve_nothing_are_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    def cannot(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    monkeypatch.setattr(os, "posix_fallocate", cannot)
    memory = SharedMemory(tmp_path, size)
    assert bytes(memory.map) == bytes(max(1, size))
    (file,) = tmp_path.iterdir()
    assert file.stat().st_blocks * 512 >= size
