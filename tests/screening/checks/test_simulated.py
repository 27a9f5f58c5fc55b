"""False alarms and power of the counted checks on simulated tables, with fixed seeds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from provreg.screening.api import Finding, Question, Severity
from provreg.screening.checks import bursts, flips, mixes, nights

QUESTION = Question("data", 2, 1, ())
CLASSES = 10


def _above_note(found: list[Finding]) -> list[Finding]:
    return [one for one in found if one.severity is not Severity.NOTE]


def _flips(seed: int, labelers: int, labels: int, directed: int = 0) -> list[Finding]:
    """Honest 1 %, people and pairs of classes with a spread of 0.5; one has `directed` more flips
    of the commonest pair."""
    chance = np.random.default_rng(seed)
    own = np.stack(
        [
            chance.multinomial(labels, chance.dirichlet(np.full(CLASSES, 3.0)))
            for _ in range(labelers)
        ]
    )
    confused = chance.dirichlet(np.full(CLASSES - 1, 4.0), CLASSES)
    rates = np.zeros((CLASSES, CLASSES))
    rates[~np.eye(CLASSES, dtype=bool)] = 0.01 * confused.ravel()
    people = chance.gamma(4, 0.25, (labelers, 1, 1)) * chance.gamma(
        4, 0.25, (labelers, CLASSES, CLASSES)
    )
    events = np.minimum(chance.poisson(own[:, :, None] * rates * people), own[:, :, None])
    if directed:
        old, new = np.unravel_index(np.argmax(events.sum(axis=0)), rates.shape)
        events[0, old, new] += directed
        own[0, old] = max(own[0, old], events[0, old].sum())
    at = np.argwhere(events)
    table = pa.table(
        {
            "grp": [f"ann{n:03}" for n in at[:, 0]],
            "old_label": [f"class {n}" for n in at[:, 1]],
            "new_label": [f"class {n}" for n in at[:, 2]],
            "events": events[tuple(at.T)],
        }
    )
    stood = pa.table(
        {
            "grp": [f"ann{n:03}" for n in range(labelers) for _ in range(CLASSES)],
            "label": [f"class {n}" for _ in range(labelers) for n in range(CLASSES)],
            "labels": own.ravel(),
        }
    )
    tables = {"flips by labeler": table, "labels by labeler": stood}
    return _above_note(list(flips.CHECK.find(tables, QUESTION)))


def test_flips_of_honest_labelers_are_left_in_peace() -> None:
    assert sum(bool(_flips(seed, 10, 500)) for seed in range(100)) <= 5
    assert sum(bool(_flips(seed, 50, 2000)) for seed in range(100)) <= 5


@pytest.mark.parametrize(
    ("labelers", "labels", "directed", "least"), [(10, 500, 15, 0.9), (50, 2000, 30, 0.7)]
)
def test_directed_flips_are_found(labelers: int, labels: int, directed: int, least: float) -> None:
    found = [
        any(one.group["labeler"] == "ann000" for one in _flips(seed, labelers, labels, directed))
        for seed in range(20)
    ]
    assert np.mean(found) >= least


def _mixes(seed: int, alike: float, grown: float) -> list[Finding]:
    chance = np.random.default_rng(seed)
    shares = chance.dirichlet(np.full(CLASSES, alike), 20)
    shares[0, 0] += grown
    own = np.stack([chance.multinomial(2000, mix / mix.sum()) for mix in shares])
    table = pa.table(
        {
            "grp": [f"source {n:02}" for n in range(20) for _ in range(CLASSES)],
            "label": [f"class {n}" for _ in range(20) for n in range(CLASSES)],
            "own": own.ravel(),
            "reference": (own.sum(axis=0) - own).ravel(),
        }
    )
    return list(mixes.CHECK.find({"mix by source": table}, QUESTION))


@pytest.mark.parametrize("alike", [20.0, 300.0])
def test_sources_that_differ_are_left_in_peace(alike: float) -> None:
    assert sum(bool(_above_note(_mixes(seed, alike, 0))) for seed in range(100)) <= 5
    assert sum(bool(_mixes(seed, alike, 0)) for seed in range(100)) <= 10


def test_a_class_that_grew_by_a_third_of_its_source_is_found() -> None:
    for seed in range(20):
        assert "source 00" in [one.group["source"] for one in _mixes(seed, 300, 0.3)]


def _hours(seed: int, spread: float, burst: tuple[int, int] | None = None) -> list[Finding]:
    """60 days, 20 labels an hour at noon and less than one at night; (hour, labels) more."""
    chance = np.random.default_rng(seed)
    begin = datetime(2026, 1, 5, tzinfo=UTC)
    hours = [begin + timedelta(hours=n) for n in range(60 * 24)]
    means = np.array([20 * np.exp(-(((hour.hour - 12) / 4) ** 2)) for hour in hours])
    factors = chance.gamma(1 / spread**2, spread**2, len(hours)) if spread else 1.0
    labels = chance.poisson(means * factors)
    if burst:
        labels[24 * 30 + burst[0]] += burst[1]
    kept = labels > 0
    table = pa.table(
        {"hour": [h for h, keep in zip(hours, kept, strict=True) if keep], "labels": labels[kept]}
    )
    return list(bursts.CHECK.find({"bursts": table}, QUESTION))


def test_bursts_are_seldom_seen_where_there_are_none() -> None:
    assert sum(bool(_hours(seed, 0)) for seed in range(30)) == 0
    assert sum(bool(_hours(seed, 0.5)) for seed in range(30)) <= 5


@pytest.mark.parametrize("burst", [(2, 30), (12, 200)])
def test_bursts_are_found(burst: tuple[int, int]) -> None:
    assert all(_hours(seed, 0.5, burst) for seed in range(20))


def _nights(seed: int, times: float) -> bool:
    chance = np.random.default_rng(seed)
    people = np.tile(chance.gamma(4, 0.25, 50), (100, 1))
    people[40:, 0] *= times
    events = chance.poisson(3 * people).astype(np.float64)
    _, scores, p = nights.increments(events, np.full((100, 50), 1000.0))
    alarms = (nights.cusum(scores)[0] > 11) | (p <= 0.025 / p.size).any(axis=0)
    return bool(alarms.any() if times == 1 else alarms[0])


def test_a_hundred_nights_of_fifty_honest_labelers() -> None:
    assert sum(_nights(seed, 1) for seed in range(40)) <= 4


def test_a_labeler_who_doubles_is_found_within_sixty_nights() -> None:
    assert sum(_nights(seed, 2) for seed in range(20)) >= 15
