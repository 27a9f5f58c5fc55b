"""Labelers, sources and classes whose names look like others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from provreg.core.encoding.lookalikes import Likeness, lookalikes, pair_in_words
from provreg.core.encoding.text import counted
from provreg.screening import standards
from provreg.screening.api import (
    Check,
    Finding,
    Question,
    Severity,
    Tables,
    entries_where,
    entries_with,
    literal,
)

_COLUMNS = {"labeler": "labelers", "source": "sources", "label": "classes"}
_MOST_NAMES = 10_000
# So many pairs of a column are findings of their own; the others are put together.
_MOST_PAIRS = 20


def _queries(_: Question) -> Mapping[str, str]:
    return {column: _query(column) for column in _COLUMNS}


def _query(column: str) -> str:
    """SQL for (name, samples, before): the samples of a name now, and in the base."""
    tally = "labeler" if column == "labeler" else "source"
    # Instead of a long label there is its digest.
    short = "where label not like 'blake3:%'" if column == "label" else ""
    return f"""
        select name, cast(sum(now) as bigint) as samples,
               cast(sum(old) as bigint) as before from (
            select {column} as name, n as now, 0 as old from entries_by_{tally} {short}
            union all
            select {column}, 0, n from base_by_{tally} {short})
        where name is not null group by name having sum(now) > 0
        order by samples desc, name limit {_MOST_NAMES + 1}"""


def _find(tables: Tables, question: Question) -> Iterator[Finding]:
    for column in _COLUMNS:
        yield from _in_column(column, tables[column], question)


def _in_column(column: str, table: pa.Table, question: Question) -> Iterator[Finding]:
    if table.num_rows > _MOST_NAMES:
        yield Finding(
            CHECK.name,
            Severity.NOTE,
            {"kind": f"too many {_COLUMNS[column]}"},
            seen=f"more than {_MOST_NAMES:,} {_COLUMNS[column]}: their names are not compared",
            expected=f"at most {_MOST_NAMES:,}",
            count=0,
            samples=entries_where(question, "false", "false"),
            explanations="a column with another text for nearly each sample",
        )
        return
    rows = table.to_pylist()
    totals = {row["name"]: int(row["samples"]) for row in rows}
    # Of a version alone every name is new.
    is_alone = question.base == question.version
    before = {row["name"] for row in rows if row["before"] and not is_alone}
    now = [name for name in totals if name not in before] if question.since else list(totals)
    pairs = lookalikes(now, totals, before)
    for likeness in Likeness:
        chosen = [(a, b) for a, b, found in pairs if found is likeness]
        severity = _severity(column, likeness)
        for a, b in chosen[:_MOST_PAIRS]:
            yield Finding(
                CHECK.name,
                severity,
                {column: a, "like": b},
                seen=f"{_COLUMNS[column]} {likeness.value}: {pair_in_words(a, b, totals)}",
                expected="one name for each, and names that nobody mistakes",
                count=totals[a],
                samples=entries_with(question, **{column: a}),
                explanations=_EXPLANATIONS,
                standards=CHECK.standards,
            )
        others = sorted({a for a, _ in chosen[_MOST_PAIRS:]})
        if others:
            condition = f"{column} in ({', '.join(map(literal, others))})"
            yield Finding(
                CHECK.name,
                severity,
                {"kind": f"more {_COLUMNS[column]} {likeness.value}"},
                seen=f"{counted(len(chosen) - _MOST_PAIRS, 'more pair')} of {_COLUMNS[column]}"
                f" {likeness.value}",
                expected="one name for each, and names that nobody mistakes",
                count=sum(totals[name] for name in others),
                samples=entries_where(question, condition, condition),
                explanations=_EXPLANATIONS,
                standards=CHECK.standards,
            )


def _severity(column: str, likeness: Likeness) -> Severity:
    """Two classes may be words that look alike. Names of people and sources are chosen, and those
    that look alike are rarely chosen without intent."""
    sure = likeness is Likeness.SAME
    sure |= likeness is Likeness.BOTH_MEANT and column != "label"
    return Severity.WARNING if sure else Severity.NOTE


_EXPLANATIONS = "one name in two spellings, or two people of similar names"
CHECK = Check(
    name="names",
    looks_at="names of labelers, sources and classes that look alike: in case, blanks and"
    " punctuation, or characters of any script (the confusables of Unicode's UTS 39: 1 for l, rn"
    " for m, Cyrillic letters for Latin ones); and new names that differ from an established one"
    " by a typing error; with `--against` names that are new since",
    null_hypothesis="none: the findings are exact",
    statistic="pairs of equal skeletons are warnings. Classes are notes where both may be meant:"
    " modern and modem, single characters of one alphabet (A and a), two cases of which neither has"
    " at most a fifth of the other's samples. Pairs one typing error apart, of which one is new and"
    " has at most a fifth of the other's samples, are notes. Names that differ in digits only are"
    " not compared, but a digit may look like a letter",
    assumptions="names that look alike are meant to be one, or to be mistaken",
    cannot_see=f"more than {_MOST_NAMES:,} names of a column; labelers of annotations;"
    " likenesses of a font or of handwriting that Unicode does not list (cl for d, vv for w)",
    standards=(standards.POISON_TRAINING_DATA, standards.OWASP_SUPPLY_CHAIN),
    queries=_queries,
    find=_find,
)
