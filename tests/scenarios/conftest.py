"""People at their own machines, who type commands and share a registry."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import run_command

ROOT = Path(__file__).resolve().parents[2]
REAL_DATA = ROOT.parent / "shared/data"


@dataclass(frozen=True)
class Ran:
    """What a command printed."""

    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Person:
    """Somebody with a home of their own, who works in `folder` with the shared registry."""

    name: str
    folder: Path
    registry: Path

    def __call__(self, line: str, *, code: int = 0) -> Ran:
        """Types `provreg LINE`, and expects this exit code."""
        ran = run_command(shlex.split(line), folder=self.folder, environment=self.environment)
        out, err = ran.stdout.decode(), ran.stderr.decode()
        assert ran.returncode == code, f"$ provreg {line}\n{out}{err}"
        return Ran(out, err)

    def python(self, line: str, *, code: int = 0, seconds: int = 100) -> Ran:
        """Types `python LINE`, and expects this exit code."""
        ran = subprocess.run(
            [sys.executable, *shlex.split(line)],
            cwd=self.folder,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        assert ran.returncode == code, f"$ python {line}\n{ran.stdout}{ran.stderr}"
        return Ran(ran.stdout, ran.stderr)

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        return inherited | {
            "HOME": str(self.folder.parent),
            "LANG": "C.UTF-8",
            # PyTorch's threads wait for each other spinning, on cores that other tests need.
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            "PROVREG_REGISTRY": str(self.registry),
        }

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def key(self) -> str:
        """Their public key's file; the private one is `my.key`."""
        if not (self.folder / "my.key").exists():
            self("key generate --out my.key --no-passphrase --quiet")
        return str(self.folder / "my.key.pub")

    def trusts(self, *others: Person) -> None:
        """Writes a policy that lets these publish everything."""
        lines = ['format = "provreg.policy/v1"']
        for other in others:
            key = Path(other.key()).read_text("utf-8")
            lines += ["[[principal]]", f"name = '{other.name}'", f"keys = ['''{key}''']"]
        names = [other.name for other in others]
        lines += ["[[publish]]", "datasets = ['*']", f"principals = {names}"]
        self.write("provreg.policy.toml", "\n".join(lines))


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tmp_path / "shared/registry"


@pytest.fixture
def person(tmp_path: Path, registry: Path) -> Callable[[str], Person]:
    """Makes people; the first makes the registry."""

    def make(name: str) -> Person:
        folder = tmp_path / name / "work"
        folder.mkdir(parents=True, mode=0o700)
        somebody = Person(name, folder, registry)
        if not registry.exists():
            somebody(f"init {registry} --quiet")
        return somebody

    return make


def real_data(name: str) -> Path:
    path = REAL_DATA / name
    if not path.exists():
        pytest.skip(f"needs ../shared/data/{name}")
    return path


@pytest.fixture(scope="session")
def toolformer() -> Path:
    """The folder of the five versions of a table, as JSON under xz."""
    return real_data("toolformer")


@pytest.fixture(scope="session")
def cifar10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10 as `train/<class>/<number>.jpg`, 50,000 files, and `test/`."""
    folder = tmp_path_factory.mktemp("cifar10")
    with tarfile.open(real_data("cifar10-jpeg.tar.xz")) as archive:
        archive.extractall(folder, filter="data")
    return folder
