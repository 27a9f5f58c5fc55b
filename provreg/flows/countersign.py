"""Countersigning: one more bundle over the very statement that others have signed.

A countersigner vouches for what they were shown: the version's integrity, how it differs from its
parent, and what the policy in force says of it and of the versions before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from provreg.core.head import Head
from provreg.core.names import Reference
from provreg.core.policy import Signature
from provreg.errors import NotTrustedError
from provreg.flows.compared import compared
from provreg.flows.diff import Diff
from provreg.flows.entries import load_entries
from provreg.flows.history import check_history, known_of
from provreg.flows.integrity import read_head
from provreg.flows.lineage import Ancestor, judged, lineage
from provreg.flows.revocations import read_chain
from provreg.flows.signatures import check_named
from provreg.flows.trusting import Trust, trust_signer
from provreg.flows.verify import locate
from provreg.flows.workspace import Workspace
from provreg.record import record
from provreg.trust.bundle import parse_bundle, verify_bundle
from provreg.trust.signer import Signer
from provreg.trust.sigstore.root import TrustedRoot


@record
class Review:
    """A version as its countersigner should see it before signing.

    `version` and `before`, the versions it continues, newest first, come with the policy's word on
    them. `changes` are those against its parent, None for a first version.
    """

    version: Ancestor
    before: Sequence[Ancestor]
    changes: Diff | None


@record
class Countersigned:
    """What came of it: the digest of the new bundle, None where the signer had signed before.

    `version` is what the policy says now.
    """

    bundle: str | None
    version: Ancestor


def review(workspace: Workspace, reference: Reference, trust: Trust | None) -> Review:
    """The version that `reference` stands for, sound (steps 4, 9, 10, 11), signed by whomever.

    One that is revoked is refused (step 8). Raises NotTrustedError with the step that does not
    hold, NotFoundError for no such version.
    """
    known = known_of(workspace, reference.dataset)
    number, digest = locate(workspace, reference)
    head = read_head(workspace, digest)
    check_named(head, reference.dataset, number)
    if trust is not None:
        read_chain(workspace, trust).check(head, digest)
    check_history(workspace, reference, digest, head, known)
    load_entries(workspace, head)
    *before, version = lineage(workspace, digest, trust)
    before.reverse()
    if not before:
        return Review(version, (), None)
    parent = before[0]
    load_entries(workspace, parent.head)
    changes = compared(workspace, parent, version, trust, workspace.holding_index)
    return Review(version, before, changes)


def countersign(
    workspace: Workspace,
    reviewed: Ancestor,
    signer: Signer,
    trust: Trust | None,
    root: TrustedRoot | None,
) -> Countersigned:
    """Adds the bundle of `signer` over `reviewed`, unless there is one that says no less.

    Raises as `Signer.sign`, and StorageError; nothing is then added.
    """
    head, digest = reviewed.head, reviewed.digest
    own = trust_signer(signer, root)
    stamping = getattr(signer, "stamp", None) is not None
    made = _own_signatures(workspace, head, digest, own)
    if any(one.signed_at is not None or not stamping for one in made):
        return Countersigned(None, reviewed)
    bundle = signer.sign(head.statement())
    added = workspace.versions.add_signature(head.dataset, digest, bundle)
    return Countersigned(added, judged(workspace, [(digest, head)], trust)[0])


def _own_signatures(workspace: Workspace, head: Head, digest: str, own: Trust) -> list[Signature]:
    """The signatures over this head by whom `own` trusts alone."""
    found = []
    for _, data in workspace.versions.signatures(head.dataset, digest):
        try:
            bundle = parse_bundle(data)
            made = verify_bundle(bundle, own.anchors)
        except NotTrustedError:
            continue
        # A certificate that verifies may be anybody's: whose it is says the policy.
        if bundle.payload == head.statement() and own.policy.signer_of(made) is not None:
            found.append(made)
    return found
