"""The gate: what a policy would say of data that nobody has published yet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from provreg.core.changes.changes import Changes, compare
from provreg.core.changes.content_rules import change_refusals, content_refusals
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
    refusals, signed = content_refusals(rule, entries), signers or rule.threshold
    if parent is None or not rule.bounds_changes(signed):
        return Gate(rule, None, tuple(refusals))
    base = judge.base(parent)
    if base is None:
        return Gate(rule, None, (*refusals, nothing_before(rule, dataset).message))
    load_base = partial(load_entries, judge.workspace, base.head)
    if base.digest != parent:
        changes = compare(load_base(), entries)
    refusals += change_refusals(rule, changes, base.head, signed, load_base)
    return Gate(rule, base, tuple(refusals))
