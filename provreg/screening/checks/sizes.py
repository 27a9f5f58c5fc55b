"""Which source has samples of a class whose sizes are unlike those of the class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from provreg.core.encoding.text import quoted
from provreg.screening import standards
from provreg.screening.api import Check, Finding, Question, Samples, Tables, entries_with
from provreg.screening.statistics.comparison import cells_of
from provreg.screening.statistics.rates import overdispersed_tail, rates_of

_FAMILY = "sizes"
# Sizes are counted in steps of an eighth of a doubling.
_STEPS = 8
# So many deviations from the median is far, and at least one doubling.
_FAR, _LEAST_FAR = 6.0, 1.0
_SPREAD = 0.75
_PSEUDO_SAMPLES = 20.0


def _queries(_: Question) -> Mapping[str, str]:
    return {
        _FAMILY: f"""
            select source, label, cast(floor(log2(size + 1) * {_STEPS}) as integer) as step,
                   count(*) as samples
            from entries where label is not null group by all order by all"""
    }


def _find(tables: Tables, question: Question) -> Iterator[Finding]:
    table = tables[_FAMILY]
    if not table.num_rows:
        return
    source, label = (
        table.column(n).combine_chunks().dictionary_encode() for n in ("source", "label")
    )
    sources, classes = source.dictionary.to_pylist(), label.dictionary.to_pylist()
    steps = table.column("step").to_numpy().astype(np.float64)
    samples = table.column("samples").to_numpy().astype(np.float64)
    of_class = label.indices.to_numpy()
    middle = _medians(of_class, steps, samples, len(classes))
    deviation = _medians(of_class, np.abs(steps - middle[of_class]), samples, len(classes))
    reach = np.maximum(_FAR * 1.4826 * deviation, _LEAST_FAR * _STEPS)
    far = samples * (np.abs(steps - middle[of_class]) > reach[of_class])
    cells, cell = np.unique(
        source.indices.to_numpy().astype(np.int64) * len(classes) + of_class, return_inverse=True
    )
    observed, count = (np.bincount(cell, n).astype(np.float64) for n in (far, samples))
    own_class = cells % len(classes)
    far_in_class, in_class = np.bincount(of_class, far), np.bincount(of_class, samples)
    others = in_class[own_class] - count
    overall = (far.sum() - observed) / np.maximum(samples.sum() - count, 1.0)
    rate = far_in_class[own_class] - observed + _PSEUDO_SAMPLES * overall
    expected = count * rate / (others + _PSEUDO_SAMPLES)
    compared = samples.sum() > count
    p = np.where(compared, overdispersed_tail(observed, expected, _SPREAD), 1.0)
    rates = rates_of(observed, expected, p)
    names = [f"{classes[c % len(classes)]}\0{sources[c // len(classes)]}" for c in cells]
    for place, severity, effect in cells_of(names, rates, _FAMILY, len(cells)):
        one, of = classes[own_class[place]], sources[cells[place] // len(classes)]
        low, high = _bounds(middle[own_class[place]], reach[own_class[place]])
        yield Finding(
            CHECK.name,
            severity,
            {"source": of, "class": one},
            seen=f"{int(effect.observed):,} of {int(count[place]):,} samples of class {quoted(one)}"
            f" from source {quoted(of)} have less than {low:,} or at least {high:,} bytes",
            expected=f"{effect.expected:.1f}, as often as in the same class from the others",
            count=int(effect.observed),
            samples=_samples(question, one, of, low, high),
            explanations="another camera, encoder or writer, or a source of other resolution",
            standards=CHECK.standards,
            effect=effect,
        )


def _bounds(middle: float, reach: float) -> tuple[int, int]:
    """The least size that is not far below the median, and the least that is far above."""
    low, high = np.ceil(middle - reach), np.floor(middle + reach) + 1
    return tuple(max(0, int(np.ceil(2 ** (step / _STEPS) - 1))) for step in (low, high))  # type: ignore[return-value]


def _samples(question: Question, label: str, source: str, low: int, high: int) -> Samples:
    return entries_with(question, f"(size < {low} or size >= {high})", source=source, label=label)


def _medians(groups: np.ndarray, values: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """The median of `values`, each of which occurs `weights` times, in each group."""
    order = np.lexsort((values, groups))
    passed = np.cumsum(weights[order])
    ends = np.cumsum(np.bincount(groups, weights, count))
    starts = np.concatenate([[0.0], ends[:-1]])
    at = np.searchsorted(passed, (starts + ends) / 2)
    medians: np.ndarray = values[order][at]
    return medians


CHECK = Check(
    name="sizes",
    looks_at="the sizes of the samples of each class and source",
    null_hypothesis="samples of a class from each source are as often of an unusual size as those"
    " of the same class from the others, times a factor that differs between sources and classes",
    statistic="a size is unusual beyond six median absolute deviations (times 1.4826) of the class,"
    " in logarithms, and at least a doubling from its median; counted by source and class, negative"
    " binomial with a coefficient of variation of 0.75, Holm, a ratio of at least 2 at its lower"
    " bound of 95 %, 10 samples in excess",
    assumptions="more than half of a class is as it should be",
    cannot_see="samples of usual size, which most attacks leave; fewer than about ten; a dataset of"
    " one class from one source",
    standards=(standards.NIST_POISONING, standards.ERODE_INTEGRITY, standards.OWASP_DATA),
    queries=_queries,
    find=_find,
)
