"""Verified tar shards through real WebDataset pipelines and worker processes."""

from __future__ import annotations

import gc
import io
import os
import pickle
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset
from PIL import Image

import provreg
from provreg.loaders.passes.shared_state import SharedPasses, Worker
from provreg.loaders.webdataset import VerifiedWebDataset

Publish = Callable[..., None]
Load = Callable[..., provreg.VerifiedSamples]
Files = dict[str, bytes]


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2, 2), (shade,) * 3).save(file, "PNG")
    return file.getvalue()


def sample(number: int) -> Files:
    return {f"{number:03}.png": png(number), f"{number:03}.cls": str(number % 2).encode()}


def pack(path: Path, many: Iterable[Files]) -> None:
    with tarfile.open(path, "w") as archive:
        for files in many:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


@pytest.fixture
def folder(tmp_path: Path, publish: Publish) -> Path:
    """Twelve samples in three shards of four, labeled 0 and 1 in turn."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in range(3):
        pack(folder / f"train-{shard:02}.tar", map(sample, range(4 * shard, 4 * shard + 4)))
    publish(folder)
    return folder


def keys(pipeline: Any) -> list[str]:
    return [one["__key__"] for one in pipeline]


# WebDataset leaves closing its files to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_samples_are_those_of_webdataset_and_what_is_signed(folder: Path, load_data: Load) -> None:
    ours = list(VerifiedWebDataset(load_data(folder)))
    urls = sorted(str(path) for path in folder.iterdir())
    theirs = list(webdataset.WebDataset(urls, shardshuffle=False))
    gc.collect()
    common = ("__key__", "__url__", "png", "cls")
    assert [[one[name] for name in common] for one in ours] == [
        [one[name] for name in common] for one in theirs
    ]
    signed = ("__label__", "__source__", "__labeler__", "__split__")
    assert [ours[1][name] for name in signed] == ["1", "s", "ann", None]


def test_the_usual_chain_decodes_verified_bytes(folder: Path, load_data: Load) -> None:
    chain = VerifiedWebDataset(load_data(folder)).shuffle(5).decode("pil").to_tuple("png", "cls")
    decoded = sorted((image.getpixel((0, 0))[0], label) for image, label in chain)
    assert decoded == [(number, number % 2) for number in range(12)]


def test_it_is_a_stage_of_a_pipeline(folder: Path, load_data: Load) -> None:
    pipeline = webdataset.DataPipeline(
        VerifiedWebDataset(load_data(folder)),
        webdataset.decode("rgb8"),
        webdataset.to_tuple("png", "cls"),
        webdataset.batched(6),
    )
    assert [batch[0].shape for batch in pipeline] == [(6, 2, 2, 3)] * 2


def test_shards_are_shuffled_anew_in_every_pass(folder: Path, load_data: Load) -> None:
    pipeline = VerifiedWebDataset(load_data(folder), shuffle_shards=3)
    passes = [keys(pipeline) for _ in range(6)]
    assert {tuple(sorted(one)) for one in passes} == {tuple(f"{at:03}" for at in range(12))}
    assert len({tuple(one) for one in passes}) > 1


def test_labels_come_from_the_manifest(tmp_path: Path, bench: Any, load_data: Load) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    pack(folder / "0.tar", [sample(0), sample(1)])
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label\n000,7\n001,8\n")
    bench.ingest(folder, name="d", labels=labels)
    pipeline = VerifiedWebDataset(load_data(folder)).decode().to_tuple("cls")
    assert list(pipeline) == [(7,), (8,)]


POISONED: dict[str, tuple[Callable[[int], Files | None], str]] = {
    "changed": (
        lambda n: sample(n) | {"005.png": png(66)} if n == 5 else sample(n),
        "'005' of d@1",
    ),
    "member added": (lambda n: sample(n) | {"005.txt": b"x"} if n == 5 else sample(n), "'005' of"),
    "relabeled": (lambda n: sample(n) | {"005.cls": b"0"} if n == 5 else sample(n), "its label"),
    "stranger": (lambda n: sample(99) if n == 5 else sample(n), "'099' does not load: d@1 has no"),
    "missing": (lambda n: None if n == 5 else sample(n), "1 samples of d@1 are missing .* '005'"),
}


@pytest.mark.parametrize(("poison", "why"), POISONED.values(), ids=POISONED)
def test_a_poisoned_shard_hands_on_nothing_that_is_not_as_signed(
    folder: Path, load_data: Load, poison: Callable[[int], Files | None], why: str
) -> None:
    pack(folder / "train-01.tar", filter(None, map(poison, range(4, 8))))
    handed_on: list[dict[str, Any]] = []
    with pytest.raises(provreg.NotTrustedError, match=why):
        handed_on.extend(VerifiedWebDataset(load_data(folder)))
    assert [one for one in handed_on if one["png"] != png(int(one["__key__"]))] == []


def test_a_handler_that_goes_on_after_errors_does_not_go_on_after_ours(
    folder: Path, load_data: Load
) -> None:
    pack(folder / "train-01.tar", [sample(4) | {"004.png": png(66)}])
    forgiving = webdataset.ignore_and_continue
    pipeline = VerifiedWebDataset(load_data(folder)).decode("pil", handler=forgiving)
    with pytest.raises(provreg.SampleError):
        list(pipeline.map(lambda one: one, handler=forgiving))


def test_samples_swapped_between_shards_load_as_signed(folder: Path, load_data: Load) -> None:
    pack(folder / "train-00.tar", map(sample, (0, 9, 2, 5)))
    pack(folder / "train-01.tar", map(sample, (4, 3, 1)))
    pack(folder / "train-02.tar", map(sample, (8, 6, 7, 11, 10)))
    assert sorted(keys(VerifiedWebDataset(load_data(folder)))) == [f"{at:03}" for at in range(12)]


def test_a_sample_packed_twice_is_refused(folder: Path, load_data: Load) -> None:
    shutil.copy(folder / "train-00.tar", folder / "train-03.tar")
    with pytest.raises(provreg.SampleError, match="more often in the data than"):
        list(VerifiedWebDataset(load_data(folder)))


def test_a_selection_is_streamed_and_must_be_there(folder: Path, load_data: Load) -> None:
    some = load_data(folder, select="label = '1'")
    assert keys(VerifiedWebDataset(some)) == [f"{at:03}" for at in range(1, 12, 2)]
    pack(folder / "train-00.tar", map(sample, (1, 3)))
    assert len(keys(VerifiedWebDataset(some))) == 6
    pack(folder / "train-00.tar", map(sample, (0, 2)))
    with pytest.raises(provreg.NotTrustedError, match="2 samples of d@1 are missing"):
        keys(VerifiedWebDataset(some))


def test_skipped_samples_are_counted(folder: Path, load_data: Load) -> None:
    pack(folder / "train-00.tar", map(sample, (0, 1, 2)))
    some = load_data(folder, on_bad="skip")
    assert len(keys(VerifiedWebDataset(some))) == 11
    assert some.skipped == 1


def test_files_are_no_shards(pets: Path, load: Load) -> None:
    with pytest.raises(provreg.UsageError, match="not from tar shards"):
        VerifiedWebDataset(load())


# Worker processes


def data_loader(dataset: VerifiedWebDataset, **more: Any) -> Any:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    return torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=2, **more)


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.long)])
def test_workers_share_the_shards_and_each_sample_comes_once(
    folder: Path, load_data: Load, context: str
) -> None:
    samples = load_data(folder)
    loader = data_loader(VerifiedWebDataset(samples), multiprocessing_context=context)
    for epoch in (1, 2):
        assert sorted(keys(loader)) == [f"{at:03}" for at in range(12)]
        assert samples.deliveries.counts().tolist() == [epoch] * 12


@pytest.mark.parametrize("persistent", [False, True])
def test_what_no_worker_found_is_missing_at_the_end(
    folder: Path, load_data: Load, persistent: bool
) -> None:
    loader = data_loader(VerifiedWebDataset(load_data(folder)), persistent_workers=persistent)
    assert len(keys(loader)) == 12
    pack(folder / "train-01.tar", map(sample, (4, 6)))
    seen: list[str] = []
    with pytest.raises(provreg.NotTrustedError, match=r"2 samples of d@1 are missing .* '005'"):
        seen.extend(one["__key__"] for one in loader)
    assert len(set(seen)) == 10


def test_a_workers_error_is_ours_in_the_training_process(folder: Path, load_data: Load) -> None:
    pack(folder / "train-02.tar", [sample(8) | {"008.png": png(66)}])
    with pytest.raises(provreg.SampleError, match="'008' of d@1") as caught:
        list(data_loader(VerifiedWebDataset(load_data(folder))))
    assert (caught.value.sample, caught.value.labeler) == ("008", "ann")


def test_ranks_share_the_samples_and_each_comes_once(
    folder: Path, load_data: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        found += keys(VerifiedWebDataset(load_data(folder)))
    assert Counter(found) == Counter(f"{at:03}" for at in range(12))


def test_a_pipeline_is_small_to_send(folder: Path, load_data: Load) -> None:
    assert len(pickle.dumps(VerifiedWebDataset(load_data(folder)))) < 8192


def ended(found: Any) -> tuple[list[int], int]:
    return found.missing.tolist(), found.repeated


def worker(number: int, *, of: int = 2, loader: int = 7, parent: int | None = None) -> Worker:
    return Worker(os.getpid() if parent is None else parent, loader, number, of)


def test_passes_end_when_all_workers_have_ended_theirs(tmp_path: Path) -> None:
    passes = SharedPasses(tmp_path / "shared", 4)
    one, other = worker(0), worker(1)
    first, second = passes.begin(one), passes.begin(other)
    passes.take(one, first, np.array([0, 2]))
    assert passes.end(one, first) is None
    passes.take(other, second, np.array([1]))
    assert ended(passes.end(other, second)) == ([3], 0)
    again = passes.begin(one)  # sees row 2 no more
    passes.take(one, again, np.array([0, 3]))
    assert ended(passes.end(one, again)) == ([2], 0)
    passes.take(other, second, np.array([3]))
    assert ended(passes.end(other, second)) == ([2], 1)
    assert passes.begin(one) > again  # broken off
    assert passes.end(other, passes.begin(other)) is None
    with pytest.raises(provreg.UsageError, match="1,025 worker processes, at most 1,024"):
        passes.begin(worker(0, of=1025))


def test_strangers_that_workers_skip_are_counted_together(folder: Path, load_data: Load) -> None:
    """Each worker's part has no more of them than may be skipped."""
    pack(folder / "train-00.tar", map(sample, (*range(4), 90)))
    loader = data_loader(VerifiedWebDataset(load_data(folder, on_bad="skip", most_bad=0.1)))
    assert len(keys(loader)) == len(keys(loader)) == 12, "the same again is no other"
    pack(folder / "train-01.tar", map(sample, (*range(4, 8), 91)))
    with pytest.raises(provreg.NotTrustedError, match="2 samples are not as signed"):
        keys(loader)
