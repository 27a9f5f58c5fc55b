"""Heads, part files and entries: their integrity, regardless of signers (steps 1, 4, 10, 11).

Nothing here says that a version is trusted: that is `flows.verify.steps`. Each pair of logical and
file digest is decoded and recomputed once, and mapped from then on. Arrow is loaded only where
entries are asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from provreg.core.encoding.digest import written_digest
from provreg.core.encoding.names import Reference
from provreg.core.encoding.similar import did_you_mean, similar_names
from provreg.core.encoding.text import quoted
from provreg.core.manifest.head import MAX_HEAD_BYTES, Head, PartRef, check_parent, parse_head
from provreg.errors import DamagedError, FormatError, NotFoundError, NotTrustedError, ProvregError
from provreg.flows.session.workspace import Workspace
from provreg.store.registry.objects import Objects

if TYPE_CHECKING:
    import pyarrow as pa

    from provreg.core.manifest.tree import BlockList

MAX_LABEL_BYTES = 64 << 20
_MAX_BLOCK_LIST = 1 << 20
# Starting a process costs what decoding and checking some 10,000 entries does.
_WORTH_PROCESSES = 1 << 17
_READERS = 2
_NO_HEADS: Mapping[str, Head] = MappingProxyType({})
# So much is read before threads are there.
_FEW_BYTES = 1 << 23
_SMALL_HEAD = 1 << 17

Found = TypeVar("Found")
# Told of each step that passed: its number and what was found.
Report = Callable[[int, str], None]


def read_version_record(workspace: Workspace, dataset: str, number: int) -> str:
    """Step 1: the head that a number's record names."""
    try:
        return workspace.versions.record(dataset, number)
    except FormatError as error:
        raise NotTrustedError(
            f"number {number} of {quoted(dataset)} does not name a head: {error.message}",
            step=1,
            hint="a squatted number is not a version: ask for an earlier one by number",
        ) from None


def locate(workspace: Workspace, reference: Reference) -> tuple[int | None, str]:
    """(number, head digest) of `reference` as the registry claims it.

    The number of a head that is named by its digest is None: the head says it, once it is read.
    """
    if reference.head is None and reference.version is not None:
        # Not listed: a version asked for by number costs the same however many there are.
        with suppress(NotFoundError):
            return reference.version, read_version_record(
                workspace, reference.dataset, reference.version
            )
    numbers = workspace.versions.numbers(reference.dataset)
    proposals = [] if numbers else workspace.versions.proposals(reference.dataset)
    if reference.head is not None and (numbers or proposals):
        return None, reference.head
    if not numbers:
        if proposals:
            raise NotFoundError(
                f"{reference.dataset} has no version yet, only proposals",
                hint="`provreg ls --proposals` lists them, and what each lacks",
            )
        alternatives = similar_names(reference.dataset, workspace.versions.datasets())
        raise NotFoundError(
            f"there is no dataset {quoted(reference.dataset)} in {quoted(workspace.location)}",
            hint=f"{did_you_mean(alternatives)}`provreg ls` lists the datasets; `--registry`"
            " chooses another registry",
        )
    number = numbers[-1] if reference.version is None else reference.version
    if number not in numbers:
        proposals = workspace.versions.proposals(reference.dataset, above=numbers[-1])
        waits = any(proposed == number for proposed, _ in proposals)
        raise NotFoundError(
            f"{reference.dataset} has no version {number}, its newest is {numbers[-1]}",
            hint="a proposal of it waits: `provreg ls --proposals` names it"
            if waits
            else f"{_nearest(reference.dataset, number, numbers)}`provreg log {reference.dataset}`"
            " lists the versions",
        )
    return number, read_version_record(workspace, reference.dataset, number)


def _nearest(dataset: str, number: int, numbers: Sequence[int]) -> str:
    """The beginning of a hint that names the versions beside a missing one."""
    place = bisect_left(numbers, number)
    return did_you_mean(f"{dataset}@{near}" for near in numbers[max(0, place - 1) : place + 1])


def read_head(workspace: Workspace, digest: str) -> Head:
    """Step 4: the head whose sha256 is `digest`."""
    try:
        data = workspace.objects.get(digest, limit=MAX_HEAD_BYTES)
        return _parsed(data) if len(data) <= _SMALL_HEAD else parse_head(data)
    except NotFoundError:
        raise NotTrustedError(
            f"there is no head {digest}",
            step=4,
            hint="copy the digest whole, as `provreg show` and `provreg ls --proposals` give it;"
            " what names it otherwise is damaged: `provreg check`",
        ) from None
    except DamagedError as error:
        raise step_error(4, error) from None


@lru_cache(maxsize=64)
def _parsed(data: bytes) -> Head:
    """Cached: a head is often read again, and parsing it is most of the time of a small diff."""
    return parse_head(data)


def history(
    workspace: Workspace, digest: str, heads: Mapping[str, Head] = _NO_HEADS
) -> Iterator[tuple[str, Head]]:
    """The head `digest` and its ancestors, newest first, linked by hash; nothing is trusted.

    Those that are in `heads`, by digest, were read before and are not read again.
    Raises NotTrustedError (step 9) where a parent is missing or not what its child says.
    """
    child: Head | None = None
    link: str | None = digest
    while link is not None:
        try:
            head = heads.get(link) or read_head(workspace, link)
        except NotTrustedError as error:
            raise NotTrustedError(error.message, step=9, hint=error.hint) from None
        if child is not None:
            try:
                check_parent(child, head)
            except FormatError as error:
                raise step_error(9, error) from None
        yield link, head
        child, link = head, head.parent


def check_part_files(workspace: Workspace, parts: Sequence[PartRef]) -> None:
    """Step 10: reads and hashes the files of `parts`. Raises NotTrustedError."""

    def check(part: PartRef) -> None:
        read_part_file(workspace, part)

    for _ in map_parts(check, parts):
        pass


def map_parts(function: Callable[[PartRef], Found], parts: Sequence[PartRef]) -> Iterator[Found]:
    """`function` of each part, in order. Reading and hashing wait for no interpreter: two parts at
    once take half the time."""
    if len(parts) == 1 or sum(part.size for part in parts) < _FEW_BYTES:
        yield from map(function, parts)
        return
    # Late, as most versions are small: it brings a library for logs.
    from provreg.executors.threads import thread_pool

    with thread_pool(_READERS) as readers:
        yield from readers.map(function, parts)


def read_part_file(workspace: Workspace, part: PartRef) -> bytes:
    """Step 10: the bytes of a part file, which are those the head names."""
    try:
        data = workspace.objects.get(part.file, limit=part.size)
    except (DamagedError, NotFoundError) as error:
        raise step_error(10, error) from None
    if len(data) != part.size:
        raise NotTrustedError(
            f"part file {part.file} has {len(data)} bytes, its head says {part.size}", step=10
        )
    return data


def step_error(step: int, error: ProvregError) -> NotTrustedError:
    """The refusal of a step over what was found while it was taken."""
    return NotTrustedError(error.message, step=step, hint=error.hint, sample=error.sample)


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
    import pyarrow as pa

    from provreg.core.manifest.manifest import check_version

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


def entries_of_checked(workspace: Workspace, head: Head) -> pa.Table:
    """The entries of a head that passed steps 10 and 11: its files are not read again."""
    import pyarrow as pa

    return pa.concat_tables(
        _checked(workspace, part, workspace.parts.get(part)) for part in head.parts
    )


def _check_in_all_cores(workspace: Workspace, parts: Sequence[PartRef]) -> None:
    """Checks what was never checked, where that is much; `workspace.parts` has it from then on."""
    from provreg.executors.processes import local_processes
    from provreg.executors.worker import can_fork

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
    from provreg.core.manifest.tree import BlockList

    return BlockList.from_bytes(workspace.objects.get(part.blocks, limit=_MAX_BLOCK_LIST))


def blocks_of(workspace: Workspace, head: Head) -> Sequence[BlockList]:
    """The blocks of all parts; none where a list of them is lost: then entries are hashed anew."""
    try:
        return [read_blocks(workspace, part) for part in head.parts]
    except (DamagedError, NotFoundError):
        return ()


def checked_part(workspace: Workspace, part: PartRef) -> pa.Table:
    """The entries of one part, checked before or now (steps 10 and 11)."""
    return _checked(workspace, part, workspace.parts.recent(part))


def _checked(workspace: Workspace, part: PartRef, known: pa.Table | None) -> pa.Table:
    if known is not None:
        return known
    return _check_content(workspace, part, read_part_file(workspace, part))


def _check_content(workspace: Workspace, part: PartRef, data: bytes) -> pa.Table:
    """Step 11: the entries in a part file; remembered, so that it is done once for the pair."""
    from provreg.core.manifest.manifest import check_part
    from provreg.store.registry.parts import read_part

    try:
        entries = read_part(data, rows=part.rows)
        check_part(entries, part.blocks)
    except FormatError as error:
        raise step_error(11, error) from None
    workspace.parts.put(part, entries)
    return entries


def _check_place(part: PartRef, entries: pa.Table, *, last: bool) -> None:
    from provreg.core.manifest.manifest import check_part_end

    ids = entries.column("id")
    try:
        if (ids[0].as_py(), ids[len(ids) - 1].as_py()) != (part.first, part.last):
            raise FormatError("a part's first and last id are not those its head says")
        if not last:
            check_part_end(entries)
    except FormatError as error:
        raise step_error(11, error) from None
