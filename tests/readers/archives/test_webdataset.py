"""provreg.readers.archives.webdataset: samples of tar shards, and every way to cheat in one."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from blake3 import blake3

from provreg.core.rows.arrow_types import columns_from_arrow
from provreg.core.rows.row import encode_rows
from provreg.errors import FormatError, InputError, UsageError
from provreg.executors.processes import LocalProcesses
from provreg.readers.api import ReadContext, ReadOptions, ReadResult
from provreg.readers.archives import stems, webdataset
from provreg.readers.archives.stems import payload_pieces
from provreg.readers.catalog import detect
from provreg.readers.data_files.shard_files import shards

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import Bench

ROOT = Path(__file__).parents[3]


def pack(path: Path, *files: tuple[str, bytes]) -> Path:
    """A shard, compressed as its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    data = out.getvalue()
    if path.name.endswith(("gz", "tgz")):
        data = gzip.compress(data)
    if path.name.endswith("zst"):
        data = pa.compress(data, "zstd", asbytes=True)
    path.write_bytes(data)
    return path


def pictures(*numbers: int) -> list[tuple[str, bytes]]:
    return [
        (f"{n:04}.{name}", data)
        for n in numbers
        for name, data in (("jpg", b"picture %d" % n), ("cls", b"%d\n" % (n % 3)))
    ]


def read(
    *paths: Path, before: dict[str, Any] | None = None, workers: int = 1, **how: Any
) -> ReadResult:
    options = webdataset.settle("webdataset", ReadOptions(**how), before)
    return webdataset.read(
        paths, "webdataset", options, ReadContext(executor=LocalProcesses(workers))
    )


def rows(found: ReadResult) -> list[dict[str, Any]]:
    wanted = found.table.select(["id", "content", "size", "label", "split"])
    return sorted(wanted.to_pylist(), key=lambda row: row["id"])


def test_a_sample_has_1024_files_at_most(tmp_path: Path) -> None:
    files = [(f"a.E{number}", b"") for number in range(1024)]
    pack(tmp_path / "a.tar", *files, ("b.jpg", b"b"))
    assert [row["id"] for row in rows(read(tmp_path))] == ["a", "b"]
    pack(tmp_path / "a.tar", *files, ("a.jpg", b"a"))
    with pytest.raises(InputError, match=r"'a' has more than 1,024 files"):
        read(tmp_path)


def test_files_of_one_stem_are_one_sample_with_its_label(tmp_path: Path) -> None:
    pack(tmp_path / "a.tar", ("d/1.cls", b"cat"), ("d/1.seg.png", b"mask"), ("d/1.jpg", b"picture"))
    [row] = rows(read(tmp_path))
    assert (row["id"], row["label"]) == ("d/1", "cat")
    payload = b"".join(payload_pieces({"jpg": b"picture", "seg.png": b"mask"}))
    assert (row["content"], row["size"]) == (blake3(payload).digest(), len(payload))


def test_the_payload_is_that_of_a_row_of_binary_columns() -> None:
    members = {"jpg": b"\0picture", "json": b"{}", "é.txt": b""}
    table = pa.table({name: pa.array([data], pa.binary()) for name, data in members.items()})
    [row] = encode_rows(table, columns_from_arrow(table.schema)).to_pylist()
    assert b"".join(payload_pieces(dict(reversed(members.items())))) == row


def test_the_payload_is_as_its_document_writes_it() -> None:
    document = (ROOT / "docs/format/row.md").read_text("utf-8")
    [block] = re.findall(r"```members\n(.*?)```", document, re.DOTALL)
    said = dict(line.split(maxsplit=1) for line in block.strip().splitlines())
    members = {name: bytes.fromhex(data) for name, data in json.loads(said["members"]).items()}
    payload = b"".join(payload_pieces(members))
    assert payload == bytes.fromhex(said["payload"])
    assert blake3(payload).hexdigest().startswith(said["digest"])


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz", "tar.zst"])
def test_compression_shards_workers_and_order_change_nothing(tmp_path: Path, ending: str) -> None:
    pack(tmp_path / "one/all.tar", *pictures(*range(8)))
    for shard in range(4):
        files = pictures(2 * shard + 1, 2 * shard)
        pack(tmp_path / f"many/{shard}.{ending}", *reversed(files))
    assert detect([tmp_path / "many"]) == "webdataset"
    assert rows(read(tmp_path / "one")) == rows(read(tmp_path / "many", workers=2))


def test_leading_dot_slashes_are_no_part_of_a_stem(tmp_path: Path) -> None:
    pack(tmp_path / "a.tar", ("./1.jpg", b"x"))
    assert rows(read(tmp_path))[0]["id"] == "1"


def test_what_is_no_member_is_left_out_and_counted(tmp_path: Path) -> None:
    extra = [
        ("README", b"x"),
        (".hidden", b"x"),
        ("._1.jpg", b"x"),
        (".DS_Store", b"x"),
        ("__meta__.json__", b"x"),
    ]
    pack(tmp_path / "a.tar", *extra, *pictures(1))
    found = read(tmp_path)
    assert found.reading["left_out"] == {"unnamed": 2, "hidden": 2, "system": 1}
    assert [row["id"] for row in rows(found)] == ["0001"]


# Labels, splits, ids


@pytest.mark.parametrize(
    ("label", "expected"),
    [("json:class", "cat"), ("json:n", "3"), ("json:f", "1.5"), ("json:b", "true"), ("txt", "a b")],
)
def test_labels_come_from_a_member_or_a_key_of_one(
    tmp_path: Path, label: str, expected: str
) -> None:
    document = b'{"class": "cat", "n": 3, "f": 1.5, "b": true, "none": null}'
    pack(tmp_path / "a.tar", ("1.jpg", b"x"), ("1.json", document), ("1.txt", b" a b\n"))
    found = read(tmp_path, label=label)
    assert found.labels_known
    assert rows(found)[0]["label"] == expected


def test_a_label_of_its_own_is_not_in_the_payload_and_a_key_is(tmp_path: Path) -> None:
    old = pack(tmp_path / "old/a.tar", ("1.jpg", b"x"), ("1.cls", b"0"), ("1.json", b'{"y": 0}'))
    new = pack(tmp_path / "new/a.tar", ("1.jpg", b"x"), ("1.cls", b"1"), ("1.json", b'{"y": 0}'))
    assert rows(read(old))[0]["content"] == rows(read(new))[0]["content"]
    by_key = rows(read(old, label="json:y"))[0], rows(read(new, label="json:y"))[0]
    assert by_key[0]["label"] == by_key[1]["label"] == "0"
    assert by_key[0]["content"] != by_key[1]["content"]


def test_without_any_label_none_is_recorded_and_a_named_one_is_missed(tmp_path: Path) -> None:
    pack(tmp_path / "a.tar", ("1.jpg", b"x"))
    found = read(tmp_path)
    assert (found.labels_known, found.reading["label"]) == (False, None)
    with pytest.raises(InputError, match="no sample has a label in 'cls'"):
        read(tmp_path, label="cls")


@pytest.mark.parametrize(
    ("label", "data", "says"),
    [
        ("cls", b"\xff", "not UTF-8"),
        ("json:y", b"{", "not valid JSON"),
        ("json:y", b'{"y": 1, "y": 2}', "not valid JSON"),
        ("json:y", b"[]", "not an object"),
        ("json:y", b'{"y": [1]}', "neither text nor a number"),
    ],
)
def test_label_that_is_none(tmp_path: Path, label: str, data: bytes, says: str) -> None:
    pack(tmp_path / "a.tar", ("7.jpg", b"x"), (f"7.{label.partition(':')[0]}", data))
    with pytest.raises(InputError, match=says) as caught:
        read(tmp_path, label=label)
    assert caught.value.sample == "7"


def test_splits_come_from_names_of_shards_or_their_folders(tmp_path: Path) -> None:
    names = ("train-000000", "train-00001-of-00002", "val_7", "test")
    for number, name in enumerate(names):
        pack(tmp_path / f"d{number}/{name}.tar", *pictures(number))
    splits = [row["split"] for row in rows(read(tmp_path, split="file"))]
    assert splits == ["train", "train", "val", "test"]
    assert [row["split"] for row in rows(read(tmp_path, split="dir"))] == ["d0", "d1", "d2", "d3"]
    with pytest.raises(InputError, match="says no split"):
        read(tmp_path / "d0", split="dir")


def test_stems_that_repeat_across_shards_need_another_id(tmp_path: Path) -> None:
    pack(tmp_path / "a.tar", ("0.jpg", b"x"))
    pack(tmp_path / "b.tar", ("0.jpg", b"y"), ("1.jpg", b"x"))
    with pytest.raises(InputError, match="the id '0' is duplicated"):
        read(tmp_path)
    assert [row["id"] for row in rows(read(tmp_path, id="shard"))] == ["a/0", "b/0", "b/1"]
    ids = [row["id"] for row in rows(read(tmp_path, id="content"))]
    assert len(ids) == 3
    assert [ident for ident in ids if ident.endswith("#2")]


def test_options_that_are_none_for_shards(tmp_path: Path) -> None:
    for wrong in ({"id": "key"}, {"split": "shard"}, {"label": "dir"}):
        with pytest.raises(UsageError):
            read(tmp_path, **wrong)


def test_the_reading_is_parsed_strictly_and_inherited(tmp_path: Path) -> None:
    pack(tmp_path / "train-0.tar", *pictures(1))
    reading = read(tmp_path, split="file").reading
    assert read(tmp_path, before=reading).reading == reading
    for change in (
        {"id": "row"}, {"split": "shard"}, {"reader_version": 2}, {"more": 1}, {"label": 1},
        {"left_out": {"other": 1}}, {"reader": "folder"},
    ):  # fmt: skip
        with pytest.raises(FormatError):
            webdataset.options_from_reading(reading | change)


# What is handed on


def test_members_are_handed_on_as_they_were_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webdataset, "_BATCH", 3)
    for shard in range(2):
        pack(tmp_path / f"{shard}.tar", *pictures(*range(4 * shard, 4 * shard + 4)))
    options = webdataset.ShardOptions()
    found = webdataset.read([tmp_path], "webdataset", options, ReadContext())
    batches = list(webdataset.stream([tmp_path], "webdataset", options, ReadContext()))
    assert [len(payloads) for payloads, _ in batches] == [3, 1, 3, 1]
    assert pa.Table.from_batches([samples for _, samples in batches]) == found.table
    for payloads, samples in batches:
        for members, content in zip(payloads, samples["content"].to_pylist(), strict=True):
            assert blake3(b"".join(payload_pieces(members))).digest() == content


# Attacks


@pytest.mark.parametrize(
    "name", ["../a.jpg", "/etc/a.jpg", "a/../../b.jpg", "a//b.jpg", "d/./a.jpg", ".././a.jpg"]
)
def test_name_that_leads_out_of_the_archive(tmp_path: Path, name: str) -> None:
    pack(tmp_path / "a.tar", (name, b"x"))
    with pytest.raises(InputError, match="absolute or leads out"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["a\x1b[2J.jpg", "a\u202egpj.jpg", "a\n.jpg"])
def test_name_that_acts_on_a_terminal(tmp_path: Path, name: str) -> None:
    pack(tmp_path / "a.tar", (name, b"x"))
    with pytest.raises(InputError, match="control or bidirectional"):
        read(tmp_path)


def test_name_longer_than_an_id(tmp_path: Path) -> None:
    pack(tmp_path / "a.tar", ("d" * 200 + "/" + "é" * 3000 + ".jpg", b"x"))
    with pytest.raises(InputError, match="longer than 4096 bytes"):
        read(tmp_path)


@pytest.mark.parametrize("twin", ["1.jpg", "./1.jpg", "1.JPG"])
def test_member_that_stands_twice(tmp_path: Path, twin: str) -> None:
    pack(tmp_path / "a.tar", ("1.jpg", b"shown"), (twin, b"hashed"))
    with pytest.raises(InputError, match=r"is duplicated|stand apart"):
        read(tmp_path)


def test_files_of_one_stem_that_stand_apart(tmp_path: Path) -> None:
    pack(tmp_path / "a.tar", ("1.jpg", b"x"), ("2.jpg", b"x"), ("1.cls", b"0"))
    with pytest.raises(InputError, match="stand apart"):
        read(tmp_path)


def test_sample_that_is_nothing_but_a_label(tmp_path: Path) -> None:
    pack(tmp_path / "a.tar", ("1.cls", b"0"))
    with pytest.raises(InputError, match="nothing but a label"):
        read(tmp_path)


def test_sample_too_large_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stems, "MAX_SAMPLE", 1000)
    pack(tmp_path / "a.tar", ("1.a", b"x" * 600), ("1.b", b"x" * 600))
    with pytest.raises(InputError, match="more than 1,000 bytes"):
        read(tmp_path)


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.zst"])
def test_truncated_shard(tmp_path: Path, ending: str) -> None:
    noise = random.Random(1).randbytes(30_000)  # noqa: S311
    shard = pack(tmp_path / f"a.{ending}", ("1.jpg", noise))
    whole = shard.read_bytes()
    last = 30_500 if ending == "tar" else len(whole) - 1
    for cut in (1, 10, 300, 2000, 20_000, last):
        shard.write_bytes(whole[:cut])
        with pytest.raises(InputError, match=r"cut off|cannot be decompressed|no tar archive"):
            read(tmp_path)


BOMB = """
import sys
from pathlib import Path
from provreg.errors import InputError
from provreg.readers.archives import webdataset
from provreg.readers.data_files import compression
from provreg.readers.api import ReadContext
compression._FREE = 16 << 20
compression._MOST_TIMES = 100
try:
    webdataset.read([Path(sys.argv[1])], "webdataset", webdataset.ShardOptions(), ReadContext())
except InputError as error:
    [peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
    print(error.message, peak)
"""


@pytest.mark.parametrize("ending", ["tar.gz", "tar.zst"])
def test_compressed_bomb_takes_little_memory(tmp_path: Path, ending: str) -> None:
    header = tarfile.TarInfo("1.jpg")
    header.size = 200 << 20
    data = header.tobuf(tarfile.USTAR_FORMAT) + bytes(100 << 20)
    shard = tmp_path / f"a.{ending}"
    shard.write_bytes(
        gzip.compress(data, 1) if ending.endswith("gz") else pa.compress(data, "zstd", asbytes=True)
    )
    said = subprocess.run(
        [sys.executable, "-c", BOMB, shard], capture_output=True, check=True, text=True, cwd=ROOT
    ).stdout
    assert "unpacks to more than 100 times its size" in said
    assert int(said.split()[-1]) < 300 << 10  # KiB: what is there before the bomb, and little more


def test_shard_swapped_while_it_is_read(tmp_path: Path) -> None:
    shard = pack(tmp_path / "a.tar", *((f"{n}.jpg", bytes(100_000)) for n in range(20)))
    samples = webdataset.iter_shard(shards([shard])[0], webdataset.ShardOptions(), {})
    next(samples)
    with shard.open("r+b") as file:
        file.seek(1_500_000)
        file.write(b"poison")
    with pytest.raises(InputError, match="changed while it was being read"):
        list(samples)


# In a registry


def test_versions_of_shards_verify_and_name_what_was_touched(bench: Bench) -> None:
    from provreg.errors import NotTrustedError

    data = bench.folder / "shards"
    pack(data / "train-0.tar", *pictures(1, 2))
    pack(data / "train-1.tar", *pictures(3))
    first = bench.ingest(data)
    assert first.head is not None
    assert first.head.reading["reader"] == "webdataset"
    bench.open().verify("pets", data=[data])
    # A sample that moves to another shard is no change.
    pack(data / "train-0.tar", *pictures(1))
    pack(data / "train-1.tar", *pictures(2, 3))
    assert bench.ingest(data).head is None
    touched: Mapping[str, bytes] = dict(pictures(2, 3)) | {"0002.jpg": b"poison", "0003.cls": b"9"}
    pack(data / "train-1.tar", *touched.items(), *pictures(4))
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets", data=[data])
    assert [(one.kind, one.id) for one in caught.value.findings] == [
        ("changed", "0002"), ("relabeled", "0003"), ("stranger", "0004"),
    ]  # fmt: skip


def test_labels_stripped_from_shards_do_not_verify(bench: Bench) -> None:
    from provreg.errors import NotTrustedError

    shard = pack(bench.folder / "a.tar", *pictures(1))
    bench.ingest(shard)
    pack(shard, ("0001.jpg", b"picture 1"))
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets", data=[shard])
    assert [one.kind for one in caught.value.findings] == ["relabeled"]


def test_shards_that_webdataset_writes_are_read(tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    with wds.TarWriter(str(tmp_path / "a.tar")) as sink:
        for number in range(3):
            sink.write({"__key__": f"d/{number}", "txt": f"hello {number}", "cls": number})
    found = rows(read(tmp_path))
    assert [(row["id"], row["label"]) for row in found] == [
        ("d/0", "0"),
        ("d/1", "1"),
        ("d/2", "2"),
    ]
