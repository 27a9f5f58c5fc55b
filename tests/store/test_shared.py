from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from provreg.errors import StorageError
from provreg.store.shared import SharedMemory

ROOT = Path(__file__).parents[2]


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
from provreg.store.shared import SharedMemory
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
