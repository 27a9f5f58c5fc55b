"""Attacks with what pandas keeps beside a file's columns, which nobody signs and pandas obeys."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provreg.errors import InputError
from provreg.executors.processes import LocalProcesses
from provreg.readers.tables.table import TableOptions, read_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Bench

FRAME = pd.DataFrame(
    {
        "chosen": ["good1", "good2"],
        "rejected": ["bad1", "bad2"],
        "score": [3, 5],
        "w": [0.5, 1e300],
        "at": pd.to_datetime(["2026-01-01", "2026-01-02"]).tz_localize("UTC"),
    }
)


def of(said: dict[str, Any], name: str) -> dict[str, Any]:
    return next(column for column in said["columns"] if column["field_name"] == name)


def swapped(said: dict[str, Any]) -> None:
    of(said, "chosen")["name"], of(said, "rejected")["name"] = "rejected", "chosen"


def changed(column: str, **fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda said: of(said, column).update(fields)


def named_as(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda said: said["column_indexes"][0].update(fields)


def twice(said: dict[str, Any]) -> None:
    said["columns"].append(of(said, "score") | {"numpy_type": "Float32"})


LIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "swapped names": swapped,
    "a name that is gone": changed("chosen", name=None),
    "no field name": lambda said: of(said, "chosen").pop("field_name"),
    "narrower floats": changed("w", numpy_type="Float32"),
    "floats of integers": changed("score", numpy_type="Float32"),
    "periods": changed("score", numpy_type="period[Y]"),
    "intervals": changed("score", numpy_type="interval[int64, right]"),
    "truth of numbers": changed("score", numpy_type="boolean"),
    "Arrow's own types": changed("score", numpy_type="int8[pyarrow]"),
    "narrower plain integers": changed("score", numpy_type="int8", pandas_type="int8"),
    "a word nobody knows": changed("score", pandas_type="riddle"),
    "text of numbers": changed("score", numpy_type="string"),
    "another zone": changed("at", metadata={"timezone": "Asia/Tokyo"}),
    "no type": changed("score", numpy_type=None),
    "twice": twice,
    "bytes for names": named_as(pandas_type="bytes"),
    "names as numbers": named_as(pandas_type="int64", numpy_type="int64"),
    "names on two levels": lambda said: said["column_indexes"].append(said["column_indexes"][0]),
    "an index of another kind": lambda said: said["index_columns"].append({"kind": "riddle"}),
    "no columns": lambda said: said.pop("columns"),
    "columns that are none": lambda said: said.update(columns=["chosen"]),
    "an index that is no list": lambda said: said.update(index_columns="score"),
}


@pytest.mark.parametrize("lie", LIES)
def test_pandas_metadata_that_say_other_names_or_types(bench: Bench, lie: str) -> None:
    data = bench.folder / "t.parquet"
    FRAME.to_parquet(data)
    bench.ingest(data)
    bench.open().verify("pets", data=[data])
    table = pq.read_table(data)
    said = copy.deepcopy(table.schema.pandas_metadata)
    LIES[lie](said)
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(said)}), data)
    with pytest.raises(InputError, match=r"t\.parquet.*pandas") as refused:
        bench.open().verify("pets", data=[data])
    assert "replace_schema_metadata" in refused.value.hint
    with pytest.raises(InputError, match=r"t\.parquet.*pandas"):
        read_table([data], "parquet", TableOptions(), executor=LocalProcesses(1))


@pytest.mark.parametrize("said", [b"", b"[]", b"7", b"{", b"\xff", b'{"columns": []}'])
def test_pandas_metadata_of_no_known_form(tmp_path: Path, said: bytes) -> None:
    data = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({"pandas": said}), data)
    with pytest.raises(InputError, match=r"t\.parquet.*pandas"):
        read_table([data], "parquet", TableOptions(), executor=LocalProcesses(1))


ORDINARY = {
    "plain": FRAME,
    "named index": FRAME.set_index("score"),
    "two indices": FRAME.set_index(["score", "chosen"]),
    "unnamed index": FRAME.set_axis([7, 9]),
    "index kept as a column": FRAME.set_index("score", drop=False),
    "filtered": FRAME[FRAME["score"] > 3],
    "categories": FRAME.assign(c=pd.Categorical(["x", "y"]), n=pd.Categorical([3, 5])),
    "zones": FRAME.assign(b=FRAME["at"].dt.tz_convert("Europe/Berlin"), t=pd.Timestamp(5)),
    "nullable": FRAME.convert_dtypes().assign(
        b=pd.array([True, None], "boolean"), f=pd.array([0.5, None], "Float32")
    ),
    "Arrow's types": FRAME.drop(columns="at").convert_dtypes(dtype_backend="pyarrow"),
    "strings": FRAME.astype({"chosen": "string", "rejected": object}),
    "narrow": pd.DataFrame({"a": [1], "b": [2.5], "c": [3]}).astype(
        {"a": "int8", "b": "float32", "c": "uint16"}
    ),
    "numbers for names": pd.DataFrame([[1.5, 2.5], [3.5, 4.5]]),
    "objects": pd.DataFrame(
        {"n": [1, None], "l": [[1], [2]], "d": [{"x": 1}, None], "b": [b"1", b"2"]}, dtype=object
    ),
    "times": pd.DataFrame({"d": [pd.Timestamp(1).date()], "t": [pd.Timestamp(1).time()]}),
    "nothing known": pd.DataFrame({"a": [1], "b": [None], "c": [float("nan")]}),
    "named columns": FRAME.rename_axis(columns="field"),
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_what_pandas_writes_is_taken(tmp_path: Path, kind: str) -> None:
    data = tmp_path / "t.parquet"
    ORDINARY[kind].to_parquet(data)
    found = read_table([data], "parquet", TableOptions(), executor=LocalProcesses(1))
    assert found.table.num_rows == len(ORDINARY[kind])


def test_columns_that_were_left_out_of_a_frame_are_no_fault(tmp_path: Path) -> None:
    data = tmp_path / "t.parquet"
    FRAME.set_index("score").to_parquet(data)
    pq.write_table(pq.read_table(data).select(["chosen", "at"]), data)
    found = read_table([data], "parquet", TableOptions(), executor=LocalProcesses(1))
    assert found.table.num_rows == len(FRAME)
