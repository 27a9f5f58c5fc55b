"""What a policy says of one version's signatures (steps 6, 7 and 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from provreg.core.encoding.text import quoted
from provreg.core.policy.counting import NOBODY, Count, SetAside, Witness, count_principals
from provreg.core.policy.policy import Policy, PublishRule, Signature
from provreg.errors import NotTrustedError

_SHOWN_SIGNATURES = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy says of one version.

    `approvals` pairs each counted principal with the signature it is counted for, in the order of
    the rule; `set_aside` are the signatures that were not counted. `reason` says in words why it is
    trusted or refused, `needed` what would be needed. `step` is the step that refuses, 7 if none.
    """

    trusted: bool
    step: int
    reason: str
    needed: str = ""
    rule: PublishRule | None = None
    approvals: tuple[tuple[str, Signature], ...] = ()
    set_aside: tuple[SetAside, ...] = ()

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
    witness: Witness = NOBODY,
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
        count.met,
        step=_step(count),
        reason=_reason(rule, count),
        needed=count.needed,
        rule=rule,
        approvals=count.approvals,
        set_aside=count.set_aside,
    )


def _step(count: Count) -> int:
    if count.met:
        return 7
    if count.met_but_for_time:
        return 8
    return 7 if count.approvals else 6


def _reason(rule: PublishRule, count: Count) -> str:
    if count.approvals:
        made = ", ".join(f"{name} ({signature})" for name, signature in count.approvals)
        asked = f" by {rule}" if rule.place else ""
        said = f"signed by {len(count.approvals)} of {rule.threshold} needed{asked}: {made}"
    elif count.met_but_for_time:
        said = f"{rule} takes no signature that this version has"
    else:
        said = f"nobody whom {rule} allows to publish it has signed it"
    if not count.set_aside:
        return said
    others = ", ".join(str(one) for one in count.set_aside[:_SHOWN_SIGNATURES])
    left = len(count.set_aside) - _SHOWN_SIGNATURES
    more = f" and {left} more" if left > 0 else ""
    return f"{said}; not counted: {others}{more}"
