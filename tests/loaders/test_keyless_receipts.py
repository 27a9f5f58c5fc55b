"""Receipts signed with an identity: the real client, and a Sigstore on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sigstore_instance import Instance as Loopback
from sigstore_instance.instance import PERSON

import provreg
from provreg.errors import NotTrustedError, StorageError, UsageError
from provreg.store.private.pending_receipts import list_pending
from provreg.trust.bundle import parse_bundle

Load = Callable[..., provreg.VerifiedSamples]


@pytest.fixture(scope="module")
def loopback() -> Iterator[Loopback]:
    with Loopback.running() as instance:
        yield instance


@pytest.fixture
def configs(tmp_path: Path, loopback: Loopback) -> Path:
    for log in (1, 2):
        config = json.dumps(loopback.trust_config(log))
        (tmp_path / f"rekor{log}.json").write_text(config, "utf-8")
    (tmp_path / "root.json").write_text(json.dumps(loopback.trusted_root()), "utf-8")
    return tmp_path


@pytest.fixture
def train(
    load: Load, configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., provreg.TrainingRun]:
    """A run of all pets that leaves the folder `model`, signed by whom `token` names: at first, and
    in the end `later`."""

    def train(token: str, log: int = 2, *, later: str | None = None) -> provreg.TrainingRun:
        model = tmp_path / "model"
        model.mkdir(exist_ok=True)
        (model / "weights.bin").write_bytes(b"weights")
        monkeypatch.setenv("PROVREG_IDENTITY_TOKEN", token)
        signer = provreg.KeylessSigner.load(trust_config=configs / f"rekor{log}.json")
        samples = load()
        with provreg.training_run(samples, model=model, sign=signer) as run:
            list(samples)
            monkeypatch.setenv("PROVREG_IDENTITY_TOKEN", later or token)
        return run

    return train


def verify(bench: Any, loopback: Loopback, configs: Path, identity: str = PERSON) -> Any:
    """`verify model:`, trusting alice's key for the data and `identity` for the receipt."""
    policy = configs / "policy.toml"
    issuer = loopback.oidc.issuer
    policy.write_text(
        f"""format = "provreg.policy/v1"
[[principal]]
name = "alice"
keys = ['''{bench.key_file().read_text()}''']
[[principal]]
name = "trainer"
identities = [{{ identity = "{identity}", issuer = "{issuer}" }}]
[[publish]]
datasets = ["*"]
principals = ["alice"]
[[train]]
datasets = ["*"]
principals = ["trainer"]
""",
        "utf-8",
    )
    return bench.run(
        "verify", f"model:{configs / 'model'}", "--policy", policy,
        "--trusted-root", configs / "root.json",
    )  # fmt: skip


@pytest.mark.parametrize("log", [1, 2])
def test_a_receipt_signed_with_an_identity_vouches_for_its_model(
    bench: Any, loopback: Loopback, configs: Path, train: Any, log: int
) -> None:
    run = train(loopback.oidc.token(), log)
    verified = verify(bench, loopback, configs)
    assert verified.returncode == 0, verified.stderr
    assert run.receipt.encode() in verified.stdout
    assert PERSON.encode() in verified.stdout
    assert parse_bundle((configs / "model/model.sig").read_bytes()).payload
    refused = verify(bench, loopback, configs, "mallory@example.org")
    assert (refused.returncode, b"step 6" in refused.stderr) == (4, True), refused.stderr


def test_an_identity_that_cannot_sign_is_refused_before_training(
    loopback: Loopback, train: Any
) -> None:
    with loopback.inject("expired-token"):
        expired = loopback.oidc.token()
    for token in ("no token", expired):
        with pytest.raises(UsageError, match="token"):
            train(token)
    assert list_pending() == []


@pytest.mark.parametrize("fault", ["expired-token", "fulcio:500", "rekor:500", "wrong-log-key"])
def test_a_receipt_whose_identity_failed_at_the_end_is_signed_later(
    bench: Any, loopback: Loopback, configs: Path, train: Any, monkeypatch: Any, fault: str
) -> None:
    before = bench.files()
    token = loopback.oidc.token()
    kind = {"expired-token": UsageError, "wrong-log-key": NotTrustedError}.get(fault, StorageError)
    with loopback.inject(fault), pytest.raises(kind, match="is kept, unsigned, in"):
        train(token, later=loopback.oidc.token())
    assert bench.files() == before
    assert not (configs / "model/model.sig").exists()
    [path] = list_pending()
    monkeypatch.setenv("PROVREG_IDENTITY_TOKEN", loopback.oidc.token())
    signed = bench.run(
        "sign", f"receipt:{path}", "--sign", "keyless", "--yes",
        "--trust-config", configs / "rekor2.json", "--key", bench.key_file(),
    )  # fmt: skip
    assert signed.returncode == 0, signed.stderr
    assert list_pending() == []
    verified = verify(bench, loopback, configs)
    assert verified.returncode == 0, verified.stderr
