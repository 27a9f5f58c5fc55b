"""Groups compared with each other: tables of events and labels in, effects and severities out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.screening.api import Effect, Severity
from provreg.screening.statistics.rates import LEAST_EXCESS, LEVEL, Counts, Rates, excess_rates

# Strata are as fine as this many cells of groups and strata allow.
_MOST_CELLS = 20_000_000
_STRATA = (("label", "source", "delivery"), ("label", "source"), ("label",), ())
MOST_NOTES = 20
# Far beyond what honest people do: an error.
_FAR_RATIO, _FAR_P = 10.0, 1e-6


@dataclass(frozen=True, slots=True)
class Group:
    """One group of a family: its name, its labels in all strata, and how its events compare."""

    name: str
    labels: int
    severity: Severity
    effect: Effect


def compare(table: pa.Table, family: str) -> Iterator[Group]:
    """Each group of `table`, in the order of names.

    Columns: `grp` (text), `label`, `source` and `delivery` (the stratum; null is a value of its
    own), `events` and `labels` (counts). Strata are coarser where there are too many.
    """
    names = pc.unique(table.column("grp").cast(pa.string()).combine_chunks()).sort()
    if not len(names):
        return
    groups = pc.index_in(table.column("grp").cast(pa.string()), names).to_numpy()
    strata, classes = _strata(table, len(names))
    events = np.zeros((len(names), len(classes)), np.int64)
    labels = np.zeros_like(events)
    for cells, column in ((events, "events"), (labels, "labels")):
        np.add.at(cells, (groups, strata), table.column(column).cast(pa.int64()).to_numpy())
    labels = np.maximum(labels, events)
    rates = excess_rates(events, labels, classes)
    for place, name in enumerate(names.to_pylist()):
        effect = effect_of(rates, place, family)
        yield Group(name, int(labels[place].sum()), severity_of(rates, place), effect)


def effect_of(rates: Rates, place: int, family: str, tests: int = 0) -> Effect:
    """The effect of one group of `rates`, of as many `tests`, by default one a group."""
    observed, expected = float(rates.observed[place]), float(rates.expected[place])
    return Effect(
        observed,
        expected,
        observed / max(expected, 1e-12),
        float(rates.lower[place]),
        float(rates.upper[place]),
        float(rates.p[place]),
        float(rates.q[place]),
        family,
        tests or len(rates.p),
    )


def is_worth_a_note(group: Group) -> bool:
    """Whether a group is to be listed at all."""
    return group.severity is not Severity.NOTE or group.effect.q <= LEVEL


def severity_of(rates: Rates, place: int) -> Severity:
    """How severe the excess of one group of `rates` is."""
    if not rates.flagged[place]:
        return Severity.NOTE
    far = rates.lower[place] >= _FAR_RATIO and rates.p[place] * len(rates.p) <= _FAR_P
    return Severity.ERROR if far else Severity.WARNING


def _strata(table: pa.Table, groups: int) -> tuple[Counts, Counts]:
    """(the stratum of each row, the class of each stratum), as numbers from 0."""
    for columns in _STRATA:
        keys = _codes(table, columns)
        count = int(keys.max(initial=0)) + 1
        if groups * count <= _MOST_CELLS or not columns:
            break
    classes = np.zeros(count, np.int64)
    classes[keys] = _codes(table, columns[:1])
    return keys, classes


def _codes(table: pa.Table, columns: tuple[str, ...]) -> Counts:
    """A number from 0 for each combination of values of `columns`."""
    codes = np.zeros(table.num_rows, np.int64)
    for name in columns:
        encoded = pc.dictionary_encode(
            table.column(name).combine_chunks(), null_encoding="encode"
        ).indices
        own = encoded.to_numpy(zero_copy_only=False).astype(np.int64)
        codes = np.unique(codes * (own.max(initial=0) + 1) + own, return_inverse=True)[1]
    return codes.astype(np.int64)


def cells_of(
    names: Sequence[str], rates: Rates, family: str, tests: int
) -> Iterator[tuple[int, Severity, Effect]]:
    """(place, severity, effect) of the groups of `rates` that are worth a note: all that are more
    than notes, and the least probable of those with LEAST_EXCESS, at most MOST_NOTES."""
    notes = 0
    for place in sorted(range(len(names)), key=lambda place: (rates.p[place], names[place])):
        severity, effect = severity_of(rates, place), effect_of(rates, place, family, tests)
        if severity is Severity.NOTE:
            if effect.q > LEVEL or effect.observed - effect.expected < LEAST_EXCESS:
                continue
            notes += 1
            if notes > MOST_NOTES:
                continue
        yield place, severity, effect
