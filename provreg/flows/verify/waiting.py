"""Proposals that wait: heads beside the versions, signed, under a number that nobody has yet.

Anybody who can write to a registry can put any of them there. So the first thing that is asked of
one is whether somebody whom the policy names has signed it; nothing else of it is read before.
"""

from __future__ import annotations

from dataclasses import dataclass

from provreg.core.statements.statement import VERSION_PREDICATE, parse_about
from provreg.errors import FormatError
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.bundles import check_bundles
from provreg.trust.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proposal of version `number` with this head digest; `by` are the principals who signed it,
    whether or not a rule lets them publish: none where the policy names nobody who did."""

    number: int
    digest: str
    by: tuple[str, ...]


def proposed(workspace: Workspace, dataset: str, trust: Trust, *, above: int = 0) -> list[Waiting]:
    """The proposals of numbers over `above`, ascending, with who signed them."""
    return [
        Waiting(number, digest, signers_of(workspace, dataset, number, digest, trust))
        for number, digest in workspace.versions.proposals(dataset, above=above)
    ]


def waiting(workspace: Workspace, dataset: str, trust: Trust, *, above: int) -> list[Waiting]:
    """As `proposed`, but for those that nobody signed whom the policy names."""
    return [one for one in proposed(workspace, dataset, trust, above=above) if one.by]


def signers_of(
    workspace: Workspace, dataset: str, number: int, digest: str, trust: Trust
) -> tuple[str, ...]:
    """The principals of the policy who signed that the head `digest` is this version, by name."""

    def of_this_version(bundle: Bundle) -> bool:
        try:
            about = parse_about(bundle.payload, VERSION_PREDICATE, "the statement")
        except FormatError:
            return False
        return (about.dataset, about.version, about.head) == (dataset, number, digest)

    checked = check_bundles(workspace.versions.signatures(dataset, digest), trust, of_this_version)
    principals = map(trust.policy.signer_of, checked.signatures)
    return tuple(sorted({principal.name for principal in principals if principal is not None}))
