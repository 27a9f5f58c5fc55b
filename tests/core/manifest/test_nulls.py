"""Columns of nothing or one text: any number of them, in memory that is shared."""

from __future__ import annotations

import pyarrow as pa
import pytest

from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.nulls import chunked_nulls, constant_column, nulls

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
