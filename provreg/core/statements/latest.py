"""*Latest* statements: which version of a dataset is the newest, and how long that is valid.

A registry cannot hide a version or revocation from a user who requires such a statement, if the
statement was signed later (docs/format/latest.md).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from provreg.core.encoding.times import format_time
from provreg.core.statements.revocation import RevocationLink, read_link
from provreg.core.statements.statement import parse_about, statement_about
from provreg.errors import FormatError

LATEST_PREDICATE = "https://provreg/latest/v1"


@dataclass(frozen=True, slots=True)
class Latest:
    """That `version`, with `head`, was the newest version of a dataset at `as_of`.

    `revocation` was then the newest revocation that the signer's policy counts, None if there was
    nlatest. The statement is valid until `expires`.
    """

    dataset: str
    uid: str
    version: int
    head: str
    revocation: RevocationLink | None
    as_of: datetime
    expires: datetime

    def statement(self) -> bytes:
        """The signed bytes: canonical JSON. Raises FormatError for invalid fields."""
        data = _encode(self)
        parse_latest(data)
        return data


def parse_latest(data: bytes) -> Latest:
    """Reads a *latest* statement. Raises FormatError for anything else."""
    about = parse_about(data, LATEST_PREDICATE, "the latest statement")
    facts = about.facts
    revocation = facts.optional_object("revocation")
    latest = Latest(
        dataset=about.dataset,
        uid=about.uid,
        version=about.version,
        head=about.head,
        revocation=None if revocation is None else read_link(revocation),
        as_of=facts.time("as_of"),
        expires=facts.time("expires"),
    )
    facts.done()
    if _encode(latest) != data:
        raise FormatError("the latest statement is not in canonical form")
    if latest.expires <= latest.as_of:
        raise FormatError("the latest statement expires before it was made")
    return latest


def _encode(latest: Latest) -> bytes:
    facts = {
        "as_of": format_time(latest.as_of),
        "expires": format_time(latest.expires),
        "revocation": None if latest.revocation is None else asdict(latest.revocation),
    }
    return statement_about(
        LATEST_PREDICATE, latest.dataset, latest.version, latest.head, latest.uid, facts
    )
