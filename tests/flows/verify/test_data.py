"""Step 12: what is found in folders and tables, one finding for everything that is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provreg.errors import InputError, NotFoundError, NotTrustedError, ProvregError
from provreg.readers.api import ReadOptions

if TYPE_CHECKING:
    from tests.conftest import Bench


def findings(bench: Bench, *data: Path) -> list[dict[str, Any]]:
    with pytest.raises(NotTrustedError) as caught:
        bench.open().verify("pets", data=data)
    assert caught.value.step == 12
    return [finding.to_json() for finding in caught.value.findings]


def short(bench: Bench, *data: Path) -> list[tuple[str, str]]:
    return [(found["kind"], found["id"]) for found in findings(bench, *data)]


def table(bench: Bench, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> Path:
    path = bench.folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


ROWS = [{"key": name, "text": f"text {name}", "label": "x"} for name in "abcdef"]
TABLE = ReadOptions(id="key", label="label")


def test_all_kinds_in_a_table(bench: Bench) -> None:
    bench.ingest(table(bench, ROWS), options=TABLE, labeler="ann")
    rows = [dict(row) for row in ROWS]
    rows[0]["text"] = "changed"
    rows[1]["label"] = "y"
    rows[2]["key"] = "moved"
    rows[3] |= {"key": "moved and relabeled", "label": "y"}
    del rows[4]
    rows.append({"key": "new", "text": "new", "label": "x"})
    found = findings(bench, table(bench, rows))
    assert [(one["kind"], one["id"], one.get("found_id")) for one in found] == [
        ("changed", "a", None),
        ("relabeled", "b", None),
        ("moved", "c", "moved"),
        ("relabeled", "d", "moved and relabeled"),
        ("missing", "e", None),
        ("stranger", "new", None),
    ]
    assert {one.get("labeler") for one in found[:5]} == {"ann"}
    assert (found[1]["expected"], found[1]["found"]) == ("x", "y")


def test_the_order_of_rows_and_files_says_nothing(bench: Bench) -> None:
    whole = table(bench, ROWS)
    bench.ingest(whole, options=TABLE)
    bench.open().verify("pets", data=[table(bench, ROWS[::-1], "other.jsonl")])
    halves = [table(bench, ROWS[3:], "1.jsonl"), table(bench, ROWS[:3], "2.jsonl")]
    bench.open().verify("pets", data=halves)


def test_long_labels_are_compared_whole(bench: Bench) -> None:
    rows = [ROWS[0] | {"label": "long " * 1000}]
    bench.ingest(table(bench, rows), options=TABLE)
    bench.open().verify("pets", data=[table(bench, rows)])
    rows[0]["label"] += "."
    (found,) = findings(bench, table(bench, rows))
    assert found["kind"] == "relabeled"
    assert found["expected"] != found["found"]


def test_labels_from_nowhere_are_not_compared(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data, options=ReadOptions(label="none"))
    (data / "cat/1.jpg").rename(data / "dog/1.jpg")
    # No label to change: it is the same sample under another name.
    assert findings(bench, data)[0]["kind"] == "moved"


def test_an_unreadable_sample_is_found_and_the_rest_is_checked(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    (data / "cat/1.jpg").unlink()
    (data / "cat/1.jpg").mkdir()
    (data / "cat/3.jpg").unlink()
    os.mkfifo(data / "cat/3.jpg")
    (data / "dog/0.jpg").write_bytes(b"changed")
    assert short(bench, data) == [
        ("missing", "cat/1.jpg"), ("unreadable", "cat/3.jpg"), ("changed", "dog/0.jpg"),
    ]  # fmt: skip


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads everything")
def test_a_sample_without_permission_is_unreadable(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    (data / "cat/1.jpg").chmod(0)
    assert short(bench, data) == [("unreadable", "cat/1.jpg")]


def test_everything_gone_is_all_missing(bench: Bench) -> None:
    data = bench.pets()
    bench.ingest(data)
    for path in data.rglob("*.jpg"):
        path.unlink()
    assert {kind for kind, _ in short(bench, data)} == {"missing"}


def test_data_that_are_not_there_are_not_found(bench: Bench) -> None:
    bench.ingest(bench.pets())
    with pytest.raises(NotFoundError):
        bench.open().verify("pets", data=[bench.folder / "nowhere"])


def test_a_table_that_is_no_table_any_more_is_refused(bench: Bench) -> None:
    path = table(bench, ROWS)
    bench.ingest(path, options=TABLE)
    for text in ('{"key": "a"', '{"key": "a", "text": 5, "label": "x"}\n', "[]", ""):
        path.write_text(text, "utf-8")
        with pytest.raises(ProvregError) as caught:
            bench.open().verify("pets", data=[path])
        assert caught.value.message


def test_an_extra_column_in_the_data_is_refused(bench: Bench) -> None:
    bench.ingest(table(bench, ROWS), options=TABLE)
    rows = [row | {"evil": 1} for row in ROWS]
    with pytest.raises(InputError, match="evil"):
        bench.open().verify("pets", data=[table(bench, rows)])


def test_verification_reads_as_the_head_says_whatever_the_data_look_like(bench: Bench) -> None:
    data = bench.pets()
    bench.write("pets", {"notes.txt": b"x"})
    bench.ingest(data, options=ReadOptions(include=("*.jpg",)))
    bench.open().verify("pets", data=[data])
    bench.write("pets", {"cat/new.jpg": b"x"})
    assert short(bench, data) == [("stranger", "cat/new.jpg")]


def test_no_cache_is_believed(bench: Bench) -> None:
    """A wrong digest in the stat cache misleads no verification."""
    import numpy as np

    data = bench.pets()
    bench.ingest(data)
    cache = bench.open().workspace.stat_cache([data])
    found = (data / "cat/1.jpg").stat()
    (data / "cat/1.jpg").write_bytes(b"pictura 1")
    os.utime(data / "cat/1.jpg", ns=(found.st_atime_ns, found.st_mtime_ns))
    now = (data / "cat/1.jpg").stat()
    stats = np.array([[now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns]],
                     np.uint64)  # fmt: skip
    signed = {e["id"]: e["content"] for e in bench.open().verify("pets").entries.to_pylist()}
    content = np.frombuffer(signed["cat/1.jpg"], np.uint8).reshape(1, 32)
    assert cache.record(stats, content, read_at_ns=now.st_ctime_ns + 10**10)
    assert short(bench, data) == [("changed", "cat/1.jpg")]
