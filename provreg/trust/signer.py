"""Signers: what turns a statement into a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from provreg.core.policy import Policy, single_key_policy
from provreg.trust.bundle import key_bundle
from provreg.trust.key import PrivateKey
from provreg.trust.keyfile import load_private


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
    """Signs with a private key: no network, and nothing that vouches for the time."""

    key: PrivateKey

    @classmethod
    def load(cls, path: Path | str, passphrase: str | None = None) -> Self:
        """The signer with the private key in `path`. Raises as `trust.keyfile.load_private`."""
        return cls(load_private(Path(path), lambda: passphrase))

    def sign(self, statement: bytes) -> bytes:
        """A bundle over exactly the bytes of `statement`."""
        return key_bundle(statement, self.key)

    def policy(self) -> Policy:
        """The policy that trusts this key alone."""
        return single_key_policy(self.key.public.fingerprint, self.key.public.pem)
