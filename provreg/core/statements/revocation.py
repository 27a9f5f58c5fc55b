"""Revocations: a version, or samples of a dataset, that are not to be used any more.

A registry has one numbered chain of them; each names the one before it by digest, so that none can
be left out of the middle unnoticed (docs/format/revocation.md).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from provreg.core.encoding.canonical import parse_json
from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.names import name_complaint
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.times import format_time
from provreg.core.manifest.limits import LIMITS
from provreg.core.statements.statement import MAX_STATEMENT_BYTES, parse_about, statement_about
from provreg.errors import FormatError

REVOCATION_PREDICATE = "https://provreg/revocation/v1"
_KIND = "https://provreg/revocation/"
MAX_REVOCATION = 99_999_999
MAX_REASON_BYTES = 4096


@dataclass(frozen=True, slots=True)
class RevocationLink:
    """A revocation as others name it: its number and the written SHA-256 of its statement."""

    number: int
    digest: str


@dataclass(frozen=True, slots=True)
class RevokedSamples:
    """The samples that a source brought or a labeler labeled, in version `since` or later."""

    by: Literal["source", "labeler"]
    name: str
    since: int = 1

    def __str__(self) -> str:
        of = "from" if self.by == "source" else "labeled by"
        later = f" since version {self.since}" if self.since > 1 else ""
        return f"samples {of} {self.name}{later}"


@dataclass(frozen=True, slots=True)
class Revocation:
    """One revocation. Without `samples` it is of the version `version` with that `head`.

    With them that is only the version in which its signer saw them; it holds for every version of
    the dataset from `samples.since` on. `previous` is None where the signer knew of none before.
    """

    number: int
    previous: RevocationLink | None
    dataset: str
    uid: str
    version: int
    head: str
    samples: RevokedSamples | None
    reason: str
    created: datetime

    @property
    def what(self) -> str:
        """What is revoked, in words."""
        if self.samples is None:
            return f"{self.dataset}@{self.version}"
        return f"{self.dataset}: {self.samples}"

    def statement(self) -> bytes:
        """What is signed: canonical JSON. Raises FormatError for what no revocation may hold."""
        data = _encoded(self)
        parse_revocation(data)
        return data

    def digest(self) -> str:
        """The written SHA-256 of the statement."""
        return sha256_digest(self.statement())


def parse_revocation(data: bytes) -> Revocation:
    """Reads a signed statement that says to be a revocation; FormatError for anything else."""
    about = parse_about(data, REVOCATION_PREDICATE, "the revocation")
    facts = about.facts
    previous, samples = facts.optional_object("previous"), facts.optional_object("samples")
    revocation = Revocation(
        number=facts.integer("number", minimum=1, maximum=MAX_REVOCATION),
        previous=None if previous is None else read_link(previous),
        dataset=about.dataset,
        uid=about.uid,
        version=about.version,
        head=about.head,
        samples=None if samples is None else _read_samples(samples),
        reason=facts.text("reason", limit=MAX_REASON_BYTES),
        created=facts.time("created"),
    )
    facts.done()
    if _encoded(revocation) != data:
        raise FormatError("the revocation is not as its facts are written")
    if not revocation.reason.strip():
        raise FormatError("the revocation gives no reason")
    if revocation.previous is not None and revocation.previous.number >= revocation.number:
        raise FormatError("the revocation does not come after the one that it continues")
    return revocation


def claims_to_revoke(statement: bytes) -> bool:
    """Whether `statement` is a revocation of some version of the format, readable here or not.

    Other statements by whom may revoke can be copied into a revocation's place by anybody.
    """
    try:
        document = parse_json(statement, what="the statement", limit=MAX_STATEMENT_BYTES)
    except FormatError:
        return False
    kind = document.get("predicateType") if isinstance(document, dict) else None
    return isinstance(kind, str) and kind.startswith(_KIND)


def read_link(fields: Fields) -> RevocationLink:
    """The number and digest by which a document names a revocation."""
    link = RevocationLink(
        fields.integer("number", minimum=1, maximum=MAX_REVOCATION),
        fields.digest("digest", "sha256"),
    )
    fields.done()
    return link


def _encoded(one: Revocation) -> bytes:
    facts = {
        "created": format_time(one.created),
        "number": one.number,
        "previous": None if one.previous is None else asdict(one.previous),
        "reason": one.reason,
        "samples": None if one.samples is None else asdict(one.samples),
    }
    return statement_about(REVOCATION_PREDICATE, one.dataset, one.version, one.head, one.uid, facts)


def _read_samples(fields: Fields) -> RevokedSamples:
    by = fields.text("by", pattern="source|labeler")
    samples = RevokedSamples(
        "source" if by == "source" else "labeler",
        fields.text("name", limit=LIMITS[by]),
        fields.integer("since", minimum=1, maximum=MAX_REVOCATION),
    )
    fields.done()
    complaint = name_complaint(samples.name) if samples.name else "is empty"
    if complaint is not None:
        raise fields.wrong("name", complaint)
    return samples
