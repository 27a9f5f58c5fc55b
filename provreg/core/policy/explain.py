"""A policy in words (`provreg policy check`), and what of it can never apply."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from provreg.core.encoding.text import quoted
from provreg.core.encoding.times import format_duration
from provreg.core.policy.policy import (
    FreshnessRule,
    Policy,
    Principal,
    PublishRule,
    Required,
    Rule,
    TrustedKey,
)

_REQUIRED: dict[Required, str] = {
    "log": "a transparency log has",
    "timestamp": "a timestamp authority has stamped",
    "time": "a log or a timestamp proves the time of",
}


def explain(policy: Policy, now: datetime) -> list[str]:
    """The policy in words, a line each, safe to print."""
    lines = [line for principal in policy.principals for line in _describe(principal, now)]
    for rules in (policy.publish, policy.revoke, policy.freshness, policy.train):
        for place, rule in enumerate(rules):
            lines += _describe_rule(rule)
            lines += (f"  {note}" for note in _never(policy, rule, rules[:place]))
    named = {name for rule in policy.rules() for name in rule.signers}
    lines.extend(
        f"no rule names {principal.name}"
        for principal in policy.principals
        if principal.name not in named
    )
    return [*lines, "nothing else is allowed" if policy.rules() else "nothing is allowed"]


def _describe(principal: Principal, now: datetime) -> Iterator[str]:
    yield f"principal {principal.name}"
    for key in principal.keys:
        yield f"  key {key.fingerprint}{_holds(key, now)}"
    for known in principal.identities:
        yield f"  {known}"


def _holds(key: TrustedKey, now: datetime) -> str:
    moments = (("valid from", key.valid_from), ("valid until", key.valid_until),
               ("revoked from", key.revoked))  # fmt: skip
    said = "".join(
        f", {name} {moment:%Y-%m-%d %H:%M:%SZ}" for name, moment in moments if moment is not None
    )
    end = min((end for end in (key.valid_until, key.revoked) if end is not None), default=None)
    if end is not None and key.valid_from is not None and end <= key.valid_from:
        return f"{said}: it never holds"
    if end is not None and end <= now:
        return f"{said}: only what was stamped before, seen or pinned stands"
    return said


def _describe_rule(rule: Rule) -> Iterator[str]:
    yield f"{rule}: {rule.threshold} of {', '.join(rule.signers)}"
    if rule.countersigners:
        yield f"  at least one of them of {', '.join(rule.principals)}"
    if isinstance(rule, PublishRule):
        if rule.minimum_version > 1:
            yield f"  from version {rule.minimum_version} on"
        yield from _describe_content(rule)
    if isinstance(rule, FreshnessRule):
        asked = "is needed" if rule.mandatory else "is heeded where there is one"
        yield f"  their statement of which version is the newest {asked}"
    if rule.required is not None:
        yield f"  only signatures count that {_REQUIRED[rule.required]}"
    if rule.maximum_age is not None:
        yield f"  only signatures count that are at most {format_duration(rule.maximum_age)} old"


def _describe_content(rule: PublishRule) -> Iterator[str]:
    for origin, names in (("sources", rule.sources), ("labelers", rule.labelers)):
        if names is None:
            continue
        if names.allow is not None:
            yield f"  {origin}: {_listed(names.allow)} and no other"
        if names.forbid:
            yield f"  {origin}: not {_listed(names.forbid)}"
        if origin == "labelers":
            yield f"  a sample without a labeler is {'taken' if names.absent else 'refused'}"
    for limit in rule.limits:
        yield f"  {limit}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def _never(policy: Policy, rule: Rule, earlier: Sequence[Rule]) -> Iterator[str]:
    for name in rule.datasets:
        if any(one.covers(name) for one in earlier):
            yield f"{name} is never asked here: a rule above covers it"
    lifting = isinstance(rule, PublishRule) and any(limit.unless for limit in rule.limits)
    if rule.countersigners and rule.threshold == 1 and not lifting:
        yield "its countersigners never matter: one signature is enough, and not theirs alone"
    if isinstance(rule, PublishRule):
        for names in filter(None, (rule.sources, rule.labelers)):
            for name in names.allow or ():
                if not names.allows(name):
                    yield f"{quoted(name)} is allowed, and forbidden all the same"
    if rule.required == "log":
        silent = {one.name for one in policy.principals if not one.identities} & set(rule.signers)
        if silent:
            yield f"never counted: {', '.join(sorted(silent))}, for keys leave no log entry"
        if rule.threshold > len(rule.signers) - len(silent) or silent >= set(rule.principals):
            yield "it can never be met"
