"""Samples that are nearly the same: findings of those with a twin elsewhere, and of sources that
have more twins than others.

A check finds the twins in SQL, as a table `found`: `id`, `label`, `source`, and the booleans of
`ELSEWHERE`, which say that a twin has another label, split or source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import counted, quoted
from provreg.screening.api import Finding, Question, Samples, Severity, entries_with, literal
from provreg.screening.statistics.comparison import compare

ELSEWHERE = {
    "other_label": "another label",
    "other_split": "another split",
    "other_source": "another source",
}
_SHOWN = 5


def one_of_each(view: str) -> str:
    """SQL for one entry of each content in `view`: equal bytes are for `duplicates`."""
    return f"""
        select content, min(id) as id, min(label) as label, min(source) as source,
               min(split) as split
        from entries where content in (select content from {view}) group by content"""


def compared_by_source(view: str) -> str:
    """SQL for how many contents of `view` each source has of each label."""
    return f"""
        select source as grp, label, null as source, null as delivery, count(*) as labels
        from ({one_of_each(view)}) where source is not null group by all order by all"""


@dataclass(frozen=True, slots=True)
class Words:
    """How a check speaks of twins: of what (`noun`), `alike` to what, what is `usual`, and what
    else explains twins with another label (`conflict`), elsewhere (`series`) or in floods
    (`flood`)."""

    check: str
    noun: str
    alike: str
    expected: str
    usual: str
    series: str
    conflict: str
    flood: str
    standards: tuple[str, ...]

    def any_twin(self, found: pa.Table, question: Question) -> Iterator[Finding]:
        """A note of how many have a twin at all."""
        if count := found.num_rows:
            yield Finding(
                self.check,
                Severity.NOTE,
                {"kind": "any"},
                seen=f"{counted(count, self.noun)} {self.alike} another {self.noun}",
                expected=self.usual,
                count=count,
                samples=with_ids(found.column("id").slice(0, _SHOWN).to_pylist(), question),
                explanations=self.series,
            )

    def elsewhere(
        self, found: pa.Table, question: Question, conflict: Severity
    ) -> Iterator[Finding]:
        """Notes of those with a twin in another split or of another source, and a finding of the
        severity `conflict` of those with another label."""
        for kind, words in ELSEWHERE.items():
            samples = found.filter(found.column(kind))
            if not samples.num_rows:
                continue
            ids = samples.column("id").to_pylist()
            labels = pc.value_counts(samples.column("label").combine_chunks()).to_pylist()
            common = sorted(labels, key=lambda row: (-row["counts"], str(row["values"])))[:_SHOWN]
            of = ", ".join(f"{quoted(str(row['values']))} {row['counts']:,}" for row in common)
            is_label = kind == "other_label"
            yield Finding(
                self.check,
                conflict if is_label else Severity.NOTE,
                {"kind": words},
                seen=f"{counted(len(ids), self.noun)} {self.alike} a {self.noun} with {words}"
                f" ({of})",
                expected=self.expected,
                count=len(ids),
                samples=with_ids(ids, question),
                explanations=self.conflict if is_label else self.series,
                standards=self.standards if is_label else (),
                ids=tuple(ids),
            )

    def by_source(
        self, compared: pa.Table, twins: pa.Table, family: str, like: str, question: Question
    ) -> Iterator[Finding]:
        """Sources of which far more are in `twins` (rows of `found`) than of other sources.

        `compared` is what `compared_by_source` gives, `like` what twins do, such as `look like
        another picture`.
        """
        for group in compare(_with_events(compared, twins), family):
            if group.severity is Severity.NOTE:
                continue
            effect = group.effect
            ids = twins.filter(pc.equal(twins.column("source"), group.name)).column("id")
            yield Finding(
                self.check,
                group.severity,
                {"source": group.name},
                seen=f"{int(effect.observed):,} of {counted(group.labels, self.noun)} of source"
                f" {quoted(group.name)} {like}",
                expected=f"{effect.expected:.1f} at the rate of the other sources, in the same"
                " classes",
                count=int(effect.observed),
                samples=with_ids(ids.to_pylist(), question),
                ids=tuple(ids.to_pylist()),
                explanations=self.flood,
                standards=self.standards,
                effect=effect,
            )


def _with_events(compared: pa.Table, twins: pa.Table) -> pa.Table:
    """`compared` with the number of `twins` of each source and label as `events`."""
    tally = twins.group_by(["source", "label"]).aggregate([([], "count_all")])
    columns = (tally.column(name).to_pylist() for name in ("source", "label", "count_all"))
    events = {(source, label): count for source, label, count in zip(*columns, strict=True)}
    cells = zip(*(compared.column(name).to_pylist() for name in ("grp", "label")), strict=True)
    numbers = pa.array([events.get(cell, 0) for cell in cells], pa.int64())
    return compared.append_column("events", numbers)


def with_ids(ids: list[str], question: Question) -> Samples:
    """The first few samples of a list."""
    return entries_with(question, f"id in ({', '.join(map(literal, ids[:_SHOWN]))})")
