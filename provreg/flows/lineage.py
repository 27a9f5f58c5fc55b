"""The line of versions that ends in one, and who signed each of them.

Signers are judged under the policy in force when asked, and never stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import pyarrow as pa

from provreg.core.head import Head
from provreg.core.policy import Proof, Signature
from provreg.errors import NotTrustedError
from provreg.flows.integrity import history
from provreg.flows.judging import Judge
from provreg.flows.trusting import Trust
from provreg.flows.workspace import Workspace
from provreg.record import record


@record
class Signer:
    """A principal of the policy, and the signature it is counted for."""

    principal: str
    signature: Signature


@record
class Ancestor:
    """One version of a line. `trusted_because` is None where the policy does not trust it."""

    digest: str
    head: Head
    signers: tuple[Signer, ...]
    trusted_because: str | None
    refused_because: str | None

    @property
    def signed_at(self) -> datetime:
        """The time a signature proves, else the one the head claims."""
        proven = [
            signer.signature.signed_at
            for signer in self.signers
            if signer.signature.signed_at is not None
        ]
        return min(proven, default=self.head.created)

    @property
    def proof(self) -> Proof:
        """What vouches for `signed_at`."""
        proofs = [s.signature.proof for s in self.signers if s.signature.signed_at is not None]
        return proofs[0] if proofs else "claimed"


def lineage(workspace: Workspace, digest: str, trust: Trust | None) -> list[Ancestor]:
    """The versions from the first to the head `digest`, oldest first.

    Raises NotTrustedError (step 9) where the line is broken.
    """
    line = list(history(workspace, digest))
    line.reverse()
    return judged(workspace, line, trust)


def judged(
    workspace: Workspace, heads: Iterable[tuple[str, Head]], trust: Trust | None
) -> list[Ancestor]:
    """`heads` with what the policy says of them (steps 1 to 8)."""
    judge = None if trust is None else Judge.of(workspace, trust)
    return [_judged(judge, digest, head) for digest, head in heads]


def _judged(judge: Judge | None, digest: str, head: Head) -> Ancestor:
    if judge is None:
        return Ancestor(digest, head, (), None, "no policy and no key says whom to trust")
    try:
        signed = judge.check(digest, head)
    except NotTrustedError as error:
        return Ancestor(digest, head, (), None, f"step {error.step}: {error.message}")
    signers = tuple(Signer(name, made) for name, made in signed.verdict.approvals)
    return Ancestor(digest, head, signers, signed.verdict.reason, None)


def changes_on(workspace: Workspace, line: Sequence[Ancestor]) -> pa.Table | None:
    """The index's changes of the versions on `line`, None where it does not have all of them.

    Then the objects of one do not hold together, and what it changed is not known.
    """
    if {one.digest for one in line} - {one.head for one in workspace.index.versions()}:
        return None
    return workspace.index.changes([one.digest for one in line])


def place_of(line: Sequence[Ancestor], digest: str) -> int | None:
    """The place of the head `digest` in a line, None where it is not on it."""
    return next((at for at, one in enumerate(line) if one.digest == digest), None)
