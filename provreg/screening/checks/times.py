"""Times that contradict each other, and what stands on both sides of a split in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from provreg.core.encoding.text import counted, quoted
from provreg.screening import standards
from provreg.screening.api import (
    Check,
    Finding,
    Question,
    Samples,
    Severity,
    Tables,
    entries_where,
    literal,
    relabelings_where,
)

# `--time` writes ids as `key@time` or `time`, naive times without the Z. No time has an @.
_TIME = "split_part(id, '@', -1)"
_TIMED = f"{_TIME} like '____-__-__T__:__:__%'"
_COLLECTED = f"try_cast({_TIME} as timestamptz)"
_KEY = f"nullif(left(id, -1 - length({_TIME})), '')"
# Grouping all contents takes three times as long.
_REPEATED = (
    " and hash(content) in (select hash(content) from entries group by all having count(*) > 1)"
)
# Time zones that were left out and clocks that are wrong explain no more.
_TOLERATED, _DAY = "interval 1 day", timedelta(days=1)
# Heads have the time in whole seconds.
_SECOND = "interval 1 second"
_SHOWN = 5
_RELABELED = "relabeled and new_labeled_at is not null and old_labeled_at is not null"


def _queries(question: Question) -> Mapping[str, str]:
    rows = "\nunion all\n".join(
        f"select '{kind}' as kind, labeler, gap from ({sql})"
        for kind, sql in {
            "early": f"select labeler, {_COLLECTED} - labeled_at as gap from entries"
            f" where {_early(question, margin=_SECOND)}",
            "future": f"select labeler, gap from ({_touched_last(question)})",
            "backwards": "select new_labeler as labeler, old_labeled_at - new_labeled_at as gap"
            f" from changes where {_RELABELED} and new_labeled_at < old_labeled_at",
        }.items()
    )
    contradictions = f"""
        with by_labeler as (
            select kind, labeler, count(*) as samples,
                   count(*) filter (gap > {_TOLERATED}) as far
            from ({rows}) where gap > {_SECOND} group by all)
        select kind, labeler, samples as own, far as own_far,
               sum(samples) over (partition by kind) as samples,
               sum(far) over (partition by kind) as far
        from by_labeler
        qualify row_number() over (
            partition by kind order by far desc, samples desc, labeler nulls last) = 1
        order by kind"""
    order = "select version, created, signed_at from versions order by version"
    queries = {"contradictions": contradictions, "order": order}
    if question.split_at is not None:
        queries["sides"] = " union all ".join(
            f"""select '{kind}' as kind, count(*) as entities, sum(n) as samples from (
                select count(*) as n from entries
                where {_TIMED}{_REPEATED if kind == "content" else ""}
                group by {value} having {_on_both_sides(value, question.split_at)})"""
            for kind, value in _ENTITIES.items()
        )
        queries["sides"] += f" union all select 'timed', count({_COLLECTED}), 0 from entries"
        queries["sides"] += f" where {_TIMED} order by kind"
    return queries


def _early(question: Question, *, margin: str) -> str:
    since = " and id in (select new_id from changes)" if question.since else ""
    return (
        f"labeled_at is not null and {_TIMED} and id like '%Z'"
        f" and labeled_at < {_COLLECTED} - {margin}{since}"
    )


def _touched_last(question: Question) -> str:
    """SQL for (id, labeler, gap): how long after their last version samples were labeled.

    Those that no later version touched came with the base or before it.
    """
    join = "join" if question.since else "left join"
    return f"""
        with late as (
            select id, labeler, labeled_at from entries
            where labeled_at > (select min(greatest(created, signed_at)) from versions)),
        touched as (
            select l.id, l.labeler, l.labeled_at, max(c.version) as version
            from late l {join} changes c on c.new_id = l.id group by all)
        select t.id, t.labeler, t.labeled_at - greatest(v.created, v.signed_at) as gap
        from touched t join versions v
        on v.version = coalesce(t.version, (select min(version) from versions))"""


_ENTITIES = {"key": _KEY, "content": "content"}


def _on_both_sides(value: str, moment: datetime) -> str:
    after = f"{_COLLECTED} >= {_moment(moment)}"
    return f"{value} is not null and min({after}) <> max({after})"


def _moment(moment: datetime) -> str:
    return f"{literal(moment.isoformat())}::timestamptz"


def _find(tables: Tables, question: Question) -> Iterator[Finding]:
    for row in tables["contradictions"].to_pylist():
        yield _contradiction(row, question)
    yield from _disorder(tables, question)
    if question.split_at is not None:
        yield from _sides(tables, question, question.split_at)


_CONTRADICTIONS = {
    "early": (
        "labeled before collected",
        "labeled before the time in their ids",
        "no label before there is something to label",
        "a time in the ids that is not when the samples were collected",
    ),
    "future": (
        "labeled in the future",
        "labeled after the version that brought them was made",
        "no label later than the version that has it",
        "a wrong clock, or times that were written for another time zone",
    ),
    "backwards": (
        "labeled out of order",
        "relabeled with a time before that of the label that was replaced",
        "a new label is later than the one it replaces",
        "an earlier label that was restored, or a file of labels with older ones",
    ),
}


def _contradiction(row: Mapping[str, Any], question: Question) -> Finding:
    kind, far = row["kind"], int(row["far"])
    count = far or int(row["samples"])
    own = row["own_far"] if far else row["own"]
    name, seen, expected, explanations = _CONTRADICTIONS[kind]
    by = "without a labeler" if row["labeler"] is None else f"by labeler {quoted(row['labeler'])}"
    severity = Severity.NOTE
    if far:
        severity = Severity.WARNING if kind == "backwards" else Severity.ERROR
    much = "by more than a day" if far else "by a day at most"
    return Finding(
        CHECK.name,
        severity,
        {"kind": name},
        seen=f"{counted(count, 'sample was', 'samples were')} {seen}, {much}; most, {own:,}, {by}",
        expected=expected,
        count=count,
        samples=_samples_of(kind, question, _TOLERATED if far else _SECOND),
        explanations=explanations,
        standards=CHECK.standards,
    )


def _samples_of(kind: str, question: Question, margin: str) -> Samples:
    if kind == "early":
        condition = _early(question, margin=margin)
        return entries_where(question, condition, condition.replace("from changes", "from since"))
    if kind == "future":
        condition = f"id in (select id from ({_touched_last(question)}) where gap > {margin})"
        join = "join" if question.since else "left join"
        look = (
            f"id in (select m.id from mine m {join} (select new_id, max(version) as version"
            " from since group by new_id) s on s.new_id = m.id join versions v on"
            f" v.dataset = {literal(question.dataset)}"
            f" and v.version = coalesce(s.version, {question.base})"
            f" where m.labeled_at > v.created + {margin})"
        )
        return entries_where(question, condition, look)
    return relabelings_where(question, f"new_labeled_at < old_labeled_at - {margin}")


def _disorder(tables: Tables, question: Question) -> Iterator[Finding]:
    """Versions that were made or signed before the one they follow: one finding for all."""
    versions = tables["order"].to_pylist()
    wrong = [
        new
        for old, new in pairwise(versions)
        if new["created"] < old["created"] or new["signed_at"] < old["signed_at"]
    ]
    if not wrong:
        return
    far = [
        new
        for old, new in pairwise(versions)
        if max(old["created"] - new["created"], old["signed_at"] - new["signed_at"]) > _DAY
    ]
    shown = far or wrong
    numbers = ", ".join(str(version["version"]) for version in shown[:_SHOWN])
    more = f" and {len(shown) - _SHOWN:,} more" if len(shown) > _SHOWN else ""
    listed = ", ".join(str(version["version"]) for version in shown)
    yield Finding(
        CHECK.name,
        Severity.WARNING if far else Severity.NOTE,
        {"kind": "versions out of order"},
        seen=f"{counted(len(shown), 'version has a time', 'versions have times')} before that of"
        f" the one it follows, by {'more than a day' if far else 'a day at most'}: {numbers}{more}",
        expected="a version is made and signed after the one it follows",
        count=len(shown),
        samples=Samples("changes", f"version in ({listed})", f"provreg log {question.reference}"),
        explanations="machines whose clocks disagree",
        standards=CHECK.standards,
    )


def _sides(tables: Tables, question: Question, moment: datetime) -> Iterator[Finding]:
    rows = {row["kind"]: row for row in tables["sides"].to_pylist()}
    if not rows["timed"]["entities"]:
        yield Finding(
            CHECK.name,
            Severity.NOTE,
            {"kind": "no times"},
            seen="no id has a time, so that --split-at divides nothing",
            expected="ids such as key@2026-01-01T00:00:00Z, which `provreg ingest --time` writes",
            count=0,
            samples=entries_where(question, "false", "false"),
            explanations="data without times",
        )
    for kind, name, one, several, severity, explanations in (
        (
            "content", "content on both sides", "content is", "contents are", Severity.ERROR,
            "what repeats by itself, such as a sensor that stands still",
        ),
        (
            "key", "entity on both sides", "entity is", "entities are", Severity.NOTE,
            "data whose entities go on, such as machines or shops: then only time divides them",
        ),
    ):  # fmt: skip
        if not rows[kind]["entities"]:
            continue
        value = _ENTITIES[kind]
        condition = (
            f"{_TIMED} and {value} in (select {value} from ENTRIES where {_TIMED}"
            f" group by all having {_on_both_sides(value, moment)})"
        )
        yield Finding(
            CHECK.name,
            severity,
            {"kind": name},
            seen=f"{counted(rows[kind]['entities'], one, several)} both before and after"
            f" {moment.isoformat()} ({counted(int(rows[kind]['samples']), 'sample')})",
            expected="what is in the test data is not in the training data",
            count=int(rows[kind]["samples"]),
            samples=entries_where(
                question,
                condition.replace("ENTRIES", "entries"),
                condition.replace("ENTRIES", "mine"),
            ),
            explanations=explanations,
            standards=CHECK.standards,
        )


CHECK = Check(
    name="times",
    looks_at="samples labeled before the time in their ids (`ingest --time`), after the version"
    " that brought them was made and signed, or before the label that they replaced; versions"
    " older than the one they follow; with `--split-at`, contents and keys of ids on both"
    " sides of that time",
    null_hypothesis="none: the findings are exact",
    statistic="counts; contradictions of at most a day, which time zones and clocks explain, are"
    " notes; keys on both sides are a note as well",
    assumptions="ids have the time at which a sample was collected; the time of a version is the"
    " later one of what its head claims and what a signature proves",
    cannot_see="times that were invented without a contradiction; times in columns other than that"
    " of the id",
    standards=(standards.ERODE_INTEGRITY, standards.NIST_POISONING),
    queries=_queries,
    find=_find,
)
