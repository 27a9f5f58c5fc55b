"""Files read through the digests of their chunks: exactly their bytes, or an error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provreg.readers.tables.parquet import checked_file
from provreg.readers.tables.parquet.checked_file import ChangedError, CheckedFile, FileChunks

CHUNK = 100
DATA = bytes(range(256)) * 20


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked_file, "CHUNK", CHUNK)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


def all_of(path: Path, chunks: FileChunks, *, size: int = len(DATA)) -> bytes:
    with path.open("rb") as stream:
        return CheckedFile(stream, size, chunks).read().to_pybytes()


@pytest.mark.parametrize("start", [0, 1, 99, 100, 101, 5000, len(DATA) - 1, len(DATA), 9999])
@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 1500, 2000, -1, 2**62])
def test_any_range_is_read_as_it_stands(path: Path, start: int, size: int) -> None:
    with path.open("rb") as stream:
        file = CheckedFile(stream, len(DATA), FileChunks(len(DATA)))
        file.seek(start)
        expected = DATA[start : None if size < 0 else start + size]
        assert file.read(size).to_pybytes() == expected
        assert file.tell() == start + len(expected)


def test_seeking_is_from_the_beginning_the_place_or_the_end(path: Path) -> None:
    with path.open("rb") as stream:
        file = CheckedFile(stream, len(DATA), FileChunks(len(DATA)))
        assert file.seek(10) == 10
        assert file.seek(5, os.SEEK_CUR) == 15
        assert file.seek(-5, os.SEEK_END) == len(DATA) - 5
        assert file.read().to_pybytes() == DATA[-5:]


@pytest.mark.parametrize("place", [0, 99, 100, 1600, 2600, 4000, len(DATA) - 1])
def test_any_changed_chunk_is_noticed_by_whichever_thread_hashes_it(path: Path, place: int) -> None:
    noted = FileChunks(len(DATA))
    assert all_of(path, noted) == DATA
    assert sorted(noted.digests) == list(range(-(-len(DATA) // CHUNK)))
    assert all_of(path, FileChunks(len(DATA), noted.digests)) == DATA
    changed = bytearray(DATA)
    changed[place] ^= 1
    path.write_bytes(changed)
    with pytest.raises(ChangedError):
        all_of(path, FileChunks(len(DATA), noted.digests))


def test_file_that_is_shorter_than_it_was_is_noticed(path: Path) -> None:
    os.truncate(path, len(DATA) - 1)
    with pytest.raises(ChangedError):
        all_of(path, FileChunks(len(DATA)))


def test_chunk_that_changes_between_two_reads_is_noticed_the_first_time_too(path: Path) -> None:
    noted = FileChunks(len(DATA))
    with path.open("rb") as stream:
        file = CheckedFile(stream, len(DATA), noted)
        file.read(10)
        file.seek(500)
        file.read(10)
        path.write_bytes(bytes(len(DATA)))
        file.seek(0)
        with pytest.raises(ChangedError):
            file.read(10)


def test_chunk_that_was_not_read_when_the_others_were_is_a_change(path: Path) -> None:
    noted = FileChunks(len(DATA))
    all_of(path, noted)
    for missing in noted.digests:
        known = {number: digest for number, digest in noted.digests.items() if number != missing}
        with pytest.raises(ChangedError):
            all_of(path, FileChunks(len(DATA), known))
    with pytest.raises(ChangedError):
        all_of(path, FileChunks(len(DATA), {}))


def test_file_of_another_size_is_a_change_though_all_chunks_are_known(path: Path) -> None:
    noted = FileChunks(len(DATA))
    all_of(path, noted)
    os.truncate(path, 10 * CHUNK)
    with pytest.raises(ChangedError):
        all_of(path, FileChunks(len(DATA), noted.digests), size=10 * CHUNK)
