"""What docs/guides/loaders.md shows is run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import provreg
from provreg.registry import Registry
from provreg.trust.keys import generate, write_key

DOCUMENT = Path(__file__).parents[2] / "docs" / "guides" / "loaders.md"
# The code of each section that is run, by its heading.
SECTIONS = {
    section.partition("\n")[0]: "".join(
        re.findall(r"<!-- run -->\n```python\n(.*?)```", section, re.DOTALL)
    )
    for section in DOCUMENT.read_text("utf-8").split("\n## ")
}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder with a registry and a key; publishes what lies in it, and runs a section's code."""
    for name in ("CACHE", "STATE", "CONFIG"):
        monkeypatch.setenv(f"PROVREG_{name}", str(tmp_path / f".{name}"))
    monkeypatch.chdir(tmp_path)
    Registry.init(Path(".provreg"))
    write_key(generate("p256"), Path("team.key"), "", unencrypted=True)

    class Desk:
        def publish(self, name: str, path: str, **how: Any) -> None:
            source = how.pop("source", "shop")
            said = provreg.ReadOptions(**how)
            ingestion = provreg.Ingestion(name, (Path(path),), options=said, source=source)
            Registry.open().ingest(ingestion, provreg.KeySigner.load(Path("team.key")))

        def run(self, section: str) -> str:
            done = subprocess.run(
                [sys.executable, "-c", SECTIONS[section]],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

    return Desk()


def test_pytorch(desk: Any) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    for number in range(8):
        path = Path("photos", "cat" if number < 5 else "dog", f"{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), number).save(path)
    desk.publish("photos", "photos")
    assert desk.run("PyTorch").splitlines() == [
        "['cat', 'dog'] {'cat': 0, 'dog': 1} [0, 0, 0, 0, 0, 1, 1, 1]",
        *["torch.Size([4, 3, 8, 8]) torch.Size([4])"] * 2,
        "5",
    ]


def test_tables(desk: Any) -> None:
    table = pa.table({"id": [1, 2, 3], "text": ["good", "bad", "fine"], "stars": [5, 1, 4]})
    pq.write_table(table, "reviews.parquet")
    desk.publish("reviews", "reviews.parquet", id="id", label="stars")
    assert desk.run("Tables: Arrow, pandas, polars") == (
        "3 ['text', 'id', 'label']\n{'shop': 3}\n3\n"
    )


def test_rows_that_name_files(desk: Any) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    lines = ["file_name,kind,caption"]
    for number in range(3):
        path = Path("captions", "p", f"{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), number).save(path)
        lines.append(f"p/{number}.png,{'cat' if number else 'dog'},number {number}")
    Path("captions/metadata.csv").write_text("\n".join(lines) + "\n")
    desk.publish("captions", "captions", label="kind")
    assert desk.run("Rows that name files").splitlines() == [
        "3 (8, 8) ['cat', 'dog']",
        "['caption', 'file_name'] p/0.png",
        "(8, 8) number 0",
    ]


@pytest.fixture
def pets(desk: Any) -> Any:
    for split, name, shade in (("train", "cat/1", 1), ("train", "dog/2", 2), ("test", "cat/3", 3)):
        path = Path("pets", split, f"{name}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (shade, shade, shade)).save(path)
    desk.publish("pets", "pets", split="dir")
    return desk


def test_hugging_face(pets: Any) -> None:
    assert pets.run("Hugging Face datasets") == "['cat', 'dog'] (4, 4)\n"


def test_webdataset(desk: Any) -> None:
    Path("shards").mkdir()
    with tarfile.open("shards/faces-0.tar", "w") as archive:
        for number in (0, 1):
            Image.new("RGB", (2, 2)).save(f"{number}.png")
            Path(f"{number}.cls").write_text(str(number))
            archive.add(f"{number}.png")
            archive.add(f"{number}.cls")
    desk.publish("faces", "shards")
    assert desk.run("WebDataset") == "[((2, 2, 3), 0), ((2, 2, 3), 1)]\n"


def test_grain(pets: Any) -> None:
    sizes = [Path("pets/train", name).stat().st_size for name in ("cat/1.png", "dog/2.png")]
    assert pets.run("Grain") == (
        f"[('train/cat/1.png', 0, {sizes[0]}), ('train/dog/2.png', 1, {sizes[1]})]\n"
    )


def test_arrays(desk: Any) -> None:
    rows = {"a": [0.0, 0.5, 10.0], "b": [1, 0, 1], "y": ["no", "no", "yes"], "by": ["p", "q", "p"]}
    pq.write_table(pa.table(rows | {"id": ["1", "2", "3"]}), "measured.parquet")
    desk.publish("measured", "measured.parquet", id="id", label="y", source_column="by")
    assert desk.run("Arrays: scikit-learn, ART, TensorFlow").splitlines() == [
        "(3, 2) [0, 0, 1] ('no', 'yes') 1",
        "('p', 'q') [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]",
        "1.0",
    ]
