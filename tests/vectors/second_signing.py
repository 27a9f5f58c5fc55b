"""What the second reader takes from docs/format/statement.md and policy.md.

Bundles by keys (steps 1 to 3), and the principals of a rule whose signatures count.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from second_conventions import Refused, digest, parse_json, refuse_unless
from second_reader import items, text

IN_TOTO = "application/vnd.in-toto+json"


class RefusedAt(Exception):  # noqa: N818
    def __init__(self, step: int, why: str) -> None:
        super().__init__(f"step {step}: {why}")
        self.step = step


def at(step: int, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Refused as refused:
        raise RefusedAt(step, str(refused)) from None


# --- docs/format/statement.md, "What a reader must refuse" ----------------------------------------


def bytes_of(written: Any) -> bytes:
    refuse_unless(isinstance(written, str), "no base64")
    try:
        data = base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("no base64") from None
    refuse_unless(base64.b64encode(data).decode() == written and data != b"", "no base64")
    return data


def only(value: Any, needed: set[str], other: set[str] | None = None) -> None:
    refuse_unless(isinstance(value, dict), "no object")
    refuse_unless(needed <= set(value) <= needed | (other or set()), "other fields")


def read_bundle(data: bytes) -> tuple[bytes, bytes]:
    """(payload, signature) of a bundle signed with a key: steps 1 and 2."""
    payload, kind, signatures, stamped = at(1, lambda: _read_bundle(data))
    at(2, lambda: refuse_unless(kind == IN_TOTO and len(signatures) == 1, "signatures"))
    if signatures[0] is None:
        raise RefusedAt(3, "a certificate")
    if stamped:
        raise RefusedAt(3, "a timestamp, and no authority is trusted")
    return payload, signatures[0]


def _read_bundle(data: bytes) -> tuple[bytes, str, list[bytes | None], bool]:
    bundle = parse_json(data, 256 << 10)
    only(bundle, {"mediaType", "verificationMaterial", "dsseEnvelope"})
    kind = "application/vnd.dev.sigstore.bundle.v0.3+json"
    refuse_unless(bundle["mediaType"] == kind, "media type")
    material, envelope = bundle["verificationMaterial"], bundle["dsseEnvelope"]
    only(envelope, {"payload", "payloadType", "signatures"})
    keyed = isinstance(material, dict) and "publicKey" in material
    only(material, {"tlogEntries", "publicKey" if keyed else "certificate"},
         {"timestampVerificationData"})  # fmt: skip
    refuse_unless(items(0 if keyed else 16, lambda _: True)(material["tlogEntries"]), "entries")
    stamps = _timestamps(material.get("timestampVerificationData"))
    if keyed:
        only(material["publicKey"], set(), {"hint"})
        refuse_unless(text(1024)(material["publicKey"].get("hint", "")), "hint")
    else:
        only(material["certificate"], {"rawBytes"})
        bytes_of(material["certificate"]["rawBytes"])
    refuse_unless(text(200)(envelope["payloadType"]), "payload type")
    refuse_unless(items(16, lambda _: True)(envelope["signatures"]), "signatures")
    made: list[bytes | None] = []
    for one in envelope["signatures"]:
        only(one, {"sig"}, {"keyid"})
        refuse_unless(text(1024)(one.get("keyid", "")), "keyid")
        signature = bytes_of(one["sig"])
        made.append(signature if keyed else None)
    return bytes_of(envelope["payload"]), envelope["payloadType"], made, keyed and bool(stamps)


def _timestamps(data: Any) -> list[bytes]:
    if data is None:
        return []
    only(data, set(), {"rfc3161Timestamps"})
    stamps = data.get("rfc3161Timestamps", [])
    refuse_unless(items(16, lambda _: True)(stamps), "timestamps")
    for stamp in stamps:
        only(stamp, {"signedTimestamp"})
    return [bytes_of(stamp["signedTimestamp"]) for stamp in stamps]


def fits(pem: str, payload: bytes, signature: bytes) -> bool:
    message = b"DSSEv1 %d %b %d %b" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)
    key: Any = load_pem_public_key(pem.encode())
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(SHA256()))
        else:
            key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def fingerprint(pem: str) -> str:
    der = load_pem_public_key(pem.encode()).public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def bundles(registry: Mapping[str, bytes], prefix: str) -> list[bytes]:
    """Those of the first 1,000 keys under `prefix` that hold the bytes of their names."""
    keys = [key for key in registry if key.startswith(prefix)]
    return [
        registry[key]
        for key in sorted(keys)[:1000]
        if digest("sha256", registry[key]).replace(":", "-") == key.removeprefix(prefix)
        and len(registry[key]) <= 256 << 10
    ]


def signers(policy: Mapping[str, Any], data: bytes) -> tuple[str, bytes]:
    """(key, payload) of a bundle that passes steps 1 to 3."""
    payload, signature = read_bundle(data)
    for pem in (pem for principal in policy.get("principal", ()) for pem in pems(principal)):
        if fits(pem, payload, signature):
            return pem, payload
    raise RefusedAt(3, "no trusted key")


def signed_by(
    registry: Mapping[str, bytes], prefix: str, policy: Mapping[str, Any]
) -> list[tuple[str, bytes]]:
    """(key, payload) of every bundle under `prefix` that passes steps 1 to 3."""
    made = []
    for data in bundles(registry, prefix):
        try:
            made.append(signers(policy, data))
        except RefusedAt:
            continue
    return made


# --- docs/format/policy.md, "Counting" and "When a key holds" -------------------------------------


def pems(principal: Mapping[str, Any]) -> list[str]:
    return [key if isinstance(key, str) else key["pem"] for key in principal.get("keys", ())]


def matches(pattern: str, name: str) -> bool:
    """docs/format/names.md, "Patterns over plain names"."""
    wild = {"*": "[\\s\\S]*", "?": "[\\s\\S]"}
    made = "".join(wild.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(made, name) is not None


def rule_of(policy: Mapping[str, Any], kind: str, dataset: str) -> Mapping[str, Any] | None:
    for rule in policy.get(kind, ()):
        if any(matches(pattern, dataset) for pattern in rule["datasets"]):
            found: Mapping[str, Any] = rule
            return found
    return None


def moment(written: str | datetime) -> datetime:
    return written if isinstance(written, datetime) else datetime.fromisoformat(written)


def met(
    policy: Mapping[str, Any],
    rule: Mapping[str, Any],
    keys: Iterable[str],
    *,
    now: datetime,
    created: datetime,
    seen: Callable[[str], datetime | None] = lambda _: None,
    ends: bool = True,
) -> str:
    """How the rule stands: `met`, `late` (step 8), `few` (step 7) or `nobody` (step 6)."""
    good, late = signed(policy, rule, keys, now=now, created=created, seen=seen, ends=ends)
    if enough(rule, good):
        return "met"
    if enough(rule, good | late):
        return "late"
    return "few" if good else "nobody"


def signed(
    policy: Mapping[str, Any],
    rule: Mapping[str, Any],
    keys: Iterable[str],
    *,
    now: datetime,
    created: datetime,
    seen: Callable[[str], datetime | None] = lambda _: None,
    ends: bool = True,
) -> tuple[set[str], set[str]]:
    """The principals of the rule whose signatures count, and those whose come too late."""
    good, late = set(), set()
    for pem in keys:
        for principal in policy.get("principal", ()):
            if pem not in pems(principal):
                continue
            if "require" in rule or principal["name"] not in who(rule):
                continue
            old = _too_old(rule, created, now) or _over(principal, pem, seen(pem) or now, ends)
            (late if old else good).add(principal["name"])
    return good, late


def who(rule: Mapping[str, Any]) -> Sequence[str]:
    return [*rule["principals"], *rule.get("countersigners", ())]


def enough(rule: Mapping[str, Any], names: set[str]) -> bool:
    return len(names) >= rule.get("threshold", 1) and bool(names & set(rule["principals"]))


def _over(principal: Mapping[str, Any], pem: str, latest: datetime, ends: bool) -> bool:
    for key in principal["keys"]:
        if isinstance(key, dict) and key["pem"] == pem:
            begins, until, stolen = (key.get(n) for n in ("valid_from", "valid_until", "revoked"))
            if begins is not None and latest < moment(begins):
                return True
            if ends and until is not None and latest >= moment(until):
                return True
            return stolen is not None and latest >= moment(stolen)
    return False


UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def age(written: str) -> timedelta:
    return timedelta(**{UNITS[written[-1]]: int(written[:-1])})


def _too_old(rule: Mapping[str, Any], created: datetime, now: datetime) -> bool:
    if "maximum_age" not in rule:
        return False
    return created > now + timedelta(hours=1) or now - created > age(rule["maximum_age"])
