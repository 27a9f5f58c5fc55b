"""Samples followed through a history by their ids, part by part; the index is not asked.

That tells of samples which were there all along. One that came later, or under another name, may
have had earlier lives, which only the changes of all samples tell.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from provreg.core.changes.changes import compare
from provreg.core.manifest.columns import take_rows, whole
from provreg.core.manifest.entry import NO_ENTRIES
from provreg.core.manifest.head import Head, PartRef
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.entries import checked_part
from provreg.flows.verify.lineage import Ancestor
from provreg.store.index.rows import change_rows

# A sample is looked up in every version; the index reads all changes at once.
_FEW = 64


def parts_with(head: Head, ids: Collection[str]) -> list[PartRef]:
    """The parts of a version that these ids can be in."""
    return [part for part in head.parts if any(part.first <= one <= part.last for one in ids)]


def changes_to(
    workspace: Workspace, line: Sequence[Ancestor], ids: Collection[str]
) -> pa.Table | None:
    """The changes of the versions on `line` to the samples `ids`, as the index has them.

    None where it must be asked: for many samples, for one that a version lacks, and where the
    entries of a version were never checked as a whole.
    """
    if len(ids) > _FEW or any(one.digest not in workspace.checked for one in line):
        return None
    wanted = sorted(set(ids))
    found: list[pa.Table] = []
    parts: list[PartRef] | None = None
    before: pa.Table | None = None
    for place, one in enumerate(line):
        now = parts_with(one.head, wanted)
        if now == parts:
            continue
        entries = pa.concat_tables([NO_ENTRIES, *_rows(workspace, now, wanted)])
        if entries.num_rows != len(wanted):
            return None
        # Most changes of a part are not of these samples.
        if before is None or not entries.equals(before):
            rows = change_rows(compare(entries if before is None else before, entries))
            found.append(rows.append_column("version", pa.array([place] * len(rows), pa.int32())))
        parts, before = now, entries
    return pa.concat_tables(found)


def _rows(
    workspace: Workspace, parts: Sequence[PartRef], wanted: Sequence[str]
) -> Iterator[pa.Table]:
    """The entries of those of `wanted`, which are ascending, that each part has."""
    for part in parts:
        entries = checked_part(workspace, part)
        ids = _Texts(whole(entries.column("id")))
        places = [(bisect_left(ids, one), one) for one in wanted]
        rows = [row for row, one in places if row < len(ids) and ids[row] == one]
        yield take_rows(entries, np.array(rows, np.int64))


class _Texts(Sequence[str]):
    """A text column to look something up in, of which few values are looked at."""

    def __init__(self, column: pa.Array) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, row: Any) -> Any:
        return self._column[row].as_py()
