"""Rows that name a file in the place of its bytes: the name is signed, and the file is not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import provreg
from provreg.errors import InputError
from provreg.readers.api import ReadOptions

datasets = pytest.importorskip("datasets", reason="datasets is not installed")

FILE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (2, 2), shade).save(file, "PNG")
    return file.getvalue()


def loaded(bench: Any, column: pa.Array) -> provreg.VerifiedSamples:
    """The samples a, b and so on of a table with the column `file`."""
    path = bench.folder / "files.parquet"
    ids = [chr(ord("a") + row) for row in range(len(column))]
    pq.write_table(pa.table({"id": ids, "file": column}), path)
    bench.ingest(path, name="d", options=ReadOptions(id="id", label="none"))
    return provreg.load("d", data=path, key=bench.key_file(), registry=bench.registry)


@pytest.fixture
def unsigned(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "unsigned.png"
    path.write_bytes(png(66))
    return {"bytes": None, "path": str(path)}


FORMS: dict[str, Any] = {
    "plain": (lambda one: one, FILE, lambda kind: kind),
    "in a list": (lambda one: [None, one], pa.list_(FILE), datasets.List),
    "in a python list": (lambda one: [one], pa.large_list(FILE), lambda kind: [kind]),
    "in a struct": (lambda one: {"of": one}, pa.struct([("of", FILE)]), lambda kind: {"of": kind}),
    "deeper": (
        lambda one: [{"of": [one]}],
        pa.list_(pa.struct([("of", pa.list_(FILE))])),
        lambda kind: datasets.List({"of": datasets.List(kind)}),
    ),
    "without a field for bytes": (
        lambda one: {"path": one["path"]},
        pa.struct([("path", pa.string())]),
        lambda kind: kind,
    ),
}


@pytest.mark.parametrize("kind", ["Image", "Audio", "Video", "Pdf"])
@pytest.mark.parametrize("form", FORMS)
def test_file_that_nobody_signed_is_not_handed_out_for_its_name(
    bench: Any, unsigned: dict[str, Any], form: str, kind: str
) -> None:
    from provreg.loaders.huggingface import dataset

    made, arrow, feature = FORMS[form]
    signed = {"bytes": png(1), "path": "signed.png"}
    samples = loaded(bench, pa.array([made(signed), None, made(unsigned)], arrow))
    given = {"file": feature(getattr(datasets, kind)())}
    first = "a" if form == "without a field for bytes" else "c"
    with pytest.raises(InputError) as caught:
        dataset(samples, features=given)
    if "a path instead of bytes in column 'file'" in caught.value.message:
        assert caught.value.sample == first
    else:
        assert "does not fit its feature" in caught.value.message
        assert form == "without a field for bytes"
    assert dataset(samples)[2]["file"] == made(unsigned), "nothing is opened"


def test_bytes_beside_a_path_are_what_is_decoded(bench: Any, unsigned: dict[str, Any]) -> None:
    from provreg.loaders.huggingface import dataset

    samples = loaded(bench, pa.array([unsigned | {"bytes": png(7)}, None], FILE))
    made = dataset(samples, features={"file": datasets.Image()})
    assert made[0]["file"].getpixel((0, 0)) == 7
    assert made[1]["file"] is None
