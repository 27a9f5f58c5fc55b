"""Lists of URLs: which samples they speak of, under which names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3

from provreg.errors import InputError, ProvregError, UsageError
from provreg.readers.api import ReadOptions
from provreg.readers.web.url_list import read_url_list


def listed(tmp_path: Path, rows: list[dict[str, Any]]) -> Path:
    path = tmp_path / "list.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def digest_id(url: str) -> str:
    digits = blake3(url.encode()).hexdigest()
    return f"{digits[:2]}/{digits[2:]}"


def test_a_list_is_the_same_from_csv_json_lines_and_parquet(tmp_path: Path) -> None:
    rows = [{"key": str(n), "url": f"http://a.example/{n}", "caption": f"no {n}"} for n in range(3)]
    how = ReadOptions(id="key", label="caption")
    csv = tmp_path / "list.csv"
    csv.write_text("\n".join(["key,url,caption", *(",".join(row.values()) for row in rows)]))
    parquet = tmp_path / "list.parquet"
    pq.write_table(pa.Table.from_pylist(rows), parquet)
    found = [
        read_url_list([path], how, "url").select(["id", "label", "uri"]).to_pylist()
        for path in (listed(tmp_path, rows), csv, parquet)
    ]
    assert found[0] == found[1] == found[2]
    assert found[0][2] == {"id": "2", "label": "no 2", "uri": "http://a.example/2"}


def test_ids_are_digests_of_urls_where_no_column_has_them(tmp_path: Path) -> None:
    a, b = "http://a.example/../../etc/passwd", "http://b.example/"
    path = listed(tmp_path, [{"url": a, "w": 1}, {"url": b, "w": 2}, {"url": a, "w": 3}])
    ids = read_url_list([path], ReadOptions(), "url")["id"].to_pylist()
    assert ids == [digest_id(a), digest_id(b), digest_id(a) + "-2"]


def test_rows_without_a_url_are_kept_to_be_named(tmp_path: Path) -> None:
    path = listed(tmp_path, [{"k": "1", "url": None, "w": 1}, {"k": "2", "url": "http://a/"}])
    assert read_url_list([path], ReadOptions(id="k"), "url")["uri"].to_pylist() == [
        None, "http://a/",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "ids",
    [["../x"], ["/x"], ["a//b"], ["a/./b"], ["x\\y"], [".hidden"], ["a/.git/config"], ["Thumbs.db"],
     ["x", "X"], ["a/" * 200 + "a"], ["a", "a/b"], ["a/b/c", "a/b"], ["n" * 250], ["a\x1b"],
     ["a\u202eb"], [""], [None], ["x", "x"]],
)  # fmt: skip
def test_ids_that_cannot_be_files_side_by_side_are_refused(
    tmp_path: Path, ids: list[str | None]
) -> None:
    path = listed(tmp_path, [{"k": name, "url": "http://a.example/"} for name in ids])
    with pytest.raises(InputError):
        read_url_list([path], ReadOptions(id="k"), "url")


def test_a_list_without_urls_is_refused(tmp_path: Path) -> None:
    path = listed(tmp_path, [{"k": "1", "url": "http://a/", "n": 1}])
    for how, column in ((ReadOptions(), "link"), (ReadOptions(id="url"), "url")):
        with pytest.raises(UsageError, match="no column"):
            read_url_list([path], how, column)
    with pytest.raises(InputError, match="is not text"):
        read_url_list([path], ReadOptions(), "n")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ProvregError):
        read_url_list([tmp_path / "folder"], ReadOptions(), "url")
    with pytest.raises(UsageError, match="is for folders"):
        read_url_list([path], ReadOptions(label="dir"), "url")
