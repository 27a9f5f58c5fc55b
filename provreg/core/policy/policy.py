"""The policy: which principals may do what with which datasets (docs/reference/policy.md).

A policy is the consumer's own file. Principals, not signatures, are counted: whatever keys and
identities a principal holds, it speaks once. Of each kind of rules the first whose `datasets` match
decides; where none matches, and so under an empty policy, nothing is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar, Literal, TypeVar

from provreg.core.encoding.pattern import covers, matches, overlap
from provreg.core.encoding.text import printable

_SHOWN_DIGITS = 16

Proof = Literal["log", "tsa", "claimed"]
Required = Literal["log", "timestamp", "time"]
Origin = Literal["source", "labeler"]
Covering = TypeVar("Covering", bound="Rule")


@dataclass(frozen=True, slots=True)
class Signature:
    """Who made one bundle, as its verification found (step 3), before any policy is asked.

    Either `key`, the fingerprint of a trusted key, or `identity` and `issuer` of a certificate is
    set. `signed_at` is None where nothing says when. `proof` is what vouches for the time: a
    transparency log, a timestamp authority, or only the signer's claim. `logged`: a transparency
    log has it; `stamped`: a timestamp authority has seen it, whichever gave the time. The last
    three are what a CI service's certificate says, None where it does not.
    """

    key: str | None = None
    identity: str | None = None
    issuer: str | None = None
    signed_at: datetime | None = None
    proof: Proof = "claimed"
    logged: bool = False
    stamped: bool = False
    repository: str | None = None
    ref: str | None = None
    environment: str | None = None

    @property
    def signer(self) -> str:
        """Who made it, in full: a key's fingerprint, or an identity and its issuer."""
        return self.key or f"{self.identity} by {self.issuer}"

    def __str__(self) -> str:
        if self.key is not None:
            return f"key {short_fingerprint(self.key)}"
        return f"{printable(self.identity or '')} by {printable(self.issuer or '')}"

    def carries(self, required: Required) -> bool:
        """Whether it has a log's, a timestamp authority's, or either's word for its time."""
        if required == "log":
            return self.logged or self.proof == "log"
        if required == "timestamp":
            return self.stamped or self.proof == "tsa"
        return self.signed_at is not None and self.proof != "claimed"


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key in a policy: its fingerprint (`sha256:…`), its PEM text, and when it holds.

    It holds from `valid_from` until before `valid_until` and before `revoked`, each where set.
    """

    fingerprint: str
    pem: str = field(compare=False)
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    revoked: datetime | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """What a certificate must say: an identity, and the issuer that vouches for it, matched whole.

    With `pattern`, `identity` may have wildcards (`pattern.matches`); `issuer` never. What is
    set of `repository`, `ref` (which may be a pattern) and `environment` must stand in it too.
    """

    identity: str
    issuer: str
    pattern: bool = False
    repository: str | None = None
    ref: str | None = None
    environment: str | None = None

    def matches(self, signature: Signature) -> bool:
        """Whether the certificate of `signature` says all of it."""
        if signature.key is not None or signature.identity is None:
            return False
        if signature.issuer != self.issuer or not self._names(signature.identity):
            return False
        return (
            self.repository in (None, signature.repository)
            and self.environment in (None, signature.environment)
            and (self.ref is None or matches(self.ref, signature.ref or ""))
        )

    def overlaps(self, other: Identity) -> bool:
        """Whether one certificate could be both's."""
        if self.issuer != other.issuer:
            return False
        if self.pattern and other.pattern:
            same = overlap(self.identity, other.identity)
        else:
            same = other._names(self.identity) or self._names(other.identity)
        fixed = ((self.repository, other.repository), (self.environment, other.environment))
        return same and all(None in pair or len(set(pair)) == 1 for pair in fixed)

    def _names(self, identity: str) -> bool:
        return matches(self.identity, identity) if self.pattern else self.identity == identity

    def __str__(self) -> str:
        kind = "identities like" if self.pattern else "identity"
        claims = {"repository": self.repository, "ref": self.ref, "environment": self.environment}
        said = "".join(
            f", {name} {printable(text)}" for name, text in claims.items() if text is not None
        )
        return f"{kind} {printable(self.identity)} by {printable(self.issuer)}{said}"


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or pipeline, with all their keys and identities."""

    name: str
    keys: tuple[TrustedKey, ...] = ()
    identities: tuple[Identity, ...] = ()

    def key_of(self, signature: Signature) -> TrustedKey | None:
        """This principal's key that made `signature`, None where none did."""
        return next((key for key in self.keys if key.fingerprint == signature.key), None)

    def matches(self, signature: Signature) -> bool:
        """Whether `signature` is by one of this principal's keys or identities."""
        return self.key_of(signature) is not None or any(
            known.matches(signature) for known in self.identities
        )


@dataclass(frozen=True, slots=True)
class NameList:
    """Which sources or labelers a version's samples may have, by names or patterns.

    Without `allow` any that `forbid` does not cover. `absent` is whether a sample may have none.
    """

    allow: tuple[str, ...] | None = None
    forbid: tuple[str, ...] = ()
    absent: bool = False

    def allows(self, name: str | None) -> bool:
        """Whether a sample may have it; `forbid` goes before `allow`."""
        if name is None:
            return self.absent
        if covers(self.forbid, name):
            return False
        return self.allow is None or covers(self.allow, name)


@dataclass(frozen=True, slots=True)
class Limit:
    """How much a version may change: at most `share` of the samples before and at most `count`.

    Changes of any of `kinds` are counted, all kinds where it is empty. With `each`, those from each
    source or labeler by themselves; removals then count for nobody. Where at least `unless`
    principals have signed, it does not apply.
    """

    kinds: tuple[str, ...] = ()
    share: Decimal | None = None
    count: int | None = None
    each: Origin | None = None
    unless: int | None = None

    def max_changes(self, samples: int) -> int:
        """The most changes to a version that had so many samples."""
        bounds = [] if self.count is None else [self.count]
        if self.share is not None:
            bounds.append(int(self.share * samples))
        return min(bounds)

    def is_waived(self, signed: int) -> bool:
        """Whether so many principals are enough for it not to apply."""
        return self.unless is not None and signed >= self.unless

    @property
    def counted(self) -> str:
        """What is counted, in words: "relabeled or modified"."""
        return " or ".join(self.kinds) or "changed in any way"

    def __str__(self) -> str:
        bounds = [] if self.share is None else [f"{float(self.share * 100):g} %"]
        if self.count is not None:
            bounds.append(f"{self.count:,}")
        origin = f" from each {self.each}" if self.each else ""
        unless = "" if self.unless is None else f", unless {self.unless} sign"
        return f"at most {' and '.join(bounds)} {self.counted}{origin}{unless}"


@dataclass(frozen=True, slots=True)
class Rule:
    """For datasets matching a pattern: `threshold` of the principals must have signed.

    `countersigners` count as well, but at least one of `principals` must be among those who signed.
    Signatures that are older than `maximum_age` or lack the `required` proof are not counted.
    `place` is the rule's number among those of its kind in the file, 0 for one that is in no file.
    """

    kind: ClassVar[str] = ""

    datasets: tuple[str, ...]
    principals: tuple[str, ...]
    threshold: int = 1
    countersigners: tuple[str, ...] = ()
    maximum_age: timedelta | None = field(default=None, kw_only=True)
    required: Required | None = field(default=None, kw_only=True)
    place: int = field(default=0, kw_only=True, compare=False)

    def covers(self, dataset: str) -> bool:
        """Whether a pattern matches the whole name: `*` is any run, `?` any one character."""
        return covers(self.datasets, dataset)

    @property
    def signers(self) -> tuple[str, ...]:
        """All whose signatures count: principals, then countersigners."""
        return self.principals + self.countersigners

    def __str__(self) -> str:
        if not self.place:
            return "the policy"
        return f"{self.kind} rule {self.place} ({', '.join(self.datasets)})"


@dataclass(frozen=True, slots=True)
class PublishRule(Rule):
    """Who may publish versions of these datasets, and what such a version may hold and change.

    Those below `minimum_version` nobody may publish.
    """

    kind: ClassVar[str] = "publish"

    minimum_version: int = field(default=1, kw_only=True)
    sources: NameList | None = field(default=None, kw_only=True)
    labelers: NameList | None = field(default=None, kw_only=True)
    limits: tuple[Limit, ...] = field(default=(), kw_only=True)

    @property
    def checks_content(self) -> bool:
        """Whether signatures alone do not decide."""
        return bool(self.limits or self.sources or self.labelers)


@dataclass(frozen=True, slots=True)
class RevokeRule(Rule):
    """Who may revoke versions and samples of these datasets."""

    kind: ClassVar[str] = "revoke"


@dataclass(frozen=True, slots=True)
class FreshnessRule(Rule):
    """Who may attest which version of these datasets is the newest.

    With `mandatory`, a version is refused without such a statement.
    """

    kind: ClassVar[str] = "freshness"

    mandatory: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, slots=True)
class TrainRule(Rule):
    """Whose receipts count of training runs on these datasets."""

    kind: ClassVar[str] = "train"


@dataclass(frozen=True, slots=True)
class Policy:
    """Principals, and the rules of each kind in the order they are asked."""

    principals: tuple[Principal, ...] = ()
    publish: tuple[PublishRule, ...] = ()
    revoke: tuple[RevokeRule, ...] = ()
    freshness: tuple[FreshnessRule, ...] = ()
    train: tuple[TrainRule, ...] = ()

    def publish_rule(self, dataset: str) -> PublishRule | None:
        """The first rule that covers `dataset`: it decides, also where it refuses."""
        return _first(self.publish, dataset)

    def revoke_rule(self, dataset: str) -> RevokeRule | None:
        """As `publish_rule`, for revoking."""
        return _first(self.revoke, dataset)

    def freshness_rule(self, dataset: str) -> FreshnessRule | None:
        """As `publish_rule`, for attesting the newest version."""
        return _first(self.freshness, dataset)

    def train_rule(self, dataset: str) -> TrainRule | None:
        """As `publish_rule`, for signing receipts of training runs."""
        return _first(self.train, dataset)

    def rules(self) -> tuple[Rule, ...]:
        """All rules of every kind."""
        return (*self.publish, *self.revoke, *self.freshness, *self.train)

    def signer_of(self, signature: Signature) -> Principal | None:
        """The one principal that `signature` can count for: the first that made it."""
        return next((one for one in self.principals if one.matches(signature)), None)

    def trusted_keys(self) -> tuple[TrustedKey, ...]:
        """The keys of all principals."""
        return tuple(key for principal in self.principals for key in principal.keys)


def short_fingerprint(fingerprint: str) -> str:
    """A fingerprint as messages show it: never compared."""
    algorithm, _, digits = fingerprint.partition(":")
    return f"{algorithm}:{digits[:_SHOWN_DIGITS]}"


def single_key_policy(fingerprint: str, pem: str) -> Policy:
    """The policy of `--key PUB`: that key alone, for any dataset; its principal is named by it."""
    name = short_fingerprint(fingerprint)
    return _alone(Principal(name, keys=(TrustedKey(fingerprint, pem),)))


def single_identity_policy(identity: str, issuer: str) -> Policy:
    """The policy of `--identity I --issuer U`: that identity alone, for any dataset."""
    return _alone(Principal(printable(identity), identities=(Identity(identity, issuer),)))


def _alone(principal: Principal) -> Policy:
    """Whom somebody names may do everything, nobody else anything, and nothing is demanded."""
    every, names = ("*",), (principal.name,)
    return Policy(
        (principal,),
        publish=(PublishRule(every, names),),
        revoke=(RevokeRule(every, names),),
        freshness=(FreshnessRule(every, names, mandatory=False),),
        train=(TrainRule(every, names),),
    )


def _first(rules: Iterable[Covering], dataset: str) -> Covering | None:
    return next((rule for rule in rules if rule.covers(dataset)), None)
