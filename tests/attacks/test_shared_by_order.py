"""Ranks and workers share what is signed: the order of a copy of the data decides nothing."""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import provreg

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

ROWS = 37
Load = Callable[..., provreg.VerifiedSamples]


def table(order: Sequence[int]) -> pa.Table:
    return pa.table(
        {"key": [f"row-{row:03d}" for row in order], "text": [f"text {row}" for row in order]}
    )


def parquet(path: Path, order: Sequence[int]) -> None:
    pq.write_table(table(order), path, row_group_size=10)


def csv(path: Path, order: Sequence[int]) -> None:
    pa.csv.write_csv(table(order), path)


WRITERS = {"parquet": parquet, "csv": csv}


@pytest.fixture(params=WRITERS)
def copies(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    """Three copies of the same rows: in order, backwards, and in other shards and another order."""
    shuffled = np.random.default_rng(1).permutation(ROWS).tolist()
    orders = ([range(ROWS)], [range(ROWS)[::-1]], [shuffled[:11], shuffled[11:30], shuffled[30:]])
    made = []
    for number, shards in enumerate(orders):
        folder = tmp_path / f"copy{number}"
        folder.mkdir()
        for shard, order in enumerate(shards):
            WRITERS[request.param](folder / f"{shard}.{request.param}", order)
        made.append(folder)
    return made


def load_with(bench: Any, data: Path, **more: Any) -> provreg.VerifiedSamples:
    return provreg.load("d", data=data, key=bench.key_file(), registry=bench.registry, **more)


def number_of(sample: provreg.Sample) -> int:
    return int(sample.payload["text"].split()[1])  # type: ignore[call-overload]


@pytest.mark.parametrize("ids", ["ids", "no ids"])
@pytest.mark.parametrize("select", [None, "id like '%1%' or id like '%7%'"])
def test_ranks_with_rows_in_another_order_together_see_each_once(
    bench: Any, copies: list[Path], ids: str, select: str | None
) -> None:
    how = provreg.ReadOptions(id="key") if ids == "ids" else provreg.ReadOptions()
    bench.ingest(copies[0], name="d", options=how)
    found = [
        [sample.id for sample in load_with(bench, data, select=select).share(rank, 3)]
        for rank, data in enumerate(copies)
    ]
    every = sorted(load_with(bench, copies[0], select=select).entries["id"].to_pylist())
    assert sorted(one for rank in found for one in rank) == every
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_ranks_and_workers_of_torch_together_see_each_row_once(
    bench: Any, copies: list[Path]
) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    from torch.utils.data import DataLoader

    from provreg.loaders.torch import VerifiedIterableDataset

    bench.ingest(copies[0], name="d", options=provreg.ReadOptions(id="key"))
    found = []
    for rank, data in enumerate(copies):
        stream = VerifiedIterableDataset(
            "d", data=data, key=bench.key_file(), registry=bench.registry, transform=number_of,
            rank=rank, world_size=3,
        )  # fmt: skip
        mine = list(DataLoader(stream, batch_size=None, num_workers=2))
        assert len(mine) == len(stream)
        found += mine
    assert sorted(found) == list(range(ROWS))


def test_ranks_that_sample_hugging_face_datasets_together_see_each_row_once(
    bench: Any, copies: list[Path], tmp_path: Path
) -> None:
    pytest.importorskip("datasets", reason="datasets is not installed")
    from provreg.loaders.huggingface import dataset, verify_dataset

    bench.ingest(copies[0], name="d", options=provreg.ReadOptions(id="key"))
    for folder in (None, "mapped"):
        found = []
        for rank, data in enumerate(copies):
            samples = load_with(bench, data)
            place = None if folder is None else tmp_path / f"{folder}{rank}"
            made = dataset(samples, ("id",), folder=place)
            verify_dataset(made, samples)
            assert made["id"] == sorted(made["id"])
            found += made.select(range(rank, len(made), 3))["id"]
        assert sorted(found) == [f"row-{row:03d}" for row in range(ROWS)]


def pack(path: Path, order: Sequence[int]) -> None:
    with tarfile.open(path, "w") as archive:
        for number in order:
            member, data = tarfile.TarInfo(f"{number:03d}.txt"), b"text %d" % number
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def keys(samples: provreg.VerifiedSamples, workers: int) -> list[str]:
    pytest.importorskip("webdataset", reason="webdataset is not installed")
    from provreg.loaders.webdataset import VerifiedWebDataset

    pipeline = VerifiedWebDataset(samples)
    if not workers:
        return [one["__key__"] for one in pipeline]
    torch = pytest.importorskip("torch", reason="torch is not installed")
    loader = torch.utils.data.DataLoader(pipeline, batch_size=None, num_workers=workers)
    return [one["__key__"] for one in loader]


@pytest.mark.parametrize("workers", [0, 2])
def test_ranks_with_samples_in_other_shards_together_see_each_once(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    found = []
    for rank, bounds in enumerate(((0, 10, 20, ROWS), (0, 13, 26, ROWS))):
        folder = tmp_path / f"rank{rank}"
        folder.mkdir()
        order = range(ROWS)[:: 1 - 2 * rank]
        for shard, (start, stop) in enumerate(itertools.pairwise(bounds)):
            pack(folder / f"{shard}.tar", order[start:stop])
        if not rank:
            bench.ingest(folder, name="d")
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        found += keys(load_with(bench, folder), workers)
    assert sorted(found) == [f"{number:03d}" for number in range(ROWS)]


def test_what_one_rank_of_several_lacks_is_missing(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    pack(folder / "0.tar", range(10))
    bench.ingest(folder, name="d")
    pack(folder / "0.tar", range(9))
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(provreg.NotTrustedError, match="missing"):
            keys(load_with(bench, folder), 0)


def test_sample_packed_into_the_shards_of_two_workers_is_refused_at_the_end(
    bench: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    pack(folder / "0.tar", range(5))
    pack(folder / "1.tar", range(5, 10))
    bench.ingest(folder, name="d")
    pack(folder / "1.tar", range(4, 10))
    with pytest.raises(provreg.NotTrustedError, match="1 samples of d@1 occur more often"):
        keys(load_with(bench, folder), 2)
