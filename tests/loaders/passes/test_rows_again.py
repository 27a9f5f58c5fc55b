"""Rows of a Parquet file that are read again: by the digests of its chunks, and never less."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import provreg
from provreg.errors import InputError, NotTrustedError, SampleError
from provreg.executors.processes import InProcess
from provreg.loaders.arrow import reader, table
from provreg.readers.tables.parquet import remembered_rows
from provreg.readers.tables.parquet.checked_file import FileChunks
from provreg.store.private.row_memos import RowHashCache

Publish = Callable[..., None]
Load = Callable[..., provreg.VerifiedSamples]

ROWS = 40
GROUP = 10


@pytest.fixture(autouse=True, params=["whole", "in pieces"])
def _small_chunks(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr("provreg.readers.tables.parquet.checked_file.CHUNK", 512)
    if request.param == "in pieces":
        monkeypatch.setattr("provreg.readers.tables.parquet.parquet._READ_WHOLE_CHECKED", 0)
        monkeypatch.setattr("provreg.readers.tables.parquet.parquet._READ_AT_A_TIME", 100)


def write(path: Path, *, changed: int | None = None, rows: int = ROWS) -> Path:
    """`path` with 40 rows in four groups, not compressed; one text may be another of its length."""
    texts = [f"text number {row:04d} of a table that is read again" for row in range(rows)]
    if changed is not None:
        texts[changed] = texts[changed].replace("text", "TEXT")
    columns = {"key": [f"row-{row:04d}" for row in range(rows)], "text": texts, "y": ["a"] * rows}
    pq.write_table(
        pa.table(columns), path, row_group_size=GROUP, compression="none", use_dictionary=False,
        write_statistics=False,
    )  # fmt: skip
    return path


@pytest.fixture
def path(tmp_path: Path, publish: Publish) -> Path:
    path = write(tmp_path / "rows.parquet")
    publish(path, id="key", label="y")
    return path


@pytest.fixture
def no_row_is_hashed(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    with monkeypatch.context() as patch:
        yield patch


def hash_no_row(patch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        pytest.fail("a row was hashed")

    patch.setattr(remembered_rows, "hash_rows", refuse)


def overwrite(path: Path, old: bytes, new: bytes) -> None:
    """Changes bytes in place; size and times stay as they were."""
    status = path.stat()
    data = path.read_bytes()
    assert data.count(old) == 1
    with path.open("r+b") as file:
        file.seek(data.index(old))
        file.write(new)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def memo_files(samples: provreg.VerifiedSamples) -> list[Path]:
    """Those that were kept."""
    folder = samples.workspace.cache.parents[1] / "rows"
    return sorted(path for path in folder.iterdir() if len(path.name) == 64)


def test_rows_read_again_are_the_same_and_none_is_hashed(
    path: Path, load_data: Load, no_row_is_hashed: pytest.MonkeyPatch
) -> None:
    samples = load_data(path)
    first = table(samples, ("id", "label"))
    hash_no_row(no_row_is_hashed)
    assert table(samples, ("id", "label")) == first
    assert table(load_data(path), ("id", "label")) == first, "as in another process"
    assert first["id"].to_pylist() == [f"row-{row:04d}" for row in range(ROWS)]


@pytest.mark.parametrize("groups_at_once", [1, 2])
def test_row_groups_come_in_order_however_many_are_read_at_once(
    path: Path, load_data: Load, monkeypatch: pytest.MonkeyPatch, groups_at_once: int
) -> None:
    monkeypatch.setattr(remembered_rows, "_LARGE", 0 if groups_at_once == 1 else 1 << 26)
    monkeypatch.setattr("provreg.readers.tables.parquet.parquet._MOST_ROWS", 3)
    samples = load_data(path)
    for _ in range(2):
        batches = list(reader(samples, ("id",)))
        assert [batch.num_rows for batch in batches] == [3, 3, 3, 1] * (ROWS // GROUP)
        ids = pa.Table.from_batches(batches)["id"].to_pylist()
        assert ids == [f"row-{row:04d}" for row in range(ROWS)]


def test_file_swapped_between_passes_is_refused_by_the_name_of_its_row(
    path: Path, load_data: Load
) -> None:
    samples = load_data(path)
    table(samples)
    write(path, changed=25)
    for _ in range(2):
        with pytest.raises(SampleError, match="row-0025") as refused:
            table(samples)
        assert refused.value.sample == "row-0025"
    write(path)
    assert table(samples).num_rows == ROWS


def test_bytes_swapped_under_the_same_size_and_times_are_refused(
    path: Path, load_data: Load
) -> None:
    samples = load_data(path)
    table(samples)
    overwrite(path, b"text number 0031", b"text number 9931")
    with pytest.raises(SampleError, match="row-0031"):
        table(samples)


@pytest.mark.parametrize("known", [False, True])
def test_bytes_swapped_during_the_pass_are_refused(
    path: Path, load_data: Load, *, known: bool
) -> None:
    samples = load_data(path)
    if known:
        table(samples)
    batches = reader(samples, ())
    handed_out = batches.read_next_batch().column("text").to_pylist()
    assert len(handed_out) == GROUP
    overwrite(path, b"text number 0031", b"text number 9931")
    with pytest.raises(InputError, match="changed while"):  # noqa: PT012 - what came before
        for batch in batches:
            handed_out += batch.column("text").to_pylist()
    assert not any("9931" in text for text in handed_out)
    assert len(handed_out) == len(set(handed_out)), "no row comes twice"


def test_rows_before_a_swap_come_once_and_those_after_it_are_hashed(
    path: Path, load_data: Load
) -> None:
    samples = load_data(path, on_bad="skip", most_bad=0.1)
    table(samples)
    overwrite(path, b"text number 0025", b"text number 9925")
    ids = [one for batch in reader(samples, ("id",)) for one in batch.column("id").to_pylist()]
    assert ids == [f"row-{row:04d}" for row in range(ROWS) if row != 25]


@pytest.mark.parametrize("rows", [GROUP, ROWS - 1])
def test_file_cut_short_between_passes_is_refused(path: Path, load_data: Load, rows: int) -> None:
    samples = load_data(path)
    table(samples)
    write(path, rows=rows)
    with pytest.raises(NotTrustedError, match="missing"):
        table(samples)


def test_file_whose_end_is_gone_is_no_table(path: Path, load_data: Load) -> None:
    samples = load_data(path)
    table(samples)
    os.truncate(path, path.stat().st_size - 100)
    with pytest.raises(InputError, match="not readable as Parquet"):
        table(samples)


def test_changed_file_is_remembered_anew(
    path: Path, load_data: Load, publish: Publish, no_row_is_hashed: pytest.MonkeyPatch
) -> None:
    table(load_data(path))
    write(path, changed=25)
    publish(path)
    for _ in range(2):  # the first finds that the file is another one, the second remembers it
        table(load_data(path))
    hash_no_row(no_row_is_hashed)
    samples = load_data(path)
    assert "TEXT" in table(samples)["text"][25].as_py()
    assert len(memo_files(samples)) == 1


def test_forged_memo_makes_no_row_load(path: Path, load_data: Load) -> None:
    """Even a memo that says what the data are changed to is none without its digest."""
    samples = load_data(path)
    table(samples)
    (memo,) = memo_files(samples)
    true = memo.read_bytes()
    write(path, changed=25)
    with pytest.raises(SampleError, match="row-0025"):
        table(samples)
    elsewhere = write(path.with_name("other.parquet"), changed=25)
    with pytest.raises(SampleError, match="row-0025"):
        table(load_data(elsewhere))
    assert memo_files(samples) == [], "nothing is remembered of a pass that was refused"
    memo.write_bytes(true[:-32] + bytes(32))
    memo.chmod(0o600)
    with pytest.raises(SampleError, match="row-0025"):
        table(samples)


def test_memo_of_another_reading_or_place_is_not_used(
    path: Path, load_data: Load, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = load_data(path)
    table(samples)
    (memo,) = memo_files(samples)
    hashed: list[int] = []
    hash_rows = remembered_rows.hash_rows

    def count(batch: Any, columns: Any) -> Any:
        hashed.append(batch.num_rows)
        return hash_rows(batch, columns)

    monkeypatch.setattr(remembered_rows, "hash_rows", count)
    copy = shutil.copy(path, path.with_name("copy.parquet"))
    table(load_data(copy))
    assert sum(hashed) == ROWS
    publish(path, id="key", label="none")  # `y` is now part of the payload
    table(load_data(path))
    assert sum(hashed) == 2 * ROWS
    others = [found for found in memo_files(samples) if found != memo]
    assert len(others) == 2
    memo.replace(others[0])
    assert table(load_data(path)).num_rows == table(load_data(copy)).num_rows == ROWS


def test_abandoned_pass_is_not_remembered(path: Path, load_data: Load) -> None:
    samples = load_data(path)
    batches = samples.batches()
    next(batches)
    batches.close()
    assert memo_files(samples) == []


def test_refused_pass_leaves_no_thread_behind_while_its_error_is_kept(
    path: Path, load_data: Load
) -> None:
    samples = load_data(path)
    errors = []
    for changed in (None, 25, 25):
        write(path, changed=changed)
        batches = samples.batches()
        try:
            for _ in batches:
                pass
        except SampleError as error:
            errors.append(error)
    assert len(errors) == 2
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]


def test_verify_data_believes_no_memo(
    path: Path, load_data: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = load_data(path)
    table(samples)

    def refuse(*_: Any) -> None:
        pytest.fail("a memo was asked for")

    monkeypatch.setattr(RowHashCache, "get", refuse)
    samples.verify_data()
    overwrite(path, b"text number 0031", b"text number 9931")
    with pytest.raises(NotTrustedError, match="1 changed"):
        samples.verify_data()


def test_rows_that_were_verified_are_not_hashed_by_the_first_pass(
    path: Path, load_data: Load, no_row_is_hashed: pytest.MonkeyPatch
) -> None:
    load_data(path).verify_data()
    hash_no_row(no_row_is_hashed)
    assert table(load_data(path)).num_rows == ROWS


def test_a_row_changed_after_it_was_verified_is_named(path: Path, load_data: Load) -> None:
    load_data(path).verify_data()
    overwrite(path, b"text number 0031", b"text number 9931")
    with pytest.raises(SampleError) as caught:
        table(load_data(path))
    assert caught.value.sample == "row-0031"


def test_data_that_do_not_verify_are_refused_by_the_first_pass(
    path: Path, load_data: Load, no_row_is_hashed: pytest.MonkeyPatch
) -> None:
    overwrite(path, b"text number 0031", b"text number 9931")
    samples = load_data(path)
    with pytest.raises(NotTrustedError, match="1 changed"):
        samples.verify_data()
    # What its rows hash to is known, and is not what is signed.
    hash_no_row(no_row_is_hashed)
    with pytest.raises(SampleError) as caught:
        table(load_data(path))
    assert caught.value.sample == "row-0031"


def test_rows_of_every_shard_are_remembered(
    tmp_path: Path, publish: Publish, load_data: Load, no_row_is_hashed: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(3):
        write(folder / f"{number}.parquet")
        columns = pq.read_table(folder / f"{number}.parquet")
        keys = pa.array([f"{number}-{row}" for row in range(ROWS)])
        shard = columns.set_column(0, "key", keys)
        pq.write_table(shard, folder / f"{number}.parquet", row_group_size=GROUP)
    publish(folder, id="key", label="y")
    load_data(folder).verify_data()
    hash_no_row(no_row_is_hashed)
    assert table(load_data(folder)).num_rows == 3 * ROWS


def test_a_file_that_changes_between_its_slices_leaves_no_memo(
    path: Path, load_data: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = remembered_rows.parquet.batches
    count = 0

    def other_footer(piece: Any, options: Any, chunks: FileChunks) -> Any:
        nonlocal count
        yield from original(piece, options, chunks)
        count += 1
        if count == 3:
            chunks.digests[max(chunks.digests)] = bytes(32)

    samples = load_data(path)
    monkeypatch.setattr("provreg.flows.reading.samples.local_processes", InProcess)
    monkeypatch.setattr(remembered_rows.parquet, "batches", other_footer)
    with pytest.raises(InputError, match="changed while it was being read"):
        samples.verify_data()
    assert list((samples.workspace.cache.parents[1] / "rows").iterdir()) == []
