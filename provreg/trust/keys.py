"""Keys: P-256 (the default) and Ed25519; their fingerprints, use and files.

A key is identified by the SHA-256 of its public half after re-encoding, so that another encoding of
a key (compressed point, named or explicit curve) does not pass for a second key.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from provreg.core.encoding.text import printable, quoted
from provreg.errors import FormatError, NotFoundError, StorageError, UsageError

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
_SUPPORTED = "use a P-256 or Ed25519 key; `provreg key generate` makes one"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key; keys are equal if their DER SubjectPublicKeyInfo is equal."""

    algorithm: Algorithm
    der: bytes
    _key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey = field(repr=False, compare=False)

    def __repr__(self) -> str:
        return f"PublicKey({self.algorithm}, {self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        """`sha256:` and the SHA-256 of the DER SubjectPublicKeyInfo in hex."""
        return "sha256:" + hashlib.sha256(self.der).hexdigest()

    @property
    def hint(self) -> str:
        """The same digest as in bundles: base64, cosign's convention."""
        return base64.b64encode(hashlib.sha256(self.der).digest()).decode("ascii")

    @property
    def pem(self) -> str:
        """The key as a PEM block, the same text for every encoding that it was read from."""
        return pem(_PUBLIC, self.der).decode("ascii")

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` over `message` is this key's, by this key's own algorithm.

        ECDSA is over SHA-256 with a strict DER signature (FIPS 186-5, RFC 3279 2.2.3). (r, s) and
        (r, n - s) are both accepted: nothing is identified by the bytes of a signature.
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
    """A private key. Its secret half is in no repr."""

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
            return pem(_PRIVATE, der)
        return pem(_ENCRYPTED, encrypt(der, passphrase))


def generate(algorithm: Algorithm = "p256") -> PrivateKey:
    """A new key from the operating system's randomness."""
    if algorithm == "p256":
        return _private(ec.generate_private_key(ec.SECP256R1()))
    return _private(ed25519.Ed25519PrivateKey.generate())


def load_public(pem: bytes) -> PublicKey:
    """The public key in `pem`.

    Raises FormatError for more than 16 KiB, anything but exactly one PEM block, and keys other than
    P-256 and Ed25519.
    """
    label, der = _block(pem)
    if label in (_PRIVATE, _ENCRYPTED):
        raise FormatError(
            "expected a public key, found a private key",
            hint="pass the .pub file beside it; if you shared the private key, replace it",
        )
    if label != _PUBLIC:
        raise FormatError(f"a PEM block '{label}' is not a public key", hint=_SUPPORTED)
    try:
        key = load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise FormatError(
            f"not a readable public key: {_first_line(error)}", hint=_SUPPORTED
        ) from None
    if isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        return _public(key)
    raise _other_kind(key)


def is_encrypted(pem: bytes) -> bool:
    """Whether the private key in `pem` needs a passphrase."""
    label, _ = _block(pem)
    if label not in (_PRIVATE, _ENCRYPTED):
        raise FormatError(f"a PEM block '{label}' is not a PKCS#8 private key", hint=_SUPPORTED)
    return label == _ENCRYPTED


def load_private_pem(pem: bytes, passphrase: bytes | None) -> PrivateKey:
    """The private key in `pem`; `passphrase` is None if it is not encrypted.

    Raises FormatError as `load_public` does, and for a wrong passphrase, which cannot be told from
    a damaged key.
    """
    _, der = _block(pem)
    try:
        key = load_der_private_key(der, passphrase)
    except UnsupportedAlgorithm as error:
        raise FormatError(
            f"not a readable private key: {_first_line(error)}", hint=_SUPPORTED
        ) from None
    except (ValueError, TypeError):
        why = "not a readable private key" if passphrase is None else "wrong passphrase"
        raise FormatError(why, hint="try again, or restore the key from a copy") from None
    if isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        return _private(key)
    raise _other_kind(key)


def _public(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> PublicKey:
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return PublicKey("ed25519", der, key)
    if not isinstance(key.curve, ec.SECP256R1):
        raise FormatError(f"the key is on the curve {key.curve.name}", hint=_SUPPORTED)
    return PublicKey("p256", der, key)


def _private(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> PrivateKey:
    return PrivateKey(_public(key.public_key()), key)


def _block(pem: bytes) -> tuple[str, bytes]:
    """(label, DER) of `pem`, which must be one PEM block. Source: RFC 7468, strict."""
    if len(pem) > KEY_LIMIT:
        raise FormatError(f"a key of {len(pem)} bytes, at most {KEY_LIMIT} are allowed")
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
    return FormatError(f"the key is {kind}", hint=_SUPPORTED)


def _first_line(error: Exception) -> str:
    return printable(str(error).partition("\n")[0][:200])


# OpenSSL refuses scrypt beyond 32 MiB, which n = 2**15 already reaches; p adds time instead.
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**14, 8, 8

_SEQUENCE, _INTEGER, _OCTETS = 0x30, 0x02, 0x04
_PBES2 = bytes.fromhex("06092a864886f70d01050d")  # 1.2.840.113549.1.5.13
_SCRYPT = bytes.fromhex("06092b06010401da47040b")  # 1.3.6.1.4.1.11591.4.11
_AES_256_CBC = bytes.fromhex("060960864801650304012a")  # 2.16.840.1.101.3.4.1.42


def encrypt(private_key_info: bytes, passphrase: bytes) -> bytes:
    """DER EncryptedPrivateKeyInfo: PBES2 with scrypt and AES-256-CBC.

    Costs 16 MiB and about a quarter of a second. Source: RFC 5958 3, RFC 8018 6.2, RFC 7914 7.
    """
    salt, iv = os.urandom(16), os.urandom(16)
    key = Scrypt(salt, 32, SCRYPT_N, SCRYPT_R, SCRYPT_P).derive(passphrase)
    padder = PKCS7(AES.block_size).padder()
    encryptor = Cipher(AES(key), CBC(iv)).encryptor()
    body = encryptor.update(padder.update(private_key_info) + padder.finalize())
    cost = (_integer(SCRYPT_N), _integer(SCRYPT_R), _integer(SCRYPT_P))
    derivation = _der(_SEQUENCE, _SCRYPT, _der(_SEQUENCE, _der(_OCTETS, salt), *cost))
    cipher = _der(_SEQUENCE, _AES_256_CBC, _der(_OCTETS, iv))
    scheme = _der(_SEQUENCE, _PBES2, _der(_SEQUENCE, derivation, cipher))
    return _der(_SEQUENCE, scheme, _der(_OCTETS, body + encryptor.finalize()))


def pem(label: str, der: bytes) -> bytes:
    """`der` as one PEM block, lines of 64. Source: RFC 7468."""
    text = base64.b64encode(der).decode("ascii")
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def _integer(value: int) -> bytes:
    return _der(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _der(tag: int, *parts: bytes) -> bytes:
    """Tag, definite length, contents (X.690 8.1)."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def public_path(path: Path) -> Path:
    """The path of the public half of the key in `path`: FILE.pub."""
    return path.with_name(path.name + ".pub")


def write_key(key: PrivateKey, path: Path, passphrase: str, *, unencrypted: bool = False) -> Path:
    """Writes `path` (mode 0600) and `path`.pub, and returns the latter.

    An empty passphrase requires `unencrypted`, which allows no passphrase. Raises UsageError if one
    of the files exists, StorageError if one cannot be written; then neither is left behind.
    """
    if unencrypted == bool(passphrase):
        raise UsageError(
            "a passphrase and an unencrypted key contradict each other"
            if unencrypted
            else "the passphrase is empty",
            hint="enter a passphrase, or request an unencrypted key explicitly",
        )
    private = key.pem(None if unencrypted else _encode(passphrase))
    with ExitStack() as undo:
        _create(path, private, 0o600, undo)
        _create(public_path(path), key.public.pem.encode(), 0o644, undo)
        undo.pop_all()
    return public_path(path)


def load_private(path: Path, passphrase: Callable[[], str | None]) -> PrivateKey:
    """The private key in `path`; `passphrase` is called only if the key is encrypted.

    Raises NotFoundError, StorageError, and UsageError if others can read the file (ssh refuses
    that, too), no passphrase is given, it is wrong, or the file has no supported key.
    """
    pem = _read(path, private=True)
    try:
        if _block(pem)[0] == _PUBLIC:
            raise UsageError(
                f"{quoted(str(path))} is a public key, and signing needs the private key",
                hint=f"pass {quoted(str(path.with_suffix('')))}"
                if path.suffix == ".pub"
                else "pass the file without .pub",
            )
        if not is_encrypted(pem):
            return load_private_pem(pem, None)
        secret = passphrase()
        if not secret:
            raise UsageError(
                f"the key {quoted(str(path))} is encrypted and no passphrase was given",
                hint="set PROVREG_PASSWORD, or run the command on a terminal",
            )
        return load_private_pem(pem, _encode(secret))
    except FormatError as error:
        raise UsageError(f"the key {quoted(str(path))}: {error.message}", hint=error.hint) from None


def load_public_file(path: Path) -> PublicKey:
    """The public key in `path`. Raises NotFoundError, StorageError, UsageError."""
    try:
        return load_public(_read(path, private=False))
    except FormatError as error:
        raise UsageError(f"the key {quoted(str(path))}: {error.message}", hint=error.hint) from None


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file: its public key, whether it is `private`, and encrypted.

    `source` is the file that the public key of an encrypted private key was read from.
    """

    public: PublicKey
    kind: Literal["public", "private"]
    encrypted: bool = False
    source: Path | None = None


def describe_key(path: Path, passphrase: Callable[[], str | None]) -> KeyFile:
    """The key in `path`; `passphrase` is called for an encrypted one without a file of its public
    part beside it.

    Raises as `load_private`, but for files that others can read.
    """
    pem = _read(path, private=False)
    try:
        if _block(pem)[0] == _PUBLIC:
            return KeyFile(load_public(pem), "public")
        if not is_encrypted(pem):
            return KeyFile(load_private_pem(pem, None).public, "private")
    except FormatError as error:
        raise UsageError(f"the key {quoted(str(path))}: {error.message}", hint=error.hint) from None
    beside = public_path(path)
    if beside.is_file():
        return KeyFile(load_public_file(beside), "private", encrypted=True, source=beside)
    return KeyFile(load_private(path, passphrase).public, "private", encrypted=True)


def _create(path: Path, data: bytes, mode: int, undo: ExitStack) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        undo.callback(path.unlink, missing_ok=True)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise UsageError(
            f"{quoted(str(path))} exists", hint="choose another file: keys are never overwritten"
        ) from None
    except OSError as error:
        raise StorageError(f"cannot write {quoted(str(path))}: {error.strerror}") from error


def _read(path: Path, *, private: bool) -> bytes:
    """The file's bytes, at most one more than the limit, which the parser refuses."""
    try:
        with open(path, "rb", opener=_opener) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise UsageError(f"{quoted(str(path))} is not a file")
            pem = file.read(KEY_LIMIT + 1)
            # Who passes the public key is told so, and not to protect it.
            if private and mode & 0o077 and f"BEGIN {_PUBLIC}-".encode() not in pem:
                raise UsageError(
                    f"others can read the private key {quoted(str(path))} (mode {mode & 0o777:o})",
                    hint=f"chmod 600 {quoted(str(path))}",
                )
            return pem
    except IsADirectoryError:
        raise UsageError(f"{quoted(str(path))} is not a file") from None
    except FileNotFoundError:
        raise NotFoundError(f"there is no key {quoted(str(path))}") from None
    except OSError as error:
        raise StorageError(f"cannot read {quoted(str(path))}: {error.strerror}") from error


def _opener(path: str, flags: int) -> int:
    # Without O_NONBLOCK a pipe in the key's place would hang instead of being refused.
    return os.open(path, flags | os.O_NONBLOCK)


def _encode(passphrase: str) -> bytes:
    # As in `openssl`: bytes of the environment that are not UTF-8 are preserved.
    return passphrase.encode("utf-8", "surrogateescape")
