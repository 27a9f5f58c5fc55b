"""The real model_signing accepts our OMS bundles, and refuses what we would."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from provreg.core.oms import oms_statement
from provreg.errors import UsageError
from provreg.trust.key import generate
from provreg.trust.oms import oms_bundle
from provreg.trust.signer import KeySigner

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


def test_ed25519_key_is_refused_with_what_to_do() -> None:
    statement = oms_statement("m", [("a", bytes(32))])
    with pytest.raises(UsageError, match="kind ed25519"):
        oms_bundle(statement, KeySigner(generate("ed25519")))
