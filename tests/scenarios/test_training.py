"""docs/guides/train.py, run as its user would: trained, refused, led back from model to samples."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

DOCS = Path(__file__).resolve().parents[2] / "docs" / "guides"
SCRIPT = DOCS / "train.py"
PAGE = (DOCS / "training.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"^<!-- (\w+) -->\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
Person = Callable[[str], Any]


@pytest.fixture(autouse=True)
def torch_is_there() -> None:
    pytest.importorskip("torch", reason="torch is not installed")


def accuracy(said: str) -> float:
    [found] = re.findall(r"^accuracy ([0-9.]+) on ", said, re.MULTILINE)
    return float(found)


def squeezed(code: str) -> str:
    """`code` however it is indented and broken into lines."""
    return re.sub(r"\s+", "", code)


def receipts(somebody: Any) -> list[Any]:
    return somebody("runs --json").json["runs"]


@pytest.fixture
def ann(person: Person) -> Any:
    """Who has digits as files, the script, and a registry beside them."""
    made = person("ann")
    made = replace(made, registry=made.folder / ".provreg")
    exec(EXAMPLES["digits"].replace('"digits"', f'"{made.folder}/digits"'))  # noqa: S102
    shutil.copy(SCRIPT, made.folder)
    return made


def typed(somebody: Any, example: str) -> subprocess.CompletedProcess[str]:
    """An example of the page, in a shell."""
    python = f'python() {{ "{sys.executable}" "$@"; }}\nprovreg() {{ python -m provreg "$@"; }}\n'
    return subprocess.run(
        [shutil.which("bash") or "/bin/bash", "-euo", "pipefail", "-c", python + EXAMPLES[example]],
        cwd=somebody.folder,
        env=somebody.environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_page_shows_what_the_script_does() -> None:
    script = squeezed(SCRIPT.read_text("utf-8"))
    shown = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[1:]
    assert len(shown) == 3
    assert [excerpt for excerpt in shown if squeezed(excerpt) not in script] == []


@pytest.mark.long
@pytest.mark.timeout(300)
def test_script_trains_on_digits_and_refuses_each_poisoned_copy(ann: Any) -> None:
    trained = typed(ann, "train")
    assert trained.returncode == 0, trained.stderr
    assert accuracy(trained.stdout) > 0.97
    assert (
        "trained on digits@1  1,437 of 1,797 samples, 7,185 deliveries in total" in trained.stdout
    )
    assert ann("verify model:out").out

    # From the model to its samples, and from a sample to the models that saw it.
    [receipt] = receipts(ann)
    assert f"receipt {receipt['receipt']}" in trained.stdout
    samples = ann("show model:out/model.pt --samples").out.splitlines()
    assert len(samples) == 1_437
    assert all(sample.startswith("digits@1 train/") for sample in samples)
    [saw] = ann("show digits@1 train/3/0003.png --json").json["runs"]
    assert saw["receipt"] == receipt["receipt"]
    assert ann("show digits@1 test/0/0000.png --json").json["runs"] == []
    assert [run["receipt"] for run in ann("runs label=3 --json").json["runs"]] == [saw["receipt"]]
    assert ann("runs labeler=mallory --json").json["runs"] == []

    # Relabeled, as the page shows it.
    refused = typed(ann, "poison")
    assert "relabeled: train/3/0003.png" in refused.stderr
    assert "exit code 4" in refused.stdout
    assert "epoch" not in refused.stdout

    # Another shade in one, and a stranger, which no loader would read.
    data = ann.folder / "digits"
    (data / "train/8/0003.png").rename(data / "train/3/0003.png")
    with Image.open(data / "train/4/0004.png") as image:
        image.point(lambda shade: 255 - shade).save(data / "train/4/0004.png")
    shutil.copy(data / "train/1/0001.png", data / "train/1/trigger.png")
    line = "train.py --ref digits@1 --data digits --sign key:team.key --out out2"
    refused = ann.python(line, code=4)
    assert refused.err.startswith("stranger: train/1/trigger.png\nchanged: train/4/0004.png\n")
    assert "epoch" not in refused.out

    assert not (ann.folder / "out2").exists()
    assert [run["receipt"] for run in receipts(ann)] == [receipt["receipt"]]


@pytest.mark.timeout(300)
def test_script_refuses_revoked_samples_or_trains_without_them(ann: Any) -> None:
    ann("init")
    key = f"--key {ann.key()}"
    ingest = f"ingest digits --name digits --split dir --source s --sign key:my.key {key}"
    ann(f"{ingest} --labeler ann")
    data = ann.folder / "digits/train"
    for number in (3, 13, 23):
        (data / f"3/{number:04}.png").rename(data / f"8/flipped{number}.png")
    ann(f"{ingest} --labeler mallory")
    ann(f"revoke digits --labeler mallory --reason 'labels flipped' --sign key:my.key --yes {key}")
    line = f"train.py --ref digits --data digits --sign key:my.key --out out --epochs 1 {key}"
    refused = ann.python(line, code=4)
    assert "3 of 1,437 samples of digits@2 are revoked" in refused.err
    assert "labels flipped" in refused.err
    assert not (ann.folder / "out").exists()
    trained = ann.python(f"{line} --exclude-revoked")
    assert accuracy(trained.out) > 0.5
    [run] = ann(f"show model:out {key} --json").json["runs"]
    assert (run["datasets"][0]["seen"], run["datasets"][0]["revoked"]) == (1_434, 0)
    assert [one["samples"] for one in run["parameters"]["left_out_as_revoked"]] == [3]


@pytest.mark.long
def test_script_makes_the_same_model_whatever_the_workers(ann: Any) -> None:
    ann.trusts(ann)
    ann("init")
    ann("ingest digits --name digits --split dir --source s --labeler ann --sign key:my.key")
    line = "train.py --ref digits --data digits --sign key:my.key --epochs 1"
    for workers in (0, 2):
        ann.python(f"{line} --workers {workers} --out out{workers}")
    one, other = ((ann.folder / f"out{n}/model.pt").read_bytes() for n in (0, 2))
    assert one == other


@pytest.mark.long
@pytest.mark.timeout(900)
def test_script_trains_on_cifar10(ann: Any, cifar10: Path) -> None:
    ann.trusts(ann)
    ann("init")
    ann(f"ingest {cifar10} --name cifar10 --split dir --source s --labeler k --sign key:my.key")
    line = "train.py --ref cifar10 --sign key:my.key --epochs 1"
    trained = ann.python(f"{line} --data {cifar10} --out out", seconds=800)
    # Chance is 0.1.
    assert accuracy(trained.out) > 0.45
    shown = ann("show model:out/model.pt").out
    assert "trained on cifar10@1  50,000 of 60,000 samples, 50,000 deliveries in total" in shown

    bad = Path(shutil.copytree(cifar10, ann.folder / "bad", copy_function=os.link))
    (bad / "train/cat/0007.jpg").rename(bad / "train/dog/cat0007.jpg")
    refused = ann.python(f"{line} --data {bad} --out out2", code=4)
    assert "relabeled: train/cat/0007.jpg" in refused.err
    assert not (ann.folder / "out2").exists()
