"""Attacks on data at rest: whoever can write to the samples (docs/threat-model.md).

Several are cases that other tools pass without a word.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provreg.errors import NotTrustedError
from provreg.flows.ingest.request import Ingestion

if TYPE_CHECKING:
    from provreg.errors import Finding
    from tests.conftest import Bench


def refused(bench: Bench, data: Path, reference: str = "pets") -> list[Finding]:
    """The findings of step 12, which must refuse."""
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify(reference, data=[data])
    assert caught.value.step == 12
    assert caught.value.message
    return list(caught.value.findings)


def edit_keeping_size_and_mtime(path: Path, data: bytes) -> None:
    before = path.stat()
    assert len(data) == before.st_size
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def age(folder: Path) -> None:
    """Waits until the stat cache takes files as settled: ctime cannot be set back."""
    newest = max(path.stat().st_ctime for path in folder.rglob("*.jpg"))
    time.sleep(max(0.0, newest + 2.1 - time.time()))


def test_untouched_data_pass(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    assert bench.open().verify("pets", data=[data]).head.samples == 6


def test_in_place_edit_with_same_size_and_restored_mtime_is_found(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data, labeler="ann")
    edit_keeping_size_and_mtime(data / "cat/1.jpg", b"pictura 1")
    (finding,) = refused(bench, data)
    assert (finding.kind, finding.id) == ("changed", "cat/1.jpg")
    assert (finding.source, finding.labeler) == ("shelter", "ann")
    assert finding.expected != finding.found


def test_in_place_edit_with_restored_mtime_does_not_pass_the_stat_cache(bench: Bench) -> None:
    data = bench.pets()
    age(data)
    bench.ingest(data)
    again = bench.open().dry_run(Ingestion("pets", (data,)), bench.signer())
    assert again.reused == 6
    edit_keeping_size_and_mtime(data / "cat/1.jpg", b"pictura 1")
    outcome = bench.ingest(data, source="somebody")
    assert outcome.changes["modified"] == 1
    assert outcome.reused == 5


# Two files with the same MD5, by Marc Stevens (single block, 2012).
_COLLISION = (
    "4dc968ff0ee35c209572d4777b721587d36fa7b21bdc56b74a3dc0783e7b9518afbfa200a8284bf3"
    "6e8e4b55b35f427593d849676da0d1555d8360fb5f07fea2",
    "4dc968ff0ee35c209572d4777b721587d36fa7b21bdc56b74a3dc0783e7b9518afbfa202a8284bf3"
    "6e8e4b55b35f427593d849676da0d1d55d8360fb5f07fea2",
)


def test_a_swapped_pair_of_colliding_md5_is_found(bench: Bench) -> None:
    one, other = map(bytes.fromhex, _COLLISION)
    assert one != other
    assert len({hashlib.md5(data, usedforsecurity=False).digest() for data in (one, other)}) == 1
    data = bench.pets(cat__a=one)
    bench.ingest(data)
    edit_keeping_size_and_mtime(data / "cat/a", other)
    assert [(found.kind, found.id) for found in refused(bench, data)] == [("changed", "cat/a")]


def test_a_file_moved_to_another_class_is_relabeled(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    (data / "cat/1.jpg").rename(data / "dog/1.jpg")
    (finding,) = refused(bench, data)
    assert (finding.kind, finding.id, finding.found_id) == ("relabeled", "cat/1.jpg", "dog/1.jpg")
    assert (finding.expected, finding.found) == ("cat", "dog")


def test_a_renamed_class_relabels_all_of_it(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    (data / "cat").rename(data / "tiger")
    assert {(found.kind, found.found) for found in refused(bench, data)} == {("relabeled", "tiger")}


def test_two_swapped_classes_are_found(bench: Bench) -> None:
    data = bench.write("pets", {"cat/1": b"a", "cat/2": b"b", "dog/1": b"c", "dog/2": b"d"})
    bench.ingest(data)
    (data / "cat").rename(data / "x")
    (data / "dog").rename(data / "cat")
    (data / "x").rename(data / "dog")
    assert [(found.kind, found.id) for found in refused(bench, data)] == [
        ("changed", name) for name in ("cat/1", "cat/2", "dog/1", "dog/2")
    ]


def test_an_added_sample_is_a_stranger(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    bench.write("pets", {"cat/evil.jpg": b"trigger"})
    assert [(found.kind, found.id) for found in refused(bench, data)] == [
        ("stranger", "cat/evil.jpg")
    ]


def test_a_copy_of_a_signed_sample_is_a_stranger_too(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    bench.write("pets", {"dog/copy.jpg": b"picture 1"})
    assert [(found.kind, found.id) for found in refused(bench, data)] == [
        ("stranger", "dog/copy.jpg")
    ]


def test_a_removed_sample_is_missing(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    (data / "dog/2.jpg").unlink()
    assert [(found.kind, found.id) for found in refused(bench, data)] == [("missing", "dog/2.jpg")]


def test_a_truncated_sample_is_changed(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    (data / "dog/2.jpg").write_bytes(b"")
    assert [(found.kind, found.id) for found in refused(bench, data)] == [("changed", "dog/2.jpg")]


@pytest.mark.parametrize("target", ["../cat/3.jpg", "/etc/hostname", "nowhere", ".."])
def test_a_sample_replaced_by_a_link_is_found(bench: Bench, target: str) -> None:
    data = bench.pets()
    bench.ingest(data)
    (data / "cat/1.jpg").unlink()
    (data / "cat/1.jpg").symlink_to(target)
    assert "cat/1.jpg" in {found.id.rstrip("/") for found in refused(bench, data)}


def test_a_folder_of_samples_replaced_by_a_link_outside_is_found(
    bench: Bench, tmp_path: Path
) -> None:
    data = bench.pets()
    bench.ingest(data)
    (data / "cat").rename(tmp_path / "elsewhere")
    (data / "cat").symlink_to(tmp_path / "elsewhere")
    found = refused(bench, data)
    assert {one.id for one in found} >= {"cat/1.jpg", "cat/3.jpg", "cat/5.jpg"}


def test_a_pipe_in_a_samples_place_does_not_hang(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    (data / "cat/1.jpg").unlink()
    os.mkfifo(data / "cat/1.jpg")
    assert [(found.kind, found.id) for found in refused(bench, data)] == [
        ("unreadable", "cat/1.jpg")
    ]


def test_hidden_files_are_no_samples_and_recorded_as_left_out(bench: Bench) -> None:
    # They cannot be poison: no id can name them, so no loader ever hands them out.
    data = bench.pets()
    bench.write("pets", {".git/evil": b"x", "cat/.hidden.jpg": b"y", "cat/.DS_Store": b"z"})
    outcome = bench.ingest(data)
    assert outcome.head is not None
    assert outcome.head.samples == 6
    assert outcome.head.reading["left_out"] == {"hidden": 2, "system": 1}


def test_files_hidden_in_the_data_later_are_no_samples(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    bench.write("pets", {".git/evil": b"x", "cat/.hidden": b"y"})
    version = bench.open().verify("pets", data=[data])
    assert not any("." in name.split("/")[0] for name in version.entries["id"].to_pylist())


def test_a_sample_hidden_by_renaming_is_missing_and_a_stranger(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    (data / "cat/1.jpg").rename(data / "cat/.1.jpg")
    assert {(found.kind, found.id) for found in refused(bench, data)} == {
        ("missing", "cat/1.jpg"),
        ("stranger", "cat/.1.jpg"),
    }


def test_an_empty_folder_that_other_programs_take_for_a_class_is_a_stranger(bench: Bench) -> None:
    # The classes are in the signed head, never taken from folders: other programs do that.
    data = bench.pets()
    bench.ingest(data)
    (data / "zebra").mkdir()
    assert [(found.kind, found.id) for found in refused(bench, data)] == [("stranger", "zebra/")]
    assert bench.open().verify("pets").head.classes == ("cat", "dog")


def test_everything_wrong_is_collected_at_once(bench: Bench) -> None:
    data = bench.pets(count=10)
    bench.ingest(data)
    (data / "cat/1.jpg").write_bytes(b"changed")
    (data / "cat/3.jpg").unlink()
    (data / "cat/5.jpg").rename(data / "dog/5.jpg")
    (data / "dog/0.jpg").rename(data / "dog/00.jpg")
    bench.write("pets", {"dog/new.jpg": b"new"})
    assert {(found.kind, found.id) for found in refused(bench, data)} == {
        ("changed", "cat/1.jpg"),
        ("missing", "cat/3.jpg"),
        ("relabeled", "cat/5.jpg"),
        ("moved", "dog/0.jpg"),
        ("stranger", "dog/new.jpg"),
    }


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_changed_row_of_a_table_is_found(bench: Bench, suffix: str) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet as pq

    from provreg.readers.api import ReadOptions

    def write(texts: list[str], labels: list[str]) -> Path:
        path = bench.folder / f"table.{suffix}"
        rows = pa.table({"key": ["a", "b", "c"], "text": texts, "label": labels})
        if suffix == "csv":
            pyarrow.csv.write_csv(rows, path)
        elif suffix == "parquet":
            pq.write_table(rows, path)
        else:
            import json

            path.write_text("".join(json.dumps(row) + "\n" for row in rows.to_pylist()), "utf-8")
        return path

    data = write(["one", "two", "three"], ["x", "y", "y"])
    bench.ingest(data, options=ReadOptions(id="key", label="label"))
    bench.open().verify("pets", data=[data])
    write(["one", "two!", "three"], ["x", "y", "x"])
    assert [(found.kind, found.id) for found in refused(bench, data)] == [
        ("changed", "b"),
        ("relabeled", "c"),
    ]
