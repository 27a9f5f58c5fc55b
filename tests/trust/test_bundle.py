"""Bundles signed with a key: what is refused, at which step."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from provreg.core.encoding.canonical import canonical
from provreg.core.policy.policy import Signature, single_key_policy
from provreg.core.statements.statement import version_statement
from provreg.errors import NotTrustedError
from provreg.trust.bundle import (
    BUNDLE_LIMIT,
    Bundle,
    CertificateMaterial,
    KeyMaterial,
    TrustAnchors,
    key_bundle,
    named_key,
    parse_bundle,
    verify_bundle,
    verify_key_bundle,
)
from provreg.trust.keys import PrivateKey, generate
from provreg.trust.signers import KeySigner

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "bundle.v1.json").read_text("utf-8"))
STATEMENT = version_statement(
    dataset="cifar10",
    version=3,
    head="sha256:" + "ab" * 32,
    uid="0123456789abcdef" * 2,
    root="blake3:" + "cd" * 32,
    samples=50000,
)
Edit = Callable[[dict[str, Any]], None]


def trusting(*keys: PrivateKey) -> TrustAnchors:
    return TrustAnchors({key.public.fingerprint: key.public for key in keys})


def edited(key: PrivateKey, edit: Edit) -> bytes:
    document = json.loads(key_bundle(STATEMENT, key))
    edit(document)
    return canonical(document)


def put(*path: str | int, value: object) -> Edit:
    def edit(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return edit


def drop(*path: str | int) -> Edit:
    def edit(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        del document[path[-1]]

    return edit


def refused(data: bytes, step: int, trust: TrustAnchors | None = None) -> NotTrustedError:
    with pytest.raises(NotTrustedError) as caught:
        verify_bundle(parse_bundle(data), trust or TrustAnchors({}))
    assert caught.value.step == step, caught.value.message
    return caught.value


def test_a_bundle_verifies_with_the_key_that_made_it(key: PrivateKey) -> None:
    data = KeySigner(key).sign(STATEMENT)
    bundle = parse_bundle(data)
    assert bundle.payload == STATEMENT
    assert bundle.material == KeyMaterial(key.public.hint)
    assert bundle.raw == data
    assert verify_bundle(bundle, trusting(key)) == Signature(key=key.public.fingerprint)
    Draft202012Validator(SCHEMA).validate(json.loads(data))


def test_a_bundle_has_these_fields(p256: PrivateKey) -> None:
    data = key_bundle(STATEMENT, p256)
    document = json.loads(data)
    [signature] = document["dsseEnvelope"].pop("signatures")
    assert set(signature) == {"keyid", "sig"}
    assert signature["keyid"] == ""
    assert document == {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "dsseEnvelope": {
            "payload": base64.b64encode(STATEMENT).decode(),
            "payloadType": "application/vnd.in-toto+json",
        },
        "verificationMaterial": {"publicKey": {"hint": p256.public.hint}, "tlogEntries": []},
    }
    assert data == canonical(json.loads(data))
    assert len(data) < 2048


def test_trust_anchors_of_a_policy_are_its_keys(key: PrivateKey) -> None:
    policy = single_key_policy(key.public.fingerprint, key.public.pem)
    assert TrustAnchors.of(policy) == trusting(key)


def test_signature_of_another_key_is_refused_whatever_its_hint(
    p256: PrivateKey, ed25519: PrivateKey
) -> None:
    mallory = generate()
    forged = edited(
        mallory, put("verificationMaterial", "publicKey", "hint", value=p256.public.hint)
    )
    refused(forged, 3, trusting(p256, ed25519))
    refused(key_bundle(STATEMENT, mallory), 3, trusting(p256, ed25519))
    refused(key_bundle(STATEMENT, p256), 3, trusting())


@pytest.mark.parametrize("hint", ["", "x", "wrong"])
def test_a_wrong_hint_takes_nothing_from_a_right_signature(
    p256: PrivateKey, ed25519: PrivateKey, hint: str
) -> None:
    hint = ed25519.public.hint if hint == "wrong" else hint
    data = edited(p256, put("verificationMaterial", "publicKey", "hint", value=hint))
    keys = trusting(ed25519, p256).keys
    assert verify_key_bundle(parse_bundle(data), keys) == p256.public.fingerprint
    without = edited(p256, drop("verificationMaterial", "publicKey", "hint"))
    assert verify_key_bundle(parse_bundle(without), keys) == p256.public.fingerprint


def test_algorithm_confusion(p256: PrivateKey, ed25519: PrivateKey) -> None:
    for signer, trusted in ((p256, ed25519), (ed25519, p256)):
        data = edited(
            signer, put("verificationMaterial", "publicKey", "hint", value=trusted.public.hint)
        )
        refused(data, 3, trusting(trusted))


def test_altered_payload_is_refused(key: PrivateKey) -> None:
    other = base64.b64encode(STATEMENT.replace(b'"version":3', b'"version":4')).decode()
    refused(edited(key, put("dsseEnvelope", "payload", value=other)), 3, trusting(key))


def test_a_signature_over_the_bare_payload_is_refused(key: PrivateKey) -> None:
    bare = base64.b64encode(key.sign(STATEMENT)).decode()
    data = edited(key, put("dsseEnvelope", "signatures", 0, "sig", value=bare))
    refused(data, 3, trusting(key))


ENVELOPE, MATERIAL = "dsseEnvelope", "verificationMaterial"
SIGNATURE = {"sig": "AAAA", "keyid": ""}
STEP_2 = {
    "two signatures": put(ENVELOPE, "signatures", value=[SIGNATURE, SIGNATURE]),
    "zero signatures": put(ENVELOPE, "signatures", value=[]),
    "wrong payload type": put(ENVELOPE, "payloadType", value="application/json"),
    "payload type in capitals": put(ENVELOPE, "payloadType", value="application/vnd.In-toto+json"),
}
STEP_1 = {
    "media type v0.1": put(
        "mediaType", value="application/vnd.dev.sigstore.bundle+json;version=0.1"
    ),
    "media type v0.2": put(
        "mediaType", value="application/vnd.dev.sigstore.bundle+json;version=0.2"
    ),
    "media type v0.3, the other spelling": put(
        "mediaType", value="application/vnd.dev.sigstore.bundle+json;version=0.3"
    ),
    "media type is null": put("mediaType", value=None),
    "no media type": drop("mediaType"),
    "no envelope": drop(ENVELOPE),
    "no material": drop(MATERIAL),
    "no log entries field": drop(MATERIAL, "tlogEntries"),
    "log entries are an object": put(MATERIAL, "tlogEntries", value={}),
    "seventeen log entries": put(MATERIAL, "tlogEntries", value=[{}] * 17),
    "no key and no certificate": drop(MATERIAL, "publicKey"),
    "key and certificate": put(MATERIAL, "certificate", value={"rawBytes": "AAAA"}),
    "chain of certificates": put(MATERIAL, "x509CertificateChain", value={"certificates": []}),
    "key inside the bundle": put(MATERIAL, "publicKey", value={"hint": "", "rawBytes": "AAAA"}),
    "hint is a number": put(MATERIAL, "publicKey", "hint", value=1),
    "message signature beside": put("messageSignature", value={"signature": "AAAA"}),
    "message signature null": put("messageSignature", value=None),
    "unknown field": put("critical", value=[]),
    "unknown field in the envelope": put(ENVELOPE, "type", value=""),
    "unknown field in the signature": put(ENVELOPE, "signatures", 0, "alg", value="none"),
    "unknown field in the material": put(MATERIAL, "trust", value=True),
    "timestamp without bytes": put(
        MATERIAL, "timestampVerificationData", value={"rfc3161Timestamps": [{}]}
    ),
    "unknown kind of timestamp": put(
        MATERIAL, "timestampVerificationData", value={"roughtime": []}
    ),
    "signatures are an object": put(ENVELOPE, "signatures", value={"0": SIGNATURE}),
    "signature is a text": put(ENVELOPE, "signatures", value=["AAAA"]),
    "empty signature": put(ENVELOPE, "signatures", 0, "sig", value=""),
    "empty payload": put(ENVELOPE, "payload", value=""),
    "payload is an object": put(ENVELOPE, "payload", value={}),
}


@pytest.mark.parametrize("name", STEP_2)
def test_step_2_refuses(key: PrivateKey, name: str) -> None:
    data = edited(key, STEP_2[name])
    refused(data, 2, trusting(key))
    assert not Draft202012Validator(SCHEMA).is_valid(json.loads(data))


@pytest.mark.parametrize("name", STEP_1)
def test_step_1_refuses(p256: PrivateKey, name: str) -> None:
    data = edited(p256, STEP_1[name])
    refused(data, 1, trusting(p256))
    assert not Draft202012Validator(SCHEMA).is_valid(json.loads(data))


@pytest.mark.parametrize("field", ["payload", "sig"])
@pytest.mark.parametrize(
    "spell",
    [
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text[:4] + "\n" + text[4:],
        lambda text: text.rstrip("=") + "===",
        lambda text: text[:-3],
        lambda text: text[:4] + "-_" + text[6:],
        lambda text: text + "AAA",
        lambda text: text[:4] + "é" + text[5:],
    ],
)
def test_base64_spelled_another_way_is_refused(
    p256: PrivateKey, field: str, spell: Callable[[str], str]
) -> None:
    document = json.loads(key_bundle(STATEMENT, p256))
    holder = document[ENVELOPE] if field == "payload" else document[ENVELOPE]["signatures"][0]
    holder[field] = spell(holder[field])
    refused(canonical(document), 1, trusting(p256))


def test_base64_with_loose_bits_is_refused(p256: PrivateKey) -> None:
    assert base64.b64decode("/w==") == base64.b64decode("/x==") == b"\xff"
    assert parse_bundle(edited(p256, put(ENVELOPE, "payload", value="/w=="))).payload == b"\xff"
    refused(edited(p256, put(ENVELOPE, "payload", value="/x==")), 1)


def test_hostile_json_is_refused(p256: PrivateKey) -> None:
    data = key_bundle(STATEMENT, p256)
    twice = data.replace(b'"keyid":""', b'"keyid":"","keyid":""')
    deep = edited(p256, put(MATERIAL, "tlogEntries", value=[])).replace(
        b'"tlogEntries":[]', b'"tlogEntries":[' + b"[" * 100 + b"]" * 101
    )
    abyss = b"[" * (BUNDLE_LIMIT - 1)
    huge = data + b" " * BUNDLE_LIMIT
    for hostile in (twice, deep, abyss, huge, b"", b"null", b"[]", b"\xff", data + data, data[:-1]):
        refused(hostile, 1, trusting(p256))


def test_a_bundle_of_256_kib_is_read_and_one_byte_more_is_not(p256: PrivateKey) -> None:
    data = key_bundle(STATEMENT, p256)
    full = data + b" " * (BUNDLE_LIMIT - len(data))
    assert parse_bundle(full).payload == STATEMENT
    refused(full + b" ", 1)


def test_spaces_and_order_of_fields_do_not_matter(p256: PrivateKey) -> None:
    pretty = json.dumps(json.loads(key_bundle(STATEMENT, p256)), indent=2, sort_keys=False)
    assert verify_bundle(parse_bundle(pretty.encode()), trusting(p256))


def test_log_entries_beside_a_key_are_refused(p256: PrivateKey) -> None:
    """Nobody checks them, and a reader of another kind might believe them."""
    data = edited(p256, put(MATERIAL, "tlogEntries", value=[{"logIndex": "1"}]))
    assert "beside a key" in refused(data, 1, trusting(p256)).message


def test_timestamp_where_no_authority_is_trusted_is_refused(p256: PrivateKey) -> None:
    stamps = {"rfc3161Timestamps": [{"signedTimestamp": "AAEC"}]}
    data = edited(p256, put(MATERIAL, "timestampVerificationData", value=stamps))
    assert parse_bundle(data).timestamps == (b"\x00\x01\x02",)
    assert "no timestamp authority is trusted" in refused(data, 3, trusting(p256)).message


def certificate_bundle(key: PrivateKey) -> Bundle:
    def edit(document: dict[str, Any]) -> None:
        del document[MATERIAL]["publicKey"]
        document[MATERIAL]["certificate"] = {"rawBytes": "AAEC"}

    return parse_bundle(edited(key, edit))


def test_certificates_are_read_and_fail_closed(p256: PrivateKey) -> None:
    bundle = certificate_bundle(p256)
    assert bundle.material == CertificateMaterial(b"\x00\x01\x02")
    error = refused(bundle.raw, 3, trusting(p256))
    assert "certificate" in error.message
    with pytest.raises(NotTrustedError, match="not signed with a key"):
        verify_key_bundle(bundle, trusting(p256).keys)


@settings(max_examples=100)
@given(position=st.integers(0), bit=st.integers(0, 7))
def test_one_flipped_bit_is_refused_or_changes_nothing(
    key: PrivateKey, position: int, bit: int
) -> None:
    """What may survive: bits of the hint, which has no authority, and of `keyid`, DSSE's hint.

    Whatever else is accepted must say the same statement by the same key.
    """
    raw = bytearray(key_bundle(STATEMENT, key))
    raw[position % len(raw)] ^= 1 << bit
    try:
        bundle = parse_bundle(bytes(raw))
        signature = verify_bundle(bundle, trusting(key))
    except NotTrustedError:
        return
    assert bundle.payload == STATEMENT
    assert signature == Signature(key=key.public.fingerprint)
    document = json.loads(raw)
    document[MATERIAL]["publicKey"] = {"hint": key.public.hint}
    assert set(document[ENVELOPE]["signatures"][0]) <= {"sig", "keyid"}
    assert document[ENVELOPE]["signatures"][0]["sig"] == base64.b64encode(bundle.signature).decode()


@given(position=st.integers(0), bit=st.integers(0, 7))
def test_one_flipped_bit_of_payload_or_signature_is_always_refused(
    key: PrivateKey, position: int, bit: int
) -> None:
    bundle = parse_bundle(key_bundle(STATEMENT, key))
    for field in ("payload", "signature"):
        changed = bytearray(getattr(bundle, field))
        changed[position % len(changed)] ^= 1 << bit
        text = base64.b64encode(changed).decode()
        path = ("payload",) if field == "payload" else ("signatures", 0, "sig")
        refused(edited(key, put(ENVELOPE, *path, value=text)), 3, trusting(key))


@given(data=st.binary(max_size=200))
@example(b'{"mediaType":"\\ud800"}')
@example(b'{"mediaType":' + b"9" * 5000 + b"}")
def test_no_bytes_break_the_bundle_parser(data: bytes) -> None:
    refused(data, 1)


@pytest.mark.filterwarnings("ignore")
def test_sigstores_own_models_read_a_key_bundle(p256: PrivateKey) -> None:
    """The format's models take it; sigstore-python's Bundle wants a certificate, and says so."""
    models = pytest.importorskip("sigstore_models.bundle.v1")
    client = pytest.importorskip("sigstore.models")
    dsse = pytest.importorskip("sigstore.dsse")
    data = key_bundle(STATEMENT, p256)
    inner = models.Bundle.from_json(data)
    assert inner.verification_material.public_key.hint == p256.public.hint
    envelope = dsse.Envelope(inner.dsse_envelope)
    assert p256.public.verifies(envelope.signature, envelope.pae())
    with pytest.raises(client.InvalidBundle, match="expected certificate"):
        client.Bundle.from_json(data)


def test_an_unknown_signer_is_named_as_everywhere_else(p256: PrivateKey) -> None:
    """The hint is the same digest as the fingerprint, in another spelling: it is shown as one."""
    assert named_key(p256.public.hint) == f"the key {p256.public.fingerprint}"
    for hint in ("", "my key", "AAAA", "\x1b[2J"):
        assert named_key(hint).startswith("a key with the hint '")
        assert "\x1b" not in named_key(hint)
