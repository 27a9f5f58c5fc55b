"""sigstore-js accepts our bundles, keyless and by key, in a run of the real library by Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sigstore_instance.instance import PERSON

from provreg.trust.keys import generate
from provreg.trust.signers import KeySigner

if TYPE_CHECKING:
    from tests.interop.conftest import Files

HERE = Path(__file__).with_name("sigstore_js")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def node() -> Run:
    """Runs sigstore_js/verify.mjs."""
    program = shutil.which("node")
    if program is None or not (HERE / "node_modules").exists():
        pytest.skip("needs sigstore-js (bash .ci/peers, with npm)")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, HERE / "verify.mjs", *arguments],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("log", [1, 2])
def test_keyless_bundle_over_the_head_is_accepted(
    node: Run, keyless: Callable[[int], Any], files_of: Callable[..., Files], log: int
) -> None:
    files = files_of(keyless(log), log)
    accepted = node(files.head, files.bundle, files.root, PERSON, files.issuer)
    assert accepted.returncode == 0, accepted.stderr
    assert accepted.stdout == "verified: pets@1\n"
    for identity, issuer in (("mallory@example.org", files.issuer), (PERSON, "https://x.example")):
        refused = node(files.head, files.bundle, files.root, identity, issuer)
        assert "UNTRUSTED_SIGNER_ERROR" in refused.stderr
    files.head.write_bytes(files.head.read_bytes() + b" ")
    refused = node(files.head, files.bundle, files.root, PERSON, files.issuer)
    assert "not over this head" in refused.stderr


@pytest.mark.parametrize("algorithm", ["p256", "ed25519"])
def test_key_bundle_is_accepted_with_its_key_found_by_hint(
    node: Run, files_of: Callable[..., Files], algorithm: Any, tmp_path: Path
) -> None:
    signer = KeySigner(generate(algorithm))
    files = files_of(signer)
    (tmp_path / "key.pub").write_text(signer.key.public.pem)
    (tmp_path / "other.pub").write_text(generate(algorithm).public.pem)
    accepted = node(files.head, files.bundle, "--key", tmp_path / "key.pub")
    assert accepted.returncode == 0, accepted.stderr
    assert accepted.stdout == "verified: pets@1\n"
    refused = node(files.head, files.bundle, "--key", tmp_path / "other.pub")
    assert "PUBLIC_KEY_ERROR" in refused.stderr
    bundle = json.loads(files.bundle.read_text())
    payload = bundle["dsseEnvelope"]["payload"]
    bundle["dsseEnvelope"]["payload"] = payload[:99] + ("A" if payload[99] != "A" else "B")
    bundle["dsseEnvelope"]["payload"] += payload[100:]
    files.bundle.write_text(json.dumps(bundle))
    refused = node(files.head, files.bundle, "--key", tmp_path / "key.pub")
    assert "SIGNATURE_ERROR" in refused.stderr
