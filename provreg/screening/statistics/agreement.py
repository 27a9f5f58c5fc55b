"""How reliable each labeler is where several people label the same samples.

Dawid-Skene: every labeler has a confusion matrix, every sample a true class that nobody saw; both
are found together by expectation maximization. Source: Dawid and Skene 1979, Applied Statistics
28(1):20-28.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

# Answers of the average labeler that are added to those of each: with few answers of their own,
# honest labelers would look unreliable by chance.
_POOLED = 0.5
_MOST_ROUNDS = 100
_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class Agreement:
    """What `agreement` estimates.

    `posterior` has the probability of each class for each sample (samples x classes), `confusion`
    the probability of each answer for each true class (labelers x true classes x answers), `prior`
    the share of each class.
    """

    posterior: Floats
    confusion: Floats
    prior: Floats

    def labels(self) -> Codes:
        """The most probable class of each sample; of equally probable ones the first."""
        return np.asarray(self.posterior.argmax(axis=1), np.int64)

    def reliability(self) -> Floats:
        """For each labeler the probability of a right answer to a sample as they come."""
        right = np.einsum("wkk->wk", self.confusion)
        return np.asarray(right @ self.prior)


def agreement(
    samples: Codes, labelers: Codes, answers: Codes, *, shape: tuple[int, int, int]
) -> Agreement:
    """Dawid-Skene over answers, one row each: (sample, labeler, class) as numbers from 0.

    `shape` is the number of samples, labelers and classes. Every sample needs an answer. A labeler
    who answers a sample twice is counted twice.
    """
    count, people, classes = shape
    cells = labelers * classes + answers
    # One row a sample, one column a labeler's answer: both steps are a product with this matrix.
    given = csr_array((np.ones(len(samples)), (samples, cells)), shape=(count, people * classes))
    votes = np.zeros((count, classes))
    np.add.at(votes, (samples, answers), 1.0)
    posterior = votes / votes.sum(axis=1, keepdims=True)
    previous = -np.inf
    for _ in range(_MOST_ROUNDS):
        prior = posterior.mean(axis=0)
        confusion = _confusion(given, posterior, people, classes)
        with np.errstate(divide="ignore"):
            by_cell = np.log(confusion).transpose(0, 2, 1).reshape(people * classes, classes)
            joint = given @ np.maximum(by_cell, -700) + np.log(prior)
        top = joint.max(axis=1, keepdims=True)
        weights = np.exp(joint - top)
        total = weights.sum(axis=1, keepdims=True)
        posterior = weights / total
        likelihood = float((np.log(total) + top).sum())
        if likelihood - previous < _TOLERANCE * count:
            break
        previous = likelihood
    return Agreement(posterior, confusion, prior)


def _confusion(given: csr_array, posterior: Floats, people: int, classes: int) -> Floats:
    """Each labeler's confusion matrix, smoothed by that of all labelers together."""
    counts = (given.T @ posterior).reshape(people, classes, classes).transpose(0, 2, 1)
    pooled = counts.sum(axis=0) + 1.0 / classes
    pooled /= pooled.sum(axis=1, keepdims=True)
    smoothed = counts + _POOLED * pooled
    return np.asarray(smoothed / smoothed.sum(axis=2, keepdims=True))
