"""provreg.readers.leased: files mapped only while nobody can change them."""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from blake3 import blake3

from provreg.errors import InputError
from provreg.readers import leased, slices
from provreg.readers.leased import windows
from provreg.readers.slices import Slice, hash_slice

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = 64 * 1024 * 1024
SIZE = 2 * WINDOW + 12_345

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="leases are of Linux alone")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of two windows and a bit, mostly holes."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(SIZE)
        for place in (0, WINDOW - 1, WINDOW, SIZE - 1):
            file.seek(place)
            file.write(b"x")
    return path


def in_worker(function: Callable[..., Any], *arguments: Any) -> Any:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(function, arguments)


def mapped(path: Path) -> int:
    """The bytes that are mapped of a file."""
    with path.open("rb") as file:
        return sum(len(window) for window in windows(file.fileno()))


def hashed(path: Path, threads: int = 1, *, with_sha256: bool = False) -> bytes:
    work = Slice([(str(path.parent), "", [path.name])], with_sha256, False, threads)
    answer = hash_slice(work)
    for _, failure in answer.failures:
        raise failure
    return answer.content + answer.sha256


def test_whole_windows_are_mapped_in_workers(large: Path) -> None:
    if in_worker(mapped, large) == 0:
        pytest.skip("this file system has no leases")
    assert in_worker(mapped, large) == 2 * WINDOW


def test_nothing_is_mapped_in_a_users_own_process(large: Path) -> None:
    assert mapped(large) == 0


def test_nothing_is_mapped_that_somebody_may_write_to(large: Path) -> None:
    with large.open("r+b"):
        assert in_worker(mapped, large) == 0


def _leases_of(path: Path) -> int:
    calls: list[object] = []
    original = leased._lease
    leased._lease = lambda file: calls.append(file) or original(file)  # type: ignore[assignment]
    try:
        mapped(path)
    finally:
        leased._lease = original
    return len(calls)


def test_no_lease_is_taken_on_a_file_without_a_window(tmp_path: Path, large: Path) -> None:
    small = tmp_path / "small"
    small.write_bytes(bytes(WINDOW // 64))
    assert in_worker(_leases_of, small) == 0
    assert in_worker(_leases_of, large) > 0


def test_mapped_read_and_written_to_files_have_one_digest(large: Path) -> None:
    content = large.read_bytes()
    expected = blake3(content).digest()
    assert in_worker(hashed, large) == hashed(large) == expected
    with large.open("r+b"):
        assert in_worker(hashed, large) == expected
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
        # As a worker, which a process of its own has for a parent.
        os.write(writing, hashed(path, 3))
        os._exit(0)
    return os.read(reading, 32)


def test_threads_of_blake3_are_of_the_process_that_hashes(large: Path) -> None:
    if in_worker(mapped, large) == 0:
        pytest.skip("this file system has no leases")
    assert in_worker(_hashed_in_a_fork, large) == blake3(large.read_bytes()).digest()
    assert in_worker(_threads_after_ten, large) < 10, "they end with the file"


def cutting(path: Path, size: int) -> subprocess.Popen[bytes]:
    """A process that cuts the file at `path`, once it may."""
    words = "import os, sys; os.truncate(sys.argv[1], int(sys.argv[2]))"
    return subprocess.Popen((sys.executable, "-c", words, str(path), str(size)))


def _cut_while_mapped(path: Path) -> tuple[bool, int, float]:
    """Whether whoever cuts the file had to wait, the size then, and for how long all took."""
    began = time.monotonic()
    with path.open("rb") as file:
        for window in windows(file.fileno()):
            cut = cutting(path, 0)
            time.sleep(0.3)
            waited = cut.poll() is None
            assert window[WINDOW - 1 :] == b"x"
            size = os.fstat(file.fileno()).st_size
        cut.wait(timeout=20)
    return waited, size, time.monotonic() - began


def test_file_cut_short_under_a_mapping(large: Path) -> None:
    if in_worker(mapped, large) == 0:
        pytest.skip("this file system has no leases")
    waited, size, seconds = in_worker(_cut_while_mapped, large)
    assert (waited, size) == (True, SIZE)
    # It is let go of after the window, and not when the system loses patience.
    assert seconds < 20
    assert large.stat().st_size == 0


def _hashed_while_cut(path: Path) -> bytes:
    original, begun = slices.windows, []

    def cut_between(file: int) -> Any:
        for window in original(file):
            yield window
            begun.append(cutting(path, 100))
            time.sleep(0.3)

    slices.windows = cut_between
    try:
        return hashed(path)
    finally:
        for cut in begun:
            cut.wait(timeout=20)


def test_file_cut_short_between_two_mappings(large: Path) -> None:
    with pytest.raises(InputError, match="changed while it was read"):
        in_worker(_hashed_while_cut, large)
