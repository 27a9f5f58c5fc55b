"""`provreg demo`: an incident on real images, with the commands that a user would type."""

from __future__ import annotations

import csv
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from provreg.errors import UsageError

EXAMPLES = ("provreg demo", "provreg demo --keep story")

_SOURCES = ("post-office", "bank")
_LABELERS = ("ann", "ben", "cho")
_FLIPPED = 8
_INJECTED = 4
_TRAIN = """\
import provreg

digits = provreg.load("digits@1", data="digits", policy="policy.toml")
try:
    for sample in digits:
        pass  # model.fit(sample.payload, sample.label)
except provreg.SampleError as refused:
    print(f"training stopped: {refused}")
else:
    print(f"trained on {len(digits):,} verified samples")
"""
_POLICY = """\
format = "provreg.policy/v1"

[[principal]]
name = "data-team"
keys = ['''{team}''']

[[principal]]
name = "contractor"
keys = ['''{contractor}''']

[[publish]]
datasets = ["digits"]
principals = ["data-team", "contractor"]
"""


def demo(
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Run in this new folder and keep it.")
    ] = None,
) -> None:
    """Run a demonstration: sign, poison, refuse, investigate.

    It runs in a temporary folder and takes less than a minute.
    """
    if find_spec("sklearn") is None or find_spec("PIL") is None:
        raise UsageError(
            "the demo needs scikit-learn and Pillow",
            hint="install them: pip install 'provreg[demo]'",
        )
    if keep is not None:
        keep.mkdir(parents=True)
        _Story(keep.resolve()).tell()
        return
    with tempfile.TemporaryDirectory(prefix="provreg-demo-") as folder:
        _Story(Path(folder).resolve()).tell()


class _Story:
    """The demonstration, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "digits"
        private = {f"PROVREG_{name}": str(folder / f".{name.lower()}")
                   for name in ("CACHE", "STATE", "CONFIG")}  # fmt: skip
        self._environment = os.environ | private | {"COLUMNS": "120"}

    def tell(self) -> None:
        self._say("1. 1,797 handwritten digits, from two sources, labeled by three people")
        _write_digits(self._data, self._folder / "origins.csv")
        for name in ("team", "contractor"):
            self._run("key", "generate", "--out", f"{name}.key", "--no-passphrase")
        keys = {name: (self._folder / f"{name}.key.pub").read_text("utf-8").strip()
                for name in ("team", "contractor")}  # fmt: skip
        (self._folder / "policy.toml").write_text(_POLICY.format(**keys), "utf-8")
        (self._folder / "train.py").write_text(_TRAIN, "utf-8")
        self._run("init", quiet=True)
        self._run("ingest", "digits", "--name", "digits", "--labels", "origins.csv",
                  "--sign", "key:team.key", "-m", "first delivery")  # fmt: skip
        self._verify("digits@1")
        self._train()

        self._say("2. An attacker changes files on disk: labels flipped, samples injected")
        backup = self._folder / "backup"
        shutil.copytree(self._data, backup)
        _poison(self._data)
        self._verify("digits@1")
        self._train()

        self._say("3. An insider who may sign: the contractor publishes the same data as version 2")
        self._run("ingest", "digits", "--name", "digits", "--source", "scraped",
                  "--labeler", "mallory", "--sign", "key:contractor.key",
                  "-m", "more digits", "--policy", "policy.toml")  # fmt: skip
        self._verify("digits@2")
        print("\nEvery signature is valid: a signature does not prove that a label is right.")
        print("But now every change names who made it:")
        self._run("diff", "digits@1", "digits@2", "--policy", "policy.toml")
        self._run("blame", "digits@2", "--policy", "policy.toml")

        self._say("4. Back to the good version")
        shutil.rmtree(self._data)
        backup.rename(self._data)
        self._verify("digits@1")
        self._train()

    def _verify(self, reference: str) -> None:
        self._run("verify", reference, "--data", "digits", "--policy", "policy.toml")

    def _train(self) -> None:
        self._show("python", "train.py")
        self._call([sys.executable, "train.py"])

    def _run(self, *arguments: str, quiet: bool = False) -> None:
        self._show("provreg", *arguments)
        self._call([sys.executable, "-m", "provreg", *arguments], quiet=quiet)

    def _call(self, command: list[str], *, quiet: bool = False) -> None:
        output = subprocess.DEVNULL if quiet else None
        code = subprocess.run(
            command, cwd=self._folder, env=self._environment, stdout=output,
            stderr=subprocess.STDOUT, check=False,
        ).returncode  # fmt: skip
        if code:
            print(f"(exit code {code})")

    @staticmethod
    def _show(*words: str) -> None:
        print(f"\n$ {shlex.join(words)}", flush=True)

    @staticmethod
    def _say(heading: str) -> None:
        print(f"\n{'─' * len(heading)}\n{heading}\n{'─' * len(heading)}", flush=True)


def _write_digits(folder: Path, origins: Path) -> None:
    """The digits as `folder/<label>/<number>.png`, and who brought and labeled each."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    with origins.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "source", "labeler"))
        for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
            name = f"{label}/{number:04}.png"
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((pixels * 15).astype("uint8")).save(path)
            source = _SOURCES[number % len(_SOURCES)]
            writer.writerow((name, source, _LABELERS[number % len(_LABELERS)]))


def _poison(folder: Path) -> None:
    """Sevens become ones, and copies of eights with a bright corner are added as zeros."""
    from PIL import Image

    for path in sorted((folder / "7").iterdir())[:_FLIPPED]:
        path.rename(folder / "1" / path.name)
    for path in sorted((folder / "8").iterdir())[:_INJECTED]:
        with Image.open(path) as image:
            image.putpixel((0, 0), 255)
            image.save(folder / "0" / f"extra-{path.name}")
