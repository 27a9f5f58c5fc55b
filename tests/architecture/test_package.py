"""What is handed to users: the contents of the wheel and of the source distribution."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from provreg.core.rows.row_hash import hash_short
from provreg.readers.files.stats import fstats

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution of this tree."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    result = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder


def test_wheel_holds_the_whole_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "provreg").rglob("*")
        if path.is_file() and path.parent.name != "__pycache__" and path.suffix not in {".c", ".so"}
    }
    compiled = {"provreg/_native/lanes.abi3.so"} if hash_short is not None else set()
    compiled |= {"provreg/_native/files.abi3.so"} if fstats is not None else set()
    assert "provreg/py.typed" in files
    assert {name for name in names if ".dist-info/" not in name} == files | compiled
    assert wheel.name.endswith("-none-any.whl") == (not compiled)
    assert any(name.endswith(".dist-info/entry_points.txt") for name in names)


def test_source_distribution_holds_what_its_tests_need(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    folders = {Path(name).parts[1] for name in names}
    needed = {"provreg", "tests", "schemas", "docs", ".ci", "pyproject.toml", "README.md"}
    assert needed <= folders
    assert not {".git", ".venv", ".hypothesis"} & folders
    assert not [name for name in names if name.endswith(".so")]
