"""CIFAR-10's 50,000 training images, poisoned in five ways, each sample named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

Person = Callable[[str], Any]
CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


@dataclass
class Poison:
    """What was done, in ids; moved and renamed samples by their old id."""

    relabeled: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    injected: list[str] = field(default_factory=list)
    overwritten: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


def poison(train: Path, other: Path) -> Poison:
    """Poisons `train`, hard links all: nothing is written into, only put in another's place."""
    done = Poison()
    strangers = sorted((other / "cat").iterdir())
    for number in range(100):
        kind, target = CLASSES[number % 10], CLASSES[(number + 3) % 10]
        old, new = f"{kind}/{number:04}.jpg", f"{target}/m{number:04}.jpg"
        (train / old).rename(train / new)
        done.relabeled[old] = new
    for number in range(50):
        done.injected.append(f"{CLASSES[number % 10]}/i{number:04}.jpg")
        os.link(strangers[number], train / done.injected[-1])
    for number in range(1000, 1020):
        done.overwritten.append(f"{CLASSES[number % 10]}/{number:04}.jpg")
        (train / done.overwritten[-1]).unlink()
        os.link(strangers[number - 900], train / done.overwritten[-1])
    for number in range(2000, 2010):
        done.deleted.append(f"{CLASSES[number % 10]}/{number:04}.jpg")
        (train / done.deleted[-1]).unlink()
    for number in range(3000, 3010):
        kind = CLASSES[number % 10]
        old, new = f"{kind}/{number:04}.jpg", f"{kind}/r{number:04}.jpg"
        (train / old).rename(train / new)
        done.renamed[old] = new
    return done


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Files under names of CIFAR-10's: those that are poisoned, and some beside them."""
    folder = tmp_path / "few"
    for first, count in ((0, 200), (1000, 40), (2000, 40), (3000, 40)):
        for number in range(first, first + count):
            path = folder / f"train/{CLASSES[number % 10]}/{number:04}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"picture %d" % number)
    (folder / "test/cat").mkdir(parents=True)
    for number in range(130):
        (folder / f"test/cat/{number:04}.jpg").write_bytes(b"another %d" % number)
    return folder


@pytest.mark.parametrize("data", ["few", pytest.param("cifar10", marks=pytest.mark.long)])
def test_poisoned_images_are_refused_and_attributed(
    person: Person, data: str, request: pytest.FixtureRequest
) -> None:
    cifar10: Path = request.getfixturevalue(data)
    count = sum(path.is_file() for path in (cifar10 / "train").rglob("*"))
    ann = person("ann")
    ann.trusts(ann)
    train = cifar10 / "train"
    ann(f"ingest {train} --name cifar10 --source cifar --labeler krizhevsky --sign key:my.key")
    assert ann("screen cifar10 --json").json["findings"] == []
    near = ann(f"screen cifar10 --check near --data {train} --phash --json").json["findings"]
    assert {finding["severity"] for finding in near} <= {"note"}
    bad = Path(shutil.copytree(train, ann.folder / "bad", copy_function=os.link))
    done = poison(bad, cifar10 / "test")

    refused = ann(f"verify cifar10 --data {bad} --json", code=4).json
    found: dict[str, dict[str, Any]] = {}
    for finding in refused["findings"]:
        found.setdefault(finding["kind"], {})[finding["id"]] = finding.get("found_id")
    assert found == {
        "relabeled": done.relabeled,
        "stranger": dict.fromkeys(done.injected),
        "changed": dict.fromkeys(done.overwritten),
        "missing": dict.fromkeys(done.deleted),
        "moved": done.renamed,
    }

    # The same, signed by an insider.
    mallory = person("mallory")
    mallory.trusts(ann, mallory)
    ann.trusts(ann, mallory)
    mallory(f"ingest {bad} --name cifar10 --source vendor-b --labeler mallory --sign key:my.key")
    diff = ann("diff cifar10@1 cifar10@2 --json").json
    assert diff["counts"] == {
        "injected": 50, "removed": 10, "relabeled": 100, "modified": 20, "renamed": 110,
        "reattributed": 0, "resplit": 0,
    }  # fmt: skip
    by_kind: dict[tuple[str, ...], set[str]] = {}
    for change in diff["changes"]:
        by_kind.setdefault(tuple(change["kinds"]), set()).add(change["id"])
        for hand in change["attributions"].values():
            assert [signer["principal"] for signer in hand["signers"]] == ["mallory"]
    assert by_kind == {
        ("relabeled", "renamed"): set(done.relabeled.values()),
        ("injected",): set(done.injected),
        ("modified",): set(done.overwritten),
        ("removed",): set(done.deleted),
        ("renamed",): set(done.renamed.values()),
    }
    assert len(ann("diff cifar10@1 cifar10@2").out.splitlines()) < 45

    _check_blame(ann, done, count + len(done.injected) - len(done.deleted))


def _check_blame(ann: Any, done: Poison, count: int) -> None:
    """Bytes and labels of all `count` samples, each with whom they are from."""
    new_bytes = {*done.injected, *done.overwritten}
    new_label = {*done.injected, *done.relabeled.values()}
    samples = ann("blame cifar10 --json").json["samples"]
    assert len(samples) == count
    vendor = {one["id"] for one in samples if one["content"]["source"] == "vendor-b"}
    mallory = {one["id"] for one in samples if one["label"]["labeler"] == "mallory"}
    assert vendor == {one["id"] for one in samples if one["content"]["since"] == 2} == new_bytes
    assert mallory == {one["id"] for one in samples if one["label"]["since"] == 2} == new_label
    rest = [one for one in samples if one["id"] not in vendor]
    assert {one["content"]["source"] for one in rest} == {"cifar"}
    rest = [one for one in samples if one["id"] not in mallory]
    assert {one["label"]["labeler"] for one in rest} == {"krizhevsky"}
    shown = ann("blame cifar10").out
    assert "vendor-b" in shown
    assert "mallory (asserted by mallory)" in shown
    assert len(shown.splitlines()) < 12
