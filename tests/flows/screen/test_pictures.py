"""Pictures that look the same: their hashes, kept by content, and what the check `near` finds."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pyarrow as pa
import pytest
from conftest import Bench
from PIL import Image

from provreg.errors import InputError, UsageError
from provreg.flows.screen.screen import Screening
from provreg.readers.api import ReadOptions
from provreg.readers.files.pictures import gray
from provreg.screening.api import Severity
from provreg.screening.statistics.hashes import dhash, phash
from provreg.store.private.content_hashes import PICTURES, ContentHashes

CHANCE = np.random.default_rng(4)


def _picture(side: int = 48) -> Image.Image:
    """A smooth random picture."""
    coarse = CHANCE.integers(0, 255, (7, 7, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def _jpeg(picture: Image.Image, quality: int = 95) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, "JPEG", quality=quality)
    return sink.getvalue()


@pytest.fixture
def data(bench: Bench) -> Path:
    """Twenty pictures of two classes and sources."""
    return bench.write(
        "data", {f"{'cat' if n % 2 else 'dog'}/{n}.jpg": _jpeg(_picture()) for n in range(20)}
    )


def _screened(bench: Bench, data: Path, **options: Any) -> Screening:
    pictures = options.pop("pictures", [data])
    bench.ingest(data, **options)
    return bench.open().screen("pets", checks=["near"], pictures=pictures)


def _groups(found: Screening, least: Severity = Severity.NOTE) -> list[dict[str, str]]:
    return [dict(finding.group) for finding in found.above(least)]


@pytest.mark.parametrize("side", [32, 48, 250])
def test_hashes_are_those_of_imagehash(side: int) -> None:
    for _ in range(30):
        picture = _picture(side)
        sink = io.BytesIO()
        picture.save(sink, "PNG")
        scaled = gray(sink.getvalue(), (32, 32), (9, 8))
        assert scaled is not None
        square = np.frombuffer(scaled[0], np.uint8).reshape(1, 32, 32)
        strip = np.frombuffer(scaled[1], np.uint8).reshape(1, 8, 9)
        assert phash(square)[0] == int(str(imagehash.phash(picture)), 16)
        assert dhash(strip)[0] == int(str(imagehash.dhash(picture)), 16)


def test_pictures_of_their_own_are_nothing(bench: Bench, data: Path) -> None:
    assert _groups(_screened(bench, data)) == []


def test_attack_a_recompressed_copy_with_another_label(bench: Bench, data: Path) -> None:
    with Image.open(data / "cat/3.jpg") as picture:
        (data / "dog/copy.jpg").write_bytes(_jpeg(picture, 60))
    found = _screened(bench, data)
    [worst] = found.above(Severity.WARNING)
    assert worst.ids == ("cat/3.jpg", "dog/copy.jpg")
    assert worst.group == {"kind": "another label"}


def test_attack_a_small_trigger_on_copies(bench: Bench, data: Path) -> None:
    """A white corner: pHash often misses it, dHash does not."""
    triggered = set()
    for path in sorted((data / "cat").iterdir())[:6]:
        with Image.open(path) as picture:
            marked = picture.copy()
        marked.paste((255, 255, 255), (44, 44, 48, 48))
        name = f"dog/t{path.name}"
        (data / name).write_bytes(_jpeg(marked))
        triggered.add(name)
    found = _screened(bench, data)
    [worst] = found.above(Severity.WARNING)
    assert len(triggered & set(worst.ids)) >= 5


def test_copies_with_one_label_are_notes(bench: Bench, data: Path) -> None:
    with Image.open(data / "cat/3.jpg") as picture:
        (data / "cat/copy.jpg").write_bytes(_jpeg(picture, 60))
    assert _groups(_screened(bench, data)) == [{"kind": "any"}]


def test_copies_across_splits_are_notes(bench: Bench, data: Path) -> None:
    (data / "train").mkdir()
    for folder in ("cat", "dog"):
        (data / folder).rename(data / "train" / folder)
    with Image.open(data / "train/cat/3.jpg") as picture:
        (data / "test/cat").mkdir(parents=True)
        (data / "test/cat/3.jpg").write_bytes(_jpeg(picture, 60))
    found = _screened(bench, data, options=ReadOptions(split="dir"))
    assert {"kind": "another split"} in _groups(found)
    assert not found.above(Severity.WARNING)


def test_attack_a_flood_of_copies_from_one_source(bench: Bench) -> None:
    rows, files = ["id,source"], {}
    for number in range(600):
        name = f"cat/{number}.jpg"
        files[name] = _jpeg(_picture())
        rows.append(f"{name},cam-{number % 6}")
    original = _picture()
    for number in range(40):
        name = f"cat/copy-{number}.jpg"
        files[name] = _jpeg(original, 40 + number)
        rows.append(f"{name},cam-2")
    data = bench.write("data", files)
    labels = bench.folder / "sources.csv"
    labels.write_text("\n".join(rows), "utf-8")
    found = _screened(bench, data, labels=labels)
    assert {"source": "cam-2"} in _groups(found, Severity.WARNING)


def test_flat_pictures_are_not_all_alike(bench: Bench, data: Path) -> None:
    for shade in range(30):
        picture = Image.new("RGB", (32, 32), (shade * 8, 0, 0))
        (data / f"{'cat' if shade % 2 else 'dog'}/flat{shade}.jpg").write_bytes(_jpeg(picture))
    assert _groups(_screened(bench, data), Severity.WARNING) == []


def test_what_is_no_picture_is_passed_over(bench: Bench, data: Path) -> None:
    (data / "cat/bad.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    (data / "cat/read.txt").write_text("me")
    assert _groups(_screened(bench, data)) == []


def test_no_picture_can_be_decoded(bench: Bench) -> None:
    data = bench.write("data", {"cat/1.jpg": b"one", "dog/2.jpg": b"two"})
    assert _groups(_screened(bench, data)) == []


def test_hashes_are_kept_by_content(bench: Bench, data: Path) -> None:
    with Image.open(data / "cat/3.jpg") as picture:
        (data / "dog/copy.jpg").write_bytes(_jpeg(picture, 60))
    before = _screened(bench, data)
    for path in data.rglob("*.jpg"):
        path.unlink()
    again = bench.open().screen("pets", checks=["near"], pictures=[])
    assert again.findings == before.findings
    assert bench.open().screen("pets", checks=["near"]).findings == ()


def test_attack_pictures_that_are_not_as_signed_are_not_hashed(bench: Bench, data: Path) -> None:
    bench.ingest(data)
    (data / "cat/3.jpg").write_bytes(_jpeg(_picture()))
    with pytest.raises(InputError, match=r"'cat/3.jpg' is not as signed"):
        bench.open().screen("pets", checks=["near"], pictures=[data])


def test_rows_have_no_pictures(bench: Bench) -> None:
    path = bench.folder / "rows.csv"
    path.write_text("id,text\na,b\n", "utf-8")
    bench.ingest(path, options=ReadOptions(id="id"))
    with pytest.raises(UsageError, match="--phash needs samples that are files"):
        bench.open().screen("pets", pictures=[path])


def test_attack_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    kept = ContentHashes(tmp_path, "pictures-1", PICTURES)
    table = pa.table(
        {
            "content": pa.array([b"a" * 32, b"b" * 32], pa.binary(32)),
            "phash": [1, 2],
            "dhash": [3, 4],
        },
        schema=PICTURES,
    )
    assert kept.add(table).num_rows == 2
    assert kept.add(table.slice(1)).num_rows == 2
    path = tmp_path / "pictures-1"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert kept.load().num_rows == 0
