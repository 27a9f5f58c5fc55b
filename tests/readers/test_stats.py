"""Stats of many files: as `os.stat` gives them one by one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from provreg.readers import stats
from provreg.readers.stats import STAT, stats_in

SOURCE = Path(__file__).parents[2] / "provreg" / "readers" / "fstats.c"
HEADERS = Path(sysconfig.get_path("include"))
COMPILER = shutil.which("cc") if (HEADERS / "Python.h").is_file() else None


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
        return list(STAT.iter_unpack(stats_in(opened, names)))
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


@pytest.mark.skipif(stats.fstats is None, reason="needs a C compiler: not compiled")
@pytest.mark.parametrize("names", [b"file", b"file\0other"])
def test_a_name_that_does_not_end_is_refused(names: bytes) -> None:
    with pytest.raises(ValueError, match="does not end"):
        stats.fstats(0, names)


@pytest.mark.long
@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")
def test_stats_read_and_write_nothing_that_is_not_theirs(tmp_path: Path) -> None:
    """The tests of this file with a build that ends at the first wrong access."""
    package = tmp_path / "provreg"
    shutil.copytree(SOURCE.parents[1], package, ignore=shutil.ignore_patterns("*.so"))
    built = package / "readers" / "fstats.abi3.so"
    build = [COMPILER, "-O1", "-g", "-shared", "-fPIC", "-fsanitize=address,undefined",
             "-fno-sanitize-recover=all", f"-I{HEADERS}", SOURCE, "-o", built]  # fmt: skip
    subprocess.run(build, check=True)
    runtime = subprocess.run(
        [COMPILER, "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    ).stdout.strip()
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1",
        "LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0",
    }  # fmt: skip
    for code in (f"from provreg.readers import fstats; assert fstats.__file__ == {str(built)!r}",
                 f"import pytest; exit(pytest.main(['-q', {__file__!r}]))"):  # fmt: skip
        command = [sys.executable, "-c", code]
        subprocess.run(command, check=True, env=environment, cwd=SOURCE.parents[2])
