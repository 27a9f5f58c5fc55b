"""Attacks on what Hugging Face features say: the rows stay as signed, and other values come out."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import provreg
import provreg.loaders.huggingface as hf
from provreg.errors import InputError, NotTrustedError
from provreg.readers.api import ReadOptions

if TYPE_CHECKING:
    from tests.conftest import Bench

NAMES = ["World", "Sports", "Business", "Sci/Tech"]
STORED = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
Write = Callable[[datasets.Dataset, Path], None]


@pytest.fixture(autouse=True)
def no_bars(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-cache")
    datasets.disable_progress_bars()


def to_disk(made: datasets.Dataset, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    made.save_to_disk(str(folder))


def to_parquet(made: datasets.Dataset, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    made.to_parquet(str(folder / "train-00000-of-00001.parquet"))


def handed_out(folder: Path) -> datasets.Dataset:
    """What the library itself makes of the folder."""
    if (folder / "state.json").exists():
        return datasets.load_from_disk(str(folder))
    return datasets.Dataset.from_parquet(
        str(folder / "train-00000-of-00001.parquet"), keep_in_memory=True
    )


def news(names: list[str], numbers: list[int], **more: Any) -> datasets.Dataset:
    texts = [f"text {number}" for number in range(len(numbers))]
    said = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    columns = {"text": texts, "label": numbers} | {key: one[0] for key, one in more.items()}
    features = datasets.Features(said | {key: one[1] for key, one in more.items()})
    return datasets.Dataset.from_dict(columns, features=features)


def png(*shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2, 2), shade).save(file, "PNG")
    return file.getvalue()


def load(bench: Bench, folder: Path) -> provreg.VerifiedSamples:
    return provreg.load("pets", data=folder, key=bench.key_file(), registry=bench.registry)


def refused(bench: Bench, folder: Path) -> list[str]:
    """What `verify --data` finds of files, once it refuses them."""
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets", data=[folder])
    assert caught.value.step == 12
    return [one.detail for one in caught.value.findings if one.detail]


@pytest.mark.parametrize("write", [to_disk, to_parquet])
def test_class_names_and_numbers_swapped_together_are_not_as_signed(
    bench: Bench, write: Write
) -> None:
    """Each row has the name that it had; whoever trains on numbers has other labels."""
    folder = bench.folder / "d"
    write(news(NAMES, [0, 1, 2, 0]), folder)
    bench.ingest(folder)
    bench.open().verify("pets", data=[folder])
    samples = load(bench, folder)
    hf.verify_dataset(handed_out(folder), samples)
    write(news([NAMES[1], NAMES[0], *NAMES[2:]], [1, 0, 2, 1]), folder)
    details = refused(bench, folder)
    assert len(details) == 1
    assert "the classes of 'label' have other names or another order" in details[0]
    with pytest.raises(NotTrustedError, match="other names or another order"):
        hf.verify_dataset(handed_out(folder), samples)


def test_classes_have_the_numbers_that_they_have_in_the_data(bench: Bench) -> None:
    """Sorted, they were 3, 2, 0, 1 to whoever loaded the version, and no model's labels."""
    folder = bench.folder / "d"
    to_disk(news(NAMES, [0, 1, 2, 0]), folder)
    outcome = bench.ingest(folder)
    assert outcome.head is not None
    assert outcome.head.classes == tuple(NAMES), "the one without samples too"
    made = hf.dataset(load(bench, folder))
    assert made.features["label"].names == NAMES
    there = handed_out(folder)
    assert dict(zip(made["text"], made["label"], strict=True)) == dict(
        zip(there["text"], there["label"], strict=True)
    )


def test_classes_of_the_next_version_are_appended_and_in_no_other_order(bench: Bench) -> None:
    folder = bench.folder / "d"
    to_disk(news(NAMES[:2], [0, 1]), folder)
    bench.ingest(folder)
    for names, numbers in (
        ([NAMES[1], NAMES[0]], [1, 0]),
        ([NAMES[2], *NAMES[:2]], [1, 2]),
        ([NAMES[0], NAMES[2]], [0, 1]),
    ):
        to_disk(news(names, numbers), folder)
        with pytest.raises(InputError, match="other features than the version before") as caught:
            bench.ingest(folder)
        assert "cast_column" in caught.value.hint
    to_disk(news(NAMES[:3], [0, 1]), folder)
    outcome = bench.ingest(folder)
    assert outcome.head is not None, "a class is news though no sample has it"
    assert outcome.head.classes == tuple(NAMES[:3])
    to_disk(news(NAMES[:1], [0, 0]), folder)
    outcome = bench.ingest(folder, append=True, replace=True)
    assert outcome.head is not None
    assert outcome.head.classes == tuple(NAMES[:3])
    assert outcome.head.reading["features"][0]["with"]["names"] == NAMES[:3]


@pytest.mark.parametrize(
    "name", ["Spo\u200brts", "x" * 1025, "Scie\u0301nce"], ids=["unseen", "long", "composed"]
)
def test_a_name_without_samples_that_can_be_no_class(bench: Bench, name: str) -> None:
    folder = bench.folder / "d"
    to_disk(news(["World", name, "Sci\u00e9nce"], [0, 0]), folder)
    outcome = bench.ingest(folder)
    assert outcome.head is not None
    assert (outcome.head.label_type, outcome.head.classes) == ("text", ())
    bench.open().verify("pets", data=[folder])
    to_disk(news([name, "World", "Sci\u00e9nce"], [1, 1]), folder)
    assert len(refused(bench, folder)) == 1, "their order is signed all the same"


def test_files_that_number_their_classes_otherwise_make_no_version(bench: Bench) -> None:
    """`datasets` takes the names of the first file for all."""
    folder = bench.folder / "d"
    folder.mkdir()
    for place, names in enumerate((NAMES, [NAMES[1], NAMES[0], *NAMES[2:]])):
        news(names, [0, 1]).to_parquet(str(folder / f"train-0000{place}-of-00002.parquet"))
    with pytest.raises(InputError) as caught:
        bench.ingest(folder)
    for place in (0, 1):
        assert f"train-0000{place}-of-00002.parquet" in caught.value.message
    assert "'label'" in caught.value.message


def test_classes_signed_from_other_columns_are_held_against_the_numbers(bench: Bench) -> None:
    """A version whose classes came from texts is continued by data that number them."""
    folder = bench.folder / "d"
    kinds = news(NAMES, [0, 1, 2, 3], kind=(["b", "a", "c", "b"], datasets.Value("string")))
    to_disk(kinds, folder)
    bench.ingest(folder, options=ReadOptions(format="huggingface", label="kind"))
    swapped = kinds.cast_column("kind", datasets.ClassLabel(names=["b", "a", "c"]))
    to_disk(swapped, folder)
    with pytest.raises(InputError, match="is ClassLabel, not what is stored"):
        bench.ingest(folder)
    to_disk(kinds, folder)
    with pytest.raises(NotTrustedError, match="other names or another order"):
        hf.verify_dataset(swapped, load(bench, folder))
    as_signed = kinds.cast_column("kind", datasets.ClassLabel(names=["a", "b", "c"]))
    hf.verify_dataset(as_signed, load(bench, folder))


def test_a_label_column_that_numbers_the_classes_otherwise_is_refused(bench: Bench) -> None:
    """The version before took its classes from another column of the same data."""
    folder = bench.folder / "d"
    more = ([1, 0], datasets.ClassLabel(names=["Sports", "World"]))
    to_disk(news(["World", "Sports"], [0, 1], other=more), folder)
    bench.ingest(folder, options=ReadOptions(label="label"))
    with pytest.raises(InputError, match=r"'Sports' as 0, which is 'World' in the version before"):
        bench.ingest(folder, options=ReadOptions(label="other"))


@pytest.mark.parametrize("write", [to_disk, to_parquet])
@pytest.mark.parametrize("kind", ["class", "list", "struct"])
def test_classes_in_the_payload_keep_their_numbers(bench: Bench, write: Write, kind: str) -> None:
    def more(names: list[str], first: int) -> datasets.Dataset:
        one: Any = datasets.ClassLabel(names=names)
        feature = {"class": one, "list": datasets.List(one), "struct": {"deep": [one]}}[kind]
        value = {"class": first, "list": [first, first], "struct": {"deep": [first]}}[kind]
        return news(NAMES, [0, 1], more=([value, value], feature))

    folder = bench.folder / "d"
    write(more(["x", "y"], 0), folder)
    bench.ingest(folder, options=ReadOptions(label="label"))
    bench.open().verify("pets", data=[folder])
    samples = load(bench, folder)
    hf.verify_dataset(handed_out(folder), samples)
    write(more(["y", "x"], 1), folder)
    assert len(refused(bench, folder)) == 1
    with pytest.raises(NotTrustedError, match="other names or another order"):
        hf.verify_dataset(handed_out(folder), samples)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (datasets.Image(), datasets.Image(mode="1")),
        (datasets.Image(mode="RGB"), datasets.Image()),
        (datasets.Image(), datasets.Image(decode=False)),
        (datasets.Image(), datasets.Audio()),
        (datasets.Audio(), datasets.Audio(sampling_rate=8000)),
        (datasets.Audio(num_channels=1), datasets.Audio(num_channels=2)),
        (datasets.Video(), datasets.Video(stream_index=1)),
    ],
)
def test_media_are_decoded_as_signed(bench: Bench, before: Any, after: Any) -> None:
    def made(feature: Any) -> datasets.Dataset:
        rows = [{"bytes": png(200, 10, 10), "path": "a.png"}, {"bytes": png(1, 2, 3), "path": "b"}]
        stored = news(NAMES, [0, 1], media=(rows, STORED))
        features = datasets.Features(stored.features | {"media": feature})
        return datasets.Dataset(stored.data, datasets.DatasetInfo(features=features))

    folder = bench.folder / "d"
    to_disk(made(before), folder)
    bench.ingest(folder)
    bench.open().verify("pets", data=[folder])
    samples = load(bench, folder)
    hf.verify_dataset(made(before), samples)
    assert hf.dataset(samples).features["media"] == before
    to_disk(made(after), folder)
    details = refused(bench, folder)
    assert len(details) == 1
    assert "'media' is " in details[0]
    if after.decode:
        with pytest.raises(NotTrustedError, match="'media' is "):
            hf.verify_dataset(made(after), samples)
    else:  # bytes, as they are
        hf.verify_dataset(made(after), samples)
    with pytest.raises(InputError, match="other features than the version before"):
        bench.ingest(folder)


def test_format_that_makes_other_values_of_the_rows(bench: Bench) -> None:
    """`load_from_disk` takes it from `state.json`, which nobody signs."""
    folder = bench.folder / "d"
    made = news(NAMES, [0, 1], x=([300, 70000], datasets.Value("int64")))
    to_disk(made, folder)
    bench.ingest(folder)
    samples = load(bench, folder)
    made.with_format("numpy", dtype="int8").save_to_disk(str(bench.folder / "other"))
    there = handed_out(bench.folder / "other")
    assert there[:]["x"].tolist() != [300, 70000]
    with pytest.raises(provreg.UsageError, match="has a format"):
        hf.verify_dataset(there, samples)
    there.reset_format()
    hf.verify_dataset(there, samples)


def test_pictures_of_a_folder_are_decoded_as_usual(bench: Bench) -> None:
    folder = bench.write("pets", {"cat/1.png": png(1, 2, 3)}).parent / "pets"
    bench.ingest(folder)
    samples = load(bench, folder)
    made = hf.dataset(samples)
    hf.verify_dataset(made, samples)
    with pytest.raises(NotTrustedError, match=r"the feature Image of .image. is not signed"):
        hf.verify_dataset(made.cast_column("image", datasets.Image(mode="1")), samples)


def test_arrays_have_the_shape_that_is_signed(bench: Bench) -> None:
    def made(shape: tuple[int, int]) -> datasets.Dataset:
        rows = [[[1, 2, 3], [4, 5, 6]]] * 2
        return news(NAMES, [0, 1], box=(rows, datasets.Array2D(shape, "int32")))

    folder = bench.folder / "d"
    to_disk(made((2, 3)), folder)
    bench.ingest(folder)
    bench.open().verify("pets", data=[folder])
    hf.verify_dataset(handed_out(folder), load(bench, folder))
    to_disk(made((3, 2)), folder)
    assert len(handed_out(folder)[0]["box"]) == 3
    assert len(refused(bench, folder)) == 1


@pytest.mark.parametrize("write", [to_disk, to_parquet])
@pytest.mark.parametrize(
    "feature",
    [
        {"_type": "Value", "dtype": "float32"},
        {"_type": "Value", "dtype": "string"},
        {"_type": "Value", "dtype": "no such"},
        {"_type": "Value"},
        {"_type": "Planted", "feature": {}},
        {"_type": 5},
        {"_type": "List", "feature": {"_type": "Value", "dtype": "float64"}},
        {"_type": "Image"},
        7,
    ],
)
def test_features_that_are_not_what_is_stored_are_refused(
    bench: Bench, write: Write, feature: Any
) -> None:
    """`load_from_disk` casts columns to the features that nobody signed: 1e300 becomes infinite."""
    folder = bench.folder / "d"
    made = news(NAMES, [0, 1], number=([1e300, 0.1], datasets.Value("float64")))
    write(made, folder)
    bench.ingest(folder)
    said(folder, lambda features: features.update(number=feature))
    with pytest.raises((InputError, NotTrustedError)):
        bench.open().verify("pets", data=[folder])


def test_text_that_is_stored_as_json_is_no_text(bench: Bench) -> None:
    """By the extension type alone `datasets` parses it."""
    folder = bench.folder / "d"
    made = news(NAMES, [0, 1], note=(['{"a":1}', "2"], datasets.Value("string")))
    to_parquet(made, folder)
    bench.ingest(folder)
    path = folder / "train-00000-of-00001.parquet"
    table = pq.read_table(path)
    notes = pa.chunked_array([pa.ExtensionArray.from_storage(
        pa.json_(), table["note"].combine_chunks())])  # fmt: skip
    pq.write_table(table.set_column(2, pa.field("note", notes.type), notes), path)
    assert handed_out(folder)[0]["note"] != '{"a":1}'
    with pytest.raises(InputError, match=r"is stored as 'arrow\.json', and its feature"):
        bench.open().verify("pets", data=[folder])


def said(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrites what the files of a folder say of their features, and nothing else."""

    def changed(document: Any) -> Any:
        change(document["features"])
        return document

    info = folder / "dataset_info.json"
    if info.exists():
        info.write_text(json.dumps(changed(json.loads(info.read_text()))))
    for file in [*folder.glob("*.arrow"), *folder.glob("*.parquet")]:
        if file.suffix == ".arrow":
            table = pa.ipc.open_stream(file.read_bytes()).read_all()
        else:
            table = pq.read_table(file)
        metadata = json.loads(table.schema.metadata[b"huggingface"])
        changed(metadata["info"])
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
        if file.suffix == ".arrow":
            with pa.ipc.new_stream(file, table.schema) as sink:
                sink.write_table(table)
        else:
            pq.write_table(table, file)


@pytest.mark.parametrize("kind", ["Mesh", "BioSequence", "BioStructure"])
def test_paths_without_bytes_are_no_content_of_any_kind(bench: Bench, kind: str) -> None:
    folder = bench.folder / "d"
    rows = [{"bytes": None, "path": "/etc/passwd"}, {"bytes": b"x", "path": None}]
    to_disk(news(NAMES, [0, 1], media=(rows, STORED)), folder)
    said(folder, lambda features: features.update(media={"_type": kind}))
    with pytest.raises(InputError, match="path without its bytes"):
        bench.ingest(folder)
