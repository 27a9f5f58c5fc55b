"""Freshness: the *latest* statements that count, and what they attest (steps 8 and 9).

Who asks for one cannot be kept at an old version: what it attests, the registry must have. Nobody
but whom a [[freshness]] rule names can make one count; all others are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from provreg.core.encoding.times import format_duration
from provreg.core.manifest.head import Head
from provreg.core.policy.counting import count_principals
from provreg.core.policy.policy import FreshnessRule, Signature
from provreg.core.statements.latest import Latest, parse_latest
from provreg.errors import FormatError, NotTrustedError
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.signatures import check_bundles, over_digest

# Clocks differ: what was signed a moment ago is not from the future.
_SKEW = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Attested:
    """A *latest* statement that counts, with each principal's signature."""

    latest: Latest
    approvals: tuple[tuple[str, Signature], ...]

    def __str__(self) -> str:
        by = ", ".join(name for name, _ in self.approvals)
        latest = self.latest
        return f"version {latest.version} by {by} at {latest.as_of:%Y-%m-%d %H:%M:%SZ}"


@dataclass(frozen=True, slots=True)
class Freshness:
    """What counts under one policy, the newest first, and why the rest does not.

    `pending` are those of the rest that lack nothing but more signatures.
    """

    attested: tuple[Attested, ...] = ()
    pending: tuple[Attested, ...] = ()
    passed_over: tuple[str, ...] = ()


def read_freshness(
    workspace: Workspace,
    dataset: str,
    uid: str | None,
    trust: Trust,
    *,
    now: datetime | None = None,
) -> Freshness:
    """The *latest* statements of a dataset, judged under the policy in force; without `uid` those
    of every dataset of the name.

    None where no rule covers it. Raises StorageError.
    """
    rule = trust.policy.freshness_rule(dataset)
    if rule is None:
        return Freshness()
    moment = now or datetime.now(UTC)
    attested: list[Attested] = []
    pending: list[Attested] = []
    passed_over: list[str] = []
    for digest in workspace.latest.digests(dataset):
        for statement, signatures in _signed(workspace, dataset, digest, trust):
            try:
                latest = parse_latest(statement)
                _check(latest, dataset, uid, rule, moment)
            except FormatError as error:
                passed_over.append(error.message)
                continue
            count = count_principals(
                trust.policy, rule, signatures, now=moment, created=latest.as_of
            )
            if count.is_met:
                attested.append(Attested(latest, count.approvals))
                continue
            passed_over.append(f"that of {latest.as_of:%Y-%m-%d %H:%M:%SZ} {count.needed}")
            if count.approvals:
                pending.append(Attested(latest, count.approvals))
    attested.sort(key=lambda attestation: attestation.latest.as_of, reverse=True)
    return Freshness(tuple(attested), tuple(pending), tuple(passed_over))


def check_fresh(freshness: Freshness, head: Head, trust: Trust) -> None:
    """Step 8: raises NotTrustedError where the policy asks for a statement and none counts."""
    rule = trust.policy.freshness_rule(head.dataset)
    if rule is None or not rule.mandatory or freshness.attested:
        return
    others = "; ".join(freshness.passed_over[:3])
    raise NotTrustedError(
        f"no latest statement of {head.dataset} counts, and {rule} asks for one"
        + (f": {others}" if others else ""),
        step=8,
        hint="have it signed by whom the rule names: provreg latest"
        f" {head.dataset} --sign key:FILE",
    )


def _signed(
    workspace: Workspace, dataset: str, digest: str, trust: Trust
) -> Iterator[tuple[bytes, list[Signature]]]:
    """The statement with this digest and who signed it; nothing where nobody known did."""
    bundles = workspace.latest.bundles(digest, dataset)
    checked = check_bundles(bundles, trust, over_digest(digest))
    if checked.good:
        yield checked.good[0][0].payload, checked.signatures


def _check(
    latest: Latest, dataset: str, uid: str | None, rule: FreshnessRule, now: datetime
) -> None:
    """Raises FormatError where `latest` says nothing of this dataset now."""
    when = f"that of {latest.as_of:%Y-%m-%d %H:%M:%SZ}"
    if latest.dataset != dataset or uid not in (None, latest.uid):
        raise FormatError(f"{when} is of {latest.dataset} with the uid {latest.uid}")
    if now >= latest.expires:
        raise FormatError(f"{when} expired at {latest.expires:%Y-%m-%d %H:%M:%SZ}")
    if latest.as_of > now + _SKEW:
        raise FormatError(f"{when} is of the future: a clock is wrong")
    if rule.maximum_age is not None and now - latest.as_of > rule.maximum_age:
        raise FormatError(f"{when} is older than {format_duration(rule.maximum_age)}")
