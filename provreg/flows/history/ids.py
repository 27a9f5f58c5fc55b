"""The ids of a version: all, those that meet a condition, and those like one that is missing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.similar import did_you_mean, similar_names
from provreg.core.encoding.text import quoted
from provreg.core.manifest.columns import whole
from provreg.core.manifest.head import Head
from provreg.core.rows.row_hash import without_dictionary
from provreg.errors import NotFoundError, ProvregError
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.manifest import checked_part, load_entries

# What is searched for ids like a missing one: a million entries at most, of which these many match.
_MOST_PARTS, _NEIGHBORS, _SAME_NAME = 16, 100, 100


def list_ids(workspace: Workspace, head: Head, where: str | None) -> pa.ChunkedArray:
    """The ids of a version in order; with `where`, those whose entries meet the SQL condition.

    Raises UsageError for SQL that fails, NotTrustedError (steps 10 and 11) for damaged entries.
    """
    entries = load_entries(workspace, head)
    ids: pa.ChunkedArray = entries.column("id")
    if where is None:
        return ids
    from provreg.store.index.index import select_ids

    columns = {name: without_dictionary(entries.column(name)) for name in entries.column_names}
    return ids.filter(pc.is_in(ids, value_set=select_ids(where, pa.table(columns))))


def missing_id(workspace: Workspace, head: Head, identity: str) -> NotFoundError:
    """The error for an id that a version does not have."""
    reference = f"{head.dataset}@{head.version}"
    return NotFoundError(
        f"{reference} has no sample {quoted(identity)}",
        sample=identity,
        hint=f"{did_you_mean(_similar_ids(workspace, head, identity))}"
        f"`provreg show {reference} --ids` lists the ids",
    )


def _similar_ids(workspace: Workspace, head: Head, identity: str) -> list[str]:
    """Ids that `identity` has or lacks a folder of, then ids that are spelled like it."""
    with suppress(ProvregError):
        candidates = list(dict.fromkeys(_candidates(workspace, head, identity)))
        path = f"/{identity}"
        folders = [one for one in candidates if path.endswith(f"/{one}") or one.endswith(path)]
        return (folders or similar_names(identity, candidates))[:3]
    return []


def _candidates(workspace: Workspace, head: Head, identity: str) -> Iterator[str]:
    """The ids in whose order `identity` would be, and ids with the same last segment."""
    segments = identity.split("/")
    suffixes = ["/".join(segments[place:]) for place in range(1, len(segments))]
    name = segments[-1]
    place = bisect_left(head.parts, identity, key=lambda part: part.last)
    near = head.parts[max(0, place - 1) : place + 1]
    others = [part for part in head.parts[:_MOST_PARTS] if part not in near]
    for part in (*near, *others):
        ids = whole(checked_part(workspace, part).column("id"))
        named = pc.or_(pc.equal(ids, name), pc.ends_with(ids, f"/{name}"))
        found = pc.or_(named, pc.is_in(ids, value_set=pa.array(suffixes, pa.string())))
        yield from ids.filter(found).slice(0, _SAME_NAME).to_pylist()
        if part in near:
            at = bisect_left(LazyTexts(ids), identity)
            first = max(0, at - _NEIGHBORS)
            yield from ids.slice(first, at + _NEIGHBORS - first).to_pylist()


class LazyTexts(Sequence[str]):
    """A text column as a sequence, of which only the texts that are looked at are made."""

    def __init__(self, column: pa.Array) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, row: Any) -> Any:
        return self._column[row].as_py()
