"""Power and false alarms of `excess_rates` on simulated labelers, with fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from provreg.screening.statistics.rates import (
    benjamini_hochberg,
    excess_rates,
    holm,
)

CLASSES = 10


def _simulated(
    seed: int, labelers: int, labels: int, *, spread: float, attack: float = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Relabels and labels of each labeler and class; the first relabels `attack` times too many.

    Honest rates are 1 % on average, with a coefficient of variation of `spread`; classes are
    unequal and hard by different factors, and every labeler gets another mix of them.
    """
    chance = np.random.default_rng(seed)
    shares = chance.dirichlet(np.full(CLASSES, 2.0))
    difficulty = np.exp(chance.uniform(0, np.log(4), CLASSES))
    difficulty /= shares @ difficulty
    mixes = chance.dirichlet(shares * 30 + 0.01, labelers)
    given = np.stack([chance.multinomial(labels, mix) for mix in mixes])
    people = np.ones(labelers)
    if spread:
        people = chance.gamma(1 / spread**2, spread**2, labelers)
    if attack:
        people[0] = attack
    rates = np.minimum(0.01 * people[:, None] * difficulty, 1)
    return chance.binomial(given, rates), given


def _flagged(seeds: int, labelers: int, labels: int, **options: float) -> np.ndarray:
    return np.stack(
        [
            excess_rates(*_simulated(seed, labelers, labels, **options)).flagged
            for seed in range(seeds)
        ]
    )


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_ten_honest_labelers_are_left_in_peace(spread: float) -> None:
    assert _flagged(200, 10, 500, spread=spread).any(axis=1).sum() <= 16


@pytest.mark.parametrize(("attack", "least"), [(5, 170), (10, 200)])
def test_one_of_ten_who_flips_is_found(attack: float, least: int) -> None:
    assert _flagged(200, 10, 500, spread=0.0, attack=attack)[:, 0].sum() >= least
    assert _flagged(200, 10, 500, spread=0.5, attack=attack)[:, 0].sum() >= least


def test_of_500_labelers_nobody_innocent_is_named_and_the_attacker_is() -> None:
    flagged = _flagged(40, 500, 20_000, spread=0.5, attack=10)
    assert flagged[:, 0].all()
    assert flagged[:, 1:].any(axis=1).sum() <= 2


def test_whoever_has_a_stratum_alone_is_compared_with_the_others() -> None:
    # Nine labelers share the first source; the tenth, who flips, has the second alone.
    labels = np.zeros((10, 2), np.int64)
    labels[:9, 0], labels[9, 1] = 500, 500
    events = np.zeros_like(labels)
    events[:9, 0], events[9, 1] = 5, 60
    assert excess_rates(events, labels).flagged.tolist() == [False] * 9 + [True]


def test_nobody_to_be_compared_with() -> None:
    rates = excess_rates(np.array([[400]]), np.array([[500]]))
    assert not rates.flagged.any()
    assert rates.p.tolist() == [1.0]


@pytest.mark.parametrize("groups", [12, 60])
def test_probabilities_are_those_of_scipys_distributions(groups: int) -> None:
    events, labels = _simulated(3, groups, 500, spread=0.0)
    rates = excess_rates(events, labels)
    if groups < 30:
        shape = 1 / 0.45**2
        expected = stats.nbinom.sf(rates.observed - 1, shape, shape / (shape + rates.expected))
        np.testing.assert_allclose(rates.p, expected)
    lower = stats.chi2.ppf(0.05, 2 * rates.observed) / 2 / rates.expected
    np.testing.assert_allclose(rates.lower, np.nan_to_num(lower))
    upper = stats.chi2.isf(0.05, 2 * (rates.observed + 1)) / 2 / rates.expected
    np.testing.assert_allclose(rates.upper, upper)


def test_q_values_and_rejections() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p))
    assert holm(p).tolist() == [True, False, False, True]
