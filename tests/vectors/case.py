"""One vector: a registry, a consumer, and what verification must say."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from forge import Forge, Kept, pets, table
from signing import BY_ALICE, Bundles, policy

from provreg.core.encoding.canonical import parse_canonical
from provreg.errors import FormatError


@dataclass(frozen=True)
class Case:
    """`step` and `says`: the step that must refuse and a stable part of its message.

    Without them the version must verify, and have the `facts`. `data` are files by path, checked
    too (step 12); `seen` and `pin` are what the consumer knows already.
    """

    name: str
    claim: str
    registry: Mapping[str, bytes]
    step: int | None = None
    says: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    reference: str = "pets@1"
    policy: Mapping[str, Any] = field(default_factory=lambda: policy("alice"))
    seen: Mapping[str, Any] | None = None
    pin: Mapping[str, Any] | None = None
    data: Mapping[str, str] | None = None
    findings: tuple[tuple[str, str], ...] = ()

    def to_bytes(self, kept: Kept) -> bytes:
        """The vector as it is stored."""
        names = {data: f"parts/{name}.parquet" for name, data in kept.files.items()}
        expect: dict[str, Any] = {"accepted": dict(self.facts)}
        if self.step is not None:
            expect = {"refused": {"step": self.step, "says": self.says}}
            if self.findings:
                expect["refused"]["findings"] = [list(finding) for finding in self.findings]
        registry = {key: _stored(data, names) for key, data in sorted(self.registry.items())}
        said = {
            "claim": self.claim,
            "reference": self.reference,
            "expect": expect,
            # Most vectors trust alice alone; README.md says so.
            "policy": None if self.policy == policy("alice") else self.policy,
            "seen": self.seen,
            "pin": self.pin,
            "data": self.data,
        }
        fields = [
            f"{_json(name)}:{_json(value)}" for name, value in said.items() if value is not None
        ]
        keys = ",\n".join(f" {_json(key)}:{_json(value)}" for key, value in registry.items())
        return ("{" + ",\n".join(fields) + ',\n"registry":{\n' + keys + "\n}}\n").encode()


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _stored(data: bytes, names: Mapping[bytes, str]) -> dict[str, Any]:
    """How a vector writes bytes: the shortest of the ways that `README.md` lists."""
    if data in names:
        return {"file": names[data]}
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
    blanks = len(text) - len(text.rstrip(" "))
    if blanks > 100:
        return {"text": text.rstrip(" "), "blanks": blanks}
    try:
        return {"json": parse_canonical(data, what="stored", limit=len(data))}
    except FormatError:
        return {"text": text}


def one_version(
    kept: Kept,
    name: str,
    claim: str,
    step: int | None = None,
    says: str = "",
    *,
    reference: str = "pets@1",
    trust: Mapping[str, Any] | None = None,
    bundles: Bundles = BY_ALICE,
    change: Callable[[Forge, str], None] | None = None,
    **version: Any,
) -> Case:
    """The six pets as version 1, one thing about it as `version` says; `change` comes last."""
    forge = Forge(kept)
    rows = table(pets())
    digest = forge.version(rows, forge.parts("pets", rows), bundles=bundles, **version)
    if change is not None:
        change(forge, digest)
    facts = forge.facts if step is None else {}
    named = reference.format(head=digest)
    return Case(name, claim, forge.files, step, says, facts, named, trust or policy("alice"))
