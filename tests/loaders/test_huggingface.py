"""Verified versions as Hugging Face datasets, and datasets from elsewhere held against them."""

from __future__ import annotations

import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import provreg
import provreg.loaders.huggingface as hf

Publish = Callable[..., None]
Load = Callable[..., provreg.VerifiedSamples]

ROWS = [
    {"text": "fine", "stars": "good", "part": "train"},
    {"text": "bad", "stars": "bad", "part": "train"},
    {"text": "fine", "stars": None, "part": "test"},
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hugging Face's cache, which must stay empty."""
    cache = tmp_path / "hf-cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    return cache


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (2, 3), shade).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def table(tmp_path: Path, publish: Publish) -> Path:
    path = jsonl(tmp_path / "rows.jsonl", ROWS)
    publish(path, label="stars", split="part")
    return path


@pytest.fixture
def images(tmp_path: Path, publish: Publish) -> Path:
    data = tmp_path / "images"
    for name, shade in (("train/dark/1.png", 1), ("train/dark/2.png", 2), ("test/light/1.png", 9)):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(png(shade))
    publish(data, split="dir")
    return data


@pytest.mark.parametrize("folder", [None, "new"])
def test_rows_with_class_labels_in_the_order_of_the_version(
    table: Path,
    load_data: Load,
    tmp_path: Path,
    folder: str | None,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # `map` in several processes leaves a copy in its place, with this test's folders in it for all
    # tests to come.
    monkeypatch.setattr(os, "environ", os.environ)
    target = None if folder is None else tmp_path / folder
    made = hf.dataset(load_data(table), ("label", "source"), folder=target)
    assert made.features["label"] == datasets.ClassLabel(names=["bad", "good"])
    assert made[:] == {
        "text": ["fine", "fine", "bad"], "label": [1, -1, 0], "source": ["s"] * 3,
    }, "in the order of the manifest"  # fmt: skip
    upper = made.map(lambda row: {"text": row["text"].upper()}, num_proc=2 if folder else None)
    assert upper["text"][:] == ["FINE", "FINE", "BAD"]
    assert not own_cache.exists()


@pytest.mark.parametrize("folder", [None, "new"])
def test_one_dataset_for_each_signed_split(
    table: Path, load_data: Load, tmp_path: Path, folder: str | None
) -> None:
    target = None if folder is None else tmp_path / folder
    made = hf.dataset_dict(load_data(table), {"label": "y"}, folder=target)
    assert {name: part[:] for name, part in made.items()} == {
        "train": {"text": ["fine", "bad"], "y": [1, 0]},
        "test": {"text": ["fine"], "y": [-1]},
    }
    if target is not None:
        assert target.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("folder", [None, "new"])
def test_images_decode_from_the_verified_bytes(
    images: Path, load_data: Load, tmp_path: Path, folder: str | None
) -> None:
    made = hf.dataset(load_data(images), ("id", "label"), folder=folder and tmp_path / folder)
    assert made.features["image"] == datasets.Image()
    (images / "train/dark/1.png").write_bytes(png(255))  # too late to matter
    shades = [image.getpixel((0, 0)) for image in made["image"]]
    assert dict(zip(made["id"], shades, strict=True)) == {
        "train/dark/1.png": 1, "train/dark/2.png": 2, "test/light/1.png": 9,
    }  # fmt: skip
    assert made.features["label"].int2str(made["label"][:]) == ["light", "dark", "dark"]
    again = pickle.loads(pickle.dumps(made))  # noqa: S301
    assert again["image"][0].getpixel((0, 0)) == 9


def test_images_of_each_signed_split(images: Path, load_data: Load) -> None:
    made = hf.dataset_dict(load_data(images), ("id",))
    assert {split: part["id"][:] for split, part in made.items()} == {
        "test": ["test/light/1.png"],
        "train": ["train/dark/1.png", "train/dark/2.png"],
    }


def test_files_can_be_bytes(images: Path, load_data: Load) -> None:
    made = hf.dataset(load_data(images), features={"file": datasets.Value("binary")})
    assert made["file"][0] == png(9)
    with pytest.raises(provreg.UsageError, match="'uri' is not available for files"):
        hf.dataset(load_data(images), ["uri"])


@pytest.mark.parametrize("folder", [None, "new"])
@pytest.mark.parametrize(
    "poisoned",
    [
        [{"text": "evil", "stars": "good", "part": "train"}, *ROWS[1:]],
        [*ROWS, {"text": "evil", "stars": "good", "part": "train"}],
        [ROWS[0], {"text": "bad", "stars": "good", "part": "train"}, ROWS[2]],
        ROWS[:2],
    ],
    ids=["changed", "stranger", "relabeled", "missing"],
)
def test_a_poisoned_table_is_no_dataset_and_leaves_none_behind(
    table: Path, load_data: Load, tmp_path: Path, folder: str | None, poisoned: list[Any]
) -> None:
    jsonl(table, poisoned)
    target = None if folder is None else tmp_path / folder
    for make in (hf.dataset, hf.dataset_dict):
        with pytest.raises(provreg.NotTrustedError):
            make(load_data(table), folder=target)
        assert target is None or not target.exists()


def test_a_planted_folder_is_not_believed(table: Path, load_data: Load, tmp_path: Path) -> None:
    (tmp_path / "planted").mkdir()
    with pytest.raises(provreg.UsageError, match="already exists"):
        hf.dataset(load_data(table), folder=tmp_path / "planted")


def test_a_split_named_as_a_path_out_of_the_folder_leads_nowhere(
    tmp_path: Path, publish: Publish, load_data: Load
) -> None:
    path = jsonl(tmp_path / "rows.jsonl", [{"text": "x", "part": "../../evil"}])
    publish(path, split="part")
    made = hf.dataset_dict(load_data(path), (), folder=tmp_path / "new")
    assert list(made) == ["../../evil"]
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["0.arrow"]


def test_samples_without_a_split_are_in_no_dictionary(
    tmp_path: Path, publish: Publish, load_data: Load
) -> None:
    path = jsonl(tmp_path / "rows.jsonl", [{"text": "x"}])
    publish(path)
    with pytest.raises(provreg.UsageError, match="have no split"):
        hf.dataset_dict(load_data(path))


# Datasets from elsewhere


@pytest.fixture
def saved(tmp_path: Path, publish: Publish, load_data: Load) -> tuple[datasets.Dataset, Any]:
    """A dataset with images, ids and class labels, and the version of what it was saved as."""
    made = datasets.Dataset.from_dict(
        {
            "key": ["a", "b", "c"],
            "image": [{"bytes": png(shade), "path": f"{shade}.png"} for shade in (1, 2, 3)],
            "kind": [1, 0, 1],
        },
        features=datasets.Features(
            {
                "key": datasets.Value("string"),
                "image": datasets.Image(),
                "kind": datasets.ClassLabel(names=["light", "dark"]),
            }
        ),
    )
    made.save_to_disk(tmp_path / "saved")
    publish(tmp_path / "saved", id="key", label="kind")
    return made, load_data(tmp_path / "saved")


def test_a_saved_dataset_loads_as_it_was(saved: tuple[datasets.Dataset, Any]) -> None:
    original, samples = saved
    made = hf.dataset(samples, {"id": "key", "label": "kind"})
    assert made.features["image"] == datasets.Image()
    assert made.features["kind"] == datasets.ClassLabel(names=["light", "dark"])
    assert made["kind"][:] == original["kind"][:]
    assert made["key"][:] == original["key"][:]
    assert [one.getpixel((0, 0)) for one in made["image"]] == [1, 2, 3]
    for each in (made, original, original.select([2, 0, 1])):
        hf.verify_dataset(each, samples)


def replaced(made: datasets.Dataset, row: int, **values: Any) -> datasets.Dataset:
    raw = made.cast_column("image", datasets.Image(decode=False))
    changed = raw.map(lambda one, at: one | values if at == row else one, with_indices=True)
    return changed.cast(made.features)


@pytest.mark.parametrize(
    ("poison", "said"),
    [
        ({"image": {"bytes": png(66), "path": "2.png"}}, [("changed", "b", "row 1")]),
        ({"kind": 1}, [("relabeled", "b", "row 1")]),
        ({"key": "evil"}, [("stranger", "evil", "row 1"), ("missing", "b", None)]),
    ],
    ids=["changed", "relabeled", "stranger"],
)
def test_rows_of_a_dataset_that_are_not_as_signed_are_named(
    saved: tuple[datasets.Dataset, Any], poison: dict[str, Any], said: list[Any]
) -> None:
    original, samples = saved
    with pytest.raises(provreg.NotTrustedError, match="differs from d@1") as caught:
        hf.verify_dataset(replaced(original, 1, **poison), samples)
    found = [(one.kind, one.id, one.found_id) for one in caught.value.findings]
    assert found[: len(said)] == said


def test_a_dataset_of_some_rows_only_is_missing_the_others(
    saved: tuple[datasets.Dataset, Any],
) -> None:
    original, samples = saved
    with pytest.raises(provreg.NotTrustedError, match="1 missing"):
        hf.verify_dataset(original.select([0, 1]), samples)
    with pytest.raises(provreg.NotTrustedError, match="row 3 stranger"):
        hf.verify_dataset(original.select([0, 1, 2, 0]), samples)


def test_class_names_in_another_order_are_not_those_of_the_version(
    saved: tuple[datasets.Dataset, Any],
) -> None:
    original, samples = saved
    features = original.features.copy()
    features["kind"] = datasets.ClassLabel(names=["dark", "light"])
    swapped = datasets.Dataset(original.data, datasets.DatasetInfo(features=features))
    with pytest.raises(provreg.NotTrustedError, match="other names or another order") as caught:
        hf.verify_dataset(swapped, samples)
    assert [one.id for one in caught.value.findings] == ["kind"]


def test_a_path_without_bytes_is_not_taken_for_the_image(
    saved: tuple[datasets.Dataset, Any], tmp_path: Path
) -> None:
    original, samples = saved
    (tmp_path / "2.png").write_bytes(png(2))
    pathed = replaced(original, 1, image={"bytes": None, "path": str(tmp_path / "2.png")})
    with pytest.raises(provreg.InputError, match=r"row 1: .* is a path without its bytes"):
        hf.verify_dataset(pathed, samples)


def test_columns_that_nobody_signed_are_refused(saved: tuple[datasets.Dataset, Any]) -> None:
    original, samples = saved
    with pytest.raises(provreg.UsageError, match="'trigger' is not signed"):
        hf.verify_dataset(original.add_column("trigger", [0, 1, 0]), samples)
    with pytest.raises(provreg.UsageError, match="lacks the column 'image'"):
        hf.verify_dataset(original.remove_columns("image"), samples)


def test_a_dataset_of_files_is_held_against_its_folder(images: Path, load_data: Load) -> None:
    samples = load_data(images)
    original = hf.dataset(samples)
    hf.verify_dataset(original, samples)
    hf.verify_dataset(original.rename_column("label", "y"), samples, {"label": "y"})
    flipped = original.map(
        lambda one, at: {"label": 1 - one["label"]} if at == 0 else {}, with_indices=True
    )
    with pytest.raises(provreg.NotTrustedError, match="1 relabeled"):
        hf.verify_dataset(flipped, samples)


def test_a_dataset_read_by_datasets_from_parquet_is_verified(
    tmp_path: Path, publish: Publish, load_data: Load
) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": pa.array([3, 1], pa.int32()), "y": [True, False]}), path)
    publish(path, label="y")
    read = datasets.Dataset(pq.read_table(path))
    hf.verify_dataset(read, load_data(path))
    with pytest.raises(provreg.NotTrustedError, match="1 missing, 1 stranger"):
        hf.verify_dataset(read.map(lambda row: {"n": row["n"] % 3}), load_data(path))
