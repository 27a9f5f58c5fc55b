"""Since when a sample has its bytes and its label (docs/concepts/terms.md, "Blame").

Who brought the bytes and who set the label are two questions. Both are answered by walking the
changes of a version's history once, oldest first; samples that no change touched have what the
first version gave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.changes import BIT

_CONTENT = BIT["injected"] | BIT["modified"]
_LABEL = BIT["injected"] | BIT["relabeled"]
_ORIGIN = BIT["modified"] | BIT["relabeled"] | BIT["reattributed"]


@dataclass(frozen=True, slots=True)
class Record:
    """Where an entry is recorded: the `side` of row `row` of the history's changes."""

    side: Literal["old", "new"]
    row: int


@dataclass(frozen=True, slots=True)
class Fact:
    """Since which version (its place in the history) something holds, and where it is recorded.

    `record` None means the entry as it stands now. `restated_in` is the last version that rewrote
    who is said to answer for it (a content's source, a label's labeler or time) though it stayed
    the same, None where none did.
    """

    since: int
    record: Record | None = None
    restated_in: int | None = None


@dataclass(frozen=True, slots=True)
class Life:
    """An earlier time of a sample: present from version `since` until `until` removed it."""

    id: str
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Blame:
    """What is known of one sample of a version; all versions are places in its history.

    `earlier` are the lives that ended before this one began, in version `born`. `origin`, `split`
    and `named` are the last versions that changed who answers for it, its split and its id.
    """

    content: Fact
    label: Fact
    earlier: tuple[Life, ...] = ()
    born: int = 0
    origin: int = 0
    split: int = 0
    named: int = 0


UNTOUCHED = Blame(Fact(0), Fact(0))


@dataclass(slots=True)
class _Walk:
    """The state between two versions: blames by id, and the lives that ended so far."""

    alive: dict[str, Blame] = field(default_factory=dict)
    ended: dict[str | bytes, list[Life]] = field(default_factory=dict)


def blame_touched(history: pa.Table) -> dict[str, Blame]:
    """The blame of every sample of the newest version that a change touched, by id.

    `history` are the changes of a chain of versions, oldest first: columns `version` (place in the
    chain), `kinds`, and `old_…` and `new_…` for id, content, source, labeler and labeled_at.
    Samples that are not in the result are `UNTOUCHED`. A sample that was removed and came back,
    under its id or with its bytes, has its earlier lives.
    """
    columns = ("version", "kinds", "old_id", "new_id", "old_content", "new_content")
    lists = [history.column(name).to_pylist() for name in columns]
    lists += [_differ(history, "source"), _differ(history, "labeler", "labeled_at")]
    rows = list(zip(*lists, strict=True))
    walk = _Walk()
    start = 0
    while start < len(rows):
        stop = start
        while stop < len(rows) and rows[stop][0] == rows[start][0]:
            stop += 1
        _step(walk, rows[start:stop], start)
        start = stop
    return walk.alive


def _step(walk: _Walk, rows: Sequence[tuple[Any, ...]], first_row: int) -> None:
    # All old ids are taken out before any new id is put in: names may be swapped in one version.
    before = {old: walk.alive.pop(old, UNTOUCHED) for _, _, old, *_ in rows if old is not None}
    for offset, fields in enumerate(rows):
        version, kinds, old, new, old_content, new_content, *rewritten = fields
        row = first_row + offset
        if new is None:
            _end(walk, Life(old, before[old].born, version), old_content)
        elif old is None:
            fact = Fact(version, Record("new", row))
            earlier = dict.fromkeys(walk.ended.get(new, []) + walk.ended.get(new_content, []))
            walk.alive[new] = Blame(fact, fact, tuple(earlier), *[version] * 4)
        else:
            walk.alive[new] = _changed(before[old], version, kinds, rewritten, row)


def _differ(history: pa.Table, *names: str) -> list[bool]:
    """For each change, whether one of these fields is another after it."""
    differ = pa.array([False] * len(history), pa.bool_())
    for name in names:
        old, new = history.column(f"old_{name}"), history.column(f"new_{name}")
        same = pc.or_(
            pc.fill_null(pc.equal(old, new), False), pc.and_(old.is_null(), new.is_null())
        )
        differ = pc.or_(differ, pc.invert(same))
    found: list[bool] = differ.to_pylist()
    return found


def _changed(blame: Blame, version: int, kinds: int, rewritten: Sequence[bool], row: int) -> Blame:
    now = Fact(version, Record("new", row))
    source, labeler = rewritten
    content = now if kinds & _CONTENT else _kept(blame.content, version, row, rewritten=source)
    label = now if kinds & _LABEL else _kept(blame.label, version, row, rewritten=labeler)
    return replace(
        blame,
        content=content,
        label=label,
        origin=version if kinds & _ORIGIN else blame.origin,
        split=version if kinds & BIT["resplit"] else blame.split,
        named=version if kinds & BIT["renamed"] else blame.named,
    )


def _kept(fact: Fact, version: int, row: int, *, rewritten: bool) -> Fact:
    """A fact that a change did not touch, though it may have been written under another name.

    What was said first stays recorded: a later version that rewrites only the origin must not be
    able to put its words into the first signer's mouth.
    """
    record = fact.record or Record("old", row)
    restated_in = version if rewritten else fact.restated_in
    return Fact(fact.since, record, restated_in)


def _end(walk: _Walk, life: Life, content: bytes) -> None:
    walk.ended.setdefault(life.id, []).append(life)
    walk.ended.setdefault(content, []).append(life)
