"""Who began to relabel more than before: each version by itself, and summed over versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from scipy import stats

from provreg.core.encoding.text import counted, quoted
from provreg.screening import standards
from provreg.screening.api import Check, Finding, Question, Samples, Tables, changes_with
from provreg.screening.checks.relabels import RELABELED
from provreg.screening.statistics.comparison import effect_of, severity_of
from provreg.screening.statistics.rates import Floats, overdispersed_tail, rates_of

_FAMILY, _LABELS = "nights", "nights: labels"
_SPREAD = 0.5
_SHAPE = 1 / _SPREAD**2
_SLACK, _ALARM = 0.5, 11.0
_ALPHA = 0.025
_MOST_Z = 8.0


def _queries(_: Question) -> Mapping[str, str]:
    return {
        _FAMILY: f"""
            select version, new_labeler as labeler, count(*) as events from changes
            where {RELABELED} and new_labeler is not null group by all order by all""",
        _LABELS: f"""
            with who as (
                select distinct new_labeler as labeler from changes where {RELABELED})
            select version, labeler, cast(sum(n) as bigint) as labels
            from (
                select (select min(version) from versions) as version, labeler, count(*) as n
                from base group by all
                union all
                select version, new_labeler, count(*) from changes
                where injected or ({RELABELED}) group by all)
            where labeler in (select labeler from who) group by all order by all""",
        "nights: versions": "select version from versions order by version",
    }


def _find(tables: Tables, question: Question) -> Iterator[Finding]:
    versions = tables["nights: versions"].column("version").to_pylist()
    events, labels = tables[_FAMILY], tables[_LABELS]
    names = sorted({*labels.column("labeler").to_pylist()})
    if not events.num_rows or len(names) < 2:
        return
    row, column = {v: i for i, v in enumerate(versions)}, {n: i for i, n in enumerate(names)}
    observed = np.zeros((len(versions), len(names)))
    stood = np.zeros_like(observed)
    for cells, table, name in ((observed, events, "events"), (stood, labels, "labels")):
        at = [row[v] for v in table.column("version").to_pylist()]
        of = [column[n] for n in table.column("labeler").to_pylist()]
        np.add.at(cells, (at, of), table.column(name).to_numpy())
    expected, z, p = increments(observed[1:], np.cumsum(stood, axis=0)[1:])
    peak, began, ended = cusum(z)
    once = p <= _ALPHA / max(1, p.size)
    if not (once.any() or (peak > _ALARM).any()):
        return
    # The run that led to the alarm, or the one version that stands out.
    alarmed = [n for n in range(len(names)) if peak[n] > _ALARM or once[:, n].any()]
    spans = [
        (began[n], ended[n]) if peak[n] > _ALARM else (int(np.argmin(p[:, n])),) * 2
        for n in alarmed
    ]
    sums = [
        [
            float(cells[first : last + 1, n].sum())
            for n, (first, last) in zip(alarmed, spans, strict=True)
        ]
        for cells in (observed[1:], expected)
    ]
    seen, mean = map(np.array, sums)
    rates = rates_of(seen, mean, overdispersed_tail(seen, mean, _SPREAD), len(names))
    for place, (n, (first, last)) in enumerate(zip(alarmed, spans, strict=True)):
        severity, effect = severity_of(rates, place), effect_of(rates, place, _FAMILY, len(names))
        whole = changes_with(question, "relabeled", new_labeler=names[n])
        since, until = versions[first + 1], versions[last + 1]
        span = f"version {since}" if first == last else f"versions {since} to {until}"
        how = (
            f"the sum of its excesses reached {peak[n]:.1f} (alarm above {_ALARM:g})"
            if peak[n] > _ALARM
            else f"p {p[first, n]:.1g} in one version"
        )
        yield Finding(
            CHECK.name,
            severity,
            {"labeler": names[n], "since": str(since), "until": str(until)},
            seen=f"labeler {quoted(names[n])} relabeled {counted(int(effect.observed), 'label')} in"
            f" {span}; {how}",
            expected=f"{effect.expected:.1f}, at the others' rates in the same versions and by how"
            " the labeler differed from them before",
            count=int(effect.observed),
            samples=Samples(
                "changes",
                f"{whole.where} and version >= {since} and version <= {until}",
                whole.look,
            ),
            explanations="a new task or guideline that one labeler got before the others",
            standards=CHECK.standards,
            effect=effect,
        )


def increments(events: Floats, labels: Floats) -> tuple[Floats, Floats, Floats]:
    """(expected events, normal scores, p) of each version (row) and labeler (column).

    `labels` stood by each labeler. What is expected is the others' rate of the version, times how
    the labeler differed from it in the versions before: for a gamma spread of rates this is exact.
    """
    others = events.sum(axis=1, keepdims=True) - events
    by_others = labels.sum(axis=1, keepdims=True) - labels
    overall = events.sum() / max(labels.sum(), 1.0)
    rate = (others + 20 * overall) / (by_others + 20)
    mean = labels * rate
    passed = np.zeros((2, events.shape[1]))
    expected, p, middle = (np.empty_like(mean) for _ in range(3))
    for version in range(len(events)):
        shape = _SHAPE + passed[0]
        expected[version] = mean[version] * shape / (_SHAPE + passed[1])
        spread = 1 / np.sqrt(shape)
        p[version] = overdispersed_tail(events[version], expected[version], spread)
        above = overdispersed_tail(events[version] + 1, expected[version], spread)
        middle[version] = (p[version] + above) / 2
        passed += (events[version], mean[version])
    z = np.clip(stats.norm.isf(middle), -_MOST_Z, _MOST_Z)
    return expected, z, p


def cusum(z: Floats) -> tuple[Floats, list[int], list[int]]:
    """(the highest sum of each labeler, the rows where the run to it began and where it was):
    S = max(0, S + z - 1/2), from 0."""
    labelers = z.shape[1]
    total, peak = np.zeros(labelers), np.zeros(labelers)
    start, began, ended = (np.zeros(labelers, int) for _ in range(3))
    for row, scores in enumerate(z):
        start = np.where(total <= 0, row, start)
        total = np.maximum(0, total + scores - _SLACK)
        higher = total > peak
        peak = np.where(higher, total, peak)
        began, ended = np.where(higher, start, began), np.where(higher, row, ended)
    return peak, began.tolist(), ended.tolist()


CHECK = Check(
    name="nights",
    looks_at="the relabelings of each version since the base by the labeler who made them: what"
    " each version added, by itself and summed over versions",
    null_hypothesis="in each version a labeler relabels at the others' rate, times how the labeler"
    " differed from them in the versions before",
    statistic="the normal score z of the mid-p of each version (gamma-Poisson, coefficient of"
    " variation 0.5); S = max(0, S + z - 1/2), an alarm above 11 (Page's CUSUM); beside it p at"
    " most 0.025 / (versions x labelers). A warning also needs Holm, a ratio of at least 2 at its"
    " lower bound of 95 % and 10 relabelings in excess over the versions of the alarm, else a note."
    " Nothing is kept between runs: the sum is made anew from the history, so the same data give"
    " the same report",
    assumptions="most labelers go on as before; each version is a part of the same work",
    cannot_see="somebody who relabels too much from the beginning (`relabels` does), or who begins"
    " very slowly; what all labelers do in one version",
    standards=(standards.POISON_TRAINING_DATA, standards.NIST_POISONING, standards.OWASP_POISONING),
    queries=_queries,
    find=_find,
)
