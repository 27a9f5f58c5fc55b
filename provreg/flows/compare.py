"""Comparing two versions from their objects: only blocks that differ are read and joined."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from provreg.core.change import Changes, compare, differing_rows
from provreg.core.entry import ENTRY
from provreg.core.head import Head, PartRef
from provreg.core.tree import BlockList
from provreg.flows.integrity import checked_part
from provreg.flows.workspace import Workspace

_MAX_BLOCK_LIST = 1 << 20


def changes_between(workspace: Workspace, old: Head, new: Head) -> Changes:
    """The changes from `old` to `new`, two heads whose integrity was checked.

    Raises NotTrustedError or DamagedError where an object they need is missing or changed.
    """
    old_parts, new_parts = _unshared(old.parts, new.parts), _unshared(new.parts, old.parts)
    old_runs, new_runs = differing_rows(
        [_blocks(workspace, part) for part in old_parts],
        [_blocks(workspace, part) for part in new_parts],
    )
    return compare(_rows(workspace, old_parts, old_runs), _rows(workspace, new_parts, new_runs))


def _unshared(parts: Sequence[PartRef], others: Sequence[PartRef]) -> list[PartRef]:
    shared = {part.blocks for part in others}
    return [part for part in parts if part.blocks not in shared]


def _blocks(workspace: Workspace, part: PartRef) -> BlockList:
    return BlockList.from_bytes(workspace.objects.get(part.blocks, limit=_MAX_BLOCK_LIST))


def _rows(
    workspace: Workspace, parts: Sequence[PartRef], runs: Sequence[Sequence[tuple[int, int]]]
) -> pa.Table:
    pieces = [ENTRY.empty_table()]
    for part, part_runs in zip(parts, runs, strict=True):
        if part_runs:
            entries = checked_part(workspace, part)
            pieces += [entries.slice(start, stop - start) for start, stop in part_runs]
    return pa.concat_tables(pieces).combine_chunks()
