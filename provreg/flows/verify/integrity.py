"""Integrity: whether a head and its files hold together, whoever signed them (steps 4 and 10).

Nothing here says that a version is trusted: that is `flows.verify.steps`. What part files hold is
`flows.verify.entries`; this needs no Arrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TypeVar

from provreg.core.encoding.text import quoted
from provreg.core.manifest.head import MAX_HEAD_BYTES, Head, PartRef, check_parent, parse_head
from provreg.errors import DamagedError, FormatError, NotFoundError, NotTrustedError, ProvregError
from provreg.flows.session.workspace import Workspace

_READERS = 2
_NO_HEADS: Mapping[str, Head] = MappingProxyType({})
# So much is read before threads are there.
_FEW_BYTES = 1 << 23
_SMALL_HEAD = 1 << 17

Found = TypeVar("Found")
# Told of each step that passed: its number and what was found.
Report = Callable[[int, str], None]


def no_report(*_: object) -> None:
    """A `Report` where nobody listens."""


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
    """Who asks of one version asks again: to parse a head is most of what a small diff takes."""
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
