"""The acceptances of findings that count under a policy (docs/format/acceptance.md).

Anybody who can write to a registry can put one there: what is not signed by whom an [[accept]] rule
names is passed over. Removing one brings its finding back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from provreg.core.encoding.text import quoted
from provreg.core.policy.counting import count_principals
from provreg.core.policy.policy import Signature
from provreg.core.statements.acceptance import Acceptance, parse_acceptance
from provreg.errors import FormatError
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.lineage import Ancestor
from provreg.flows.verify.signatures import check_bundles, over_digest


@dataclass(frozen=True, slots=True)
class Accepted:
    """An acceptance with the signature of each principal that counts for it."""

    acceptance: Acceptance
    approvals: tuple[tuple[str, Signature], ...]

    @property
    def by(self) -> list[str]:
        """The principals."""
        return [name for name, _ in self.approvals]


@dataclass(frozen=True, slots=True)
class Acceptances:
    """The acceptances of a line of versions, by the digest of what was found.

    `pending` are those that lack nothing but more signatures. `passed_over` says why one does not
    count.
    """

    counted: Mapping[str, Accepted] = field(default_factory=dict)
    pending: Mapping[str, Accepted] = field(default_factory=dict)
    passed_over: Mapping[str, str] = field(default_factory=dict)


def read_acceptances(
    workspace: Workspace, line: Sequence[Ancestor], trust: Trust | None
) -> Acceptances:
    """The acceptances in versions of `line`, the newest last, judged under the policy in force.

    An acceptance in one version counts in those that continue it, and in no other. Of several of
    one finding the oldest is taken. Raises StorageError.
    """
    head = line[-1].head
    rule = None if trust is None else trust.policy.accept_rule(head.dataset)
    counted: dict[str, Accepted] = {}
    pending: dict[str, Accepted] = {}
    passed_over: dict[str, str] = {}
    if trust is None:
        return Acceptances()
    heads = {ancestor.digest for ancestor in line}
    now = datetime.now(UTC)
    for acceptance, signatures in _signed(workspace, head.dataset, trust):
        found = acceptance.found.digest()
        if acceptance.uid != head.uid or acceptance.head not in heads:
            passed_over[found] = f"it is of version {acceptance.version} of another line"
        elif rule is None:
            passed_over[found] = f"no [[accept]] rule of the policy covers {quoted(head.dataset)}"
        else:
            count = count_principals(
                trust.policy, rule, signatures, now=now, created=acceptance.created
            )
            accepted = Accepted(acceptance, count.approvals)
            if count.is_met:
                counted.setdefault(found, accepted)
                continue
            aside = "".join(f"; not counted: {signature}" for signature in count.uncounted)
            passed_over[found] = f"{count.needed}{aside}"
            if count.approvals:
                pending.setdefault(found, accepted)
    return Acceptances(counted, pending, passed_over)


def _signed(
    workspace: Workspace, dataset: str, trust: Trust
) -> Iterator[tuple[Acceptance, list[Signature]]]:
    """The acceptances of `dataset` that somebody known signed, the oldest first, with by whom."""
    found = []
    for digest in workspace.acceptances.digests(dataset):
        bundles = workspace.acceptances.bundles(digest, dataset)
        checked = check_bundles(bundles, trust, over_digest(digest))
        if not checked.good:
            continue
        try:
            acceptance = parse_acceptance(checked.good[0][0].payload)
        except FormatError as error:
            workspace.acceptances.report(f"an acceptance is ignored: {error.message}")
            continue
        if acceptance.dataset == dataset:
            found.append((acceptance.created, digest, acceptance, checked.signatures))
    for _, _, acceptance, signatures in sorted(found, key=lambda one: one[:2]):
        yield acceptance, signatures
