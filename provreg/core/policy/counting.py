"""Counting the principals whose signatures meet a rule, and the verdict on a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from provreg.core.encoding.text import quoted
from provreg.core.encoding.times import format_duration
from provreg.core.policy.policy import Policy, PublishRule, Required, Rule, Signature, TrustedKey
from provreg.errors import NotTrustedError

_REQUIRED: dict[Required, str] = {
    "log": "an entry in a transparency log",
    "timestamp": "a timestamp",
    "time": "a proven time",
}
# Tolerance for clocks that are ahead of this one.
_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Witness:
    """When this user first saw the signatures of a statement, by signer, or `pinned` the statement.

    A signature existed at the latest when it was seen, whatever happens to its key later.
    """

    seen: Mapping[str, datetime] = field(default_factory=dict)
    pinned: datetime | None = None

    def first_saw(self, signature: Signature) -> datetime | None:
        """The earliest time at which `signature` is known to have existed, None if unknown."""
        times = (self.seen.get(signature.signer), self.pinned)
        return min((at for at in times if at is not None), default=None)


NO_WITNESS = Witness()


@dataclass(frozen=True, slots=True)
class UncountedSignature:
    """A signature that was not counted, the step that rejects it, and the reason.

    `principal` made it; None if the rule names no such principal. `stolen`: the key was revoked by
    then, so someone else may have used it.
    """

    signature: Signature
    principal: str | None
    step: int
    why: str
    stolen: bool = False

    def __str__(self) -> str:
        return f"{self.signature} ({self.why})" if self.why else str(self.signature)


@dataclass(frozen=True, slots=True)
class Count:
    """The principals of a rule that signed.

    `approvals` pairs each principal with its counted signature, in the order of the rule.
    """

    rule: Rule
    approvals: tuple[tuple[str, Signature], ...]
    uncounted: tuple[UncountedSignature, ...]

    @property
    def is_met(self) -> bool:
        """Whether enough principals signed, and not countersigners alone."""
        return is_met_by(self.rule, {name for name, _ in self.approvals})

    @property
    def is_met_ignoring_time(self) -> bool:
        """Whether the rule would be met if keys and signatures did not expire."""
        expired = {
            signature.principal
            for signature in self.uncounted
            if signature.principal and signature.step == 8
        }
        return is_met_by(self.rule, {name for name, _ in self.approvals} | expired)

    @property
    def needed(self) -> str:
        """The missing signatures, in words; empty if the rule is met."""
        if self.is_met:
            return ""
        signed = {name for name, _ in self.approvals}
        publishers, count = self.rule.principals, max(1, self.rule.threshold - len(signed))
        missing = [name for name in self.rule.signers if name not in signed]
        if self.rule.countersigners and signed.isdisjoint(publishers):
            # Countersigners alone are never enough.
            if count == 1:
                missing = list(publishers)
            else:
                missing[-1] += f", at least one of them of {' and '.join(publishers)}"
        return f"needs a signature by {count} of: {', '.join(missing)}"


def count_principals(
    policy: Policy,
    rule: Rule,
    signatures: Sequence[Signature],
    *,
    now: datetime,
    created: datetime,
    witness: Witness = NO_WITNESS,
    ends: bool = True,
) -> Count:
    """The principals of `rule` that made `signatures`, all verified over one statement.

    A signature counts for one principal at most, a principal once. `created` is when the statement
    claims as its time: signatures without a proven time are as old. `witness` says when this user
    first saw each. Without `ends` keys do not expire, but revoked keys are still rejected.
    """
    counted: dict[str, Signature] = {}
    uncounted: list[UncountedSignature] = []
    for signature in signatures:
        principal = policy.signer_of(signature)
        if principal is None or principal.name not in rule.signers:
            uncounted.append(UncountedSignature(signature, None, 6, ""))
            continue
        key, required = principal.key_of(signature), rule.required
        if required is not None and not signature.carries(required):
            why = f"without {_REQUIRED[required]}, which {rule} requires"
            uncounted.append(UncountedSignature(signature, principal.name, 6, why))
            continue
        latest = _latest(signature, now, witness)
        why_key = (
            None if key is None else _key_objection(key, signature, latest, witness, ends=ends)
        )
        objection = why_key or _age_objection(rule, signature, now, created)
        if objection is not None:
            stolen = key is not None and key.revoked is not None and latest >= key.revoked
            uncounted.append(UncountedSignature(signature, principal.name, 8, objection, stolen))
        else:
            counted.setdefault(principal.name, signature)
    approvals = tuple((name, counted[name]) for name in rule.signers if name in counted)
    return Count(rule, approvals, tuple(uncounted))


def is_met_by(rule: Rule, signed: set[str]) -> bool:
    """Whether these principals meet `rule`: enough, and not countersigners alone."""
    signed = signed.intersection(rule.signers)
    return len(signed) >= rule.threshold and not signed.isdisjoint(rule.principals)


def _latest(signature: Signature, now: datetime, witness: Witness) -> datetime:
    """The latest time at which `signature` can have been made: its proven time or when this user
    first saw it, whichever is earlier; else now."""
    known = (_proven(signature), witness.first_saw(signature))
    return min((at for at in known if at is not None), default=now)


def _key_objection(
    key: TrustedKey, signature: Signature, latest: datetime, witness: Witness, *, ends: bool
) -> str | None:
    """Why `key` was not valid when `signature` was made, at the latest at `latest`; None if it was.

    No proof shows that a signature is not older, so `valid_from` rejects only signatures that are
    provably older.
    """
    if key.valid_from is not None and latest < key.valid_from:
        return f"its key is valid from {_format(key.valid_from)}"
    ends_of_key = [
        (key.valid_until if ends else None, "is valid until"),
        (key.revoked, "is revoked from"),
    ]
    for end, validity in ends_of_key:
        if end is not None and latest >= end:
            when = "without a proven time"
            if latest == _proven(signature):
                when = f"signed {_format(latest)}"
            elif latest == witness.first_saw(signature):
                when = f"first seen here {_format(latest)}"
            return f"{when}, its key {validity} {_format(end)}"
    return None


def _age_objection(
    rule: Rule, signature: Signature, now: datetime, created: datetime
) -> str | None:
    """Why `rule` rejects a signature of this age, or from the future; None if it does not."""
    if rule.maximum_age is None:
        return None
    proven = _proven(signature)
    moment = created if proven is None else proven
    when = f"signed {_format(moment)}" + (" (as claimed by the signer)" if proven is None else "")
    if moment > now + _SKEW:
        return f"{when}, which is in the future"
    if now - moment > rule.maximum_age:
        return f"{when}, {rule} requires at most {format_duration(rule.maximum_age)} of age"
    return None


def _proven(signature: Signature) -> datetime | None:
    """The time that a log or a timestamp authority attests, None if none does."""
    return signature.signed_at if signature.carries("time") else None


def _format(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"


_MAX_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision of a policy about a version.

    `approvals` pairs each counted principal with its signature, in the order of the rule. `reason`
    says why the version is trusted or refused, `needed` what is missing. `step` is the step that
    refuses it, 7 if none does.
    """

    trusted: bool
    step: int
    reason: str
    needed: str = ""
    rule: PublishRule | None = None
    approvals: tuple[tuple[str, Signature], ...] = ()
    uncounted: tuple[UncountedSignature, ...] = ()

    def require(self) -> None:
        """Raises NotTrustedError with the step unless the version is trusted."""
        if not self.trusted:
            raise NotTrustedError(self.reason, step=self.step, hint=self.needed)


def judge(
    policy: Policy,
    dataset: str,
    version: int,
    signatures: Sequence[Signature],
    *,
    now: datetime,
    created: datetime,
    witness: Witness = NO_WITNESS,
) -> Verdict:
    """Whether `signatures`, all verified over version `version` of `dataset`, make it trusted.

    `created` is the time in its head, `witness` when this user saw or pinned it
    (`core.policy.counting.count_principals`).
    """
    rule = policy.publish_rule(dataset)
    if rule is None:
        return Verdict(
            False,
            6,
            f"no rule of the policy covers {quoted(dataset)}",
            needed="add a [[publish]] rule for it",
        )
    if version < rule.minimum_version:
        return Verdict(
            False,
            6,
            f"{rule} allows {quoted(dataset)} from version {rule.minimum_version} on,"
            f" this is version {version}",
            needed="use a newer version, or lower minimum_version",
            rule=rule,
        )
    count = count_principals(policy, rule, signatures, now=now, created=created, witness=witness)
    step = _step(count)
    return Verdict(
        count.is_met,
        step=step,
        reason=_reason(rule, count),
        needed=f"{count.needed}; a key that ended: docs/guides/keys.md"
        if step == 8
        else count.needed,
        rule=rule,
        approvals=count.approvals,
        uncounted=count.uncounted,
    )


def _step(count: Count) -> int:
    if count.is_met:
        return 7
    if count.is_met_ignoring_time:
        return 8
    return 7 if count.approvals else 6


def _reason(rule: PublishRule, count: Count) -> str:
    if count.approvals:
        signers = ", ".join(f"{name} ({signature})" for name, signature in count.approvals)
        by_rule = f" by {rule}" if rule.place else ""
        signed = len(count.approvals)
        share = f"{signed} of {rule.threshold} needed"
        if signed > rule.threshold:
            share = f"{signed} ({rule.threshold} needed)"
        reason = f"signed by {share}{by_rule}: {signers}"
    elif count.is_met_ignoring_time:
        reason = f"{rule} counts none of the signatures of this version"
    else:
        reason = f"no principal of {rule} signed this version"
    if not count.uncounted:
        return reason
    others = ", ".join(str(signature) for signature in count.uncounted[:_MAX_SHOWN])
    rest = len(count.uncounted) - _MAX_SHOWN
    more = f" and {rest} more" if rest > 0 else ""
    return f"{reason}; not counted: {others}{more}"
