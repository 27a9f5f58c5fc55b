"""What the second reader (`second_reader.py`) takes from docs/format/verification.md.

Steps 1 to 11: signatures by keys under a policy of principals, what was revoked, seen, pinned and
attested. Of certificates, of timestamps and of the limits of a policy it says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from second_conventions import Refused, fetch, parse, refuse_unless
from second_reader import SHA256, fields, read_head, read_version, statement, text
from second_signing import (
    RefusedAt,
    at,
    bundles,
    fingerprint,
    met,
    moment,
    rule_of,
    signers,
)
from second_standing import Knowledge, check_history, check_standing


def record(registry: Mapping[str, bytes], dataset: str, number: int) -> str:
    data = registry.get(f"datasets/{dataset}/versions/{number:08d}.json", b"")
    found = parse(data, 1024)
    fields(found, head=SHA256, nonce=text(32, "[0-9a-f]{32}"))
    head: str = found["head"]
    return head


def decide(
    registry: Mapping[str, bytes],
    reference: str,
    policy: Mapping[str, Any],
    *,
    seen: Mapping[str, Any] | None = None,
    pin: Mapping[str, Any] | None = None,
) -> None:
    """Raises RefusedAt for a version that one of the steps refuses; step 0: there is none."""
    known = Knowledge(datetime.now(UTC), seen, pin)
    dataset, _, selector = reference.partition("@")
    prefix = f"datasets/{dataset}/versions/"
    taken = {int(key[-13:-5]) for key in registry
             if re.fullmatch(re.escape(prefix) + r"[0-9]{8}\.json", key)} - {0}  # fmt: skip
    number: int | None = None
    if not selector and (pin or {}).get("exact"):
        selector = str((pin or {})["version"])
    if selector.startswith("sha256:"):
        head_digest = selector
        proposed = [key for key in registry if key.startswith(f"datasets/{dataset}/proposals/")]
        if not taken and not proposed:
            raise RefusedAt(0, "no such dataset")
    else:
        number = int(selector) if selector.isdecimal() else max(taken, default=0)
        if number not in taken:
            raise RefusedAt(0, "no such version")
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
    count(policy, head, head_digest, same, known)
    chain, newest = check_standing(registry, policy, known, head, head_digest)
    check_history(registry, policy, known, selector, head, head_digest, chain, newest)
    for part in head["parts"]:
        data = at(10, lambda part=part: fetch(registry, part["file"], part["size"]))
        at(10, lambda part=part, data=data: refuse_unless(len(data) == part["size"], "size"))
    at(11, lambda: read_version(registry, dataset, number))


def signatures(
    registry: Mapping[str, bytes], dataset: str, head: str, policy: Mapping[str, Any]
) -> list[tuple[str, bytes]]:
    """(key, payload) of every bundle over a head that passes steps 1 to 3."""
    prefix = f"datasets/{dataset}/signatures/{head.replace(':', '-')}/"
    failed, made = [RefusedAt(1, "no signature")], []
    for data in bundles(registry, prefix):
        try:
            made.append(signers(policy, data))
        except RefusedAt as refused:
            failed.append(refused)
    if not made:
        raise max(failed, key=lambda refused: refused.step)
    return made


def count(
    policy: Mapping[str, Any],
    head: Mapping[str, Any],
    head_digest: str,
    keys: list[str],
    known: Knowledge,
) -> None:
    """Steps 6 and 7, and of step 8 what the policy says of keys that ended and of age."""
    rule = rule_of(policy, "publish", head["dataset"])
    if rule is None or head["version"] < rule.get("minimum_version", 1):
        raise RefusedAt(6, "no rule")
    version = known.of(head["uid"]).get("versions", {}).get(str(head["version"]), {})
    saw = version["seen"].get(known.trust, {}) if version.get("head") == head_digest else {}
    pin = known.pin or {}
    is_pinned = (pin.get("uid"), pin.get("head")) == (head["uid"], head_digest)
    pinned = pin.get("at") if is_pinned else None

    def seen(pem: str) -> datetime | None:
        signer = fingerprint(pem)
        vouched = pin.get("seen", {}).get(signer) if is_pinned else None
        times = [when for when in (saw.get(signer), vouched, pinned) if when is not None]
        return min(map(moment, times), default=None)

    created = moment(head["created"])
    stands = met(policy, rule, keys, now=known.now, created=created)
    if stands == "late":
        stands = met(policy, rule, keys, now=known.now, created=created, seen=seen)
    step = {"met": None, "late": 8, "few": 7, "nobody": 6}[stands]
    if step is not None:
        raise RefusedAt(step, stands)
