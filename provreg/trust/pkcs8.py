"""Encrypting private keys: PKCS#8 under a passphrase, in a form `openssl` loads.

cryptography writes PKCS#8 with PBKDF2 at 2,048 rounds only, which a graphics card tries by the
hundred thousand a second. What it reads, and what OpenSSL from 1.1.0 on reads, includes scrypt;
this module writes that, and cryptography's own reader takes it back.
"""

from __future__ import annotations

import base64
import os

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7

# OpenSSL refuses scrypt beyond 32 MiB, which n = 2**15 already reaches; p makes up for the time.
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
