"""Countersigning: one more bundle over the very statement that others have signed.

A countersigner vouches for what they were shown: the version's integrity, how it differs from its
parent, and what the policy in force says of it and of the versions before it. Whose signature
completes a proposal publishes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provreg.core.encoding.names import Reference
from provreg.core.manifest.head import Head
from provreg.core.policy.policy import Signature
from provreg.core.statements.statement import statement_of
from provreg.errors import NotTrustedError
from provreg.flows.history.diff import Diff, diff_versions
from provreg.flows.ingest.publish import find_parent
from provreg.flows.session.trust import Trust, trust_signer
from provreg.flows.session.workspace import Workspace
from provreg.flows.sign.proposals import Proposal, complete, find_proposal
from provreg.flows.verify.history import check_history, known_of
from provreg.flows.verify.lineage import Ancestor, judge_versions, lineage
from provreg.flows.verify.manifest import load_entries, locate, read_head
from provreg.flows.verify.revocations import read_chain
from provreg.flows.verify.signatures import check_bundles, is_recorded, no_version, over
from provreg.flows.verify.steps import check_named
from provreg.trust.signers import Signer
from provreg.trust.sigstore.root import TrustedRoot


@dataclass(frozen=True, slots=True)
class Review:
    """A version as its countersigner should see it before signing.

    `version` and `before`, the versions it continues, newest first, come with the policy's word on
    them. `changes` are those against its parent, None for a first version. `proposal` is set where
    it is no version yet.
    """

    version: Ancestor
    before: Sequence[Ancestor]
    changes: Diff | None
    proposal: Proposal | None = None

    def __repr__(self) -> str:
        return f"Review({self.version})"


@dataclass(frozen=True, slots=True)
class Countersigned:
    """What came of it: the digest of the new bundle, None where the signer had signed before.

    `version` is what the policy says now, `proposal` what a proposal still lacks: None for a
    version, and where it became one, which `published` says.
    """

    bundle: str | None
    version: Ancestor
    proposal: Proposal | None = None
    published: bool = False


def review(
    workspace: Workspace, reference: Reference, trust: Trust | None, *, after_revoked: bool = False
) -> Review:
    """The version that `reference` names, intact (steps 4, 9, 10, 11), regardless of its signers.

    By its digest a proposal too, unless it is stale. One that is revoked is refused (step 8).
    Raises NotTrustedError with the step that does not hold, NotFoundError for no such version.
    """
    known = known_of(workspace, reference)
    number, digest = locate(workspace, reference)
    head = read_head(workspace, digest)
    check_named(head, reference.dataset, number)
    if trust is not None:
        read_chain(workspace, trust).check(head, digest)
    proposal = _proposal(workspace, head, digest, trust, after_revoked=after_revoked)
    check_history(workspace, reference, digest, head, known)
    load_entries(workspace, head)
    *before, version = lineage(workspace, digest, trust)
    before.reverse()
    if not before:
        return Review(version, (), None, proposal)
    parent = before[0]
    load_entries(workspace, parent.head)
    changes = diff_versions(workspace, parent, version, trust, workspace.holding_index)
    return Review(version, before, changes, proposal)


def countersign(
    workspace: Workspace,
    reviewed: Review,
    signer: Signer,
    trust: Trust | None,
    root: TrustedRoot | None,
    *,
    after_revoked: bool = False,
) -> Countersigned:
    """Adds the bundle of `signer` over what was reviewed, unless there is one that says no less.

    A proposal that is complete then is published. Raises as `Signer.sign`,
    StorageError, and NotTrustedError for a proposal that is stale; nothing is then added.
    """
    head, digest = reviewed.version.head, reviewed.version.digest
    if reviewed.proposal is not None:
        # Between what was shown and the answer of a person much can happen.
        _proposal(workspace, head, digest, trust, after_revoked=after_revoked)
    bundle = None
    if not signed_before(workspace, head, digest, signer, root):
        made = signer.sign(statement_of(head))
        bundle = workspace.versions.add(digest, made, head.dataset)
    proposal, published = None, False
    if reviewed.proposal is not None:
        proposal = _proposal(workspace, head, digest, trust, after_revoked=after_revoked)
        if trust is not None and proposal is not None and proposal.state == "complete":
            published = complete(workspace, head, digest, trust)
            proposal = _proposal(workspace, head, digest, trust, after_revoked=after_revoked)
    version = judge_versions(workspace, [(digest, head)], trust)[0]
    return Countersigned(bundle, version, proposal, published)


def _proposal(
    workspace: Workspace, head: Head, digest: str, trust: Trust | None, *, after_revoked: bool
) -> Proposal | None:
    """The proposal of this head; None where it is a version.

    Raises NotTrustedError (step 5) where it is neither, and where it can become none any more.
    """
    if is_recorded(workspace, head, digest):
        return None
    if trust is None:
        raise NotTrustedError(
            "nothing says whom to trust, and so what the proposal lacks",
            step=6,
            hint="name a policy with --policy FILE or a public key with --key FILE.pub",
        )
    reference = Reference(head.dataset, head=digest)
    proposal = find_proposal(workspace, reference, trust, after_revoked=after_revoked)
    if proposal is None:
        raise no_version(head, digest)
    if proposal.state == "stale":
        raise NotTrustedError(
            f"the proposal {reference} is stale: {proposal.because}", step=5, hint=proposal.needed
        )
    # Nor is one signed where nobody can tell which version is the newest: it raises.
    find_parent(workspace, head.dataset, trust, after_revoked=after_revoked)
    return proposal


def signed_before(
    workspace: Workspace, head: Head, digest: str, signer: Signer, root: TrustedRoot | None
) -> bool:
    """Whether there is a bundle of `signer` that says no less than another one would."""
    stamping = getattr(signer, "stamp", None) is not None
    signatures = _own_signatures(workspace, head, digest, trust_signer(signer, root))
    return any(signature.signed_at is not None or not stamping for signature in signatures)


def _own_signatures(workspace: Workspace, head: Head, digest: str, own: Trust) -> list[Signature]:
    """The signatures over this head by whom `own` trusts alone."""
    bundles = workspace.versions.bundles(digest, head.dataset)
    signatures = check_bundles(bundles, own, over(statement_of(head))).signatures
    # A certificate that verifies may be anybody's: whose it is says the policy.
    return [signature for signature in signatures if own.policy.signer_of(signature) is not None]
