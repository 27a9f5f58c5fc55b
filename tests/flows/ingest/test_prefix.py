"""`--prefix`: a folder read as if it lay in a larger one, which then verifies as it lies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import provreg
from provreg.errors import InputError, NotTrustedError, UsageError
from provreg.flows.ingest.request import Ingestion
from provreg.readers.api import ReadOptions

if TYPE_CHECKING:
    from tests.conftest import Bench


def night(bench: Bench, number: int, *, folder: str = "images") -> Path:
    """A delivery of one cat and one dog, named alike every night."""
    files = {f"{kind}/1.jpg": f"{kind} of night {number}" for kind in ("cat", "dog")}
    return bench.write(f"lake/night-{number:03}/{folder}", files)


def add(bench: Bench, number: int, **options: Any) -> Any:
    prefix = f"night-{number:03}/images/"
    return bench.ingest(
        night(bench, number), append=True, options=ReadOptions(prefix=prefix), **options
    )


def test_batches_that_are_named_alike_verify_as_the_lake_they_lie_in(bench: Bench) -> None:
    for number in (1, 2, 3):
        assert add(bench, number).changes["injected"] == 2
    version = bench.open().verify("pets", data=[bench.folder / "lake"])
    ids = version.entries["id"].to_pylist()
    assert ids == [
        f"night-00{number}/images/{kind}/1.jpg" for number in (1, 2, 3) for kind in ("cat", "dog")
    ]
    assert version.head.classes == ("cat", "dog")


def test_the_lake_itself_makes_the_same_version(bench: Bench) -> None:
    for number in (1, 2):
        add(bench, number)
    again = bench.ingest(bench.folder / "lake")
    assert (again.head, sum(again.changes.values())) == (None, 0)


def test_loaders_read_the_lake(bench: Bench) -> None:
    for number in (1, 2):
        add(bench, number)
    samples = provreg.load(
        "pets", data=bench.folder / "lake", registry=bench.registry, key=bench.key_file()
    )
    payloads = {sample.id: sample.payload for sample in samples}
    assert payloads["night-002/images/dog/1.jpg"] == b"dog of night 2"


def test_a_diff_says_what_the_batch_would_change(bench: Bench) -> None:
    add(bench, 1)
    options = ReadOptions(prefix="night-002/images")
    found = bench.open().diff_path("pets", night(bench, 2), append=True, options=options)
    assert [change.id for change in found] == [
        "night-002/images/cat/1.jpg", "night-002/images/dog/1.jpg"
    ]  # fmt: skip
    assert list(bench.open().diff_path("pets", bench.folder / "lake")) != []
    add(bench, 2)
    assert list(bench.open().diff_path("pets", bench.folder / "lake")) == []


@pytest.mark.parametrize("whole", [False, True])
def test_labels_name_ids_with_the_prefix_or_without(bench: Bench, whole: bool) -> None:
    data = night(bench, 1)
    prefix = "night-001/images/"
    labels = bench.folder / "labels.jsonl"
    rows = [
        {"id": f"{prefix if whole else ''}{kind}/1.jpg", "label": kind} for kind in ("cat", "dog")
    ]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    bench.ingest(data, labels=labels, options=ReadOptions(prefix=prefix, label="none"))
    assert bench.open().verify("pets").entries["label"].to_pylist() == ["cat", "dog"]


def test_labels_that_name_ids_in_both_ways_are_refused(bench: Bench) -> None:
    data = night(bench, 1)
    labels = bench.folder / "labels.jsonl"
    labels.write_text('{"id": "n/cat/1.jpg", "label": "a"}\n{"id": "dog/1.jpg", "label": "b"}\n')
    with pytest.raises(UsageError, match=r"only some ids .* 'n/cat/1\.jpg'"):
        bench.ingest(data, labels=labels, options=ReadOptions(prefix="n", label="none"))


def test_labels_and_splits_go_by_the_whole_id(bench: Bench) -> None:
    """As they do when the lake is read: else it would not verify."""
    data = bench.write("cats", {"1.jpg": "a cat"})
    bench.ingest(data, options=ReadOptions(prefix="train/cat", label="dir", split="dir"))
    (entry,) = bench.open().verify("pets").entries.to_pylist()
    assert (entry["id"], entry["label"], entry["split"]) == ("train/cat/1.jpg", "cat", "train")
    shutil.copytree(data, bench.folder / "lake/train/cat")
    bench.open().verify("pets", data=[bench.folder / "lake"])


def test_patterns_go_by_the_whole_id(bench: Bench) -> None:
    data = bench.write("night", {"cat/1.jpg": "a cat", "cat/labels.csv": "x", "old/2.jpg": "old"})
    options = ReadOptions(prefix="n1", include=("/n1/*/*.jpg",), exclude=("n1/old/",))
    bench.ingest(data, options=options)
    assert bench.open().verify("pets").entries["id"].to_pylist() == ["n1/cat/1.jpg"]


@pytest.mark.parametrize("pattern", ["n1/", "/n1/**", "n1", "n*/images"])
def test_a_prefix_that_a_pattern_excludes_is_refused(bench: Bench, pattern: str) -> None:
    options = ReadOptions(prefix="n1/images", exclude=(pattern,))
    with pytest.raises(UsageError, match="patterns of --exclude leave out"):
        bench.ingest(bench.pets(), options=options)


def test_one_file_and_several_folders_have_the_prefix_too(bench: Bench) -> None:
    bench.write("lake/n", {"a/1.jpg": "1", "b/1.jpg": "2", "3.jpg": "3"})
    lake = bench.folder / "lake"
    paths = [lake / "n" / name for name in ("a", "b", "3.jpg")]
    bench.ingest(*paths, options=ReadOptions(prefix="n/", label="none"))
    bench.open().verify("pets", data=[lake])


def test_a_night_that_was_ingested_already_changes_nothing(bench: Bench) -> None:
    add(bench, 1)
    assert add(bench, 1).head is None


def test_the_same_folder_under_another_prefix_is_not_taken_for_unchanged(bench: Bench) -> None:
    """Attack on oneself: what is remembered of a folder is remembered of its ids, too."""
    data = night(bench, 1)
    bench.ingest(data, options=ReadOptions(prefix="n1"))
    with pytest.raises(UsageError, match="would be removed"):
        bench.ingest(data, options=ReadOptions(prefix="n2"))


def test_without_append_samples_outside_of_the_prefix_are_not_removed_unasked(bench: Bench) -> None:
    add(bench, 1)
    with pytest.raises(
        UsageError, match=r"2 samples of pets@1 are not below 'night-002/'"
    ) as caught:
        bench.ingest(night(bench, 2), options=ReadOptions(prefix="night-002/"))
    assert "--append" in caught.value.hint
    # What lies below it is everything that the folder holds.
    (bench.folder / "lake/night-001/images/cat/1.jpg").unlink()
    outcome = bench.ingest(
        bench.folder / "lake/night-001/images", options=ReadOptions(prefix="night-001/images")
    )
    assert outcome.changes["removed"] == 1


def test_names_that_are_one_file_elsewhere_are_refused_across_batches(bench: Bench) -> None:
    bench.ingest(bench.write("a", {"cat/1.jpg": "1"}), options=ReadOptions(prefix="night"))
    with pytest.raises(InputError, match="same file on some systems"):
        bench.ingest(
            bench.write("b", {"CAT/1.jpg": "2"}), append=True, options=ReadOptions(prefix="Night")
        )


@pytest.mark.parametrize(
    "prefix",
    ["", "/", "/etc", "//", "a//b", ".", "./a", "a/.", "..", "../a", "a/../b", "a/b//", ".git/x",
     "a/.hidden", "Thumbs.db/x", "a\\b", "a\x1b[2J", "a\u202eb", "a\0b", "a/" * 250],
)  # fmt: skip
def test_a_prefix_that_no_folder_has_is_refused(bench: Bench, prefix: str) -> None:
    with pytest.raises(UsageError):
        bench.ingest(bench.pets(), options=ReadOptions(prefix=prefix))
    assert bench.open().workspace.versions.numbers("pets") == []


def test_a_prefix_that_is_not_utf8_is_refused(bench: Bench) -> None:
    with pytest.raises(UsageError):
        Ingestion("pets", (bench.pets(),), options=ReadOptions(prefix="a\udcff"))


def test_ids_with_the_prefix_that_are_too_long_are_refused(bench: Bench) -> None:
    with pytest.raises(InputError, match="longer than 4096 bytes"):
        bench.ingest(bench.pets(), options=ReadOptions(prefix="/".join(["x" * 200] * 21)))


def test_only_files_have_a_prefix(bench: Bench) -> None:
    table = bench.folder / "t.csv"
    table.write_text("id,x\n1,2\n")
    with pytest.raises(UsageError, match="--prefix is for ids that are paths of files"):
        bench.ingest(table, options=ReadOptions(prefix="n1"))


def test_the_lake_with_a_swapped_night_does_not_verify(bench: Bench) -> None:
    for number in (1, 2):
        add(bench, number)
    lake = bench.folder / "lake"
    (lake / "night-001").rename(lake / "x")
    (lake / "night-002").rename(lake / "night-001")
    (lake / "x").rename(lake / "night-002")
    with pytest.raises(NotTrustedError, match="not as pets@2 signs") as caught:
        bench.open().verify("pets", data=[lake])
    assert {finding.kind for finding in caught.value.findings} == {"changed"}


def test_the_message_for_paths_of_one_name_tells_the_way_out(bench: Bench) -> None:
    paths = [night(bench, 1), night(bench, 2)]
    with pytest.raises(UsageError, match="several paths are named 'images'") as caught:
        bench.ingest(*paths)
    assert "--append --prefix" in caught.value.hint
