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
_OLD_STRATUM = (
    "old_label as label, case when (select by_source from fine) then"
    " coalesce(old_source, new_source) end as source,"
    " case when (select by_delivery from fine) then new_delivery end as delivery"
)
_NEW_STRATUM = (
    "new_label as label, case when (select by_source from fine) then new_source end as source,"
    " case when (select by_delivery from fine) then new_delivery end as delivery"
)


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
        family.name: _query(family)
        for grouping in question.groupings("labeler", "source")
        for family in _FAMILIES[grouping]
    }


def _query(family: _Family) -> str:
    """SQL for (grp, label, source, delivery, events, labels): relabelings of so many labels."""
    by_version = family.column in ("version", "signer")
    own = family.column.removeprefix("new_").removeprefix("old_")
    groups = "count(*) from versions" if by_version else f"approx_count_distinct({own}) from base"
    column = "null" if by_version else own
    # Grouped by no more columns than are used, which takes half as long.
    stood = f"""
        fine as materialized (
            select cells <= {_MOST_CELLS} as by_source,
                   cells * deliveries <= {_MOST_CELLS} as by_delivery
            from (
                select (select {groups}) * approx_count_distinct(label)
                       * approx_count_distinct(source) as cells,
                       approx_count_distinct(delivery) as deliveries from base)),
        stood as materialized (
            select {column} as grp, label, source, case when (select by_delivery from fine)
                   then delivery end as delivery, count(*) as n
            from base where (select by_source from fine) group by all
            union all
            select {column}, label, null, null, count(*)
            from base where not (select by_source from fine) group by all)"""
    if by_version:
        # What a version found: the labels of the base, and what the versions before it changed.
        return f"""
            with {stood}, moves as (
                select (select min(version) from versions) as version, {_STRATUM}, n from stood
                union all
                select version, {_OLD_STRATUM}, -count(*) from changes
                where removed or relabeled group by all
                union all
                select version, {_NEW_STRATUM}, count(*) from changes
                where injected or relabeled group by all)
            select cast(grp as text) as grp, {_STRATUM}, sum(events) as events,
                   sum(labels) as labels
            from (
                select v.{family.column} as grp, {_STRATUM}, 0 as events, sum(m.n) as labels
                from versions v join moves m on m.version < v.version group by all
                union all
                select {family.column}, {_OLD_STRATUM}, count(*), 0 from changes
                where {RELABELED} group by all)
            where label is not null group by all order by all"""
    if family.column == "new_labeler":
        relabeled = f"select new_labeler as grp, {_OLD_STRATUM}, count(*) as events, count(*) as n"
    else:
        relabeled = f"select {family.column} as grp, {_OLD_STRATUM}, count(*) as events, 0 as n"
    return f"""
        with {stood}
        select grp, {_STRATUM}, sum(events) as events, sum(n) as labels
        from (
            select grp, {_STRATUM}, 0 as events, n from stood
            union all
            select new_{own}, {_NEW_STRATUM}, 0, count(*) from changes where injected group by all
            union all
            {relabeled} from changes where {RELABELED} group by all
            {_later_labels(family)})
        where grp is not null and label is not null group by all order by all"""


def _later_labels(family: _Family) -> str:
    """Labels set by relabeling, which can be replaced as well."""
    if family.column != "old_labeler":
        return ""
    return (
        f"union all select new_labeler, {_NEW_STRATUM}, 0, count(*) from changes"
        f" where {RELABELED} group by all"
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
