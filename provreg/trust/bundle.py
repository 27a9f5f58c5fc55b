"""Bundles: a statement and its signature, in Sigstore's format (docs/format/statement.md).

Steps 1 to 3 of docs/concepts/verification.md. Signatures with a key are verified here, those with a
certificate by `TrustAnchors.certificates`. A bundle is not an identity: the same signature can be
in different bundles (JSON and ECDSA have several encodings), so nothing is counted by bundle.
Source: sigstore protobuf-specs, sigstore_bundle.proto, v0.3; DSSE v1.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from provreg.core.encoding.canonical import canonical, parse_json
from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import quoted
from provreg.core.policy.policy import Policy, Signature
from provreg.core.statements.statement import PAYLOAD_TYPE, pae
from provreg.errors import FormatError, NotTrustedError
from provreg.trust.keys import PrivateKey, PublicKey, load_public

BUNDLE_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
BUNDLE_LIMIT = 256 * 1024  # bytes

_MAX_HINT = 1024
_MAX_ITEMS = 16


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """The bundle was made with a key; `hint` names it and is not verified."""

    hint: str


@dataclass(frozen=True, slots=True)
class CertificateMaterial:
    """The bundle has a certificate (DER), not yet verified."""

    certificate: bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """A well-formed bundle; nothing in it is verified yet.

    `payload` is the signed statement, `raw` the bytes of the bundle and `digest` their written
    SHA-256, under which it is stored. `timestamps` are DER RFC 3161 responses.
    """

    payload: bytes
    signature: bytes
    material: KeyMaterial | CertificateMaterial
    timestamps: tuple[bytes, ...]
    raw: bytes
    digest: str


CertificateCheck = Callable[[Bundle], Signature]
# The time of a signature, by its timestamps (`trust.timestamps.TimestampVerifier`).
TimestampCheck = Callable[[bytes, Sequence[bytes]], datetime]
# Requests a timestamp over a signature (`trust.timestamps.TimestampAuthority.stamp`).
Stamp = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """The trusted keys and authorities.

    `keys` are the consumer's keys by fingerprint. `certificates` verifies bundles with a
    certificate or raises NotTrustedError; None if no identity is trusted. `timestamps` does the
    same for the time of a key's signature; None if no timestamp authority is trusted.
    """

    keys: Mapping[str, PublicKey]
    certificates: CertificateCheck | None = field(default=None, compare=False)
    timestamps: TimestampCheck | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        policy: Policy,
        certificates: CertificateCheck | None = None,
        timestamps: TimestampCheck | None = None,
    ) -> TrustAnchors:
        """The keys of all principals of `policy`; `certificates` if one has an identity.

        Without identities no certificate can count, so none is parsed.
        """
        keys = (load_public(key.pem.encode()) for key in policy.trusted_keys())
        has_identities = any(principal.identities for principal in policy.principals)
        by_fingerprint = {key.fingerprint: key for key in keys}
        return cls(by_fingerprint, certificates if has_identities else None, timestamps)


def key_bundle(
    statement: bytes, key: PrivateKey, *, hint: str | None = None, stamp: Stamp | None = None
) -> bytes:
    """`statement` signed with `key`: a bundle in canonical JSON.

    `hint` names the key for verifiers, by default in cosign's convention. `stamp` requests a
    timestamp over the signature; its errors are passed on.
    """
    signature = key.sign(pae(PAYLOAD_TYPE, statement))
    material: dict[str, Any] = {"publicKey": {"hint": hint or key.public.hint}, "tlogEntries": []}
    if stamp is not None:
        signed = {"signedTimestamp": base64.b64encode(stamp(signature)).decode("ascii")}
        material["timestampVerificationData"] = {"rfc3161Timestamps": [signed]}
    envelope = {
        "payload": base64.b64encode(statement).decode("ascii"),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": "", "sig": base64.b64encode(signature).decode("ascii")}],
    }
    return canonical(
        {
            "dsseEnvelope": envelope,
            "mediaType": BUNDLE_MEDIA_TYPE,
            "verificationMaterial": material,
        }
    )


def parse_bundle(data: bytes) -> Bundle:
    """Steps 1 and 2: reads a bundle.

    Raises NotTrustedError: step 1 unless it is a v0.3 bundle with a DSSE envelope within the
    limits, step 2 unless it has exactly one signature and the right payload type.
    """
    try:
        return _parse(data)
    except FormatError as error:
        raise NotTrustedError(error.message, step=1, hint=error.hint) from None


def verify_bundle(bundle: Bundle, trust: TrustAnchors) -> Signature:
    """Step 3: the signer of `bundle` and its time. Raises NotTrustedError if it does not verify.

    Every timestamp of a key's signature must verify. Without a timestamp it has no time.
    """
    if isinstance(bundle.material, KeyMaterial):
        key = verify_key_bundle(bundle, trust.keys)
        if not bundle.timestamps:
            return Signature(key=key)
        if trust.timestamps is None:
            raise NotTrustedError(
                "the signature has a timestamp, but no timestamp authority is trusted", step=3
            )
        moment = trust.timestamps(bundle.signature, bundle.timestamps)
        return Signature(key=key, signed_at=moment, proof="tsa")
    if trust.certificates is None:
        raise NotTrustedError(
            "the bundle is signed with a certificate, but only keys are trusted",
            step=3,
            hint="pass --identity and --issuer, or add the identity to a policy",
        )
    return trust.certificates(bundle)


@dataclass(frozen=True, slots=True)
class ClaimedSigner:
    """The signer that a bundle names, not verified: anybody can write one into a bundle.

    `signer` is the fingerprint of a key, or the identity in a certificate and its `issuer`; None
    for what cannot be read.
    """

    signer: str | None
    issuer: str | None
    words: str

    def __str__(self) -> str:
        return self.words


def claimed_signer(bundle: Bundle) -> ClaimedSigner:
    """The unverified signer that `bundle` claims."""
    if isinstance(bundle.material, KeyMaterial):
        hint = bundle.material.hint
        return ClaimedSigner(_hinted_key(hint), None, named_key(hint))
    # Imported late: most signatures are by keys.
    from provreg.trust.sigstore.certificate import claimed_identity

    claimed = claimed_identity(bundle.material.certificate)
    if claimed is None:
        return ClaimedSigner(None, None, "an unreadable certificate")
    identity, issuer = claimed
    return ClaimedSigner(identity, issuer, f"{quoted(identity)} by {quoted(issuer)}")


def verify_key_bundle(bundle: Bundle, keys: Mapping[str, PublicKey]) -> str:
    """The fingerprint of the trusted key that made `bundle` (step 3).

    The algorithm is the trusted key's. The hint only determines which key is tried first. Raises
    NotTrustedError if none of `keys` made it.
    """
    if not isinstance(bundle.material, KeyMaterial):
        raise NotTrustedError("the bundle is not signed with a key", step=3)
    hint = bundle.material.hint
    message = pae(PAYLOAD_TYPE, bundle.payload)
    for fingerprint, key in sorted(keys.items(), key=lambda item: item[1].hint != hint):
        if key.verifies(bundle.signature, message):
            return fingerprint
    raise NotTrustedError(
        f"no trusted key made this signature (tried {len(keys)}); it names {named_key(hint)}",
        step=3,
        hint="add the signer's public key to the policy if you trust it; `provreg key show FILE`"
        " shows a key's fingerprint",
    )


def named_key(hint: str) -> str:
    """The key that a signature names, which proves nothing: its fingerprint, or its hint."""
    key = _hinted_key(hint)
    return f"a key with the hint {quoted(hint)}" if key is None else f"the key {key}"


def _hinted_key(hint: str) -> str | None:
    """The fingerprint in cosign's hint, the base64 of the same digest; None for another hint."""
    try:
        digest = base64.b64decode(hint, validate=True)
    except ValueError:
        return None
    is_digest = len(digest) == hashlib.sha256().digest_size
    return f"sha256:{digest.hex()}" if is_digest else None


def _parse(data: bytes) -> Bundle:
    fields = Fields(parse_json(data, what="the bundle", limit=BUNDLE_LIMIT), "bundle")
    media_type = fields.text("mediaType", limit=200)
    if media_type != BUNDLE_MEDIA_TYPE:
        raise FormatError(
            f"the bundle has type {quoted(media_type)}, expected {BUNDLE_MEDIA_TYPE}",
            hint="ask the signer for a bundle in the v0.3 format",
        )
    if fields.has("messageSignature"):
        raise FormatError("the bundle signs bare bytes, not a statement")
    material, timestamps = _read_material(fields.object("verificationMaterial"))
    payload, signature = _read_envelope(fields.object("dsseEnvelope"), fields)
    return Bundle(payload, signature, material, timestamps, data, sha256_digest(data))


def _read_envelope(envelope: Fields, bundle: Fields) -> tuple[bytes, bytes]:
    """(payload, signature). All of step 1 comes before any of step 2."""
    payload = envelope.binary("payload")
    payload_type = envelope.text("payloadType", limit=200)
    signatures = envelope.items("signatures", _read_signature, limit=_MAX_ITEMS)
    envelope.done()
    bundle.done()
    if payload_type != PAYLOAD_TYPE:
        raise NotTrustedError(
            f"the bundle's payload has type {quoted(payload_type)}, expected {PAYLOAD_TYPE}", step=2
        )
    if len(signatures) != 1:
        raise NotTrustedError(
            f"the bundle has {len(signatures)} signatures, expected exactly one",
            step=2,
            hint="make a bundle for each signer",
        )
    return payload, signatures[0]


def _read_signature(fields: Fields) -> bytes:
    if fields.has("keyid"):
        # DSSE: not authenticated, and never used.
        fields.text("keyid", limit=_MAX_HINT)
    return fields.binary("sig")


def _read_material(
    fields: Fields,
) -> tuple[KeyMaterial | CertificateMaterial, tuple[bytes, ...]]:
    # The verifier of certificates reads log entries from `raw`.
    entries = fields.raw("tlogEntries")
    if not isinstance(entries, list) or len(entries) > _MAX_ITEMS:
        raise fields.wrong("tlogEntries", f"is not an array of at most {_MAX_ITEMS}")
    timestamps: tuple[bytes, ...] = ()
    name = "timestampVerificationData"
    if fields.has(name) and (data := fields.optional_object(name)) is not None:
        if data.has("rfc3161Timestamps"):
            timestamps = data.items("rfc3161Timestamps", _read_timestamp, limit=_MAX_ITEMS)
        data.done()
    material: KeyMaterial | CertificateMaterial
    if fields.has("publicKey"):
        if entries:
            raise fields.wrong(
                "tlogEntries", "has entries beside a key, which would not be verified"
            )
        public_key = fields.object("publicKey")
        has_hint = public_key.has("hint")
        material = KeyMaterial(public_key.text("hint", limit=_MAX_HINT) if has_hint else "")
        public_key.done()
    else:
        certificate = fields.object("certificate")
        material = CertificateMaterial(certificate.binary("rawBytes"))
        certificate.done()
    fields.done()
    return material, timestamps


def _read_timestamp(fields: Fields) -> bytes:
    return fields.binary("signedTimestamp")
