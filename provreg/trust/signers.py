"""Signers: what turns a statement into a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from provreg.core.policy.policy import Policy, single_key_policy
from provreg.trust.bundle import Stamp, key_bundle
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
