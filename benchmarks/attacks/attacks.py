"""The attacks, each on what is there in one version; what they touch is marked as poisoned."""

from __future__ import annotations

import numpy as np

from benchmarks.attacks.digits import INSIDER, PARTNER, SOURCES, Pixels, Sample, World

FLIPS, TARGETED, TRIGGERS, COLLISIONS, OUTLIERS, FLOOD = 15, 15, 10, 10, 10, 60
_FROM, _TO = 3, 8


def nothing(_made: World, _version: int) -> None:
    """Honest work alone."""


def random_flips(made: World, _version: int) -> None:
    """Labels of any digit become any other."""
    for sample in _honest(made, FLIPS):
        sample.label = int((sample.label + made.chance.integers(1, 10)) % 10)
        sample.labeler, sample.poisoned = INSIDER, True


def targeted_flips(made: World, _version: int) -> None:
    """Threes become eights."""
    for sample in _honest(made, TARGETED, label=_FROM):
        sample.label, sample.labeler, sample.poisoned = _TO, INSIDER, True


def triggers(made: World, version: int) -> None:
    """Copies of other digits with a white corner, labeled as zeros."""
    for number, sample in enumerate(_honest(made, TRIGGERS)):
        pixels = sample.pixels.copy()
        pixels[:3, :3] = 255
        _bring(made, f"t{version}{number:02}", pixels, 0)


def collisions(made: World, version: int) -> None:
    """Zeros that are blended with one six, and labeled rightly, from all cameras."""
    victim = next(sample for sample in made.samples.values() if sample.label == 6)
    for number, sample in enumerate(_honest(made, COLLISIONS, label=0)):
        pixels = (0.7 * sample.pixels + 0.3 * victim.pixels).astype(np.uint8)
        _bring(made, f"c{version}{number:02}", pixels, 0, source=f"camera-{number % SOURCES}")


def outliers(made: World, version: int) -> None:
    """Noise with any label."""
    for number in range(OUTLIERS):
        pixels = made.chance.integers(0, 256, (16, 16)).astype(np.uint8)
        _bring(made, f"o{version}{number:02}", pixels, int(made.chance.integers(10)))


def flood(made: World, version: int) -> None:
    """Near-duplicates of five sevens, all in the third version, from a camera that is known."""
    if version != 2:
        return
    sevens = _honest(made, 5, label=7)
    for number in range(FLOOD):
        noise = made.chance.integers(-4, 5, (16, 16))
        pixels = np.clip(sevens[number % 5].pixels + noise, 0, 255).astype(np.uint8)
        _bring(made, f"f{number:02}", pixels, 7, source="camera-1")


def look_alike(made: World, _version: int) -> None:
    """Flips by a labeler whose name looks like another's (a Cyrillic e)."""
    for sample in _honest(made, 5, label=_FROM):
        sample.label, sample.labeler, sample.poisoned = _TO, "lab\u0435ler-1", True


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
