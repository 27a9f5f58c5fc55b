"""Acceptances: statements that somebody looked at a finding and has nothing against its samples.

An acceptance is of exactly what was found: the check, its group and severity, the number that was
found and the digest of the samples (docs/format/acceptance.md). One more sample is a new finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from blake3 import blake3

from provreg.core.encoding.canonical import canonical
from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import quoted
from provreg.core.encoding.times import format_time
from provreg.core.statements.revocation import MAX_REASON_BYTES
from provreg.core.statements.statement import parse_about, statement_about
from provreg.errors import FormatError

ACCEPTANCE_PREDICATE = "https://provreg/acceptance/v1"
SAMPLES_CONTEXT = "provreg 2026-12-01 v1 accepted samples"
_CHECK = "[!-~]{1,256}"
_MAX_GROUP = 8
_MAX_GROUP_BYTES = 4096


def samples_digest(leaves: Iterable[bytes]) -> str:
    """The written digest of samples: their leaves (32 bytes each), ascending by id."""
    hasher = blake3(derive_key_context=SAMPLES_CONTEXT)
    for leaf in leaves:
        hasher.update(leaf)
    return "blake3:" + hasher.hexdigest()


@dataclass(frozen=True, slots=True)
class FoundSamples:
    """What a check found, as an acceptance names it.

    `group` is what the samples have in common, `count` the number that the finding gives, `samples`
    the `samples_digest` of those that the screened version has.
    """

    check: str
    severity: str
    group: Mapping[str, str]
    count: int
    samples: str

    def digest(self) -> str:
        """The written SHA-256 by which people name the finding."""
        return sha256_digest(canonical(asdict(self)))


@dataclass(frozen=True, slots=True)
class Acceptance:
    """That what was `found` in `version` with `head` was looked at, and is in order."""

    dataset: str
    uid: str
    version: int
    head: str
    found: FoundSamples
    reason: str
    created: datetime

    def __repr__(self) -> str:
        of = f"{self.found.check} in {self.dataset}@{self.version}"
        return f"Acceptance({of}, {quoted(self.reason)})"

    def statement(self) -> bytes:
        """The signed bytes: canonical JSON. Raises FormatError for invalid fields."""
        data = _encode(self)
        parse_acceptance(data)
        return data


def parse_acceptance(data: bytes) -> Acceptance:
    """Reads an acceptance. Raises FormatError for anything else."""
    about = parse_about(data, ACCEPTANCE_PREDICATE, "the acceptance")
    facts = about.facts
    acceptance = Acceptance(
        dataset=about.dataset,
        uid=about.uid,
        version=about.version,
        head=about.head,
        found=_read_found(facts.object("found")),
        reason=facts.text("reason", limit=MAX_REASON_BYTES),
        created=facts.time("created"),
    )
    facts.done()
    if _encode(acceptance) != data:
        raise FormatError("the acceptance is not in canonical form")
    if not acceptance.reason.strip():
        raise FormatError("the acceptance has no reason")
    return acceptance


def _read_found(fields: Fields) -> FoundSamples:
    group = fields.object("group").texts_by_name(limit=_MAX_GROUP, size=_MAX_GROUP_BYTES)
    if not group:
        raise fields.wrong("group", "is empty")
    found = FoundSamples(
        check=fields.text("check", pattern=_CHECK),
        severity=fields.text("severity", pattern="warning|error"),
        group=group,
        count=fields.integer("count", minimum=1),
        samples=fields.digest("samples", "blake3"),
    )
    fields.done()
    return found


def _encode(acceptance: Acceptance) -> bytes:
    facts = {
        "created": format_time(acceptance.created),
        "found": asdict(acceptance.found),
        "reason": acceptance.reason,
    }
    return statement_about(
        ACCEPTANCE_PREDICATE,
        acceptance.dataset,
        acceptance.version,
        acceptance.head,
        acceptance.uid,
        facts,
    )
