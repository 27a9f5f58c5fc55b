"""The bundles of sigstore-conformance, where they are: `test/assets/bundle-verify` of that project.

Its clients verify any Sigstore bundle, ours only those that provreg writes: v0.3, a DSSE envelope.
So a case that must verify either does here or is refused in step 1 by its form, and every case that
must not verify is refused. A name ends with `_fail` where it must not.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from provreg.core.encoding.strict_fields import Fields
from provreg.core.policy.policy import Signature
from provreg.errors import FormatError, NotTrustedError
from provreg.trust.bundle import TrustAnchors, parse_bundle, verify_bundle
from provreg.trust.keys import load_public
from provreg.trust.sigstore.entry import check_log_entry
from provreg.trust.sigstore.root import PUBLIC_GOOD, TrustedRoot, log_ids, read_trusted_root
from provreg.trust.sigstore.verify import CertificateVerifier

FOLDER = os.environ.get("PROVREG_CONFORMANCE")
pytestmark = pytest.mark.skipif(
    FOLDER is None, reason="needs PROVREG_CONFORMANCE, sigstore-conformance's bundle-verify folder"
)
CASES = sorted(path.parent for path in Path(FOLDER or "/none").glob("*/bundle.sigstore.json"))
GOOD = [case for case in CASES if not case.name.endswith("_fail")]
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
# Who signed the suite's bundles, unless a case says otherwise.
IDENTITY = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/"
    "workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
ISSUER = "https://token.actions.githubusercontent.com"


def of(cases: list[Path]) -> Any:
    return pytest.mark.parametrize("case", cases or [Path("none")], ids=lambda case: case.name)


def text(case: Path, name: str, default: str) -> str:
    return (case / name).read_text("utf-8").strip() if (case / name).exists() else default


def artifact(case: Path) -> bytes:
    own = case / "artifact"
    return (own if own.exists() else case.parent / "a.txt").read_bytes()


def root(case: Path) -> TrustedRoot:
    own = case / "trusted_root.json"
    return read_trusted_root(own) if own.exists() else PUBLIC_GOOD


def document(case: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((case / "bundle.sigstore.json").read_bytes())
    return found


def verify(case: Path) -> Signature:
    """As a client of the suite: who signed, and that it is over the case's artifact."""
    keys = {}
    if (case / "key.pub").exists():
        key = load_public((case / "key.pub").read_bytes())
        keys = {key.fingerprint: key}
    bundle = parse_bundle((case / "bundle.sigstore.json").read_bytes())
    signature = verify_bundle(bundle, TrustAnchors(keys, CertificateVerifier(root(case))))
    digest = hashlib.sha256(artifact(case)).hexdigest()
    if {"sha256": digest} not in [one["digest"] for one in json.loads(bundle.payload)["subject"]]:
        raise NotTrustedError("the statement is not over the artifact", step=5)
    wanted = text(case, "identity", IDENTITY), text(case, "issuer", ISSUER)
    if signature.key is None and (signature.identity, signature.issuer) != wanted:
        raise NotTrustedError("somebody else signed it", step=6)
    return signature


@of(CASES)
def test_case(case: Path) -> None:
    if case in GOOD and is_ours(document(case)):
        verify(case)
        return
    # A key that is none is refused before any bundle is looked at.
    with pytest.raises((NotTrustedError, FormatError)) as caught:
        verify(case)
    if case in GOOD:
        assert isinstance(caught.value, NotTrustedError)
        assert caught.value.step == 1
        assert any(why in caught.value.message for why in ("the bundle has type", "bare bytes"))


def is_ours(bundle: dict[str, Any]) -> bool:
    return bundle["mediaType"] == MEDIA_TYPE and "dsseEnvelope" in bundle


def test_suite_has_bundles_of_both_logs_for_us() -> None:
    kinds = {
        entry["kindVersion"]["kind"]
        for case in GOOD
        if is_ours(found := document(case))
        for entry in found["verificationMaterial"]["tlogEntries"]
    }
    assert kinds == {"dsse", "hashedrekord"}


@of([case for case in GOOD if (case / "key.pub").exists()])
def test_signature_with_a_managed_key_verifies_with_ours(case: Path) -> None:
    """As bundles they are none of ours, for they sign bare bytes; key, hint and signature are."""
    bundle = document(case)
    key = load_public((case / "key.pub").read_bytes())
    signature = base64.b64decode(bundle["messageSignature"]["signature"])
    assert bundle["verificationMaterial"]["publicKey"]["hint"] == key.hint
    assert key.verifies(signature, artifact(case))
    assert not key.verifies(signature, artifact(case) + b"x")


def kind_of(case: Path) -> tuple[str, str]:
    [entry] = document(case)["verificationMaterial"]["tlogEntries"]
    return entry["kindVersion"]["kind"], entry["kindVersion"]["version"]


@of([case for case in GOOD if kind_of(case) in {("hashedrekord", "0.0.2"), ("dsse", "0.0.1")}])
def test_log_entry_of_a_real_log_is_read(case: Path) -> None:
    """What our own reading of log entries is stricter in refuses nothing that is real."""
    material = Fields(document(case)["verificationMaterial"], "bundle")
    check_log_entry(material, log_ids(json.loads(root(case).text())))
