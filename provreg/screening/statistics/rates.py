"""Whose rate of events is higher than honest differences between people explain.

People differ, and get different items. So expected counts are stratified (by class, say), and the
null is not one rate: rates of honest people are spread, with a variance that is assumed for few of
them and estimated from the bulk for many. Sources: Spiegelhalter 2005, Statistics in Medicine
24:1185 (overdispersion); Holm 1979, Scandinavian Journal of Statistics 6:65; Benjamini and Hochberg
1995, JRSS B 57:289.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import special

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
    """One value a group: events seen and expected, the bounds of their ratio (95 % on either side),
    the probability of as many by chance, its q value, and whether a warning is due."""

    observed: Floats
    expected: Floats
    lower: Floats
    upper: Floats
    p: Floats
    q: Floats
    flagged: Mask


def excess_rates(events: Counts, labels: Counts, classes: Counts | None = None) -> Rates:
    """Compares groups (rows) over strata (columns): `events` of so many `labels` each.

    `classes` has the class (a number from 0) that each stratum is a part of: the rate of a small
    stratum is pulled to that of its class.

    A group is flagged where Holm's test holds at 0.05, the lower bound of the ratio is at least 2,
    and at least 10 events are in excess; not where it has nobody to be compared with. Flagged
    groups leave the reference, at most a third of them, and the others are looked at again.
    """
    groups, strata = events.shape
    classes = np.zeros(strata, np.int64) if classes is None else classes
    observed = events.sum(axis=1).astype(np.float64)
    flagged = np.zeros(groups, bool)
    while True:
        expected = _expected(events, labels, classes, flagged)
        p = np.where(expected > 0, _tail(observed, expected, flagged), 1.0)
        rates = rates_of(observed, expected, p)
        found = rates.flagged | flagged
        # The worst first: what is flagged beside it may have been so by its weight alone.
        most = int(groups * _MOST_FLAGGED)
        if (found == flagged).all() or flagged.sum() >= most:
            return replace(rates, flagged=found)
        order = np.argsort(np.where(flagged, np.inf, p), kind="stable")
        added = [group for group in order if found[group] and not flagged[group]]
        flagged = flagged.copy()
        flagged[added[: most - int(flagged.sum())]] = True


def rates_of(observed: Floats, expected: Floats, p: Floats, tests: int = 0) -> Rates:
    """The rates of events whose probabilities by chance are known: bounds, q and what is flagged.

    `tests` is how many were made in all, where those with a p of 1 are left out.
    """
    left_out = np.ones(max(0, tests - len(p)))
    all_p = np.concatenate([p, left_out])
    least = np.maximum(expected, 1e-12)
    lower = np.where(observed > 0, special.gammaincinv(np.maximum(observed, 1), LEVEL), 0.0) / least
    upper = special.gammainccinv(observed + 1, LEVEL) / least
    flagged = holm(all_p)[: len(p)] & (lower >= LEAST_RATIO) & (observed - expected >= LEAST_EXCESS)
    q = benjamini_hochberg(all_p)[: len(p)]
    return Rates(observed, expected, lower, upper, p, q, flagged)


def overdispersed_tail(observed: Floats, expected: Floats, spread: float) -> Floats:
    """The probability of at least `observed` events: negative binomial, with rates that differ by
    a coefficient of variation of `spread`."""
    shape = 1 / spread**2
    chance = special.betainc(np.maximum(observed, 1), shape, expected / (shape + expected))
    return np.where(observed > 0, chance, 1.0)


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


def _expected(events: Counts, labels: Counts, classes: Counts, flagged: Mask) -> Floats:
    """Events to be expected of each group at the rates of the others in each stratum."""
    trusted = ~flagged[:, None]
    of_others = (events * trusted).sum(axis=0) - events * trusted
    by_others = (labels * trusted).sum(axis=0) - labels * trusted
    # Own counts steady the rate of a stratum, but not where there are few others: whoever has a
    # stratum alone would be compared with themselves. A flagged group counts nothing for itself.
    weight = np.minimum(_OWN_WEIGHT, by_others / np.maximum(labels, 1)) * trusted
    of_others, by_others = of_others + weight * events, by_others + weight * labels
    overall = of_others.sum(axis=1) / np.maximum(by_others.sum(axis=1), 1)
    of_class = _by_class(of_others, classes)
    rates = _pulled(of_class, _by_class(by_others, classes), overall[:, None])
    rates = _pulled(of_others, by_others, rates[:, classes])
    expected: Floats = (labels * rates).sum(axis=1)
    return expected


def _by_class(strata: Floats, classes: Counts) -> Floats:
    """The sums of the columns of each class."""
    sums = np.zeros((int(classes.max(initial=0)) + 1, len(strata)))
    np.add.at(sums, classes, strata.T)
    return sums.T


def _pulled(events: Floats, labels: Floats, to: Floats) -> Floats:
    """The rates of events; those of few labels are pulled to the rates `to`."""
    rates: Floats = (events + _PSEUDO_LABELS * to) / (labels + _PSEUDO_LABELS)
    return rates


def _tail(observed: Floats, expected: Floats, flagged: Mask) -> Floats:
    """The probability of at least `observed` events in an honest group."""
    groups = int((~flagged).sum())
    if groups < _FEW:
        return overdispersed_tail(observed, expected, _ASSUMED_CV)
    y = np.log((observed + 0.5) / (expected + 0.5))[~flagged]
    centre = np.median(y)
    spread = 1.4826 * np.median(np.abs(y - centre))
    own = max(0.0, spread**2 - float(np.median(1 / np.maximum(expected[~flagged], 0.5))))
    variance = (_PRIOR_GROUPS * _PRIOR_VARIANCE + groups * own) / (_PRIOR_GROUPS + groups)
    mean = expected * np.exp(centre)
    # Not a gamma: the lognormal has the longer tail, and of many honest people one is far out.
    rates = mean[:, None] * np.exp(np.sqrt(variance) * _NODES)
    chance = special.gammainc(np.maximum(observed, 1)[:, None], rates) @ _WEIGHTS
    return np.where(observed > 0, chance, 1.0)
