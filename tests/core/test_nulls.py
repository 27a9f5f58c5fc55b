"""Columns of nothing: any number of nulls, in memory that is shared."""

from __future__ import annotations

import pyarrow as pa
import pytest

from provreg.core.entry import ENTRY
from provreg.core.nulls import chunked_nulls, nulls

COUNTS = [0, 1, 1 << 16, (1 << 16) + 1, 3 << 16]


@pytest.mark.parametrize("count", COUNTS)
def test_there_are_as_many_as_asked_for_of_every_type(count: int) -> None:
    for field in ENTRY:
        for made in (nulls(field.type, count), chunked_nulls(field.type, count)):
            made.validate(full=True)
            assert made.type == field.type
            assert len(made) == made.null_count == count


def test_they_share_their_memory() -> None:
    nulls(pa.binary(32), 10)
    before = pa.total_allocated_bytes()
    made = [chunked_nulls(pa.binary(32), 1_000_000), nulls(pa.binary(32), 60_000)]
    assert pa.total_allocated_bytes() == before
    assert len(made) == 2
