"""Rows that name files, read by id: for DataLoaders that shuffle."""

from __future__ import annotations

import csv
import io
import pickle
from typing import TYPE_CHECKING, Any

import pytest

import provreg
from provreg.errors import SampleError, UsageError
from provreg.readers.api import ReadOptions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Bench

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def data(bench: Bench) -> Path:
    """A folder of pictures 0 to 19, whose red is their number, with `metadata.csv`."""
    folder = bench.write("data", {f"p/{n}.png": picture(n) for n in range(20)})
    write(folder, [(f"p/{n}.png", "cat" if n % 2 else "dog", f"number {n}") for n in range(20)])
    bench.ingest(folder, options=ReadOptions(label="kind"))
    return folder


def write(folder: Path, rows: list[tuple[str, ...]]) -> None:
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file_name", "kind", "caption"), *reversed(rows)])


def opened(bench: Bench, data: Path, **options: Any) -> provreg.VerifiedSamples:
    key = bench.key_file()
    return provreg.load("pets", data=data, key=key, registry=bench.registry, **options)


def test_rows_are_read_by_index(bench: Bench, data: Path) -> None:
    samples = opened(bench, data)
    assert samples.random_access
    assert not samples.are_files
    assert samples.file_columns == ("file_name",)
    sample = samples[3]
    assert sample.label == ("cat" if int(sample.id[2:-4]) % 2 else "dog")
    assert isinstance(sample.payload, dict)
    assert sample.payload["caption"] == f"number {sample.id[2:-4]}"
    file = sample.payload["file_name"]
    assert file == {"bytes": (data / sample.id).read_bytes(), "path": sample.id}
    assert [one.id for one in samples] == samples.entries["id"].to_pylist()
    again = pickle.loads(pickle.dumps(samples))  # noqa: S301
    assert again[3] == sample
    assert samples.deliveries.counts().sum() == 22


def test_image_dataset_decodes_the_named_file(bench: Bench, data: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from provreg.loaders.torch import ImageDataset

    key = bench.key_file()
    dataset = ImageDataset(
        "pets", data=data, key=key, registry=bench.registry,
        transform=lambda image: image.getpixel((0, 0))[0],
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(dataset, batch_size=4, shuffle=True, num_workers=2)
    found = {}
    for shades, targets in loader:
        found |= dict(zip(shades.tolist(), targets.tolist(), strict=True))
    assert found == {n: dataset.class_to_idx["cat" if n % 2 else "dog"] for n in range(20)}
    with pytest.raises(UsageError, match="is not a column of files"):
        ImageDataset("pets", data=data, key=key, registry=bench.registry, column="caption")


def test_bad_rows_are_refused_or_skipped_one_by_one(bench: Bench, data: Path) -> None:
    (data / "p/4.png").write_bytes(picture(5))
    (data / "p/7.png").unlink()
    samples = opened(bench, data, on_bad="skip", most_bad=0.5)
    good = {one.id for one in samples}
    assert good == {f"p/{n}.png" for n in range(20)} - {"p/4.png", "p/7.png"}
    assert samples.skipped == 2
    strict = opened(bench, data)
    places = {name: at for at, name in enumerate(strict.entries["id"].to_pylist())}
    with pytest.raises(SampleError, match="differ from the signed"):
        strict[places["p/4.png"]]
    with pytest.raises(SampleError, match=r"column 'file_name': 'p/7\.png' has no file"):
        strict[places["p/7.png"]]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (("p/3.png", "dog", "number 3"), "its label differs"),
        (("p/3.png", "cat", "number 4"), "its bytes differ"),
        (None, "it is missing from the data"),
    ],
)
def test_row_that_was_changed_is_refused(
    bench: Bench, data: Path, row: tuple[str, ...] | None, why: str
) -> None:
    rows = [(f"p/{n}.png", "cat" if n % 2 else "dog", f"number {n}") for n in range(20)]
    write(data, [*rows[:3], *([] if row is None else [row]), *rows[4:]])
    samples = opened(bench, data)
    place = samples.entries["id"].to_pylist().index("p/3.png")
    with pytest.raises(SampleError, match=why):
        samples[place]
    assert samples[(place + 1) % 20].id


def test_hugging_face_dataset_of_files_is_as_signed(bench: Bench, data: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    from provreg.loaders.huggingface import dataset, verify_dataset

    samples = opened(bench, data)
    made = dataset(samples, features={"file_name": datasets.Image()})
    place = samples.entries["id"].to_pylist().index("p/7.png")
    assert made[place]["file_name"].getpixel((0, 0)) == (7, 0, 0)
    verify_dataset(made, samples)
    plain = made.cast_column("file_name", datasets.Image(decode=False))

    def changed(row: dict[str, Any], **fields: Any) -> dict[str, Any]:
        if row["file_name"]["path"] == "p/7.png":
            row["file_name"] |= fields
        return row

    for fields in ({"bytes": picture(8)}, {"path": "p/8.png"}):
        other = plain.map(changed, fn_kwargs=fields, load_from_cache_file=False)
        with pytest.raises(provreg.NotTrustedError) as refused:
            verify_dataset(other, samples)
        assert f"row {place}" in {finding.found_id for finding in refused.value.findings}
