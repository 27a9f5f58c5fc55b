"""Who controls a URL gives other bytes later, or to others: every one of them is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from file_server import FileServer, in_turn, raw, redirect, serving, status
from pictures import jpeg

from provreg.errors import UsageError
from provreg.flows.history.refetch import Refetched, refetch
from provreg.flows.ingest.request import Fetch
from provreg.readers.api import ReadOptions
from provreg.readers.web.bounds import Bounds

if TYPE_CHECKING:
    from tests.conftest import Bench

HASTY = Bounds(most=1 << 20, tries=1, private=True)


@pytest.fixture
def web() -> Iterator[FileServer]:
    """A server with six pictures and a text."""
    with serving() as server:
        server.files |= {f"{n}.jpg": jpeg(n) for n in range(6)} | {"a.txt": b"text"}
        yield server


def indexed(bench: Bench, web: FileServer) -> None:
    """Publishes what the server has now."""
    path = bench.folder / "list.csv"
    path.write_text("key,url\n" + "".join(f"{name},{web.url(name)}\n" for name in web.files))
    wanted = Fetch(bench.folder / "files", bounds=HASTY)
    bench.ingest(path, options=ReadOptions(id="key"), fetch=wanted)


def found(bench: Bench, **options: Any) -> Refetched:
    return refetch(bench.open().verify("pets"), **{"bounds": HASTY} | options)


def kinds(bench: Bench) -> dict[str, str]:
    return {finding.id: finding.kind for finding in found(bench).findings}


def test_split_view_urls_that_give_what_was_signed_are_no_findings(
    bench: Bench, web: FileServer
) -> None:
    indexed(bench, web)
    assert found(bench) == Refetched(7, 7, 0, ())


def test_split_view_recompression_is_told_from_replacement(bench: Bench, web: FileServer) -> None:
    indexed(bench, web)
    web.files["0.jpg"] = jpeg(0, quality=40)
    web.files["1.jpg"] = jpeg(77)
    web.files["2.jpg"] = b"<html>this domain is for sale</html>"
    web.files["3.jpg"] = jpeg(3)[:-200]
    web.files["a.txt"] = b"texT"
    result = found(bench)
    assert {finding.id: finding.kind for finding in result.findings} == {
        "0.jpg": "recompressed",
        "1.jpg": "replaced",
        "2.jpg": "replaced",
        "3.jpg": "replaced",
        "a.txt": "changed",
    }
    assert (result.checked, result.unchanged) == (7, 2)
    first = result.findings[0]
    assert (first.uri, first.source) == (web.url("0.jpg"), "shelter")
    assert first.expected != first.found
    assert "of 64 bits" in (first.detail or "")


def test_split_view_what_is_gone_is_told_from_what_is_out_of_reach(
    bench: Bench, web: FileServer
) -> None:
    indexed(bench, web)
    web.files |= {
        "0.jpg": status(404),
        "1.jpg": status(410),
        "2.jpg": status(503),
        "3.jpg": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\nshort"),
        "4.jpg": status(403),
    }
    assert kinds(bench) == {
        "0.jpg": "gone",
        "1.jpg": "gone",
        "2.jpg": "unreachable",
        "3.jpg": "unreachable",
        "4.jpg": "unreachable",
    }


def test_split_view_behind_redirects_bombs_and_endless_bodies_is_refused(
    bench: Bench, web: FileServer
) -> None:
    indexed(bench, web)
    web.files |= {
        "0.jpg": redirect("file:///etc/passwd"),
        "1.jpg": raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nxx"),
        "2.jpg": b"x" * (HASTY.most + 1),
        "3.jpg": redirect("/3.jpg"),
    }
    assert set(kinds(bench).values()) == {"refused"}
    assert len(kinds(bench)) == 4


def test_split_view_by_asker_is_seen_on_the_second_look(bench: Bench, web: FileServer) -> None:
    """The first visitor, who signs, is shown the good picture."""
    web.files["0.jpg"] = in_turn(jpeg(0), jpeg(66))
    indexed(bench, web)
    assert kinds(bench) == {"0.jpg": "replaced"}


def test_split_view_signed_hash_cannot_be_forged_without_the_signature(
    bench: Bench, web: FileServer
) -> None:
    """It is in the entry's attributes; another one would be another leaf."""
    indexed(bench, web)
    before = bench.open().verify("pets").entries.to_pylist()[0]["attrs"]
    labels = bench.folder / "labels.jsonl"
    labels.write_text('{"id": "0.jpg", "attrs": {"phash": "' + "0123456789abcdef" + '"}}\n')
    outcome = bench.ingest(bench.folder / "files", labels=labels)
    assert outcome.changes["reattributed"] == 1
    assert before != bench.open().verify("pets").entries.to_pylist()[0]["attrs"]


@pytest.mark.parametrize("attrs", ['{"phash": 5}', '{"phash": "xyz"}', '{"other": 1}'])
def test_split_view_of_entries_with_attributes_of_their_own_is_a_change(
    bench: Bench, web: FileServer, attrs: str
) -> None:
    bench.write("files", {"0.jpg": jpeg(0)})
    labels = bench.folder / "labels.jsonl"
    labels.write_text(f'{{"id": "0.jpg", "uri": "{web.url("0.jpg")}", "attrs": {attrs}}}\n')
    bench.ingest(bench.folder / "files", options=ReadOptions(label="none"), labels=labels)
    assert found(bench).unchanged == 1
    web.files["0.jpg"] = jpeg(0, quality=40)
    assert kinds(bench) == {"0.jpg": "changed"}


def test_a_sample_of_urls_is_picked_by_chance(bench: Bench, web: FileServer) -> None:
    indexed(bench, web)
    web.asked.clear()
    assert found(bench, sample=3) == Refetched(3, 3, 0, ())
    assert len(set(web.asked)) == 3
    assert found(bench, sample=100).checked == 7


def test_samples_without_urls_are_counted_and_a_version_without_any_is_refused(
    bench: Bench, web: FileServer
) -> None:
    indexed(bench, web)
    bench.write("files", {"z": b"by hand"})
    bench.ingest(bench.folder / "files", options=ReadOptions(label="none"))
    assert found(bench).without_url == 1
    bench.ingest(bench.pets(), name="others")
    with pytest.raises(UsageError, match="no sample of others@1 has a URL"):
        refetch(bench.open().verify("others"))
    table = bench.folder / "table.csv"
    table.write_text("id,text\n1,one\n")
    labels = bench.folder / "labels.csv"
    labels.write_text(f"id,uri\n1,{web.url('a.txt')}\n")
    bench.ingest(table, name="rows", options=ReadOptions(id="id"), labels=labels)
    with pytest.raises(UsageError, match="the samples of rows@1 are no files"):
        refetch(bench.open().verify("rows"))


def test_ssrf_by_a_signed_url_reaches_nothing(bench: Bench, web: FileServer) -> None:
    """A publisher's URLs are fetched by whoever verifies, in their network."""
    indexed(bench, web)
    web.asked.clear()
    assert {one.kind for one in found(bench, bounds=None).findings} == {"refused"}
    assert web.asked == []
