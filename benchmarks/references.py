"""The programs we are measured against: found, or installed once into the cache, or done without.

Whatever cannot be had is skipped with a word (`missing`), never replaced by something slower.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

# Each in an environment of its own: they want other versions of what we use.
_PACKAGES = {
    "dvc": ("dvc",),
    "model_signing": ("model-signing", "pyOpenSSL"),
    "doltlite": ("doltlite",),
}
_PROBES = {
    "dvc": ("bin/dvc", "--version"),
    "model_signing": ("bin/model_signing", "--version"),
    # It takes the place of the SQLite library, which some builds of Python have linked in.
    "doltlite": ("bin/python", "-c", "import doltlite, sqlite3; print(doltlite.__version__)"),
}
_FROM_SYSTEM = {"b3sum": "apt-get install b3sum"}
_MODULES = {"torch": "extra torch", "PIL": "pillow", "webdataset": "extra webdataset"}


@dataclass(slots=True)
class References:
    """`missing` fills as references are asked for; `install` False asks for none of them."""

    cache: Path
    install: bool
    missing: dict[str, str] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether a program, a module or a reference with an environment of its own is there."""
        if name in _PACKAGES:
            return self.environment(name) is not None
        if name in _MODULES:
            return self._has_module(name)
        return self.program(name) is not None

    def _has_module(self, name: str) -> bool:
        if find_spec(name) is None:
            self.missing[name] = f"not installed ({_MODULES[name]})"
            return False
        return True

    def program(self, name: str) -> str | None:
        """The path of a program of the system."""
        found = shutil.which(name)
        if found is None:
            self.missing[name] = f"not installed ({_FROM_SYSTEM.get(name, name)})"
        return found

    def environment(self, name: str) -> Path | None:
        """The virtual environment with a reference in it."""
        if name in self.missing:
            return None
        folder = self.cache / "references" / name
        if _works(folder, _PROBES[name]):
            return folder
        if not self.install:
            self.missing[name] = "not asked for"
            return None
        for python in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
            if python is not None and self._installed(python, folder, name):
                self.missing.pop(name, None)
                return folder
        return None

    def _installed(self, python: str, folder: Path, name: str) -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        steps = (
            [python, "-m", "venv", str(folder)],
            [str(folder / "bin" / "pip"), "install", "--quiet", *_PACKAGES[name]],
        )
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode:
                self.missing[name] = f"cannot be installed: {done.stderr.strip()[-200:]}"
                return False
        if not _works(folder, _PROBES[name]):
            self.missing[name] = f"does not run with {python}"
            return False
        return True


def version(command: Sequence[str]) -> str:
    """The first line a program says of its version, empty where it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (done.stdout.strip().splitlines() or [""])[0]


def probe(folder: Path, name: str) -> str:
    """The version of a reference in its environment."""
    program, *rest = _PROBES[name]
    return version([str(folder / program), *rest])


def _works(folder: Path, words: Sequence[str]) -> bool:
    program, *rest = words
    command = [str(folder / program), *rest]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
