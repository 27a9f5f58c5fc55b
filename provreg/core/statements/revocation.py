"""Revocations of a version, or of samples of a dataset, that must no longer be used.

A registry has one numbered chain of revocations. Each has the digest of the previous one, so that
none can be removed from the middle unnoticed (docs/format/revocation.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal, TypeAlias

from provreg.core.encoding.canonical import parse_json
from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.names import name_complaint
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import counted, quoted
from provreg.core.encoding.times import format_time
from provreg.core.manifest.limits import LIMITS
from provreg.core.statements.statement import MAX_STATEMENT_BYTES, parse_about, statement_about
from provreg.errors import FormatError

REVOCATION_PREDICATE = "https://provreg/revocation/v1"
WITHDRAWAL_PREDICATE = "https://provreg/revocation/withdrawal/v1"
_KIND = "https://provreg/revocation/"
MAX_REVOCATION = 99_999_999
MAX_REASON_BYTES = 4096
# So many samples can be listed in one revocation: 320 MB of keys.
MAX_LISTED = 10_000_000
LIST_KEY_BYTES = 32
_MOST_CRITERIA = 16
_MAX_CRITERION_BYTES = 512
Origin: TypeAlias = Literal["source", "labeler"]


@dataclass(frozen=True, slots=True)
class RevocationLink:
    """A reference to a revocation: its number and the written SHA-256 of its statement."""

    number: int
    digest: str


@dataclass(frozen=True, slots=True)
class NamedSamples:
    """The samples of `source`, or with labels of `labeler`, from version `since` on.

    With both, those that are of both. What comes later under these names is meant, too.
    """

    source: str | None = None
    labeler: str | None = None
    since: int = 1

    @property
    def names(self) -> dict[Origin, str]:
        """The names, by what they are of."""
        both: dict[Origin, str | None] = {"source": self.source, "labeler": self.labeler}
        return {by: name for by, name in both.items() if name is not None}

    def __str__(self) -> str:
        words = {"source": "from", "labeler": "labeled by"}
        of = " and ".join(f"{words[by]} {name}" for by, name in self.names.items())
        later = f" since version {self.since}" if self.since > 1 else ""
        return f"samples {of}{later}"


@dataclass(frozen=True, slots=True)
class KeyList:
    """An object of so many keys (`core.manifest.leaf.sample_keys`), by its written BLAKE3."""

    digest: str
    count: int


@dataclass(frozen=True, slots=True)
class ListedSamples:
    """Samples that are listed one by one, in objects of the registry.

    Those of `contents` are meant by id and bytes, those of `labels` by id, bytes and label.
    `criteria` say in words why these: nothing is concluded from them.
    """

    contents: KeyList | None
    labels: KeyList | None
    criteria: Mapping[str, str]
    since: ClassVar[int] = 1

    @property
    def lists(self) -> dict[Origin, KeyList]:
        """The lists, by who answers for them: a source for bytes, a labeler for labels."""
        both: dict[Origin, KeyList | None] = {"source": self.contents, "labeler": self.labels}
        return {by: keys for by, keys in both.items() if keys is not None}

    def __str__(self) -> str:
        count = counted(sum(keys.count for keys in self.lists.values()), "listed sample")
        criteria = ", ".join(f"{name} {value}" for name, value in self.criteria.items())
        return f"{count} ({criteria})" if criteria else count


RevokedSamples: TypeAlias = NamedSamples | ListedSamples


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revocation of `version` with `head`, or of `samples`; or the withdrawal of one.

    Samples are revoked in every version of the dataset from `samples.since` on; `version` is then
    the one in which the signer saw them. `previous` is None if the signer knew of no revocation.
    `withdraws` is the revocation that ends by this, which is of the same dataset and version.
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
    withdraws: RevocationLink | None = None

    def __repr__(self) -> str:
        return f"Revocation({self.number}, {quoted(self.what)}, {quoted(self.reason)})"

    @property
    def what(self) -> str:
        """The revoked version or samples, or the withdrawn revocation, in words."""
        if self.withdraws is not None:
            return f"{self.dataset}: withdrawal of revocation {self.withdraws.number}"
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
    """Reads a revocation or a withdrawal. Raises FormatError for anything else."""
    is_withdrawal = _kind_of(data) == WITHDRAWAL_PREDICATE
    kind = WITHDRAWAL_PREDICATE if is_withdrawal else REVOCATION_PREDICATE
    about = parse_about(data, kind, "the revocation")
    facts = about.facts
    previous = facts.optional_object("previous")
    samples = None if is_withdrawal else facts.optional_object("samples")
    withdraws = read_link(facts.object("withdraws")) if is_withdrawal else None
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
        withdraws=withdraws,
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
    if withdraws is not None and withdraws.number >= revocation.number:
        raise FormatError("the revocation withdraws one that is not before it")
    return revocation


def is_revocation_claim(statement: bytes) -> bool:
    """Whether `statement` is a revocation in any version of the format, even an unknown version.

    Anyone with write access can copy other statements by these signers into a revocation's place.
    """
    return _kind_of(statement).startswith(_KIND)


def _kind_of(statement: bytes) -> str:
    """The predicate type that `statement` claims, empty if it claims none."""
    try:
        document = parse_json(statement, what="the statement", limit=MAX_STATEMENT_BYTES)
    except FormatError:
        return ""
    kind = document.get("predicateType") if isinstance(document, dict) else None
    return kind if isinstance(kind, str) else ""


def read_link(fields: Fields) -> RevocationLink:
    """A reference to a revocation in a document."""
    link = RevocationLink(
        fields.integer("number", minimum=1, maximum=MAX_REVOCATION),
        fields.digest("digest", "sha256"),
    )
    fields.done()
    return link


def _encode(revocation: Revocation) -> bytes:
    facts: dict[str, Any] = {
        "created": format_time(revocation.created),
        "number": revocation.number,
        "previous": None if revocation.previous is None else asdict(revocation.previous),
        "reason": revocation.reason,
    }
    if revocation.withdraws is not None:
        facts["withdraws"] = asdict(revocation.withdraws)
    else:
        samples = revocation.samples
        facts["samples"] = None if samples is None else samples_document(samples)
    return statement_about(
        REVOCATION_PREDICATE if revocation.withdraws is None else WITHDRAWAL_PREDICATE,
        revocation.dataset,
        revocation.version,
        revocation.head,
        revocation.uid,
        facts,
    )


def samples_document(samples: RevokedSamples) -> dict[str, Any]:
    """What a statement says of `samples`."""
    if isinstance(samples, ListedSamples):
        return asdict(samples)
    names = samples.names
    if len(names) == 1:
        ((by, name),) = names.items()
        return {"by": by, "name": name, "since": samples.since}
    return {"source": samples.source, "labeler": samples.labeler, "since": samples.since}


def _read_samples(fields: Fields) -> RevokedSamples:
    if fields.has("criteria"):
        return _read_listed(fields)
    names: dict[str, str] = {}
    if fields.has("by"):
        names = {fields.text("by", pattern="source|labeler"): fields.text("name")}
    else:
        names = {by: fields.text(by) for by in ("source", "labeler")}
    for by, name in names.items():
        if len(name.encode()) > LIMITS[by]:
            raise fields.wrong(by, f"is longer than {LIMITS[by]} bytes")
        complaint = name_complaint(name) if name else "is empty"
        if complaint is not None:
            raise fields.wrong(by, complaint)
    since = fields.integer("since", minimum=1, maximum=MAX_REVOCATION)
    fields.done()
    return NamedSamples(names.get("source"), names.get("labeler"), since)


def _read_listed(fields: Fields) -> ListedSamples:
    contents, labels = (_read_keys(fields.optional_object(name)) for name in ("contents", "labels"))
    criteria = fields.object("criteria").texts_by_name(
        limit=_MOST_CRITERIA, size=_MAX_CRITERION_BYTES
    )
    fields.done()
    if contents is None and labels is None:
        raise fields.wrong("contents", "and labels are both null")
    return ListedSamples(contents, labels, criteria)


def _read_keys(fields: Fields | None) -> KeyList | None:
    if fields is None:
        return None
    keys = KeyList(
        fields.digest("digest", "blake3"),
        fields.integer("count", minimum=1, maximum=MAX_LISTED),
    )
    fields.done()
    return keys
