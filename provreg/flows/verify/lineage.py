"""The line of versions that ends in one, and who signed each of them.

Signers are judged under the policy in force when asked, and never stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pyarrow as pa

from provreg.core.encoding.text import counted, printable
from provreg.core.manifest.head import Head, counts_in_words
from provreg.core.policy.policy import Proof, Signature
from provreg.core.statements.statement import statement_of
from provreg.errors import NotTrustedError, RevokedError
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.manifest import history
from provreg.flows.verify.signatures import (
    BundleSigner,
    bundle_signers,
    is_proposal,
    names_of,
    verified_signer,
)
from provreg.flows.verify.steps import Judge, read_signatures

Standing = Literal["trusted", "waiting", "revoked", "distrusted", "unsigned", "proposed"]


@dataclass(frozen=True, slots=True)
class CountedSigner:
    """A principal of the policy, and the signature it is counted for."""

    principal: str
    signature: Signature


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One version of a line. `trusted_because` is None where the policy does not trust it.

    `standing` is how it stands then: it is *waiting* for signatures where those that it has count
    and are too few, a mere *proposal*, *distrusted* for any other reason. `signed_by` names who
    signed it, whether or not that counts, and says of whom it is only claimed; `signatures` has
    each of their signatures. `needed` says what a *waiting* version lacks.
    """

    digest: str
    head: Head
    signers: tuple[CountedSigner, ...]
    trusted_because: str | None
    refused_because: str | None
    standing: Standing
    signed_by: tuple[str, ...]
    signatures: tuple[BundleSigner, ...]
    needed: str = ""

    def __repr__(self) -> str:
        version = f"{self.head.dataset}@{self.head.version}"
        signers = ", ".join(self.signed_by) or "nobody"
        samples = counted(self.head.samples, "sample")
        return f"Ancestor({version}, {samples}, {self.standing}, signed by {printable(signers)})"

    @property
    def summary(self) -> dict[str, object]:
        """The facts of the version for a table."""
        return {
            "dataset": self.head.dataset,
            "version": self.head.version,
            "created": self.head.created,
            "samples": self.head.samples,
            "changes": counts_in_words(self.head.changes),
            "standing": self.standing,
            "signed by": ", ".join(self.signed_by),
            "message": self.head.message,
        }

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
    return judge_versions(workspace, line, trust)


def judge_versions(
    workspace: Workspace, heads: Iterable[tuple[str, Head]], trust: Trust | None
) -> list[Ancestor]:
    """`heads` with what the policy and what is known say of them (steps 1 to 9, limits)."""
    judge = None if trust is None else Judge.of(workspace, trust)
    heads = list(heads)
    if judge is not None:
        judge.lines.heads.update(heads)
    return [_judge_version(workspace, judge, digest, head) for digest, head in heads]


def _judge_version(workspace: Workspace, judge: Judge | None, digest: str, head: Head) -> Ancestor:
    def signed_by_bundles() -> tuple[BundleSigner, ...]:
        bundles = workspace.versions.bundles(digest, head.dataset)
        trust = None if judge is None else judge.trust
        return bundle_signers(bundles, statement_of(head), trust)

    if judge is None:
        made = signed_by_bundles()
        why = "no policy and no key says whom to trust"
        standing: Standing = "distrusted" if made else "unsigned"
        return Ancestor(digest, head, (), None, why, standing, names_of(made), made)
    try:
        signed = judge.check(digest, head)
    except NotTrustedError as error:
        made = signed_by_bundles()
        standing = _standing(judge, digest, head, error) if made else "unsigned"
        why = f"step {error.step}: {error.message}"
        needed = error.hint if standing == "waiting" else ""
        return Ancestor(digest, head, (), None, why, standing, names_of(made), made, needed)
    approvals = signed.verdict.approvals
    signers = tuple(CountedSigner(name, signature) for name, signature in approvals)
    names = tuple(name for name, _ in approvals)
    if signed.skipped:
        made = signed_by_bundles()
    else:
        made = tuple(verified_signer(signature, judge.trust) for signature in signed.signatures)
    return Ancestor(digest, head, signers, signed.verdict.reason, None, "trusted", names, made)


def _standing(judge: Judge, digest: str, head: Head, refusal: NotTrustedError) -> Standing:
    """The standing of a signed version that the policy refuses."""
    if isinstance(refusal, RevokedError):
        return "revoked"
    if is_proposal(judge.workspace, head, digest):
        return "proposed"
    bundles = judge.workspace.versions.bundles(digest, head.dataset)
    try:
        verdict = read_signatures(
            judge.workspace, head.dataset, head.version, digest, judge.trust, bundles, head=head
        ).verdict
    except NotTrustedError:
        return "distrusted"
    if not verdict.trusted:
        return "waiting" if verdict.approvals else "distrusted"
    rule, signers = verdict.rule, len(verdict.approvals)
    return "waiting" if rule is not None and rule.is_lifted_above(signers) else "distrusted"


def changes_on(workspace: Workspace, line: Sequence[Ancestor]) -> pa.Table | None:
    """The index's changes of the versions on `line`, None where it does not have all of them.

    Then the objects of one do not hold together, and what it changed is not known. A proposal, with
    which a line may end, is not in the index.
    """
    indexed = {version.head for version in workspace.index.versions()}
    versions = list(line)
    proposal = None
    if versions and versions[-1].standing == "proposed" and versions[-1].digest not in indexed:
        proposal = versions.pop()
    if {ancestor.digest for ancestor in versions} - indexed:
        return None
    changes = workspace.index.changes([ancestor.digest for ancestor in versions])
    if proposal is None:
        return changes
    from provreg.flows.verify.changes import changes_of
    from provreg.store.index.rows import change_rows

    rows = change_rows(changes_of(workspace, proposal.head)[0])
    place = pa.array([len(versions)] * len(rows), pa.int32())
    rows = rows.append_column("version", place).select(changes.column_names)
    return pa.concat_tables([changes, rows.cast(changes.schema)])


def place_of(line: Sequence[Ancestor], digest: str) -> int | None:
    """The place of the head `digest` in a line, None where it is not on it."""
    return next((place for place, ancestor in enumerate(line) if ancestor.digest == digest), None)
