"""Since which version a sample has its bytes and its label (docs/concepts/terms.md, "Blame").

The origin of the bytes and the origin of the label are two questions. One walk through the changes
of a version's history, oldest first, answers both; samples without a change are from the first
version.
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
    """An entry in the history: the `side` of row `row` of its changes."""

    side: Literal["old", "new"]
    row: int


@dataclass(frozen=True, slots=True)
class Fact:
    """Since which version (its place in the history) a content or label is present, and its record.

    `record` None means the present entry. `restated_in` is the last version that rewrote its origin
    (a content's source, a label's labeler or time) without changing it, None if none did.
    """

    since: int
    record: Record | None = None
    restated_in: int | None = None


@dataclass(frozen=True, slots=True)
class Life:
    """An earlier life of a sample: from version `since` until version `until` removed it."""

    id: str
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Blame:
    """The history of a sample; versions are places in the history of its dataset.

    `born` is the version in which its present life began, `earlier` are lives before. `origin`,
    `split` and `named` are the last versions that changed its origin, its split and its id.
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
    """The state between two versions: the blame of each id, and the ended lives."""

    alive: dict[str, Blame] = field(default_factory=dict)
    ended: dict[str | bytes, list[Life]] = field(default_factory=dict)


def blame_touched(history: pa.Table) -> dict[str, Blame]:
    """The blame of every sample of the newest version that was ever changed, by id.

    `history` has the changes of a chain of versions, oldest first: columns `version` (place in the
    chain), `kinds`, and `old_…` and `new_…` for id, content, source, labeler and labeled_at. All
    other samples are `UNTOUCHED`. A sample that was removed and came back, by id or by bytes, has
    its earlier lives.
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
    # Remove all old ids before adding new ones: a version can swap ids.
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
            walk.alive[new] = _blame_after(before[old], version, kinds, rewritten, row)


def _differ(history: pa.Table, *names: str) -> list[bool]:
    """For each change, whether it changed one of these fields."""
    differ = pa.array([False] * len(history), pa.bool_())
    for name in names:
        old, new = history.column(f"old_{name}"), history.column(f"new_{name}")
        same = pc.or_(
            pc.fill_null(pc.equal(old, new), False), pc.and_(old.is_null(), new.is_null())
        )
        differ = pc.or_(differ, pc.invert(same))
    found: list[bool] = differ.to_pylist()
    return found


def _blame_after(
    blame: Blame, version: int, kinds: int, rewritten: Sequence[bool], row: int
) -> Blame:
    now = Fact(version, Record("new", row))
    source, labeler = rewritten
    content = (
        now if kinds & _CONTENT else _unchanged_fact(blame.content, version, row, rewritten=source)
    )
    label = now if kinds & _LABEL else _unchanged_fact(blame.label, version, row, rewritten=labeler)
    return replace(
        blame,
        content=content,
        label=label,
        origin=version if kinds & _ORIGIN else blame.origin,
        split=version if kinds & BIT["resplit"] else blame.split,
        named=version if kinds & BIT["renamed"] else blame.named,
    )


def _unchanged_fact(fact: Fact, version: int, row: int, *, rewritten: bool) -> Fact:
    """The fact after a change that at most rewrote its origin.

    The first record stays: a later version that rewrites only the origin must not attribute its
    claim to the first signer.
    """
    record = fact.record or Record("old", row)
    restated_in = version if rewritten else fact.restated_in
    return Fact(fact.since, record, restated_in)


def _end(walk: _Walk, life: Life, content: bytes) -> None:
    walk.ended.setdefault(life.id, []).append(life)
    walk.ended.setdefault(content, []).append(life)
