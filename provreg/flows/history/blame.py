"""Blame: since when, from whom and by whose hand, for every sample of a version."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.blame import UNTOUCHED, Blame, Fact, blame_touched
from provreg.core.changes.changes import compare
from provreg.core.encoding.names import check_utf8
from provreg.core.encoding.text import counted, quoted
from provreg.core.manifest.annotations import annotator_names
from provreg.core.manifest.columns import take_rows, whole
from provreg.core.manifest.entry import NO_ENTRIES
from provreg.core.manifest.head import Head, PartRef
from provreg.core.rows.row_hash import without_dictionary
from provreg.errors import DamagedError
from provreg.flows.history.ids import LazyTexts, missing_id
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.lineage import Ancestor, changes_on, lineage
from provreg.flows.verify.manifest import checked_part, load_entries
from provreg.store.index.rows import change_rows

_BATCH = 1 << 14
Responsible = Literal["labeler", "source", "version", "signer"]


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who answers for a sample's bytes or label, by the version that first said so.

    `source`, `labeler` and `labeled_at` are as that version signed them; a label that follows from
    annotations has `annotators` in place of a labeler. `attested` is true only where the labeler's
    own signature stands behind it. `restated_in` is a later version that rewrote this while the
    bytes or the label stayed, and `present` the source (of bytes) or labeler (of a label) that the
    blamed version has.
    """

    version: Ancestor
    source: str | None
    labeler: str | None
    labeled_at: datetime | None
    attested: bool = False
    restated_in: Ancestor | None = None
    present: str | None = None
    annotators: tuple[str, ...] = ()

    def responsible(self, kind: Responsible) -> Iterator[tuple[object, str | None]]:
        """(key, name) of each who answers; the name is that of a source or labeler."""
        if kind == "version":
            yield self.version.digest, None
        elif kind == "signer":
            yield (self.version.standing, self.version.signed_by), None
        elif kind == "labeler" and self.labeler is None and self.annotators:
            yield from ((name, name) for name in self.annotators)
        else:
            yield getattr(self, kind), getattr(self, kind)

    def __repr__(self) -> str:
        names = {"source": self.source, "labeler": self.labeler}
        words = [f"{what} {quoted(name)}" for what, name in names.items() if name is not None]
        return f"Attribution({', '.join([f'@{self.version.head.version}', *words])})"


@dataclass(frozen=True, slots=True)
class EarlierLife:
    """An earlier time in the dataset: the id it had, and the versions it came with and left in."""

    id: str
    since: Ancestor
    until: Ancestor


@dataclass(frozen=True, slots=True)
class SampleBlame:
    """The blame of one sample: its bytes, its label, and its earlier lives."""

    id: str
    content: Attribution
    label: Attribution
    earlier: tuple[EarlierLife, ...]

    def __repr__(self) -> str:
        return f"SampleBlame({quoted(self.id)}, content={self.content}, label={self.label})"


@dataclass(frozen=True, slots=True)
class BlameGroup:
    """How many samples have this blame, whenever they were labeled (`labeled_at` is None)."""

    samples: int
    content: Attribution
    label: Attribution

    def __repr__(self) -> str:
        samples = counted(self.samples, "sample")
        return f"BlameGroup({samples}, content={self.content}, label={self.label})"


# The attributions of a sample for which each of them answers.
_PARTS: Mapping[Responsible, tuple[Literal["content", "label"], ...]] = {
    "labeler": ("label",),
    "source": ("content",),
    "version": ("content", "label"),
    "signer": ("content", "label"),
}


@dataclass(frozen=True, slots=True)
class Tally:
    """The samples for which a source, labeler, version or signer answers.

    `name` is the source or labeler, None for no labeler; `version` is a version that it answers for
    them with. `content` and `label` count samples by the number of the version since which they
    have their bytes and their label. `renamed` counts them by the source or labeler that a later
    version gave them.
    """

    name: str | None
    version: Ancestor
    content: Counter[int] = field(default_factory=Counter)
    label: Counter[int] = field(default_factory=Counter)
    renamed: Counter[str] = field(default_factory=Counter)

    @property
    def samples(self) -> int:
        """How many samples: of a version or signer, those with its bytes or those with its labels,
        whichever are more."""
        return max(self.content.total(), self.label.total())

    def __repr__(self) -> str:
        name = quoted(self.name) if self.name is not None else f"@{self.version.head.version}"
        return f"Tally({name}, {counted(self.samples, 'sample')})"

    @property
    def since(self) -> list[int]:
        """The numbers of the versions, ascending."""
        return sorted({*self.content, *self.label})


@dataclass(frozen=True, slots=True)
class Blamed:
    """The blame of a version's samples: `line` is its history, oldest first.

    Iterating yields a SampleBlame for each of `entries`, in order. `touched` holds what changes
    say of the samples that any change touched; all others have what the first version gave them.
    """

    entries: pa.Table
    line: Sequence[Ancestor]
    touched: dict[str, Blame]
    changes: pa.Table

    def __repr__(self) -> str:
        head = self.line[-1].head
        samples = counted(self.entries.num_rows, "sample")
        return f"Blamed({head.dataset}@{head.version}, {samples})"

    def __iter__(self) -> Iterator[SampleBlame]:
        for batch in self._origins().to_batches(max_chunksize=_BATCH):
            for row in batch.to_pylist():
                yield self._sample(row)

    def groups(self) -> list[BlameGroup]:
        """The samples counted by their blame, the largest group first."""
        counts: Counter[tuple[object, ...]] = Counter()
        examples: dict[tuple[object, ...], SampleBlame] = {}
        for sample, samples in self._counted():
            key = (*_group_key(sample.content, "source"), *_group_key(sample.label, "labeler"))
            counts[key] += samples
            examples.setdefault(key, sample)
        return [
            BlameGroup(
                samples,
                replace(examples[key].content, labeled_at=None),
                replace(examples[key].label, labeled_at=None),
            )
            for key, samples in counts.most_common()
        ]

    def by(self, responsible: Responsible) -> list[Tally]:
        """The samples by who answers for them: most samples first, versions newest first."""
        tallies: dict[object, Tally] = {}
        for group in self.groups():
            for part in _PARTS[responsible]:
                attribution: Attribution = getattr(group, part)
                version, number = attribution.version, attribution.version.head.version
                for key, name in attribution.responsible(responsible):
                    tally = tallies.setdefault(key, Tally(name, version))
                    getattr(tally, part)[number] += group.samples
                    if attribution.present is not None and attribution.present != name is not None:
                        tally.renamed[attribution.present] += group.samples
        if responsible == "version":
            return sorted(tallies.values(), key=lambda tally: -tally.version.head.version)
        return sorted(tallies.values(), key=lambda tally: -tally.samples)

    def _origins(self) -> pa.Table:
        """What blame asks of each entry."""
        names = annotator_names(self.entries.column("annotations"))
        origins = self.entries.select(["id", "source", "labeler", "labeled_at"])
        return origins.append_column("annotators", names)

    def _counted(self) -> Iterator[tuple[SampleBlame, int]]:
        """Blames, and how many samples have them: one by one only where a change touched them."""
        entries = self._origins()
        changed = pc.is_in(entries.column("id"), value_set=pa.array([*self.touched], pa.string()))
        for batch in entries.filter(changed).to_batches(max_chunksize=_BATCH):
            for row in batch.to_pylist():
                yield self._sample(row), 1
        unchanged = entries.filter(pc.invert(changed))
        names = pa.table(
            {
                name: without_dictionary(unchanged.column(name))
                for name in ("source", "labeler", "annotators")
            }
        )
        for origin in names.group_by(names.column_names).aggregate([([], "count_all")]).to_pylist():
            samples = origin.pop("count_all")
            yield self._sample({"id": "", "labeled_at": None} | origin), samples

    def _sample(self, now: dict[str, Any]) -> SampleBlame:
        blame = self.touched.get(now["id"], UNTOUCHED)
        earlier = tuple(
            EarlierLife(life.id, self.line[life.since], self.line[life.until])
            for life in blame.earlier
        )
        return SampleBlame(
            now["id"],
            self._attribution(blame.content, now, ("source",)),
            self._attribution(blame.label, now, ("labeler", "labeled_at")),
            earlier,
        )

    def _attribution(
        self, fact: Fact, now: dict[str, Any], decisive: tuple[str, ...]
    ) -> Attribution:
        origin = now
        if fact.record is not None:
            row, side = fact.record.row, fact.record.side
            origin = {
                name: self.changes.column(f"{side}_{name}")[row].as_py()
                for name in ("source", "labeler", "labeled_at")
            }
        changed = fact.restated_in is not None and any(
            origin[name] != now[name] for name in decisive
        )
        return Attribution(
            self.line[fact.since],
            origin["source"],
            origin["labeler"],
            origin["labeled_at"],
            restated_in=self.line[fact.restated_in] if changed and fact.restated_in else None,
            present=now[decisive[0]],
            annotators=_annotators(now) if "labeler" in decisive else (),
        )


def _annotators(now: Mapping[str, Any]) -> tuple[str, ...]:
    """Who annotated a sample, each once."""
    names = now["annotators"]
    return () if names is None else tuple(dict.fromkeys(names.split("\n")))


def _group_key(attribution: Attribution, decisive: str) -> tuple[object, ...]:
    restated = attribution.restated_in
    return (
        attribution.version.digest,
        getattr(attribution, decisive),
        None if restated is None else restated.digest,
        attribution.present,
        attribution.attested,
        attribution.annotators,
    )


def blame(
    workspace: Workspace,
    version: Ancestor,
    trust: Trust | None,
    ids: Sequence[str],
    open_index: Callable[[], AbstractContextManager[Workspace]],
) -> Blamed:
    """The blame of the samples `ids` of a version, of all where none is named.

    `open_index` brings the index up to date, where it is needed. Raises NotFoundError for an id
    that the version does not have, DamagedError where a version of its history is damaged, and
    NotTrustedError (steps 10 and 11) where its own entries are.
    """
    check_utf8("the id", *ids)
    head = version.head
    entries = _chosen_entries(workspace, head, ids) if ids else load_entries(workspace, head)
    line = lineage(workspace, version.digest, trust)
    changes = changes_to(workspace, line, ids) if ids else None
    if changes is None:
        with open_index() as indexed:
            changes = changes_on(indexed, line)
    if changes is None:
        raise DamagedError(
            f"the history of {head.dataset}@{head.version} cannot be told: a version before it is"
            " damaged",
            hint="`provreg check` says which; put its objects back from a copy of the registry",
        )
    return Blamed(entries, line, blame_touched(changes), changes)


def _chosen_entries(workspace: Workspace, head: Head, ids: Sequence[str]) -> pa.Table:
    """The entries of `ids`, from the parts alone that these can be in."""
    wanted = pa.array(ids, pa.string())
    found = [
        entries.filter(pc.is_in(entries.column("id"), value_set=wanted))
        for entries in (checked_part(workspace, part) for part in parts_with(head, ids))
    ]
    entries = pa.concat_tables([NO_ENTRIES, *found])
    missing = set(ids) - set(entries.column("id").to_pylist())
    if missing:
        raise missing_id(workspace, head, min(missing))
    return entries


# A sample is looked up in every version; the index reads all changes at once.
_FEW = 64


def parts_with(head: Head, ids: Collection[str]) -> list[PartRef]:
    """The parts of a version that these ids can be in."""
    return [
        part for part in head.parts if any(part.first <= identity <= part.last for identity in ids)
    ]


def changes_to(
    workspace: Workspace, line: Sequence[Ancestor], ids: Collection[str]
) -> pa.Table | None:
    """The changes of the versions on `line` to the samples `ids`, as the index has them.

    None where it must be asked: for many samples, for one that a version lacks, and where the
    entries of a version were never checked as a whole.
    """
    if len(ids) > _FEW or any(ancestor.digest not in workspace.checked for ancestor in line):
        return None
    wanted = sorted(set(ids))
    found: list[pa.Table] = []
    parts: list[PartRef] | None = None
    before: pa.Table | None = None
    for place, ancestor in enumerate(line):
        now = parts_with(ancestor.head, wanted)
        if now == parts:
            continue
        entries = pa.concat_tables([NO_ENTRIES, *_rows(workspace, now, wanted)])
        if entries.num_rows != len(wanted):
            return None
        # Most changes of a part are not of these samples.
        if before is None or not entries.equals(before):
            rows = change_rows(compare(entries if before is None else before, entries))
            found.append(rows.append_column("version", pa.array([place] * len(rows), pa.int32())))
        parts, before = now, entries
    return pa.concat_tables(found)


def _rows(
    workspace: Workspace, parts: Sequence[PartRef], wanted: Sequence[str]
) -> Iterator[pa.Table]:
    """The entries of those of `wanted`, which are ascending, that each part has."""
    for part in parts:
        entries = checked_part(workspace, part)
        ids = LazyTexts(whole(entries.column("id")))
        places = [(bisect_left(ids, identity), identity) for identity in wanted]
        rows = [row for row, identity in places if row < len(ids) and ids[row] == identity]
        yield take_rows(entries, np.array(rows, np.int64))
