"""Proposals, judged: what each lacks to be a version, and how it becomes one (ADR 33).

A proposal is a version in all but its number: the same head, objects and bundles. Whoever adds the
signature that meets the policy claims the number. Killed before that, it is complete, and whoever
signs it next publishes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

from provreg.core.encoding.names import Reference
from provreg.core.manifest.head import Head, check_parent
from provreg.errors import (
    DamagedError,
    FormatError,
    NotTrustedError,
    RevokedError,
    StorageError,
)
from provreg.flows.ingest.publish import claim, find_parent
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.history import check_history, check_revocations_present, known_of
from provreg.flows.verify.manifest import entries_of_checked, load_entries, read_head
from provreg.flows.verify.signatures import (
    PendingProposal,
    is_proposal,
    is_recorded,
    list_proposals,
    signers_of,
)
from provreg.flows.verify.steps import Judge, Step, check_named, read_signatures

if TYPE_CHECKING:
    from provreg.executors.api import Progress

State = Literal["waiting", "complete", "stale", "revoked", "unknown"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal under the policy in force.

    `head` is None where nobody signed it whom the policy names (`unknown`): it is not looked at.
    `complete`: the policy would trust it, and it lacks its number only. `because` says why, and
    `needed` what would have to be done.
    """

    dataset: str
    waiting: PendingProposal
    head: Head | None
    state: State
    because: str
    needed: str = ""

    @property
    def reference(self) -> str:
        return f"{self.dataset}@{self.waiting.digest}"


def proposals(workspace: Workspace, trust: Trust) -> list[Proposal]:
    """The proposals of all datasets that did not become versions, by name and number."""
    return [
        found
        for dataset in workspace.versions.proposed()
        for proposal in list_proposals(workspace, dataset, trust)
        if (found := _judge_proposal(workspace, dataset, proposal, trust)) is not None
    ]


def _judge_proposal(
    workspace: Workspace, dataset: str, proposal: PendingProposal, trust: Trust
) -> Proposal | None:
    if not proposal.by:
        why = "nobody whom the policy names has signed it"
        return Proposal(dataset, proposal, None, "unknown", why)
    try:
        head = read_head(workspace, proposal.digest)
        check_named(head, dataset, proposal.number)
    except NotTrustedError as error:
        return Proposal(dataset, proposal, None, "stale", error.message, error.hint)
    if is_recorded(workspace, head, proposal.digest):
        return None
    return judge_proposal(workspace, head, proposal, trust)


def judge_proposal(
    workspace: Workspace,
    head: Head,
    proposal: PendingProposal,
    trust: Trust,
    *,
    after_revoked: bool = False,
) -> Proposal:
    """What the policy says of the proposal `one` of `head`; raises StorageError."""

    def found(state: State, because: str, needed: str = "") -> Proposal:
        return Proposal(head.dataset, proposal, head, state, because, needed)

    judge = Judge.of(workspace, trust)
    reason, needed = "", ""
    try:
        judge.chain.check(head, proposal.digest)
        bundles = workspace.versions.bundles(proposal.digest, head.dataset)
        signed = read_signatures(
            workspace, head.dataset, head.version, proposal.digest, trust, bundles, head=head
        )
        signed.verdict.require()
        judge.check_limits(signed)
        reason = signed.verdict.reason
    except RevokedError as error:
        return found("revoked", error.message, error.hint)
    except NotTrustedError as error:
        reason, needed = error.message, error.hint or "find out who made it"
    try:
        stale = _stale(workspace, head, trust, after_revoked=after_revoked)
    except NotTrustedError as error:
        # Whether it is the next cannot be told now. That may pass; before, it is no version.
        return found("waiting", error.message, error.hint or needed)
    if stale is not None:
        return found("stale", stale, AGAIN)
    if needed:
        return found("waiting", reason, needed)
    return found(
        "complete", reason, f"`provreg sign {head.dataset}@{proposal.digest}` publishes it"
    )


AGAIN = "propose the data again: provreg ingest PATH --name NAME --propose --sign …"


def _stale(workspace: Workspace, head: Head, trust: Trust, *, after_revoked: bool) -> str | None:
    """Why it can become no version any more: it would not be the next, upon the newest.

    Raises NotTrustedError where no version can be told to be the newest.
    """
    numbers = workspace.versions.numbers(head.dataset)
    if numbers and numbers[-1] >= head.version:
        return f"number {numbers[-1]} of {head.dataset} is taken, it is of number {head.version}"
    try:
        newest, _ = find_parent(workspace, head.dataset, trust, after_revoked=after_revoked)
        if newest is not None and head.parent == newest.digest:
            check_parent(head, newest.head)
            return None
    except (RevokedError, FormatError) as error:
        return error.message
    if newest is None and head.parent is None:
        return None
    what = "there is no version" if newest is None else f"the newest version is {newest.reference}"
    return f"it continues {head.parent or 'nothing'}, and {what}"


def complete(workspace: Workspace, head: Head, digest: str, trust: Trust) -> bool:
    """Publishes a proposal that is complete; False where its number was taken meanwhile."""
    if not claim(workspace, head, digest, trust):
        return False
    with suppress(StorageError, DamagedError):  # it is tidied, and nothing depends on it
        workspace.versions.withdraw(head.dataset, head.version, digest)
    return True


def find_proposal(
    workspace: Workspace, reference: Reference, trust: Trust, *, after_revoked: bool = False
) -> Proposal | None:
    """The proposal that `reference` names by its digest; None for anything else."""
    if reference.head is None:
        return None
    try:
        head = read_head(workspace, reference.head)
    except NotTrustedError:  # whoever asks for it as a version is told
        return None
    dataset, number, digest = reference.dataset, head.version, reference.head
    if dataset != head.dataset or not is_proposal(workspace, head, digest):
        return None
    proposal = PendingProposal(
        number, digest, signers_of(workspace, dataset, number, digest, trust)
    )
    return judge_proposal(workspace, head, proposal, trust, after_revoked=after_revoked)


def refuse_proposal(
    workspace: Workspace,
    reference: Reference,
    trust: Trust,
    data: Sequence[Path],
    *,
    on_step: Callable[[Step], None],
    progress: Progress | None = None,
) -> None:
    """Raises NotTrustedError, as `verify_proposal`, if `reference` names a proposal."""
    proposal = find_proposal(workspace, reference, trust)
    if proposal is not None:
        verify_proposal(workspace, proposal, trust, data, on_step=on_step, progress=progress)


def verify_proposal(
    workspace: Workspace,
    proposal: Proposal,
    trust: Trust,
    data: Sequence[Path],
    *,
    on_step: Callable[[Step], None],
    progress: Progress | None = None,
) -> NoReturn:
    """Every step that a proposal can pass, with `data` the last one too; then it is refused.

    However many have signed it, it is no version. Raises NotTrustedError.
    """
    head, digest = proposal.head, proposal.waiting.digest
    assert head is not None  # noqa: S101 (only what is read is verified)

    def done(number: int, detail: str) -> None:
        on_step(Step(number, True, detail))

    try:
        bundles = workspace.versions.bundles(digest, head.dataset)
        read_signatures(
            workspace, head.dataset, head.version, digest, trust, bundles, done, head=head
        )
        known = known_of(workspace, Reference(head.dataset), head.uid)
        check_revocations_present(workspace, Judge.of(workspace, trust).chain, known)
        reference = Reference(head.dataset, head=digest)
        check_history(workspace, reference, digest, head, known, done=done)
        load_entries(workspace, head)
        done(10, f"{len(head.parts)} part files, {sum(part.size for part in head.parts):,} bytes")
        done(11, f"{head.samples:,} samples, root {head.root}")
        if data:
            from provreg.flows.verify.data import verify_data

            entries = entries_of_checked(workspace, head)
            verify_data(workspace, head, entries, data, on_step=on_step, progress=progress)
        raise NotTrustedError(
            f"{proposal.reference} is a proposal of {head.dataset}@{head.version}, no version"
            f" ({proposal.state}): {proposal.because}",
            step=5,
            hint=proposal.needed,
        )
    except NotTrustedError as error:
        if error.step != 12:
            on_step(Step(error.step, False, error.message))
        raise
