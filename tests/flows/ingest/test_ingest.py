"""Ingestion and publication: what a next version is, and when there is none."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provreg.errors import InputError, NotFoundError, NotTrustedError, StorageError, UsageError
from provreg.flows.ingest.request import Ingestion
from provreg.readers.api import ReadOptions
from provreg.store.private.checked import CheckedHeads

if TYPE_CHECKING:
    from provreg.flows.ingest.publish import Outcome
    from tests.conftest import Bench


def counts(outcome: Outcome) -> dict[str, int]:
    return {kind: count for kind, count in outcome.changes.items() if count}


def entries(bench: Bench, reference: str = "pets") -> dict[str, dict[str, Any]]:
    table = bench.open().verify(reference).entries
    return {entry["id"]: entry for entry in table.to_pylist()}


def labels(bench: Bench, rows: Mapping[str, Mapping[str, Any]]) -> Path:
    path = bench.folder / "labels.jsonl"
    path.write_text("".join(json.dumps({"id": name, **row}) + "\n" for name, row in rows.items()))
    return path


def test_a_first_version(bench: Bench) -> None:
    outcome = bench.ingest(bench.pets(), labeler="ann", message="first")
    head = outcome.head
    assert head is not None
    assert (head.version, head.parent, head.samples) == (1, None, 6)
    assert (head.classes, head.label_type, head.message) == (("cat", "dog"), "class", "first")
    assert head.changes["injected"] == 6
    assert (head.sources.top, head.labelers.top) == ((("shelter", 6),), (("ann", 6),))
    assert outcome.digest == head.digest() == bench.open().verify("pets").digest


def test_every_kind_of_change_in_one_version(bench: Bench) -> None:
    data = bench.pets(count=8)
    bench.ingest(data, labeler="ann")
    (data / "cat/1.jpg").write_bytes(b"modified")
    (data / "cat/3.jpg").unlink()
    (data / "cat/5.jpg").rename(data / "dog/5.jpg")
    (data / "dog/0.jpg").rename(data / "dog/zero.jpg")
    bench.write("pets", {"cat/new.jpg": b"new"})
    outcome = bench.ingest(data, source="web", labeler="ben")
    assert counts(outcome) == {
        "injected": 1, "removed": 1, "modified": 1, "renamed": 2, "relabeled": 1,
    }  # fmt: skip
    assert outcome.head is not None
    assert {k: n for k, n in outcome.head.changes.items() if n} == counts(outcome)
    found = entries(bench)
    said = {name: (found[name]["source"], found[name]["labeler"]) for name in found}
    # What is kept keeps its origin; what is brought or relabeled gets the new one.
    assert said["cat/7.jpg"] == ("shelter", "ann")
    assert said["cat/1.jpg"] == ("web", "ann")
    assert said["dog/5.jpg"] == ("shelter", "ben")
    assert said["dog/zero.jpg"] == ("shelter", "ann")
    assert said["cat/new.jpg"] == ("web", "ben")


def test_nothing_changed_publishes_nothing(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    before = bench.files()
    outcome = bench.ingest(data, source="another", message="again")
    assert (outcome.head, outcome.digest, sum(outcome.changes.values())) == (None, None, 0)
    assert bench.files() == before


@pytest.mark.parametrize(("first", "then"), [(None, "key"), ("key", "text")])
def test_ids_from_elsewhere_do_not_replace_every_sample(
    bench: Bench, first: str | None, then: str
) -> None:
    data = bench.folder / "chats.jsonl"
    data.write_text('{"key": "a", "text": "x"}\n{"key": "b", "text": "y"}\n')
    bench.ingest(data, name="chats", options=ReadOptions(id=first))
    with pytest.raises(UsageError, match="every sample would be removed and injected") as caught:
        bench.ingest(data, name="chats", options=ReadOptions(id=then))
    assert "omit --id" in caught.value.hint
    assert "another --name" in caught.value.hint
    data.write_text('{"key": "a", "text": "x"}\n{"key": "b", "text": "z"}\n')
    outcome = bench.ingest(data, name="chats")
    assert outcome.head is not None


def test_a_dry_run_says_the_same_and_changes_nothing(bench: Bench) -> None:
    bench.ingest(bench.pets())
    before = bench.files()
    ingestion = Ingestion("pets", (bench.pets("more", count=9),), source="web")
    outcome = bench.open().dry_run(ingestion)
    assert (outcome.head, outcome.digest) == (None, None)
    assert counts(outcome) == {"injected": 3}
    assert bench.files() == before


def test_a_dry_run_of_a_first_version_needs_no_signer(bench: Bench) -> None:
    outcome = bench.open().dry_run(Ingestion("pets", (bench.pets(),), source="web"))
    assert counts(outcome) == {"injected": 6}
    assert bench.open().workspace.versions.numbers("pets") == []


def test_a_sample_without_a_source_is_refused_by_name(bench: Bench) -> None:
    with pytest.raises(InputError, match="no source") as caught:
        bench.ingest(bench.pets(), source=None)
    assert caught.value.sample == "cat/1.jpg"
    assert "--source" in caught.value.hint
    assert bench.files().keys() == {"provreg.json"}


def test_samples_that_are_kept_need_no_source_again(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    (data / "cat/1.jpg").unlink()
    assert bench.ingest(data, source=None).head is not None


def test_append_removes_nothing(bench: Bench) -> None:
    bench.ingest(bench.pets())
    more = bench.write("more", {"cat/new.jpg": b"new", "cat/1.jpg": b"picture 1"})
    outcome = bench.ingest(more, append=True, source="web")
    assert counts(outcome) == {"injected": 1}
    found = entries(bench)
    assert len(found) == 7
    assert (found["cat/1.jpg"]["source"], found["cat/new.jpg"]["source"]) == ("shelter", "web")


@pytest.mark.parametrize("name", ["cat/1.jpg"])
def test_append_refuses_other_content_unless_told_to_replace(bench: Bench, name: str) -> None:
    bench.ingest(bench.pets(), labeler="ann")
    more = bench.write("more", {name: b"other"})
    with pytest.raises(InputError) as caught:
        bench.ingest(more, append=True)
    assert caught.value.sample == name
    assert "--replace" in caught.value.hint
    outcome = bench.ingest(more, append=True, replace=True, source="web", labeler="ben")
    assert counts(outcome) == {"modified": 1}
    assert (entries(bench)[name]["source"], entries(bench)[name]["labeler"]) == ("web", "ann")


def test_replace_without_append_is_a_contradiction(bench: Bench) -> None:
    with pytest.raises(UsageError, match="--append"):
        bench.ingest(bench.pets(), replace=True)


def test_an_appended_copy_does_not_inherit_the_origin_of_what_it_copies(bench: Bench) -> None:
    """The copied sample stays: its copy is injected by who appends it, and not a rename."""
    bench.ingest(bench.pets(), labeler="ann", source="shelter")
    copy = bench.write("copy", {"cat/copy.jpg": b"picture 1", "dog/flipped.jpg": b"picture 3"})
    outcome = bench.ingest(copy, append=True, source="web", labeler="mallory")
    assert counts(outcome) == {"injected": 2}
    for name in ("cat/copy.jpg", "dog/flipped.jpg"):
        entry = entries(bench)[name]
        assert (entry["source"], entry["labeler"]) == ("web", "mallory")


def test_appending_the_rest_of_a_labeled_dataset_keeps_it_verifiable(bench: Bench) -> None:
    """Labels a labels file gave once are not asked of the data after an append without it."""
    data = bench.pets()
    bench.ingest(data, labels=labels(bench, {"cat/1.jpg": {"label": "tiger"}}))
    more = bench.write("more", {"dog/new.jpg": b"new"})
    bench.ingest(more, append=True)
    bench.write("pets", {"dog/new.jpg": b"new"})
    assert entries(bench)["cat/1.jpg"]["label"] == "tiger"
    assert bench.open().verify("pets", data=[data]).head.version == 2


def test_a_labels_file_speaks_per_sample_and_overrides(bench: Bench) -> None:
    said = labels(
        bench,
        {
            "cat/1.jpg": {"label": "tiger", "labeler": "zoe", "source": "zoo",
                          "labeled_at": "2026-01-02T03:04:05Z", "split": "test",
                          "attrs": {"b": 1, "a": [2]}},
            "dog/0.jpg": {"labeler": "zoe"},
        },
    )  # fmt: skip
    data = bench.pets()
    bench.ingest(data, labels=said, labeler="ann")
    found = entries(bench)
    entry = found["cat/1.jpg"]
    assert [entry[name] for name in ("label", "labeler", "source", "split", "attrs")] == [
        "tiger", "zoe", "zoo", "test", '{"a":[2],"b":1}',
    ]  # fmt: skip
    assert entry["labeled_at"].isoformat() == "2026-01-02T03:04:05+00:00"
    assert (found["dog/0.jpg"]["label"], found["dog/0.jpg"]["labeler"]) == ("dog", "zoe")
    assert (found["dog/2.jpg"]["label"], found["dog/2.jpg"]["labeler"]) == ("dog", "ann")
    # The data say "cat": that is no finding, as labels come from the file.
    bench.open().verify("pets", data=[data])


def test_a_labels_file_of_unknown_samples_is_refused(bench: Bench) -> None:
    said = labels(bench, {"cat/9.jpg": {"label": "x"}})
    with pytest.raises(InputError) as caught:
        bench.ingest(bench.pets(), labels=said)
    assert caught.value.sample == "cat/9.jpg"


def test_labels_the_data_do_not_tell_are_inherited(bench: Bench) -> None:
    data = bench.write("pets", {"1": b"1", "2": b"2"})
    names = labels(bench, {"1": {"label": "cat", "split": "train"}, "2": {"label": "dog"}})
    bench.ingest(data, options=ReadOptions(label="none"), labels=names, labeler="ann")
    bench.write("pets", {"3": b"3"})
    assert counts(bench.ingest(data, labeler="ben")) == {"injected": 1}
    found = entries(bench)
    assert [found[name]["label"] for name in "123"] == ["cat", "dog", None]
    assert [found[name]["labeler"] for name in "12"] == ["ann", "ann"]
    assert found["1"]["split"] == "train"


def test_splits_from_folders_and_resplit(bench: Bench) -> None:
    data = bench.write("pets", {"train/cat/1": b"1", "test/cat/2": b"2"})
    bench.ingest(data, options=ReadOptions(split="dir"))
    assert {name: entry["split"] for name, entry in entries(bench).items()} == {
        "train/cat/1": "train", "test/cat/2": "test",
    }  # fmt: skip
    (data / "train/cat/1").rename(data / "test/cat/1")
    assert counts(bench.ingest(data)) == {"renamed": 1, "resplit": 1}


def test_several_paths_keep_their_names_apart(bench: Bench) -> None:
    paths = [bench.write("one", {"cat/1": b"1"}), bench.write("two", {"cat/1": b"2"})]
    bench.ingest(*paths)
    assert sorted(entries(bench)) == ["one/cat/1", "two/cat/1"]
    bench.open().verify("pets", data=paths)


def test_the_registry_among_the_data_is_no_data(bench: Bench) -> None:
    bench.pets("data/pets")
    registry = bench.registry.rename(bench.folder / "data/registry")
    bench.registry.symlink_to(registry)
    outcome = bench.ingest(bench.folder / "data")
    assert outcome.head is not None
    assert outcome.head.samples == 6
    assert outcome.head.reading["left_out"]["registry"] == 1
    bench.open().verify("pets", data=[bench.folder / "data"])


def test_data_of_another_kind_are_refused(bench: Bench) -> None:
    bench.ingest(bench.pets())
    (bench.folder / "rows.csv").write_text("text\nx\n", "utf-8")
    with pytest.raises(UsageError, match="read as folder"):
        bench.ingest(bench.folder / "rows.csv")


def test_what_is_not_there_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFoundError):
        bench.ingest(bench.folder / "nowhere")
    with pytest.raises(InputError, match="no samples"):
        bench.ingest(bench.write("empty", {".hidden": b""}))


def test_a_sample_that_cannot_be_taken_in_publishes_nothing(bench: Bench) -> None:
    data = bench.pets()
    (data / "cat/link").symlink_to("/etc/hostname")
    with pytest.raises(InputError) as caught:
        bench.ingest(data)
    assert caught.value.sample == "cat/link"
    assert bench.files().keys() == {"provreg.json"}


ROWS = [
    {"key": "a", "text": "one", "n": 1, "label": "x"},
    {"key": "b", "text": None, "n": 2, "label": "y"},
    {"key": "c", "text": "three, or so", "n": -3, "label": "y"},
]


def rows_as(bench: Bench, suffix: str, rows: list[dict[str, Any]]) -> Path:
    path = bench.folder / f"rows.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == "csv":
        lines = [",".join(rows[0])]
        for row in rows:
            cells = ("" if v is None else f'"{v}"' if "," in str(v) else str(v)
                     for v in row.values())  # fmt: skip
            lines.append(",".join(cells))
        path.write_text("\n".join(lines) + "\n", "utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


TABLE = ReadOptions(id="key", label="label")


@pytest.mark.parametrize("first", ["jsonl", "parquet", "csv"])
def test_the_same_rows_in_another_format_change_nothing(bench: Bench, first: str) -> None:
    from provreg.core.rows.column import INT

    how = ReadOptions(id="key", label="label", types={"n": INT}) if first == "csv" else TABLE
    bench.ingest(rows_as(bench, first, ROWS), options=how)
    for suffix in ("csv", "jsonl", "parquet"):
        outcome = bench.ingest(rows_as(bench, suffix, ROWS[::-1]))
        assert (outcome.head, counts(outcome)) == (None, {}), suffix
        bench.open().verify("pets", data=[bench.folder / f"rows.{first}"])


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_new_column_is_refused(bench: Bench, suffix: str) -> None:
    bench.ingest(rows_as(bench, suffix, ROWS), options=TABLE)
    with pytest.raises(InputError, match="evil"):
        bench.ingest(rows_as(bench, suffix, [row | {"evil": 1} for row in ROWS]))


def test_a_row_that_does_not_fit_the_schema_is_refused_by_row(bench: Bench) -> None:
    bench.ingest(rows_as(bench, "jsonl", ROWS), options=TABLE)
    with pytest.raises(InputError, match="row 2"):
        bench.ingest(rows_as(bench, "jsonl", [ROWS[0], ROWS[1] | {"n": "two"}]))


def test_rows_without_ids_are_named_by_content(bench: Bench) -> None:
    rows = [
        {"text": "one", "label": "x"},
        {"text": "one", "label": "y"},
        {"text": "two", "label": "x"},
    ]
    path = rows_as(bench, "jsonl", rows)
    bench.ingest(path, options=ReadOptions(label="label"))
    bench.open().verify("pets", data=[path])
    path = rows_as(bench, "jsonl", rows[::-1])
    assert bench.ingest(path).head is None


def test_origin_columns_speak_per_row(bench: Bench) -> None:
    rows = [row | {"who": f"p{n}", "from": f"s{n}"} for n, row in enumerate(ROWS)]
    how = ReadOptions(id="key", label="label", source_column="from", labeler_column="who")
    bench.ingest(rows_as(bench, "jsonl", rows), options=how, source=None)
    assert [(e["source"], e["labeler"]) for e in entries(bench).values()] == [
        ("s0", "p0"), ("s1", "p1"), ("s2", "p2"),
    ]  # fmt: skip


def test_a_class_set_that_became_text_still_verifies(bench: Bench) -> None:
    """A long label makes labels texts for good, also when it is gone again."""
    path = rows_as(bench, "jsonl", [ROWS[0], ROWS[1] | {"label": "y" * 2000}])
    assert bench.ingest(path, options=TABLE).head.label_type == "text"
    head = bench.ingest(rows_as(bench, "jsonl", ROWS[:2])).head
    assert head.label_type == "text"
    bench.forget()
    assert bench.open().verify("pets").head == head


def test_the_parents_part_files_are_used_again(bench: Bench) -> None:
    rows = [{"key": f"{n:06}", "text": f"{n}"} for n in range(100_000)]
    one = bench.ingest(rows_as(bench, "jsonl", rows), options=ReadOptions(id="key")).head
    assert len(one.parts) >= 2
    rows[0]["text"] = "changed"
    files = bench.files()
    two = bench.ingest(rows_as(bench, "jsonl", rows)).head
    assert [old == new for old, new in zip(one.parts, two.parts, strict=True)].count(False) == 1
    # Part, block list, head, bundle, record: nothing else was written.
    assert len(bench.files().keys() - files.keys()) == 5


@pytest.mark.parametrize("damage", ["lost", "overwritten"])
def test_without_the_parents_list_of_blocks_all_entries_are_hashed(
    bench: Bench, damage: str
) -> None:
    one = bench.ingest(bench.pets()).head
    blocks = bench.object(one.parts[0].blocks)
    if damage == "lost":
        blocks.unlink()
    else:
        bench.overwrite(blocks, b"another list")
    two = bench.ingest(bench.pets(count=8)).head
    bench.forget("PROVREG_CACHE")
    assert bench.open().verify("pets").head == two


def test_the_parent_is_the_last_verified_number_and_gaps_are_allowed(bench: Bench) -> None:
    one = bench.ingest(bench.pets())
    bench.ingest(bench.pets("other", count=8), by="mallory", trusting=["alice"])
    bench.forget("PROVREG_STATE")  # that was another user's
    bench.overwrite(bench.record(5), b"squatted")
    outcome = bench.ingest(bench.pets("more", count=10))
    assert outcome.head is not None
    assert (outcome.head.version, outcome.head.parent) == (6, one.digest)
    assert [number.number for number in outcome.passed_over] == [5, 2]
    assert all(number.reason for number in outcome.passed_over)


def test_without_a_version_that_verifies_nothing_is_published(bench: Bench) -> None:
    bench.ingest(bench.pets(), by="mallory")
    with pytest.raises(NotTrustedError, match="no version") as caught:
        bench.ingest(bench.pets("more", count=10))
    assert caught.value.hint
    assert bench.open().workspace.versions.numbers("pets") == [1]


def test_a_file_the_stat_cache_was_wrong_about_is_right_after_a_rehash(bench: Bench) -> None:
    import numpy as np

    data = bench.pets()
    bench.ingest(data)
    workspace = bench.open().workspace
    cache = workspace.stat_cache([data])
    found = sorted((data / "cat").iterdir())
    stats = np.array([[s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns]
                      for s in (path.stat() for path in found)], np.uint64)  # fmt: skip
    later = int(stats[:, 3:].max()) + 10**10
    assert cache.record(stats, np.zeros((len(found), 32), np.uint8), read_at_ns=later)
    wrong = bench.open().dry_run(Ingestion("pets", (data,), source="x"), bench.signer())
    assert counts(wrong) == {"modified": 3}
    assert wrong.reused == 3
    assert bench.ingest(data, rehash=True).head is None


def sha256s(bench: Bench, reference: str = "pets") -> list[bytes | None]:
    found: list[bytes | None] = bench.open().verify(reference).entries["content_sha256"].to_pylist()
    return found


def of_files(data: Path) -> list[bytes]:
    files = sorted(path for path in data.rglob("*") if path.is_file())
    return [hashlib.sha256(path.read_bytes()).digest() for path in files]


def test_later_versions_keep_taking_sha256(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data, options=ReadOptions(sha256=True))
    assert sha256s(bench) == of_files(data)
    bench.write("pets", {"cat/1.jpg": b"other", "cat/new.jpg": b"new"})
    (data / "dog/0.jpg").rename(data / "dog/renamed.jpg")
    assert bench.ingest(data).head is not None
    assert sha256s(bench) == of_files(data)
    new = bench.write("new", {"cat/appended.jpg": b"appended"})
    bench.ingest(new, append=True)
    assert hashlib.sha256(b"appended").digest() in sha256s(bench)
    assert None not in sha256s(bench)


def test_sha256_asked_for_later_is_taken_of_every_file(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    assert set(sha256s(bench)) == {None}
    outcome = bench.ingest(data, options=ReadOptions(sha256=True))
    assert counts(outcome) == {"reattributed": 6}
    assert sha256s(bench) == of_files(data)
    assert bench.ingest(data).head is None


@pytest.mark.parametrize("sha256", [True, False])
def test_stat_cache_gives_no_digest_without_the_sha256_that_is_asked_for(
    bench: Bench, sha256: bool
) -> None:
    """One ingestion fills the cache with SHA-256 or without; the other kind takes nothing of it."""
    data = bench.pets()
    for path in data.rglob("*"):
        os.utime(path, (1, 1))
    first, second = ReadOptions(sha256=not sha256), ReadOptions(sha256=sha256)
    with an_hour_later():
        bench.ingest(data, name="one", options=first)
        outcome = bench.ingest(data, name="two", options=second)
        assert outcome.reused == 0
        assert bench.ingest(data, name="three", options=first).reused == 6
        again = bench.ingest(data, name="four", options=second)
    assert again.reused == 6
    assert sha256s(bench, "four") == (of_files(data) if sha256 else [None] * 6)


@contextmanager
def an_hour_later() -> Iterator[None]:
    """Lets files of this moment count as settled, which the stat cache remembers."""
    real = time.time_ns
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: real() + 3600 * 10**9)
        yield


def test_sha256_of_a_table_is_refused(bench: Bench) -> None:
    rows = bench.folder / "rows.jsonl"
    rows.write_text('{"text": "a"}\n', "utf-8")
    with pytest.raises(UsageError, match="--sha256 means nothing to the reader"):
        bench.ingest(rows, options=ReadOptions(sha256=True))


def test_a_version_the_policy_does_not_trust_does_not_keep_its_publisher_from_continuing(
    bench: Bench,
) -> None:
    data = bench.pets()
    bench.ingest(data)
    bench.write("pets", {"cat/new.jpg": b"new"})
    stranger = bench.ingest(data, by="mallory", trusting=("alice",))
    assert stranger.head is not None
    bench.forget()
    again = bench.ingest(data)
    assert again.head is not None
    assert again.head.version == 3
    assert [one.number for one in again.passed_over] == [2]


def test_a_head_that_cannot_be_kept_as_checked_is_not_published(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("no space left")

    monkeypatch.setattr(CheckedHeads, "add", full)
    before = bench.files()
    with pytest.raises(StorageError, match="no space left"):
        bench.ingest(bench.pets())
    assert bench.files() == before
