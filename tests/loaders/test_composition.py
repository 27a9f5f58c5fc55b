"""Datasets as people compose them: a training run counts what they deliver, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import provreg
from provreg.core.encoding.bitmap import unpack
from provreg.core.statements.receipt import Receipt, parse_receipt
from provreg.errors import UsageError
from provreg.trust.bundle import parse_bundle

torch = pytest.importorskip("torch", reason="torch is not installed")
datasets = pytest.importorskip("datasets", reason="datasets is not installed")

from torch.utils.data import (  # noqa: E402
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    StackDataset,
    Subset,
    random_split,
)

import provreg.loaders.huggingface  # noqa: E402
import provreg.loaders.numpy  # noqa: E402
from provreg.loaders.torch import (  # noqa: E402
    ImageDataset,
    VerifiedDataset,
    VerifiedIterableDataset,
)

Open = Callable[..., Any]


@pytest.fixture
def birds(bench: Any) -> Callable[..., Path]:
    """Publishes a dataset of small images, two of each class."""

    def birds(name: str, *classes: str) -> Path:
        folder: Path = bench.folder / name
        for number, label in enumerate(classes):
            for picture in range(2):
                path = folder / label / f"{picture}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                shade = (len(name) * 40 % 256, number * 20, picture * 90)
                Image.new("RGB", (4, 4), shade).save(path)
        bench.ingest(folder, name=name, source="s", labeler="ann")
        return folder

    return birds


@pytest.fixture
def dataset(bench: Any) -> Open:
    """A dataset of `provreg.loaders.torch`, as somebody who trusts alice."""

    def dataset(kind: type, reference: str, folder: Path, **options: Any) -> Any:
        key = {"key": bench.key_file(), "registry": bench.registry}
        return kind(reference, data=folder, **(key | options))

    return dataset


@pytest.fixture
def train(bench: Any, tmp_path: Path) -> Callable[..., provreg.TrainingRun]:
    model = tmp_path / "model.bin"
    model.write_bytes(b"weights")

    def train(*inputs: Any, **options: Any) -> provreg.TrainingRun:
        return provreg.training_run(*inputs, **({"model": model, "sign": bench.signer()} | options))

    return train


def seen(bench: Any, run: provreg.TrainingRun) -> dict[str, list[str]]:
    """The ids that a run's receipt names, by version."""
    registry = bench.open()
    [(_, data)] = registry.workspace.runs.bundles(run.receipt)
    receipt: Receipt = parse_receipt(parse_bundle(data).payload)
    found = {}
    for on in receipt.datasets:
        bitmap = registry.workspace.objects.get(on.bitmap, limit=1 << 20)
        ids = registry.verify(f"{on.dataset}@{on.version}").entries.column("id").to_numpy()
        found[f"{on.dataset}@{on.version}"] = ids[unpack(bitmap, on.samples)].tolist()
    return found


def test_subsets_and_concatenations_count_exactly_what_they_deliver(
    bench: Any, pets: Path, birds: Any, dataset: Open, train: Any
) -> None:
    more = dataset(VerifiedDataset, "flock@1", birds("flock", "owl", "wren"))
    base = dataset(VerifiedDataset, "pets@1", pets)
    first, _ = random_split(base, [3, 5], torch.Generator().manual_seed(0))
    nested = ConcatDataset([Subset(first, [0, 2]), Subset(more, [1])])
    expected = [base.verified.ids(torch.tensor([first.indices[k]]).numpy())[0] for k in (0, 2)]
    with train(nested) as run:
        list(DataLoader(nested, batch_size=2, num_workers=2, collate_fn=list))
    assert seen(bench, run) == {"flock@1": ["owl/1.png"], "pets@1": sorted(expected)}


def test_a_loader_a_stack_and_a_chain_are_looked_into(
    bench: Any, pets: Path, dataset: Open, train: Any
) -> None:
    base = dataset(VerifiedDataset, "pets@1", pets)
    stream = dataset(VerifiedIterableDataset, "pets@1", pets, select="split = 'test'")
    loader = DataLoader(Subset(base, [0]), collate_fn=list)
    with train(loader, StackDataset(base, base), ChainDataset([stream])) as run:
        list(loader)
        list(stream)
    assert seen(bench, run) == {"pets@1": ["test/cat/7.jpg", "test/dog/6.jpg"]}
    for unknown in (ChainDataset(part for part in [stream]), ConcatDataset([[b"unverified"]])):
        with pytest.raises(UsageError, match="not a dataset that provreg can record"):
            train(unknown)


class Mixed(Dataset):
    def __init__(self, base: Any) -> None:
        self.base = base

    def __getitem__(self, index: int) -> Any:
        return self.base[index]


def test_a_dataset_of_ones_own_is_refused_at_the_start_with_what_to_pass(
    bench: Any, pets: Path, dataset: Open, train: Any
) -> None:
    base = dataset(VerifiedDataset, "pets@1", pets)
    own = Mixed(base)
    with pytest.raises(UsageError, match="'Mixed' is not a dataset") as refused:
        train(own)
    assert "pass the datasets of provreg that it reads from" in refused.value.hint
    with train(base) as run:
        _ = own[7]
    assert seen(bench, run) == {"pets@1": ["train/dog/4.jpg"]}


def test_concatenated_datasets_whose_class_indices_differ_are_refused(
    birds: Any, dataset: Open, train: Any
) -> None:
    sea = dataset(ImageDataset, "sea@1", folder := birds("sea", "auk", "gull"))
    wood = dataset(ImageDataset, "wood@1", birds("wood", "auk", "crow", "gull"))
    both = Subset(ConcatDataset([Subset(sea, [0]), wood]), [0, 1])
    for compose in (lambda: train(both), lambda: sea + wood):
        with pytest.raises(UsageError, match="class 'gull' has index 1 in sea@1, 2 in wood@1"):
            compose()
    other = dataset(ImageDataset, "wood@1", folder.parent / "wood", classes=["auk", "crow"])
    with pytest.raises(UsageError, match="index 1 is class 'gull' in sea@1, 'crow' in wood@1"):
        train(ConcatDataset([sea, other]))
    same = dataset(ImageDataset, "wood@1", folder.parent / "wood", classes=["auk", "gull"])
    assert len(sea + same) == 8
    mapped = dataset(
        ImageDataset, "wood@1", folder.parent / "wood", target_transform=lambda index: index + 2
    )
    assert len(sea + mapped) == 10
    train(ConcatDataset([sea, mapped]))
    train(sea, wood)  # separate models, or training and test


def test_chosen_classes_have_the_indices_of_their_order(
    bench: Any, birds: Any, dataset: Open, train: Any
) -> None:
    folder = birds("sea", "auk", "catt", "gull")
    chosen = dataset(ImageDataset, "sea@1", folder, classes=["gull", "auk"], transform=len_of)
    assert chosen.classes == ["gull", "auk"]
    assert chosen.class_to_idx == {"gull": 0, "auk": 1}
    assert chosen.samples == [("auk/0.png", 1), ("auk/1.png", 1), ("gull/0.png", 0),
                              ("gull/1.png", 0)]  # fmt: skip
    with train(chosen) as run:
        batches = list(DataLoader(chosen, batch_size=4, num_workers=1))
    assert batches[0][1].tolist() == [1, 1, 0, 0]
    assert seen(bench, run) == {"sea@1": [name for name, _ in chosen.samples]}
    made = provreg.loaders.numpy.arrays(chosen.verified)
    assert (made.classes, made.y.tolist()) == (("gull", "auk"), [1, 1, 0, 0])
    rows = provreg.loaders.huggingface.dataset(chosen.verified)
    assert rows.features["label"].names == ["gull", "auk"]
    assert rows["label"][:] == [1, 1, 0, 0]
    provreg.loaders.huggingface.verify_dataset(rows, chosen.verified)


def len_of(_: Any) -> int:
    return 0


@pytest.mark.parametrize(
    ("classes", "complaint"),
    [
        (["gul"], "sea@1 has no class 'gul'"),
        (["gull", "gull"], "duplicate class 'gull'"),
        ("gull", "not a list of names"),
        ([], "not a list of names"),
        ([3], "not a list of names"),
    ],
)
def test_classes_that_the_version_lacks_are_refused(
    birds: Any, dataset: Open, classes: Any, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        dataset(ImageDataset, "sea@1", birds("sea", "auk", "gull"), classes=classes)


@pytest.mark.parametrize("folder", [None, "new"])
def test_a_hugging_face_dataset_made_before_the_block_is_recorded(
    bench: Any, pets: Path, load: Any, train: Any, folder: str | None, tmp_path: Path
) -> None:
    samples = load()
    made = provreg.loaders.huggingface.dataset(
        samples,
        features={"data": datasets.Value("binary")},
        folder=folder and tmp_path / folder,
    )
    ids = samples.entries["id"].to_pylist()
    cases = {
        "whole": (made, ids),
        "slice": (made.select(range(2, 5)), ids[2:5]),
        "slice of a slice": (made.select(range(2, 6)).select(range(1, 3)), ids[3:5]),
        "indices": (made.select([5, 1, 5]), [ids[1], ids[5]]),
        "shuffled": (made.shuffle(seed=1).select(range(8)), ids),
        "split": (made.train_test_split(3, shuffle=False)["test"], ids[5:]),
        "filtered": (made.filter(lambda row: row["label"] == 0), [ids[0], *ids[2:5]]),
        "renamed": (made.rename_column("data", "x").select(range(1)), ids[:1]),
        "formatted": (made.with_format("numpy").select([3]), [ids[3]]),
        "concatenated": (
            datasets.concatenate_datasets([made.select(range(1)), made.select(range(6, 7))]),
            [ids[0], ids[6]],
        ),
        # Written anew by a function, which can have used any row.
        "mapped": (made.select([1]).map(lambda _: {"x": 1}, remove_columns=["data", "label"]), ids),
    }
    for case, (given, expected) in cases.items():
        with train(given) as run:
            pass
        assert seen(bench, run) == {"pets@1": expected}, case
    with train(datasets.DatasetDict(train=made.select([0]), test=made.select([7]))) as run:
        pass
    assert seen(bench, run) == {"pets@1": [ids[0], ids[7]]}


def test_datasets_that_provreg_did_not_make_are_refused_at_the_start(
    bench: Any, birds: Any, load: Any, train: Any, tmp_path: Path
) -> None:
    loader = provreg.loaders.huggingface
    binary = {"data": datasets.Value("binary")}
    made = loader.dataset(load(), features=binary)
    made.save_to_disk(str(tmp_path / "saved"))
    other = provreg.load("sea@1", data=birds("sea", "auk"), key=bench.key_file(),
                         registry=bench.registry)  # fmt: skip
    strangers = {
        "foreign": datasets.Dataset.from_dict({"x": [1]}),
        "from disk": datasets.load_from_disk(str(tmp_path / "saved")),
        "stream": made.to_iterable_dataset(),
        "of two versions": datasets.concatenate_datasets(
            [made.remove_columns("label"), loader.dataset(other, (), features=binary)]
        ),
        "with foreign rows": datasets.concatenate_datasets(
            [made.remove_columns("label"), datasets.Dataset.from_dict({"data": [b"x"]})]
        ),
    }
    for case, given in strangers.items():
        with pytest.raises(UsageError, match="Dataset' is not a dataset that provreg") as refused:
            train(given)
        assert "provreg.loaders.huggingface.dataset" in refused.value.hint, case


def test_samples_that_were_converted_before_the_block_are_recorded(
    bench: Any, birds: Any, load: Any, train: Any
) -> None:
    converted = load(select="split = 'test'")
    provreg.loaders.numpy.arrays(converted, decode=len)
    streamed = load(select="split = 'train'")
    with train(converted, streamed) as run:
        _ = streamed[0]
    assert seen(bench, run) == {"pets@1": ["test/cat/7.jpg", "test/dog/6.jpg", "train/cat/1.jpg"]}
