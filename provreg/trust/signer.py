"""Signers: what turns a statement into a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from provreg.trust.bundle import key_bundle
from provreg.trust.key import PrivateKey


class Signer(Protocol):
    """Signs statements with a key or with an identity."""

    def sign(self, statement: bytes) -> bytes:
        """A bundle over exactly the bytes of `statement`."""
        ...


@dataclass(frozen=True, slots=True)
class KeySigner:
    """Signs with a private key: no network, and nothing that vouches for the time."""

    key: PrivateKey

    def sign(self, statement: bytes) -> bytes:
        """A bundle over exactly the bytes of `statement`."""
        return key_bundle(statement, self.key)
