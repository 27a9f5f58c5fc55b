"""Diff with attribution: what changed between two versions, and by which version's hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from provreg.core.blame import Blame, blame_touched
from provreg.core.change import BIT, Changes
from provreg.core.head import Head
from provreg.core.kinds import KINDS
from provreg.flows.gate import Gate
from provreg.flows.lineage import Ancestor, place_of
from provreg.record import record

_BATCH = 1 << 12


@record
class Change:
    """One change: its kinds, the entries before and after (dicts by column), and whose it is.

    `version` is the one that made it, None where no published version did (a folder compared with
    a version) or none between the two can be named.
    """

    kinds: tuple[str, ...]
    id: str
    old: dict[str, Any] | None
    new: dict[str, Any] | None
    version: Ancestor | None


@record
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


@record
class Diff:
    """The changes from `old_name` to `new_name`: two versions, or a version and data not published.

    `versions` are those compared, with what the policy says of them. `gate` is what its rule would
    say of data that are not published, None for versions and where the rule sets no bounds.
    `broken` says why it is not known by whose hand versions differ.
    """

    changes: Changes
    made_by: MadeBy
    old_name: str
    new_name: str
    versions: Sequence[Ancestor]
    gate: Gate | None = None
    broken: str | None = None

    @property
    def relabeling(self) -> Relabeling | None:
        """How label types and class indices of two versions differ, None where they do not."""
        heads = [one.head for one in self.versions]
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
                yield Change(kinds, identity, old, new, self.made_by.find(identity, bits))


class MadeBy:
    """Which version made each change on the way from one version to a later one."""

    def __init__(self, line: Sequence[Ancestor], changes: pa.Table | None) -> None:
        """`line` are the versions after the old one, oldest first; `changes` the index's of them.

        With an empty line, or without the changes of several, no change has a version.
        """
        self._line = line if changes is not None or len(line) == 1 else ()
        self._only = line[0] if len(line) == 1 else None
        self._touched: dict[str, Blame] = {}
        self._moves: dict[str, list[tuple[int, str | None]]] = {}
        if changes is not None and len(line) > 1:
            self._touched, self._moves = blame_touched(changes), _moves(changes)

    def find(self, identity: str, bits: int) -> Ancestor | None:
        """The version that made the change with these kinds to the sample `identity`."""
        if self._only is not None or not self._line:
            return self._only
        if bits & BIT["removed"]:
            place = self._removed_in(identity)
        else:
            place = self._made_in(identity, bits)
        return None if place is None else self._line[place]

    def _made_in(self, identity: str, bits: int) -> int | None:
        blame = self._touched.get(identity)
        if blame is None:
            return None
        if bits & BIT["relabeled"]:
            return blame.label.since
        if bits & (BIT["injected"] | BIT["modified"]):
            return blame.content.since
        return blame.touched

    def _removed_in(self, identity: str) -> int | None:
        """Follows the sample forward, through its names, to the version that removed it."""
        place, name = -1, identity
        while True:
            step = next((move for move in self._moves.get(name, ()) if move[0] > place), None)
            if step is None:
                # It lives on, but as another sample: under a new name and then with new bytes.
                return place if place >= 0 else None
            if step[1] is None:
                return step[0]
            place, name = step[0], step[1]


def between(line: Sequence[Ancestor], old: str) -> Sequence[Ancestor]:
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
