"""provreg.readers.idx.idx: items of IDX files, and what claims to be some."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from blake3 import blake3

from provreg.errors import FormatError, InputError, NotTrustedError, UsageError
from provreg.readers.api import ReadContext, ReadOptions, ReadResult
from provreg.readers.catalog import detect
from provreg.readers.idx import idx

if TYPE_CHECKING:
    from tests.conftest import Bench

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
IMAGES = np.arange(5 * 2 * 3, dtype="u1").reshape(5, 2, 3)
LABELS = np.array([3, 0, 9, 3, 1], "u1")


def encoded(values: Any) -> bytes:
    code = CODES[values.dtype.str[1:]]
    header = bytes([0, 0, code, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(values.dtype.newbyteorder(">")).tobytes()


def write(folder: Path, images: Any = IMAGES, labels: Any = LABELS, split: str = "train") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}-images-idx3-ubyte").write_bytes(encoded(images))
    if labels is not None:
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(encoded(labels))
    return folder


def read(*paths: Path, **how: Any) -> ReadResult:
    return idx.read(paths, "idx", idx.settle("idx", ReadOptions(**how), None), ReadContext())


def facts(found: ReadResult) -> set[tuple[Any, ...]]:
    columns = ("id", "content", "size", "label", "split")
    return {tuple(row[name] for name in columns) for row in found.table.to_pylist()}


def test_an_item_is_an_idx_file_of_its_own(tmp_path: Path) -> None:
    found = read(write(tmp_path))
    for image, label, row in zip(IMAGES, LABELS, found.table.to_pylist(), strict=True):
        content = blake3(encoded(image)).digest()
        assert row["id"] == f"blake3:{content.hex()}"
        assert (row["content"], row["size"]) == (content, len(encoded(image)))
        assert (row["label"], row["split"]) == (str(label), "train")


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 2, 2, 2)])
def test_all_types_and_shapes_are_read(tmp_path: Path, code: str, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape)).reshape(shape).astype(code)
    (tmp_path / "x.idx9-float").write_bytes(encoded(values))
    contents = read(tmp_path).table["content"].to_pylist()
    assert contents == [blake3(encoded(np.asarray(item))).digest() for item in values]


def test_the_same_bytes_in_another_shape_or_type_are_another_sample(tmp_path: Path) -> None:
    one = write(tmp_path / "a", IMAGES)
    other = write(tmp_path / "b", IMAGES.reshape(5, 3, 2))
    signed = write(tmp_path / "c", IMAGES.astype("i1"))
    found = [set(read(path).table["content"].to_pylist()) for path in (one, other, signed)]
    assert not found[0] & found[1] | found[0] & found[2]


def test_batches_order_compression_and_other_spellings_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = facts(read(write(tmp_path / "a")))
    other = tmp_path / "b"
    other.mkdir()
    for name, values in (("images.idx3", IMAGES), ("labels.idx1", LABELS)):
        data = gzip.compress(encoded(values[::-1]))
        (other / f"train-{name}-ubyte.gz").write_bytes(data)
    monkeypatch.setattr(idx, "_BATCH_BYTES", 13)
    assert detect([other]) == "idx"
    assert facts(read(other)) == whole


def test_repeats_are_numbered_whatever_their_order(tmp_path: Path) -> None:
    images, labels = IMAGES[[0, 0, 0]], np.array([2, 1, 2], "u1")
    one = facts(read(write(tmp_path / "a", images, labels)))
    assert one == facts(read(write(tmp_path / "b", images, labels[::-1])))
    assert len({ident for ident, *_ in one}) == 3


def test_splits_and_labels_can_be_left_aside(tmp_path: Path) -> None:
    write(tmp_path, split="train")
    write(tmp_path, IMAGES + 100, split="t10k")
    assert {row[4] for row in facts(read(tmp_path))} == {"train", "t10k"}
    bare = read(tmp_path, label="none", split="none")
    assert {row[3:] for row in facts(bare)} == {(None, None)}
    assert (bare.labels_known, bare.splits_known) == (False, False)


def test_labels_file_that_is_named_and_not_read_is_refused(tmp_path: Path) -> None:
    """As `--data DIR/*` names one that came later, which MNIST loaders would take."""
    items, labels = sorted(write(tmp_path).iterdir())
    assert read(items, label="none").table.num_rows == len(IMAGES)
    with pytest.raises(InputError, match="is named, and is not read"):
        read(items, labels, label="none")


def test_items_without_labels_are_taken_only_where_none_have_any(tmp_path: Path) -> None:
    write(tmp_path, labels=None)
    assert read(tmp_path).reading["label"] == "none"
    with pytest.raises(InputError, match="no labels file"):
        read(tmp_path, label="file")
    write(tmp_path, split="test")
    with pytest.raises(InputError, match="no labels file"):
        read(tmp_path)


def test_items_are_handed_on_as_they_were_hashed(tmp_path: Path) -> None:
    found = read(write(tmp_path))
    options = idx.options_from_reading(found.reading)
    batches = list(idx.stream([tmp_path], "idx", options, ReadContext()))
    assert [one for payloads, _ in batches for one in payloads] == list(map(encoded, IMAGES))
    assert pa.Table.from_batches([samples for _, samples in batches]) == found.table


def test_the_reading_is_parsed_strictly(tmp_path: Path) -> None:
    reading = read(write(tmp_path)).reading
    for change in ({"label": "dir"}, {"more": 1}, {"reader": "zip"}, {"reader_version": 2}):
        with pytest.raises(FormatError):
            idx.options_from_reading(reading | change)
    with pytest.raises(UsageError):
        read(tmp_path, label="column")


def test_swapped_labels_do_not_verify(bench: Bench) -> None:
    data = write(bench.folder / "mnist")
    bench.ingest(data)
    bench.open().verify("pets", data=[data])
    write(data, labels=LABELS[::-1])
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets", data=[data])
    assert {finding.kind for finding in caught.value.findings} == {"relabeled"}


# Attacks


def test_header_that_claims_more_than_there_is(tmp_path: Path) -> None:
    path = write(tmp_path, labels=None) / "train-images-idx3-ubyte"
    data = path.read_bytes()
    for claimed in (6, 2**32 - 1):
        path.write_bytes(data[:4] + struct.pack(">I", claimed) + data[8:])
        with pytest.raises(InputError, match="cut off"):
            read(tmp_path)
    path.write_bytes(data[:4] + struct.pack(">I", 4) + data[8:])
    with pytest.raises(InputError, match="has bytes after its last item"):
        read(tmp_path)


@pytest.mark.parametrize("shape", [(0,), (2**16, 2**16), (2**32 - 1,) * 9])
def test_items_without_bytes_or_beyond_all_memory(tmp_path: Path, shape: tuple[int, ...]) -> None:
    header = bytes([0, 0, 8, len(shape) + 1]) + struct.pack(
        f">{len(shape) + 1}I", 2**32 - 1, *shape
    )
    (tmp_path / "images-idx3-ubyte").write_bytes(header)
    with pytest.raises(InputError, match="its items have"):
        read(tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\x08", b"\0\0\x08\0", b"\0\1\x08\1", b"\0\0\x07\1", b"\0\0\x08\x02abc"]
)
def test_file_that_is_no_idx(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "images-idx3-ubyte").write_bytes(data)
    with pytest.raises(InputError, match=r"no IDX file|cut off"):
        read(tmp_path)


@pytest.mark.parametrize(
    "labels",
    [LABELS[:4], np.append(LABELS, np.uint8(1)), LABELS.reshape(5, 1), LABELS.astype("f4")],
)
def test_labels_that_do_not_fit_their_items(tmp_path: Path, labels: Any) -> None:
    with pytest.raises(InputError, match="labels"):
        read(write(tmp_path, labels=labels))


def test_two_files_of_the_same_items(tmp_path: Path) -> None:
    path = write(tmp_path) / "train-images-idx3-ubyte"
    (tmp_path / "train-images.idx3-ubyte.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(InputError, match="the same"):
        read(tmp_path)


def test_labels_of_nothing(tmp_path: Path) -> None:
    (write(tmp_path) / "train-images-idx3-ubyte").rename(tmp_path / "other-images-idx3-ubyte")
    with pytest.raises(InputError, match="labels no items"):
        read(tmp_path)


def test_labels_file_beside_items_that_were_signed_without(bench: Bench) -> None:
    """MNIST's readers would take the images' labels from it."""
    folder = write(bench.folder / "d", labels=None)
    bench.ingest(folder)
    write(folder)
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets", data=[folder])
    assert [(one.kind, one.id) for one in caught.value.findings] == [
        ("stranger", "train-labels-idx1-ubyte")
    ]
    with pytest.raises(InputError, match="lies beside the data") as refused:
        bench.ingest(folder, options=ReadOptions(label="none"))
    assert "--exclude" in refused.value.hint
    exclude = ("/train-labels-idx1-ubyte",)
    bench.ingest(folder, options=ReadOptions(label="none", exclude=exclude))
    bench.open().verify("pets", data=[folder])
