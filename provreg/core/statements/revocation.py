"""Revocations of a version, or of samples of a dataset, that must no longer be used.

A registry has one numbered chain of revocations. Each has the digest of the previous one, so that
none can be removed from the middle unnoticed (docs/format/revocation.md).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from provreg.core.encoding.canonical import parse_json
from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.names import name_complaint
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import quoted
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
    """A reference to a revocation: its number and the written SHA-256 of its statement."""

    number: int
    digest: str


@dataclass(frozen=True, slots=True)
class RevokedSamples:
    """The samples of a source, or with labels of a labeler, from version `since` on."""

    by: Literal["source", "labeler"]
    name: str
    since: int = 1

    def __str__(self) -> str:
        of = "from" if self.by == "source" else "labeled by"
        later = f" since version {self.since}" if self.since > 1 else ""
        return f"samples {of} {self.name}{later}"


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revocation of `version` with `head`, or of `samples`.

    Samples are revoked in every version of the dataset from `samples.since` on; `version` is then
    the one in which the signer saw them. `previous` is None if the signer knew of no revocation.
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

    def __repr__(self) -> str:
        return f"Revocation({self.number}, {quoted(self.what)}, {quoted(self.reason)})"

    @property
    def what(self) -> str:
        """The revoked version or samples, in words."""
        if self.samples is None:
            return f"{self.dataset}@{self.version}"
        return f"{self.dataset}: {self.samples}"

    def statement(self) -> bytes:
        """The signed bytes: canonical JSON. Raises FormatError for invalid fields."""
        data = _encode(self)
        parse_revocation(data)
        return data

    def digest(self) -> str:
        """The written SHA-256 of the statement."""
        return sha256_digest(self.statement())


def parse_revocation(data: bytes) -> Revocation:
    """Reads a revocation. Raises FormatError for anything else."""
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
    if _encode(revocation) != data:
        raise FormatError("the revocation is not in canonical form")
    if not revocation.reason.strip():
        raise FormatError("the revocation has no reason")
    if revocation.previous is not None and revocation.previous.number >= revocation.number:
        raise FormatError(
            "the revocation's number is not higher than that of its previous revocation"
        )
    return revocation


def is_revocation_claim(statement: bytes) -> bool:
    """Whether `statement` is a revocation in any version of the format, even an unknown version.

    Anyone with write access can copy other statements by these signers into a revocation's place.
    """
    try:
        document = parse_json(statement, what="the statement", limit=MAX_STATEMENT_BYTES)
    except FormatError:
        return False
    kind = document.get("predicateType") if isinstance(document, dict) else None
    return isinstance(kind, str) and kind.startswith(_KIND)


def read_link(fields: Fields) -> RevocationLink:
    """A reference to a revocation in a document."""
    link = RevocationLink(
        fields.integer("number", minimum=1, maximum=MAX_REVOCATION),
        fields.digest("digest", "sha256"),
    )
    fields.done()
    return link


def _encode(revocation: Revocation) -> bytes:
    facts = {
        "created": format_time(revocation.created),
        "number": revocation.number,
        "previous": None if revocation.previous is None else asdict(revocation.previous),
        "reason": revocation.reason,
        "samples": None if revocation.samples is None else asdict(revocation.samples),
    }
    return statement_about(
        REVOCATION_PREDICATE,
        revocation.dataset,
        revocation.version,
        revocation.head,
        revocation.uid,
        facts,
    )


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
