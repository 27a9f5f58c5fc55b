"""What C code asks of files, against the same in Python."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from sanitized import COMPILER, run_sanitized

from provreg.readers.files import hashing, stats
from provreg.readers.files.hashing import HashSlice, hash_slice
from provreg.readers.files.safe_open import READ_FILE
from provreg.readers.files.stats import STAT, nul_terminated, stats_in

compiled = pytest.mark.skipif(stats.fstats is None, reason="needs a C compiler: not compiled")


@pytest.fixture(params=["compiled", "in Python"])
def folder(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every kind of file; its stats are taken in both ways."""
    if request.param == "in Python":
        monkeypatch.setattr(stats, "fstats", None)
    elif stats.fstats is None:
        pytest.skip("needs a C compiler: not compiled")
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / os.fsdecode(b"\xff \n\xc3\xa4")).write_bytes(b"")
    (tmp_path / ("n" * 255)).write_bytes(b"1")
    os.utime(tmp_path / "file", ns=(1, -1_500_000_001))
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def _taken(folder: Path, names: list[str]) -> list[tuple[int, ...]]:
    opened = os.open(folder, os.O_RDONLY)
    try:
        return list(STAT.iter_unpack(stats_in(opened, nul_terminated(names))))
    finally:
        os.close(opened)


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
def test_stats_are_compiled_where_there_is_a_compiler() -> None:
    assert stats.fstats is not None


def test_every_file_has_its_stat(folder: Path) -> None:
    names = ["file", os.fsdecode(b"\xff \n\xc3\xa4"), "n" * 255] * 2
    expected = []
    for name in names:
        one = (folder / name).stat()
        times = (one.st_mtime_ns, one.st_ctime_ns)
        expected.append((one.st_dev, one.st_ino, one.st_size, *times))
    assert expected[0][3] == -1_500_000_001
    assert _taken(folder, names) == expected


def test_what_is_no_regular_file_has_none(folder: Path) -> None:
    names = ["gone", "link", "folder", "pipe", "", ".", "n" * 256, "file/below"]
    found = _taken(folder, [*names, "file"])
    assert found[:-1] == [(0, 0, 0, 0, 0)] * len(names)
    assert found[-1][2] == 5


def test_no_files_have_no_stats(folder: Path) -> None:
    assert _taken(folder, []) == []


def test_a_name_that_is_two_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="null"):
        _taken(folder, ["file\0file"])


@compiled
@pytest.mark.parametrize("names", [b"file", b"file\0other"])
def test_a_name_that_does_not_end_is_refused(names: bytes) -> None:
    with pytest.raises(ValueError, match="does not end"):
        stats.fstats(0, names)


def _read(folder: Path, name: str, room: int = 64) -> tuple[bytes, tuple[int, ...]] | None:
    """What `read_small` gives: (the bytes of the file, its stat)."""
    assert hashing.read_small is not None
    buffer = bytearray(b"x" * room)
    opened = os.open(folder, os.O_RDONLY)
    try:
        found = hashing.read_small(opened, name, READ_FILE, buffer)
    finally:
        os.close(opened)
    return found and (bytes(buffer[: found[0]]), STAT.unpack(found[1]))


@compiled
@pytest.mark.parametrize("size", [0, 1, 5, 63])
def test_a_small_file_is_read_with_its_stat(folder: Path, size: int) -> None:
    (folder / "small").write_bytes(bytes(range(size)))
    found = _read(folder, "small")
    assert found is not None
    assert found == (bytes(range(size)), _taken(folder, ["small"])[0])


@compiled
@pytest.mark.parametrize("name", ["large", "full", "gone", "link", "folder", "pipe", "", "file/x"])
def test_what_is_no_small_file_is_left_to_others(folder: Path, name: str) -> None:
    (folder / "large").write_bytes(bytes(1000))
    (folder / "full").write_bytes(bytes(64))
    assert _read(folder, name) is None


@compiled
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="not macOS: needs /proc")
def test_a_file_that_holds_more_than_its_stat_says_stays_within_the_buffer() -> None:
    assert Path("/proc/self/status").stat().st_size == 0
    assert _read(Path("/proc/self"), "status") is None


@compiled
def test_small_files_that_are_written_meanwhile_are_whole_or_left_to_others(tmp_path: Path) -> None:
    """The bytes read are as many as the stat says, however often the file is cut and grows."""
    (tmp_path / "file").write_bytes(b"")
    stop = threading.Event()

    def write() -> None:
        with open(tmp_path / "file", "r+b", buffering=0) as file:
            while not stop.is_set():
                file.write(bytes(7))
                if file.tell() > 3000:
                    file.seek(0)
                    file.truncate()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = [_read(tmp_path, "file", 4096) for _ in range(2000)]
    finally:
        stop.set()
        writer.join()
    whole = [one for one in found if one is not None]
    assert all(len(data) == stat[2] for data, stat in whole)
    assert not any(data.strip(b"\0") for data, _ in whole)


@compiled
def test_files_are_hashed_alike_with_and_without_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("link", "pipe"):
        (folder / name).unlink()
    (folder / "large").write_bytes(bytes(300_000))
    (folder / "full").write_bytes(bytes(hashing._BUFFER))
    work = HashSlice(
        [(str(folder), "", ["file", "large", "full"])], with_sha256=True, collect=False
    )
    fast = hash_slice(work)
    monkeypatch.setattr(hashing, "read_small", None)
    assert hash_slice(work) == fast
    assert not fast.failures


@pytest.mark.long
@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
def test_stats_read_and_write_nothing_that_is_not_theirs(tmp_path: Path) -> None:
    """The tests of this file with a build that ends at the first wrong access."""
    numbers = Path(__file__).with_name("test_pages.py")
    run_sanitized(tmp_path, "_native/files.c", [Path(__file__), numbers])
