"""What every group of lines gets: sizes, folders, data and references."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import CHECKOUT, Home, run, task
from benchmarks.references import References

CIFAR10 = "cifar10"
_CIFAR = CHECKOUT.parent / "shared" / "data" / "cifar10-jpeg.tar.xz"
# Registries made by other code may be of another format: they are made anew when these change.
_MADE_BY = (
    *(f"provreg/{name}.py" for name in (
        "core/manifest/entry", "core/manifest/leaf", "core/manifest/tree", "store/layout",
        "store/private/mapped_parts", "store/registry/parts")),
    "benchmarks/tasks/make_versions.py",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Files:
    """A folder of `count` files of `size` bytes each."""

    folder: Path
    count: int
    size: int

    def __str__(self) -> str:
        units = ((10**9, "GB"), (10**6, "MB"), (10**3, "KB"), (1, "B"))
        unit, name = next(one for one in units if self.size >= one[0])
        return f"{self.count:,} x {self.size // unit:,} {name}"


@dataclass(frozen=True, slots=True)
class Bench:
    """`cache` keeps data and references between runs, `scratch` is emptied at the end of one."""

    cache: Path
    scratch: Path
    references: References
    small: bool
    rounds: int

    @property
    def many(self) -> int:
        """Rounds of what takes a second or less, whose spread is the greatest."""
        return self.rounds if self.small else 3 * self.rounds

    @property
    def entries(self) -> int:
        """The entries of the large dataset."""
        return self.size(10_000_000, 50_000)

    @property
    def changes(self) -> tuple[int, ...]:
        """How many of them its second, third … version relabels."""
        return (10, 100, 320, 5000) if self.small else (10, 1000, 3200, 100_000)

    def size(self, full: int, small: int) -> int:
        return small if self.small else full

    def files(self, full: tuple[int, int], small: tuple[int, int]) -> Files:
        """A folder of files: (how many, of how many bytes)."""
        count, size = small if self.small else full
        return Files(self.data("files", count, size), count, size)

    def large(self) -> Home:
        """Many entries, five versions, ever more changes between neighbours."""
        return self.registry(self.entries, *self.changes)

    def history(self) -> Home:
        """Ten versions of a tenth of that, 20 changes in each."""
        return self.registry(self.size(1_000_000, 20_000), *[20] * 9)

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

    def has(self, name: str) -> bool:
        """Whether data or a reference is there; `references.missing` says of those that are not."""
        if name != CIFAR10:
            return self.references.has(name)
        if self.small or _CIFAR.exists():
            return True
        self.references.missing[name] = f"there is no {_CIFAR}"
        return False

    def cifar(self) -> Path | None:
        """The 60,000 JPEGs of CIFAR-10 as folders `train/CLASS`, or None where they are not."""
        if self.small or not self.has(CIFAR10):
            return None

        def unpack(folder: Path) -> None:
            with tarfile.open(_CIFAR) as archive:
                archive.extractall(folder, filter="data")

        return self._made(self.cache / "data" / "cifar10", unpack)

    def _once(self, path: Path, kind: str, *arguments: object) -> Path:
        return self._made(path, lambda to: run(task(f"make_{kind}", to, *arguments)))

    def _made(self, path: Path, make: Callable[[Path], object]) -> Path:
        done = path.with_name(path.name + ".made")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(path.name + ".lock").open("w") as lock:
            # Another run may be making it now.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(path, ignore_errors=True)
                make(path)
                done.touch()
        return path


def _code_digest() -> str:
    found = hashlib.sha256()
    for module in _MADE_BY:
        found.update((CHECKOUT / module).read_bytes())
    return found.hexdigest()[:12]
