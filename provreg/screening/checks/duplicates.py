"""Equal bytes under several ids: with several labels, in several splits, or merely repeated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provreg.core.encoding.text import counted, quoted
from provreg.screening import standards
from provreg.screening.api import Check, Finding, Question, Severity, Tables, entries_where

# Hashes that stand several times first, then the contents of these rows alone: grouping all
# contents takes three times as long and twice the memory.
_REPEATED = (
    "select content{columns} from {entries} where hash(content) in"
    " (select hash(content) from {entries} group by all having count(*) > 1)"
)
_SHOWN = 3


def _queries(question: Question) -> Mapping[str, str]:
    """SQL for (kind, a, b, contents, samples, ids): the most frequent pairs of labels or splits,
    and before them, where `a` is null, all contents of a kind."""
    repeated = _REPEATED.format(entries="entries", columns=", id, label, split")
    touched = "where content in (select new_content from changes)" if question.since else ""
    ids = "(select list(distinct id order by id) from repeated join several using (content)"
    return {
        "kinds": f"""
            with repeated as materialized ({repeated}), several as materialized (
                select content, count(*) as samples, count(distinct label) as labels,
                       count(distinct split) as splits, min(label) as a, max(label) as b,
                       min(split) as c, max(split) as d
                from repeated {touched} group by content having count(*) > 1),
            pairs as (
                select 'label' as kind, a, b, count(*) as contents, sum(samples) as samples
                from several where labels > 1 group by all
                union all
                select 'split', c, d, count(*), sum(samples)
                from several where splits > 1 group by all
                union all
                select 'repeated', null, null, count(*), sum(samples)
                from several where labels <= 1 and splits <= 1 having count(*) > 0),
            kinds as (
                select kind, null as a, null as b, sum(contents) as contents,
                       sum(samples) as samples,
                       case kind when 'label' then {ids} where labels > 1)
                                 when 'split' then {ids} where splits > 1) end as ids
                from pairs group by kind),
            shown as (
                select *, null as ids from pairs where a is not null
                qualify row_number() over (
                    partition by kind order by contents desc, a, b) <= {_SHOWN})
            from kinds union all from shown order by kind, contents desc, a nulls first, b"""
    }


def _find(tables: Tables, question: Question) -> Iterator[Finding]:
    rows = tables["kinds"].to_pylist()
    for row in rows:
        if row["a"] is None:
            pairs = [
                f"{quoted(pair['a'])} and {quoted(pair['b'])} ({int(pair['contents']):,})"
                for pair in rows
                if pair["kind"] == row["kind"] and pair["a"] is not None
            ]
            yield _finding(row, ", ".join(pairs), question)


def _finding(row: Mapping[str, Any], pairs: str, question: Question) -> Finding:
    kind, samples = row["kind"], int(row["samples"])
    have = counted(int(row["contents"]), "content has", "contents have")
    listed = f"({counted(samples, 'sample')}): {pairs}"
    seen, expected, explanations = {
        "label": (
            f"{have} several labels {listed}",
            "one label for the same bytes",
            "samples that have several labels on purpose, such as one picture of two things",
        ),
        "split": (
            f"{have} samples in several splits {listed}",
            "no bytes of the test data in the training data",
            "splits that are no parts of one experiment, such as folds of a cross-validation",
        ),
        "repeated": (
            f"{have} several ids, with one label and in one split ({counted(samples, 'sample')})",
            "each content once",
            "data that are repeated to give them more weight, or that occur so, such as blank"
            " pictures",
        ),
    }[kind]
    return Finding(
        CHECK.name,
        Severity.NOTE if kind == "repeated" else Severity.ERROR,
        {"kind": _KINDS[kind]},
        seen=seen,
        expected=expected,
        count=samples,
        samples=entries_where(
            question,
            _condition(kind, "entries", "count(distinct label)", question, "changes"),
            _condition(
                kind,
                "mine",
                "(count(distinct label) + count(distinct label_digest))",
                question,
                "since",
            ),
        ),
        explanations=explanations,
        standards=CHECK.standards,
        ids=tuple(row["ids"] or ()),
    )


_KINDS = {
    "label": "other label",
    "split": "other split",
    "repeated": "same label and split",
}


def _condition(kind: str, entries: str, labels: str, question: Question, changes: str) -> str:
    having = {
        "label": f"{labels} > 1",
        "split": "count(distinct split) > 1",
        "repeated": f"count(*) > 1 and {labels} <= 1 and count(distinct split) <= 1",
    }[kind]
    repeated = _REPEATED.format(entries=entries, columns=", label, label_digest, split")
    found = f"content in (select content from ({repeated}) group by content having {having})"
    touched = f" and content in (select new_content from {changes})" if question.since else ""
    return found + touched


CHECK = Check(
    name="duplicates",
    looks_at="samples of equal bytes: with different labels, in different splits, or merely"
    " repeated; with `--against` those of which at least one came or changed since",
    null_hypothesis="none: the findings are exact",
    statistic="counts; different labels or splits are an error, the same label within one split a"
    " note",
    assumptions="a sample has one label, and splits are parts of one experiment; samples without a"
    " label or a split contradict nothing",
    cannot_see="bytes that differ although people see the same, such as a picture compressed anew",
    standards=(standards.POISON_TRAINING_DATA, standards.NIST_POISONING, standards.OWASP_POISONING),
    queries=_queries,
    find=_find,
)
