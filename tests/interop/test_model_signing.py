"""The real model_signing accepts our OMS bundles, and refuses what we would."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sigstore_instance.instance import PERSON

from provreg.core.statements.oms import oms_statement
from provreg.errors import UsageError
from provreg.flows.sign.oms import oms
from provreg.readers.api import ReadOptions
from provreg.trust.keys import generate
from provreg.trust.signers import KeySigner, oms_bundle

if TYPE_CHECKING:
    from sigstore_instance import Instance as Loopback

    from provreg.trust.signers import Signer
    from tests.conftest import Bench

Run = Callable[..., subprocess.CompletedProcess[str]]
Signed = tuple[Path, Path, Path]
FILES = {
    "config.json": b"{}",
    "weights/a.bin": b"w" * 5000,
    "weights.bin": b"",
    "naïve/ü 1.txt": b"text",
}


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    """(folder, bundle, public key)."""
    folder = tmp_path / "model"
    for path, data in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    signer = KeySigner(generate())
    digests = [(path, hashlib.sha256(data).digest()) for path, data in FILES.items()]
    bundle, public = tmp_path / "oms.sigstore.json", tmp_path / "team.key.pub"
    bundle.write_bytes(oms_bundle(oms_statement("model", digests), signer))
    public.write_text(signer.key.public.pem, "utf-8")
    return folder, bundle, public


def test_model_signing_accepts_our_bundle(model_signing: Run, signed: Signed) -> None:
    folder, bundle, public = signed
    answer = model_signing("verify", "key", "--signature", bundle, "--public_key", public, folder)
    assert answer.returncode == 0, answer.stderr
    assert "succeeded" in answer.stdout + answer.stderr


@pytest.mark.parametrize("attack", ["changed", "added", "removed", "renamed", "other key"])
def test_model_signing_refuses(model_signing: Run, signed: Signed, attack: str) -> None:
    folder, bundle, public = signed
    weights = folder / "weights/a.bin"
    if attack == "changed":
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    elif attack == "added":
        (folder / "backdoor.py").write_bytes(b"")
    elif attack == "removed":
        weights.unlink()
    elif attack == "renamed":
        shutil.move(weights, folder / "weights/b.bin")
    else:
        public.write_text(generate().public.pem, "utf-8")
    answer = model_signing("verify", "key", "--signature", bundle, "--public_key", public, folder)
    assert answer.returncode != 0
    expected = "Key mismatch" if attack == "other key" else "Signature mismatch"
    assert expected in answer.stdout + answer.stderr


def test_exported_version_is_accepted_and_a_poisoned_copy_refused(
    model_signing: Run, bench: Bench
) -> None:
    """`provreg export oms` of a version, held against the data by model_signing alone."""
    data, public, bundle = bench.pets(count=20), bench.key_file(), bench.folder / "oms.json"
    private = public.with_suffix("")
    bench.ingest(data, options=ReadOptions(sha256=True))
    ran = bench.run("export", "oms", "pets", "--key", public, "--sign", f"key:{private}",
                    "--out", bundle)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    command = ("verify", "key", "--signature", bundle, "--public_key", public)
    accepted = model_signing(*command, data)
    assert accepted.returncode == 0, accepted.stderr
    poisoned = bench.folder / "copy"
    shutil.copytree(data, poisoned)
    (poisoned / "cat/1.jpg").write_bytes(b"picture of a trigger")
    refused = model_signing(*command, poisoned)
    assert refused.returncode != 0
    assert "Hash mismatch for 'cat/1.jpg'" in refused.stdout + refused.stderr


@pytest.mark.parametrize("log", [1, 2])
def test_keyless_bundle_is_accepted(
    model_signing: Run,
    bench: Bench,
    loopback: Loopback,
    keyless: Callable[[int], Signer],
    log: int,
) -> None:
    data, bundle, config = bench.pets(), bench.folder / "oms.json", bench.folder / "config.json"
    bench.ingest(data, options=ReadOptions(sha256=True))
    bundle.write_bytes(oms(bench.open().verify("pets"), keyless(log)))
    config.write_text(json.dumps(loopback.trust_config(log)), "utf-8")
    command = ("verify", "sigstore", "--signature", bundle, "--trust_config", config, "--identity",
               PERSON, "--identity_provider", loopback.oidc.issuer, data)  # fmt: skip
    answer = model_signing(*command)
    assert answer.returncode == 0, answer.stderr
    (data / "cat/1.jpg").write_bytes(b"poison")
    assert model_signing(*command).returncode != 0


def test_statement_too_long_for_a_keyless_signature_is_refused_before_it_is_made(
    keyless: Callable[[int], Signer], loopback: Loopback
) -> None:
    statement = oms_statement("m", [(f"{n:0>100}", bytes(32)) for n in range(700)])
    with (
        loopback.inject("fulcio:500", "rekor:500"),
        pytest.raises(UsageError, match="too long for a keyless signature"),
    ):
        oms_bundle(statement, keyless(1))


def test_data_that_are_not_as_signed_are_not_exported(bench: Bench) -> None:
    data, public = bench.pets(), bench.key_file()
    bench.ingest(data, options=ReadOptions(sha256=True))
    (data / "cat/1.jpg").write_bytes(b"poison")
    command = ("export", "oms", "pets", "--key", public, "--sign",
               f"key:{public.with_suffix('')}", "--out", "oms.json")  # fmt: skip
    ran = bench.run(*command, "--data", data)
    assert ran.returncode == 4
    assert not (bench.folder / "oms.json").exists()


def test_version_without_sha256_of_every_file_is_not_exported(bench: Bench) -> None:
    bench.ingest(bench.pets())
    new = bench.write("new", {"cat/new.jpg": b"new"})
    bench.ingest(new, append=True, options=ReadOptions(sha256=True))
    with pytest.raises(UsageError, match="lacks the SHA-256 of 6 files"):
        oms(bench.open().verify("pets"), bench.signer())


def test_version_of_a_table_is_not_exported(bench: Bench) -> None:
    rows = bench.folder / "rows.jsonl"
    rows.write_text('{"text": "a"}\n', "utf-8")
    bench.ingest(rows)
    with pytest.raises(UsageError, match="was read as jsonl, and OMS signs files"):
        oms(bench.open().verify("pets"), bench.signer())


def test_ed25519_key_is_refused_with_what_to_do() -> None:
    statement = oms_statement("m", [("a", bytes(32))])
    with pytest.raises(UsageError, match="type ed25519"):
        oms_bundle(statement, KeySigner(generate("ed25519")))
