"""Signing *latest* statements (docs/format/latest.md): what `flows.verify.freshness` reads.

One is one key with its bundle: killed before it was created, nothing is attested. What has expired
says nothing to anybody and is tidied away.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.names import Reference
from provreg.core.statements.latest import Latest, parse_latest
from provreg.errors import FormatError, NotFoundError, NotTrustedError, StorageError, UsageError
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.freshness import Freshness, read_freshness
from provreg.flows.verify.steps import VerifiedVersion, verify
from provreg.trust.bundle import parse_bundle
from provreg.trust.signers import Signer

LONGEST = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class SignedLatest:
    """A *latest* statement that was signed, and what counts now under the policy in force."""

    latest: Latest
    freshness: Freshness

    @property
    def counts(self) -> bool:
        return any(attested.latest == self.latest for attested in self.freshness.attested)


def latest_of(
    workspace: Workspace, dataset: str, trust: Trust
) -> tuple[VerifiedVersion, Freshness]:
    """The newest version, verified but for its freshness, and what attests that it is the newest.

    Raises as `flows.verify.steps.verify`.
    """
    version = verify(workspace, Reference(dataset), trust, allow_stale=True)
    return version, read_freshness(workspace, dataset, version.head.uid, trust)


def sign_latest(
    workspace: Workspace, dataset: str, signer: Signer, trust: Trust, *, valid: timedelta
) -> SignedLatest:
    """Attests that the newest version, once verified, and the newest revocation are what they are.

    Where others attest the very same and the rule wants more of them, their statement is signed.
    Raises UsageError unless `valid` is up to ten years, as `verify` and `Signer.sign`, and
    StorageError; nothing is then attested.
    """
    if not timedelta(0) < valid <= LONGEST:
        raise UsageError(
            f"a latest statement is valid for at most {LONGEST.days} days",
            hint="short is better: until it expires, a registry can hide what is newer",
        )
    version, freshness = latest_of(workspace, dataset, trust)
    now = datetime.now(UTC).replace(microsecond=0)
    latest = Latest(
        dataset=dataset,
        uid=version.head.uid,
        version=version.head.version,
        head=version.digest,
        revocation=version.chain.newest,
        as_of=now,
        expires=now + valid,
    )
    for pending in freshness.pending:
        latest_pending = pending.latest
        if (
            replace(latest, as_of=latest_pending.as_of, expires=latest_pending.expires)
            == latest_pending
        ):
            latest = latest_pending
    statement = latest.statement()
    workspace.latest.add(sha256_digest(statement), signer.sign(statement), dataset)
    _tidy(workspace, dataset, now)
    return SignedLatest(latest, read_freshness(workspace, dataset, latest.uid, trust))


def _tidy(workspace: Workspace, dataset: str, now: datetime) -> None:
    """Removes expired statements of all signers, where storage allows it."""
    for digest in workspace.latest.digests(dataset):
        for name, data in workspace.latest.bundles(digest, dataset):
            with suppress(NotTrustedError, FormatError, NotFoundError, StorageError):
                if parse_latest(parse_bundle(data).payload).expires <= now:
                    workspace.latest.remove(digest, name, dataset)
