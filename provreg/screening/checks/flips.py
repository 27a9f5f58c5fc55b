"""Who turns one class into another one more often than the others do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from provreg.core.encoding.text import counted, quoted
from provreg.screening import standards
from provreg.screening.api import Check, Finding, Grouping, Question, Tables, changes_with
from provreg.screening.checks.relabels import RELABELED
from provreg.screening.statistics.comparison import cells_of
from provreg.screening.statistics.rates import Floats, overdispersed_tail, rates_of

_GROUPINGS: tuple[Grouping, ...] = ("labeler", "source")
# People differ in how much they relabel and in which classes they confuse: .5 each.
_SPREAD = 0.75
_PSEUDO_LABELS = 20.0
_DIRECTED = 0.05


def _queries(question: Question) -> Mapping[str, str]:
    queries = {}
    for grouping in _GROUPINGS:
        if grouping not in question.groupings(*_GROUPINGS):
            continue
        queries[f"flips by {grouping}"] = f"""
            select new_{grouping} as grp, old_label, new_label, count(*) as events
            from changes where {RELABELED} and new_{grouping} is not null
            group by all order by all"""
        queries[f"labels by {grouping}"] = f"""
            with stood as materialized (
                select {grouping} as grp, label, n from base_by_{grouping}
                union all
                select new_{grouping}, new_label, count(*) from changes
                where injected group by all
                union all
                select new_{grouping}, old_label, count(*) from changes
                where {RELABELED} and '{grouping}' = 'labeler' group by all)
            select grp, label, cast(sum(n) as bigint) as labels from stood
            where grp is not null
            and label in (select old_label from changes where {RELABELED})
            group by all order by all"""
    return queries


def _find(tables: Tables, question: Question) -> Iterator[Finding]:
    for grouping in _GROUPINGS:
        if f"flips by {grouping}" in tables:
            flips = tables[f"flips by {grouping}"]
            yield from _in_family(grouping, flips, tables[f"labels by {grouping}"], question)


def _in_family(
    grouping: str, flips: pa.Table, labels: pa.Table, question: Question
) -> Iterator[Finding]:
    if not flips.num_rows:
        return
    observed, expected, own_factor, tests = _expected(flips, labels)
    p = np.where(expected > 0, overdispersed_tail(observed, expected, _SPREAD), 1.0)
    rates = rates_of(observed, expected, p, tests)
    directed = overdispersed_tail(observed, expected * own_factor, _SPREAD) <= _DIRECTED
    names, old, new = (flips.column(name).to_pylist() for name in ("grp", "old_label", "new_label"))
    for place, severity, effect in cells_of(names, rates, f"flips by {grouping}", tests):
        moved = f"{counted(int(effect.observed), 'label')} from {quoted(old[place])}"
        how = (
            "this change stands out among all of its relabelings"
            if directed[place]
            else "as much is relabeled in other classes"
        )
        columns = {f"new_{grouping}": names[place]}
        yield Finding(
            CHECK.name,
            severity,
            {grouping: names[place], "from": old[place], "to": new[place]},
            seen=f"{grouping} {quoted(names[place])}: {moved} to {quoted(new[place])}; {how}",
            expected=f"{effect.expected:.1f} at the rate of the others",
            count=int(effect.observed),
            samples=changes_with(
                question, "relabeled", **columns, old_label=old[place], new_label=new[place]
            ),
            explanations="somebody whose task is to correct this confusion, or a new guideline for"
            " the two classes",
            standards=CHECK.standards,
            effect=effect,
        )


def _expected(flips: pa.Table, labels: pa.Table) -> tuple[Floats, Floats, Floats, int]:
    """(flips, those expected, how much more than others the group relabels elsewhere) of each row
    of `flips`, and how many tests there are."""
    grp, old = _codes(flips, labels, "grp", "grp"), _codes(flips, labels, "old_label", "label")
    groups, classes = (int(max(map(np.max, filter(len, codes)))) + 1 for codes in (grp, old))
    new = flips.column("new_label").combine_chunks().dictionary_encode()
    pair = old[1] * len(new.dictionary) + new.indices.to_numpy()
    pairs, pair = np.unique(pair, return_inverse=True)
    events = flips.column("events").to_numpy().astype(np.float64)
    stood = labels.column("labels").to_numpy().astype(np.float64)
    cells, at = np.unique(grp[0] * classes + old[0], return_inverse=True)
    own = np.zeros(len(cells))
    np.add.at(own, at, stood)
    here = np.searchsorted(cells, grp[1] * classes + old[1])
    # A label that was set and replaced between stands nowhere: what was flipped was there.
    known = np.where(
        cells[np.minimum(here, len(cells) - 1)] == grp[1] * classes + old[1],
        own[np.minimum(here, len(cells) - 1)],
        0.0,
    )
    known = np.maximum(known, events)
    of_class = np.bincount(old[0], stood, classes)
    of_pair = np.bincount(pair, events, len(pairs))
    overall = events.sum() / max(stood.sum(), 1.0) / len(new.dictionary)
    by_others = np.maximum(of_class[old[1]] - known, 0.0)
    rate = (of_pair[pair] - events + _PSEUDO_LABELS * overall) / (by_others + _PSEUDO_LABELS)
    expected = np.where(by_others > 0, known * rate, 0.0)
    # All relabelings of a group, against the others' in the same classes.
    relabeled = np.bincount(old[1], events, classes)
    mean = np.bincount(grp[0], stood * (relabeled / np.maximum(of_class, 1.0))[old[0]], groups)
    everything = np.bincount(grp[1], events, groups)
    factor = (everything[grp[1]] - events + 1) / (np.maximum(mean[grp[1]] - expected, 0) + 1)
    return events, expected, np.maximum(factor, 1.0), groups * len(pairs)


def _codes(
    flips: pa.Table, labels: pa.Table, of_flips: str, of_labels: str
) -> tuple[np.ndarray, np.ndarray]:
    """The values of a column of both tables as numbers from 0: (of `labels`, of `flips`)."""
    both = pa.chunked_array(
        [*labels.column(of_labels).chunks, *flips.column(of_flips).chunks], pa.string()
    )
    codes = both.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    return codes[: labels.num_rows], codes[labels.num_rows :]


CHECK = Check(
    name="flips",
    looks_at="relabelings from one class to another since the base version, by the labeler who made"
    " them and by source",
    null_hypothesis="each labeler turns one class into the other at the rate of the others, times a"
    " factor that differs between honest people and between pairs of classes",
    statistic="flips against own labels of the class times the others' rate, negative binomial with"
    " a coefficient of variation of 0.75; Holm over all labelers and pairs that occur, a ratio of"
    " at least 2 at its lower bound of 95 %, 10 flips in excess. Whether the labeler relabels as"
    " much elsewhere changes the words, not the severity",
    assumptions="most labelers who have the class confuse it alike; labels that nobody replaced"
    " count as looked at",
    cannot_see="labels that were wrong from the beginning; fewer than about fifteen flips among"
    " thousands of labels; a change that everybody makes; one that a labeler makes who has the"
    " class alone",
    standards=(standards.NIST_TARGETED, standards.POISON_TRAINING_DATA, standards.OWASP_POISONING),
    queries=_queries,
    find=_find,
)
