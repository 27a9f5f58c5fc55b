"""Test keys, policies that trust them, and bundles they sign."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from provreg.core.statements.statement import PAYLOAD_TYPE, pae

DROP = object()
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def signing_key(name: str) -> Ed25519PrivateKey:
    """A key that anybody can make again: it must be trusted nowhere but here."""
    seed = hashlib.sha256(b"provreg test vectors, the test key of " + name.encode()).digest()
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_pem(name: str) -> str:
    public = signing_key(name).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(name: str) -> str:
    key = signing_key(name)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def hint(name: str) -> str:
    public = signing_key(name).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


def fingerprint(name: str) -> str:
    """How a policy, and a state, name a key."""
    return "sha256:" + base64.b64decode(hint(name)).hex()


def policy(
    *names: str, threshold: int = 1, datasets: Sequence[str] = ("*",), **principals: Sequence[str]
) -> dict[str, Any]:
    """A policy by which `names` may publish; `principals` gives more, by name and key names."""
    holders = {name: (name,) for name in names} | principals
    return {
        "format": "provreg.policy/v1",
        "principal": [
            {"name": name, "keys": [public_pem(key) for key in keys]}
            for name, keys in holders.items()
        ],
        "publish": [{"datasets": list(datasets), "principals": list(names or principals),
                     "threshold": threshold}],
    }  # fmt: skip


def envelope(
    payload: bytes, signers: Sequence[str] = ("alice",), *, kind: str = PAYLOAD_TYPE
) -> dict[str, Any]:
    """A DSSE envelope signed by each of `signers`."""
    signatures = [signing_key(name).sign(pae(kind, payload)) for name in signers]
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": kind,
        "signatures": [
            {"keyid": "", "sig": base64.b64encode(made).decode()} for made in signatures
        ],
    }


def bundle(payload: bytes, signer: str = "alice", **fields: Any) -> dict[str, Any]:
    """A bundle as JSON, signed by `signer`, but for what `fields` say."""
    made: dict[str, Any] = {
        "dsseEnvelope": envelope(payload, (signer,)),
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint(signer)}, "tlogEntries": []},
    }
    return {name: value for name, value in (made | fields).items() if value is not DROP}


Bundles = Callable[[bytes], Sequence[dict[str, Any] | bytes]]


def by(*signers: str) -> Bundles:
    """One sound bundle by each of `signers`."""
    return lambda payload: [bundle(payload, signer) for signer in signers]


BY_ALICE = by("alice")
