"""Bundles, principals and statements that break one rule each (steps 1 to 8)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

from case import Case, one_version
from forge import OTHER_UID, Forge, Kept, pets, record_key, table, version_record
from signing import DROP, bundle, by, envelope, hint, policy, signing_key

from provreg.core.encoding.canonical import canonical

Made = dict[str, Any] | bytes
OTHER = "sha256:" + "ab" * 32


def _changed(**fields: Any) -> Callable[[bytes], Made]:
    return lambda payload: bundle(payload, **fields)


def _material(**fields: Any) -> Callable[[bytes], Made]:
    material: dict[str, Any] = {"publicKey": {"hint": hint("alice")}, "tlogEntries": []} | fields
    kept = {name: value for name, value in material.items() if value is not DROP}
    return lambda payload: bundle(payload, verificationMaterial=kept)


def _enveloped(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[bytes], Made]:
    return lambda payload: bundle(payload, dsseEnvelope=change(envelope(payload)))


def _signature(change: Callable[[str], str]) -> Callable[[bytes], Made]:
    def changed(made: dict[str, Any]) -> dict[str, Any]:
        [one] = made["signatures"]
        return made | {"signatures": [one | {"sig": change(one["sig"])}]}

    return _enveloped(changed)


def _deep(payload: bytes) -> Made:
    nested: Any = []
    for _ in range(70):
        nested = [nested]
    return bundle(payload, verificationMaterial={
        "publicKey": {"hint": ""}, "tlogEntries": [{"x": nested}]
    })  # fmt: skip


def _twice(payload: bytes) -> Made:
    return canonical(bundle(payload)).replace(b'{"dsse', b'{"mediaType":"x","dsse', 1)


def _over_bare_payload(payload: bytes) -> Made:
    made = base64.b64encode(signing_key("alice").sign(payload)).decode()
    return bundle(payload, dsseEnvelope=envelope(payload) | {"signatures": [{"sig": made}]})


def _altered(payload: bytes) -> Made:
    sound = envelope(payload)
    other = base64.b64encode(payload.replace(b'"samples":6', b'"samples":5')).decode()
    return bundle(payload, dsseEnvelope=sound | {"payload": other})


# (name, what is wrong, step, what the message says, the bundle)
BUNDLES: tuple[tuple[str, str, int, str, Callable[[bytes], Made]], ...] = (
    ("no-json", "that is no JSON", 1, "is not valid JSON", lambda _: b"squatted"),
    ("trailing-bytes", "with bytes behind the document", 1, "is not valid JSON",
     lambda payload: canonical(bundle(payload)) + b"{}"),
    ("key-twice", "with a key twice", 1, "duplicate key", _twice),
    ("not-a-number", "with NaN in it", 1, "NaN",
     lambda payload: canonical(bundle(payload)).replace(b"Entries\":[", b"Entries\":[NaN")),
    ("nested-too-deep", "nested deeper than 64", 1, "nested deeper than 64", _deep),
    ("media-type", "of another media type", 1, "the bundle has type",
     _changed(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.3")),
    ("unknown-field", "with an unknown field", 1, "an unknown field 'note'", _changed(note="x")),
    ("missing-field", "without its media type", 1, "lacks the field mediaType",
     _changed(mediaType=DROP)),
    ("bare-bytes", "over bare bytes instead of a statement", 1, "signs bare bytes",
     _changed(messageSignature={"signature": "AAAA"})),
    ("no-material", "with neither a key nor a certificate", 1, "lacks the field certificate",
     _material(publicKey=DROP)),
    ("two-materials", "with both a key and a certificate", 1, "an unknown field 'certificate'",
     _material(certificate={"rawBytes": "AAAA"})),
    ("certificate-chain", "with a chain of certificates", 1, "lacks the field certificate",
     _material(publicKey=DROP, x509CertificateChain={"certificates": [{"rawBytes": "AAAA"}]})),
    ("log-entries-beside-a-key", "with a log entry beside a key", 1, "has entries beside a key",
     _material(tlogEntries=[{}])),
    ("without-log-entries", "that lacks `tlogEntries`", 1, "lacks the field tlogEntries",
     _material(tlogEntries=DROP)),
    ("too-many-log-entries", "with 17 log entries", 1, "tlogEntries is not an array",
     _material(publicKey=DROP, certificate={"rawBytes": "AAAA"}, tlogEntries=[{}] * 17)),
    ("base64-with-a-line-break", "whose base64 has a line break", 1, "is not base64",
     _signature(lambda text: text[:40] + "\n" + text[40:])),
    ("base64-of-the-url-alphabet", "in the URL alphabet of base64", 1, "is not base64",
     _signature(lambda text: "-_" + text[2:])),
    ("base64-without-padding", "whose base64 lacks its padding", 1, "is not base64",
     _signature(lambda text: text.rstrip("="))),
    ("empty-signature", "with an empty signature", 1, "is empty", _signature(lambda _: "")),
    ("two-signatures", "with two signatures", 2, "has 2 signatures",
     lambda payload: bundle(payload, dsseEnvelope=envelope(payload, ("alice", "bob")))),
    ("no-signature", "with no signature", 2, "has 0 signatures",
     lambda payload: bundle(payload, dsseEnvelope=envelope(payload, ()))),
    ("payload-type", "of another payload type", 2, "payload has type",
     lambda payload: bundle(payload, dsseEnvelope=envelope(payload, kind="application/json"))),
    ("other-key", "by a key nobody trusts, with the hint of a trusted one", 3,
     "no trusted key made this signature",
     lambda payload: bundle(payload, dsseEnvelope=envelope(payload, ("mallory",)))),
    ("over-bare-payload", "whose signature is not over the DSSE encoding", 3,
     "no trusted key made this signature", _over_bare_payload),
    ("altered-payload", "whose statement was altered after signing", 3,
     "no trusted key made this signature", _altered),
    ("certificate", "signed by an identity where only keys are trusted", 3,
     "only keys are trusted", _material(publicKey=DROP, certificate={"rawBytes": "AAAA"})),
)  # fmt: skip

# (name, what it says otherwise, facts of the statement, its bytes)
STATEMENTS: tuple[tuple[str, str, dict[str, Any], Callable[[bytes], bytes] | None], ...] = (
    ("other-head", "another head", {"head": OTHER}, None),
    ("other-number", "another number", {"version": 2}, None),
    ("other-dataset", "another dataset", {"dataset": "birds"}, None),
    ("other-uid", "another uid", {"uid": OTHER_UID}, None),
    ("other-root", "another root", {"root": "blake3:" + "ab" * 32}, None),
    ("other-samples", "another number of samples", {"samples": 7}, None),
    ("not-canonical", "the same in another spelling", {},
     lambda payload: payload.replace(b",", b", ", 1)),
    ("more-predicate", "more than the head", {},
     lambda payload: payload.replace(b'"root"', b'"reviewed":true,"root"')),
    ("other-predicate-type", "the same under another predicate type", {},
     lambda payload: payload.replace(b"version/v1", b"version/v2")),
    ("two-subjects", "two subjects", {},
     lambda payload: payload.replace(b'"subject":[', b'"subject":[{"digest":{},"name":"x"},')),
)  # fmt: skip


def cases(kept: Kept) -> Iterator[Case]:
    for name, wrong, step, says, make in BUNDLES:
        yield one_version(
            kept, f"bundle-{name}", f"A bundle {wrong} does not count.", step, says,
            bundles=lambda payload, make=make: [make(payload)],
        )  # fmt: skip
    for name, other, facts, payload in STATEMENTS:
        yield one_version(
            kept, f"statement-{name}", f"A statement that says {other} does not count.", 5,
            "no signature is over the statement of pets@1", statement=facts, payload=payload,
        )  # fmt: skip
    yield one_version(
        kept, "unsigned", "A head without a bundle is no version.", 1, "has no signature",
        bundles=lambda _: [],
    )  # fmt: skip
    yield one_version(
        kept, "bundle-misnamed", "A bundle that is not the bytes of its name is passed over.", 1,
        "has no signature", bundles=lambda _: [], change=_misnamed,
    )  # fmt: skip
    yield one_version(
        kept, "bundle-too-large", "A bundle of more than 256 KiB is passed over.", 1,
        "has no signature", bundles=lambda _: [b"{" + b" " * (256 << 10)],
    )  # fmt: skip
    yield one_version(
        kept, "bundle-under-a-key-with-a-colon", "Digests in keys are written with a hyphen.", 1,
        "has no signature", change=lambda forge, _: _with_colons(forge, "signatures"),
    )  # fmt: skip
    yield one_version(
        kept, "head-under-a-key-with-a-colon", "Digests in keys are written with a hyphen.", 4,
        "there is no", change=lambda forge, head: _with_colons(forge, f"objects/{head[7:9]}"),
    )  # fmt: skip
    yield from _policies(kept)
    yield one_version(
        kept, "replayed-in-another-dataset",
        "A signed head of one dataset is no version of another, though its bundle goes with it.",
        5, "no signature is over the statement of birds@1", reference="birds@1", change=_replayed,
    )  # fmt: skip
    yield one_version(
        kept, "replayed-as-a-newer-number",
        "A signed head cannot be shown as a newer version than it is.",
        5, "no signature is over the statement of pets@2", reference="pets", change=_as_number_2,
    )  # fmt: skip
    yield one_version(
        kept, "named-by-digest-but-replaced",
        "A head whose number another head holds is no version, not even by its digest.",
        5, "does not belong to the head", reference="pets@{head}", change=_replaced,
    )  # fmt: skip


def _policies(kept: Kept) -> Iterator[Case]:
    def signed(name: str, claim: str, step: int, says: str, trust: Any, *signers: str) -> Case:
        return one_version(kept, name, claim, step, says, trust=trust, bundles=by(*signers))

    yield signed(
        "policy-empty", "An empty policy allows nothing.", 3, "no trusted key",
        {"format": "provreg.policy/v1"}, "alice",
    )  # fmt: skip
    yield signed(
        "policy-other-dataset", "A dataset no rule covers is refused.", 6, "no rule of the policy",
        policy("alice", datasets=("birds",)), "alice",
    )  # fmt: skip
    for name, pattern in (
        ("part", "et"), ("question-mark", "pets?"), ("question-mark-short", "???"),
        ("star-in-front", "*pet"), ("no-wildcard", "pet"),
    ):  # fmt: skip
        yield signed(
            f"policy-pattern-{name}", f"The pattern {pattern!r} does not cover pets.", 6,
            "no rule of the policy", policy("alice", datasets=(pattern,)), "alice",
        )  # fmt: skip
    for name, pattern in (("star", "p*t*s*"), ("question-mark", "?e?s")):
        yield one_version(
            kept, f"good-policy-pattern-{name}", f"The pattern {pattern!r} covers pets.",
            trust=policy("alice", datasets=("birds", pattern)),
        )  # fmt: skip
    outsider = policy("alice")
    outsider["principal"] += policy("bob")["principal"]
    yield signed(
        "policy-principal-outside-the-rule", "A known principal whom the rule does not name is"
        " not enough.", 6, "signed this version", outsider, "bob",
    )  # fmt: skip
    newer = policy("alice")
    newer["publish"][0]["minimum_version"] = 2
    yield signed(
        "policy-minimum-version", "A version below the policy's minimum is refused.", 6,
        "from version 2 on", newer, "alice",
    )  # fmt: skip
    yield signed(
        "threshold-missed", "One of two principals is not two.", 7, "signed by 1 of 2 needed",
        policy("alice", "bob", threshold=2), "alice",
    )  # fmt: skip
    reviewed = policy("alice")
    reviewed["principal"] += policy("bob")["principal"]
    reviewed["publish"][0]["countersigners"] = ["bob"]
    yield signed(
        "countersigner-alone", "A countersigner alone publishes nothing.", 7,
        "signed by 1 of 1 needed", reviewed, "bob",
    )  # fmt: skip
    two_keys = policy(threshold=2, alice=("alice", "alice-laptop"), bob=("bob",))
    yield signed(
        "threshold-two-keys-of-one", "Two keys of one principal are one principal.", 7,
        "signed by 1 of 2 needed", two_keys, "alice", "alice-laptop",
    )  # fmt: skip


def _misnamed(forge: Forge, head: str) -> None:
    statement = forge.facts["statement"].encode()
    forge.add_bundle("pets", head, bundle(statement), name=OTHER)


def _with_colons(forge: Forge, under: str) -> None:
    forge.files = {
        key.replace("sha256-", "sha256:") if under in key else key: data
        for key, data in forge.files.items()
    }


def _replayed(forge: Forge, head: str) -> None:
    forge.files[record_key("birds", 1)] = version_record(head, 1)
    forge.add_bundle("birds", head, bundle(forge.facts["statement"].encode()))


def _as_number_2(forge: Forge, head: str) -> None:
    forge.files[record_key("pets", 2)] = version_record(head, 2)


def _replaced(forge: Forge, head: str) -> None:
    rows = table(pets(split="train"))
    forge.version(rows, forge.parts("pets-train", rows))
