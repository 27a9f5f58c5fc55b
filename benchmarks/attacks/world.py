"""A dataset that grows over five versions, with honest people in it; and one who is not."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression

import provreg
from benchmarks.attacks.pictures import Pictures, Pixels
from provreg.errors import NotTrustedError
from provreg.flows.screen.screen import Screening
from provreg.readers.api import ReadOptions
from provreg.screening.api import Severity
from provreg.trust.keys import generate
from provreg.trust.signers import KeySigner

LABELERS, SOURCES, VERSIONS = 10, 5, 4
# Everybody corrects or mistakes as many labels a version.
HONEST = 0.01
# The one who poisons, and the source of what they bring.
INSIDER, PARTNER = "mallory", "partner"
# A Cyrillic e.
LOOK_ALIKE = "lab\u0435ler-1"


@dataclass
class Sample:
    """One picture of the dataset, as its data folder and labels file have it."""

    pixels: Pixels
    label: int
    source: str
    labeler: str
    poisoned: bool = False


@dataclass
class World:
    """A registry in `folder`, its signer, and the samples by their number."""

    folder: Path
    pictures: Pictures
    chance: np.random.Generator
    signer: KeySigner
    samples: dict[str, Sample] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def path(self, name: str) -> str:
        """The id of a sample: its label is its folder."""
        return f"{self.samples[name].label}/{name}.png"

    def registry(self) -> provreg.Registry:
        key = self.folder / "key.pub"
        key.write_text(self.signer.key.public.pem, "utf-8")
        return provreg.Registry.open(self.folder / "registry", key=key)

    def publish(self) -> None:
        """The samples as they are now, as the next version."""
        shutil.rmtree(self.data, ignore_errors=True)
        with (self.folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["id", "source", "labeler"])
            for name, sample in self.samples.items():
                path = self.data / self.path(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(sample.pixels).save(path)
                writer.writerow([self.path(name), sample.source, sample.labeler])
        ingestion = provreg.Ingestion(
            "pictures",
            (self.data,),
            source="unknown",
            labels=self.folder / "labels.csv",
            options=ReadOptions(),
        )
        self.registry().ingest(ingestion, self.signer)

    def poisoned(self) -> set[str]:
        """The ids of the poisoned samples."""
        return {self.path(name) for name, sample in self.samples.items() if sample.poisoned}

    def screen(self) -> Screening:
        return self.registry().screen("pictures", pictures=[self.data])


def world(folder: Path, pictures: Pictures, seed: int) -> World:
    """The first version: honest labels by ten people of what five cameras took."""
    for name in ("CACHE", "STATE", "CONFIG"):
        os.environ[f"PROVREG_{name}"] = str(folder / name.lower())
    provreg.Registry.init(folder / "registry")
    made = World(folder, pictures, np.random.default_rng(seed), KeySigner(generate()))
    for number in range(pictures.trained):
        made.samples[f"{number:04}"] = Sample(
            pictures.pixels[number],
            int(pictures.labels[number]),
            f"camera-{number % SOURCES}",
            f"labeler-{number // 13 % LABELERS}",
        )
    made.publish()
    return made


def honest_work(made: World) -> None:
    """What happens in every version: a few labels are changed, by anybody."""
    for sample in made.samples.values():
        if not sample.poisoned and made.chance.random() < HONEST / VERSIONS:
            sample.label = int(made.chance.integers(10))
            sample.labeler = f"labeler-{made.chance.integers(LABELERS)}"


def trained(made: World, left_out: frozenset[str] = frozenset()) -> LogisticRegression:
    """A small model of the dataset, without the ids that are left out."""
    kept = [sample for name, sample in made.samples.items() if made.path(name) not in left_out]
    model = LogisticRegression(max_iter=1000)
    pixels = np.stack([sample.pixels for sample in kept])
    return model.fit(made.pictures.features(pixels), [sample.label for sample in kept])


def accuracy(made: World, model: LogisticRegression) -> float:
    """Of a model on pictures that are not in the dataset."""
    pixels, labels = made.pictures.held_out
    return float(model.score(made.pictures.features(pixels), labels))


@dataclass(frozen=True)
class Outcome:
    """What came of an attack by an insider over several versions."""

    poisoned: int
    flagged: int
    found: int
    checks: tuple[str, ...]
    notes: tuple[str, ...]
    clean: float
    attacked: float
    cleaned: float
    success: tuple[float, ...] | None
    named: bool


Attack = Callable[[World, int], None]
# How often an attack gets its way with a model, from 0 to 1.
Success = Callable[[World, LogisticRegression], float]


def by_insider(
    folder: Path, pictures: Pictures, attack: Attack, seed: int, success: Success | None = None
) -> Outcome:
    """Honest work over four versions, with `attack` in each of them, signed as everything else."""
    made = world(folder, pictures, seed)
    models = [trained(made)]
    for version in range(VERSIONS):
        honest_work(made)
        attack(made, version)
        made.publish()
    found, poisoned = made.screen(), made.poisoned()
    flagged = frozenset(found.ids())
    models += [trained(made), trained(made, flagged)]
    clean, attacked, cleaned = (accuracy(made, model) for model in models)
    above, notes = found.above(Severity.WARNING), found.findings
    groups = {name for finding in above for name in finding.group.values()}
    return Outcome(
        len(poisoned),
        len(flagged),
        len(flagged & poisoned),
        tuple(sorted({finding.check for finding in above})),
        tuple(sorted({finding.check for finding in notes} - {finding.check for finding in above})),
        clean,
        attacked,
        cleaned,
        None if success is None else tuple(success(made, model) for model in models),
        bool(groups & {INSIDER, PARTNER, LOOK_ALIKE}),
    )


def at_rest(folder: Path, pictures: Pictures, attack: Attack, seed: int) -> dict[str, int]:
    """What `verify --data` finds where the same was done to the data of a signed version."""
    made = world(folder, pictures, seed)
    signed = made.data.rename(folder / "signed")
    before = dict(made.samples)
    attack(made, VERSIONS // 2)
    shutil.copytree(signed, made.data)
    for name, sample in made.samples.items():
        if sample.poisoned or name not in before:
            for old in made.data.glob(f"*/{name}.png"):
                old.unlink()
            path = made.data / made.path(name)
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(sample.pixels).save(path)
    try:
        made.registry().verify("pictures", data=(made.data,))
    except NotTrustedError as error:
        kinds = [finding.kind for finding in error.findings]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}
    return {}
