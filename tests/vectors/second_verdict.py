"""What the second reader (`second_reader.py`) takes from docs/verification.md.

Steps 1 to 7, 10 and 11: signatures by keys under a policy of principals, thresholds and
countersigners. Of times, of certificates, of revocations and of histories it says nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256 as SHA256_HASH
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from second_conventions import Refused, digest, fetch, parse, parse_json, refuse_unless
from second_reader import SHA256, fields, items, read_head, read_version, statement, text

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
    payload, kind, signatures = at(1, lambda: _read_bundle(data))
    at(2, lambda: refuse_unless(kind == IN_TOTO and len(signatures) == 1, "signatures"))
    if signatures[0] is None:
        raise RefusedAt(3, "a certificate")
    return payload, signatures[0]


def _read_bundle(data: bytes) -> tuple[bytes, str, list[bytes | None]]:
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
    return bytes_of(envelope["payload"]), envelope["payloadType"], made


def fits(pem: str, payload: bytes, signature: bytes) -> bool:
    message = b"DSSEv1 %d %b %d %b" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)
    key: Any = load_pem_public_key(pem.encode())
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(SHA256_HASH()))
        else:
            key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def record(registry: Mapping[str, bytes], dataset: str, number: int) -> str:
    data = registry.get(f"datasets/{dataset}/versions/{number:08d}.json", b"")
    found = parse(data, 1024)
    fields(found, head=SHA256, nonce=text(32, "[0-9a-f]{32}"))
    head: str = found["head"]
    return head


def decide(registry: Mapping[str, bytes], reference: str, policy: Mapping[str, Any]) -> None:
    """Raises RefusedAt for a version that one of the steps refuses."""
    dataset, _, selector = reference.partition("@")
    prefix = f"datasets/{dataset}/versions/"
    number: int | None = None
    if selector.startswith("sha256:"):
        head_digest = selector
    else:
        taken = [int(key[-13:-5]) for key in registry
                 if re.fullmatch(re.escape(prefix) + r"[0-9]{8}\.json", key)]  # fmt: skip
        number = int(selector) if selector.isdecimal() else max(taken)
        head_digest = at(1, lambda: record(registry, dataset, number or 0))
    made = signatures(registry, dataset, head_digest, policy)
    head = at(4, lambda: read_head(fetch(registry, head_digest, 64 << 20)))
    number = number or head["version"]
    try:
        owner = record(registry, dataset, number)
    except Refused:
        owner = ""
    signed = statement(head | {"dataset": dataset, "version": number}, head_digest)
    same = [pem for pem, payload in made if payload == signed]
    named = (head["dataset"], head["version"]) == (dataset, number)
    at(5, lambda: refuse_unless(bool(same) and named and owner == head_digest, "statement"))
    count(policy, dataset, number, same)
    for part in head["parts"]:
        data = at(10, lambda part=part: fetch(registry, part["file"], part["size"]))
        at(10, lambda part=part, data=data: refuse_unless(len(data) == part["size"], "size"))
    at(11, lambda: read_version(registry, dataset, number))


def signatures(
    registry: Mapping[str, bytes], dataset: str, head: str, policy: Mapping[str, Any]
) -> list[tuple[str, bytes]]:
    """(key, payload) of every bundle over a head that passes steps 1 to 3."""
    prefix = f"datasets/{dataset}/signatures/{head.replace(':', '-')}/"
    keys = [pem for principal in policy.get("principal", ()) for pem in pems(principal)]
    failed, made = [RefusedAt(1, "no signature")], []
    for key in sorted(key for key in registry if key.startswith(prefix))[:1000]:
        data = registry[key]
        named = digest("sha256", data).replace(":", "-") == key.removeprefix(prefix)
        if not named or len(data) > 256 << 10:
            continue
        try:
            payload, signature = read_bundle(data)
        except RefusedAt as refused:
            failed.append(refused)
            continue
        fitting = [pem for pem in keys if fits(pem, payload, signature)]
        made += [(pem, payload) for pem in fitting[:1]]
        failed += [] if fitting else [RefusedAt(3, "no trusted key")]
    if not made:
        raise max(failed, key=lambda refused: refused.step)
    return made


def pems(principal: Mapping[str, Any]) -> list[str]:
    return [key if isinstance(key, str) else key["pem"] for key in principal["keys"]]


def covers(patterns: Sequence[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in patterns)


def count(policy: Mapping[str, Any], dataset: str, number: int, keys: list[str]) -> None:
    """Steps 6 and 7."""
    rules = [rule for rule in policy.get("publish", ()) if covers(rule["datasets"], dataset)]
    if not rules or number < rules[0].get("minimum_version", 1):
        raise RefusedAt(6, "no rule")
    rule = rules[0]
    who = {one["name"] for one in policy["principal"] if set(pems(one)) & set(keys)}
    counted = who & {*rule["principals"], *rule.get("countersigners", ())}
    if not counted:
        raise RefusedAt(6, "nobody")
    if len(counted) < rule.get("threshold", 1) or not counted & set(rule["principals"]):
        raise RefusedAt(7, "not enough")
