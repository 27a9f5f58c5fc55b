"""Row memos: whole, private and for the key they were written for, or as good as none."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest
from blake3 import blake3

from provreg.store.private import row_memos
from provreg.store.private.row_memos import RowHashCache

KEY, OTHER = bytes(range(32)), bytes(32)
CONTENT = pa.array([bytes([row]) * 32 for row in range(5)], pa.binary(32))
SIZE = pa.array([10, 20, 30, 40, 50], pa.uint64())
CHUNKS = {0: b"a" * 32, 2: b"c" * 32}


@pytest.fixture
def memos(tmp_path: Path) -> RowHashCache:
    memos = RowHashCache(tmp_path)
    write(memos, KEY)
    return memos


def write(memos: RowHashCache, key: bytes) -> None:
    recorded = memos.recording(key)
    recorded.add(CONTENT.slice(0, 2), SIZE.slice(0, 2))
    recorded.add(CONTENT.slice(2), SIZE.slice(2))
    recorded.keep(99, CHUNKS)
    recorded.drop()


def file(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def test_what_was_recorded_is_known(memos: RowHashCache) -> None:
    memo = memos.get(KEY)
    assert memo is not None
    content, size = memo.digests(1, 3)
    assert content.equals(CONTENT.slice(1, 3))
    assert size.equals(SIZE.slice(1, 3))
    assert (memo.size, memo.chunks) == (99, CHUNKS)
    assert memos.get(OTHER) is None
    assert len(memo.digests(4, 9)[0]) == 1


def test_what_is_forgotten_is_not_known(memos: RowHashCache) -> None:
    memos.forget(KEY)
    memos.forget(KEY)
    assert memos.get(KEY) is None


def test_what_is_dropped_leaves_nothing(tmp_path: Path) -> None:
    recorded = RowHashCache(tmp_path).recording(KEY)
    recorded.add(CONTENT, SIZE)
    recorded.drop()
    assert list(tmp_path.iterdir()) == []


def test_truncated_or_forged_memo_is_discarded_whatever_byte_it_is(
    memos: RowHashCache, tmp_path: Path
) -> None:
    whole = file(tmp_path).read_bytes()
    for place in range(len(whole)):
        forged = bytearray(whole)
        forged[place] ^= 1
        file(tmp_path).write_bytes(forged)
        assert memos.get(KEY) is None
        assert list(tmp_path.iterdir()) == [], "it is not tried again"
        write(memos, KEY)
    for length in range(0, len(whole), 7):
        file(tmp_path).write_bytes(whole[:length])
        assert memos.get(KEY) is None
        memos.forget(KEY)
        write(memos, KEY)


def test_memo_with_counts_that_do_not_fit_is_discarded(memos: RowHashCache, tmp_path: Path) -> None:
    whole = file(tmp_path).read_bytes()
    for rows, chunks in ((6, 3), (2**63, 3), (5, 2**40), (0, 0)):
        end = row_memos._END.pack(row_memos._MAGIC, KEY, 99, rows, chunks)
        forged = whole[: -32 - len(end)] + end
        file(tmp_path).write_bytes(forged + blake3(forged).digest())
        assert memos.get(KEY) is None
        write(memos, KEY)


def test_memo_of_another_reading_is_discarded(memos: RowHashCache, tmp_path: Path) -> None:
    file(tmp_path).rename(tmp_path / OTHER.hex())
    assert memos.get(OTHER) is None


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o602, 0o620])
def test_memo_others_could_have_written_or_read_is_ignored(
    memos: RowHashCache, tmp_path: Path, mode: int
) -> None:
    file(tmp_path).chmod(mode)
    assert memos.get(KEY) is None


def test_memo_of_another_user_is_ignored(
    memos: RowHashCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert memos.get(KEY) is None


def test_memo_behind_a_link_is_ignored(memos: RowHashCache, tmp_path: Path) -> None:
    elsewhere = file(tmp_path).rename(tmp_path / "elsewhere")
    (tmp_path / KEY.hex()).symlink_to(elsewhere)
    assert memos.get(KEY) is None


def test_memo_is_private(memos: RowHashCache, tmp_path: Path) -> None:
    assert memos.get(KEY) is not None
    assert file(tmp_path).stat().st_mode & 0o777 == 0o600


def test_memos_are_bounded_and_the_longest_unused_goes_first(
    memos: RowHashCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = file(tmp_path).stat().st_size
    monkeypatch.setattr(row_memos, "_MOST_BYTES", 2 * size)
    write(memos, b"2" * 32)
    for number, key in enumerate((b"2" * 32, KEY)):
        os.utime(tmp_path / key.hex(), (number, number))
    assert memos.get(b"2" * 32) is not None, "which makes it the one used last"
    write(memos, b"3" * 32)
    assert memos.get(KEY) is None
    assert memos.get(b"2" * 32) is not None
    assert memos.get(b"3" * 32) is not None


def test_memo_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    memos = RowHashCache(tmp_path / "gone")
    write(memos, KEY)
    assert memos.get(KEY) is None
    memos.forget(KEY)


def test_disk_that_fills_up_is_no_error(memos: RowHashCache, tmp_path: Path) -> None:
    memos.forget(KEY)
    recorded = memos.recording(KEY)
    recorded._file.close()
    with Path("/dev/full").open("wb", buffering=0) as recorded._file:
        recorded.add(CONTENT, SIZE)
        recorded.keep(99, CHUNKS)
    assert list(tmp_path.iterdir()) == []
