"""What every group of lines gets: sizes, folders, data and references."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import CHECKOUT, Home, run, task
from benchmarks.references import References

_CIFAR = CHECKOUT.parent / "shared" / "data" / "cifar10-jpeg.tar.xz"
# Registries made by other code may have another format: they are made anew when these change.
_FORMAT_CODE = ("provreg/core", "provreg/store")


@dataclass(frozen=True, slots=True)
class Bench:
    """`cache` keeps data and references between runs, `scratch` is emptied at the end of one."""

    cache: Path
    scratch: Path
    references: References
    small: bool
    rounds: int

    def size(self, full: int, small: int) -> int:
        return small if self.small else full

    def home(self, name: str) -> Home:
        """An empty registry for one comparison."""
        home = Home(self.scratch / name)
        home.clear()
        return home

    def data(self, kind: str, *arguments: object) -> Path:
        """What the task `make_KIND` makes at its first argument, made once and kept."""
        name = "-".join([kind, *map(str, arguments)])
        return self._once(self.cache / "data" / name, kind, *arguments)

    def registry(self, entries: int, *changes: int) -> Home:
        """A registry of one dataset, `data`, of `entries` entries, whose further versions relabel
        as many entries each as `changes` says; the same for everyone who asks."""
        name = "-".join(map(str, ("registry", entries, *changes)))
        home = Home(self.cache / "registries" / _code_digest() / name)

        def make(_: Path) -> None:
            home.clear()
            run(home.task("make_versions", home.registry, home.key, entries, *changes))

        self._made(home.folder, make)
        return home

    def cifar(self) -> Path | None:
        """The 60,000 JPEGs of CIFAR-10 as folders `train/CLASS`, or None where they are not."""
        if not _CIFAR.exists() or self.small:
            return None

        def unpack(folder: Path) -> None:
            with tarfile.open(_CIFAR) as archive:
                archive.extractall(folder, filter="data")

        return self._made(self.cache / "data" / "cifar10", unpack)

    def _once(self, path: Path, kind: str, *arguments: object) -> Path:
        return self._made(path, lambda to: run(task(f"make_{kind}", to, *arguments)))

    def _made(self, path: Path, make: Callable[[Path], object]) -> Path:
        done = path.with_name(path.name + ".made")
        if not done.exists():
            shutil.rmtree(path, ignore_errors=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path)
            done.touch()
        return path


def _code_digest() -> str:
    found = hashlib.sha256()
    for folder in _FORMAT_CODE:
        for file in sorted((CHECKOUT / folder).glob("*.py")):
            found.update(file.read_bytes())
    return found.hexdigest()[:12]
