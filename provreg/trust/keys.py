"""Keys: P-256 (the default) and Ed25519; how they are fingerprinted, used and kept.

A key is known by the SHA-256 of its public half after re-encoding, so that no second spelling of
one key (compressed point, named or explicit curve) passes for a second key.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from provreg.core.encoding.text import printable
from provreg.errors import FormatError
from provreg.trust import pkcs8

Algorithm = Literal["p256", "ed25519"]
KEY_LIMIT = 16 * 1024  # bytes of PEM

_PEM = re.compile(
    rb"\s*-----BEGIN (?P<label>[A-Z0-9 ]{1,64})-----\r?\n"
    rb"(?P<body>(?:[A-Za-z0-9+/=]{1,76}\r?\n)+)"
    rb"-----END (?P=label)-----\s*"
)
_PUBLIC = "PUBLIC KEY"
_PRIVATE = "PRIVATE KEY"
_ENCRYPTED = "ENCRYPTED PRIVATE KEY"
_TAKEN = "provreg takes P-256 and Ed25519 keys; make one with `provreg key generate`"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key signatures are checked with. Equal where the DER SubjectPublicKeyInfo is equal."""

    algorithm: Algorithm
    der: bytes
    _key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey = field(repr=False, compare=False)

    @property
    def fingerprint(self) -> str:
        """`sha256:` and the SHA-256 of the DER SubjectPublicKeyInfo in hex."""
        return "sha256:" + hashlib.sha256(self.der).hexdigest()

    @property
    def hint(self) -> str:
        """The same digest as bundles carry it: base64, cosign's convention."""
        return base64.b64encode(hashlib.sha256(self.der).digest()).decode("ascii")

    @property
    def pem(self) -> str:
        """The key as one PEM block, the same text for every spelling it was read from."""
        return pkcs8.pem(_PUBLIC, self.der).decode("ascii")

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` over `message` is this key's, by this key's own algorithm.

        ECDSA is over SHA-256 with a strict DER signature (FIPS 186-5, RFC 3279 2.2.3). (r, s) and
        (r, n - s) are both accepted: nothing is identified by its signature's bytes.
        """
        try:
            if isinstance(self._key, ec.EllipticCurvePublicKey):
                decode_dss_signature(signature)
                self._key.verify(signature, message, ec.ECDSA(SHA256()))
            else:
                self._key.verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key signatures are made with. Its secret half shows in no repr."""

    public: PublicKey
    _key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey = field(repr=False, compare=False)

    def sign(self, message: bytes) -> bytes:
        """ECDSA over SHA-256 as DER, or the 64 bytes of Ed25519 (RFC 8032)."""
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(message, ec.ECDSA(SHA256()))
        return self._key.sign(message)

    def pem(self, passphrase: bytes | None) -> bytes:
        """PKCS#8 PEM, encrypted unless `passphrase` is None."""
        der = self._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        if passphrase is None:
            return pkcs8.pem(_PRIVATE, der)
        return pkcs8.pem(_ENCRYPTED, pkcs8.encrypt(der, passphrase))


def generate(algorithm: Algorithm = "p256") -> PrivateKey:
    """A new key from the operating system's randomness."""
    if algorithm == "p256":
        return _private(ec.generate_private_key(ec.SECP256R1()))
    return _private(ed25519.Ed25519PrivateKey.generate())


def load_public(pem: bytes) -> PublicKey:
    """The one public key in `pem`.

    Raises FormatError for more than 16 KiB, anything but exactly one PEM block, and any kind of key
    but P-256 and Ed25519, naming what it is.
    """
    label, der = _block(pem)
    if label in (_PRIVATE, _ENCRYPTED):
        raise FormatError(
            "a private key stands where a public one is asked for",
            hint="give the .pub file beside it; a private key that left you is to be replaced",
        )
    if label != _PUBLIC:
        raise FormatError(f"a PEM block '{label}' is not a public key", hint=_TAKEN)
    try:
        key = load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise FormatError(f"not a readable public key: {_first_line(error)}", hint=_TAKEN) from None
    if isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        return _public(key)
    raise _other_kind(key)


def is_encrypted(pem: bytes) -> bool:
    """Whether the private key in `pem` needs a passphrase. Raises FormatError as `load_public`."""
    label, _ = _block(pem)
    if label not in (_PRIVATE, _ENCRYPTED):
        raise FormatError(f"a PEM block '{label}' is not a PKCS#8 private key", hint=_TAKEN)
    return label == _ENCRYPTED


def load_private_pem(pem: bytes, passphrase: bytes | None) -> PrivateKey:
    """The one private key in `pem`; `passphrase` is None where the key is not encrypted.

    Raises FormatError as `load_public` does, and where the passphrase does not open the key: a
    wrong one and a damaged key cannot be told apart.
    """
    _, der = _block(pem)
    try:
        key = load_der_private_key(der, passphrase)
    except UnsupportedAlgorithm as error:
        raise FormatError(
            f"not a readable private key: {_first_line(error)}", hint=_TAKEN
        ) from None
    except (ValueError, TypeError):
        why = "not a readable private key" if passphrase is None else "the passphrase does not fit"
        raise FormatError(why, hint="try again, or restore the key from a copy") from None
    if isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        return _private(key)
    raise _other_kind(key)


def _public(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> PublicKey:
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return PublicKey("ed25519", der, key)
    if not isinstance(key.curve, ec.SECP256R1):
        raise FormatError(f"the key is on the curve {key.curve.name}", hint=_TAKEN)
    return PublicKey("p256", der, key)


def _private(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> PrivateKey:
    return PrivateKey(_public(key.public_key()), key)


def _block(pem: bytes) -> tuple[str, bytes]:
    """(label, DER) of the one PEM block that is all of `pem`. Source: RFC 7468, strict."""
    if len(pem) > KEY_LIMIT:
        raise FormatError(f"a key of {len(pem)} bytes, more than the {KEY_LIMIT} allowed")
    match = _PEM.fullmatch(pem)
    if match is None:
        raise FormatError(
            "not exactly one PEM block",
            hint="a key file holds one block from -----BEGIN to -----END and nothing else",
        )
    try:
        der = base64.b64decode(match["body"].replace(b"\r", b"").replace(b"\n", b""), validate=True)
    except ValueError:
        raise FormatError("the PEM block is not base64") from None
    return match["label"].decode("ascii"), der


def _other_kind(key: object) -> FormatError:
    kind = type(key).__name__.removesuffix("PublicKey").removesuffix("PrivateKey")
    return FormatError(f"the key is {kind}", hint=_TAKEN)


def _first_line(error: Exception) -> str:
    return printable(str(error).partition("\n")[0][:200])
