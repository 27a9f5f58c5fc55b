"""The gate: what a policy would say of data that nobody has published yet."""

from __future__ import annotations

from dataclasses import dataclass

from provreg.core.change import compare
from provreg.core.content import exceeded, foreign_names
from provreg.core.policy import PublishRule
from provreg.flows.draft import Draft
from provreg.flows.entries import load_entries
from provreg.flows.judging import Base, Judge, nothing_before


@dataclass(frozen=True, slots=True)
class Gate:
    """What a publish rule would say of data that nobody has published yet.

    `base` is the version they were held against, None for a first one; `refusals` say in words what
    the rule does not take, whoever signs: empty where it takes all.
    """

    rule: PublishRule
    base: Base | None
    refusals: tuple[str, ...]


def gate(judge: Judge, drafted: Draft, *, signers: int | None = None) -> Gate | None:
    """The gate for a draft; None where no rule covers the dataset, or its rule sets no bounds.

    `signers` is how many principals sign it, by default as many as the rule asks for. Raises as
    `Judge.base`.
    """
    rule, parent = judge.trust.policy.publish_rule(drafted.dataset), drafted.parent
    if rule is None or not rule.looks_inside:
        return None
    refusals, signed = foreign_names(rule, drafted.entries), signers or rule.threshold
    if parent is None or all(limit.lifted(signed) for limit in rule.limits):
        return Gate(rule, None, tuple(refusals))
    base, changes = judge.base(parent.digest), drafted.changes
    if base is None:
        return Gate(rule, None, (*refusals, nothing_before(rule, drafted.dataset).message))
    if base.digest != parent.digest:
        changes = compare(load_entries(judge.workspace, base.head), drafted.entries)
    refusals += exceeded(rule, changes, base.head.samples, signed)
    return Gate(rule, base, tuple(refusals))
