"""The gate: what a policy would say of data that nobody has published yet."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from provreg.core.changes.changes import Changes, compare
from provreg.core.changes.content_rules import disallowed_origins, exceeded_limits
from provreg.core.policy.policy import PublishRule
from provreg.flows.verify.manifest import load_entries
from provreg.flows.verify.steps import Base, Judge, nothing_before


@dataclass(frozen=True, slots=True)
class Gate:
    """What a publish rule would say of data that nobody has published yet.

    `base` is the version they were compared with, None for a first one; `refusals` are the
    violations of the rule, regardless of who signs.
    """

    rule: PublishRule
    base: Base | None
    refusals: tuple[str, ...]


def gate(
    judge: Judge,
    dataset: str,
    entries: pa.Table,
    changes: Changes,
    *,
    parent: str | None,
    signers: int | None = None,
) -> Gate | None:
    """The gate for the `entries` of a version to be; None where no rule covers the dataset, or its
    rule sets no bounds.

    `changes` are those from the parent, whose digest is `parent`. `signers` is how many principals
    sign it, by default as many as the rule asks for. Raises as `Judge.base`.
    """
    rule = judge.trust.policy.publish_rule(dataset)
    if rule is None or not rule.checks_content:
        return None
    refusals, signed = disallowed_origins(rule, entries), signers or rule.threshold
    if parent is None or all(limit.is_waived(signed) for limit in rule.limits):
        return Gate(rule, None, tuple(refusals))
    base = judge.base(parent)
    if base is None:
        return Gate(rule, None, (*refusals, nothing_before(rule, dataset).message))
    if base.digest != parent:
        changes = compare(load_entries(judge.workspace, base.head), entries)
    refusals += exceeded_limits(rule, changes, base.head.samples, signed)
    return Gate(rule, base, tuple(refusals))
