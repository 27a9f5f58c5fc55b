from __future__ import annotations

import gc
import io
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import provreg

torch = pytest.importorskip("torch", reason="torch is not installed")
from PIL import Image  # noqa: E402
from torch.utils.data import DataLoader, DistributedSampler  # noqa: E402

from provreg.loaders.torch import (  # noqa: E402
    ImageDataset,
    VerifiedDataset,
    VerifiedIterableDataset,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*use of fork:DeprecationWarning", "ignore:This DataLoader will create:UserWarning"
)


def png(color: int, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (4, 4), color).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def shades(bench: Any) -> Path:
    """Forty grey images of two classes, by their shade, as `shades@1`."""
    files = {f"{'dark' if n < 30 else 'light'}/{n:02}.png": png(n * 0x010101) for n in range(40)}
    data: Path = bench.write("shades", files)
    bench.ingest(data, name="shades")
    return data


@pytest.fixture
def options(bench: Any, shades: Path) -> dict[str, Any]:
    return {"data": shades, "key": bench.key_file(), "registry": bench.registry}


def shade(image: Any) -> Any:
    return torch.tensor(image.getpixel((0, 0))[0])


def tensor_of(sample: provreg.Sample) -> Any:
    return torch.tensor(int(sample.id[-6:-4]))


def shade_without_heavy_libraries(image: Any) -> Any:
    heavy = [name for name in ("duckdb", "sigstore") if name in sys.modules]
    if heavy:
        raise RuntimeError(f"a worker has imported {heavy}")
    return shade(image)


def loaded(batches: Iterator[Any]) -> list[int]:
    return [int(one) for batch in batches for one in (batch[0] if type(batch) is list else batch)]


def test_image_dataset_stands_in_for_image_folder(options: dict[str, Any]) -> None:
    images = ImageDataset("shades", transform=shade, target_transform=str, **options)
    assert images.classes == ["dark", "light"]
    assert images.class_to_idx == {"dark": 0, "light": 1}
    assert images.targets == [0] * 30 + [1] * 10
    assert images.samples[30] == images.imgs[30] == ("light/30.png", 1)
    assert len(images) == 40
    assert images[31] == (torch.tensor(31), "1")
    plain = ImageDataset("shades", **options)
    assert (plain[2][0].mode, plain[2][1]) == ("RGB", 0)


@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_images_can_be_changed_and_sent_to_other_processes(
    bench: Any, options: dict[str, Any], mode: str
) -> None:
    data = bench.write("modes", {"a/1.png": png(7, mode)})
    bench.ingest(data, name="modes")
    image = ImageDataset("modes", **options | {"data": data})[0][0]
    image.putpixel((0, 0), (1, 2, 3))
    again = pickle.loads(pickle.dumps(image))  # noqa: S301
    assert (again.mode, again.getpixel((0, 0)), again.size) == ("RGB", (1, 2, 3), (4, 4))


def test_class_indices_of_images_are_not_those_of_the_selection(options: dict[str, Any]) -> None:
    light = ImageDataset("shades", select="label = 'light'", **options)
    assert [light.classes, light.targets, light[0][1]] == [["dark", "light"], [1] * 10, 1]


def test_forked_workers_load_every_sample_epoch_after_epoch(options: dict[str, Any]) -> None:
    images = ImageDataset("shades", transform=shade, select="id <> 'dark/00.png'", **options)
    loader = DataLoader(
        images, batch_size=8, shuffle=True, num_workers=2, multiprocessing_context="fork",
        persistent_workers=True,
    )  # fmt: skip
    for _ in range(2):
        assert sorted(loaded(iter(loader))) == list(range(1, 40))


def test_forked_workers_do_not_look_for_garbage_in_what_they_inherited(
    options: dict[str, Any],
) -> None:
    images = ImageDataset(
        "shades", transform=lambda _: torch.tensor(gc.get_freeze_count()), **options
    )
    loader = DataLoader(images, batch_size=8, num_workers=1, multiprocessing_context="fork")
    assert all(frozen > 0 for frozen in loaded(iter(loader)))
    assert set(loaded(iter(DataLoader(images, batch_size=8)))) == {0}


def test_spawned_workers_are_sent_little_and_import_neither_duckdb_nor_sigstore(
    options: dict[str, Any],
) -> None:
    images = ImageDataset(
        "shades", transform=shade_without_heavy_libraries, select="label = 'dark'", **options
    )
    assert "duckdb" in sys.modules, "what the parent needed for SQL, workers do not"
    assert len(pickle.dumps(images)) < 3000
    loader = DataLoader(images, batch_size=8, num_workers=1, multiprocessing_context="spawn")
    assert sorted(loaded(iter(loader))) == list(range(30))


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.long)])
def test_what_a_worker_refuses_is_raised_with_all_it_tells(
    options: dict[str, Any], shades: Path, start: str
) -> None:
    (shades / "light/35.png").write_bytes(png(0xFFFFFF))
    images = ImageDataset("shades", transform=shade, **options)
    with pytest.raises(provreg.SampleError) as here:
        images[35]
    loader = DataLoader(images, batch_size=8, num_workers=1, multiprocessing_context=start)
    with pytest.raises(provreg.SampleError) as there:
        list(loader)
    for name in ("message", "sample", "expected", "found", "source", "labeler", "step", "hint"):
        assert getattr(there.value, name) == getattr(here.value, name)
    assert "DataLoader worker process 0" in there.value.__notes__[0]


def test_skipped_samples_of_all_workers_are_counted_together(
    options: dict[str, Any], shades: Path
) -> None:
    for name in ("dark/01.png", "light/35.png"):
        (shades / name).write_bytes(b"evil")
    skipping = options | {"on_bad": "skip"}
    images = ImageDataset("shades", transform=shade, most_bad=0.05, **skipping)
    loader = DataLoader(images, batch_size=4, num_workers=2, multiprocessing_context="fork")
    assert len(loaded(iter(loader))) == 38
    assert images.verified.skipped == 2
    images = ImageDataset("shades", transform=shade, most_bad=0.025, **skipping)
    loader = DataLoader(images, batch_size=4, num_workers=2, multiprocessing_context="fork")
    with pytest.raises(provreg.NotTrustedError, match="at most 1 may be skipped"):
        list(loader)


def test_a_batch_without_any_good_sample_is_an_error(options: dict[str, Any], shades: Path) -> None:
    (shades / "dark/00.png").write_bytes(b"evil")
    images = ImageDataset("shades", transform=shade, on_bad="skip", **options)
    with pytest.raises(provreg.NotTrustedError, match="none of the 1 samples"):
        list(DataLoader(images, batch_size=1))


def test_ranks_of_a_distributed_sampler_load_every_sample(options: dict[str, Any]) -> None:
    images = ImageDataset("shades", transform=shade, **options)
    seen = []
    for rank in range(2):
        sampler = DistributedSampler(images, num_replicas=2, rank=rank)
        seen += loaded(iter(DataLoader(images, batch_size=8, sampler=sampler)))
    assert sorted(seen) == list(range(40))


@pytest.mark.parametrize(("world", "workers"), [(1, 0), (1, 3), (2, 2), (3, 0)])
def test_streams_share_samples_without_dropping_or_repeating_any(
    options: dict[str, Any], world: int, workers: int
) -> None:
    seen: list[int] = []
    for rank in range(world):
        stream = VerifiedIterableDataset(
            "shades", transform=tensor_of, rank=rank, world_size=world, **options
        )
        context = "fork" if workers else None
        loader = DataLoader(
            stream, batch_size=4, num_workers=workers, multiprocessing_context=context
        )
        mine = loaded(iter(loader))
        assert len(mine) == len(stream)
        seen += mine
    assert sorted(seen) == list(range(40))


def test_streams_learn_their_rank_from_the_launcher(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    stream = VerifiedIterableDataset("shades", **options)
    assert (stream.rank, stream.world_size, len(stream)) == (1, 4, 10)
    with pytest.raises(provreg.UsageError, match="rank 4 is out of range for world size 4"):
        VerifiedIterableDataset("shades", rank=4, world_size=4, **options)


def test_streams_learn_their_rank_from_the_process_group(
    options: dict[str, Any], tmp_path: Path
) -> None:
    import torch.distributed as dist

    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        stream = VerifiedIterableDataset("shades", **options)
    finally:
        dist.destroy_process_group()
    assert (stream.rank, stream.world_size) == (0, 1)


def test_a_table_streams_in_workers(bench: Any) -> None:
    rows = "".join(f"text {number},{number % 3}\n" for number in range(50))
    table = bench.write("rows.csv", {}).with_name("rows.csv")
    table.write_text("text,y\n" + rows)
    bench.ingest(table, name="rows", options=provreg.ReadOptions(label="y"))
    options = {"data": table, "key": bench.key_file(), "registry": bench.registry}
    stream = VerifiedIterableDataset("rows", transform=row_number, **options)
    loader = DataLoader(stream, batch_size=7, num_workers=2, multiprocessing_context="fork")
    assert sorted(loaded(iter(loader))) == list(range(50))
    with pytest.raises(provreg.UsageError, match="one by one"):
        VerifiedDataset("rows", **options)


def row_number(sample: provreg.Sample) -> Any:
    return torch.tensor(int(sample.payload["text"].split()[1]))


def test_samples_without_a_class_are_refused_when_images_are_opened(
    bench: Any, options: dict[str, Any]
) -> None:
    data = bench.write("plain", {"1.png": png(1)})
    bench.ingest(data, name="plain", options=provreg.ReadOptions(label="none"))
    with pytest.raises(provreg.UsageError, match="1 samples of plain@1 have no class"):
        ImageDataset("plain", **options | {"data": data})


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says it is of 100,000 x 100,000 pixels."""
    data = bytearray(png(1))
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (b"no image", "cannot be decoded as an image"),
        (png(1)[:-30], "cannot be decoded as an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot be decoded as an image"),
        (bomb(), "'a/evil.png'.*(pixels|decompression bomb)"),
    ],
    ids=["garbage", "cut short", "postscript", "bomb"],
)
def test_a_signed_image_that_attacks_the_decoder_is_refused(
    bench: Any, options: dict[str, Any], payload: bytes, complaint: str
) -> None:
    data = bench.write("evil", {"a/evil.png": payload})
    bench.ingest(data, name="evil")
    with pytest.raises(provreg.InputError, match=complaint) as caught:
        ImageDataset("evil", **options | {"data": data})[0]
    assert caught.value.sample == "a/evil.png"
