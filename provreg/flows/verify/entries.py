"""Entries: what the part files of a version hold, whoever signed it (steps 10 and 11).

Each pair of logical and file digest is decoded and recomputed once, and mapped from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pyarrow as pa

from provreg.core.encoding.digest import written_digest
from provreg.core.manifest.head import Head, PartRef
from provreg.core.manifest.manifest import check_part, check_part_end, check_version
from provreg.core.manifest.tree import BlockList
from provreg.errors import FormatError
from provreg.executors.processes import local_processes
from provreg.executors.worker import can_fork
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.integrity import map_parts, read_part_file, step_error
from provreg.store.registry.objects import Objects
from provreg.store.registry.parts import read_part

MAX_LABEL_BYTES = 64 << 20
_MAX_BLOCK_LIST = 1 << 20
# Starting a process costs what decoding and checking some 10,000 entries does.
_WORTH_PROCESSES = 1 << 17


def check_successor(workspace: Workspace, head: Head, parent: Head) -> None:
    """Steps 10 and 11 of a head whose parent's were found to hold; raises NotTrustedError.

    Files of parts that both share are not read again: a successor costs as its change.
    """
    shared = frozenset(parent.parts)
    if head.digest() in workspace.checked:
        for part in head.parts:
            if part not in shared:
                _read_and_check(workspace, shared, part)
    else:
        load_entries(workspace, head, shared=shared)


def load_entries(
    workspace: Workspace,
    head: Head,
    *,
    shared: frozenset[PartRef] = frozenset(),
) -> pa.Table:
    """Steps 10 and 11: the entries of a head, every part's bytes hashed, its content checked once.

    The files of parts in `shared` were found as they are named before, and are not read again. Says
    nothing of who signed it. Raises NotTrustedError.
    """
    # A head names its parts by digest: what was found of it once stays true.
    checked = head.digest() in workspace.checked
    if not checked:
        _check_in_all_cores(workspace, head.parts)
    parts = list(map_parts(partial(_read_and_check, workspace, shared), head.parts))
    if not checked:
        for part, found in zip(head.parts, parts, strict=True):
            _check_place(part, found, last=part is head.parts[-1])
    entries = pa.concat_tables(parts)
    try:
        if not checked:
            check_version(head, entries)
            workspace.checked.add(head)
    except FormatError as error:
        raise step_error(11, error) from None
    return entries


def long_label(objects: Objects, digest: bytes) -> str:
    """The text of a label that its entry names by digest, from the object a labels file left.

    Raises NotFoundError where the label is in the data instead, DamagedError for other bytes.
    """
    return objects.get(written_digest(digest), limit=MAX_LABEL_BYTES).decode()


def held_entries(workspace: Workspace, head: Head) -> pa.Table:
    """The entries of a head that passed steps 10 and 11: its files are not read again."""
    return pa.concat_tables(
        _checked(workspace, part, workspace.parts.get(part)) for part in head.parts
    )


def _check_in_all_cores(workspace: Workspace, parts: Sequence[PartRef]) -> None:
    """Checks what was never checked, where that is much; `workspace.parts` has it from then on."""
    new = [part for part in parts if workspace.parts.get(part) is None]
    if sum(part.rows for part in new) >= _WORTH_PROCESSES and can_fork():
        for _ in local_processes().map(partial(_check_and_keep, workspace), new):
            pass


def _check_and_keep(workspace: Workspace, part: PartRef) -> None:
    _checked(workspace, part, workspace.parts.get(part))


def _read_and_check(workspace: Workspace, shared: frozenset[PartRef], part: PartRef) -> pa.Table:
    """Steps 10 and 11 for one part: its file is hashed whether or not its entries are known."""
    known = workspace.parts.get(part)
    if part in shared:
        return _checked(workspace, part, known)
    data = read_part_file(workspace, part)
    return _check_content(workspace, part, data) if known is None else known


def read_blocks(workspace: Workspace, part: PartRef) -> BlockList:
    """The blocks of one part; raises DamagedError or NotFoundError where they cannot be read."""
    return BlockList.from_bytes(workspace.objects.get(part.blocks, limit=_MAX_BLOCK_LIST))


def checked_part(workspace: Workspace, part: PartRef) -> pa.Table:
    """The entries of one part, checked before or now (steps 10 and 11)."""
    return _checked(workspace, part, workspace.parts.recent(part))


def _checked(workspace: Workspace, part: PartRef, known: pa.Table | None) -> pa.Table:
    if known is not None:
        return known
    return _check_content(workspace, part, read_part_file(workspace, part))


def _check_content(workspace: Workspace, part: PartRef, data: bytes) -> pa.Table:
    """Step 11: the entries in a part file; remembered, so that it is done once for the pair."""
    try:
        entries = read_part(data, rows=part.rows)
        check_part(entries, part.blocks)
    except FormatError as error:
        raise step_error(11, error) from None
    workspace.parts.put(part, entries)
    return entries


def _check_place(part: PartRef, entries: pa.Table, *, last: bool) -> None:
    ids = entries.column("id")
    try:
        if (ids[0].as_py(), ids[len(ids) - 1].as_py()) != (part.first, part.last):
            raise FormatError("a part's first and last id are not those its head says")
        if not last:
            check_part_end(entries)
    except FormatError as error:
        raise step_error(11, error) from None
