"""Publishing: objects, head, bundle, then the number; at no point is anything half-published.

What the policy in force would not trust is not published: it is refused before anything is written,
or left as a proposal. A crash leaves objects nobody names. The loser of a race for a number takes
its bundle back, so that its head cannot be taken for the number's version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.names import Reference
from provreg.core.manifest.head import Head, counts_in_words, left_out_of
from provreg.errors import (
    DamagedError,
    NotFoundError,
    NotTrustedError,
    RevokedError,
    StorageError,
)
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.history import Known, known_of, remember
from provreg.flows.verify.manifest import read_head
from provreg.flows.verify.revocations import read_chain
from provreg.flows.verify.signatures import PendingProposal, is_recorded, signers_of
from provreg.flows.verify.steps import (
    Judge,
    VerifiedVersion,
    check_signatures,
    read_signatures,
    refuse,
    verify,
)
from provreg.store.private.seen import forget_command, shown_place

if TYPE_CHECKING:
    from provreg.core.changes.notices import Notice
    from provreg.flows.ingest.draft import Draft
    from provreg.flows.ingest.seal import Sealed
    from provreg.flows.verify.gate import Gate
    from provreg.readers.api import FetchedList


@dataclass(frozen=True, slots=True)
class RejectedVersion:
    """A number above the parent's that does not verify: why, at which step, and what to do."""

    number: int
    reason: str
    step: int
    hint: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """A head that was proposed, `again` or for the first time, and why it is no version yet."""

    head: Head
    digest: str
    lacks: NotTrustedError
    again: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: the head of the version that now exists and its digest, None without one.

    `samples` of `dataset` were found, `changes` counts by kind how they differ from the parent's,
    `left_out` by reason what is no sample; `reused` digests are from the stat cache. `passed_over`
    are the numbers above the parent's that are no versions, `newest` is the digest of the newest
    one now. `proposed` is what was left as a proposal instead, `waiting` are those of others.
    `gate` is what its rule would say of what was not published, None where it sets no bounds;
    `lacks` is why the policy would not trust it, signed as it would be. `fetched` is what became of
    a list of URLs, `warnings` are of the data, `notices` say what of the changes deserves a look.
    """

    dataset: str
    samples: int
    changes: Mapping[str, int]
    left_out: Mapping[str, int]
    reused: int
    head: Head | None
    digest: str | None
    newest: str | None
    passed_over: Sequence[RejectedVersion]
    proposed: Proposed | None = None
    waiting: Sequence[PendingProposal] = ()
    gate: Gate | None = None
    lacks: NotTrustedError | None = None
    fetched: FetchedList | None = None
    warnings: tuple[str, ...] = ()
    notices: Sequence[Notice] = ()

    def __repr__(self) -> str:
        result = "nothing published"
        if self.head is not None:
            result = f"published {self.head.dataset}@{self.head.version}"
        elif self.proposed is not None:
            result = f"proposed {self.dataset}@{self.proposed.head.version}"
        return f"Outcome({self.dataset}: {result}, {counts_in_words(self.changes)})"


def outcome_of(
    drafted: Draft,
    passed_over: Sequence[RejectedVersion],
    made: Head | Proposed | None = None,
    *,
    waiting: Sequence[PendingProposal] = (),
    gate: Gate | None = None,
    lacks: NotTrustedError | None = None,
) -> Outcome:
    """What came of a draft: published as a head, proposed, or neither."""
    proposed = made if isinstance(made, Proposed) else None
    head = None if isinstance(made, Proposed) else made
    digest = None if head is None else head.digest()
    newest = digest or (None if drafted.parent is None else drafted.parent.digest)
    return Outcome(
        dataset=drafted.dataset,
        samples=drafted.entries.num_rows,
        changes=drafted.changes.counts(),
        left_out=left_out_of(drafted.read.reading),
        reused=drafted.read.reused,
        head=head,
        digest=digest,
        # What was proposed is not what the newest version holds.
        newest=newest if proposed is None else None,
        passed_over=passed_over,
        proposed=proposed,
        waiting=waiting,
        gate=gate,
        lacks=lacks,
        fetched=drafted.read.fetched,
        warnings=drafted.read.warnings,
        notices=drafted.notices,
    )


def find_parent(
    workspace: Workspace, dataset: str, trust: Trust | None, *, after_revoked: bool = False
) -> tuple[VerifiedVersion | None, list[RejectedVersion]]:
    """The newest version of `dataset` that verifies, and the numbers above it that do not.

    (None, []) for a dataset that does not exist yet. A revoked version is the parent only where
    `after_revoked` says so: what it brought in would live on under a number that is not revoked.
    It is never passed over for an older one, for who has seen it follows its line. Raises
    RevokedError then, and NotTrustedError where numbers exist but none verifies, where what
    verifies is older than what this user has seen, pinned or had attested, or without `trust`.
    """
    # Before the numbers are listed: what others publish meanwhile is no rollback.
    known = known_of(workspace, Reference(dataset))
    numbers = workspace.versions.numbers(dataset)
    skipped: list[RejectedVersion] = []
    if not numbers:
        if known.newest:
            raise _rollback_error(workspace, known, known.newest, dataset, skipped)
        return None, skipped
    if trust is None:
        raise NotTrustedError(
            f"{dataset} has versions, and nothing says whom to trust",
            step=6,
            hint="name a policy with --policy FILE or a public key with --key FILE.pub",
        )
    for number in reversed(numbers):
        reference = Reference(dataset, version=number)
        try:
            version = verify(workspace, reference, trust, allow_revoked=after_revoked)
        except RevokedError as error:
            raise RevokedError(
                error.message,
                step=error.step,
                hint="publish clean data upon it with --after-revoked",
            ) from None
        except NotTrustedError as error:
            skipped.append(RejectedVersion(number, error.message, error.step, error.hint))
            continue
        except NotFoundError as error:
            skipped.append(RejectedVersion(number, error.message, 1, error.hint))
            continue
        known = known.of(workspace, version.head.uid)
        newest = max(
            [known.newest, *(attestation.latest.version for attestation in version.attested)]
        )
        if newest > number:
            raise _rollback_error(workspace, known, newest, dataset, skipped)
        return version, skipped
    # The newest of those that came furthest: what is wrong with a squatted number helps nobody.
    last = max(skipped, key=lambda rejected: rejected.step)
    hint = last.hint
    if last.step < 8:  # else its signers are trusted
        hint = "trust its signer in the policy, or choose another name for a new dataset"
    raise NotTrustedError(
        f"no version of {dataset} verifies; {dataset}@{last.number}: {last.reason}",
        step=last.step,
        hint=hint,
    )


def _rollback_error(
    workspace: Workspace,
    known: Known,
    newest: int,
    dataset: str,
    skipped: Sequence[RejectedVersion],
) -> NotTrustedError:
    reason = next(
        (rejected.reason for rejected in skipped if rejected.number == newest), "it is gone"
    )
    hint = "find out what happened to it before publishing anything"
    seen = None if known.seen is None else known.seen.versions.get(newest)
    if seen is not None:
        place = shown_place(seen.places, workspace.places)
        hint += (
            "; if the dataset was made anew or a stolen key signed it, pin a version that you rely"
            f" on, and forget what was seen: {forget_command(dataset, place)}"
        )
    return NotTrustedError(
        f"{dataset}@{newest} was seen, pinned or attested before, but no longer verifies: {reason}",
        step=9,
        hint=hint,
    )


def publish(
    workspace: Workspace,
    drafted: Draft,
    sealed: Sealed,
    bundle: bytes,
    signed_by: Trust,
    trust: Trust,
    *,
    propose: bool,
    waits: Sequence[PendingProposal],
) -> Head | Proposed | None:
    """The head that is now a version, or is proposed as one; None where another took its number.

    `bundle` is the signature over `sealed`, by whom `signed_by` trusts. With `propose` what the
    policy would not trust is left as a proposal; `waits` are those that are there. Raises
    NotTrustedError for what the policy would not trust, and StorageError; nothing is published
    then.
    """
    from provreg.flows.ingest.seal import remember_parts

    head, data = sealed.head, sealed.head.to_bytes()
    digest = sha256_digest(data)
    lacks = _refusal(workspace, drafted, head, digest, bundle, trust)
    if lacks is not None:
        if not propose:
            raise _not_published(head, lacks, waits)
        before = _proposed_before(workspace, head, signed_by, waits)
        if before is not None:
            return replace(before, lacks=lacks)
    remember_parts(workspace.parts, sealed.parts)
    # As the parts of which it was just made: who verifies it next needs not look at its entries.
    workspace.checked.add(head)
    workspace.objects.put_all(sealed.objects)
    workspace.objects.put(data, "sha256")
    try:
        signature = workspace.versions.add(digest, bundle, head.dataset)
        if lacks is not None:
            workspace.versions.propose(head.dataset, head.version, digest)
            return Proposed(head, digest, lacks)
        # Two who publish the same samples within one second may have made the very same head.
        if not claim(workspace, head, digest, trust):
            workspace.versions.remove(digest, signature, head.dataset)
            return None
    except StorageError:
        _take_back(workspace, head, digest, bundle)
        raise
    return head


def _take_back(workspace: Workspace, head: Head, digest: str, bundle: bytes) -> None:
    """Removes the signature of what was told to have failed, as far as storage lets it.

    Else whoever can write there could make it a version later. What got its place all the same,
    as the last step of a write can fail too, keeps it.
    """
    with suppress(DamagedError, NotFoundError, StorageError):
        proposed = workspace.versions.is_proposed(head.dataset, head.version, digest)
        if not proposed and not is_recorded(workspace, head, digest):
            workspace.versions.remove(digest, sha256_digest(bundle), head.dataset)


def _refusal(
    workspace: Workspace, drafted: Draft, head: Head, digest: str, bundle: bytes, trust: Trust
) -> NotTrustedError | None:
    """Why the policy would not trust `head`, of which nothing is written yet, None where it would.

    Raises NotTrustedError where nothing can be trusted now, however many sign it.
    """
    from provreg.flows.verify.gate import gate

    judge = Judge.of(workspace, trust)
    judge.chain.check(head, digest)
    bundles = [(sha256_digest(bundle), bundle)]
    try:
        signed = read_signatures(
            workspace, head.dataset, head.version, digest, trust, bundles, head=head
        )
        signed.verdict.require()
        held = gate(
            judge,
            drafted.dataset,
            drafted.entries,
            drafted.changes,
            parent=head.parent,
            signers=len(signed.verdict.approvals),
        )
        if held is not None:
            refuse(held.rule, held.refusals, held.base)
    except NotTrustedError as error:
        return error
    return None


def _not_published(
    head: Head, lacks: NotTrustedError, waits: Sequence[PendingProposal]
) -> NotTrustedError:
    hint = "--propose leaves it as a proposal, which others can sign (`provreg sign`)"
    if waits:
        hint += f"; one by {', '.join(waits[-1].by)} waits: {head.dataset}@{waits[-1].digest}"
    return NotTrustedError(
        f"{head.dataset}@{head.version} is not published, for it would not be trusted:"
        f" {lacks.message}",
        step=lacks.step,
        hint=f"{lacks.hint}; {hint}" if lacks.hint else hint,
    )


def claim(workspace: Workspace, head: Head, digest: str, trust: Trust) -> bool:
    """Makes the head `digest` the version of its number, and remembers it; False where another is.

    Everything of it must be stored before, and the policy trust it.
    """
    claimed = workspace.versions.claim(head.dataset, head.version, digest)
    if not claimed and not is_recorded(workspace, head, digest):
        return False
    signed = check_signatures(workspace, head.dataset, head.version, digest, trust, head=head)
    try:
        remember(workspace, signed, trust, read_chain(workspace, trust))
    except StorageError as error:
        raise StorageError(
            f"{head.dataset}@{head.version} is published, but could not be remembered:"
            f" {error.message}",
            hint=error.hint,
        ) from error
    return True


def _proposed_before(
    workspace: Workspace, head: Head, own: Trust, waits: Sequence[PendingProposal]
) -> Proposed | None:
    """What the one whom `own` trusts proposed already, if that is `head` but for when it was made.

    Who takes the same data in every night proposes them once.
    """
    for proposal in waits:
        version = (head.dataset, proposal.number, proposal.digest)
        if proposal.number != head.version or not signers_of(workspace, *version, own):
            continue
        with suppress(NotTrustedError):
            proposed = read_head(workspace, proposal.digest)
            uid = proposed.uid if head.parent is None else head.uid
            same = replace(
                head, uid=uid, created=proposed.created, reused_digests=proposed.reused_digests
            )
            if same == proposed:
                return Proposed(proposed, proposal.digest, NotTrustedError(""), again=True)
    return None
