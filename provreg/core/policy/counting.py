"""Counting principals: the one way in which signatures make up what a rule asks for."""

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
# Clocks differ: what is dated a little ahead of ours is not from the future.
_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Witness:
    """When this user first saw signatures over one statement, by signer, or `pinned` it whole.

    What they saw at a time existed then, whatever becomes of the key that made it.
    """

    seen: Mapping[str, datetime] = field(default_factory=dict)
    pinned: datetime | None = None

    def first_saw(self, signature: Signature) -> datetime | None:
        """The earliest time by which `signature` is known to have existed, None where none is."""
        times = (self.seen.get(signature.signer), self.pinned)
        return min((at for at in times if at is not None), default=None)


NO_WITNESS = Witness()


@dataclass(frozen=True, slots=True)
class UncountedSignature:
    """A signature that was not counted, the step that says so, and why.

    `principal` is whose it is, None where it is nobody's whom the rule names. `stolen`: its key may
    have been somebody else's by then.
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
    """Who signed, of those whom a rule names.

    `approvals` pairs each principal with the signature it is counted for, in the order of the rule.
    """

    rule: Rule
    approvals: tuple[tuple[str, Signature], ...]
    uncounted: tuple[UncountedSignature, ...]

    @property
    def is_met(self) -> bool:
        """Whether enough have signed, and not countersigners alone."""
        return is_met_by(self.rule, {name for name, _ in self.approvals})

    @property
    def is_met_ignoring_time(self) -> bool:
        """Whether it would be met if keys did not end and signatures did not grow old."""
        ended = {one.principal for one in self.uncounted if one.principal and one.step == 8}
        return is_met_by(self.rule, {name for name, _ in self.approvals} | ended)

    @property
    def needed(self) -> str:
        """What is missing, in words; empty where nothing is."""
        if self.is_met:
            return ""
        signed = {name for name, _ in self.approvals}
        publishers, count = self.rule.principals, max(1, self.rule.threshold - len(signed))
        missing = [name for name in self.rule.signers if name not in signed]
        if self.rule.countersigners and signed.isdisjoint(publishers):
            # Countersigners alone publish nothing, however many they are.
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

    A signature counts for one principal at most, a principal once. `created` is when what they sign
    claims that it was made: a signature without a proven time is as old as that. `witness` says
    when this user saw each, and so that it is no younger. Without `ends` it does not matter that a
    key is over, only that it is revoked, and so may be somebody else's.
    """
    made: dict[str, Signature] = {}
    uncounted: list[UncountedSignature] = []
    for signature in signatures:
        principal = policy.signer_of(signature)
        if principal is None or principal.name not in rule.signers:
            uncounted.append(UncountedSignature(signature, None, 6, ""))
            continue
        key, required = principal.key_of(signature), rule.required
        if required is not None and not signature.carries(required):
            why = f"without {_REQUIRED[required]}, which {rule} asks for"
            uncounted.append(UncountedSignature(signature, principal.name, 6, why))
            continue
        latest = _latest(signature, now, witness)
        ended = None if key is None else _outside(key, signature, latest, witness, ends=ends)
        late = ended or _too_old(rule, signature, now, created)
        if late is not None:
            stolen = key is not None and key.revoked is not None and latest >= key.revoked
            uncounted.append(UncountedSignature(signature, principal.name, 8, late, stolen))
        else:
            made.setdefault(principal.name, signature)
    approvals = tuple((name, made[name]) for name in rule.signers if name in made)
    return Count(rule, approvals, tuple(uncounted))


def is_met_by(rule: Rule, signed: set[str]) -> bool:
    """Whether these principals are enough, and not countersigners alone."""
    signed = signed.intersection(rule.signers)
    return len(signed) >= rule.threshold and not signed.isdisjoint(rule.principals)


def _latest(signature: Signature, now: datetime, witness: Witness) -> datetime:
    """The latest moment at which `signature` was made: when it is proven to have existed or this
    user saw it, whichever is earlier; without either, now."""
    known = (_proven(signature), witness.first_saw(signature))
    return min((at for at in known if at is not None), default=now)


def _outside(
    key: TrustedKey, signature: Signature, latest: datetime, witness: Witness, *, ends: bool
) -> str | None:
    """Why `key` does not stand for `signature`: the `latest` it can be from is out of its time.

    No proof says that something is not older, so a key's beginning only keeps out what shows to be
    older.
    """
    if key.valid_from is not None and latest < key.valid_from:
        return f"its key is valid from {_written(key.valid_from)} on"
    over = [(key.valid_until if ends else None, "is valid until"), (key.revoked, "is revoked from")]
    for end, said in over:
        if end is not None and latest >= end:
            when = "without a proven time"
            if latest == _proven(signature):
                when = f"signed {_written(latest)}"
            elif latest == witness.first_saw(signature):
                when = f"first seen here {_written(latest)}"
            return f"{when}, its key {said} {_written(end)}"
    return None


def _too_old(rule: Rule, signature: Signature, now: datetime, created: datetime) -> str | None:
    """Why `rule` takes no signature of that age. What is dated ahead would never grow old."""
    if rule.maximum_age is None:
        return None
    proven = _proven(signature)
    moment = created if proven is None else proven
    said = f"{'made, as it claims,' if proven is None else 'signed'} {_written(moment)}"
    if moment > now + _SKEW:
        return f"{said}, which is yet to come"
    if now - moment > rule.maximum_age:
        return f"{said}, {rule} takes what is at most {format_duration(rule.maximum_age)} old"
    return None


def _proven(signature: Signature) -> datetime | None:
    """The time that a log or a timestamp authority vouches for, None where nobody does."""
    return signature.signed_at if signature.carries("time") else None


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"


_SHOWN_SIGNATURES = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy says of one version.

    `approvals` pairs each counted principal with the signature it is counted for, in the order of
    the rule; `uncounted` are the signatures that were not counted. `reason` says in words why it is
    trusted or refused, `needed` what would be needed. `step` is the step that refuses, 7 if none.
    """

    trusted: bool
    step: int
    reason: str
    needed: str = ""
    rule: PublishRule | None = None
    approvals: tuple[tuple[str, Signature], ...] = ()
    uncounted: tuple[UncountedSignature, ...] = ()

    def require(self) -> None:
        """Raises NotTrustedError with the step and what would be needed, unless trusted."""
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

    `created` is when its head claims that it was made, `witness` when this user saw or pinned it
    (`core.policy.counting.count_principals`).
    """
    rule = policy.publish_rule(dataset)
    if rule is None:
        return Verdict(
            False,
            6,
            f"no rule of the policy covers {quoted(dataset)}",
            needed="add a [[publish]] rule that names who may publish it",
        )
    if version < rule.minimum_version:
        return Verdict(
            False,
            6,
            f"{rule} takes {quoted(dataset)} from version {rule.minimum_version} on,"
            f" this is version {version}",
            needed="use a newer version, or lower minimum_version",
            rule=rule,
        )
    count = count_principals(policy, rule, signatures, now=now, created=created, witness=witness)
    return Verdict(
        count.is_met,
        step=_step(count),
        reason=_reason(rule, count),
        needed=count.needed,
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
        made = ", ".join(f"{name} ({signature})" for name, signature in count.approvals)
        asked = f" by {rule}" if rule.place else ""
        said = f"signed by {len(count.approvals)} of {rule.threshold} needed{asked}: {made}"
    elif count.is_met_ignoring_time:
        said = f"{rule} takes no signature that this version has"
    else:
        said = f"nobody whom {rule} allows to publish it has signed it"
    if not count.uncounted:
        return said
    others = ", ".join(str(one) for one in count.uncounted[:_SHOWN_SIGNATURES])
    left = len(count.uncounted) - _SHOWN_SIGNATURES
    more = f" and {left} more" if left > 0 else ""
    return f"{said}; not counted: {others}{more}"
