"""Ingestion of a list of URLs: what is downloaded, what of it is signed, and what may fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from blake3 import blake3
from file_server import FileServer, in_turn, serving, status
from pictures import jpeg

from provreg.errors import InputError, NotFetchedError, NotTrustedError, UsageError
from provreg.flows.ingest import unchanged
from provreg.flows.ingest.request import Fetch
from provreg.loaders.load import load
from provreg.readers.api import ReadOptions
from provreg.readers.web.bounds import Bounds
from provreg.readers.web.picture import is_hash

if TYPE_CHECKING:
    from provreg.flows.ingest.publish import Outcome
    from tests.conftest import Bench

HASTY = Bounds(most=1 << 20, tries=1, private=True)
KEYED = ReadOptions(id="key")


@pytest.fixture
def web() -> Iterator[FileServer]:
    with serving() as server:
        server.files |= {f"{n}.jpg": jpeg(n) for n in range(6)}
        yield server


def rows_of(web: FileServer, *numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"key": f"{n}.jpg", "url": web.url(f"{n}.jpg"), "caption": f"picture {n}", **more}
        for n in numbers
    ]


def listed(bench: Bench, rows: list[dict[str, Any]]) -> Path:
    path = bench.folder / "list.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def fetch(
    bench: Bench,
    rows: list[dict[str, Any]],
    how: ReadOptions = KEYED,
    *,
    failures: int = 0,
    bounds: Bounds = HASTY,
    **options: Any,
) -> Outcome:
    wanted = Fetch(bench.folder / "files", failures=failures, bounds=bounds)
    return bench.ingest(listed(bench, rows), options=how, fetch=wanted, **options)


def entries(bench: Bench) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in bench.open().verify("pets").entries.to_pylist()}


def test_what_was_downloaded_is_signed_with_where_it_came_from(
    bench: Bench, web: FileServer
) -> None:
    web.files["5.jpg"] = b"no picture"
    how = ReadOptions(id="key", label="caption", split="part")
    outcome = fetch(bench, rows_of(web, 0, 5, part="train"), how, labeler="alt texts")
    assert outcome.fetched is not None
    assert outcome.fetched.downloaded == 2
    found = entries(bench)
    one = found["0.jpg"]
    assert one["content"] == blake3(jpeg(0)).digest()
    assert (one["size"], one["uri"]) == (len(jpeg(0)), web.url("0.jpg"))
    assert (one["label"], one["split"], one["labeler"]) == ("picture 0", "train", "alt texts")
    attrs = json.loads(one["attrs"])
    assert set(attrs) == {"phash"}
    assert is_hash(attrs["phash"])
    assert found["5.jpg"]["attrs"] is None
    files = bench.folder / "files"
    assert {path.name: path.read_bytes() for path in files.iterdir()} == {
        "0.jpg": jpeg(0),
        "5.jpg": b"no picture",
    }
    bench.open().verify("pets", data=[files])


def test_loaders_read_the_folder_with_the_labels_of_the_list(bench: Bench, web: FileServer) -> None:
    fetch(bench, rows_of(web, 0, 1), ReadOptions(id="key", label="caption"))
    samples = load(
        "pets", data=bench.folder / "files", key=bench.key_file(), registry=bench.registry
    )
    assert [(one.id, one.label, one.payload) for one in samples] == [
        ("0.jpg", "picture 0", jpeg(0)),
        ("1.jpg", "picture 1", jpeg(1)),
    ]


def test_columns_speak_for_each_sample(bench: Bench, web: FileServer) -> None:
    how = ReadOptions(id="key", source_column="from", labeler_column="by", labeled_at_column="at")
    rows = rows_of(web, 1, **{"from": "crawl 7", "by": "bo", "at": "2026-01-02T03:04:05Z"})
    fetch(bench, rows, how, source=None)
    one = entries(bench)["1.jpg"]
    assert (one["source"], one["labeler"], one["label"]) == ("crawl 7", "bo", None)
    assert one["labeled_at"].year == 2026


def test_captions_too_long_for_an_entry_are_kept_in_the_registry(
    bench: Bench, web: FileServer
) -> None:
    rows = rows_of(web, 1)
    rows[0]["caption"] = "word " * 1000
    fetch(bench, rows, ReadOptions(id="key", label="caption"))
    one = entries(bench)["1.jpg"]
    assert one["label"] is None
    digest = "blake3:" + one["label_digest"].hex()
    assert bench.open().workspace.objects.get(digest, limit=10_000) == ("word " * 1000).encode()


def test_a_run_that_stopped_goes_on_with_what_is_missing(bench: Bench, web: FileServer) -> None:
    web.files["2.jpg"] = in_turn(status(503), jpeg(2))
    with pytest.raises(NotFetchedError) as caught:
        fetch(bench, rows_of(web, 0, 1, 2))
    assert [(one.kind, one.id) for one in caught.value.findings] == [("unreachable", "2.jpg")]
    assert "1 of 3 URLs failed (1 unreachable), at most 0 allowed" in caught.value.message
    assert not bench.open().workspace.versions.numbers("pets")
    web.asked.clear()
    outcome = fetch(bench, rows_of(web, 0, 1, 2))
    assert web.asked == ["2.jpg"]
    assert outcome.fetched is not None
    assert outcome.fetched.kept == 2
    # Nothing new: nothing is asked, nothing is published.
    assert fetch(bench, rows_of(web, 0, 1, 2)).head is None
    assert web.asked == ["2.jpg"]


def test_another_url_lost_files_and_rehash_are_downloaded(bench: Bench, web: FileServer) -> None:
    rows = rows_of(web, 0, 1, 2)
    fetch(bench, rows)
    web.asked.clear()
    rows[0]["url"] = web.url("4.jpg")
    (bench.folder / "files/1.jpg").unlink()
    assert fetch(bench, rows).changes["modified"] == 1
    assert sorted(web.asked) == ["1.jpg", "4.jpg"]
    assert entries(bench)["0.jpg"]["uri"] == web.url("4.jpg")
    assert (bench.folder / "files/0.jpg").read_bytes() == jpeg(4)
    web.asked.clear()
    web.files["2.jpg"] = jpeg(5)
    outcome = fetch(bench, rows, rehash=True)
    assert len(web.asked) == 3
    assert outcome.changes["modified"] == 1
    assert (bench.folder / "files/2.jpg").read_bytes() == jpeg(5)


def test_a_list_that_nobody_touched_says_nothing_of_what_was_downloaded(
    bench: Bench, web: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known of untouched files holds for files that are the data."""
    monkeypatch.setattr(unchanged, "SETTLED_NS", -(1 << 60))
    untouched = listed(bench, rows_of(web, 0))
    wanted = Fetch(bench.folder / "files", bounds=HASTY)
    for _ in range(3):
        bench.ingest(untouched, options=KEYED, fetch=wanted)
    (bench.folder / "files/0.jpg").unlink()
    bench.ingest(untouched, options=KEYED, fetch=wanted)
    assert web.asked == ["0.jpg", "0.jpg"]


def test_failures_up_to_the_limit_are_named_and_no_samples(bench: Bench, web: FileServer) -> None:
    rows = [
        *rows_of(web, 0, 1),
        {"key": "a", "url": web.url("gone"), "caption": "x"},
        {"key": "b", "url": None, "caption": "x"},
        {"key": "c", "url": "ftp://a.example/", "caption": "x"},
    ]
    with pytest.raises(NotFetchedError, match="3 of 5 URLs"):
        fetch(bench, rows, failures=2)
    outcome = fetch(bench, rows, failures=3)
    assert outcome.fetched is not None
    failed = outcome.fetched.failed
    assert [(one.id, one.kind) for one in failed] == [
        ("a", "gone"), ("b", "refused"), ("c", "refused"),
    ]  # fmt: skip
    assert set(entries(bench)) == {"0.jpg", "1.jpg"}
    assert {path.name for path in (bench.folder / "files").iterdir()} == {"0.jpg", "1.jpg"}


def test_a_list_of_which_nothing_came_is_no_version(bench: Bench, web: FileServer) -> None:
    with pytest.raises(NotFetchedError):
        fetch(bench, [{"key": "a", "url": web.url("gone"), "w": 1}], failures=10)


def test_a_night_of_urls_is_appended(bench: Bench, web: FileServer) -> None:
    fetch(bench, rows_of(web, 0, 1))
    outcome = fetch(bench, rows_of(web, 2), append=True)
    assert outcome.changes["injected"] == 1
    assert entries(bench)["0.jpg"]["uri"] == web.url("0.jpg")
    bench.open().verify("pets", data=[bench.folder / "files"])


def test_the_folder_alone_keeps_urls_and_hashes(bench: Bench, web: FileServer) -> None:
    """Once downloaded, the dataset is a folder like others."""
    fetch(bench, rows_of(web, 0, 1), ReadOptions(id="key", label="caption"))
    before = entries(bench)
    bench.write("files", {"9.txt": b"by hand"})
    bench.ingest(bench.folder / "files")
    after = entries(bench)
    assert {name: after[name] for name in before} == before
    assert after["9.txt"]["uri"] is None


def test_a_file_changed_between_download_and_signing_is_not_what_is_signed(
    bench: Bench, web: FileServer
) -> None:
    """Who writes to the folder cannot have other bytes signed as what a URL gave."""
    rows = rows_of(web, 0, 1)
    with pytest.raises(NotFetchedError):
        fetch(bench, [*rows, {"key": "a", "url": web.url("gone"), "caption": "x"}])
    evil = bench.folder / "files/0.jpg"
    evil.write_bytes(bytes(evil.stat().st_size))
    fetch(bench, rows)
    assert entries(bench)["0.jpg"]["content"] == blake3(jpeg(0)).digest()
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets", data=[bench.folder / "files"])
    assert [(one.kind, one.id) for one in caught.value.findings] == [("changed", "0.jpg")]


def test_somebodys_files_are_not_overwritten(bench: Bench, web: FileServer) -> None:
    bench.write("files", {"0.jpg": b"my own"})
    with pytest.raises(InputError, match="not as it was downloaded"):
        fetch(bench, rows_of(web, 0))
    assert (bench.folder / "files/0.jpg").read_bytes() == b"my own"


def test_without_its_record_the_same_bytes_are_kept(bench: Bench, web: FileServer) -> None:
    fetch(bench, rows_of(web, 0, 1))
    before = entries(bench)
    bench.forget("PROVREG_CACHE")
    assert fetch(bench, rows_of(web, 0, 1)).head is None
    assert entries(bench) == before


def test_sha256_is_signed_too_where_it_is_asked_for(bench: Bench, web: FileServer) -> None:
    fetch(bench, rows_of(web, 0), replace(KEYED, sha256=True))
    assert entries(bench)["0.jpg"]["content_sha256"] is not None
    bench.open().verify("pets", data=[bench.folder / "files"])
    fetch(bench, rows_of(web, 0, 1))
    assert entries(bench)["1.jpg"]["content_sha256"] is not None


def test_ssrf_through_a_list_reaches_nothing_and_is_named(bench: Bench, web: FileServer) -> None:
    with pytest.raises(NotFetchedError) as caught:
        fetch(bench, rows_of(web, 0), bounds=replace(HASTY, private=False))
    assert "private or reserved network" in (caught.value.findings[0].detail or "")
    assert web.asked == []


def test_options_that_mean_nothing_in_a_list_are_refused(bench: Bench, web: FileServer) -> None:
    rows = rows_of(web, 0)
    for how in (replace(KEYED, include=("*",)), replace(KEYED, time="at")):
        with pytest.raises(UsageError, match="means nothing in a list of URLs"):
            fetch(bench, rows, how)
    with pytest.raises(UsageError, match="--labels is not for --fetch"):
        fetch(bench, rows, labels=listed(bench, rows))
    table = bench.folder / "table.csv"
    table.write_text("a,b\n1,2\n")
    bench.ingest(table, name="table")
    with pytest.raises(UsageError, match="is read as csv"):
        fetch(bench, rows, name="table")
    assert web.asked == []
