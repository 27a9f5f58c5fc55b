"""Large files: read in blocks, by several threads where cores are free."""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from blake3 import blake3

from provreg.readers.files.hashing import HashSlice, hash_slice

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 4 * 1024 * 1024
SIZE = 5 * BLOCK + 12_345


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of five blocks and a bit, mostly holes."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(SIZE)
        for place in (0, BLOCK - 1, BLOCK, SIZE - 1):
            file.seek(place)
            file.write(b"x")
    return path


def in_worker(function: Callable[..., Any], *arguments: Any) -> Any:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(function, arguments)


def hashed(path: Path, threads: int = 1, *, with_sha256: bool = False) -> bytes:
    work = HashSlice([(str(path.parent), "", [path.name])], with_sha256, False, threads)
    answer = hash_slice(work)
    for _, failure in answer.failures:
        raise failure
    return answer.content + answer.sha256


def test_files_hashed_by_several_threads_have_the_same_digest(large: Path) -> None:
    content = large.read_bytes()
    expected = blake3(content).digest()
    assert hashed(large) == hashed(large, 3) == expected
    both = functools.partial(hashed, large, 3, with_sha256=True)
    assert in_worker(both) == both() == expected + hashlib.sha256(content).digest()


def _threads_after_ten(path: Path) -> int:
    for _ in range(10):
        hashed(path, 3)
    return len(list(Path("/proc/self/task").iterdir()))


def _hashed_in_a_fork(path: Path) -> bytes:
    """In a process forked from one whose threads of BLAKE3 have hashed, and are not in it."""
    kept = blake3(max_threads=3)
    kept.update(path.read_bytes())
    blake3(path.read_bytes(), max_threads=blake3.AUTO)
    reading, writing = os.pipe()
    if not os.fork():
        os.write(writing, hashed(path, 3))
        os._exit(0)
    return os.read(reading, 32)


def test_threads_of_blake3_are_of_the_process_that_hashes(large: Path) -> None:
    assert in_worker(_hashed_in_a_fork, large) == blake3(large.read_bytes()).digest()
    assert in_worker(_threads_after_ten, large) < 10, "they end with the file"
