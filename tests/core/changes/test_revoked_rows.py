"""Names that samples had before, against a plain reading of docs/format/revocation.md."""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.changes.changes import compare
from provreg.core.changes.revoked_rows import Name, former_after
from provreg.core.manifest.entry import ENTRY, NO_ENTRIES

Row = dict[str, Any]
Version = dict[str, Row]

FEW = st.fixed_dictionaries({
    "content": st.sampled_from("xyz"),
    "label": st.sampled_from([None, "", "cat", "dog"]),
    "source": st.sampled_from(["fay", "ann"]),
    "labeler": st.sampled_from([None, "fay", "ann"]),
})  # fmt: skip
LINES = st.lists(st.dictionaries(st.sampled_from("abcd"), FEW, min_size=1), min_size=2, max_size=6)


def entries(version: Version) -> pa.Table:
    rows = [
        row | {"id": identity, "size": 1, "content": blake3(row["content"].encode()).digest()}
        for identity, row in sorted(version.items())
    ]
    return pa.Table.from_pylist(rows, ENTRY) if rows else NO_ENTRIES


def claim(row: Row, by: str) -> tuple[Any, ...]:
    return (row["content"],) if by == "source" else (row["content"], row["label"])


def plainly(old: Version, new: Version, had: set[str], by: str) -> set[str]:
    """The ids of `new` whose present bytes (or label) had the name before: sample by sample."""
    said = "content" if by == "source" else "label"
    named = had | {identity for identity, row in old.items() if row[by] == "fay"}
    gone = {
        claim(row, by)
        for identity, row in old.items()
        if identity in named and (identity not in new or claim(new[identity], by) != claim(row, by))
    }
    found = set()
    for identity, row in new.items():
        before = old.get(identity)
        stays = before is not None and before[said] == row[said]
        came = before is None or claim(before, by) != claim(row, by)
        if (stays and identity in named) or (came and claim(row, by) in gone):
            found.add(identity)
    return found


@pytest.mark.parametrize("by", ["source", "labeler"])
@given(line=LINES)
def test_former_names_are_those_of_a_plain_reading(by: Any, line: list[Version]) -> None:
    former, plain = pa.array([], pa.string()), set[str]()
    for old, new in itertools.pairwise(line):
        former = former_after(compare(entries(old), entries(new)), Name(by, "fay"), former)
        plain = plainly(old, new, plain, by)
        # What has the name now as well may be in it or not.
        now = {identity for identity, row in new.items() if row[by] == "fay"}
        assert set(former.to_pylist()) | now == plain | now
