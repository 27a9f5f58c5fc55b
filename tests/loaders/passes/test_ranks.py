"""One dataset that several ranks and loaders read at once: what is missing is told to each."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import provreg
from provreg.loaders.passes.shared_state import SharedPasses, Worker
from tests.loaders.test_webdataset import folder, keys, pack, sample

__all__ = ["folder"]

pytest.importorskip("torch", reason="torch is not installed")
from torch.utils.data import DataLoader, get_worker_info

from provreg.loaders.torch import VerifiedIterableDataset
from provreg.loaders.webdataset import VerifiedWebDataset

Load = Callable[..., provreg.VerifiedSamples]

# When each worker ends, so that those of the two ranks end in turn.
ENDS = {(0, 0): 0.8, (0, 1): 1.6, (1, 0): 0.4, (1, 1): 1.2}


class Slow:
    """Makes a worker wait at its first sample."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.waited = False

    def __call__(self, one: dict[str, Any]) -> str:
        if not self.waited:
            self.waited = True
            info = get_worker_info()
            time.sleep(ENDS[self.rank, 0 if info is None else info.id])
        return str(one["__key__"])


def train(dataset: Any, rank: int, workers: int, told: Any) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE="2")
    found: list[str] = []
    try:
        found.extend(DataLoader(dataset.map(Slow(rank)), batch_size=None, num_workers=workers))
        told.put((found, "ended without complaint"))
    except provreg.ProvregError as error:
        told.put((found, error.message))


def ranks(dataset: Any, *, workers: int) -> list[tuple[list[str], str]]:
    """What two ranks are handed and told that were sent the one dataset."""
    context = multiprocessing.get_context("fork")
    told = context.Queue()
    started = [
        context.Process(target=train, args=(dataset, rank, workers, told)) for rank in range(2)
    ]
    for one in started:
        one.start()
    said = [told.get(timeout=300) for _ in started]
    for one in started:
        one.join()
    return said


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_missing_in_a_dataset_sent_to_all_ranks_are_told(
    folder: Path, load_data: Load, workers: int
) -> None:
    pack(folder / "train-01.tar", map(sample, (4, 6, 7)))
    dataset = VerifiedWebDataset(load_data(folder))
    for _, said in ranks(dataset, workers=workers):
        assert "1 samples of d@1 are missing" in said


@pytest.mark.parametrize("workers", [0, 2])
def test_sound_shards_sent_to_all_ranks_load(folder: Path, load_data: Load, workers: int) -> None:
    said = ranks(VerifiedWebDataset(load_data(folder)), workers=workers)
    assert [why for _, why in said] == ["ended without complaint"] * 2
    assert sorted(said[0][0] + said[1][0]) == [f"{at:03}" for at in range(12)]


def test_two_iterators_of_one_dataset_at_once_load(folder: Path, load_data: Load) -> None:
    dataset = VerifiedWebDataset(load_data(folder))
    pairs = zip(dataset, dataset, strict=True)
    assert sum(one["__key__"] == other["__key__"] for one, other in pairs) == 12


def test_two_data_loaders_of_one_dataset_at_once_are_refused(folder: Path, load_data: Load) -> None:
    dataset = VerifiedWebDataset(load_data(folder))
    first = iter(DataLoader(dataset.map(Slow(0)), batch_size=None, num_workers=2))
    next(first)
    with pytest.raises(provreg.UsageError, match="another DataLoader of this process"):
        keys(DataLoader(dataset, batch_size=None, num_workers=2))
    assert 1 + sum(1 for _ in first) == 12
    broken_off = iter(DataLoader(dataset, batch_size=None, num_workers=2))
    next(broken_off)
    del broken_off
    assert len(keys(DataLoader(dataset, batch_size=None, num_workers=2))) == 12


def test_a_pass_whose_place_another_loader_took_does_not_end_in_silence(tmp_path: Path) -> None:
    passes = SharedPasses(tmp_path / "shared", 2)
    here = os.getpid()
    first, second = Worker(here, 7, 0, 2), Worker(here, 7, 1, 2)
    number = passes.begin(first)
    passes.take(first, number, np.array([0]))
    assert passes.end(first, number) is None
    other = Worker(here, 8, 0, 1)
    again = passes.begin(other)
    passes.take(other, again, np.array([0, 1]))
    assert passes.end(other, again) is not None
    with pytest.raises(provreg.UsageError, match="missing samples cannot be detected"):
        passes.begin(second)
    with pytest.raises(provreg.UsageError, match="missing samples cannot be detected"):
        passes.take(first, number, np.array([1]))


def test_what_ranks_take_is_not_what_others_take(tmp_path: Path) -> None:
    passes = SharedPasses(tmp_path / "shared", 3)
    a, b = Worker(os.getpid(), 7, 0, 2), Worker(os.getppid(), 7, 0, 2)
    c, d = Worker(os.getpid(), 7, 1, 2), Worker(os.getppid(), 7, 1, 2)
    numbers = {one: passes.begin(one) for one in (a, b, c, d)}
    for one, rows in ((a, [0]), (b, [0]), (c, [1]), (d, [1, 2])):
        passes.take(one, numbers[one], np.array(rows))
    assert passes.end(b, numbers[b]) is None
    assert passes.end(a, numbers[a]) is None
    for one, missing in ((d, []), (c, [2])):
        found: Any = passes.end(one, numbers[one])
        assert (found.missing.tolist(), found.repeated) == (missing, 0)


def test_a_stream_sent_to_ranks_is_shared_by_them(
    folder: Path, load_data: Load, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_data(folder)
    key, place = bench.key_file(), bench.registry
    stream = VerifiedIterableDataset("d", data=folder, key=key, registry=place)
    sent = pickle.dumps(stream)
    found = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        there = pickle.loads(sent)  # noqa: S301
        found.append({one.id for one in there})
        assert (there.rank, len(there)) == (int(rank), 6)
        to_worker = pickle.dumps(there)
        for name in ("RANK", "WORLD_SIZE"):
            monkeypatch.delenv(name)
        assert pickle.loads(to_worker).rank == int(rank), "a spawned worker knows no rank"  # noqa: S301
    assert len(found[0] | found[1]) == 12
    assert not found[0] & found[1]
