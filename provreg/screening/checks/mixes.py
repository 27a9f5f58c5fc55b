"""Whose mix of labels is unlike that of the others, or of their own past."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from scipy import special, stats

from provreg.core.encoding.text import quoted
from provreg.screening import standards
from provreg.screening.api import Check, Finding, Grouping, Question, Severity, Tables, entries_with
from provreg.screening.statistics.comparison import MOST_NOTES, effect_of, severity_of
from provreg.screening.statistics.rates import LEVEL, Floats, rates_of

_GROUPINGS: tuple[Grouping, ...] = ("labeler", "source")
_PAST = "mix of a source against its past"
# The least distance of two mixes that matters, and the least groups whose median says how much
# honest mixes differ.
_LEAST_DISTANCE, _FEW = 0.1, 5


def _queries(question: Question) -> Mapping[str, str]:
    asked = [name for name in _GROUPINGS if name in question.groupings(*_GROUPINGS)]
    # (grp, label, own, reference): labels of the group, and of the others.
    queries = {
        f"mix by {grouping}": f"""
            with cells as (
                select {grouping} as grp, label, n as own from entries_by_{grouping}
                where {grouping} is not null and label is not null)
            select *, cast(sum(own) over (partition by label) as bigint) - own as reference
            from cells order by grp, label"""
        for grouping in asked
    }
    if "source" in asked:
        queries[_PAST] = """
            select grp, label, cast(sum(own) as bigint) as own,
                   cast(sum(reference) as bigint) as reference
            from (
                select new_source as grp, new_label as label, count(*) as own, 0 as reference
                from changes where injected group by all
                union all
                select source, label, 0, n from base_by_source
                where source in (select new_source from changes where injected))
            where label is not null group by all order by all"""
    return queries


def _find(tables: Tables, question: Question) -> Iterator[Finding]:
    for name, table in tables.items():
        grouping = "source" if name == _PAST else name.removeprefix("mix by ")
        yield from _in_family(name, grouping, table, question)


def _in_family(
    family: str, grouping: str, table: pa.Table, question: Question
) -> Iterator[Finding]:
    encoded = table.column("grp").combine_chunks().dictionary_encode()
    names, grp = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    own, reference = (
        table.column(name).to_numpy().astype(np.float64) for name in ("own", "reference")
    )
    if not len(names):
        return
    labels = table.column("label").to_pylist()
    totals, others = (np.bincount(grp, n).astype(np.float64) for n in (own, reference))
    if family != _PAST:
        others = totals.sum() - totals  # of all classes, also those that a group lacks
    p, distance, expected = _compared(grp, own, reference, totals, others)
    # The class in which a group has the most beyond what is expected.
    order = np.lexsort((expected - own, grp))
    worst = order[np.unique(grp[order], return_index=True)[1]]
    rates = rates_of(own[worst], expected[worst], p)
    notes = 0
    for place in np.lexsort((np.arange(len(p)), p)).tolist():
        if distance[place] < _LEAST_DISTANCE or rates.q[place] > LEVEL:
            continue
        severity = severity_of(rates, place) if len(names) >= _FEW else Severity.NOTE
        notes += severity is Severity.NOTE
        if severity is Severity.NOTE and notes > MOST_NOTES:
            continue
        group, label = names[place], labels[worst[place]]
        effect = effect_of(rates, place, family)
        came = "of what came in from" if family == _PAST else "of"
        yield Finding(
            CHECK.name,
            severity,
            {grouping: group, "class": label},
            seen=f"the classes {came} {grouping} {quoted(group)} are {distance[place]:.2f} away"
            f" (square root of the Jensen-Shannon divergence); most beyond it is {quoted(label)},"
            f" {int(own[worst[place]]):,} of {int(totals[place]):,} labels",
            expected=f"{effect.expected:.1f} labels of it,"
            + (" as the source had before" if family == _PAST else " as the others have"),
            count=int(own[worst[place]]),
            samples=entries_with(question, **{grouping: group, "label": label}),
            explanations="a source of one subject, items that were given out by class, or a"
            " collection that was meant to fill up a class",
            standards=CHECK.standards,
            effect=effect,
        )


def _compared(
    grp: np.ndarray, own: Floats, reference: Floats, totals: Floats, others: Floats
) -> tuple[Floats, Floats, Floats]:
    """(p of each group, distance of its mix, own labels expected in each cell).

    Cells that a group lacks are not in the table: they add by the sum of their reference alone.
    """
    n, m = totals[grp], others[grp]
    both = np.maximum(n + m, 1.0)
    expected = (own + reference) * n / both
    rest = others - np.bincount(grp, reference)
    terms = special.xlogy(own, own / np.maximum(expected, 1e-12))
    terms += special.xlogy(reference, reference / np.maximum(own + reference - expected, 1e-12))
    lacking = special.xlogy(rest, (totals + others) / np.maximum(others, 1.0))
    statistic = 2 * (np.bincount(grp, terms) + lacking)
    share, share_of = own / np.maximum(n, 1.0), reference / np.maximum(m, 1.0)
    middle = np.maximum((share + share_of) / 2, 1e-300)
    apart = special.xlogy(share, share / middle) + special.xlogy(share_of, share_of / middle)
    divergence = np.bincount(grp, apart) / 2 + np.log(2) / 2 * rest / np.maximum(others, 1.0)
    freedom = max(1, int(np.bincount(grp).max()) - 1)
    typical = stats.chi2.median(freedom)
    spread = max(1.0, float(np.median(statistic)) / typical) if len(totals) >= _FEW else 1.0
    compared = (totals > 0) & (others > 0)
    p = np.where(compared, stats.chi2.sf(statistic / spread, freedom), 1.0)
    # Others' labels, which the group would have at their mix.
    at_their_mix = np.where(m > 0, share_of * n, own)
    return p, np.where(compared, np.sqrt(np.maximum(divergence, 0)), 0.0), at_their_mix


CHECK = Check(
    name="mixes",
    looks_at="the classes of each labeler's and each source's labels, against those of the others;"
    " and what came in from a source since the base version, against what it had before",
    null_hypothesis="the mix of classes of a group differs from that of the others no more than the"
    " mixes of groups usually do",
    statistic="G divided by its median over all groups (in units of the chi-squared median), where"
    " there are at least 5; q at most 0.05 (Benjamini-Hochberg) and a square root of the"
    " Jensen-Shannon divergence of at least 0.1. A warning also needs Holm at 0.05, and the class"
    " that is most in excess a ratio of at least 2 at its lower bound of 95 % and 10 labels more",
    assumptions="most groups get alike items; fewer than 5 groups give notes",
    cannot_see="a class that grows by a tenth where sources differ; anything where sources differ"
    " strongly; samples that keep the mix of classes",
    standards=(standards.NIST_POISONING, standards.ERODE_INTEGRITY, standards.OWASP_DATA),
    queries=_queries,
    find=_find,
)
