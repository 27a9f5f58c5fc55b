from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.rows.arrow_types import columns_from_arrow, to_arrow
from provreg.core.rows.column import (
    FLOAT64,
    INT,
    MAX_DEPTH,
    NULL,
    TEXT,
    Column,
    Decimal,
    List,
    LogicalType,
    Map,
    Scalar,
    Struct,
    accepts,
    columns_from_json,
    columns_to_json,
    common_type,
    final_type,
    type_from_json,
    type_to_json,
)
from provreg.errors import FormatError, InputError

SCALARS = [
    "bool", "int", "float16", "float32", "float64", "text", "binary",
    "timestamp", "timestamp-utc", "date", "time", "duration",
]  # fmt: skip


def _nest(inner: st.SearchStrategy[LogicalType]) -> st.SearchStrategy[LogicalType]:
    fields = st.lists(st.builds(Column, st.text(max_size=3), inner), unique_by=lambda c: c.name)
    return (
        st.builds(List, inner) | st.builds(Struct, fields.map(tuple)) | st.builds(Map, inner, inner)
    )


types = st.recursive(
    st.sampled_from([Scalar(name) for name in SCALARS]) | st.builds(Decimal, st.integers(-76, 76)),
    _nest,
    max_leaves=6,
)


@given(types)
def test_types_survive_their_json_form(logical: LogicalType) -> None:
    assert type_from_json(type_to_json(logical), "t") == logical


@given(types)
def test_types_survive_arrow(logical: LogicalType) -> None:
    schema = pa.schema([("c", to_arrow(logical))])
    assert columns_from_arrow(schema) == (Column("c", logical),)


@pytest.mark.parametrize(
    "document",
    [
        "null", "int64", "", None, 1, [], {}, {"list": "text", "x": 1}, {"list": ["text"]},
        {"decimal": True}, {"decimal": 77}, {"decimal": 1.0}, {"map": ["text"]},
        {"struct": {"a": "text"}}, {"struct": [{"name": "a"}]},
        {"struct": [{"name": "a", "type": "int", "x": 1}]},
        {"struct": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]},
    ],
)  # fmt: skip
def test_what_is_no_type_is_refused(document: Any) -> None:
    with pytest.raises(FormatError):
        type_from_json(document, "t")


def test_nesting_bomb_in_a_schema_is_refused() -> None:
    document: Any = "int"
    for _ in range(MAX_DEPTH - 1):
        document = {"list": document}
    assert type_from_json(document, "t")
    with pytest.raises(FormatError, match="deeper"):
        type_from_json({"list": document}, "t")
    for _ in range(100_000):
        document = {"struct": [{"name": "a", "type": document}]}
    with pytest.raises(FormatError, match="deeper"):
        columns_from_json([{"name": "a", "type": document}], "t")


def test_too_many_columns_are_refused() -> None:
    columns = [{"name": str(k), "type": "int"} for k in range(16_385)]
    with pytest.raises(FormatError, match="more than"):
        columns_from_json(columns, "t")
    assert columns_to_json(columns_from_json(columns[1:], "t")) == columns[1:]


@pytest.mark.parametrize(
    "arrow",
    [
        pa.month_day_nano_interval(),
        pa.dense_union([pa.field("a", pa.int8())]),
        pa.run_end_encoded(pa.int32(), pa.int64()),
        pa.list_(pa.month_day_nano_interval()),
        pa.struct([("a", pa.int8()), ("a", pa.int8())]),
        pa.decimal128(5, 100),
    ],
)
def test_arrow_types_without_a_meaning_are_refused_by_column(arrow: pa.DataType) -> None:
    with pytest.raises(InputError, match="'odd'"):
        columns_from_arrow(pa.schema([("odd", arrow)]))


@pytest.mark.parametrize("names", [["a", "a"], [""], ["x" * 4097]])
def test_column_names_that_are_no_names_are_refused(names: list[str]) -> None:
    with pytest.raises(InputError):
        columns_from_arrow(pa.schema([(name, pa.int8()) for name in names]))


def test_merging() -> None:
    def struct(**fields: LogicalType) -> Struct:
        return Struct(tuple(Column(name, logical) for name, logical in fields.items()))

    assert common_type(NULL, INT) == common_type(INT, NULL) == INT
    assert common_type(INT, FLOAT64) is None
    assert common_type(INT, FLOAT64, json=True) == FLOAT64
    assert common_type(INT, TEXT, json=True) is None
    assert common_type(List(NULL), List(TEXT)) == List(TEXT)
    assert common_type(List(INT), TEXT) is None
    assert common_type(Map(TEXT, NULL), Map(TEXT, INT)) == Map(TEXT, INT)
    assert common_type(struct(a=INT, b=NULL), struct(b=TEXT, a=INT)) == struct(a=INT, b=TEXT)
    assert common_type(struct(a=INT), struct(b=TEXT)) is None
    assert common_type(struct(a=INT), struct(b=TEXT), json=True) == struct(a=INT, b=TEXT)
    assert accepts(struct(a=INT, b=INT), struct(b=NULL, a=INT))
    assert not accepts(INT, FLOAT64)
    assert final_type(struct(a=NULL, b=List(NULL))) == struct(a=TEXT, b=List(TEXT))
