"""Only P-256 and Ed25519, only one PEM block, one fingerprint whatever the spelling."""

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from provreg.errors import FormatError
from provreg.trust.keys import KEY_LIMIT, PrivateKey, load_private_pem, load_public

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# RFC 8032 7.1, test 2: public key, message, signature.
ED25519_PEM = (
    b"-----BEGIN PUBLIC KEY-----\n"
    b"MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n"
    b"-----END PUBLIC KEY-----\n"
)
ED25519_FINGERPRINT = "sha256:deb2ded39dc26fce0e6085b6fc34bf6b5941913bbfe2ea614113cff9e004c170"
ED25519_SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def public_pem(private: object) -> bytes:
    return private.public_key().public_bytes(  # type: ignore[attr-defined]
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )


def test_ed25519_vector_of_rfc_8032() -> None:
    key = load_public(ED25519_PEM)
    assert key.algorithm == "ed25519"
    assert key.fingerprint == ED25519_FINGERPRINT
    assert key.pem.encode() == ED25519_PEM
    assert key.verifies(ED25519_SIGNATURE, b"\x72")
    assert not key.verifies(ED25519_SIGNATURE, b"\x73")


def test_fingerprint_and_hint_are_the_digest_of_the_der_key(key: PrivateKey) -> None:
    der = load_pem_public_key(key.public.pem.encode()).public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    digest = hashlib.sha256(der).digest()
    assert key.public.fingerprint == "sha256:" + digest.hex()
    assert base64.b64decode(key.public.hint) == digest


def test_what_a_key_signs_it_verifies_and_nothing_else(
    key: PrivateKey, p256: PrivateKey, ed25519: PrivateKey
) -> None:
    signature = key.sign(b"message")
    assert key.public.verifies(signature, b"message")
    assert not key.public.verifies(signature, b"massage")
    other = ed25519 if key is p256 else p256
    assert not other.public.verifies(signature, b"message")


@given(junk=st.binary(max_size=100))
def test_no_junk_is_a_signature(key: PrivateKey, junk: bytes) -> None:
    assert not key.public.verifies(junk, b"message")


def der(r: bytes, s: bytes, *, length: bytes = b"") -> bytes:
    body = b"\x02" + bytes([len(r)]) + r + b"\x02" + bytes([len(s)]) + s
    return b"\x30" + length + bytes([len(body)]) + body


def test_ecdsa_signatures_are_strict_der(p256: PrivateKey) -> None:
    numbers = decode_dss_signature(p256.sign(b"message"))
    r, s = (number.to_bytes(number.bit_length() // 8 + 1, "big") for number in numbers)
    assert p256.public.verifies(der(r, s), b"message")
    assert not p256.public.verifies(der(b"\0" + r, s), b"message")
    assert not p256.public.verifies(der(r, s, length=b"\x81"), b"message")
    assert not p256.public.verifies(der(r, s) + b"\0", b"message")
    assert not p256.public.verifies(der(b"\0", b"\0"), b"message")
    assert not p256.public.verifies(
        encode_dss_signature(numbers[0] + ORDER, numbers[1]), b"message"
    )


def test_both_spellings_of_an_ecdsa_signature_verify_and_so_identify_nothing(
    p256: PrivateKey,
) -> None:
    r, s = decode_dss_signature(p256.sign(b"message"))
    assert p256.public.verifies(encode_dss_signature(r, ORDER - s), b"message")


def test_private_keys_show_in_no_repr(key: PrivateKey) -> None:
    assert repr(key) == f"PrivateKey(public={key.public!r})"


def test_private_key_reads_back(key: PrivateKey) -> None:
    again = load_private_pem(key.pem(b"pass"), b"pass")
    assert again.public == key.public
    assert key.public.verifies(again.sign(b"m"), b"m")
    assert load_private_pem(key.pem(None), None).public == key.public


def test_two_encryptions_of_a_key_share_neither_salt_nor_iv(p256: PrivateKey) -> None:
    assert p256.pem(b"pass") != p256.pem(b"pass")


@pytest.mark.parametrize("passphrase", [b"wrong", b"pass ", None, b""])
def test_the_wrong_passphrase_opens_nothing(p256: PrivateKey, passphrase: bytes | None) -> None:
    with pytest.raises(FormatError):
        load_private_pem(p256.pem(b"pass"), passphrase)


def test_a_damaged_encrypted_key_is_refused(p256: PrivateKey) -> None:
    lines = p256.pem(b"pass").split(b"\n")
    lines[-3] = b"A" * len(lines[-3])
    with pytest.raises(FormatError):
        load_private_pem(b"\n".join(lines), b"pass")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl binary")
@pytest.mark.parametrize("passphrase", [b"pass", None])
def test_openssl_loads_what_is_written(
    key: PrivateKey, passphrase: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_bytes(key.pem(passphrase))
    command = ["openssl", "pkey", "-in", str(path), "-passin", "pass:pass", "-pubout"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout.decode() == key.public.pem


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl binary")
def test_the_passphrase_costs_scrypt_of_16_mib(p256: PrivateKey, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(p256.pem(b"pass"))
    command = ["openssl", "asn1parse", "-in", str(path)]
    shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    values = [line.rpartition(":")[2] for line in shown if "OBJECT" in line or "INTEGER" in line]
    assert values == ["PBES2", "scrypt", "4000", "08", "08", "aes-256-cbc"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl binary")
@pytest.mark.parametrize("spelling", ["-conv_form=compressed", "-conv_form=hybrid", "-param_enc"])
def test_one_key_spelled_twice_has_one_fingerprint(
    p256: PrivateKey, spelling: str, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_bytes(p256.pem(None))
    option = [spelling, "explicit"] if spelling == "-param_enc" else spelling.split("=")
    command = ["openssl", "ec", "-in", str(path), "-pubout", *option]
    other = subprocess.run(command, capture_output=True, check=True).stdout
    assert other != p256.public.pem.encode()
    assert load_public(other).fingerprint == p256.public.fingerprint


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: rsa.generate_private_key(65537, 2048), "RSA"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "secp384r1"),
        (lambda: ec.generate_private_key(ec.SECP256K1()), "secp256k1"),
        (x25519.X25519PrivateKey.generate, "X25519"),
        (ed448.Ed448PrivateKey.generate, "Ed448"),
    ],
)
def test_other_kinds_of_keys_are_refused_by_name(make: object, named: str) -> None:
    private = make()  # type: ignore[operator]
    with pytest.raises(FormatError, match=named):
        load_public(public_pem(private))
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(FormatError, match=named):
        load_private_pem(pem, None)


def test_a_private_key_is_not_taken_for_a_public_one(p256: PrivateKey) -> None:
    with pytest.raises(FormatError, match="found a private key"):
        load_public(p256.pem(None))


@pytest.mark.parametrize(
    "attack",
    [
        lambda pem: pem + pem,
        lambda pem: pem + b"garbage\n",
        lambda pem: b"text\n" + pem,
        lambda pem: pem + b"\0",
        lambda pem: b"",
        lambda pem: pem.replace(b"PUBLIC KEY", b"CERTIFICATE"),
        lambda pem: pem.replace(b"END PUBLIC", b"END PRIVATE"),
        lambda pem: pem.replace(b"\n", b"\n\n", 1),
        lambda pem: pem.replace(b"\n", b"\nProc-Type: 4,ENCRYPTED\n", 1),
        lambda pem: pem.replace(b"M", b"!", 1),
        lambda pem: pem.replace(b"MF", b"MG", 1),
        lambda pem: pem.replace(b"\n-----END", b"=\n-----END"),
        lambda pem: pem + b" " * KEY_LIMIT,
        lambda pem: pem.decode().encode("utf-16"),
    ],
)
def test_anything_but_one_public_pem_block_is_refused(p256: PrivateKey, attack: object) -> None:
    with pytest.raises(FormatError):
        load_public(attack(p256.public.pem.encode()))  # type: ignore[operator]


def test_a_point_off_the_curve_is_refused(p256: PrivateKey) -> None:
    der_key = p256.public.der[:-1] + bytes([p256.public.der[-1] ^ 1])
    body = base64.encodebytes(der_key)
    with pytest.raises(FormatError):
        load_public(b"-----BEGIN PUBLIC KEY-----\n" + body + b"-----END PUBLIC KEY-----\n")


@given(data=st.binary(max_size=300))
def test_no_bytes_break_the_key_parser(data: bytes) -> None:
    body = base64.b64encode(data)
    pem = b"-----BEGIN PUBLIC KEY-----\n%b\n-----END PUBLIC KEY-----\n"
    for hostile in (data, pem % body[:76]):
        with pytest.raises(FormatError):
            load_public(hostile)
