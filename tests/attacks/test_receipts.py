"""Attacks on receipts of training runs: who can write to the registry or to the model's folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from provreg.core.encoding.bitmap import pack
from provreg.core.encoding.digest import blake3_digest, sha256_digest
from provreg.core.policy.policy import NameList, TrainRule
from provreg.core.statements.receipt import Receipt
from provreg.errors import DamagedError, NotTrustedError
from provreg.flows.index.query import query
from provreg.flows.receipts.exposure import all_runs, exposures, same_content
from provreg.flows.receipts.models import runs_of_model, verify_model
from provreg.flows.receipts.publish import publish_receipt, trained_on, unsigned_receipt
from provreg.flows.receipts.runs import RunJudge, TrainingRun, members
from provreg.flows.session.trust import Trust
from provreg.readers.files.model import hash_model
from provreg.store.registry.folder import init
from provreg.store.registry.statements import RECEIPTS

if TYPE_CHECKING:
    from tests.conftest import Bench

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"{}")
    (folder / "model.bin").write_bytes(b"weights")
    return folder


@pytest.fixture
def receipt(bench: Bench, model: Path) -> Receipt:
    """Of a run that was handed the first two of six pets, and left the model; not yet signed."""
    bench.ingest(bench.pets())
    version = bench.open().verify("pets@1")
    counts = np.array([1, 3, 0, 0, 0, 0], np.uint8)
    on = trained_on(version.head, version.digest, counts)
    return Receipt("ab" * 16, (on,), hash_model(model), NOW, NOW)


@pytest.fixture
def publish(bench: Bench) -> Callable[..., str]:
    def publish(receipt: Receipt, by: str = "alice", *seen: int) -> str:
        counts = np.zeros(receipt.datasets[0].samples, np.uint8)
        counts[list(seen or (0, 1))] = 1
        heads = {on.head: counts for on in receipt.datasets}
        workspace = bench.open().workspace
        return publish_receipt(workspace, unsigned_receipt(receipt, heads), bench.signer(by))

    return publish


def trust(bench: Bench, *trainers: str, publishers: tuple[str, ...] = ("alice",)) -> Trust:
    """alice publishes, and the receipts of `trainers` count."""
    both = bench.trust(*dict.fromkeys((*publishers, *trainers)))
    rule = replace(both.policy.publish[0], principals=publishers)
    train = (TrainRule(("*",), trainers),) if trainers else ()
    return Trust(replace(both.policy, publish=(rule,), train=train), "a test")


def judged(bench: Bench, digest: str, by: Trust | None = None) -> TrainingRun:
    return RunJudge(bench.open().workspace, by or trust(bench, "alice")).run(digest)


def found(bench: Bench, model: Path, by: Trust | None = None) -> list[Any]:
    registry = bench.open()
    registry.sync()
    given = by or trust(bench, "alice")
    return runs_of_model(registry.workspace, hash_model(model), given, whole=True)


def verify(bench: Bench, model: Path, by: Trust | None = None) -> None:
    registry = bench.open()
    registry.sync()
    given = by or trust(bench, "alice")
    files, whole = hash_model(model), model.is_dir()
    verify_model(registry.workspace, "the model", files, given, whole=whole)


def test_a_receipt_leads_from_the_model_to_its_samples_and_back(
    bench: Bench, receipt: Receipt, publish: Any, model: Path
) -> None:
    digest = publish(receipt)
    verify(bench, model)
    verify(bench, model / "model.bin")
    [made] = found(bench, model)
    assert made.run.digest == digest
    assert [signer.principal for signer in made.run.signers] == ["alice"]
    workspace = bench.open().workspace
    assert members(workspace, receipt.datasets[0]).tolist() == [True, True] + [False] * 4
    entries = bench.open().verify("pets@1").entries.to_pylist()
    for place, entry in enumerate(entries):
        saw, untold = exposures(workspace, None, same_content(entry["content"]))
        assert ([one.run.digest for one in saw] == [digest]) == (place < 2)
        assert untold == []


def test_forged_run_by_a_stranger_is_shown_and_trusted_by_nobody(
    bench: Bench, receipt: Receipt, publish: Any, model: Path
) -> None:
    publish(receipt, "mallory")
    [made] = found(bench, model)
    assert made.run.signers == ()
    assert made.run.refused is not None
    assert made.run.refused.step == 3
    with pytest.raises(NotTrustedError) as refused:
        verify(bench, model)
    assert refused.value.step == 3


def test_who_may_publish_data_does_not_thereby_vouch_for_models(
    bench: Bench, receipt: Receipt, publish: Any, model: Path
) -> None:
    publish(receipt, "vendor")
    for trainers in ((), ("alice",)):
        with pytest.raises(NotTrustedError, match=r"receipts count|train") as refused:
            verify(bench, model, trust(bench, *trainers, publishers=("alice", "vendor")))
        assert refused.value.step == 6
    verify(bench, model, trust(bench, "vendor"))


def test_a_forged_receipt_beside_the_true_one_changes_nothing(
    bench: Bench, receipt: Receipt, publish: Any, model: Path
) -> None:
    publish(replace(receipt, run="cd" * 16), "mallory", 4)
    true = publish(receipt)
    assert [made.run.digest == true for made in found(bench, model)] == [True, False]
    verify(bench, model)


@pytest.mark.parametrize("fault", ["emptied", "taken away", "another"])
def test_a_receipt_that_breaks_after_it_was_indexed_hides_no_other_run(
    bench: Bench, receipt: Receipt, publish: Any, model: Path, fault: str
) -> None:
    """Anybody can store one that names the same file, and take it back by half."""
    true = publish(receipt)
    bad = publish(replace(receipt, run="cd" * 16), "mallory", 4)
    assert len(found(bench, model)) == 2
    [bundle] = (bench.registry / RECEIPTS.prefix(bad)).iterdir()
    if fault == "taken away":
        bundle.unlink()
    else:
        of_another = next((bench.registry / RECEIPTS.prefix(true)).iterdir()).read_bytes()
        bench.overwrite(bundle, of_another if fault == "another" else b"")
    assert [made.run.digest for made in found(bench, model)] == [true]
    verify(bench, model)
    registry = bench.open()
    registry.sync()
    workspace, by = registry.workspace, trust(bench, "alice")
    assert [one.run.digest for one in all_runs(workspace, by)] == [true]
    entry = registry.verify("pets@1").entries.to_pylist()[0]
    saw, _ = exposures(workspace, by, same_content(entry["content"]))
    assert [one.run.digest for one in saw] == [true]
    _, rows = query(workspace, "select receipt from runs where trusted", by)
    assert rows == [(true,)]
    assert any(bad in warning for warning in registry.warnings)


@pytest.mark.parametrize("change", ["weights", "config", "added", "missing", "renamed"])
def test_model_file_swapped_after_the_run_is_refused_and_named(
    bench: Bench, receipt: Receipt, publish: Any, model: Path, change: str
) -> None:
    publish(receipt)
    if change == "weights":
        (model / "model.bin").write_bytes(b"Weights")
    elif change == "config":
        (model / "config.json").write_bytes(b'{"trust_remote_code": true}')
    elif change == "added":
        (model / "modeling.py").write_bytes(b"import os")
    elif change == "missing":
        (model / "config.json").unlink()
    else:
        (model / "config.json").rename(model / "konfig.json")
    with pytest.raises(NotTrustedError) as refused:
        verify(bench, model)
    assert refused.value.step == 12
    kinds = {finding.kind for finding in refused.value.findings}
    assert kinds == {
        "weights": {"changed"}, "config": {"changed"}, "added": {"stranger"},
        "missing": {"missing"}, "renamed": {"missing", "stranger"},
    }[change]  # fmt: skip


def test_a_swapped_single_file_is_of_no_run(
    bench: Bench, receipt: Receipt, publish: Any, model: Path
) -> None:
    publish(receipt)
    (model / "model.bin").write_bytes(b"Weights")
    with pytest.raises(NotTrustedError, match="no receipt") as refused:
        verify(bench, model / "model.bin")
    assert refused.value.step == 12


def test_receipt_of_another_datasets_uid_is_no_receipt(
    bench: Bench, receipt: Receipt, publish: Any, model: Path
) -> None:
    [on] = receipt.datasets
    for lie in ({"uid": "0" * 32}, {"samples": 7}, {"version": 2}, {"dataset": "cats"}):
        digest = publish(replace(receipt, datasets=(replace(on, **lie),)))
        with pytest.raises(DamagedError, match="it is pets@1"):
            judged(bench, digest)
    assert found(bench, model) == []
    assert len([one for one in bench.open().check() if one.where.startswith("receipt")]) == 4


@pytest.mark.parametrize("fault", ["of other length", "of other samples", "gone", "swapped"])
def test_bitmap_of_wrong_length_hides_no_other_run(
    bench: Bench, receipt: Receipt, publish: Any, fault: str
) -> None:
    true = publish(replace(receipt, run="cd" * 16))
    [on] = receipt.datasets
    bitmaps = {"of other length": pack(np.ones(5000, np.bool_)), "of other samples": b"\x01"}
    if fault in bitmaps:
        bitmap = bench.open().workspace.objects.put(bitmaps[fault])
        receipt = replace(receipt, datasets=(replace(on, bitmap=bitmap),))
    else:
        on = replace(on, bitmap=blake3_digest(b"nowhere"))
        receipt = replace(receipt, datasets=(on,))
        if fault == "swapped":
            bench.overwrite(bench.object(on.bitmap), pack(np.ones(6, np.bool_)))
    bad = publish(receipt, "mallory")
    registry = bench.open()
    registry.sync()
    entry = registry.verify("pets@1").entries.to_pylist()[0]
    saw, untold = exposures(registry.workspace, None, same_content(entry["content"]))
    assert [one.run.digest for one in saw] == [true]
    assert [one.receipt for one in untold] == [bad]
    assert any(bad in problem.where for problem in registry.check())


def test_receipt_replayed_under_another_registry_is_not_of_its_datasets(
    bench: Bench, receipt: Receipt, publish: Any, model: Path, tmp_path: Path
) -> None:
    """The other registry has a dataset of the same name and samples, but not the same dataset."""
    publish(receipt)
    shutil.move(bench.registry, tmp_path / "first")
    init(bench.registry)
    bench.forget()
    bench.ingest(bench.pets())
    shutil.copytree(tmp_path / "first/runs", bench.registry / "runs")
    [made] = found(bench, model)
    assert made.run.refused is None, "who signed it has signed it"
    [standing] = made.run.versions
    assert standing.refused is not None
    with pytest.raises(NotTrustedError, match="pets@1, which is not trusted"):
        verify(bench, model)


def test_equal_ids_of_another_dataset_accuse_no_model(
    bench: Bench, receipt: Receipt, publish: Any
) -> None:
    """An unrelated dataset has the same names, and even bytes of the poisoned sample."""
    publish(receipt)
    bench.ingest(bench.pets("cats", 7), name="cats")
    registry = bench.open()
    ids = registry.verify("pets@1").entries.column("id").to_pylist()
    assert set(ids) < set(registry.verify("cats@1").entries.column("id").to_pylist())
    assert len(registry.runs_of_sample("pets@1", ids[0])[0]) == 1
    assert registry.runs_of_sample("cats@1", ids[0]) == ([], [])


def test_a_changed_sample_under_an_old_id_accuses_no_model(
    bench: Bench, receipt: Receipt, publish: Any
) -> None:
    publish(receipt)
    sample = bench.open().verify("pets@1").entries.column("id")[0].as_py()
    (bench.folder / "pets" / sample).write_bytes(b"poison, since version 2")
    bench.ingest(bench.folder / "pets")
    registry = bench.open()
    assert registry.runs_of_sample("pets@2", sample) == ([], [])
    assert len(registry.runs_of_sample("pets@1", sample)[0]) == 1


def test_a_receipt_of_other_registries_too_hides_no_run(
    bench: Bench, receipt: Receipt, publish: Any
) -> None:
    """It names a version that is not here, beside one that is."""
    [on] = receipt.datasets
    elsewhere = replace(on, dataset="tools", uid="0" * 32, head=f"sha256:{'1' * 64}")
    both = publish(replace(receipt, datasets=(on, elsewhere)))
    registry = bench.open()
    sample, content = (
        registry.verify("pets@1").entries.column(name)[0].as_py() for name in ("id", "content")
    )
    found, unresolved = registry.runs(same_content(content))
    assert [exposure.run.digest for exposure in found] == [both]
    assert [one.receipt for one in unresolved] == [both]
    assert "tools@1" in unresolved[0].reason
    assert "not in this registry" in unresolved[0].reason
    assert [len(part) for part in registry.runs_of_sample("pets@1", sample)] == [1, 0]


def test_a_version_that_is_not_trusted_any_more_is_told_with_the_run(
    bench: Bench, receipt: Receipt, publish: Any, model: Path
) -> None:
    publish(receipt)
    without = trust(bench, "alice", publishers=("bob",))
    [made] = found(bench, model, without)
    assert made.run.refused is None
    assert made.run.versions[0].refused is not None
    with pytest.raises(NotTrustedError, match="trained on pets@1, which is not trusted") as refused:
        verify(bench, model, without)
    assert refused.value.step in (3, 6)


def test_a_version_with_a_source_that_the_policy_does_not_take_is_told_with_the_run(
    bench: Bench, receipt: Receipt, publish: Any, model: Path
) -> None:
    publish(receipt)
    given = trust(bench, "alice")
    rule = replace(given.policy.publish[0], sources=NameList(forbid=("shelter",)))
    narrow = Trust(replace(given.policy, publish=(rule,)), "a test")
    with pytest.raises(NotTrustedError, match="trained on pets@1, which is not trusted") as refused:
        verify(bench, model, narrow)
    assert refused.value.step == 11


def test_a_statement_of_another_kind_replayed_as_a_receipt_is_none(
    bench: Bench, receipt: Receipt, publish: Any, model: Path
) -> None:
    workspace = bench.open().workspace
    [signature] = bench.signatures(receipt.datasets[0].head).iterdir()
    from provreg.trust.bundle import parse_bundle

    bundle = signature.read_bytes()
    digest = sha256_digest(parse_bundle(bundle).payload)
    workspace.runs.add(digest, bundle)
    with pytest.raises(DamagedError, match="of type"):
        judged(bench, digest)
    assert found(bench, model) == []


def test_a_receipt_replayed_as_a_version_is_none(
    bench: Bench, receipt: Receipt, publish: Any
) -> None:
    digest = publish(receipt)
    [bundle] = [data for _, data in bench.open().workspace.runs.bundles(digest)]
    head = receipt.datasets[0].head
    for path in bench.signatures(head).iterdir():
        path.chmod(0o600)
        path.unlink()
    bench.open().workspace.versions.add(head, bundle, "pets")
    with pytest.raises(NotTrustedError) as refused:
        bench.open().verify("pets@1")
    assert refused.value.step == 5


def test_a_bundle_over_another_receipt_is_not_counted(
    bench: Bench, receipt: Receipt, publish: Any, model: Path
) -> None:
    """Alice's bundle over her receipt is put beside Mallory's over his."""
    hers = publish(receipt)
    his = publish(replace(receipt, parameters={"epochs": 1000}), "mallory")
    for path in (bench.registry / RECEIPTS.prefix(hers)).iterdir():
        shutil.copy(path, bench.registry / RECEIPTS.prefix(his))
    assert judged(bench, his).refused is not None
    assert judged(bench, hers).refused is None


def test_a_run_on_a_version_that_took_the_place_of_the_one_seen_is_told(
    bench: Bench, receipt: Receipt, publish: Any, model: Path
) -> None:
    """Rightly signed, by a key that a thief has: `verify` refuses it at step 9."""
    bench.open().verify("pets")
    version = bench.open().resolve("pets@1")
    other = bench.forge(replace(version.head, message="another"), claim=False)
    bench.point(1, other)
    publish(replace(receipt, datasets=(replace(receipt.datasets[0], head=other),)))
    [made] = found(bench, model)
    refused = made.run.versions[0].refused
    assert refused is not None
    assert refused.step == 9
    with pytest.raises(NotTrustedError, match="is not the one seen before"):
        verify(bench, model)
