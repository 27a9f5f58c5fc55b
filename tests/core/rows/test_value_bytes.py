"""Values one by one: the same for every kind of array, cut anywhere."""

from __future__ import annotations

import pyarrow as pa
import pytest

from provreg.core.rows.row_hash import iter_value_bytes

VALUES = [b"", b"a", b"bc", b"", b"def" * 50, b"\xc3\xa9"]
TYPES = [pa.binary(), pa.large_binary()]


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("start", range(len(VALUES) + 1))
def test_each_value_is_the_value_wherever_the_array_begins(type_: pa.DataType, start: int) -> None:
    assert list(iter_value_bytes(pa.array(VALUES, type_).slice(start))) == VALUES[start:]
    assert list(iter_value_bytes(pa.array(VALUES, type_).slice(0, start))) == VALUES[:start]


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string()])
def test_text_is_its_bytes(type_: pa.DataType) -> None:
    assert list(iter_value_bytes(pa.array(["é", "", "x"], type_))) == ["é".encode(), b"", b"x"]
