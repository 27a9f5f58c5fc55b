"""Making data: from fixed seeds, so that every machine measures the same."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

_FOLDER_OF = 1000
_CHUNK = 1 << 20


def make_files(folder: str, count: str, size: str) -> dict[str, Any]:
    """`count` files of `size` random bytes, 1,000 to a folder: `class_0001/00001234.bin`."""
    numbers = random.Random(int(count) * int(size))
    for number in range(int(count)):
        path = Path(folder, f"class_{number // _FOLDER_OF:04d}", f"{number:08d}.bin")
        if number % _FOLDER_OF == 0:
            path.parent.mkdir(parents=True)
        # A large file is one megabyte over and over: hashing takes no notice.
        data = numbers.randbytes(min(_CHUNK, int(size)))
        with path.open("wb") as file:
            for start in range(0, int(size), _CHUNK):
                file.write(data[: int(size) - start])
    return {}


# How many hex digests make the text of a row, by its width in bytes.
_DIGESTS = {"32": 1, "250": 7, "10000": 312}


def make_rows(folder: str, format_: str, rows: str, width: str) -> dict[str, Any]:
    """`rows.FORMAT`: a key, a text, two numbers and a class; `width` is 32, 250 or 10000 bytes."""
    import duckdb

    Path(folder).mkdir(parents=True)
    digests = ", ".join(f"md5(concat(i, '-{number}'))" for number in range(_DIGESTS[width]))
    options = {"parquet": "format parquet", "csv": "format csv, header", "jsonl": "format json"}
    duckdb.sql(
        f"""copy (
            select 'row-' || lpad(i::varchar, 9, '0') as key, concat({digests}) as text,
                   (i * 7919) % 1000003 as number,
                   (i % 8192) / 4096.0::double as score, 'class-' || (i % 100) as class
            from range({int(rows)}) r(i)
        ) to '{folder}/rows.{format_}' ({options[format_]})"""
    )
    return {}


def make_lines(folder: str, lines: str, versions: str) -> dict[str, Any]:
    """`0001.jsonl` …: versions of a dataset of texts; each relabels or rewrites ten lines."""
    numbers = random.Random(20)
    words = [f"word{number}" for number in range(5000)]
    rows = [
        {"id": f"{at:06d}", "text": " ".join(numbers.choices(words, k=40)), "label": "keep"}
        for at in range(int(lines))
    ]
    Path(folder).mkdir(parents=True)
    for version in range(1, int(versions) + 1):
        for at in numbers.sample(range(len(rows)), 10):
            if numbers.random() < 0.5:
                rows[at]["label"] = f"label-{numbers.randrange(20)}-{version}"[:8]
            else:
                rows[at]["text"] = " ".join(numbers.choices(words, k=40))
        text = "".join(json.dumps(row) + "\n" for row in rows)
        Path(folder, f"{version:04d}.jsonl").write_text(text, "utf-8")
    return {}


# Sizes of photographs that make JPEGs of 100 KB or a little less.
_PHOTOGRAPHS = ((600, 450), (450, 600), (640, 420), (520, 520))
# Side of a speck of each layer of noise, and how much of it there is: large shapes, fine grain.
_LAYERS = ((120, 0.4), (40, 0.25), (12, 0.15), (4, 0.1), (2, 0.1))


def make_photographs(folder: str, count: str) -> dict[str, Any]:
    """`count` JPEGs of about 100 KB, as long to decode as photographs: `class_1/00001.jpg`."""
    import numpy as np
    from PIL import Image

    numbers = np.random.default_rng(20)
    for number in range(int(count)):
        width, height = _PHOTOGRAPHS[number % len(_PHOTOGRAPHS)]
        pixels = np.zeros((height, width, 3), np.float32)
        for side, share in _LAYERS:
            specks = numbers.integers(0, 256, (height // side, width // side, 3), np.uint8)
            layer = Image.fromarray(specks).resize((width, height), Image.Resampling.BICUBIC)
            pixels += share * np.asarray(layer)
        path = Path(folder, f"class_{number % 10}", f"{number:05d}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path, quality=95)
    return {}


def make_shards(folder: str, images: str, count: str) -> dict[str, Any]:
    """`count` of the images in the folder `images` beside it, 1,000 to a tar: `000001.jpg` and
    `000001.cls`, the index of its class."""
    import io
    import tarfile

    Path(folder).mkdir(parents=True)
    paths = sorted(Path(folder).with_name(images).rglob("*.jpg"))
    random.Random(20).shuffle(paths)
    paths = paths[: int(count)]
    classes = sorted({path.parent.name for path in paths})
    for start in range(0, len(paths), 1000):
        with tarfile.open(Path(folder, f"shard-{start // 1000:04d}.tar"), "w") as shard:
            for number, path in enumerate(paths[start : start + 1000], start):
                label = str(classes.index(path.parent.name)).encode()
                for name, data in (("jpg", path.read_bytes()), ("cls", label)):
                    member = tarfile.TarInfo(f"{number:06d}.{name}")
                    member.size = len(data)
                    shard.addfile(member, io.BytesIO(data))
    return {}
