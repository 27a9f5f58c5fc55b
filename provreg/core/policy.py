"""The policy: which principals may publish which datasets (docs/policy.md).

A policy is the consumer's own file. Principals, not signatures, are counted: whatever keys and
identities a principal holds, it speaks once. The first rule whose `datasets` match decides; where
none matches, and so under an empty policy, nothing is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Literal

from provreg.core.text import printable, quoted
from provreg.errors import NotTrustedError

_SHOWN_DIGITS = 16
_SHOWN_SIGNATURES = 10

Proof = Literal["log", "tsa", "claimed"]


@dataclass(frozen=True, slots=True)
class Signature:
    """Who made one bundle, as its verification found (step 3), before any policy is asked.

    Either `key`, the fingerprint of a trusted key, or `identity` and `issuer` of a certificate is
    set. `signed_at` is None where nothing says when. `proof` is what vouches for the time: a
    transparency log, a timestamp authority, or only the signer's claim.
    """

    key: str | None = None
    identity: str | None = None
    issuer: str | None = None
    signed_at: datetime | None = None
    proof: Proof = "claimed"

    def __str__(self) -> str:
        if self.key is not None:
            return f"key {short_fingerprint(self.key)}"
        return f"{printable(self.identity or '')} by {printable(self.issuer or '')}"


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key in a policy: its fingerprint (`sha256:…`) and its PEM text."""

    fingerprint: str
    pem: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate's identity and the issuer that must vouch for it; both are matched whole."""

    identity: str
    issuer: str


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or pipeline, with all their keys and identities."""

    name: str
    keys: tuple[TrustedKey, ...] = ()
    identities: tuple[Identity, ...] = ()

    def made(self, signature: Signature) -> bool:
        """Whether `signature` is by one of this principal's keys or identities."""
        if signature.key is not None:
            return any(key.fingerprint == signature.key for key in self.keys)
        signer = (signature.identity, signature.issuer)
        return any((known.identity, known.issuer) == signer for known in self.identities)


@dataclass(frozen=True, slots=True)
class PublishRule:
    """For datasets matching a pattern: `threshold` of `principals` must have signed a version.

    Versions numbered below `minimum_version` are refused whoever signed them.
    """

    datasets: tuple[str, ...]
    principals: tuple[str, ...]
    threshold: int = 1
    minimum_version: int = 1

    def covers(self, dataset: str) -> bool:
        """Whether a pattern matches the whole name: `*` is any run, `?` any one character."""
        return any(fnmatchcase(dataset, pattern) for pattern in self.datasets)


@dataclass(frozen=True, slots=True)
class Policy:
    """Principals, and the rules for publishing in the order they are asked."""

    principals: tuple[Principal, ...] = ()
    publish: tuple[PublishRule, ...] = ()

    def rule_for(self, dataset: str) -> PublishRule | None:
        """The first rule that covers `dataset`: it decides, also where it refuses."""
        return next((rule for rule in self.publish if rule.covers(dataset)), None)

    def trusted_keys(self) -> tuple[TrustedKey, ...]:
        """The keys of all principals."""
        return tuple(key for principal in self.principals for key in principal.keys)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy says of one version (steps 4 and 7).

    `approvals` pairs each counted principal with the signature it is counted for, in the order of
    the rule; `ignored` are signatures that counted for nobody. `reason` says in words why it is
    trusted or refused, `needed` what would be needed. `step` is the step that refuses, 7 if none.
    """

    trusted: bool
    step: int
    reason: str
    needed: str = ""
    threshold: int = 0
    approvals: tuple[tuple[str, Signature], ...] = ()
    ignored: tuple[Signature, ...] = ()

    def require(self) -> None:
        """Raises NotTrustedError with the step and what would be needed, unless trusted."""
        if not self.trusted:
            raise NotTrustedError(self.reason, step=self.step, hint=self.needed)


def short_fingerprint(fingerprint: str) -> str:
    """A fingerprint as messages show it: never compared."""
    algorithm, _, digits = fingerprint.partition(":")
    return f"{algorithm}:{digits[:_SHOWN_DIGITS]}"


def judge(policy: Policy, dataset: str, version: int, signatures: Sequence[Signature]) -> Verdict:
    """Whether `signatures`, all verified over version `version` of `dataset`, make it trusted."""
    rule = policy.rule_for(dataset)
    if rule is None:
        return Verdict(
            False,
            4,
            f"no rule of the policy covers {quoted(dataset)}",
            needed="add a [[publish]] rule that names who may publish it",
            ignored=tuple(signatures),
        )
    if version < rule.minimum_version:
        return Verdict(
            False,
            4,
            f"the policy takes {quoted(dataset)} from version {rule.minimum_version} on,"
            f" this is version {version}",
            needed="use a newer version, or lower minimum_version",
            threshold=rule.threshold,
            ignored=tuple(signatures),
        )
    allowed = [principal for principal in policy.principals if principal.name in rule.principals]
    approvals = tuple(
        (principal.name, made[0])
        for principal in allowed
        if (made := [signature for signature in signatures if principal.made(signature)])
    )
    ignored = tuple(
        signature
        for signature in signatures
        if not any(principal.made(signature) for principal in allowed)
    )
    trusted = len(approvals) >= rule.threshold
    return Verdict(
        trusted,
        step=7 if approvals else 4,
        reason=_reason(rule, approvals, ignored),
        needed="" if trusted else _needed(rule, approvals),
        threshold=rule.threshold,
        approvals=approvals,
        ignored=ignored,
    )


def single_key_policy(fingerprint: str, pem: str) -> Policy:
    """The policy of `--key PUB`: that key alone, for any dataset; its principal is named by it."""
    name = short_fingerprint(fingerprint)
    principal = Principal(name, keys=(TrustedKey(fingerprint, pem),))
    return Policy((principal,), (PublishRule(("*",), (name,)),))


def single_identity_policy(identity: str, issuer: str) -> Policy:
    """The policy of `--identity I --issuer U`: that identity alone, for any dataset."""
    principal = Principal(printable(identity), identities=(Identity(identity, issuer),))
    return Policy((principal,), (PublishRule(("*",), (principal.name,)),))


def explain(policy: Policy) -> list[str]:
    """The policy in words, a line each, safe to print (`provreg policy check`)."""
    lines = [line for principal in policy.principals for line in _describe(principal)]
    decided: list[PublishRule] = []
    for rule in policy.publish:
        lines.append(
            f"publish {', '.join(rule.datasets)}: {rule.threshold} of {', '.join(rule.principals)}"
            + (f", from version {rule.minimum_version} on" if rule.minimum_version > 1 else "")
        )
        lines.extend(
            f"  {name} is never asked here: a rule above covers it"
            for name in rule.datasets
            if any(earlier.covers(name) for earlier in decided)
        )
        decided.append(rule)
    named = {name for rule in policy.publish for name in rule.principals}
    lines.extend(
        f"no rule names {principal.name}"
        for principal in policy.principals
        if principal.name not in named
    )
    return [*lines, "nothing else is allowed" if policy.publish else "nothing is allowed"]


def _describe(principal: Principal) -> list[str]:
    keys = (f"  key {key.fingerprint}" for key in principal.keys)
    known = (
        f"  identity {printable(one.identity)} by {printable(one.issuer)}"
        for one in principal.identities
    )
    return [f"principal {principal.name}", *keys, *known]


def _reason(
    rule: PublishRule,
    approvals: Sequence[tuple[str, Signature]],
    ignored: Sequence[Signature],
) -> str:
    if approvals:
        made = (f"{name} ({signature})" for name, signature in approvals)
        said = f"signed by {len(approvals)} of {rule.threshold} needed: {', '.join(made)}"
    else:
        said = "nobody whom the policy allows to publish it has signed it"
    if not ignored:
        return said
    others = ", ".join(str(signature) for signature in ignored[:_SHOWN_SIGNATURES])
    left = len(ignored) - _SHOWN_SIGNATURES
    more = f" and {left} more" if left > 0 else ""
    return f"{said}; not counted: {others}{more}"


def _needed(rule: PublishRule, approvals: Sequence[tuple[str, Signature]]) -> str:
    signed = {name for name, _ in approvals}
    missing = [name for name in rule.principals if name not in signed]
    count = rule.threshold - len(approvals)
    return f"needs a signature by {count} of: {', '.join(missing)}"
