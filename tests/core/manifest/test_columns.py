from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.manifest.columns import take_entries, take_rows
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
