"""Labelers, sources and classes whose names look like others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from provreg.core.encoding.lookalikes import lookalikes, pair_in_words
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
    for same in (True, False):
        chosen = [(a, b) for a, b, looks_same in pairs if looks_same is same]
        for a, b in chosen[:_MOST_PAIRS]:
            yield Finding(
                CHECK.name,
                Severity.WARNING if same else Severity.NOTE,
                {column: a, "like": b},
                seen=f"{_COLUMNS[column]} {_WORDS[same]}: {pair_in_words(a, b, totals)}",
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
                Severity.WARNING if same else Severity.NOTE,
                {"kind": f"more {_COLUMNS[column]} {_WORDS[same]}"},
                seen=f"{counted(len(chosen) - _MOST_PAIRS, 'more pair')} of {_COLUMNS[column]}"
                f" {_WORDS[same]}",
                expected="one name for each, and names that nobody mistakes",
                count=sum(totals[name] for name in others),
                samples=entries_where(question, condition, condition),
                explanations=_EXPLANATIONS,
                standards=CHECK.standards,
            )


_WORDS = {True: "look alike", False: "differ by a typing error"}
_EXPLANATIONS = "one name in two spellings, or two people of similar names"
CHECK = Check(
    name="names",
    looks_at="names of labelers, sources and classes that look alike: in case, blanks and"
    " punctuation, or letters of other alphabets; and new names that differ from an established one"
    " by a typing error; with `--against` names that are new since",
    null_hypothesis="none: the findings are exact",
    statistic="pairs of equal skeletons are warnings; pairs one typing error apart, of which one is"
    " new and has at most a fifth of the other's samples, are notes. Names that differ in digits"
    " are not compared",
    assumptions="names that look alike are meant to be one, or to be mistaken",
    cannot_see=f"more than {_MOST_NAMES:,} names of a column; labelers of annotations;"
    " look-alikes of rare letters, and of several letters for one (rn for m)",
    standards=(standards.POISON_TRAINING_DATA, standards.OWASP_SUPPLY_CHAIN),
    queries=_queries,
    find=_find,
)
