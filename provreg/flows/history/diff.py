"""Diff with attribution: what changed between two versions, and by which version's hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.blame import Blame, Fact, blame_touched
from provreg.core.changes.changes import BIT, Changes
from provreg.core.changes.notices import Notice
from provreg.core.encoding.listing import html_table
from provreg.core.encoding.text import counted, quoted
from provreg.core.manifest.head import KINDS, Head, counts_in_words
from provreg.errors import NotTrustedError, UsageError
from provreg.flows.reading.samples import adopted_files
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.changes import changes_between
from provreg.flows.verify.gate import Gate
from provreg.flows.verify.lineage import Ancestor, changes_on, lineage, place_of

_BATCH = 1 << 12
_ORIGIN = ("source", "labeler", "labeled_at")
# The source of data that are compared only, where nobody names another.
NOT_PUBLISHED = "(not published)"


@dataclass(frozen=True, slots=True)
class Hand:
    """Whose a part of a change is: the version that made it, and whom that version named.

    `version` is None where no published version did (data compared with a version) or none between
    the two can be named. `restated_in` is a later one that rewrote whom it names.
    """

    version: Ancestor | None
    source: str | None = None
    labeler: str | None = None
    labeled_at: datetime | None = None
    restated_in: Ancestor | None = None
    attested: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One change: its kinds, the entries before and after (dicts by column), and whose it is.

    `attributions` has a hand for each part of the sample that changed: `content` (its bytes, its
    id, or that it is there at all), `label`, `origin` and `split`. Over several versions they may
    be of different ones.
    """

    kinds: tuple[str, ...]
    id: str
    old: dict[str, Any] | None
    new: dict[str, Any] | None
    attributions: Mapping[str, Hand]

    def __repr__(self) -> str:
        words = [quoted(self.id), *self.kinds]
        if "relabeled" in self.kinds:
            before, after = ((entry or {}).get("label") for entry in (self.old, self.new))
            words.append(f"{quoted(before or '')} -> {quoted(after or '')}")
        return f"Change({', '.join(words)})"


@dataclass(frozen=True, slots=True)
class Between:
    """What several versions changed, one after the other, of which their ends show less.

    `counts` sums up the changes of each version by kind. `injected_since` says how many of the
    samples that are injected between the ends were changed after that, by kind, and `relabeled`
    who last relabeled these, most samples first.
    """

    counts: Mapping[str, int]
    injected_since: Mapping[str, int]
    relabeled: Sequence[LaterLabel]


@dataclass(frozen=True, slots=True)
class LaterLabel:
    """How many injected samples `version` relabeled from `old` to `new` after they were injected.

    Labels are None for no label, and the hex digest of a long one.
    """

    samples: int
    old: str | None
    new: str | None
    labeler: str | None
    version: Ancestor

    def __repr__(self) -> str:
        labels = " -> ".join(quoted(label or "-") for label in (self.old, self.new))
        return f"LaterLabel({counted(self.samples, 'sample')}, {labels})"


@dataclass(frozen=True, slots=True)
class Relabeling:
    """Label types before and after, and the classes whose index is another after, None if gone.

    A model trained on the one takes its outputs for other labels on the other.
    """

    old_type: str
    new_type: str
    moved: tuple[tuple[str, int, int | None], ...]

    @classmethod
    def of(cls, old: Head, new: Head) -> Relabeling | None:
        """None where every index of `old` means the same class in `new`."""
        places = {name: place for place, name in enumerate(new.classes)}
        both = old.label_type == new.label_type == "class"
        moved = tuple(
            (name, place, places.get(name))
            for place, name in enumerate(old.classes if both else ())
            if places.get(name) != place
        )
        if old.label_type == new.label_type and not moved:
            return None
        return cls(old.label_type, new.label_type, moved)


@dataclass(frozen=True, slots=True)
class Diff:
    """The changes from `old_name` to `new_name`: two versions, or a version and data not published.

    `versions` are those compared, with what the policy says of them. `gate` is what its rule would
    say of data that are not published, None for versions and where the rule sets no bounds.
    `broken` says why it is not known by whose hand versions differ. `reading` is how data that are
    not published were read, `notices` what of them deserves a look.
    """

    changes: Changes
    made_by: ChangeAttribution
    old_name: str
    new_name: str
    versions: Sequence[Ancestor]
    gate: Gate | None = None
    broken: str | None = None
    reading: Mapping[str, Any] | None = None
    notices: Sequence[Notice] = ()

    def __repr__(self) -> str:
        counts = counts_in_words(self.changes.counts())
        return f"Diff({quoted(self.old_name)}, {quoted(self.new_name)}: {counts})"

    def _repr_html_(self) -> str:
        columns = ("kinds", "id", "old label", "label", "source", "labeler")
        return html_table(columns, map(_cells, self), len(self))

    @property
    def is_published(self) -> bool:
        """Whether two versions are compared, rather than a version and data."""
        return len(self.versions) == 2

    @property
    def beside(self) -> tuple[str, ...]:
        """The well-known files beside the data that are not the same in both; of data that are not
        published those that are there and not as in the version."""
        before, *after = [*(version.head.reading for version in self.versions), self.reading]
        old, new = adopted_files(before), adopted_files(after[0])
        return tuple(sorted({path for path, _ in (new - old if len(after) == 1 else new ^ old)}))

    @property
    def relabeling(self) -> Relabeling | None:
        """How label types and class indices of two versions differ, None where they do not."""
        heads = [version.head for version in self.versions]
        return Relabeling.of(*heads) if len(heads) == 2 else None

    def __len__(self) -> int:
        return len(self.changes)

    def __iter__(self) -> Iterator[Change]:
        for start in range(0, len(self.changes), _BATCH):
            batch = self.changes.slice(start, min(start + _BATCH, len(self.changes)))
            rows = zip(
                batch.kinds.tolist(),
                batch.old_entries().to_pylist(),
                batch.new_entries().to_pylist(),
                strict=True,
            )
            for bits, before, after in rows:
                old = before if before["id"] is not None else None
                new = after if after["id"] is not None else None
                kinds = tuple(kind for kind in KINDS if bits & BIT[kind])
                identity = (new or old or {})["id"]
                yield Change(kinds, identity, old, new, self.made_by.hands(identity, bits, new))

    @property
    def between(self) -> Between | None:
        """What the versions from the one to the other changed in all; None where one did, or where
        it is not known which."""
        return self.made_by.between(self.changes)


def _cells(change: Change) -> tuple[object, ...]:
    old, new = change.old or {}, change.new or {}
    entry = new or old
    labels = old.get("label"), new.get("label")
    return (" ".join(change.kinds), change.id, *labels, entry["source"], entry["labeler"])


class ChangeAttribution:
    """Which version made each change on the way from one version to a later one."""

    def __init__(self, line: Sequence[Ancestor], changes: pa.Table | None) -> None:
        """`line` are the versions after the old one, oldest first; `changes` the index's of them.

        With an empty line, or without the changes of several, no change has a version.
        """
        self._only = line[0] if len(line) == 1 else None
        self._changes = None
        if changes is not None and len(line) > 1:
            # Places count from 1: at 0 is the old version, which made none of the changes.
            self._line = [None, *line]
            places = pc.add(changes.column("version"), pa.scalar(1, pa.int32()))
            self._changes = changes.set_column(
                changes.column_names.index("version"), "version", places
            )
            self._touched, self._moves = blame_touched(self._changes), _moves(self._changes)

    def hands(self, identity: str, bits: int, new: Mapping[str, Any] | None) -> dict[str, Hand]:
        """Whose each part of the change with these kinds to the sample `identity` is."""
        if new is None:
            place = 0 if self._changes is None else self._removed_in(identity)
            return {"content": Hand(self._only or self._version(place))}
        blame = None if self._changes is None else self._touched.get(identity)
        return {part: self._hand(part, bits, blame, new) for part in _parts(bits, new)}

    def between(self, changes: Changes) -> Between | None:
        """The changes of all versions summed up, and those to samples that were injected before."""
        if self._changes is None:
            return None
        kinds = self._changes.column("kinds").to_numpy()
        counts = {kind: int(np.count_nonzero(kinds & bit)) for kind, bit in BIT.items()}
        injected = changes.ids().filter(pa.array((changes.kinds & BIT["injected"]) > 0))
        since = dict.fromkeys(("relabeled", "modified", "renamed", "reattributed", "resplit"), 0)
        relabelings: list[Fact] = []
        for identity in injected.to_pylist():
            blame = self._touched.get(identity)
            if blame is not None:
                found = list(_since_born(blame))
                for kind in found:
                    since[kind] += 1
                if "relabeled" in found:
                    relabelings.append(blame.label)
        return Between(counts, since, self._later_labels(relabelings))

    def _later_labels(self, facts: Sequence[Fact]) -> list[LaterLabel]:
        """The changes that gave samples the labels of `facts`, counted."""
        if self._changes is None:
            return []
        rows = pa.array([fact.record.row for fact in facts if fact.record is not None], pa.int64())
        names = ["old_label", "old_label_digest", "new_label", "new_label_digest", "new_labeler"]
        changes = self._changes.select([*names, "version"]).take(rows)
        counts: Counter[tuple[str | None, str | None, str | None, int]] = Counter()
        for old, old_digest, new, new_digest, labeler, place in zip(
            *(column.to_pylist() for column in changes.columns), strict=True
        ):
            counts[_label(old, old_digest), _label(new, new_digest), labeler, place] += 1
        found = []
        for (old_label, new_label, labeler, place), samples in counts.most_common():
            version = self._version(place)
            if version is not None:
                found.append(LaterLabel(samples, old_label, new_label, labeler, version))
        return found

    def _version(self, place: int) -> Ancestor | None:
        return self._line[place] if place else None

    def _hand(self, part: str, bits: int, blame: Blame | None, new: Mapping[str, Any]) -> Hand:
        origin = {name: new[name] for name in _ORIGIN}
        if blame is None:
            return Hand(self._only, **origin)
        fact = {"content": blame.content, "label": blame.label}.get(part)
        if fact is None:
            place = blame.origin if part == "origin" else blame.split
            return Hand(self._version(place or blame.named), **origin)
        if part == "content" and bits & BIT["renamed"]:
            return Hand(self._version(blame.named), **origin)
        restated = None
        if self._changes is not None and fact.since and fact.record is not None:
            side, row = fact.record.side, fact.record.row
            first = {name: self._changes.column(f"{side}_{name}")[row].as_py() for name in _ORIGIN}
            decisive = ("source",) if part == "content" else ("labeler", "labeled_at")
            if fact.restated_in and any(first[name] != origin[name] for name in decisive):
                restated = self._version(fact.restated_in)
            origin = first
        return Hand(self._version(fact.since or blame.named), **origin, restated_in=restated)

    def _removed_in(self, identity: str) -> int:
        """Follows the sample forward, through its names, to the version that removed it."""
        place, name = 0, identity
        while True:
            step = next((move for move in self._moves.get(name, ()) if move[0] > place), None)
            if step is None:
                # It lives on, but as another sample: under a new name and then with new bytes.
                return place
            if step[1] is None:
                return step[0]
            place, name = step[0], step[1]


def _parts(bits: int, new: Mapping[str, Any]) -> Iterator[str]:
    """The parts of a sample that a change of these kinds is of."""
    injected = bits & BIT["injected"]
    if injected or bits & (BIT["modified"] | BIT["renamed"]):
        yield "content"
    if bits & BIT["relabeled"] or (
        injected and any(new[name] is not None for name in ("label", "label_digest", "labeler"))
    ):
        yield "label"
    if bits & BIT["reattributed"]:
        yield "origin"
    if bits & BIT["resplit"] or (injected and new["split"] is not None):
        yield "split"


def _label(text: str | None, digest: bytes | None) -> str | None:
    return text if digest is None else f"blake3:{digest.hex()}"


def _since_born(blame: Blame) -> Iterator[str]:
    """The kinds of what became of a sample after it was injected."""
    if blame.label.since > blame.born:
        yield "relabeled"
    if blame.content.since > blame.born:
        yield "modified"
    if blame.named > blame.born:
        yield "renamed"
    if blame.origin > max(blame.born, blame.label.since, blame.content.since):
        yield "reattributed"
    if blame.split > blame.born:
        yield "resplit"


def versions_after(line: Sequence[Ancestor], old: str) -> Sequence[Ancestor]:
    """The versions of `line` after the head `old`; none where `old` is not on it."""
    place = place_of(line, old)
    return [] if place is None else line[place + 1 :]


def _moves(changes: pa.Table) -> dict[str, list[tuple[int, str | None]]]:
    """For each old id, in which places it was renamed to what, or removed (None)."""
    moves: dict[str, list[tuple[int, str | None]]] = {}
    columns = (changes.column(name).to_pylist() for name in ("version", "old_id", "new_id"))
    for place, old, new in zip(*columns, strict=True):
        if old is not None and old != new:
            moves.setdefault(old, []).append((place, new))
    return moves


def diff_versions(
    workspace: Workspace,
    before: Ancestor,
    after: Ancestor,
    trust: Trust | None,
    open_index: Callable[[], AbstractContextManager[Workspace]],
) -> Diff:
    """The changes from `before` to `after`, attributed.

    `open_index` brings the index up to date, where it is needed.
    """
    if after.head.parent == before.digest:
        # One version made all of it: neither the index nor the history has more to say.
        return _diff(workspace, before, after, ChangeAttribution([after], None))
    broken = None
    try:
        line = versions_after(lineage(workspace, after.digest, trust), before.digest)
    except NotTrustedError as error:
        # A history that is refused is what an incident wants to see: what changed is known.
        line, broken = [], error.message
    with open_index() as indexed:
        made_by = ChangeAttribution(line, changes_on(indexed, line))
    return _diff(workspace, before, after, made_by, broken)


def diff_each_version(
    workspace: Workspace, before: Ancestor, after: Ancestor, trust: Trust | None
) -> Iterator[Diff]:
    """The changes that each version after `before` made, up to `after`, the oldest first.

    Raises UsageError where `after` does not descend from `before`, NotTrustedError (step 9) where
    the line is broken.
    """
    later = versions_after(lineage(workspace, after.digest, trust), before.digest)
    if not later:
        raise UsageError(
            f"{_name(after)} does not descend from {_name(before)}: no versions lie between them",
            hint="give the older one first, of the same dataset",
        )
    for old, new in pairwise([before, *later]):
        yield _diff(workspace, old, new, ChangeAttribution([new], None))


def _diff(
    workspace: Workspace,
    before: Ancestor,
    after: Ancestor,
    made_by: ChangeAttribution,
    broken: str | None = None,
) -> Diff:
    changes = changes_between(workspace, before.head, after.head)
    return Diff(changes, made_by, _name(before), _name(after), (before, after), broken=broken)


def _name(version: Ancestor) -> str:
    return f"{version.head.dataset}@{version.head.version}"
