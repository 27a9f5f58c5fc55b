"""Draws docs/reference/screening/CHECK.svg: how often a check finds what, in simulations.

Run it after changing the statistics; it takes a minute. Seeds are fixed: the same code draws the
same plots.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from provreg.screening.api import Question
from provreg.screening.checks.mixes import CHECK
from provreg.screening.checks.nights import cusum, increments
from provreg.screening.statistics.rates import excess_rates, overdispersed_tail, rates_of

FOLDER = Path(__file__).with_name("reference") / "screening"
_SEEDS = 200
_WIDTH, _HEIGHT, _LEFT, _TOP = 360, 200, 44, 30
Numbers = np.ndarray


def relabels(times: float, seed: int) -> bool:
    """One of ten labelers of 500 labels relabels so many times as often as the honest 1 %."""
    chance = np.random.default_rng(seed)
    people = chance.gamma(4, 0.25, 10)
    people[0] = times
    mixes = chance.dirichlet(np.full(10, 3.0), 10)
    labels = np.stack([chance.multinomial(500, mix) for mix in mixes])
    events = chance.binomial(labels, np.minimum(0.01 * people[:, None], 1))
    return bool(excess_rates(events, labels).flagged[0])


def counts(expected: float, spread: float, tests: int) -> Callable[[float, int], bool]:
    """One of `tests` counts has so many times what is expected of it; the tail's spread is that of
    the check."""

    def found(times: float, seed: int) -> bool:
        chance = np.random.default_rng(seed)
        mean = np.full(tests, expected)
        own = chance.gamma(4, 0.25, tests)
        own[0] *= times
        seen = chance.poisson(mean * own).astype(np.float64)
        return bool(rates_of(seen, mean, overdispersed_tail(seen, mean, spread)).flagged[0])

    return found


def nights(times: float, seed: int) -> bool:
    """One of 50 labelers begins in the 40th of 100 versions; three relabelings a version are
    usual."""
    chance = np.random.default_rng(seed)
    people = np.tile(chance.gamma(4, 0.25, 50), (100, 1))
    people[40:, 0] *= times
    labels = np.full((100, 50), 1000.0)
    events = chance.poisson(3 * people).astype(np.float64)
    _, z, p = increments(events, labels)
    return bool(cusum(z)[0][0] > 11 or (p[:, 0] <= 0.025 / p.size).any())


def mixes(times: float, seed: int) -> bool:
    """One of 20 sources of 2,000 labels of ten classes has so many times as many of one."""
    chance = np.random.default_rng(seed)
    shares = chance.dirichlet(np.full(10, 300.0), 20)
    shares[0, 0] *= times
    own = np.stack([chance.multinomial(2000, mix / mix.sum()) for mix in shares])
    table = pa.table(
        {
            "grp": [f"source {n:02}" for n in range(20) for _ in range(10)],
            "label": [f"class {n}" for _ in range(20) for n in range(10)],
            "own": own.ravel(),
            "reference": (own.sum(axis=0) - own).ravel(),
        }
    )
    found = CHECK.find({"mix by source": table}, Question("data", 2, 1, ()))
    return any(one.group["source"] == "source 00" for one in found)


PLOTS: dict[str, tuple[str, Callable[[float, int], bool]]] = {
    "relabels": ("times the honest rate (10 labelers x 500 labels)", relabels),
    "flips": ("times the 3 flips expected (4,500 pairs)", counts(3, 0.75, 4500)),
    "mixes": ("times as much of a class, a note or more (20 sources)", mixes),
    "floods": ("times the 20 samples expected (100 tests)", counts(20, 0.5, 100)),
    "sizes": ("times the 5 unusual sizes expected (200 tests)", counts(5, 0.75, 200)),
    "bursts": ("times the 20 labels expected (1,440 hours)", counts(20, 0.5, 1440)),
    "nights": ("times the own rate, from the 40th of 100 versions", nights),
}
TIMES = (1, 2, 3, 5, 7, 10)


def power(name: str) -> list[float]:
    """The share of seeds in which a check finds it, at each of TIMES."""
    _, found = PLOTS[name]
    seeds = _SEEDS if name != "nights" else 40
    return [sum(found(times, seed) for seed in range(seeds)) / seeds for times in TIMES]


def plot(name: str, shares: list[float]) -> str:
    """The plot as SVG."""
    across, down = _WIDTH - _LEFT - 16, _HEIGHT - _TOP - 46
    points = [
        (_LEFT + across * (times - 1) / (TIMES[-1] - 1), _TOP + down * (1 - share))
        for times, share in zip(TIMES, shares, strict=True)
    ]
    ink = 'font-family="sans-serif" font-size="11" fill="#333"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="16" {ink}>{name}: share of simulations in which it is found</text>',
    ]
    for share in (0.0, 0.5, 1.0):
        y = _TOP + down * (1 - share)
        lines.append(f'<path d="M{_LEFT} {y:.1f}h{across}" stroke="#ddd"/>')
        at = f'x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end"'
        lines.append(f"<text {at} {ink}>{share}</text>")
    for (x, y), times, share in zip(points, TIMES, shares, strict=True):
        lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#1f5fa8"/>')
        at = f'x="{x:.1f}" y="{y - 6:.1f}" text-anchor="middle"'
        lines.append(f"<text {at} {ink}>{share:.2g}</text>")
        bottom = _TOP + down + 16
        lines.append(f'<text x="{x:.1f}" y="{bottom}" text-anchor="middle" {ink}>{times}</text>')
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    lines.append(f'<polyline points="{path}" fill="none" stroke="#1f5fa8"/>')
    axis = f'x="{_LEFT + across / 2:.0f}" y="{_HEIGHT - 10}" text-anchor="middle"'
    lines += [f"<text {axis} {ink}>{PLOTS[name][0]}</text>", "</svg>", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for check in PLOTS:
        (FOLDER / f"{check}.svg").write_text(plot(check, power(check)), "utf-8")
