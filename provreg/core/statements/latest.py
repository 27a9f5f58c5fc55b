"""*Latest* statements: which version of a dataset is the newest, and until when that can be said.

A registry cannot hide what was published or revoked before such a statement was signed from
somebody who asks for one (docs/format/latest.md).
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

    `revocation` was then the newest one in the registry that its signer counts, None if none was.
    After `expires` it says nothing any more.
    """

    dataset: str
    uid: str
    version: int
    head: str
    revocation: RevocationLink | None
    as_of: datetime
    expires: datetime

    def statement(self) -> bytes:
        """What is signed: canonical JSON. Raises FormatError for what none may hold."""
        data = _encoded(self)
        parse_latest(data)
        return data


def parse_latest(data: bytes) -> Latest:
    """Reads a signed statement that says to be a *latest*; raises FormatError for anything else."""
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
    if _encoded(latest) != data:
        raise FormatError("the latest statement is not as its facts are written")
    if latest.expires <= latest.as_of:
        raise FormatError("the latest statement expires before it begins")
    return latest


def _encoded(one: Latest) -> bytes:
    facts = {
        "as_of": format_time(one.as_of),
        "expires": format_time(one.expires),
        "revocation": None if one.revocation is None else asdict(one.revocation),
    }
    return statement_about(LATEST_PREDICATE, one.dataset, one.version, one.head, one.uid, facts)
