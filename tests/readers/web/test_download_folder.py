"""The folder of downloads: whole files, and nobody else's touched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from provreg.errors import InputError, StorageError
from provreg.readers.web.download_folder import DownloadFolder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[DownloadFolder]:
    with DownloadFolder(tmp_path / "deep/downloads") as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path, folder: DownloadFolder) -> Path:
    return tmp_path / "deep/downloads"


def put(folder: DownloadFolder, sample: str, data: bytes, *ours: bytes) -> None:
    with folder.begin(sample) as file:
        file.write(data)
    folder.keep(sample, ours=frozenset(blake3(one).digest() for one in (data, *ours)))


def files(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_a_file_gets_its_name_when_it_is_whole(folder: DownloadFolder, path: Path) -> None:
    with folder.begin("a/b/c.jpg") as file:
        file.write(b"half")
        assert set(files(path)) == {"a/b/.c.jpg.part"}
        assert folder.size("a/b/c.jpg") is None
    folder.keep("a/b/c.jpg", ours=frozenset())
    assert files(path) == {"a/b/c.jpg": b"half"}
    assert folder.size("a/b/c.jpg") == 4
    assert folder.size("other/x") is None


def test_what_is_discarded_leaves_nothing(folder: DownloadFolder, path: Path) -> None:
    with folder.begin("x") as file:
        file.write(b"half")
    folder.discard("x")
    assert files(path) == {}


def test_what_is_not_whole_when_the_folder_is_closed_is_gone(tmp_path: Path) -> None:
    with DownloadFolder(tmp_path / "a") as folder:
        put(folder, "b/whole", b"1")
        folder.begin("b/half").close()
    assert files(tmp_path / "a") == {"b/whole": b"1"}


def test_what_a_crash_left_is_begun_anew(folder: DownloadFolder, path: Path) -> None:
    (path / ".x.part").write_bytes(b"left over, and longer")
    put(folder, "x", b"whole")
    assert files(path) == {"x": b"whole"}


def test_a_file_of_somebody_else_is_not_replaced(folder: DownloadFolder, path: Path) -> None:
    (path / "x").write_bytes(b"a thesis")
    with pytest.raises(InputError, match="not as it was downloaded") as caught:
        put(folder, "x", b"new")
    assert caught.value.sample == "x"
    assert files(path) == {"x": b"a thesis"}
    put(folder, "x", b"new", b"a thesis")
    put(folder, "x", b"new")
    assert files(path) == {"x": b"new"}


def test_planted_links_lead_no_download_out_of_the_folder(
    folder: DownloadFolder, path: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_bytes(b"precious")
    (path / "a").symlink_to(outside)
    for sample in ("a/new", "a/victim"):
        with pytest.raises(StorageError, match=f"'{sample}' cannot be written"):
            folder.begin(sample)
        with pytest.raises(StorageError):
            folder.size(sample)
    (path / "victim").symlink_to(outside / "victim")
    assert folder.size("victim") is None
    with pytest.raises(StorageError):
        put(folder, "victim", b"evil")
    (path / ".x.part").symlink_to(outside / "victim")
    put(folder, "x", b"evil")
    os.link(outside / "victim", path / ".y.part")
    put(folder, "y", b"evil")
    assert files(outside) == {"victim": b"precious"}


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_planted_pipe_or_folder_stands_in_the_way_and_holds_up_nothing(
    folder: DownloadFolder, path: Path, make: object
) -> None:
    make(path / "x")  # type: ignore[operator]
    assert folder.size("x") is None
    with pytest.raises(StorageError):
        put(folder, "x", b"new")


def test_a_file_cannot_be_the_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be the folder of downloads"):
        DownloadFolder(tmp_path / "x")
