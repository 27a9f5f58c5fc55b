"""Who relabels, or is relabeled, more often than honest differences between people explain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from provreg.core.encoding.text import counted, quoted
from provreg.screening import standards
from provreg.screening.api import Check, Finding, Question, Tables, changes_with
from provreg.screening.statistics.comparison import compare, is_worth_a_note

# A manifest does not say which labels somebody looked at and left alone. So relabelings are divided
# by the labels that stood: those that each labeler had set, or that a version found.
RELABELED = "relabeled and old_label is not null and new_label is not null"
_STRATUM = "label, source, delivery"
# Strata are as fine as this many cells of groups and strata allow: of very many, each has too few
# labels to say anything, and all of them take long.
_MOST_CELLS = 1_000_000


@dataclass(frozen=True, slots=True)
class _Family:
    """Relabelings put together by a `column` of `changes`; `words` say what the group has to do
    with them, in a sentence with its name and the counts."""

    name: str
    column: str
    words: str


_FAMILIES = {
    "labeler": (
        _Family("relabels by new labeler", "new_labeler", "labeler {0} relabeled {1}"),
        _Family("relabels by old labeler", "old_labeler", "{1} by labeler {0} were replaced"),
    ),
    "source": (_Family("relabels by source", "new_source", "{1} of source {0} were replaced"),),
    "delivery": (
        _Family("relabels by delivery", "new_delivery", "{1} of delivery {0} were replaced"),
    ),
    "version": (_Family("relabels by version", "version", "version {0} replaced {1}"),),
    "signer": (_Family("relabels by signer", "signer", "versions signed by {0} replaced {1}"),),
}


def _queries(question: Question) -> Mapping[str, str]:
    return {
        family.name: _query(family, question)
        for grouping in question.groupings("labeler", "source")
        for family in _FAMILIES[grouping]
    }


def _query(family: _Family, question: Question) -> str:
    """SQL for (grp, label, source, delivery, events, labels): relabelings of so many labels."""
    own = family.column.removeprefix("new_").removeprefix("old_")
    groups = question.distinct.get("labeler", 1) if own == "labeler" else 1
    cells = groups * question.distinct.get("source", 1) * question.distinct.get("label", 1)
    is_fine = cells <= _MOST_CELLS
    old, new = _stratum("old_", is_fine=is_fine), _stratum("new_", is_fine=is_fine)
    if own in ("version", "signer"):
        # What a version found: the labels of the base, and what the versions before it changed.
        return f"""
            with moves as (
                select (select min(version) from versions) as version, {_stood("null", is_fine)}
                union all
                select version, null, {old}, -count(*) from changes
                where removed or relabeled group by all
                union all
                select version, null, {new}, count(*) from changes
                where injected or relabeled group by all)
            select cast(grp as text) as grp, {_STRATUM}, sum(events) as events,
                   sum(labels) as labels
            from (
                select v.{own} as grp, {_STRATUM}, 0 as events, sum(m.n) as labels
                from versions v join moves m on m.version < v.version group by all
                union all
                select {own}, {old}, count(*), 0 from changes where {RELABELED} group by all)
            where label is not null group by all order by all"""
    # A labeler who relabels has looked at that label, too.
    looked_at = "count(*)" if family.column == "new_labeler" else "0"
    # Labels set by relabeling can be replaced as well.
    later = (
        f"union all select new_labeler, {new}, 0, count(*) from changes"
        f" where {RELABELED} group by all"
    )
    return f"""
        select grp, {_STRATUM}, sum(events) as events, sum(n) as labels
        from (
            select grp, {_STRATUM}, 0 as events, n from (select {_stood(own, is_fine)})
            union all
            select new_{own}, {new}, 0, count(*) from changes where injected group by all
            union all
            select {family.column}, {old}, count(*), {looked_at} from changes
            where {RELABELED} group by all
            {later if family.column == "old_labeler" else ""})
        where grp is not null and label is not null group by all order by all"""


def _stood(own: str, is_fine: bool) -> str:
    """The rest of a SELECT of (grp, label, source, delivery, n): labels of the base."""
    if is_fine or own == "delivery":
        source, delivery = ("source", "delivery") if is_fine else ("null", "null")
        return (
            f"{own} as grp, label, {source} as source, {delivery} as delivery, count(*) as n"
            " from base group by all"
        )
    tally = "base_by_labeler" if own == "labeler" else "base_by_source"
    return f"{own} as grp, label, null as source, null as delivery, n from {tally}"


def _stratum(side: str, *, is_fine: bool) -> str:
    """The columns of a stratum, of one side of a change."""
    if not is_fine:
        return f"{side}label as label, null as source, null as delivery"
    # A sample's source and delivery are those that it has now.
    return (
        f"{side}label as label, coalesce(new_source, old_source) as source,"
        " coalesce(new_delivery, old_delivery) as delivery"
    )


def _find(tables: Tables, question: Question) -> Iterator[Finding]:
    families = [family for group in _FAMILIES.values() for family in group]
    for family in families:
        if family.name in tables:
            yield from _in_family(family, tables[family.name], question)


def _in_family(family: _Family, table: pa.Table, question: Question) -> Iterator[Finding]:
    for group in compare(table, family.name):
        if not is_worth_a_note(group):
            continue
        effect = group.effect
        share = effect.observed / max(group.labels, 1)
        labels = f"{int(effect.observed):,} of {counted(group.labels, 'label')} ({share:.1%})"
        column = family.column
        value = int(group.name) if column == "version" else group.name
        yield Finding(
            CHECK.name,
            group.severity,
            {column.removeprefix("new_").replace("old_", "old "): group.name},
            seen=family.words.format(quoted(group.name), labels),
            expected=f"{effect.expected:.1f} at the rates of the others, in the same classes,"
            " sources and deliveries",
            count=int(effect.observed),
            samples=changes_with(question, "relabeled", **{column: value}),
            explanations="somebody whose task is to correct labels, harder samples than the others"
            " got, or a new guideline",
            standards=CHECK.standards,
            effect=effect,
        )


CHECK = Check(
    name="relabels",
    looks_at="relabelings since the base version, by who set the new label, by whose label was"
    " replaced, and by source; on request by delivery, version and signer",
    null_hypothesis="labels of each group are replaced at the rate of the other groups in the same"
    " class, source and delivery, times a factor that differs between honest people",
    statistic="relabelings against those expected, with a negative binomial of coefficient of"
    " variation 0.45 below 30 groups, and from 30 with a Poisson-lognormal whose spread is fitted"
    " to the bulk of the groups; a warning needs Holm at 0.05, a ratio of at least 2 at its lower"
    " bound of 95 %, and 10 relabelings in excess",
    assumptions="at most a third of the groups misbehave; labels that nobody replaced count as"
    " looked at",
    cannot_see="labels that were wrong from the beginning; fewer than about ten relabelings; what"
    " most labelers do alike",
    standards=(standards.POISON_TRAINING_DATA, standards.NIST_POISONING, standards.OWASP_POISONING),
    queries=_queries,
    find=_find,
)
