from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.changes import pairing
from provreg.core.changes.pairing import renames, same_id, spans

IDS = st.lists(st.text("aé\U0001f600", min_size=1, max_size=3), unique=True, max_size=30).map(
    lambda ids: sorted(ids, key=str.encode)
)


def column(ids: list[str]) -> pa.ChunkedArray:
    """In chunks of 7, which no span ends with."""
    return pa.chunked_array([ids[at : at + 7] for at in range(0, len(ids), 7)], pa.string())


@given(IDS, IDS)
def test_spans_are_all_rows_in_order_and_none_is_long(old: list[str], new: list[str]) -> None:
    with patch.object(pairing, "_SPAN", 5):
        found = list(spans(column(old), column(new)))
    for side, ids in ((0, old), (1, new)):
        rows = [row for pair in found for row in range(pair[side].start, pair[side].stop)]
        assert rows == list(range(len(ids)))
        assert all(pair[side].stop - pair[side].start <= 5 for pair in found)
    assert len(found) <= (len(old) + len(new)) / 5 + 2


@given(IDS, IDS)
def test_the_same_ids_are_found_on_both_sides(old: list[str], new: list[str]) -> None:
    with patch.object(pairing, "_SPAN", 5):
        rows = [pair for pairs in same_id(column(old), column(new)) for pair in zip(*pairs)]  # noqa: B905
    assert [old[a] for a, _ in rows] == [new[b] for _, b in rows]
    assert {new[b] for _, b in rows} == {*old} & {*new}


def test_renames_of_a_content_that_stands_twice_are_in_the_order_of_ids(make_entries) -> None:
    old = make_entries([{"id": "1", "payload": "x"}, {"id": "2", "payload": "y"},
                        {"id": "3", "payload": "x"}, {"id": "4", "payload": "z"}])  # fmt: skip
    new = make_entries([{"id": "5", "payload": "y"}, {"id": "6", "payload": "x"},
                        {"id": "7", "payload": "w"}])  # fmt: skip
    found = renames(old, new, np.ones(4, np.bool_), np.ones(3, np.bool_))
    pairs = zip(found.old.tolist(), found.new.tolist(), strict=True)
    assert sorted(pairs) == [(0, 1), (1, 0)]
    assert (found.removed.tolist(), found.added.tolist()) == ([2, 3], [2])
