"""Samples that are revoked, by their source or labeler, and what loaders do about them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import provreg
import provreg.loaders.arrow
import provreg.loaders.huggingface
import provreg.loaders.numpy
import provreg.loaders.pandas
import provreg.loaders.polars
from provreg.flows.sign.scope import Scope
from provreg.loaders.grain import SampleSource
from provreg.loaders.webdataset import VerifiedWebDataset
from provreg.trust.bundle import parse_bundle

CLEAN = ["cat/1.jpg", "cat/3.jpg", "dog/0.jpg", "dog/2.jpg"]
MALLORYS = ["cat/5.jpg", "dog/4.jpg"]
Open = Callable[..., provreg.VerifiedSamples]
Ids = Callable[[provreg.VerifiedSamples], list[str]]


@pytest.fixture
def poisoned(bench: Any) -> Path:
    """`pets@2`: four of Ann's, then two that Mallory labeled; revoked by alice, who publishes."""
    bench.ingest(bench.pets(count=4), labeler="ann")
    data: Path = bench.pets(count=6)
    bench.ingest(data, labeler="mallory")
    return data


@pytest.fixture
def revoke(bench: Any, poisoned: Path) -> Callable[..., None]:
    def revoke(by: str = "alice", name: str = "mallory", since: int = 1) -> None:
        samples = Scope(labeler=name, since_version=since)
        registry = bench.open(revoke=(by,))
        registry.revoke("pets", "account stolen", bench.signer(by), samples=samples)

    return revoke


@pytest.fixture
def open_pets(bench: Any, poisoned: Path) -> Open:
    def open_pets(reference: str = "pets", **more: Any) -> provreg.VerifiedSamples:
        given = {"data": poisoned, "key": bench.key_file(), "registry": bench.registry} | more
        return provreg.load(reference, **given)

    return open_pets


def ids(samples: provreg.VerifiedSamples) -> list[str]:
    return [sample.id for sample in samples]


def test_revoked_poison_does_not_load_unless_somebody_says_so(
    open_pets: Open, revoke: Callable[..., None]
) -> None:
    assert ids(open_pets()) == sorted(CLEAN + MALLORYS)
    revoke()
    with pytest.raises(provreg.RevokedError) as caught:
        open_pets()
    error = caught.value
    assert error.message.startswith(
        "2 of 6 samples of pets@2 are revoked, the first is 'cat/5.jpg': samples labeled by"
        " mallory, revoked by sha256:"
    )
    assert error.message.endswith(" (revocation 1): account stolen")
    assert (error.step, error.sample, error.exit_code) == (8, "cat/5.jpg", 4)
    assert "exclude_revoked=True" in error.hint
    samples = open_pets(exclude_revoked=True)
    assert ids(samples) == CLEAN
    assert (len(samples), samples.left_out, len(samples.targets)) == (4, 2, 4)
    samples = open_pets(exclude_revoked=False)
    assert (ids(samples), samples.left_out) == (sorted(CLEAN + MALLORYS), 0)


def test_a_selection_without_revoked_samples_is_no_matter_of_theirs(
    open_pets: Open, revoke: Callable[..., None]
) -> None:
    revoke()
    assert ids(open_pets(select="labeler <> 'mallory'")) == CLEAN
    assert ids(open_pets("pets@1")) == CLEAN
    with pytest.raises(provreg.RevokedError, match=r"1 of 3 samples"):
        open_pets(select=provreg.Selection(label="cat"))
    samples = open_pets(select=provreg.Selection(label="cat"), exclude_revoked=True)
    assert (ids(samples), samples.left_out) == (["cat/1.jpg", "cat/3.jpg"], 1)


def test_revoked_poison_in_a_dataset_from_elsewhere_is_named(
    open_pets: Open, revoke: Callable[..., None]
) -> None:
    hugging_face, data = provreg.loaders.huggingface, {"data": datasets.Value("binary")}
    whole = hugging_face.dataset(open_pets(), ("id", "label"), features=data)
    clean = whole.filter(lambda one: one["id"] in CLEAN)
    revoke()
    samples = open_pets(exclude_revoked=True)
    with pytest.raises(provreg.NotTrustedError, match="2 stranger") as caught:
        hugging_face.verify_dataset(whole, samples)
    assert sorted(one.id for one in caught.value.findings) == MALLORYS
    hugging_face.verify_dataset(clean, samples)
    for dataset in (whole, clean):
        with pytest.raises(provreg.RevokedError, match="samples of pets@2 are revoked") as refused:
            hugging_face.verify_dataset(dataset, samples.version)
        assert "exclude_revoked" in refused.value.hint
    hugging_face.verify_dataset(whole, open_pets(exclude_revoked=False))


def test_a_dataset_from_elsewhere_holds_what_was_selected_and_nothing_else(open_pets: Open) -> None:
    hugging_face, data = provreg.loaders.huggingface, {"data": datasets.Value("binary")}
    whole = hugging_face.dataset(open_pets(), ("id", "label"), features=data)
    cats = open_pets(select="label = 'cat'")
    hugging_face.verify_dataset(whole.filter(lambda one: one["id"].startswith("cat")), cats)
    with pytest.raises(provreg.NotTrustedError, match="3 stranger"):
        hugging_face.verify_dataset(whole, cats)


def test_where_all_that_is_selected_is_revoked_nothing_loads(
    open_pets: Open, revoke: Callable[..., None]
) -> None:
    revoke()
    with pytest.raises(provreg.RevokedError, match="2 of 2 samples") as caught:
        open_pets(select="labeler = 'mallory'", exclude_revoked=True)
    assert "without them" in caught.value.hint


def test_what_was_labeled_before_the_account_was_stolen_loads(
    bench: Any, open_pets: Open, revoke: Callable[..., None]
) -> None:
    revoke(name="ann", since=2)
    assert len(open_pets()) == 6
    revoke(since=2)
    assert ids(open_pets(exclude_revoked=True)) == CLEAN


def test_strangers_revoke_nothing(open_pets: Open, revoke: Callable[..., None]) -> None:
    revoke(by="mallory", name="ann")
    assert len(open_pets()) == 6


def test_a_hidden_revocation_of_samples_is_refused_by_who_saw_it(
    bench: Any, open_pets: Open, revoke: Callable[..., None]
) -> None:
    revoke()
    open_pets(exclude_revoked=True)
    (bench.registry / "revocations/00000001.json").unlink()
    with pytest.raises(provreg.NotTrustedError, match="hides revocation 1"):
        open_pets()


def of_arrow(samples: provreg.VerifiedSamples) -> list[str]:
    found: list[str] = provreg.loaders.arrow.table(samples, ("id",))["id"].to_pylist()
    return found


def of_pandas(samples: provreg.VerifiedSamples) -> list[str]:
    return list(provreg.loaders.pandas.frame(samples, ("id",))["id"])


def of_polars(samples: provreg.VerifiedSamples) -> list[str]:
    return list(provreg.loaders.polars.frame(samples, ("id",))["id"])


def of_numpy(samples: provreg.VerifiedSamples) -> list[str]:
    return list(provreg.loaders.numpy.arrays(samples, decode=len).ids)


def of_hugging_face(samples: provreg.VerifiedSamples) -> list[str]:
    made = provreg.loaders.huggingface.dataset
    return list(made(samples, ("id",), features={"data": datasets.Value("binary")})["id"])


def of_grain(samples: provreg.VerifiedSamples) -> list[str]:
    source = SampleSource(samples)
    return [source[number]["id"] for number in range(len(source))]


def of_webdataset(samples: provreg.VerifiedSamples) -> list[str]:
    return [one["__key__"] for one in VerifiedWebDataset(samples)]


@pytest.mark.parametrize("front_end", [of_arrow, of_pandas, of_polars, of_numpy])
def test_revoked_rows_of_a_table_are_left_out_of_what_is_made_of_it(
    bench: Any, tmp_path: Path, load_data: Open, publish: Callable[..., None], front_end: Ids
) -> None:
    rows = {"id": ["1", "2", "3"], "text": ["a", "b", "c"], "by": ["ann", "mallory", "ann"]}
    table = tmp_path / "t.parquet"
    pq.write_table(pa.table(rows), table)
    publish(table, id="id", labeler_column="by", labeler=None)
    revoke_in_d(bench)
    with pytest.raises(provreg.RevokedError):
        load_data(table)
    assert front_end(load_data(table, exclude_revoked=True)) == ["1", "3"]


@pytest.mark.parametrize("front_end", [of_numpy, of_hugging_face, of_grain])
def test_revoked_files_are_left_out_of_what_is_made_of_them(
    open_pets: Open, revoke: Callable[..., None], front_end: Ids
) -> None:
    revoke()
    assert front_end(open_pets(exclude_revoked=True)) == CLEAN


def test_revoked_samples_are_left_out_of_shards(
    bench: Any, tmp_path: Path, load_data: Open, publish: Callable[..., None]
) -> None:
    (tmp_path / "shards").mkdir()
    for number, labeler in enumerate(("ann", "mallory")):
        with tarfile.open(tmp_path / f"shards/{number}.tar", "w") as archive:
            for name, data in ((f"{number}.txt", b"text"), (f"{number}.cls", b"1")):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        publish(tmp_path / "shards", labeler=labeler)
    revoke_in_d(bench)
    with pytest.raises(provreg.RevokedError):
        load_data(tmp_path / "shards")
    assert of_webdataset(load_data(tmp_path / "shards", exclude_revoked=True)) == ["0"]


def revoke_in_d(bench: Any) -> None:
    registry = bench.open(revoke=("alice",))
    samples = Scope(labeler="mallory")
    registry.revoke("d", "account stolen", bench.signer(), samples=samples)


def test_torch_datasets_leave_them_out_too(
    bench: Any, poisoned: Path, revoke: Callable[..., None]
) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    from provreg.loaders.torch import VerifiedDataset, VerifiedIterableDataset

    revoke()
    whom = {"data": poisoned, "key": bench.key_file(), "registry": bench.registry}
    for made in (VerifiedDataset, VerifiedIterableDataset):
        with pytest.raises(provreg.RevokedError):
            made("pets", **whom)
        dataset = made("pets", exclude_revoked=True, **whom)
        found: Iterator[Any] = iter(dataset) if made is VerifiedIterableDataset else (
            dataset[number] for number in range(len(dataset))
        )  # fmt: skip
        assert sorted(sample.id for sample in found) == CLEAN


def test_the_receipt_says_how_many_were_left_out(
    bench: Any, tmp_path: Path, open_pets: Open, revoke: Callable[..., None]
) -> None:
    revoke()
    model = tmp_path / "model.bin"
    model.write_bytes(b"weights")
    samples = open_pets(exclude_revoked=True)
    with provreg.training_run(samples, model=model, sign=bench.signer()) as run:
        list(samples)
    assert run.receipt is not None
    [(_, data)] = bench.open().workspace.runs.bundles(run.receipt)
    assert b'"left_out_as_revoked":[{"newest_revocation":1,"samples":2,"version":"pets@2"}]' in (
        parse_bundle(data).payload
    )
