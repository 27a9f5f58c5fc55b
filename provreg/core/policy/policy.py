"""The policy: which principals may do what with which datasets (docs/reference/policy.md).

A policy is the consumer's own file. Principals, not signatures, are counted: all keys and
identities of a principal count once. The first rule of each kind whose `datasets` match decides. If
none matches, as under an empty policy, nothing is allowed.
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
    """The verified signer of a bundle (step 3), before a policy is applied.

    Either `key`, the fingerprint of a trusted key, or `identity` and `issuer` of a certificate is
    set. `signed_at` is None if unknown; `proof` attests it: a transparency log, a timestamp
    authority, or only the signer's claim. `logged`: a transparency log has it. `stamped`: a
    timestamp authority saw it. The last three come from a CI service's certificate, None if absent.
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
        """The full key fingerprint, or the identity and its issuer."""
        return self.key or f"{self.identity} by {self.issuer}"

    def __str__(self) -> str:
        if self.key is not None:
            return f"key {short_fingerprint(self.key)}"
        return f"{printable(self.identity or '')} by {printable(self.issuer or '')}"

    def carries(self, required: Required) -> bool:
        """Whether a log, a timestamp authority, or either attests it."""
        if required == "log":
            return self.logged or self.proof == "log"
        if required == "timestamp":
            return self.stamped or self.proof == "tsa"
        return self.signed_at is not None and self.proof != "claimed"


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key in a policy: its fingerprint (`sha256:…`), its PEM text, and its validity.

    It is valid from `valid_from` until before `valid_until` and before `revoked`, each if set.
    """

    fingerprint: str
    pem: str = field(compare=False)
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    revoked: datetime | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """The required contents of a certificate: an identity and its issuer, matched whole.

    With `pattern`, `identity` can have wildcards (`pattern.matches`); `issuer` cannot. If set,
    `repository`, `ref` (which can be a pattern) and `environment` must match too.
    """

    identity: str
    issuer: str
    pattern: bool = False
    repository: str | None = None
    ref: str | None = None
    environment: str | None = None

    def matches(self, signature: Signature) -> bool:
        """Whether the certificate of `signature` has all required contents."""
        if signature.key is not None or signature.identity is None:
            return False
        if signature.issuer != self.issuer or not self._matches_identity(signature.identity):
            return False
        return (
            self.repository in (None, signature.repository)
            and self.environment in (None, signature.environment)
            and (self.ref is None or matches(self.ref, signature.ref or ""))
        )

    def overlaps(self, other: Identity) -> bool:
        """Whether some certificate matches both."""
        if self.issuer != other.issuer:
            return False
        if self.pattern and other.pattern:
            same = overlap(self.identity, other.identity)
        else:
            same = other._matches_identity(self.identity) or self._matches_identity(other.identity)
        fixed = ((self.repository, other.repository), (self.environment, other.environment))
        return same and all(None in pair or len(set(pair)) == 1 for pair in fixed)

    def _matches_identity(self, identity: str) -> bool:
        return matches(self.identity, identity) if self.pattern else self.identity == identity

    def __str__(self) -> str:
        kind = "identities like" if self.pattern else "identity"
        claims = {"repository": self.repository, "ref": self.ref, "environment": self.environment}
        details = "".join(
            f", {name} {printable(text)}" for name, text in claims.items() if text is not None
        )
        return f"{kind} {printable(self.identity)} by {printable(self.issuer)}{details}"


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or pipeline, with all its keys and identities."""

    name: str
    keys: tuple[TrustedKey, ...] = ()
    identities: tuple[Identity, ...] = ()

    def key_of(self, signature: Signature) -> TrustedKey | None:
        """The key of this principal that made `signature`, None if none did."""
        return next((key for key in self.keys if key.fingerprint == signature.key), None)

    def matches(self, signature: Signature) -> bool:
        """Whether `signature` is by one of this principal's keys or identities."""
        return self.key_of(signature) is not None or any(
            identity.matches(signature) for identity in self.identities
        )


@dataclass(frozen=True, slots=True)
class NameList:
    """The allowed sources or labelers of a version's samples, as names or patterns.

    Without `allow`, all that `forbid` does not cover. `absent`: whether a sample can have none.
    """

    allow: tuple[str, ...] | None = None
    forbid: tuple[str, ...] = ()
    absent: bool = False

    def allows(self, name: str | None) -> bool:
        """Whether a sample can have this name; `forbid` takes precedence over `allow`."""
        if name is None:
            return self.absent
        if covers(self.forbid, name):
            return False
        return self.allow is None or covers(self.allow, name)


@dataclass(frozen=True, slots=True)
class LabelRule:
    """The allowed labels of a version's samples, as names or patterns, and how many have none.

    Without `allow`, all that `forbid` does not cover. At most `share` of the samples and at most
    `count` may have no label; without both none may, or with `absent` all may. A label that is new
    since the base needs at least `signers_for_new` principals.
    """

    allow: tuple[str, ...] | None = None
    forbid: tuple[str, ...] = ()
    absent: bool = False
    share: Decimal | None = None
    count: int | None = None
    signers_for_new: int | None = None

    def allows(self, label: str) -> bool:
        """Whether a sample can have this label; `forbid` takes precedence over `allow`."""
        if covers(self.forbid, label):
            return False
        return self.allow is None or covers(self.allow, label)

    def max_absent(self, samples: int) -> int:
        """How many of this number of samples may have no label."""
        if self.absent:
            return samples
        bounds = [] if self.count is None else [self.count]
        if self.share is not None:
            bounds.append(int(self.share * samples))
        return min(bounds, default=0)

    def bounds_new(self, signed: int) -> bool:
        """Whether new labels are refused with this number of signing principals."""
        return self.signers_for_new is not None and signed < self.signers_for_new

    @property
    def absent_in_words(self) -> str:
        """How many samples may have no label: "at most 1 %"."""
        bounds = [] if self.share is None else [f"{float(self.share * 100):g} %"]
        if self.count is not None:
            bounds.append(f"{self.count:,}")
        if bounds:
            return f"at most {' and '.join(bounds)}"
        return "any number" if self.absent else "none"


@dataclass(frozen=True, slots=True)
class Limit:
    """How much a version may change: at most `share` of the parent's samples and at most `count`.

    Counts changes of any of `kinds`, of all kinds if empty. With `each`, the changes of each source
    or labeler are counted separately, and removals are not counted. The limit is waived if at least
    `unless` principals signed.
    """

    kinds: tuple[str, ...] = ()
    share: Decimal | None = None
    count: int | None = None
    each: Origin | None = None
    unless: int | None = None

    def max_changes(self, samples: int) -> int:
        """The maximum number of changes to a version with this number of samples."""
        bounds = [] if self.count is None else [self.count]
        if self.share is not None:
            bounds.append(int(self.share * samples))
        return min(bounds)

    def is_waived(self, signed: int) -> bool:
        """Whether the limit does not apply with this number of signing principals."""
        return self.unless is not None and signed >= self.unless

    @property
    def counted(self) -> str:
        """The counted kinds, in words: "relabeled or modified"."""
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
    """For datasets that match a pattern: `threshold` principals must have signed.

    `countersigners` count too, but at least one of `principals` must have signed. Signatures that
    are older than `maximum_age` or lack the `required` proof are not counted. `place` is the rule's
    number among those of its kind in the file, 0 if it is in no file.
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
        """Whether one of the patterns matches the whole name."""
        return covers(self.datasets, dataset)

    @property
    def signers(self) -> tuple[str, ...]:
        """Principals, then countersigners."""
        return self.principals + self.countersigners

    def __str__(self) -> str:
        if not self.place:
            return "the policy"
        return f"{self.kind} rule {self.place} ({', '.join(self.datasets)})"


@dataclass(frozen=True, slots=True)
class PublishRule(Rule):
    """Who may publish versions of these datasets, and which contents and changes are allowed.

    Versions below `minimum_version` are refused.
    """

    kind: ClassVar[str] = "publish"

    minimum_version: int = field(default=1, kw_only=True)
    sources: NameList | None = field(default=None, kw_only=True)
    labelers: NameList | None = field(default=None, kw_only=True)
    labels: LabelRule | None = field(default=None, kw_only=True)
    limits: tuple[Limit, ...] = field(default=(), kw_only=True)

    @property
    def checks_content(self) -> bool:
        """Whether the rule restricts contents or changes."""
        return bool(self.limits or self.sources or self.labelers or self.labels)

    def bounds_changes(self, signed: int) -> bool:
        """Whether changes are restricted with this number of signing principals."""
        if self.labels is not None and self.labels.bounds_new(signed):
            return True
        return not all(limit.is_waived(signed) for limit in self.limits)

    def is_lifted_above(self, signed: int) -> bool:
        """Whether more than this number of signing principals lift a restriction of changes."""
        if self.labels is not None and self.labels.bounds_new(signed):
            return True
        return any(
            limit.unless is not None and not limit.is_waived(signed) for limit in self.limits
        )


@dataclass(frozen=True, slots=True)
class RevokeRule(Rule):
    """Who may revoke versions and samples of these datasets."""

    kind: ClassVar[str] = "revoke"


@dataclass(frozen=True, slots=True)
class FreshnessRule(Rule):
    """Who may sign *latest* statements for these datasets.

    If `mandatory`, versions are refused without such a statement.
    """

    kind: ClassVar[str] = "freshness"

    mandatory: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, slots=True)
class TrainRule(Rule):
    """Whose receipts of training runs on these datasets count."""

    kind: ClassVar[str] = "train"


@dataclass(frozen=True, slots=True)
class AcceptRule(Rule):
    """Who may accept what screening finds in these datasets."""

    kind: ClassVar[str] = "accept"


@dataclass(frozen=True, slots=True)
class Policy:
    """Principals, and the rules of each kind in order of precedence."""

    principals: tuple[Principal, ...] = ()
    publish: tuple[PublishRule, ...] = ()
    revoke: tuple[RevokeRule, ...] = ()
    freshness: tuple[FreshnessRule, ...] = ()
    train: tuple[TrainRule, ...] = ()
    accept: tuple[AcceptRule, ...] = ()

    def publish_rule(self, dataset: str) -> PublishRule | None:
        """The first rule that covers `dataset`; it alone decides."""
        return _first(self.publish, dataset)

    def revoke_rule(self, dataset: str) -> RevokeRule | None:
        """As `publish_rule`, for revoking."""
        return _first(self.revoke, dataset)

    def freshness_rule(self, dataset: str) -> FreshnessRule | None:
        """As `publish_rule`, for *latest* statements."""
        return _first(self.freshness, dataset)

    def train_rule(self, dataset: str) -> TrainRule | None:
        """As `publish_rule`, for receipts of training runs."""
        return _first(self.train, dataset)

    def accept_rule(self, dataset: str) -> AcceptRule | None:
        """As `publish_rule`, for accepting findings."""
        return _first(self.accept, dataset)

    def rules(self) -> tuple[Rule, ...]:
        """The rules of all kinds."""
        return (*self.publish, *self.revoke, *self.freshness, *self.train, *self.accept)

    def signer_of(self, signature: Signature) -> Principal | None:
        """The principal that `signature` counts for: the first that matches it."""
        return next((who for who in self.principals if who.matches(signature)), None)

    def trusted_keys(self) -> tuple[TrustedKey, ...]:
        """The keys of all principals."""
        return tuple(key for principal in self.principals for key in principal.keys)


def short_fingerprint(fingerprint: str) -> str:
    """A truncated fingerprint for messages, never for comparisons."""
    algorithm, _, digits = fingerprint.partition(":")
    return f"{algorithm}:{digits[:_SHOWN_DIGITS]}"


def single_key_policy(fingerprint: str, pem: str) -> Policy:
    """The policy of `--key PUB`: this key alone may do everything."""
    name = short_fingerprint(fingerprint)
    return _single_principal_policy(Principal(name, keys=(TrustedKey(fingerprint, pem),)))


def single_identity_policy(identity: str, issuer: str) -> Policy:
    """The policy of `--identity I --issuer U`: this identity alone may do everything."""
    return _single_principal_policy(
        Principal(printable(identity), identities=(Identity(identity, issuer),))
    )


def _single_principal_policy(principal: Principal) -> Policy:
    """`principal` may do everything, nobody else anything; *latest* statements are optional."""
    every, names = ("*",), (principal.name,)
    return Policy(
        (principal,),
        publish=(PublishRule(every, names),),
        revoke=(RevokeRule(every, names),),
        freshness=(FreshnessRule(every, names, mandatory=False),),
        train=(TrainRule(every, names),),
        accept=(AcceptRule(every, names),),
    )


def _first(rules: Iterable[Covering], dataset: str) -> Covering | None:
    return next((rule for rule in rules if rule.covers(dataset)), None)
