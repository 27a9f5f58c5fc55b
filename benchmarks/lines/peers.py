"""Line 1: the peers, each doing its nearest to what ingesting does, against one b3sum."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import digests
from benchmarks.bench import CIFAR10, Bench
from benchmarks.harness import Row, Run, Side, absolute, alternate, ratio, require, run

LINE = 1
NEEDS = (CIFAR10, "b3sum", "sha256sum", "git", "dvc", "model_signing")
_AGAINST = "b3sum --num-threads 1"


def rows(bench: Bench) -> Iterator[Row]:
    cifar = bench.cifar()
    data, what = (cifar, "60,000 CIFAR-10 JPEGs") if cifar else _generated(bench)
    b3sum = bench.references.program("b3sum")
    home = bench.home("peers")
    sides = {"provreg ingest": home.ingest(data, fresh=True)}
    if b3sum is not None:
        sides |= {
            "b3sum": digests.b3sum(b3sum, data, 1),
            "b3sum --num-threads 2": digests.b3sum(b3sum, data, 2),
            "xargs -P2 b3sum": digests.parallel_b3sum(b3sum, data),
        }
    hashers = {
        "sha256sum": "xargs -0 sha256sum",
        "git hash-object": "tr '\\0' '\\n' | git hash-object --stdin-paths",
    }
    for name, words in hashers.items():
        if bench.references.program(name.split()[0]) is not None:
            command = f"find . -type f -print0 | {words}"
            sides[name] = Side(("sh", "-c", command), folder=data)
    runs = alternate(sides, bench.rounds)
    for name in ("sha256sum", "git hash-object"):
        if name in runs:
            require(len(runs[name][-1].output.splitlines()) == _count(data), f"files of {name}")
    runs |= _slow_peers(bench, data)
    for name, measured in runs.items():
        if b3sum is None or name == "b3sum":
            yield absolute(LINE, f"{name}, {what}", [one.wall for one in measured], "s")
        else:
            references = runs["b3sum"][: len(measured)]
            yield ratio(LINE, f"{name}, {what}", measured, references, against=_AGAINST)


def _slow_peers(bench: Bench, data: Path) -> dict[str, list[Run]]:
    """Each once: they take so long that their spread does not matter."""
    sides: dict[str, Side] = {}
    dvc = bench.references.environment("dvc")
    if dvc is not None:
        folder = bench.scratch / "dvc"
        sides["dvc add"] = Side(
            (str(dvc / "bin" / "dvc"), "add", "--quiet", "data"),
            folder=folder,
            environment={"HOME": str(bench.scratch), "DVC_NO_ANALYTICS": "1"},
            before=_fresh_dvc(str(dvc / "bin" / "dvc"), folder, data, bench.scratch),
        )
    model_signing = bench.references.environment("model_signing")
    if model_signing is not None:
        home = bench.home("model_signing")
        words = ("sign", "key", str(data), "--signature", str(home.folder / "model.sig"),
                 "--private_key", str(home.key))  # fmt: skip
        sides["model_signing sign"] = Side((str(model_signing / "bin/model_signing"), *words))
    return alternate(sides, 1)


def _fresh_dvc(dvc: str, folder: Path, data: Path, home: Path) -> Callable[[], None]:
    def prepare() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        run(Side((dvc, "init", "--no-scm", "--quiet"), folder, {"HOME": str(home)}))
        run(Side(("cp", "-r", str(data), str(folder / "data"))))

    return prepare


def _generated(bench: Bench) -> tuple[Path, str]:
    files = bench.files((50_000, 3000), (1000, 300))
    return files.folder, f"{files} files"


def _count(data: Path) -> int:
    return sum(path.is_file() for path in data.rglob("*"))
