"""Attacks on, and accidents of, the private index and the mapped parts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from provreg.errors import DamagedError, StorageError, UsageError
from provreg.store.index.index import Index

if TYPE_CHECKING:
    from provreg.registry import Registry
    from tests.conftest import Bench


@pytest.fixture
def synced(bench: Bench) -> Path:
    """The index file of a registry with two versions."""
    bench.ingest(bench.pets())
    bench.ingest(bench.pets(count=8))
    registry = bench.open()
    assert registry.sync() == []
    (path,) = Path(os.environ["PROVREG_CACHE"]).rglob("index.duckdb")
    return path


CHANGES = {
    "a row of versions": "update versions set message = 'innocent' where version = 2",
    "a root": "update versions set root = 'blake3:' where version = 1",
    "who it says is its parent": "update versions set parent = null",
    "that its counts are true": "update versions set counts_true = false where version = 2",
    "a change": "update changes set new_source = 'somebody else'",
    "a change away": "delete from changes where place = 0",
    "a change too many": "insert into changes select * from changes",
    "a kind of change": "update changes set kinds = 4",
    "its parts away": "delete from parts where head in (select head from versions)",
    "a part of another": "update parts set part = 'blake3:'",
    "a version nobody published": (
        "insert into versions select 'sha256:' || repeat('0', 64), dataset, uid, 7, parent, root,"
        " samples, created, message, counts_true from versions limit 1"
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_check_finds_an_index_that_was_told(bench: Bench, synced: Path, change: str) -> None:
    assert list(bench.open().check(index=True)) == []
    with duckdb.connect(str(synced)) as connection:
        connection.execute(CHANGES[change]).fetchall()
    registry = bench.open()
    # A version nobody published is dropped by the sync before it.
    assert list(registry.check(index=True)) or "nobody" in change
    assert [row[0] for row in registry.sql("select version from versions order by 1")[1]] == [1, 2]


def test_check_finds_a_mapped_part_that_was_changed(bench: Bench, synced: Path) -> None:
    files = sorted(Path(os.environ["PROVREG_CACHE"]).rglob("*.arrow"))
    for path in files:
        data = path.read_bytes()
        assert b"shelter" in data
        path.write_bytes(data.replace(b"shelter", b"sheltex"))
    assert len({problem.where for problem in bench.open().check(index=True)}) == 2


@pytest.mark.parametrize("data", [b"", b"x", b"ARROW1\0\0" * 100], ids=["empty", "x", "torn"])
def test_a_torn_mapped_part_is_made_again(bench: Bench, synced: Path, data: bytes) -> None:
    for path in Path(os.environ["PROVREG_CACHE"]).rglob("*.arrow"):
        path.write_bytes(data)
    assert bench.open().verify("pets").head.version == 2
    assert list(bench.open().check(index=True)) == []
    for path in Path(os.environ["PROVREG_CACHE"]).rglob("*.arrow"):
        assert path.read_bytes() != data or "versions" in path.parts


def test_a_half_written_mapped_part_is_made_again(bench: Bench, synced: Path) -> None:
    for path in Path(os.environ["PROVREG_CACHE"]).rglob("*.arrow"):
        path.write_bytes(path.read_bytes()[:-100])
    assert bench.open().verify("pets").head.version == 2


def test_a_missing_index_is_made_again(bench: Bench, synced: Path) -> None:
    synced.unlink()
    assert [one.head.version for one in bench.open().log("pets")] == [2, 1]


@pytest.mark.parametrize("data", [b"x" * 20_000, b"\0" * 4096, b"SQLite format 3\0"])
def test_a_file_that_is_no_index_is_reported_with_what_to_do(
    bench: Bench, synced: Path, data: bytes
) -> None:
    synced.write_bytes(data)
    with pytest.raises(DamagedError) as caught:
        bench.open().log("pets")
    assert "delete it" in caught.value.hint
    synced.unlink()
    assert len(bench.open().log("pets")) == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that has no room for an index."""
    folder = tmp_path / "disk"
    folder.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs root")
    yield folder
    # Lazily: DuckDB keeps a file that it could not write open for a while.
    subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607


def test_a_full_disk_is_not_told_as_a_damaged_index(small_disk: Path) -> None:
    index = Index(small_disk / "index.duckdb")
    with pytest.raises(StorageError, match=r"the index at .*No space left") as caught:
        index.versions()
    assert caught.value.hint == "the disk is full: free some space and try again"
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)  # noqa: S607
    assert index.versions() == []


def test_an_index_of_another_layout_is_made_again(bench: Bench, synced: Path) -> None:
    with duckdb.connect(str(synced)) as connection:
        connection.execute("drop table versions; create table versions (head text)").fetchall()
        connection.execute("update layout set number = 0").fetchall()
    assert [one.head.version for one in bench.open().log("pets")] == [2, 1]


def test_the_index_of_another_registry_adds_nothing(bench: Bench, synced: Path) -> None:
    with duckdb.connect(str(synced)) as connection:
        connection.execute(
            "update versions set dataset = 'other', head = 'sha256:' || repeat(version::text, 64)"
        ).fetchall()
    registry = bench.open()
    assert registry.sync() == []
    assert [one.head.dataset for one in registry.ls()] == ["pets"]
    assert len(registry.log("pets")) == 2


FORBIDDEN = [
    "insert into versions values (1)",
    "update index.versions set message = 'x'",
    "delete from index.changes",
    "create table x (a int)",
    "create view x as select 1",
    "drop view versions",
    "select 1; select 2",
    "",
    "copy (select 1) to 'out.csv'",
    "select * from 'secret.csv'",
    "select * from secret",
    "select * from read_csv('secret.csv')",
    "select * from read_text('secret.csv')",
    "select * from read_blob('/etc/passwd')",
    "select * from glob('*')",
    "select * from parquet_scan('x.parquet')",
    "select * from 'https://example.invalid/x.csv'",
    "install httpfs",
    "load httpfs",
    "attach 'other.db'",
    "detach index",
    "use index",
    "set threads = 1",
    "set enable_external_access = true",
    "reset lock_configuration",
    "pragma database_list",
    "call pragma_version()",
    "explain analyze select 1",
    "export database 'x'",
    "checkpoint",
    "begin",
    "update extensions",
    "pivot versions on version using count(*); select 1",
    "alter table index.versions add column a int",
    "with x as (insert into index.changes select * from index.changes returning 1) from x",
    "select getenv('HOME')",
    "from versions select",
]


def refusal(registry: Registry, query: str) -> str | None:
    try:
        registry.sql(query)
    except UsageError as error:
        return error.message
    return None


@pytest.mark.parametrize(
    "value",
    [
        "timestamp '200000-01-01'", "timestamptz 'infinity'", "date 'infinity'",
        "date '-4000-01-01'", "[date 'infinity']", "{'a': timestamp_s '200000-01-01'}",
        "map {'a': timestamp '-infinity'}",
    ],
)  # fmt: skip
def test_answer_that_python_has_no_value_for_is_our_error(bench: Bench, value: str) -> None:
    with pytest.raises(UsageError, match="column 2 of the answer, 'what'") as refused:
        bench.open().sql(f"select 1, {value} as what")
    assert "CAST" in refused.value.hint
    assert bench.open().sql(f"select CAST({value} AS TEXT)")[1]


def test_sql_cannot_write_read_files_reach_the_network_or_change_settings(
    bench: Bench, synced: Path
) -> None:
    Path("secret.csv").write_text("secret\n1\n", "utf-8")
    secret = [{"secret": 1}]  # DuckDB would find this variable by its name
    assert secret
    registry, before, here = bench.open(), synced.read_bytes(), sorted(Path().iterdir())
    for query in FORBIDDEN:
        assert refusal(registry, query), query
        assert synced.read_bytes() == before, query
        assert sorted(Path().iterdir()) == here, query
