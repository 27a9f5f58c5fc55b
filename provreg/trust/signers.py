"""Signers of statements: with a key, and for OpenSSF Model Signing (`core.statements.oms`)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from provreg.core.policy.policy import Policy, single_key_policy
from provreg.errors import UsageError
from provreg.trust.bundle import BUNDLE_LIMIT, Stamp, key_bundle
from provreg.trust.keys import PrivateKey, load_private
from provreg.trust.sigstore.root import PUBLIC_GOOD, TrustedRoot


class Signer(Protocol):
    """Signs statements with a key or with an identity."""

    def sign(self, statement: bytes) -> bytes:
        """A bundle over exactly the bytes of `statement`."""
        ...

    def policy(self) -> Policy:
        """The policy that trusts this signer alone: enough to continue one's own versions."""
        ...


@dataclass(frozen=True, slots=True)
class KeySigner:
    """Signs with a private key.

    Without `stamp` (as of `trust.timestamps.TimestampAuthority`) no network is used, and nothing
    vouches for the time.
    """

    key: PrivateKey
    stamp: Stamp | None = None

    @classmethod
    def load(
        cls,
        path: Path | str,
        passphrase: str | None = None,
        *,
        timestamp: str | None = None,
        root: TrustedRoot = PUBLIC_GOOD,
    ) -> Self:
        """The signer with the private key in `path`.

        `timestamp` is the address of a timestamp authority that `root` knows. Raises as
        `trust.keys.load_private`, and UsageError for what is no address.
        """
        from provreg.trust.timestamps import TimestampAuthority

        stamp = None if timestamp is None else TimestampAuthority(timestamp, root).stamp
        return cls(load_private(Path(path), lambda: passphrase), stamp)

    def sign(self, statement: bytes) -> bytes:
        """A bundle over exactly the bytes of `statement`. What `stamp` raises goes through."""
        return key_bundle(statement, self.key, stamp=self.stamp)

    def policy(self) -> Policy:
        """The policy that trusts this key alone."""
        return single_key_policy(self.key.public.fingerprint, self.key.public.pem)


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
