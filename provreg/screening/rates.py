"""Whose rate of events is higher than honest differences between people explain.

People differ, and get different items. So expected counts are stratified (by class, say), and the
null is not one rate: rates of honest people are spread, with a variance that is assumed for few of
them and estimated from the bulk for many. Sources: Spiegelhalter 2005, Statistics in Medicine
24:1185 (overdispersion); Holm 1979, Scandinavian Journal of Statistics 6:65; Benjamini and Hochberg
1995, JRSS B 57:289.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

LEVEL = 0.05
LEAST_RATIO = 2.0
LEAST_EXCESS = 10.0

# Below this many groups their spread cannot be estimated.
_FEW = 30
_ASSUMED_CV = 0.45
# Weight of a group's own counts in what is expected of it, and events-free labels that pull the
# rate of a small stratum to the rate of all.
_OWN_WEIGHT, _PSEUDO_LABELS = 0.2, 20.0
# How many groups the assumed spread (a coefficient of variation of one half) is worth.
_PRIOR_GROUPS, _PRIOR_VARIANCE = 20.0, float(np.log(1.25))
_MOST_FLAGGED = 1 / 3
_NODES = np.linspace(-8.0, 8.0, 321)
_WEIGHTS = np.exp(-0.5 * _NODES**2) / np.exp(-0.5 * _NODES**2).sum()


@dataclass(frozen=True, slots=True)
class Rates:
    """One value a group: events seen and expected, the lower 95 % bound of their ratio, the
    probability of as many by chance, that by Benjamini-Hochberg, and whether a warning is due."""

    observed: Floats
    expected: Floats
    lower: Floats
    p: Floats
    q: Floats
    flagged: Mask


def excess_rates(events: Counts, labels: Counts) -> Rates:
    """Compares groups (rows) over strata (columns): `events` of so many `labels` each.

    A group is flagged where Holm's test holds at 0.05, the lower bound of the ratio is at least 2,
    and at least 10 events are in excess. Flagged groups leave the reference, at most a third of
    them, and the others are looked at again.
    """
    groups = len(events)
    observed = events.sum(axis=1).astype(np.float64)
    flagged = np.zeros(groups, bool)
    while True:
        expected = _expected(events, labels, flagged)
        p = _tail(observed, expected, flagged)
        lower = stats.chi2.ppf(LEVEL, 2 * observed) / 2
        lower = np.where(observed > 0, lower, 0.0) / np.maximum(expected, 1e-12)
        found = holm(p) & (lower >= LEAST_RATIO) & (observed - expected >= LEAST_EXCESS)
        found |= flagged
        if (found == flagged).all():
            return Rates(observed, expected, lower, p, benjamini_hochberg(p), flagged)
        # The worst first: what is flagged beside it may have been so by its weight alone.
        most = int(groups * _MOST_FLAGGED)
        if flagged.sum() >= most:
            return Rates(observed, expected, lower, p, benjamini_hochberg(p), found)
        order = np.argsort(np.where(flagged, np.inf, p), kind="stable")
        added = [group for group in order if found[group] and not flagged[group]]
        flagged = flagged.copy()
        flagged[added[: most - int(flagged.sum())]] = True


def holm(p: Floats, level: float = LEVEL) -> Mask:
    """Which of the hypotheses with these p values are rejected at `level`, by Holm."""
    order = np.argsort(p, kind="stable")
    bounds = level / (len(p) - np.arange(len(p)))
    passed = np.minimum.accumulate(p[order] <= bounds)
    rejected = np.zeros(len(p), bool)
    rejected[order] = passed
    return rejected


def benjamini_hochberg(p: Floats) -> Floats:
    """The q value of each p value."""
    count = len(p)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * count / np.arange(1, count + 1)
    q = np.empty(count)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q


def _expected(events: Counts, labels: Counts, flagged: Mask) -> Floats:
    """Events to be expected of each group at the rates of the others in each stratum."""
    trusted = ~flagged[:, None]
    seen, given = (events * trusted).sum(axis=0), (labels * trusted).sum(axis=0)
    # A flagged group is compared with the others alone.
    own = np.where(trusted, 1 - _OWN_WEIGHT, 0.0)
    of_others, by_others = seen - own * events, given - own * labels
    overall = of_others.sum(axis=1) / np.maximum(by_others.sum(axis=1), 1)
    rates = (of_others + _PSEUDO_LABELS * overall[:, None]) / (by_others + _PSEUDO_LABELS)
    expected: Floats = (labels * rates).sum(axis=1)
    return expected


def _tail(observed: Floats, expected: Floats, flagged: Mask) -> Floats:
    """The probability of at least `observed` events in an honest group."""
    groups = int((~flagged).sum())
    if groups < _FEW:
        shape = 1 / _ASSUMED_CV**2
        return np.asarray(stats.nbinom.sf(observed - 1, shape, shape / (shape + expected)))
    y = np.log((observed + 0.5) / (expected + 0.5))[~flagged]
    centre = np.median(y)
    spread = 1.4826 * np.median(np.abs(y - centre))
    own = max(0.0, spread**2 - float(np.median(1 / np.maximum(expected[~flagged], 0.5))))
    variance = (_PRIOR_GROUPS * _PRIOR_VARIANCE + groups * own) / (_PRIOR_GROUPS + groups)
    mean = expected * np.exp(centre)
    # Not a gamma: the lognormal has the longer tail, and of many honest people one is far out.
    rates = mean[:, None] * np.exp(np.sqrt(variance) * _NODES)
    return np.asarray(stats.poisson.sf(observed[:, None] - 1, rates) @ _WEIGHTS)
