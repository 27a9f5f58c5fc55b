"""Attacks on receipts that name versions of several registries: who can write to one of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import provreg
from provreg.core.policy.policy import TrainRule
from provreg.core.statements.receipt import Receipt, TrainingInput
from provreg.errors import NotTrustedError
from provreg.flows.receipts.exposure import exposures
from provreg.flows.receipts.models import runs_of_model, verify_model
from provreg.flows.receipts.publish import publish_receipt, trained_on, unsigned_receipt
from provreg.flows.receipts.runs import TrainingRun
from provreg.flows.session.trust import Trust
from provreg.flows.sign.scope import Scope
from provreg.readers.files.model import hash_model
from provreg.store.registry.folder import init

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SEEN = np.array([1, 3, 0, 0, 0, 0], np.uint8)


@pytest.fixture
def elsewhere(bench: Any) -> Any:
    """Another registry, in which alice published `texts`."""
    other = type(bench)(bench.folder / "elsewhere", bench.signers)
    init(other.registry)
    other.ingest(other.pets("texts"), name="texts", labeler="kim")
    return other


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def receipt(bench: Any, elsewhere: Any, model: Path) -> Receipt:
    """Of a run that was handed two of six samples of a version of each registry."""
    bench.ingest(bench.pets())
    versions = (bench.open().verify("pets@1"), elsewhere.open().verify("texts@1"))
    on = tuple(trained_on(version.head, version.digest, SEEN) for version in versions)
    return Receipt("ab" * 16, on, hash_model(model), NOW, NOW)


@pytest.fixture
def publish(bench: Any) -> Callable[[Receipt], str]:
    """Into the first registry."""

    def publish(receipt: Receipt) -> str:
        counts = {on.head: SEEN for on in receipt.datasets}
        unsigned = unsigned_receipt(receipt, counts)
        return publish_receipt(bench.open().workspace, unsigned, bench.signer())

    return publish


def trust(bench: Any, **roles: Any) -> Trust:
    """alice publishes and trains."""
    policy = bench.trust("alice", **roles).policy
    return Trust(replace(policy, train=(TrainRule(("*",), ("alice",)),)), "a test")


def workspace(bench: Any, *others: Any) -> Any:
    registry = bench.open()
    registry.sync()
    return replace(registry.workspace, also=tuple(other.open().workspace for other in others))


def made(bench: Any, model: Path, *others: Any, **roles: Any) -> TrainingRun:
    given = trust(bench, **roles)
    [match] = runs_of_model(workspace(bench, *others), hash_model(model), given, whole=False)
    return match.run


def verify(bench: Any, model: Path, *others: Any, **roles: Any) -> None:
    files, given = hash_model(model), trust(bench, **roles)
    verify_model(workspace(bench, *others), "the model", files, given, whole=False)


def refusal(run: TrainingRun, name: str = "texts@1") -> str:
    [version] = [version for version in run.versions if version.name == name]
    return str(version.refused)


def copy_of(bench: Any, name: str) -> Any:
    other = type(bench)(bench.folder / name, bench.signers)
    shutil.copytree(bench.registry, other.registry)
    return other


def test_every_version_is_looked_up_where_it_is(
    bench: Any, elsewhere: Any, receipt: Receipt, publish: Any, model: Path
) -> None:
    publish(receipt)
    with pytest.raises(NotTrustedError, match=r"texts@1 .* name the one that has it with --also"):
        verify(bench, model)
    verify(bench, model, elsewhere)
    # Naming a registry twice, or the receipt's own, changes nothing.
    verify(bench, model, bench, elsewhere, elsewhere)


def test_samples_revoked_where_the_version_is_are_counted(
    bench: Any, elsewhere: Any, receipt: Receipt, publish: Any, model: Path
) -> None:
    publish(receipt)
    registry = elsewhere.open(revoke=("alice",))
    kim = Scope(labeler="kim")
    registry.revoke("texts", "he guessed", bench.signer(), samples=kim)
    run = made(bench, model, elsewhere, revoke=("alice",))
    assert {version.name: version.revoked for version in run.versions} == {
        "pets@1": 0,
        "texts@1": 2,
    }


def test_a_dataset_of_the_same_name_elsewhere_is_another(
    bench: Any, receipt: Receipt, publish: Any, model: Path
) -> None:
    """Rightly signed `texts@1`, but not the version that the receipt names."""
    publish(receipt)
    impostor = type(bench)(bench.folder / "impostor", bench.signers)
    init(impostor.registry)
    impostor.ingest(impostor.pets("texts"), name="texts")
    assert "is not in this registry" in refusal(made(bench, model, impostor))
    _, unresolved = exposures(workspace(bench, impostor), None, lambda _: None)
    assert ["texts@1" in one.reason for one in unresolved] == [True]


def test_the_first_that_has_the_version_is_taken_not_the_first_that_is_named(
    bench: Any, elsewhere: Any, receipt: Receipt, publish: Any, model: Path
) -> None:
    publish(receipt)
    impostor = copy_of(elsewhere, "impostor")
    [_, on] = receipt.datasets
    # It has the name, and not the version.
    impostor.object(on.head).unlink()
    verify(bench, model, impostor, elsewhere)


@pytest.mark.parametrize("field", ["uid", "version", "samples"])
def test_a_receipt_that_contradicts_a_version_elsewhere_is_none(
    bench: Any, elsewhere: Any, receipt: Receipt, publish: Any, model: Path, field: str
) -> None:
    [on, texts] = receipt.datasets
    false: dict[str, Any] = {"uid": "0" * 32, "version": 2, "samples": 7}
    lie: TrainingInput = replace(texts, **{field: false[field]})
    publish(replace(receipt, datasets=(on, lie)))
    with pytest.raises(NotTrustedError, match="no receipt"):
        verify(bench, model, elsewhere)
    assert any("the receipt says that" in warning for warning in bench.warnings)


@pytest.mark.parametrize("fault", ["damaged", "unsigned", "of others"])
@pytest.mark.parametrize("first", [False, True])
def test_a_copy_that_cannot_vouch_for_a_version_is_told_with_the_run(
    bench: Any, elsewhere: Any, receipt: Receipt, publish: Any, model: Path, fault: str, first: bool
) -> None:
    """It refuses, whatever the other copy says, and keeps no run from being listed."""
    publish(receipt)
    copy = copy_of(elsewhere, "copy")
    [_, on] = receipt.datasets
    if fault == "damaged":
        copy.overwrite(copy.object(on.head), b"{}")
    else:
        for path in copy.signatures(on.head, "texts").iterdir():
            path.unlink()
    if fault == "of others":
        head = elsewhere.open().resolve("texts@1").head
        copy.forge(head, by="mallory", claim=False)
    others = (copy, elsewhere) if first else (elsewhere, copy)
    assert refusal(made(bench, model, *others)).startswith("step ")
    with pytest.raises(NotTrustedError, match="texts@1, which is not trusted"):
        verify(bench, model, *others)


def test_a_version_that_was_replaced_since_it_was_seen_elsewhere_is_told(
    bench: Any, elsewhere: Any, receipt: Receipt, publish: Any, model: Path
) -> None:
    """What this user has seen of the other registry holds there too."""
    publish(receipt)
    verify(bench, model, elsewhere)
    head = elsewhere.open().verify("texts@1").head
    other = elsewhere.forge(replace(head, message="another"), claim=False)
    elsewhere.point(1, other, "texts")
    [on, texts] = receipt.datasets
    publish(replace(receipt, run="cd" * 16, datasets=(on, replace(texts, head=other))))
    given = trust(bench)
    found = runs_of_model(workspace(bench, elsewhere), hash_model(model), given, whole=False)
    [run] = [match.run for match in found if match.run.receipt.run == "cd" * 16]
    assert "is not the one seen before" in refusal(run)


def test_a_policy_planted_in_the_other_registry_speaks_for_nobody(
    bench: Any, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere.registry / "provreg.policy.toml").write_text('format = "provreg.policy/v1"\n')
    monkeypatch.chdir(elsewhere.registry)
    with pytest.raises(NotTrustedError) as caught:
        provreg.Registry.open(bench.registry, also=[elsewhere.registry])
    assert caught.value.step == 6
    # The same file is read where somebody names it.
    named = elsewhere.registry / "provreg.policy.toml"
    provreg.Registry.open(bench.registry, also=[elsewhere.registry], policy=named)


def test_python_looks_up_versions_elsewhere_too(
    bench: Any, elsewhere: Any, receipt: Receipt, publish: Any, model: Path
) -> None:
    publish(receipt)
    alone = provreg.Registry.open(bench.registry, key=bench.key_file())
    found, unresolved = alone.runs(provreg.Selection(labeler="kim").mask)
    assert ["with --also" in one.reason for one in unresolved] == [True]
    assert len(found) == 0
    both = provreg.Registry.open(bench.registry, key=bench.key_file(), also=[elsewhere.registry])
    [exposure], unresolved = both.runs(provreg.Selection(labeler="kim").mask)
    assert (exposure.chosen, exposure.seen, unresolved) == (6, 2, [])
    [match] = both.runs_of_model(model)
    assert [version.refused for version in match.run.versions] == [None, None]
    assert [len(ids) for _, ids in both.samples_of_run(match.run)] == [2, 2]
