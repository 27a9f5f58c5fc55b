"""Training runs: exactly what was handed out is signed together with what came out."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import provreg
from provreg.core.encoding.bitmap import unpack
from provreg.core.statements.receipt import Receipt, parse_receipt
from provreg.errors import NotTrustedError, StorageError, UsageError
from provreg.flows.receipts.code_state import code_revision, running_script
from provreg.loaders.passes.shared_state import MAX_COUNT, DeliveryCounts, add_counts
from provreg.trust.bundle import parse_bundle
from provreg.trust.keys import generate

Load = Callable[..., provreg.VerifiedSamples]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"weights")
    return folder


@pytest.fixture
def train(bench: Any, model: Path) -> Callable[..., provreg.TrainingRun]:
    """`provreg.training_run` of alice's."""

    def train(*datasets: Any, **more: Any) -> provreg.TrainingRun:
        given = {"model": model, "sign": bench.signer()} | more
        return provreg.training_run(*datasets, **given)

    return train


def receipt_of(bench: Any, digest: str | None) -> Receipt:
    assert digest is not None
    [(_, data)] = bench.open().workspace.runs.bundles(digest)
    return parse_receipt(parse_bundle(data).payload)


def seen(bench: Any, digest: str | None, number: int = 0) -> list[str]:
    """The ids of the samples that a receipt's bitmap names."""
    on = receipt_of(bench, digest).datasets[number]
    registry = bench.open()
    bitmap = registry.workspace.objects.get(on.bitmap, limit=1 << 20)
    ids = registry.verify(f"{on.dataset}@{on.version}").entries.column("id").to_numpy()
    found = ids[unpack(bitmap, on.samples)].tolist()
    assert len(found) == on.seen
    return found


def test_a_receipt_names_exactly_what_was_handed_out(
    bench: Any, load: Load, train: Any, model: Path
) -> None:
    samples = load()
    _ = samples[7]  # before the run: not of it
    with train(samples, parameters={"lr": 0.5}) as run:
        ids = {samples[0].id, samples[5].id, samples[0].id}
        run.parameters["epochs"] = 2
    assert set(seen(bench, run.receipt)) == ids
    receipt = receipt_of(bench, run.receipt)
    [on] = receipt.datasets
    version = samples.version
    assert (on.dataset, on.version, on.head, on.uid) == (
        "pets", 1, version.digest, version.head.uid,
    )  # fmt: skip
    assert (on.samples, on.seen, on.handed_out) == (8, 2, 3)
    assert [file.name for file in receipt.model] == ["weights.bin"]
    assert receipt.parameters == {"lr": 0.5, "epochs": 2, "model_path": model.name}
    assert receipt.started <= receipt.finished
    assert receipt.environment["python"].startswith("3.")
    assert receipt.code == code_revision(running_script(), Path.cwd())


def test_whole_epochs_and_selections_are_counted(bench: Any, load: Load, train: Any) -> None:
    samples = load(select="split = 'test'")
    with train(samples) as run:
        for _ in range(3):
            assert len(list(samples)) == 2
    assert seen(bench, run.receipt) == ["test/cat/7.jpg", "test/dog/6.jpg"]
    assert receipt_of(bench, run.receipt).datasets[0].handed_out == 6


def test_rows_of_a_table_are_counted_by_their_ids(bench: Any, train: Any) -> None:
    data = bench.write("t", {"t.csv": "id,text\nc,3\na,1\nb,2\n"}) / "t.csv"
    how = provreg.ReadOptions(id="id")
    bench.ingest(data, name="rows", options=how)
    samples = provreg.load(
        "rows@1", data=data, key=bench.key_file(), registry=bench.registry, select="id <> 'b'"
    )
    with train(samples) as run:
        assert [sample.id for sample in samples] == ["c", "a"]
    assert seen(bench, run.receipt) == ["a", "c"]


def test_two_selections_of_a_version_are_one_entry(bench: Any, load: Load, train: Any) -> None:
    one, other = load(select="split = 'train'"), load(select="label = 'dog'")
    with train(one, other, one) as run:
        list(one)
        list(other)
    [on] = receipt_of(bench, run.receipt).datasets
    assert (on.seen, on.handed_out) == (7, 10)


def test_several_versions_are_told_apart_and_unused_ones_left_out(
    bench: Any, pets: Path, load: Load, train: Any
) -> None:
    bench.ingest(bench.pets("more", 3), name="more")
    more = provreg.load(
        "more@1", data=bench.folder / "more", key=bench.key_file(), registry=bench.registry
    )
    with train(load(), more) as run:
        list(more)
    assert [one.dataset for one in receipt_of(bench, run.receipt).datasets] == ["more"]


def _read_some(samples: provreg.VerifiedSamples, indices: list[int]) -> None:
    for index in indices:
        _ = samples[index]


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.long)])
def test_what_worker_processes_hand_out_is_counted(
    bench: Any, load: Load, train: Any, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = load()
    context = multiprocessing.get_context(method)
    # Spawned processes import this module from its file.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with train(samples) as run:
        workers = [
            context.Process(target=_read_some, args=(samples, indices))
            for indices in ([0, 1], [1, 2])
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
    [on] = receipt_of(bench, run.receipt).datasets
    assert (on.seen, on.handed_out) == (3, 4)


def test_an_exception_inside_the_block_records_nothing(
    bench: Any, load: Load, train: Any, model: Path
) -> None:
    before = bench.files()
    samples = load()
    run = train(samples)
    with pytest.raises(ZeroDivisionError), run:
        _ = [1 / 0 for _ in samples]
    assert run.receipt is None
    assert bench.files() == before
    assert not (model / "model.sig").exists()


def test_checkpoints_share_the_runs_number(bench: Any, load: Load, train: Any, model: Path) -> None:
    samples = load()
    with train(samples) as run:
        _ = samples[0]
        first = run.publish()
        (model / "weights.bin").write_bytes(b"better weights")
        _ = samples[1]
    one, two = receipt_of(bench, first), receipt_of(bench, run.receipt)
    assert one.run == two.run
    assert (one.datasets[0].seen, two.datasets[0].seen) == (1, 2)
    assert one.model != two.model
    with train(samples) as again:
        _ = samples[3]
    third = receipt_of(bench, again.receipt)
    assert third.run != one.run
    assert third.datasets[0].seen == 1


def test_a_run_without_samples_is_refused(load: Load, train: Any, bench: Any) -> None:
    before = bench.files()
    with pytest.raises(UsageError, match="no sample was delivered"), train(load()):
        pass
    assert bench.files() == before


def test_what_cannot_be_recorded_is_refused_before_training(
    bench: Any, load: Load, train: Any, tmp_path: Path
) -> None:
    samples = load()
    for parameters in ({"lr": float("nan")}, {"steps": 2**60}, {"text": "x" * 70_000}, {"o": {1}}):
        name = next(iter(parameters))
        with pytest.raises(UsageError, match=f"'{name}' cannot be recorded"):
            train(samples, parameters=parameters).__enter__()
    with pytest.raises(UsageError, match="needs a dataset"):
        train()
    with pytest.raises(UsageError, match="'list' is not a dataset"):
        train([b"unverified"])
    with pytest.raises(UsageError, match="invalid value of sign"):
        train(samples, sign="gpg").__enter__()
    with pytest.raises(provreg.ProvregError, match="none"):
        train(samples, sign=f"key:{tmp_path}/none").__enter__()
    ed25519 = provreg.KeySigner(generate("ed25519"))
    with pytest.raises(UsageError, match="model_signing"):
        train(samples, sign=ed25519).__enter__()
    with train(samples, sign=ed25519, oms=False) as run:
        list(samples)
    assert run.receipt


class FailingSigner:
    """An identity provider that is down when training has ended."""

    def __init__(self, real: provreg.KeySigner) -> None:
        self._real = real

    def sign(self, statement: bytes) -> bytes:
        raise StorageError("the log is down")

    def policy(self) -> Any:
        return self._real.policy()


def test_a_signer_that_fails_in_the_end_leaves_nothing_half_published(
    bench: Any, load: Load, train: Any, model: Path
) -> None:
    samples = load()
    before = bench.files()
    run = train(samples, sign=FailingSigner(bench.signer()), oms=False)
    with pytest.raises(StorageError, match="the log is down"), run:
        list(samples)
    assert bench.files() == before


def test_the_models_folder_gets_a_signature_of_its_own(load: Load, train: Any, model: Path) -> None:
    samples = load()
    for _ in range(2):  # an older signature is replaced, and signs nothing
        with train(samples):
            list(samples)
    bundle = json.loads((model / "model.sig").read_bytes())
    assert bundle["dsseEnvelope"]["payloadType"] == "application/vnd.in-toto+json"
    with train(samples, model=model / "weights.bin"):
        list(samples)
    assert sorted(path.name for path in model.iterdir()) == ["model.sig", "weights.bin"]


def test_the_real_model_signing_takes_the_folder_and_refuses_a_changed_weight(
    bench: Any, load: Load, train: Any, model: Path, model_signing: Callable[..., Any]
) -> None:
    """So does provreg: tests/attacks/test_receipts.py."""
    (model / "tokenizer").mkdir()
    (model / "tokenizer" / "vocab.json").write_bytes(b"{}")
    (model / ".gitattributes").write_bytes(b"*.bin filter=lfs")
    samples = load()
    with train(samples) as run:
        list(samples)
    assert ".gitattributes" in [file.name for file in receipt_of(bench, run.receipt).model]
    command = (
        "verify", "key", model, "--signature", model / "model.sig",
        "--public_key", bench.key_file(),
    )  # fmt: skip
    ran = model_signing(*command)
    assert ran.returncode == 0, ran
    for name, data in (("weights.bin", b"Weights"), ("added.py", b"import os")):
        before = (model / name).read_bytes() if (model / name).exists() else None
        (model / name).write_bytes(data)
        assert model_signing(*command).returncode != 0
        if before is not None:
            (model / name).write_bytes(before)


def test_counts_stop_where_a_byte_ends(tmp_path: Path) -> None:
    deliveries = DeliveryCounts(tmp_path, 3)
    for _ in range(MAX_COUNT + 5):
        deliveries.add(1)
    deliveries.add_all(np.array([0, 1]))
    assert deliveries.counts().tolist() == [1, MAX_COUNT, 0]
    assert add_counts(deliveries.counts(), np.array([254, 9, 0], np.uint8)).tolist() == [
        255,
        255,
        0,
    ]
    deliveries.reset()
    assert deliveries.counts().tolist() == [0, 0, 0]


def test_samples_that_were_refused_are_not_handed_out(
    bench: Any, pets: Path, load: Load, train: Any
) -> None:
    (pets / "train/cat/1.jpg").write_bytes(b"poison!!")
    samples = load()
    with train(samples) as run:
        _ = samples[1]
        with pytest.raises(NotTrustedError):
            _ = [samples[index] for index in range(8)]
    assert "train/cat/1.jpg" not in seen(bench, run.receipt)


RANK = """
import sys
from datetime import timedelta
import torch.distributed as group
import provreg
folder, registry, data, key, rank = sys.argv[1:]
group.init_process_group(
    "gloo", init_method=f"file://{folder}/meet", rank=int(rank), world_size=2,
    timeout=timedelta(seconds=60),
)
samples = provreg.load("pets@1", data=data, key=key, registry=registry)
sign = "key:" + key.removesuffix(".pub") if rank == "0" else "key:/nowhere"
with provreg.training_run(samples, model=f"{folder}/model", sign=sign) as run:
    for index in range(int(rank), 6, 2):
        samples[index]
    samples[7]
group.destroy_process_group()
print(run.receipt)
"""


def test_the_ranks_of_a_distributed_run_make_one_receipt(
    bench: Any, pets: Path, model: Path
) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    arguments = (bench.folder, bench.registry, pets, bench.key_file())
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RANK, *map(str, arguments), rank],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    first, other = (process.communicate(timeout=100)[0].strip() for process in processes)
    assert other == "None"
    [on] = receipt_of(bench, first).datasets
    assert (on.seen, on.handed_out) == (7, 8)
