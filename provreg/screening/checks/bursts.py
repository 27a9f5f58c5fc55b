"""Hours in which far more labels were set than in others of their kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

import numpy as np

from provreg.core.encoding.text import counted
from provreg.screening import standards
from provreg.screening.api import Check, Finding, Question, Severity, Tables, entries_with
from provreg.screening.statistics.comparison import cells_of
from provreg.screening.statistics.rates import overdispersed_tail, rates_of

_FAMILY = "bursts"
_SPREAD = 0.5
_TRIMMED = 0.1
# Fewer labels than this an hour are not expected of any: nearly empty hours say nothing.
_LEAST_EXPECTED = 0.5
_SATURDAY = 5


def _queries(_: Question) -> Mapping[str, str]:
    return {
        _FAMILY: """
            select date_trunc('hour', labeled_at at time zone 'UTC') as hour, count(*) as labels
            from entries where labeled_at is not null group by all order by all"""
    }


def _find(tables: Tables, question: Question) -> Iterator[Finding]:
    hours = tables[_FAMILY].column("hour").to_pylist()
    if not hours:
        return
    labels = tables[_FAMILY].column("labels").to_numpy().astype(np.float64)
    kinds = [(hour.hour, hour.weekday() >= _SATURDAY) for hour in hours]
    counts = defaultdict(list)
    for kind, count in zip(kinds, labels.tolist(), strict=True):
        counts[kind].append(count)
    days = (hours[-1].date() - hours[0].date()).days + 1
    first = hours[0].weekday()
    weekend = sum((first + day) % 7 >= _SATURDAY for day in range(days % 7)) + days // 7 * 2
    means = {
        kind: _trimmed_mean(np.array(own), weekend if kind[1] else days - weekend)
        for kind, own in counts.items()
    }
    expected = np.array([max(_LEAST_EXPECTED, means[kind]) for kind in kinds])
    rates = rates_of(labels, expected, overdispersed_tail(labels, expected, _SPREAD), 24 * days)
    # Only what would be a warning elsewhere: hours differ too much for any p to be believed.
    p = np.where(rates.flagged, rates.p, 1.0)
    rates = replace(rates, p=p, q=np.where(rates.flagged, rates.q, 1.0))
    rates = replace(rates, flagged=np.zeros(len(p), bool))
    names = [hour.isoformat() for hour in hours]
    for place, _, effect in cells_of(names, rates, _FAMILY, 24 * days):
        begin = hours[place]
        condition = (
            f"labeled_at >= timestamptz '{begin:%Y-%m-%d %H:%M:%S}+00'"
            f" and labeled_at < timestamptz '{begin + timedelta(hours=1):%Y-%m-%d %H:%M:%S}+00'"
        )
        yield Finding(
            CHECK.name,
            Severity.NOTE,
            {"hour": f"{begin:%Y-%m-%dT%H}Z"},
            seen=f"{counted(int(effect.observed), 'label')} set in the hour from"
            f" {begin:%Y-%m-%d %H:%M} UTC",
            expected=f"{effect.expected:.1f}, as in the same hour of the other"
            f" {'weekend days' if kinds[place][1] else 'working days'}",
            count=int(effect.observed),
            samples=entries_with(question, condition),
            explanations="a shift that began, a deadline, or labels that a program set or imported",
            standards=CHECK.standards,
            effect=effect,
        )


def _trimmed_mean(counts: np.ndarray, days: int) -> float:
    """The mean of an hour's `counts` on so many `days`, without a tenth at each end; days that are
    not counted had none."""
    empty, every = days - len(counts), np.sort(counts)
    cut = int(days * _TRIMMED)
    kept = every[max(0, cut - empty) : max(0, len(every) - cut)]
    return float(kept.sum()) / max(1, days - 2 * cut)


CHECK = Check(
    name="bursts",
    looks_at="how many labels were set in each hour (UTC), by `labeled_at`",
    null_hypothesis="an hour has the labels of the same hour on the other working days, or weekend"
    " days, times a factor that differs between days",
    statistic="labels against the mean of these hours without a tenth at each end, negative"
    " binomial with a coefficient of variation of 0.5; Holm over all hours, a ratio of at least 2"
    " at its lower bound of 95 %, 10 labels in excess; a note at most, for where hours differ twice"
    " as much (1.0), half of all clean data have such an hour",
    assumptions="work follows the hours of the day; times are true, which nobody but the labeler"
    " vouches for",
    cannot_see="a few dozen labels at noon, when many are set; labels spread over the day; labels"
    " without a time",
    standards=(standards.POISON_TRAINING_DATA, standards.NIST_POISONING),
    queries=_queries,
    find=_find,
)
