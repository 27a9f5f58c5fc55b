"""readers.files.hashing and slices: every file read once, and nothing that moved meanwhile."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from provreg.errors import InputError, StorageError
from provreg.executors.processes import LocalProcesses
from provreg.readers.files import hashing
from provreg.readers.files.hashing import hash_files, sizes_of, stat_files
from provreg.readers.files.safe_open import Descent
from provreg.readers.files.stats import STAT
from provreg.readers.files.walk import list_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from provreg.readers.files.walk import ByteRun

BUFFER = 1024 * 1024


def runs_of(root: Path, files: dict[str, bytes]) -> list[ByteRun]:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return list_samples([root]).runs


def numbered(count: int) -> dict[str, bytes]:
    return {f"{number % 7}/{number:05d}": b"%d" % number for number in range(count)}


def around_read(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[int, int], None], *, before: bool = False
) -> None:
    """Has `act(read number, descriptor)` happen around every read."""
    original = os.readv
    reads = 0

    def read(file: int, buffers: list[bytearray]) -> int:
        nonlocal reads
        if before:
            act(reads, file)
        got = original(file, buffers)
        if not before:
            act(reads, file)
        reads += 1
        return got

    monkeypatch.setattr(hashing.os, "readv", read)
    monkeypatch.setattr(hashing, "read_small", None)


class Watched:
    """Works in this process, whatever is asked for, and keeps what was."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.most: list[int | None] = []

    def map(self, function: Any, specs: Any, *, most: int | None = None) -> Iterator[Any]:
        self.most.append(most)
        return map(function, specs)


@pytest.mark.parametrize(
    ("workers", "threads"), [(1, [1, 1, 1, 1]), (2, [1, 1, 1, 2]), (5, [1, 1, 2, 5]), (64, [8] * 4)]
)
def test_cores_without_a_file_of_their_own_help_with_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, threads: list[int]
) -> None:
    asked: list[int] = []
    hash_slice = hashing.hash_slice

    def counted(work: hashing.HashSlice) -> hashing.SliceHashes:
        asked.append(work.threads)
        return hash_slice(work)

    monkeypatch.setattr(hashing, "hash_slice", counted)
    monkeypatch.setattr(hashing, "_FEW_BYTES", 1)
    monkeypatch.setattr(hashing, "_MOST_BYTES", 1)
    files = {str(number): b"large" for number in range(4)}
    assert len(hash_files(runs_of(tmp_path, files), executor=Watched(workers)).content) == 4 * 32
    assert asked == threads


@pytest.mark.parametrize("workers", [1, 2])
def test_digests_come_in_the_order_of_the_ids(tmp_path: Path, workers: int) -> None:
    files = numbered(1500)
    hashes = hash_files(
        runs_of(tmp_path, files), executor=LocalProcesses(workers), with_sha256=True
    )
    expected = [files[name] for name in sorted(files)]
    assert hashes.content == b"".join(blake3(data).digest() for data in expected)
    assert hashes.sha256 == b"".join(hashlib.sha256(data).digest() for data in expected)
    assert sizes_of(hashes.stats).tolist() == [len(data) for data in expected]
    assert hashes.failures == {}


@settings(max_examples=15, deadline=None)
@given(
    size=st.one_of(
        st.sampled_from([0, 1, BUFFER - 1, BUFFER, BUFFER + 1, 2 * BUFFER, 3 * BUFFER + 7]),
        st.integers(0, 3 * BUFFER),
    )
)
def test_any_size_has_the_digest_of_its_bytes(
    tmp_path_factory: pytest.TempPathFactory, size: int
) -> None:
    data = b"\x5a\xa5\x01" * (size // 3 + 1)
    runs = runs_of(tmp_path_factory.mktemp("size"), {"x": data[:size]})
    hashes = hash_files(runs, executor=LocalProcesses(1), with_sha256=True)
    assert hashes.content == blake3(data[:size]).digest()
    assert hashes.sha256 == hashlib.sha256(data[:size]).digest()


def test_nothing_to_hash_is_nothing() -> None:
    hashes = hash_files([], executor=LocalProcesses(2))
    assert (
        hashes.content
        == hashes.sha256
        == hashes.stats
        == stat_files([], executor=LocalProcesses(2))
        == b""
    )


def test_stats_are_those_of_the_files(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, {"a": b"x", "b/c": b"yy"})
    os.utime(tmp_path / "a", ns=(0, -1_500_000_000))
    stats = stat_files(runs, executor=LocalProcesses(1))
    for row, name in zip(STAT.iter_unpack(stats), ("a", "b/c"), strict=True):
        found = (tmp_path / name).stat()
        assert row[:3] == (found.st_dev, found.st_ino, found.st_size)
        assert row[3:] == (found.st_mtime_ns, found.st_ctime_ns)
    assert hash_files(runs, executor=LocalProcesses(1)).stats == stats
    (tmp_path / "a").unlink()
    os.mkfifo(tmp_path / "a")
    (tmp_path / "b/c").unlink()
    assert stat_files(runs, executor=LocalProcesses(1)) == bytes(2 * STAT.size)


def test_stats_of_many_files_in_processes_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(tmp_path, numbered(300))
    alone = stat_files(runs, executor=LocalProcesses(2))
    monkeypatch.setattr(hashing, "_FEW_STATS", 10)
    monkeypatch.setattr(hashing, "_STATS_A_SPEC", 17)
    assert stat_files(runs, executor=LocalProcesses(2)) == alone


def test_few_small_files_start_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Watched(2)
    runs = runs_of(tmp_path, numbered(10))
    hash_files(runs, executor=executor)
    assert executor.most[-1] == 1
    monkeypatch.setattr(hashing, "_FEW_BYTES", 5)
    hash_files(runs, executor=executor)
    assert executor.most[-1] is None


def test_progress_ends_at_everything_and_is_told_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(tmp_path, numbered(200))
    monkeypatch.setattr(hashing, "_MOST_FILES", 1)
    monkeypatch.setattr(hashing, "_FIRST_FILES", 1)
    told: list[tuple[int, int]] = []
    hash_files(runs, executor=LocalProcesses(1), progress=lambda *done: told.append(done))
    assert told[-1] == (200, sum(len(data) for data in numbered(200).values()))
    assert len(told) < 20
    assert told == sorted(told)


def test_each_file_is_opened_once_and_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(tmp_path, {"a": b"x" * 100, "b": b"y" * 100})
    reads: list[int] = []
    around_read(monkeypatch, lambda number, file: reads.append(number))
    hash_files(runs, executor=LocalProcesses(1))
    assert reads == [0, 1]


def test_file_written_while_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = runs_of(tmp_path, {"a": b"a", "b": b"before"})

    def write(number: int, file: int) -> None:
        if number == 1:
            (tmp_path / "b").write_bytes(b"after!")

    around_read(monkeypatch, write)
    with pytest.raises(InputError, match="'b' changed while it was read") as caught:
        hash_files(runs, executor=LocalProcesses(1))
    assert caught.value.sample == "b"


def test_file_growing_without_end_while_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(tmp_path, {"log": b"x" * (2 * BUFFER)})

    def grow(number: int, file: int) -> None:
        assert number < 20, "the growing file is followed"
        with (tmp_path / "log").open("ab") as log:
            log.write(b"x" * (2 * BUFFER))

    around_read(monkeypatch, grow)
    with pytest.raises(InputError, match="'log' changed while it was read"):
        hash_files(runs, executor=LocalProcesses(1))


@pytest.mark.parametrize("size", [100, 3 * BUFFER])
def test_file_truncated_while_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    runs = runs_of(tmp_path, {"a": b"x" * size})
    around_read(monkeypatch, lambda number, file: os.truncate(tmp_path / "a", 10), before=True)
    with pytest.raises(InputError, match="'a' changed while it was read"):
        hash_files(runs, executor=LocalProcesses(1))


@pytest.mark.parametrize("announced", [0, 3, 3 * BUFFER])
def test_file_of_another_size_than_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, announced: int
) -> None:
    runs = runs_of(tmp_path, {"a": b"12345"})
    original = os.fstat

    def stat(file: int) -> os.stat_result:
        found = original(file)
        times = {"st_mtime_ns": found.st_mtime_ns, "st_ctime_ns": found.st_ctime_ns}
        return os.stat_result((*found[:6], announced, *found[7:]), times)

    monkeypatch.setattr(hashing.os, "fstat", stat)
    monkeypatch.setattr(hashing, "read_small", None)
    with pytest.raises(InputError, match="'a' changed while it was read"):
        hash_files(runs, executor=LocalProcesses(1))


def test_change_with_times_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = runs_of(tmp_path, {"a": b"before"})
    times = (tmp_path / "a").stat()

    def write(number: int, file: int) -> None:
        (tmp_path / "a").write_bytes(b"after!")
        os.utime(tmp_path / "a", ns=(times.st_atime_ns, times.st_mtime_ns))

    around_read(monkeypatch, write)
    with pytest.raises(InputError, match="changed"):
        hash_files(runs, executor=LocalProcesses(1))


def test_file_swapped_while_being_read_is_hashed_as_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(tmp_path, {"a": b"old"})

    def swap(number: int, file: int) -> None:
        (tmp_path / ".new").write_bytes(b"new")
        (tmp_path / ".new").rename(tmp_path / "a")

    around_read(monkeypatch, swap)
    # Replacing the name takes a link from the old file, which changes its ctime: seen and refused.
    with pytest.raises(InputError, match="changed while it was read"):
        hash_files(runs, executor=LocalProcesses(1))


@pytest.mark.parametrize("workers", [1, 2])
def test_failing_files_are_all_collected_and_the_rest_hashed(tmp_path: Path, workers: int) -> None:
    files = numbered(1200)
    runs = runs_of(tmp_path, files)
    names = sorted(files)
    gone = [0, 5, 700, 1199]
    for row in gone:
        (tmp_path / names[row]).unlink()
    hashes = hash_files(runs, executor=LocalProcesses(workers), collect=True, with_sha256=True)
    assert sorted(hashes.failures) == gone
    for row, error in hashes.failures.items():
        assert error.sample == names[row]
        assert "vanished" in error.message
    read = [name for row, name in enumerate(names) if row not in gone]
    for digest, found in ((blake3, hashes.content), (hashlib.sha256, hashes.sha256)):
        rows = [found[at : at + 32] for at in range(0, len(found), 32)]
        assert [rows[row] for row in gone] == [bytes(32)] * len(gone)
        assert [row for at, row in enumerate(rows) if at not in gone] == [
            digest(files[name]).digest() for name in read
        ]
    with pytest.raises(InputError, match=f"'{names[0]}' vanished"):
        hash_files(runs, executor=LocalProcesses(workers))


def failing_reads(monkeypatch: pytest.MonkeyPatch, number: int, times: int) -> list[float]:
    """Reads fail `times` times with an errno; returns how long was slept, without sleeping."""
    left = times

    def fail(_: int, file: int) -> None:
        nonlocal left
        if left:
            left -= 1
            raise OSError(number, os.strerror(number))

    slept: list[float] = []
    around_read(monkeypatch, fail, before=True)
    monkeypatch.setattr(hashing.time, "sleep", slept.append)
    return slept


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_disk_or_server_that_recovers_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    runs = runs_of(tmp_path, {"x/a": b"a"})
    slept = failing_reads(monkeypatch, number, 2)
    assert hash_files(runs, executor=LocalProcesses(1)).content == blake3(b"a").digest()
    assert len(slept) == 2


def test_folder_is_opened_again_after_a_server_lost_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(tmp_path, {"x/a": b"lost"})
    failing_reads(monkeypatch, errno.ESTALE, 1)

    def restart(_: float) -> None:
        (tmp_path / "x").rename(tmp_path / "stale")
        runs_of(tmp_path, {"x/a": b"back"})

    monkeypatch.setattr(hashing.time, "sleep", restart)
    assert hash_files(runs, executor=LocalProcesses(1)).content == blake3(b"back").digest()


def test_disk_that_keeps_failing_is_a_storage_error_naming_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(tmp_path, {"x/a": b"a", "x/b": b"b"})
    slept = failing_reads(monkeypatch, errno.EIO, 1000)
    with pytest.raises(StorageError, match=r"'x/a' cannot be read: .*error") as caught:
        hash_files(runs, executor=LocalProcesses(1))
    assert caught.value.sample == "x/a"
    assert len(slept) == 3


def test_server_that_is_gone_is_not_waited_for_once_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(tmp_path, numbered(30))
    slept = failing_reads(monkeypatch, errno.ESTALE, 10_000)
    hashes = hash_files(runs, executor=LocalProcesses(1), collect=True)
    assert len(hashes.failures) == 30
    assert sum(slept) < 5


def test_file_without_permission_is_named_and_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(tmp_path, {"a": b"a"})
    slept = failing_reads(monkeypatch, errno.EACCES, 1)
    with pytest.raises(InputError, match="'a' cannot be read: permission denied"):
        hash_files(runs, executor=LocalProcesses(1))
    assert slept == []


def test_descriptors_are_closed_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(tmp_path, numbered(50))
    before = sorted(path.name for path in Path("/proc/self/fd").iterdir())
    failing_reads(monkeypatch, errno.EIO, 40)
    hash_files(runs, executor=LocalProcesses(1), collect=True)
    assert sorted(path.name for path in Path("/proc/self/fd").iterdir()) == before


def test_failed_descent_leaves_the_right_folder_behind(tmp_path: Path) -> None:
    runs_of(tmp_path, {"a/x": b"", "top": b""})
    with Descent(str(tmp_path)) as descent:
        with pytest.raises(FileNotFoundError):
            descent.folder("a/missing")
        for path, name in (("", "top"), ("a", "x"), ("", "top")):
            assert name in os.listdir(descent.folder(path))  # noqa: PTH208
