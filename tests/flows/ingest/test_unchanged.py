"""Ingesting again what nobody touched."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from provreg.errors import NotTrustedError, RevokedError
from provreg.flows.ingest import draft as drafting
from provreg.flows.ingest import unchanged
from provreg.flows.ingest.request import Ingestion

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Bench


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows with each ingestion that looks into its data."""
    calls: list[object] = []
    real = drafting.read_new

    def counting(*arguments: object, **options: object) -> object:
        calls.append(arguments)
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(drafting, "read_new", counting)
    return calls


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes files of this moment count as settled."""
    real = time.time_ns
    return lambda: monkeypatch.setattr(time, "time_ns", lambda: real() + 3600 * 10**9)


@pytest.fixture
def settled(bench: Bench, read: list[object], later: Callable[[], None]) -> Path:
    """Data that were ingested twice, long after they were touched."""
    data = bench.pets()
    later()
    bench.ingest(data)
    bench.ingest(data)
    read.clear()
    return data


def test_data_that_nobody_touched_are_not_looked_into(
    bench: Bench, settled: Path, read: list[object]
) -> None:
    outcome = bench.ingest(settled, source="somebody else", labeler="another")
    assert (outcome.head, outcome.samples, outcome.reused, read) == (None, 6, 6, [])
    assert set(outcome.changes.values()) == {0}


def test_what_is_left_out_is_still_said(
    bench: Bench, read: list[object], later: Callable[[], None]
) -> None:
    data = bench.pets(cat__DOT=b"x")
    (data / "cat/DOT").rename(data / "cat/.hidden")
    later()
    said = [bench.ingest(data).left_out for _ in range(3)]
    assert said == [{"hidden": 1}] * 3
    assert len(read) == 1


def test_data_of_a_first_version_are_not_looked_into_again(
    bench: Bench, read: list[object], later: Callable[[], None]
) -> None:
    data = bench.pets()
    later()
    bench.ingest(data)
    outcome = bench.ingest(data)
    assert (outcome.head, outcome.reused, len(read)) == (None, 6, 1)


@pytest.mark.parametrize(
    "touch",
    [
        lambda data: (data / "cat/1.jpg").write_bytes(b"pictura 1"),
        lambda data: (data / "cat/1.jpg").unlink(),
        lambda data: (data / "cat/1.jpg").rename(data / "cat/11.jpg"),
        lambda data: (data.parent / "elsewhere.jpg").rename(data / "cat/moved.jpg"),
        lambda data: (data.parent / "owls").rename(data / "owl"),
        lambda data: (data / "cat").rename(data.parent / "away"),
        lambda data: (data.rename(data.parent / "away"), (data.parent / "other").rename(data)),
    ],
    ids=["edited", "removed", "renamed", "moved in", "folder in", "folder out", "all replaced"],
)
def test_what_was_touched_after_a_first_version_read_it_is_published(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, touch: Callable[[Path], object]
) -> None:
    data = bench.pets()
    bench.write("", {"elsewhere.jpg": b"moved", "owls/1.jpg": b"owl"})
    bench.pets("other", count=4)
    # A file system's clock may be some milliseconds behind.
    monkeypatch.setattr(unchanged, "SETTLED_NS", 20_000_000)
    time.sleep(0.03)
    _after_reading(monkeypatch, lambda: touch(data))
    bench.ingest(data)
    outcome = bench.ingest(data)
    assert outcome.head is not None
    assert any(outcome.changes.values())


def test_link_that_leads_elsewhere_after_a_first_version_read_it_is_followed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, data, other = bench.folder / "link", bench.pets(), bench.pets("other", count=4)
    link.symlink_to(data)
    monkeypatch.setattr(unchanged, "SETTLED_NS", 20_000_000)
    time.sleep(0.03)

    def lead_elsewhere() -> None:
        link.unlink()
        link.symlink_to(other)

    _after_reading(monkeypatch, lead_elsewhere)
    bench.ingest(link, name="pets")
    assert bench.ingest(link, name="pets").changes["removed"] == 2


def _after_reading(monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]) -> None:
    """Does something once, right after data were read for the first time."""
    real = drafting.read_new

    def reading(*arguments: object, **options: object) -> object:
        found = real(*arguments, **options)  # type: ignore[arg-type]
        monkeypatch.setattr(drafting, "read_new", real)
        then()
        return found

    monkeypatch.setattr(drafting, "read_new", reading)


@pytest.mark.parametrize(
    "touch",
    [
        lambda data: (data / "cat/1.jpg").write_bytes(b"pictura 1"),
        lambda data: (data / "cat/1.jpg").unlink(),
        lambda data: (data / "cat/1.jpg").rename(data / "cat/11.jpg"),
        lambda data: (data / "cat/1.jpg").rename(data / "dog/1.jpg"),
        lambda data: (data / "cat/new.jpg").write_bytes(b"new"),
        lambda data: (data / "cat/link.jpg").symlink_to("1.jpg"),
    ],
    ids=["edited", "removed", "renamed", "moved", "added", "linked"],
)
def test_what_was_touched_is_published(
    bench: Bench, settled: Path, touch: Callable[[Path], object]
) -> None:
    touch(settled)
    outcome = bench.ingest(settled)
    assert outcome.head is not None
    assert any(outcome.changes.values())
    assert bench.open().verify("pets", data=[settled]).head.version == 2


def test_in_place_edit_with_restored_mtime_is_not_taken_for_unchanged(
    bench: Bench, settled: Path
) -> None:
    path = settled / "cat/1.jpg"
    before = path.stat()
    path.write_bytes(b"pictura 1")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert bench.ingest(settled).changes["modified"] == 1


def test_files_touched_a_moment_ago_are_looked_into_again(bench: Bench, read: list[object]) -> None:
    data = bench.pets()
    for _ in range(3):
        bench.ingest(data)
    assert len(read) == 3


def test_the_newest_version_is_verified_although_nothing_changed(
    bench: Bench, settled: Path
) -> None:
    head = bench.open().verify("pets").head
    bench.overwrite(bench.object(head.parts[0].file), b"other bytes")
    with pytest.raises(NotTrustedError) as caught:
        bench.ingest(settled)
    assert "no version of pets verifies" in caught.value.message


def test_a_revoked_version_is_not_continued_although_nothing_changed(
    bench: Bench, settled: Path
) -> None:
    registry = bench.open(revoke=["alice"])
    registry.revoke("pets@1", "poisoned", bench.signer())
    with pytest.raises(RevokedError):
        registry.ingest(Ingestion("pets", (settled,)), bench.signer())


def test_files_of_an_older_version_are_looked_into_when_a_newer_one_exists(
    bench: Bench, settled: Path, read: list[object]
) -> None:
    bench.ingest(bench.pets("more", count=8))
    read.clear()
    outcome = bench.ingest(settled)
    assert outcome.changes["removed"] == 2
    assert len(read) == 1


def test_another_way_to_read_looks_into_the_data(
    bench: Bench, settled: Path, read: list[object]
) -> None:
    assert bench.ingest(settled, rehash=True).head is None
    labels = bench.write("labels", {"labels.csv": "id,label\ncat/1.jpg,lion\n"}) / "labels.csv"
    assert bench.ingest(settled, labels=labels).changes["relabeled"] == 1
    assert len(read) == 2
    # Without the file the folders say the labels again.
    assert bench.ingest(settled).changes["relabeled"] == 1


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"{}", b'{"files":1}', b"x" * (1 << 17)])
def test_a_damaged_memory_is_none(
    bench: Bench, settled: Path, read: list[object], garbage: bytes
) -> None:
    (memory,) = (bench.open().workspace.cache / "unchanged").iterdir()
    memory.write_bytes(garbage)
    assert bench.ingest(settled).head is None
    assert len(read) == 1


def test_a_registry_inside_the_data_does_not_count_as_data(
    bench: Bench, settled: Path, read: list[object], later: Callable[[], None]
) -> None:
    bench.registry.rename(settled / ".provreg")
    bench.registry.symlink_to(settled / ".provreg")
    for _ in range(2):
        bench.ingest(settled)
    (settled / ".provreg/more").write_bytes(b"")
    read.clear()
    assert bench.ingest(settled).head is None
    assert read == []
