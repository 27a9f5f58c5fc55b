"""Tables of every number of rows, small, odd and round, gone through again and again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import provreg
from provreg.loaders import arrow
from provreg.loaders.numpy import arrays

GROUP = 16
# Odd numbers, those around the edges of row groups, and of two of them.
COUNTS = (1, 2, 3, 5, 7, 13, 15, 16, 17, 31, 32, 33, 77)


def write(path: Path, rows: int, group: int) -> list[int]:
    """A table whose ids are in no order; its values, in the order of the file."""
    values = np.random.default_rng(rows).permutation(rows).tolist()
    columns = {"key": [f"k{value}" for value in values], "value": values}
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return values


@pytest.mark.parametrize("ids", ["ids", "no ids"])
@pytest.mark.parametrize("rows", COUNTS)
def test_every_pass_hands_out_all_rows(
    tmp_path: Path, publish: Callable[..., None], load_data: Any, rows: int, ids: str
) -> None:
    path = tmp_path / "t.parquet"
    values = write(path, rows, GROUP)
    publish(path, **({"id": "key"} if ids == "ids" else {}))
    samples: provreg.VerifiedSamples = load_data(path)
    signed = dict(
        zip(samples.entries["id"].to_pylist(), samples.entries["content"].to_pylist(), strict=True)
    )
    for _ in range(3):
        read = list(samples)
        assert [sample.payload["value"] for sample in read] == values
        assert {sample.id for sample in read} == signed.keys()
        table = arrow.table(samples, ("id", "content"))
        assert table["value"].to_pylist() == values
        assert all(signed[row["id"]] == row["content"] for row in table.to_pylist())
        made = arrays(samples, decode=lambda row: row["value"])
        assert sorted(made.x.tolist()) == sorted(values)
    samples.verify_data()


@pytest.mark.parametrize("rows", [1, 7, 13, 33])
def test_first_pass_after_verifying_hands_out_all_rows(
    tmp_path: Path, publish: Callable[..., None], load_data: Any, rows: int
) -> None:
    path = tmp_path / "t.parquet"
    values = write(path, rows, GROUP)
    publish(path, id="key")
    load_data(path).verify_data()
    assert arrow.table(load_data(path))["value"].to_pylist() == values


@pytest.mark.parametrize("rows", [(1 << 16) - 1, 1 << 16, (1 << 16) + 1])
def test_batches_whose_edge_the_table_ends_at_come_again(
    tmp_path: Path, publish: Callable[..., None], load_data: Any, rows: int
) -> None:
    path = tmp_path / "t.parquet"
    values = write(path, rows, rows)
    publish(path, id="key")
    samples = load_data(path)
    for _ in range(2):
        assert arrow.table(samples)["value"].to_pylist() == values
