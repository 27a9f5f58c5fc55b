"""One digest over names and stats."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from provreg.executors.processes import LocalProcesses
from provreg.readers.files.stats import Fingerprint, fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def take(*paths: Path, workers: int = 2, leave_out: tuple[Path, ...] = ()) -> Fingerprint | None:
    return fingerprint_of(paths, leave_out=leave_out, executor=LocalProcesses(workers))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """More folders than are found before their contents are shared out."""
    for number in range(40):
        folder = tmp_path / "data" / f"f{number:02d}" / "deep"
        folder.mkdir(parents=True)
        (folder / "a").write_bytes(b"%d" % number)
        (folder.parent / "b").write_bytes(b"")
    return tmp_path / "data"


def test_untouched_files_have_the_same_fingerprint(tree: Path) -> None:
    first = take(tree)
    assert first is not None
    assert first == take(tree)
    assert first.devices == {tree.stat().st_dev}
    assert first.touched == max(path.stat().st_ctime_ns for path in tree.rglob("[ab]"))


@pytest.mark.parametrize("place", ["f00/deep", "f39", ""])
@pytest.mark.parametrize(
    "touch",
    [
        lambda folder: (folder / "new").write_bytes(b""),
        lambda folder: (folder / "empty").mkdir(),
        lambda folder: os.utime(next(one for one in folder.rglob("*") if one.is_file()), (1, 1)),
        lambda folder: next(one for one in folder.rglob("*") if one.is_file()).unlink(),
    ],
    ids=["file", "folder", "time", "removed"],
)
def test_what_was_touched_has_another_fingerprint(
    tree: Path, place: str, touch: Callable[[Path], object]
) -> None:
    before = take(tree)
    touch(tree / place)
    assert take(tree) != before


def test_the_same_files_elsewhere_have_another_fingerprint(tree: Path) -> None:
    before = take(tree)
    tree.rename(tree.with_name("elsewhere"))
    assert take(tree.with_name("elsewhere")) != before


@pytest.mark.parametrize("place", ["", "f00", "f39/deep"])
@pytest.mark.parametrize("special", ["link", "pipe"])
def test_special_files_have_no_fingerprint(tree: Path, place: str, special: str) -> None:
    path = tree / place / "special"
    if special == "link":
        path.symlink_to(tree / "f01/b")
    else:
        os.mkfifo(path)
    assert take(tree) is None


def test_names_are_told_from_their_places(tmp_path: Path) -> None:
    """Files of one inode, so that only names differ."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "ab").write_bytes(b"")
    before = take(folder)
    (folder / "ab").rename(folder / "a")
    assert take(folder) != before


def test_what_is_left_out_is_not_looked_at(tree: Path) -> None:
    before = take(tree, leave_out=(tree / "f00", tree / "f39/deep"))
    (tree / "f00/link").symlink_to("b")
    (tree / "f39/deep/a").write_bytes(b"other")
    assert before is not None
    assert take(tree, leave_out=(tree / "f00", tree / "f39/deep")) == before


def test_several_paths_and_single_files_have_a_fingerprint(tree: Path) -> None:
    before = take(tree / "f00/b", tree / "f01")
    assert before is not None
    (tree / "f00/b").write_bytes(b"other")
    assert take(tree / "f00/b", tree / "f01") != before


def test_what_is_gone_or_too_deep_has_no_fingerprint(tree: Path) -> None:
    assert take(tree / "nowhere") is None
    deep = tree
    for _ in range(250):
        deep = deep / "d"
    os.makedirs(deep)  # noqa: PTH103 - Path.mkdir recurses
    assert take(tree) is None


@pytest.mark.parametrize("place", ["f39", "f00/deep"])
def test_a_folder_that_was_away_and_came_back_is_told(tree: Path, place: str) -> None:
    """Its files keep their times: what was read meanwhile lacked them."""
    before = take(tree)
    (tree / place).rename(tree.parent / "away")
    (tree.parent / "away").rename(tree / place)
    assert take(tree) != before
