"""Data that can only be streamed: every refusal names a loader that shuffles them, and it does."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grain
import pytest

import provreg
from provreg.loaders import arrow, huggingface
from provreg.loaders.grain import SampleSource
from provreg.loaders.webdataset import VerifiedWebDataset

torch = pytest.importorskip("torch", reason="torch is not installed")

from provreg.loaders.torch import ImageDataset, VerifiedDataset  # noqa: E402

TABLES = {
    "rows.csv": "n,text\n" + "".join(f"{number},text {number}\n" for number in range(40)),
    "rows.jsonl": "".join(f'{{"n": {number}}}\n' for number in range(40)),
}
OF_TABLES = "provreg.loaders.huggingface.dataset("
OF_SHARDS = "provreg.loaders.webdataset.VerifiedWebDataset("

Publish = Callable[..., None]
Load = Callable[..., provreg.VerifiedSamples]


@pytest.fixture(params=TABLES)
def table(request: Any, tmp_path: Path, publish: Publish) -> Path:
    path = tmp_path / request.param
    path.write_text(TABLES[request.param])
    publish(path)
    return path


@pytest.fixture
def shards(tmp_path: Path, publish: Publish) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    with tarfile.open(folder / "0.tar", "w") as archive:
        for number in range(40):
            member = tarfile.TarInfo(f"{number:03}.txt")
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    publish(folder)
    return folder


def hint_of(refused: Callable[[], object]) -> str:
    with pytest.raises(provreg.UsageError, match="cannot be read one by one") as caught:
        refused()
    return str(caught.value.hint)


def hints(bench: Any, samples: provreg.VerifiedSamples, data: Path) -> list[str]:
    """What a single sample, Grain and the datasets of PyTorch say."""
    options = {"data": data, "key": bench.key_file(), "registry": bench.registry}
    return [
        hint_of(lambda: samples[0]),
        hint_of(lambda: SampleSource(samples)),
        hint_of(lambda: VerifiedDataset("d", **options)),
        hint_of(lambda: ImageDataset("d", **options)),
    ]


def test_tables_are_shuffled_as_the_hints_say(bench: Any, table: Path, load_data: Load) -> None:
    for hint in hints(bench, load_data(table), table):
        assert OF_TABLES in hint
        assert OF_SHARDS not in hint
    made = huggingface.dataset(load_data(table), signed=())
    for shuffled in (
        torch.utils.data.DataLoader(made, batch_size=None, shuffle=True),
        grain.MapDataset.source(made).shuffle(seed=1),
        made.shuffle(seed=1),
    ):
        numbers = [int(row["n"]) for row in shuffled]
        assert numbers != [int(row["n"]) for row in made]
        assert sorted(numbers) == list(range(40))


def test_shards_are_shuffled_as_the_hints_say(bench: Any, shards: Path, load_data: Load) -> None:
    for hint in hints(bench, load_data(shards), shards):
        assert OF_SHARDS in hint
        # It takes rows of tables only.
        assert OF_TABLES not in hint
    shuffled = VerifiedWebDataset(load_data(shards), shuffle_shards=1).shuffle(1000)
    found = [sample["__key__"] for sample in shuffled]
    assert found != sorted(found)
    assert sorted(found) == [f"{number:03}" for number in range(40)]


def test_webdataset_names_the_loaders_of_files_and_tables(table: Path, load_data: Load) -> None:
    with pytest.raises(provreg.UsageError, match="not from tar shards") as caught:
        VerifiedWebDataset(load_data(table))
    assert OF_TABLES.removesuffix(".dataset(") in caught.value.hint
    assert "provreg.loaders.torch" in caught.value.hint


def test_shards_are_no_rows(shards: Path, load_data: Load) -> None:
    with pytest.raises(provreg.UsageError, match="not rows of a table") as caught:
        arrow.table(load_data(shards))
    assert "provreg.loaders.webdataset" in caught.value.hint
