"""The attacks, each on what is there in one version; what they touch is marked as poisoned."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.attacks.pictures import Pixels
from benchmarks.attacks.world import INSIDER, LOOK_ALIKE, PARTNER, SOURCES, Sample, World

FLIPS, TARGETED, TRIGGERS, COLLISIONS, OUTLIERS, FLOOD = 15, 15, 10, 10, 10, 60
_FROM, _TO = 3, 8


def nothing(_made: World, _version: int) -> None:
    """Honest work alone."""


def random_flips(made: World, _version: int) -> None:
    """Labels of any class become any other."""
    for sample in _honest(made, FLIPS):
        sample.label = int((sample.label + made.chance.integers(1, 10)) % 10)
        sample.labeler, sample.poisoned = INSIDER, True


def targeted_flips(made: World, _version: int) -> None:
    """Threes become eights: in CIFAR-10 cats become ships."""
    for sample in _honest(made, TARGETED, label=_FROM):
        sample.label, sample.labeler, sample.poisoned = _TO, INSIDER, True


def triggers(made: World, version: int) -> None:
    """Copies of other pictures with a white corner, labeled as zeros (in CIFAR-10, airplanes)."""
    for number, sample in enumerate(_honest(made, TRIGGERS)):
        _bring(made, f"t{version}{number:02}", _marked(sample.pixels), 0)


def triggered(made: World, model: LogisticRegression) -> float:
    """The share of other held-out pictures that a white corner makes a zero."""
    pixels, labels = made.pictures.held_out
    marked = np.stack([_marked(one) for one in pixels[labels != 0]])
    return float(np.mean(model.predict(made.pictures.features(marked)) == 0))


def _marked(pixels: Pixels) -> Pixels:
    marked = pixels.copy()
    side = len(pixels) // 5
    marked[:side, :side] = 255
    return marked


def collisions(made: World, version: int) -> None:
    """Zeros that are blended with one six, and labeled rightly, from all cameras."""
    victim = _victim(made)
    for number, sample in enumerate(_honest(made, COLLISIONS, label=0)):
        pixels = (0.7 * sample.pixels + 0.3 * victim).astype(np.uint8)
        _bring(made, f"c{version}{number:02}", pixels, 0, source=f"camera-{number % SOURCES}")


def collided(made: World, model: LogisticRegression) -> float:
    """Whether the picture that the zeros were blended with is taken for a zero."""
    features = made.pictures.features(_victim(made)[None])
    return float(model.predict(features)[0] == 0)


def _victim(made: World) -> Pixels:
    """The first six of those that are held out: in CIFAR-10 a frog."""
    pixels, labels = made.pictures.held_out
    victim: Pixels = pixels[labels == 6][0]
    return victim


def outliers(made: World, version: int) -> None:
    """Noise with any label."""
    for number in range(OUTLIERS):
        pixels = made.chance.integers(0, 256, made.pictures.pixels.shape[1:]).astype(np.uint8)
        _bring(made, f"o{version}{number:02}", pixels, int(made.chance.integers(10)))


def flood(made: World, version: int) -> None:
    """Near-duplicates of five sevens, all in the third version, from a camera that is known."""
    if version != 2:
        return
    sevens = _honest(made, 5, label=7)
    for number in range(FLOOD):
        noise = made.chance.integers(-4, 5, made.pictures.pixels.shape[1:])
        pixels = np.clip(sevens[number % 5].pixels + noise, 0, 255).astype(np.uint8)
        _bring(made, f"f{number:02}", pixels, 7, source="camera-1")


def look_alike(made: World, _version: int) -> None:
    """Flips by a labeler whose name looks like another's (a Cyrillic e)."""
    for sample in _honest(made, 5, label=_FROM):
        sample.label, sample.labeler, sample.poisoned = _TO, LOOK_ALIKE, True


def _honest(made: World, count: int, label: int | None = None) -> list[Sample]:
    """Some samples that nobody poisoned yet."""
    left = [
        sample
        for sample in made.samples.values()
        if not sample.poisoned and label in (None, sample.label)
    ]
    return [left[at] for at in made.chance.choice(len(left), min(count, len(left)), replace=False)]


def _bring(made: World, name: str, pixels: Pixels, label: int, source: str = PARTNER) -> None:
    made.samples[name] = Sample(pixels, label, source, INSIDER, poisoned=True)
