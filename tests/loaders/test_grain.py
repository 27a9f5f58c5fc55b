"""Verified samples in Grain's own loaders and processes."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grain
import grain.samplers
import pytest
from grain._src.python.ipc.shared_memory_array import SharedMemoryArray

import provreg
from provreg.loaders.grain import SampleSource

Load = Callable[..., provreg.VerifiedSamples]


@pytest.fixture(autouse=True)
def end_of_threads() -> Iterator[None]:
    """Grain never ends the threads in which it frees shared memory."""
    yield
    if pool := SharedMemoryArray._del_thread_pool:
        pool.terminate()
        SharedMemoryArray._disable_async_del()


def test_a_map_dataset_reads_verified_samples_by_index(load: Load) -> None:
    source = SampleSource(load(select="split = 'test'"))
    elements = list(grain.MapDataset.source(source).shuffle(seed=1))
    assert sorted((one["id"], one["payload"], one["label"]) for one in elements) == [
        ("test/cat/7.jpg", b"picture 7", 0),
        ("test/dog/6.jpg", b"picture 6", 1),
    ]
    assert {(one["source"], one["labeler"], one["split"]) for one in elements} == {
        ("shelter", "ann", "test")
    }


def test_a_source_is_small_to_send_and_named_after_the_version(load: Load) -> None:
    samples = load()
    source = SampleSource(samples)
    assert len(pickle.dumps(source)) < 4096
    assert repr(source) == f"SampleSource(pets@1, {samples.version.digest}, 8 samples)"


def data_loader(source: SampleSource, workers: int) -> grain.DataLoader:
    sampler = grain.samplers.IndexSampler(len(source), num_epochs=1, shuffle=True, seed=1)
    return grain.DataLoader(data_source=source, sampler=sampler, worker_count=workers)


def test_a_checkpoint_goes_on_with_no_other_selection_of_as_many(load: Load) -> None:
    cats = data_loader(SampleSource(load(select="label = 'cat'")), workers=0)
    reading = iter(cats)
    first = next(reading)["id"]
    state = reading.get_state()
    dogs = iter(data_loader(SampleSource(load(select="label = 'dog'")), workers=0))
    with pytest.raises(ValueError, match="source"):
        dogs.set_state(state)
    again = iter(data_loader(SampleSource(load(select="label = 'cat'")), workers=0))
    again.set_state(state)
    rest = [one["id"] for one in again]
    assert sorted([first, *rest]) == [one.id for one in load(select="label = 'cat'")]
    assert repr(SampleSource(load(select="size > 0"))) == repr(SampleSource(load()))


def test_worker_processes_read_and_their_reading_is_counted(load: Load) -> None:
    samples = load()
    elements = list(data_loader(SampleSource(samples), workers=1))
    assert sorted(one["id"] for one in elements) == [one.id for one in samples]
    assert samples.deliveries.counts().tolist() == [2] * 8


@pytest.mark.parametrize("workers", [0, 1])
def test_a_changed_sample_is_our_error_out_of_a_worker_process(
    load: Load, pets: Path, workers: int
) -> None:
    (pets / "train/cat/1.jpg").write_bytes(b"picture X")
    loader = data_loader(SampleSource(load()), workers)
    with pytest.raises(provreg.SampleError, match=r"'train/cat/1.jpg' of pets@1") as caught:
        list(loader)
    assert (caught.value.sample, caught.value.source) == ("train/cat/1.jpg", "shelter")


def test_tables_are_no_source(tmp_path: Path, publish: Any, load_data: Any) -> None:
    (tmp_path / "rows.jsonl").write_text('{"n": 1}\n')
    publish(tmp_path / "rows.jsonl")
    with pytest.raises(provreg.UsageError, match="cannot be read one by one"):
        SampleSource(load_data(tmp_path / "rows.jsonl"))
