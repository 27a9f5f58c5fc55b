"""A policy explained in words (`provreg policy check`), with its ineffective parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from provreg.core.encoding.text import quoted
from provreg.core.encoding.times import format_duration
from provreg.core.policy.policy import (
    FreshnessRule,
    LabelRule,
    NameList,
    Policy,
    Principal,
    PublishRule,
    Required,
    Rule,
    TrustedKey,
)

_REQUIRED: dict[Required, str] = {
    "log": "a transparency log entry",
    "timestamp": "a timestamp",
    "time": "a proven time",
}


def explain(policy: Policy, now: datetime) -> list[str]:
    """The lines of the explanation, safe to print."""
    lines = [line for principal in policy.principals for line in _describe(principal, now)]
    kinds = (policy.publish, policy.revoke, policy.freshness, policy.train, policy.accept)
    for rules in kinds:
        for place, rule in enumerate(rules):
            lines += _describe_rule(rule)
            lines += (f"  {note}" for note in _ineffective(policy, rule, rules[:place]))
    used = {name for rule in policy.rules() for name in rule.signers}
    lines.extend(
        f"no rule names {principal.name}"
        for principal in policy.principals
        if principal.name not in used
    )
    return [*lines, "nothing else is allowed" if policy.rules() else "nothing is allowed"]


def _describe(principal: Principal, now: datetime) -> Iterator[str]:
    yield f"principal {principal.name}"
    for key in principal.keys:
        yield f"  key {key.fingerprint}{_validity(key, now)}"
    for identity in principal.identities:
        yield f"  {identity}"


def _validity(key: TrustedKey, now: datetime) -> str:
    moments = (("valid from", key.valid_from), ("valid until", key.valid_until),
               ("revoked from", key.revoked))  # fmt: skip
    periods = "".join(
        f", {name} {moment:%Y-%m-%d %H:%M:%SZ}" for name, moment in moments if moment is not None
    )
    end = min((end for end in (key.valid_until, key.revoked) if end is not None), default=None)
    if end is not None and key.valid_from is not None and end <= key.valid_from:
        return f"{periods}: it is never valid"
    if end is not None and end <= now:
        return f"{periods}: only signatures proven, seen or pinned to be earlier count"
    return periods


def _describe_rule(rule: Rule) -> Iterator[str]:
    yield f"{rule}: {rule.threshold} of {', '.join(rule.signers)}"
    if rule.countersigners:
        yield f"  at least one of them of {', '.join(rule.principals)}"
    if isinstance(rule, PublishRule):
        if rule.minimum_version > 1:
            yield f"  from version {rule.minimum_version} on"
        yield from _describe_content(rule)
    if isinstance(rule, FreshnessRule):
        need = "required" if rule.mandatory else "used if there is one"
        yield f"  their latest statement is {need}"
    if rule.required is not None:
        yield f"  only signatures with {_REQUIRED[rule.required]} count"
    if rule.maximum_age is not None:
        yield f"  only signatures at most {format_duration(rule.maximum_age)} old count"


def _describe_content(rule: PublishRule) -> Iterator[str]:
    for origin, names in (("sources", rule.sources), ("labelers", rule.labelers)):
        if names is None:
            continue
        if names.allow is not None:
            yield f"  {origin}: {_list(names.allow)} and no other"
        if names.forbid:
            yield f"  {origin}: not {_list(names.forbid)}"
        if origin == "labelers":
            yield f"  a sample without a labeler is {'allowed' if names.absent else 'refused'}"
    if rule.labels is not None:
        yield from _describe_labels(rule.labels)
    for limit in rule.limits:
        yield f"  {limit}"


def _describe_labels(labels: LabelRule) -> Iterator[str]:
    if labels.allow is not None:
        yield f"  labels: {_list(labels.allow)} and no other"
    if labels.forbid:
        yield f"  labels: not {_list(labels.forbid)}"
    if not labels.absent and labels.share is None and labels.count is None:
        yield "  a sample without a label is refused"
    else:
        yield f"  samples without a label: {labels.absent_in_words}"
    if labels.signers_for_new is not None:
        yield f"  a new label needs {labels.signers_for_new} of them to sign"


def _list(names: Sequence[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def _ineffective(policy: Policy, rule: Rule, earlier: Sequence[Rule]) -> Iterator[str]:
    for name in rule.datasets:
        if any(other.covers(name) for other in earlier):
            yield f"{name} has no effect here: an earlier rule covers it"
    has_waiver = isinstance(rule, PublishRule) and (
        any(limit.unless for limit in rule.limits)
        or (rule.labels is not None and rule.labels.signers_for_new is not None)
    )
    if rule.countersigners and rule.threshold == 1 and not has_waiver:
        yield "its countersigners have no effect: one signature of a principal is enough"
    if isinstance(rule, PublishRule):
        bounds: tuple[NameList | LabelRule | None, ...]
        bounds = (rule.sources, rule.labelers, rule.labels)
        for names in bounds:
            if names is None:
                continue
            for name in names.allow or ():
                if not names.allows(name):
                    yield f"{quoted(name)} is both allowed and forbidden: it is refused"
    if rule.required == "log":
        keys_only = {who.name for who in policy.principals if not who.identities}
        keys_only &= set(rule.signers)
        if keys_only:
            yield f"never counted: {', '.join(sorted(keys_only))}, because keys have no log entry"
        if rule.threshold > len(rule.signers) - len(keys_only) or keys_only >= set(rule.principals):
            yield "it can never be met"
