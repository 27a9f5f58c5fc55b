"""Origins that do not fit: who signed, for whom, and where a lot suddenly comes from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from provreg.core.encoding.text import counted, quoted
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

# Labelers sign for themselves where so large a share of labels is of who signed the version.
_CUSTOM = 0.9
# So many samples of a new source are many: 250 documents are enough for a backdoor.
_MANY, _MANY_SHARE = 250, 0.01
# So many groups are findings of their own; the largest come first.
_MOST = 20
_SEVERITIES = {
    "revoked": Severity.ERROR,
    "unsigned": Severity.WARNING,
    "distrusted": Severity.WARNING,
    "proposed": Severity.NOTE,
    "waiting": Severity.NOTE,
}


def _queries(question: Question) -> Mapping[str, str]:
    since = f"where version > {question.base}" if question.since else ""
    return {
        "brought": f"""
            select version, labeler, count(*) as samples from dated {since}
            group by all order by all""",
        "versions": "select version, standing, principals from versions order by version",
        "sources": f"""
            with now as (select source, sum(n) as samples from entries_by_source group by all)
            select source, cast(samples as bigint) as samples,
                   (select cast(sum(samples) as bigint) from now) as total, first from now
            join (select new_source as source, min(version) as first from changes
                  where new_source is not null group by all) using (source)
            where source not in (select source from base_by_source)
            and samples >= {_MANY}
            order by samples desc, source limit {_MOST}""",
    }


def _find(tables: Tables, question: Question) -> Iterator[Finding]:
    versions = {row["version"]: row for row in tables["versions"].to_pylist()}
    brought = tables["brought"].to_pylist()
    yield from _standings(versions, brought, question)
    yield from _signed_for_others(versions, brought, question)
    for row in tables["sources"].to_pylist():
        if row["samples"] >= _MANY_SHARE * row["total"]:
            yield _new_source(row, question)


def _standings(
    versions: Mapping[int, Mapping[str, Any]], brought: list[dict[str, Any]], question: Question
) -> Iterator[Finding]:
    """One finding for each standing: the samples that such versions brought or changed last."""
    is_trusted = any(version["standing"] == "trusted" for version in versions.values())
    samples: dict[int, int] = defaultdict(int)
    for row in brought:
        samples[row["version"]] += row["samples"]
    for standing, severity in _SEVERITIES.items():
        numbers = [number for number in samples if versions[number]["standing"] == standing]
        if not numbers:
            continue
        unknown = standing == "distrusted" and not is_trusted
        count = sum(samples[number] for number in numbers)
        listed = ", ".join(map(str, numbers[:_MOST])) + (" …" if len(numbers) > _MOST else "")
        words = _STANDINGS[standing]
        yield Finding(
            CHECK.name,
            Severity.NOTE if unknown else severity,
            {"standing": standing},
            seen=f"{counted(count, 'sample')} last changed by"
            f" {counted(len(numbers), 'version')} {words}: {listed}",
            expected="versions that the policy trusts",
            count=count,
            samples=_last_changed_by(question, numbers),
            explanations="no policy, or one that does not know the signers: none of the versions"
            " looked at is trusted"
            if unknown
            else "a later version that was reviewed and signed in the knowledge of it",
            standards=CHECK.standards,
        )


_STANDINGS = {
    "revoked": "that are revoked",
    "unsigned": "without a signature",
    "distrusted": "whose signatures do not count",
    "proposed": "that are mere proposals",
    "waiting": "that wait for further signatures",
}


def _last_changed_by(question: Question, versions: list[int], *more: str) -> Any:
    numbers = ", ".join(map(str, versions))
    conditions = [f"id in (select id from dated where version in ({numbers}))", *more]
    return entries_where(question, " and ".join(conditions))


def _signed_for_others(
    versions: Mapping[int, Mapping[str, Any]], brought: list[dict[str, Any]], question: Question
) -> Iterator[Finding]:
    """Labels in the name of a principal in versions of others, where people sign their own."""
    principals = {name for version in versions.values() for name in version["principals"]}
    labeled = [
        row
        for row in brought
        if row["labeler"] is not None and versions[row["version"]]["standing"] == "trusted"
    ]
    own = sum(
        row["samples"]
        for row in labeled
        if row["labeler"] in versions[row["version"]]["principals"]
    )
    total = sum(row["samples"] for row in labeled)
    if len(principals) < 2 or not total or own < _CUSTOM * total:
        return
    others: dict[str, dict[int, int]] = defaultdict(dict)
    for row in labeled:
        if row["labeler"] not in versions[row["version"]]["principals"]:
            others[row["labeler"]][row["version"]] = row["samples"]
    ordered = sorted(others.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    for labeler, samples in ordered[:_MOST]:
        count, numbers = sum(samples.values()), sorted(samples)
        known = labeler in principals
        signers = sorted({name for number in numbers for name in versions[number]["principals"]})
        yield Finding(
            CHECK.name,
            Severity.WARNING if known else Severity.NOTE,
            {"labeler": labeler},
            seen=f"{counted(count, 'label')} of {quoted(labeler)}, who did not sign: the signers"
            f" are {', '.join(map(quoted, signers[:_MOST]))}",
            expected=f"that labelers sign themselves, as for {own / total:.1%} of the labels",
            count=count,
            samples=_last_changed_by(question, numbers, f"labeler = {literal(labeler)}"),
            explanations="somebody who publishes the work of a colleague, or a rename",
            standards=CHECK.standards,
        )


def _new_source(row: Mapping[str, Any], question: Question) -> Finding:
    return Finding(
        CHECK.name,
        Severity.NOTE,
        {"source": row["source"]},
        seen=f"source {quoted(row['source'])} is new in version {row['first']} and has"
        f" {counted(row['samples'], 'sample')} ({row['samples'] / row['total']:.1%})",
        expected=f"sources that version {question.base} has, or few samples of a new one",
        count=row["samples"],
        samples=entries_with(question, source=row["source"]),
        explanations="data that were added on purpose, or a source that was renamed",
        standards=CHECK.standards,
    )


CHECK = Check(
    name="origins",
    looks_at="samples whose last version is revoked, unsigned or not trusted; labels of a principal"
    " in a version that others signed, where labelers sign for themselves; and large sources that"
    " the base version does not have",
    null_hypothesis="none: the findings are exact",
    statistic=f"counts; revoked is an error, unsigned and distrusted a warning. Labelers sign for"
    f" themselves where {_CUSTOM:.0%} of the labels are of who signed the version; then labels of"
    " another principal are a warning, of other labelers a note. A new source is large from"
    f" {_MANY} samples and {_MANY_SHARE:.0%} of all; it is a note",
    assumptions="the policy in force is the right one; names of labelers are those of principals",
    cannot_see="what versions before the base brought apart from each other; samples that a later,"
    " trusted version changed again; many small new sources;"
    " samples that are revoked one by one",
    standards=(
        standards.SUPPLY_CHAIN_DATA,
        standards.PUBLISH_POISONED_DATASETS,
        standards.OWASP_SUPPLY_CHAIN,
    ),
    queries=_queries,
    find=_find,
)
