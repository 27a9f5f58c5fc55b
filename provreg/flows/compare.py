"""Comparing two versions from their objects: only blocks that differ are read and joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from provreg.core.change import (
    Changes,
    compare,
    differing_rows,
    same_ids,
    take_rows,
    without_equal,
)
from provreg.core.entry import ENTRY
from provreg.core.head import Head, PartRef
from provreg.core.tree import BlockList
from provreg.flows.entries import checked_part
from provreg.flows.workspace import Workspace

_MAX_BLOCK_LIST = 1 << 20
_DENSE = 8


def changes_between(workspace: Workspace, old: Head, new: Head) -> Changes:
    """The changes from `old` to `new`, two heads whose integrity was checked.

    Raises NotTrustedError or DamagedError where an object they need is missing or changed.
    """
    old_parts, new_parts = _unshared(old.parts, new.parts), _unshared(new.parts, old.parts)
    old_runs, new_runs = differing_rows(
        [_blocks(workspace, part) for part in old_parts],
        [_blocks(workspace, part) for part in new_parts],
    )
    old_pieces = [_Piece(part, runs) for part, runs in zip(old_parts, old_runs, strict=True)]
    new_pieces = [_Piece(part, runs) for part, runs in zip(new_parts, new_runs, strict=True)]
    places = {piece.part.first: place for place, piece in enumerate(new_pieces)}
    before: list[pa.Table] = [ENTRY.empty_table()]
    after: dict[int, pa.Table] = {-1: ENTRY.empty_table()}
    for piece in old_pieces:
        # One part at a time: the entries of large versions need not fit in memory together.
        place = places.pop(piece.part.first, None)
        if place is None:
            before.append(piece.rows(workspace))
        else:
            rows, after[place] = _differing(workspace, piece, new_pieces[place])
            before.append(rows)
    after |= {place: new_pieces[place].rows(workspace) for place in places.values()}
    in_order = [after[place] for place in sorted(after)]
    return compare(pa.concat_tables(before), pa.concat_tables(in_order))


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part and the runs of its rows (start, stop) in blocks that the other version lacks."""

    part: PartRef
    runs: Sequence[tuple[int, int]]

    def rows(self, workspace: Workspace) -> pa.Table:
        """The entries in the runs."""
        if not self.runs:
            return ENTRY.empty_table()
        rows = np.concatenate([np.arange(start, stop) for start, stop in self.runs])
        return take_rows(checked_part(workspace, self.part), rows)

    def is_dense(self) -> bool:
        """Whether to look at all rows from the first run to the last is less than to copy runs."""
        rows = sum(stop - start for start, stop in self.runs)
        return bool(self.runs) and _DENSE * rows >= self.runs[-1][1] - self.runs[0][0]

    def span(self, workspace: Workspace) -> pa.Table:
        """The entries from the first run to the last, those between them too; not copied."""
        start, stop = self.runs[0][0], self.runs[-1][1]
        return checked_part(workspace, self.part).slice(start, stop - start)


def _differing(workspace: Workspace, old: _Piece, new: _Piece) -> tuple[pa.Table, pa.Table]:
    """The rows of two parts that may be changes."""
    if old.is_dense() and new.is_dense():
        spans = old.span(workspace), new.span(workspace)
        if same_ids(*spans):
            return without_equal(*spans)
    rows = old.rows(workspace), new.rows(workspace)
    return without_equal(*rows) if same_ids(*rows) else rows


def _unshared(parts: Sequence[PartRef], others: Sequence[PartRef]) -> list[PartRef]:
    shared = {part.blocks for part in others}
    return [part for part in parts if part.blocks not in shared]


def _blocks(workspace: Workspace, part: PartRef) -> BlockList:
    return BlockList.from_bytes(workspace.objects.get(part.blocks, limit=_MAX_BLOCK_LIST))
