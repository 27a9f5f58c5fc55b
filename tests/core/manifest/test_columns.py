from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.manifest.columns import (
    ascending,
    chunked_nulls,
    constant_column,
    equal_to,
    nulls,
    take_entries,
    take_rows,
)
from provreg.core.manifest.entry import ENTRY
from tests.core.conftest import make_entries

# Each chunk with dictionaries of its own, as part files have them.
ENTRIES = pa.concat_tables(
    make_entries([{"id": f"{part}{row}", "label": f"{part}", "source": f"{row}"} for row in "abc"])
    for part in range(4)
)


@given(st.lists(st.integers(-1, ENTRIES.num_rows - 1), max_size=20))
def test_rows_of_any_order_are_taken_from_any_chunks(rows: list[int]) -> None:
    everything = ENTRIES.to_pylist()
    nothing = dict.fromkeys(ENTRIES.column_names)
    expected = [nothing if row < 0 else everything[row] for row in rows]
    assert take_rows(ENTRIES, np.array(rows, np.int64)).to_pylist() == expected
    taken = take_entries(ENTRIES, np.array(rows, np.int64))
    assert taken.to_pylist() == expected
    assert taken.schema.field("label").type == pa.string()


def test_rows_that_follow_one_another_are_not_copied() -> None:
    before = pa.total_allocated_bytes()
    taken = take_rows(ENTRIES, np.arange(2, 9))
    assert taken.to_pylist() == ENTRIES.slice(2, 7).to_pylist()
    assert pa.total_allocated_bytes() == before


def test_nothing_can_be_taken_from_nothing() -> None:
    assert take_rows(ENTRIES.slice(0, 0), np.full(2, -1)).column("id").to_pylist() == [None, None]


COUNTS = [0, 1, 1 << 18, (1 << 18) + 1, 3 << 18]


@pytest.mark.parametrize("count", COUNTS)
def test_there_are_as_many_as_asked_for_of_every_type(count: int) -> None:
    for field in ENTRY:
        for made in (nulls(field.type, count), chunked_nulls(field.type, count)):
            made.validate(full=True)
            assert made.type == field.type
            assert len(made) == made.null_count == count


OTHERS = [pa.binary(33), pa.int8(), pa.float64(), pa.bool_(), pa.large_string(), pa.string_view(),
          pa.struct([("a", pa.int8())]), pa.list_(pa.list_(pa.string())), pa.decimal256(50),
          pa.null(), pa.binary(), pa.map_(pa.string(), pa.int8())]  # fmt: skip


@pytest.mark.parametrize("type_", OTHERS, ids=str)
def test_there_are_nulls_of_types_that_entries_do_not_have(type_: pa.DataType) -> None:
    made = nulls(type_, 7)
    made.validate(full=True)
    assert made.to_pylist() == [None] * 7


def test_nulls_of_entries_take_no_memory() -> None:
    before = pa.total_allocated_bytes()
    made = [(nulls(field.type, 200_000), chunked_nulls(field.type, 10**6)) for field in ENTRY]
    assert pa.total_allocated_bytes() - before < 10_000
    assert len(made) == len(ENTRY)


def test_one_text_for_many_takes_no_memory() -> None:
    before = pa.total_allocated_bytes()
    made = constant_column("somewhere", 200_000)
    assert pa.total_allocated_bytes() - before < 10_000
    made.validate(full=True)
    assert made.unique().to_pylist() == ["somewhere"]
    assert len(made) == 200_000


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


@given(st.lists(st.lists(st.sampled_from(["a", "b", None])), min_size=0, max_size=4), st.booleans())
def test_texts_are_compared_in_dictionaries_as_out_of_them(
    chunks: list[list[str | None]], encoded: bool
) -> None:
    column = pa.chunked_array([pa.array(chunk, pa.string()) for chunk in chunks], pa.string())
    if encoded:
        column = column.dictionary_encode()
    found = equal_to(column, "a")
    assert found.dtype == np.bool_
    assert found.tolist() == [one == "a" for chunk in chunks for one in chunk]


def test_a_dictionary_may_have_a_text_twice() -> None:
    column = pa.DictionaryArray.from_arrays([0, 1, 2, None], ["a", "b", "a"])
    assert equal_to(column, "a").tolist() == [True, False, True, False]
