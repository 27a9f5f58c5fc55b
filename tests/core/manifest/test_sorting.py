from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.manifest.sorting import ascending

IDS = st.lists(st.text("ab\0é\U0001f600", max_size=20), unique=True, max_size=30)


def column(ids: list[str]) -> pa.ChunkedArray:
    """In chunks, each cut out of a longer one."""
    whole = pa.array(["cut off", *ids], pa.string())
    return pa.chunked_array(
        [whole.slice(at, min(7, len(whole) - at)) for at in range(1, len(whole), 7)], pa.string()
    )


def in_order(ids: list[str]) -> list[str]:
    return [ids[row] for row in ascending(column(ids)).tolist()]


@given(IDS, st.sampled_from(["", "b", "train/class-"]))
def test_ids_of_any_kind_are_in_the_order_of_their_bytes(ids: list[str], prefix: str) -> None:
    ids = [prefix + text for text in ids]
    assert in_order(ids) == sorted(ids, key=str.encode)


@pytest.mark.parametrize(
    "ids",
    [
        # A few that eight bytes do not tell apart, among many that they do.
        [f"{n * 7919 % 1000:03}" for n in range(1000)] + ["500 and so on b", "500 and so on a"],
        # All of them.
        [f"the same beginning/{n % 2}/the same/{n * 7919 % 1000:03}" for n in range(1000)],
    ],
)
def test_what_begins_alike_is_told_apart_by_the_rest(ids: list[str]) -> None:
    assert in_order(ids) == sorted(ids)
