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
        """The policy that trusts this signer alone."""
        ...


@dataclass(frozen=True, slots=True)
class KeySigner:
    """Signs with a private key.

    Without `stamp` (of `trust.timestamps.TimestampAuthority`) signing uses no network, and the
    signature has no proven time.
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

        `timestamp` is the URL of a timestamp authority in `root`; UsageError for an invalid URL.
        """
        from provreg.trust.timestamps import TimestampAuthority

        stamp = None if timestamp is None else TimestampAuthority(timestamp, root).stamp
        return cls(load_private(Path(path), lambda: passphrase), stamp)

    def sign(self, statement: bytes) -> bytes:
        """A bundle over exactly the bytes of `statement`; errors of `stamp` are passed on."""
        return key_bundle(statement, self.key, stamp=self.stamp)

    def policy(self) -> Policy:
        """The policy that trusts this key alone."""
        return single_key_policy(self.key.public.fingerprint, self.key.public.pem)


# The rest of a bundle, and base64, which adds a third to the statement.
_KEYLESS_LIMIT = BUNDLE_LIMIT // 2


def oms_bundle(statement: bytes, signer: Signer) -> bytes:
    """A bundle over `statement` that `model_signing verify` accepts.

    Its hint for keys is the SHA-256 of the public key's PEM in hex. Raises UsageError for an
    Ed25519 key, which model_signing does not support, and for a keyless signature over a statement
    that is too long for a bundle; else as `signer.sign`.
    """
    if isinstance(signer, KeySigner):
        public = signer.key.public
        if public.algorithm != "p256":
            raise UsageError(
                f"model_signing does not support keys of the type {public.algorithm}",
                hint="sign with a P-256 key: `provreg key generate` makes one",
            )
        hint = hashlib.sha256(public.pem.encode()).hexdigest()
        return key_bundle(statement, signer.key, hint=hint, stamp=signer.stamp)
    if len(statement) > _KEYLESS_LIMIT:
        raise UsageError(
            f"a statement of {len(statement):,} bytes is too long for a keyless signature: at most"
            f" {_KEYLESS_LIMIT:,} are allowed",
            hint="sign it with a key",
        )
    return signer.sign(statement)
