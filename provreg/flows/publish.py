"""Publishing: objects, head, bundle, then the number; at no point is anything half-published.

A crash leaves objects nobody names. The loser of a race for a number takes its bundle back, so that
its head cannot be taken for the number's version, and builds on the winner.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from provreg.core.digest import sha256_digest
from provreg.core.head import Head
from provreg.core.names import Reference
from provreg.errors import (
    DamagedError,
    NotFoundError,
    NotTrustedError,
    RevokedError,
    StorageError,
)
from provreg.flows.integrity import recorded
from provreg.flows.judging import Judge
from provreg.flows.trusting import Trust
from provreg.flows.verify import VerifiedVersion, verify
from provreg.flows.workspace import Workspace
from provreg.record import record
from provreg.trust.signer import Signer

if TYPE_CHECKING:
    from provreg.core.tree import BlockList
    from provreg.flows.draft import Draft, FetchedList, Parent
    from provreg.flows.gate import Gate

_MOST_RACES = 100


@record
class NotAVersion:
    """A number above the parent's that does not verify, and why."""

    number: int
    reason: str


@record
class Outcome:
    """What came of it: the head of the version that now exists and its digest, None without one.

    `samples` of `dataset` were found, `changes` counts by kind how they differ from the parent's,
    `left_out` by reason what is no sample; `reused` digests are from the stat cache. `passed_over`
    are the numbers above the parent's that are no versions, `newest` is the digest of the newest
    one now. `untrusted` says why the policy in force does not trust what was published: more must
    sign it, or others. `gate` is what its rule would say of what was not published, None where it
    sets no bounds. `fetched` is what became of a list of URLs.
    """

    dataset: str
    samples: int
    changes: Mapping[str, int]
    left_out: Mapping[str, int]
    reused: int
    head: Head | None
    digest: str | None
    newest: str | None
    passed_over: Sequence[NotAVersion]
    untrusted: str | None = None
    gate: Gate | None = None
    fetched: FetchedList | None = None


def outcome_of(
    drafted: Draft,
    passed_over: Sequence[NotAVersion],
    head: Head | None = None,
    *,
    untrusted: str | None = None,
    gate: Gate | None = None,
) -> Outcome:
    """What came of a draft, published as `head` or not."""
    digest = None if head is None else head.digest()
    return Outcome(
        dataset=drafted.dataset,
        samples=drafted.entries.num_rows,
        changes=drafted.changes.counts(),
        left_out=drafted.samples.reading.get("left_out", {}),
        reused=drafted.samples.reused,
        head=head,
        digest=digest,
        newest=digest or (None if drafted.parent is None else drafted.parent.digest),
        passed_over=passed_over,
        untrusted=untrusted,
        gate=gate,
        fetched=drafted.samples.fetched,
    )


def find_parent(
    workspace: Workspace, dataset: str, trust: Trust | None, *, after_revoked: bool = False
) -> tuple[VerifiedVersion | None, list[NotAVersion]]:
    """The newest version of `dataset` that verifies, and the numbers above it that do not.

    (None, []) for a dataset that does not exist yet. A revoked version is the parent only where
    `after_revoked` says so: what it brought in would live on under a number that is not revoked.
    It is never passed over for an older one, for who has seen it follows its line. Raises
    RevokedError then, and NotTrustedError where numbers exist but none verifies, where what
    verifies is older than what this user has seen, pinned or had attested, or without `trust`.
    """
    # Before the numbers are listed: what others publish meanwhile is no rollback.
    known = _newest_known(workspace, dataset)
    numbers = workspace.versions.numbers(dataset)
    skipped: list[NotAVersion] = []
    if not numbers:
        if known:
            raise _went_back(dataset, known, skipped)
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
            version = verify(workspace, reference, trust, even_revoked=after_revoked)
        except RevokedError as error:
            raise RevokedError(
                error.message,
                step=error.step,
                hint="publish clean data upon it with --after-revoked",
            ) from None
        except (NotTrustedError, NotFoundError) as error:
            skipped.append(NotAVersion(number, error.message))
            continue
        newest = max([known, *(one.latest.version for one in version.attested)])
        if newest > number:
            raise _went_back(dataset, newest, skipped)
        return version, skipped
    raise NotTrustedError(
        f"no version of {dataset} verifies; {dataset}@{skipped[0].number}: {skipped[0].reason}",
        step=6,
        hint="trust its signer in the policy, or choose another name for a new dataset",
    )


def _newest_known(workspace: Workspace, dataset: str) -> int:
    """The highest number this user has seen or pinned, 0 where there is none."""
    seen, pin = workspace.seen(dataset), workspace.pins.get(dataset)
    return max(0 if seen is None else seen.newest, 0 if pin is None else pin.version)


def _went_back(dataset: str, known: int, skipped: Sequence[NotAVersion]) -> NotTrustedError:
    reason = next((one.reason for one in skipped if one.number == known), "it is gone")
    return NotTrustedError(
        f"{dataset}@{known} was seen or pinned here, or is attested, and does not verify: {reason}",
        step=9,
        hint="find out what happened to it before publishing anything",
    )


def as_parent(version: VerifiedVersion | None) -> Parent | None:
    """What a draft needs of the verified version it continues."""
    from provreg.flows.draft import Parent

    return None if version is None else Parent(version.digest, version.head, version.entries)


def publish(
    workspace: Workspace,
    make_draft: Callable[[Parent | None], Draft],
    signer: Signer,
    trust: Trust,
    *,
    dataset: str,
    message: str,
    after_revoked: bool = False,
    unchanged: Callable[[VerifiedVersion, Sequence[NotAVersion]], Outcome | None] = lambda *_: None,
) -> Outcome:
    """Publishes what `make_draft` makes of the newest verified version.

    `unchanged` is asked first: what it answers is the outcome, and nothing is drafted.
    Lost races are run again: the winner is verified and `make_draft` called with it. A draft that
    changes nothing is not published. Raises as `find_parent` and `make_draft`, and StorageError
    when storage fails or every race is lost.
    """
    for _ in range(_MOST_RACES):
        parent, skipped = find_parent(workspace, dataset, trust, after_revoked=after_revoked)
        if parent is not None and (same := unchanged(parent, skipped)) is not None:
            return same
        drafted = make_draft(as_parent(parent))
        if parent is not None and not len(drafted.changes):
            return outcome_of(drafted, skipped)
        newest = skipped[0].number if skipped else (0 if parent is None else parent.head.version)
        head = _try_number(workspace, drafted, signer, number=newest + 1, message=message)
        if head is not None:
            untrusted = _remember_if_trusted(workspace, head, trust)
            return outcome_of(drafted, skipped, head, untrusted=untrusted)
    raise StorageError(
        f"lost {_MOST_RACES} races for the next number of {dataset}",
        hint="too many others publish it at once: try again later",
    )


def _try_number(
    workspace: Workspace, drafted: Draft, signer: Signer, *, number: int, message: str
) -> Head | None:
    """The head that is now version `number`, None where another took it."""
    from provreg.flows.seal import remember_parts, seal

    sealed = seal(
        drafted,
        number=number,
        created=datetime.now(UTC),
        message=message,
        parents_blocks=_blocks_of(workspace, drafted.parent),
    )
    head, data = sealed.head, sealed.head.to_bytes()
    digest = sha256_digest(data)
    # Signing can fail or be refused by a person: nothing is written before it succeeded.
    bundle = signer.sign(head.statement())
    remember_parts(workspace.parts, sealed.parts)
    # As the parts of which it was just made: who verifies it next needs not look at its entries.
    workspace.checked.add(head)
    workspace.objects.put_all(sealed.objects)
    workspace.objects.put(data, "sha256")
    signature = workspace.versions.add_signature(head.dataset, digest, bundle)
    claimed = workspace.versions.claim(head.dataset, number, digest)
    # Two who publish the same samples within one second may have made the very same head.
    if not claimed and not _is_recorded(workspace, head, digest):
        workspace.versions.remove_signature(head.dataset, digest, signature)
        return None
    return head


def _blocks_of(workspace: Workspace, parent: Parent | None) -> Sequence[BlockList]:
    """The blocks of all parts of a verified parent; none where a list of them was lost: then all
    entries are hashed, and the list may be made again."""
    from provreg.flows.entries import read_blocks

    try:
        return () if parent is None else [read_blocks(workspace, one) for one in parent.head.parts]
    except (DamagedError, NotFoundError):
        return ()


def _remember_if_trusted(workspace: Workspace, head: Head, trust: Trust) -> str | None:
    """Remembers what was published; why not, where the policy does not trust it (yet).

    A version that was remembered and does not verify would keep its own publisher from continuing.
    """
    digest = head.digest()
    try:
        Judge.of(workspace, trust).check(digest, head)
        workspace.remember(head, digest)
    except NotTrustedError as error:
        return f"step {error.step}: {error.message}"
    except StorageError as error:
        raise StorageError(
            f"{head.dataset}@{head.version} is published, but could not be remembered:"
            f" {error.message}",
            hint=error.hint,
        ) from error
    return None


def _is_recorded(workspace: Workspace, head: Head, digest: str) -> bool:
    try:
        return recorded(workspace, head.dataset, head.version) == digest
    except (NotTrustedError, NotFoundError):  # squatted with what is no record, or gone again
        return False
