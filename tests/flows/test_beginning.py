"""provreg.flows.beginning: files hashed from the start, where they turn out to be what is read."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from provreg.errors import InputError, NotTrustedError
from provreg.flows import beginning
from provreg.flows.beginning import begun_again, begun_first
from provreg.flows.ingestion import Ingestion
from provreg.flows.verify_data import verify_data
from provreg.readers import folder
from provreg.readers.catalog import detect
from provreg.readers.reader import HowToRead
from provreg.readers.table_files import _COMPRESSED, _FORMATS

if TYPE_CHECKING:
    from tests.conftest import Bench


@pytest.fixture
def read_in_earnest(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows with each folder that is listed other than from the start."""
    calls: list[object] = []
    original = folder.list_samples

    def counting(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr(folder, "list_samples", counting)
    return calls


def first_of(bench: Bench, data: Path, **how: Any) -> bool:
    """Whether the files of `data` are read from the start of their first ingestion."""
    ingestion = Ingestion("pets", (data,), source="us", how=HowToRead(**how))
    with begun_first(bench.open().workspace, ingestion) as begun:
        return begun is not None


def test_files_of_a_first_version_are_read_once_and_from_the_start(
    bench: Bench, read_in_earnest: list[object]
) -> None:
    outcome = bench.ingest(bench.pets())
    assert (outcome.samples, read_in_earnest) == (6, [])


def test_files_that_may_be_known_are_looked_at_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, read_in_earnest: list[object]
) -> None:
    data = bench.pets()
    # Files of this moment are not remembered.
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 3600 * 10**9)
    assert first_of(bench, data)
    bench.ingest(data)
    assert not first_of(bench, data)
    bench.ingest(data, name="others")
    assert len(read_in_earnest) == 1


def test_data_are_verified_from_the_start(bench: Bench, read_in_earnest: list[object]) -> None:
    data = bench.pets()
    bench.ingest(data)
    version = bench.open().verify("pets@1")
    (data / "cat" / "1.jpg").write_bytes(b"poison")
    with pytest.raises(NotTrustedError) as caught:
        verify_data(
            version.workspace,
            version.head,
            lambda: version.entries,
            [data],
            on_step=lambda _: None,
        )
    assert [(one.kind, one.id) for one in caught.value.findings] == [("changed", "cat/1.jpg")]
    assert read_in_earnest == []


@pytest.mark.parametrize(
    "name",
    [
        *(f"a{suffix}" for suffix in (*_FORMATS, *_COMPRESSED)),
        *(f"a.csv{suffix}" for suffix in _COMPRESSED),
        "a.tar", "a.tar.gz", "a.tgz", "a.zip", "A.ZIP", "data-00000-of-00001.arrow",
        "train-images-idx3-ubyte", "train-images-idx3-ubyte.gz",
    ],
)  # fmt: skip
def test_data_of_other_readers_are_left_to_them(bench: Bench, tmp_path: Path, name: str) -> None:
    data = tmp_path / "others"
    data.mkdir()
    (data / name).write_bytes(b"x")
    assert not first_of(bench, data)


def test_what_is_begun_is_what_would_be_detected(bench: Bench, tmp_path: Path) -> None:
    data = tmp_path / "mixed"
    data.mkdir()
    for name in ("1.png", "a.csv", "b.zip"):
        (data / name).write_bytes(b"x")
    assert first_of(bench, data)
    assert detect([data]) == folder.READER


def test_neither_single_files_nor_nothing_is_begun(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    assert not first_of(bench, tmp_path / "one.png")
    assert not first_of(bench, tmp_path / "empty")
    assert not first_of(bench, tmp_path / "nowhere")


def test_files_read_by_another_name_are_not_begun(bench: Bench) -> None:
    assert first_of(bench, bench.pets(), format="folder")
    assert not first_of(bench, bench.pets(), format="zip")


def test_what_was_begun_otherwise_is_not_used(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, read_in_earnest: list[object]
) -> None:
    original = beginning.begun_folder

    def without_cats(how: Any, **others: Any) -> Any:
        return original(dataclasses.replace(how, exclude=("cat/",)), **others)

    monkeypatch.setattr(beginning, "begun_folder", without_cats)
    outcome = bench.ingest(bench.pets())
    assert (outcome.samples, len(read_in_earnest)) == (6, 1)


def test_what_is_wrong_with_the_data_is_said_by_who_reads_them(bench: Bench) -> None:
    data = bench.pets()
    (data / "dog" / "leads").symlink_to("nowhere")
    assert not first_of(bench, data)
    with pytest.raises(InputError, match="'dog/leads'"):
        bench.ingest(data)


def test_a_reading_that_is_none_begins_nothing(bench: Bench) -> None:
    data = bench.pets()
    for reading in ({}, {"reader": "csv"}, {"reader": "folder", "label": "who knows"}):
        with begun_again(bench.open().workspace, [data], reading) as begun:
            assert begun is None
