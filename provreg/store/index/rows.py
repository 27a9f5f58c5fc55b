"""What the index keeps of a version, as rows of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from provreg.core.changes.changes import Changes
from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.head import Head


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version to take in: `changes` are those to its parent, `counts_true` as it is indexed."""

    head: Head
    digest: str
    changes: Changes
    counts_true: bool


def rows_of(versions: Sequence[NewVersion]) -> dict[str, pa.Table]:
    """The rows of each table of the index that `versions`, at least one, add to it."""
    parts = [_of(new.digest, _part_rows(new.head)) for new in versions]
    changes = [_of(new.digest, change_rows(new.changes)) for new in versions]
    return {
        "versions": pa.Table.from_pylist([_version_row(new) for new in versions]),
        "parts": pa.concat_tables(parts),
        "changes": pa.concat_tables(changes),
    }


def _version_row(new: NewVersion) -> dict[str, Any]:
    head = new.head
    return {
        "head": new.digest, "dataset": head.dataset, "uid": head.uid, "version": head.version,
        "parent": head.parent, "root": head.root, "samples": head.samples, "created": head.created,
        "message": head.message, "counts_true": new.counts_true,
    }  # fmt: skip


def _part_rows(head: Head) -> pa.Table:
    parts = head.parts
    return pa.table(
        {
            "place": range(len(parts)),
            "part": [part.blocks for part in parts],
            "entries": [part.rows for part in parts],
        }
    )


def change_rows(changes: Changes) -> pa.Table:
    """A row for each change: its place, kinds, and `old_…` and `new_…` for each entry's column."""
    place = pa.array(range(len(changes)), pa.int64())
    columns = {"place": place, "kinds": pa.array(changes.kinds)}
    for side, entries in (("old", changes.old_entries()), ("new", changes.new_entries())):
        columns |= {f"{side}_{field.name}": entries.column(field.name) for field in ENTRY}
    return pa.table(columns)


def _of(head: str, rows: pa.Table) -> pa.Table:
    return rows.append_column("head", pa.repeat(head, len(rows)))
