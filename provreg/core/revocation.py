"""Revocations: a version, or samples of a dataset, that are not to be used any more.

A registry has one numbered chain of them; each names the one before it by digest, so that none can
be left out of the middle unnoticed (docs/format/revocation.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.canonical import parse_json
from provreg.core.change import Mask, Rows, plain, take_entries, unequal, whole
from provreg.core.digest import sha256_digest
from provreg.core.document import Fields, written_time
from provreg.core.entry import LIMITS
from provreg.core.statement import MAX_STATEMENT_BYTES, parse_about, statement_about
from provreg.errors import FormatError

REVOCATION_PREDICATE = "https://provreg/revocation/v1"
_KIND = "https://provreg/revocation/"
MAX_REVOCATION = 99_999_999
MAX_REASON_BYTES = 4096

# What makes a sample the same one, of which a source or a labeler has said no more since.
_BROUGHT: Mapping[str, tuple[str, ...]] = {
    "source": ("content", "source"),
    "labeler": ("content", "label", "label_digest", "labeler"),
}


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


def revoked_mask(
    entries: pa.Table,
    revoked: Sequence[RevokedSamples],
    version: int,
    before: Mapping[int, pa.Table | None],
) -> Mask:
    """Which of `entries`, those of version `version`, are revoked: one bool each, in their order.

    `before` has, for each `since` above 1, the entries of the newest version on the line that is
    numbered lower, None where there is none. A sample that stood there already, with the same
    bytes from the same source (or the same label by the same labeler), is not of the revoked time.
    """
    mask = np.zeros(entries.num_rows, np.bool_)
    for one in revoked:
        if version < one.since:
            continue
        named = pc.fill_null(pc.equal(plain(entries.column(one.by)), one.name), False)
        rows = np.flatnonzero(named.to_numpy(zero_copy_only=False))
        earlier = before.get(one.since) if one.since > 1 else None
        if earlier is not None and len(rows):
            rows = rows[~_stood(entries, earlier, rows, _BROUGHT[one.by])]
        mask[rows] = True
    return mask


def _stood(entries: pa.Table, earlier: pa.Table, rows: Rows, columns: Sequence[str]) -> Mask:
    """Which of `rows` of `entries` stand in `earlier` under the same id, equal in `columns`."""
    ids = pc.take(entries.column("id"), pa.array(rows))
    found = pc.index_in(ids, value_set=whole(earlier.column("id")))
    places = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    there = places >= 0
    old = take_entries(earlier.select(columns), places[there])
    new = take_entries(entries.select(columns), rows[there])
    differ = np.zeros(np.count_nonzero(there), np.bool_)
    for name in columns:
        differ |= unequal(old.column(name), new.column(name))
    stood = np.zeros(len(rows), np.bool_)
    stood[there] = ~differ
    return stood


def _encoded(one: Revocation) -> bytes:
    facts = {
        "created": written_time(one.created),
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
    if not samples.name:
        raise fields.wrong("name", "is empty")
    return samples
