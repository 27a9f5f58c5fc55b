"""Integrity: whether a head and its objects hold together, whoever signed them (steps 6, 10, 11).

Nothing here says that a version is trusted: that is `flows.verify`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pyarrow as pa

from provreg.core.digest import written
from provreg.core.head import MAX_HEAD_BYTES, Head, PartRef, check_parent, parse_head
from provreg.core.manifest import check_part, check_part_end, check_version
from provreg.core.text import quoted
from provreg.errors import DamagedError, FormatError, NotFoundError, NotTrustedError, ProvregError
from provreg.flows.workspace import Workspace
from provreg.readers.parallel import can_fork, default_workers, ordered_map
from provreg.store.objects import Objects
from provreg.store.parts import read_part

_MAX_LABEL_BYTES = 64 << 20
_READERS = 2
# Starting a process costs what decoding and checking some 10,000 entries does.
_WORTH_PROCESSES = 1 << 17

# Told of each step that passed: its number and what was found.
Report = Callable[[int, str], None]


def ignore(*_: object) -> None:
    """A `Report` where nobody listens."""


def recorded(workspace: Workspace, dataset: str, number: int) -> str:
    try:
        return workspace.versions.record(dataset, number)
    except FormatError as error:
        raise NotTrustedError(
            f"number {number} of {quoted(dataset)} does not name a head: {error.message}",
            step=6,
            hint="a squatted number is not a version: ask for an earlier one by number",
        ) from None


def read_head(workspace: Workspace, digest: str) -> Head:
    """Step 6: the head whose sha256 is `digest`."""
    try:
        return parse_head(workspace.objects.get(digest, limit=MAX_HEAD_BYTES))
    except (DamagedError, NotFoundError) as error:
        raise _refused(6, error) from None


def history(workspace: Workspace, digest: str) -> Iterator[tuple[str, Head]]:
    """The head `digest` and its ancestors, newest first, linked by hash; nothing is trusted.

    Raises NotTrustedError (step 9) where a parent is missing or not what its child says.
    """
    child: Head | None = None
    link: str | None = digest
    while link is not None:
        try:
            head = read_head(workspace, link)
        except NotTrustedError as error:
            raise NotTrustedError(error.message, step=9, hint=error.hint) from None
        if child is not None:
            try:
                check_parent(child, head)
            except FormatError as error:
                raise _refused(9, error) from None
        yield link, head
        child, link = head, head.parent


def check_successor(workspace: Workspace, head: Head, parent: Head) -> None:
    """Steps 10 and 11 of a head whose parent's were found to hold; raises NotTrustedError.

    Files of parts that both share are not read again: a successor costs as its change.
    """
    shared = frozenset(parent.parts)
    if workspace.parts.is_checked(head):
        for part in head.parts:
            if part not in shared:
                _read_and_check(workspace, shared, part)
    else:
        load_entries(workspace, head, shared=shared)


def load_entries(
    workspace: Workspace,
    head: Head,
    done: Report = ignore,
    *,
    shared: frozenset[PartRef] = frozenset(),
) -> pa.Table:
    """Steps 10 and 11: the entries of a head, every part's bytes hashed, its content checked once.

    The files of parts in `shared` were found as they are named before, and are not read again. Says
    nothing of who signed it. Raises NotTrustedError.
    """
    # A head names its parts by digest: what was found of it once stays true.
    checked = workspace.parts.is_checked(head)
    if not checked:
        _check_in_all_cores(workspace, head.parts)
    # Reading and hashing wait for no interpreter: two parts at once take half the time.
    with ThreadPoolExecutor(_READERS if len(head.parts) > 1 else 1) as readers:
        parts = list(readers.map(partial(_read_and_check, workspace, shared), head.parts))
    if not checked:
        for part, found in zip(head.parts, parts, strict=True):
            _check_place(part, found, last=part is head.parts[-1])
    entries = pa.concat_tables(parts)
    try:
        if not checked:
            check_version(head, entries)
            workspace.parts.mark_checked(head)
    except FormatError as error:
        raise _refused(11, error) from None
    done(10, f"{len(head.parts)} part files, {sum(part.size for part in head.parts):,} bytes")
    done(11, f"{head.samples:,} samples, root {head.root}")
    return entries


def long_label(objects: Objects, digest: bytes) -> str:
    """The text of a label that its entry names by digest, from the object a labels file left.

    Raises NotFoundError where the label is in the data instead, DamagedError for other bytes.
    """
    return objects.get(written(digest), limit=_MAX_LABEL_BYTES).decode()


def _check_in_all_cores(workspace: Workspace, parts: Sequence[PartRef]) -> None:
    """Checks what was never checked, where that is much; `workspace.parts` has it from then on."""
    new = [part for part in parts if workspace.parts.get(part) is None]
    if sum(part.rows for part in new) >= _WORTH_PROCESSES and can_fork():
        for _ in ordered_map(partial(_check_and_keep, workspace), new, workers=default_workers()):
            pass


def _check_and_keep(workspace: Workspace, part: PartRef) -> None:
    checked_part(workspace, part)


def _read_and_check(workspace: Workspace, shared: frozenset[PartRef], part: PartRef) -> pa.Table:
    """Steps 10 and 11 for one part: its file is hashed whether or not its entries are known."""
    if part in shared:
        return checked_part(workspace, part)
    data = read_part_file(workspace, part)
    known = workspace.parts.get(part)
    return _check_content(workspace, part, data) if known is None else known


def checked_part(workspace: Workspace, part: PartRef) -> pa.Table:
    """The entries of one part, checked before or now (steps 10 and 11)."""
    entries = workspace.parts.get(part)
    if entries is None:
        entries = _check_content(workspace, part, read_part_file(workspace, part))
    return entries


def read_part_file(workspace: Workspace, part: PartRef) -> bytes:
    """Step 10: the bytes of a part file, which are those the head names."""
    try:
        data = workspace.objects.get(part.file, limit=part.size)
    except (DamagedError, NotFoundError) as error:
        raise _refused(10, error) from None
    if len(data) != part.size:
        raise NotTrustedError(
            f"part file {part.file} has {len(data)} bytes, its head says {part.size}", step=10
        )
    return data


def _check_content(workspace: Workspace, part: PartRef, data: bytes) -> pa.Table:
    """Step 11: the entries in a part file; remembered, so that it is done once for the pair."""
    try:
        entries = read_part(data, rows=part.rows)
        check_part(entries, part.blocks)
    except FormatError as error:
        raise _refused(11, error) from None
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
        raise _refused(11, error) from None


def _refused(step: int, error: ProvregError) -> NotTrustedError:
    return NotTrustedError(error.message, step=step, hint=error.hint, sample=error.sample)
