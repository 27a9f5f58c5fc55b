"""Bundles of OpenSSF Model Signing (OMS) around the statements of `core.statements.oms`."""

from __future__ import annotations

import hashlib

from provreg.errors import UsageError
from provreg.trust.bundle import BUNDLE_LIMIT, key_bundle
from provreg.trust.signers import KeySigner, Signer

# What a bundle holds beside its statement, which base64 makes longer by a third.
_KEYLESS_LIMIT = BUNDLE_LIMIT // 2


def oms_bundle(statement: bytes, signer: Signer) -> bytes:
    """A bundle over `statement` that `model_signing verify` takes.

    It finds its key by another hint than cosign: the SHA-256 of the public key's PEM, in hex.
    Raises UsageError for an Ed25519 key, which model_signing cannot verify with, and for a keyless
    signature over more files than a log and we read back; else as `signer.sign`.
    """
    if isinstance(signer, KeySigner):
        public = signer.key.public
        if public.algorithm != "p256":
            raise UsageError(
                f"model_signing cannot verify with a key of the kind {public.algorithm}",
                hint="sign with a P-256 key: `provreg key generate` makes one",
            )
        hint = hashlib.sha256(public.pem.encode()).hexdigest()
        return key_bundle(statement, signer.key, hint=hint, stamp=signer.stamp)
    if len(statement) > _KEYLESS_LIMIT:
        raise UsageError(
            f"a statement of {len(statement):,} bytes is too long for a keyless signature, which"
            f" takes {_KEYLESS_LIMIT:,}",
            hint="sign it with a key",
        )
    return signer.sign(statement)
