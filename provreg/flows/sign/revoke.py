"""Revoking: the next number of the registry's chain, signed (docs/format/revocation.md).

The statement's bundle is stored before its number, whose creation is the compare-and-swap: killed
in between, nothing is revoked yet. Who loses the race for a number signs the next one anew, for a
statement names its number and the revocation before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.names import Reference, check_utf8
from provreg.core.encoding.text import quoted
from provreg.core.manifest.annotations import AGGREGATION, annotated_by
from provreg.core.manifest.columns import Mask, equal_to
from provreg.core.manifest.head import Head
from provreg.core.manifest.manifest import name_counts, parse_name_table
from provreg.core.rows.row_hash import without_dictionary
from provreg.core.statements.revocation import (
    MAX_REASON_BYTES,
    MAX_REVOCATION,
    ListedSamples,
    NamedSamples,
    Origin,
    Revocation,
    RevokedSamples,
)
from provreg.errors import (
    DamagedError,
    NotFoundError,
    NotTrustedError,
    StorageError,
    UsageError,
)
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.sign.scope import Scope, choose
from provreg.flows.verify.changes import rows_revoked
from provreg.flows.verify.history import check_known, known_of
from provreg.flows.verify.manifest import history, load_entries, locate, read_head
from provreg.flows.verify.revocations import Chain, InForce, PassedOver, read_chain
from provreg.flows.verify.signatures import is_recorded
from provreg.flows.verify.steps import check_named, check_signatures
from provreg.trust.signers import Signer

_MOST_RACES = 100
_MOST_EARLIER = 20
_MAX_NAME_TABLE = 1 << 30


@dataclass(frozen=True, slots=True)
class RevocationPlan:
    """What is about to be revoked: not numbered, not signed yet.

    `samples` counts those of the version that it names, `revoked` those of them that are meant, and
    `names` these by the name that they have now: another one than is revoked where a reattribution
    gave it to them since. `earlier` are the numbers of earlier versions, and how many samples of
    each have the revoked name, or are listed. `proposed`: it is no version, nobody could train on
    it. `lists` are those of samples by digest, not stored yet.
    """

    revocation: Revocation
    samples: int
    revoked: int
    names: tuple[tuple[str, int], ...] = ()
    earlier: tuple[tuple[int, int], ...] = ()
    proposed: bool = False
    lists: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Revoked:
    """What came of it: the revocation, which the policy counts or passes over.

    `added` is False where the same was revoked before and nothing was to be added.
    """

    outcome: InForce | PassedOver
    added: bool


def plan_revocation(
    workspace: Workspace,
    reference: Reference,
    scope: Scope | None,
    reason: str,
    trust: Trust,
) -> RevocationPlan:
    """The revocation of a version, or of the samples in `scope` of its dataset.

    A version is named by number or digest, whoever signed it: poison is rarely signed by whom one
    trusts. By its digest a proposal can be, also one whose number another version has. Samples are
    looked for in the line that ends in the newest version that the policy trusts, ids in the
    version that is named. Needs the index, synchronized. Raises UsageError for a reference that
    means "the newest", or no reason; NotFoundError; NotTrustedError where nothing says which
    dataset is meant.
    """
    check_reason(reason)
    number: int | None
    is_exact = reference.version is not None or reference.head is not None
    if scope is not None and not (is_exact and scope.ids is not None):
        number, digest = _newest_trusted(workspace, reference.dataset, trust)
    elif not is_exact:
        raise UsageError(
            f"{quoted(str(reference))} names no version to revoke",
            hint=f"write {reference.dataset}@N: what is the newest can change while you type",
        )
    else:
        number, digest = locate(workspace, reference)
    head = read_head(workspace, digest)
    check_named(head, reference.dataset, number)
    # What is named by its digest is meant whatever took its number: a proposal that nobody wanted.
    if reference.head is None:
        known = known_of(workspace, Reference(head.dataset), head.uid)
        check_known(known, head, digest, workspace.location)
    chosen = None if scope is None else choose(workspace, digest, head, scope, trust)
    samples = None if chosen is None else chosen.samples
    revocation = Revocation(
        number=MAX_REVOCATION,
        previous=None,
        dataset=head.dataset,
        uid=head.uid,
        version=head.version,
        head=digest,
        samples=samples,
        reason=reason,
        created=datetime.now(UTC).replace(microsecond=0),
    )
    if chosen is None or samples is None:
        proposed = not is_recorded(workspace, head, digest)
        return RevocationPlan(revocation, head.samples, head.samples, proposed=proposed)
    entries = load_entries(workspace, head)
    mask = rows_revoked(workspace, digest, head, entries, [samples], chosen.lists)
    names: list[tuple[str, int]] = []
    has_annotators = False
    if isinstance(samples, NamedSamples):
        names = _names_now(entries, mask, samples)
        annotations = entries.column("annotations")
        has_annotators = samples.labeler is not None and annotations.null_count < len(annotations)
    earlier = _earlier(workspace, head, samples, chosen.lists, has_annotators=has_annotators)
    return RevocationPlan(
        revocation,
        head.samples,
        int(mask.sum()),
        tuple(names),
        tuple(earlier),
        lists=chosen.lists,
    )


def plan_withdrawal(workspace: Workspace, number: int, reason: str, trust: Trust) -> RevocationPlan:
    """The withdrawal of revocation `number`, which must be in force.

    Raises UsageError for no reason, NotFoundError where it is not in force, NotTrustedError for a
    broken chain.
    """
    check_reason(reason)
    chain = read_chain(workspace, trust)
    if chain.broken is not None:
        raise chain.broken
    target = next((one for one in chain.in_force if one.revocation.number == number), None)
    if target is None:
        raise NotFoundError(
            f"no revocation {number} is in force", hint="`provreg revocations` lists them"
        )
    withdrawal = replace(
        target.revocation,
        number=MAX_REVOCATION,
        previous=None,
        samples=None,
        reason=reason,
        created=datetime.now(UTC).replace(microsecond=0),
        withdraws=target.link,
    )
    return RevocationPlan(withdrawal, samples=0, revoked=0)


def check_reason(reason: str) -> None:
    """Raises UsageError unless `reason` can be one."""
    check_utf8("the reason", reason)
    if not reason.strip() or len(reason.encode()) > MAX_REASON_BYTES:
        raise UsageError(
            f"a revocation has a reason of 1 to {MAX_REASON_BYTES:,} bytes",
            hint="say for those who will be refused: --reason 'labels of 3 May were flipped'",
        )


def _names_now(entries: pa.Table, mask: Mask, samples: NamedSamples) -> list[tuple[str, int]]:
    """The names that the revoked samples have now, with how many have each."""
    by: Origin = "labeler" if samples.labeler is not None else "source"
    current = without_dictionary(entries.column(by))
    if samples.labeler is not None:
        annotated = annotated_by(entries.column("annotations"), pa.array([samples.labeler]))
        current = pc.if_else(pa.chunked_array([annotated]), samples.labeler, current)
    return name_counts(current.filter(pa.array(mask)))


def _earlier(
    workspace: Workspace,
    head: Head,
    samples: RevokedSamples,
    lists: Mapping[str, bytes],
    *,
    has_annotators: bool,
) -> Iterator[tuple[int, int]]:
    """(number, samples that are meant) of each version before `head`, ascending, that has any.

    A single name is looked up in the name tables of heads; annotators are not there, so with
    `has_annotators` entries are looked at. All else is counted in the nearest versions only. A
    version that cannot be read is skipped.
    """
    found = []
    by_name = isinstance(samples, NamedSamples) and len(samples.names) == 1
    before = islice(history(workspace, head.digest()), 1, None if by_name else _MOST_EARLIER + 1)
    with suppress(NotTrustedError):
        for digest, ancestor in before:
            if ancestor.version < samples.since:
                break
            with suppress(DamagedError, NotFoundError):
                if isinstance(samples, NamedSamples) and by_name:
                    count = _samples_named(
                        workspace, ancestor, samples, has_annotators=has_annotators
                    )
                else:
                    entries = load_entries(workspace, ancestor)
                    mask = rows_revoked(workspace, digest, ancestor, entries, [samples], lists)
                    count = int(np.count_nonzero(mask))
                if count:
                    found.append((ancestor.version, count))
    return reversed(found)


def _samples_named(
    workspace: Workspace, head: Head, samples: NamedSamples, *, has_annotators: bool
) -> int:
    """How many samples of a version name this source or labeler."""
    ((by, name),) = samples.names.items()
    if by == "labeler" and (has_annotators or AGGREGATION in head.reading):
        entries = load_entries(workspace, head)
        named = annotated_by(entries.column("annotations"), pa.array([name]))
        labeled = equal_to(entries.column("labeler"), name)
        return int(np.count_nonzero(named | labeled))
    counts = head.sources if by == "source" else head.labelers
    table = workspace.objects.get(counts.table, limit=_MAX_NAME_TABLE)
    return dict(parse_name_table(table)).get(name, 0)


def revoke(workspace: Workspace, aim: RevocationPlan, signer: Signer, trust: Trust) -> Revoked:
    """Signs and publishes what was aimed at as the next revocation.

    What is in force already is not revoked again; where the policy wants more signers and lacks
    this one, the signature is added to theirs. Raises as `Signer.sign`, NotTrustedError (step 8)
    for a broken chain, StorageError; nothing is then revoked.
    """
    aimed = aim.revocation
    for _ in range(_MOST_RACES):
        chain = read_chain(workspace, trust)
        if chain.broken is not None:
            raise chain.broken
        before = _same(chain, aimed)
        if isinstance(before, InForce):
            return Revoked(before, added=False)
        if before is not None:
            return Revoked(_join(workspace, before, signer, trust), added=True)
        number = chain.next_number
        numbered = replace(aimed, number=number, previous=chain.newest)
        statement = numbered.statement()
        signed = signer.sign(statement)
        bundle = sha256_digest(signed)
        try:
            for data in aim.lists.values():
                workspace.objects.put(data)
            workspace.revocations.add(sha256_digest(statement), signed)
            claimed = workspace.revocations.create(number, statement)
        except StorageError:
            _take_back(workspace, number, statement, bundle)
            raise
        if claimed:
            return Revoked(_outcome(workspace, number, trust), added=True)
        workspace.revocations.remove(sha256_digest(statement), bundle)
    raise StorageError(
        f"lost {_MOST_RACES} races for the next revocation",
        hint="too many others revoke at the same time: try again later",
    )


def _take_back(workspace: Workspace, number: int, statement: bytes, bundle: str) -> None:
    """Removes the signature of what was told to have failed, as far as storage lets it, unless
    `statement` got its number all the same."""
    with suppress(DamagedError, StorageError):
        try:
            if workspace.revocations.read(number) == statement:
                return
        except NotFoundError:
            pass
        workspace.revocations.remove(sha256_digest(statement), bundle)


def _newest_trusted(workspace: Workspace, dataset: str, trust: Trust) -> tuple[int, str]:
    """The newest version whose signers the policy trusts, revoked or not."""
    locate(workspace, Reference(dataset))  # says so where there is no such dataset
    for number in reversed(workspace.versions.numbers(dataset)):
        try:
            _, digest = locate(workspace, Reference(dataset, version=number))
            check_signatures(workspace, dataset, number, digest, trust)
        except NotTrustedError:
            continue
        return number, digest
    raise NotTrustedError(
        f"no version of {dataset} is signed by whom you trust: which dataset of that name is meant"
        " is not known",
        step=6,
        hint="name a policy with --policy FILE or a public key with --key FILE.pub",
    )


def _same(chain: Chain, aimed: Revocation) -> InForce | PassedOver | None:
    """The same revocation in force, or one that lacks signatures only; the first of them."""
    candidates: tuple[InForce | PassedOver, ...] = (
        *chain.in_force, *chain.withdrawals, *chain.passed_over,
    )  # fmt: skip
    for candidate in candidates:
        revocation = candidate.revocation
        if revocation is None or not candidate.approvals:
            continue
        same = (revocation.dataset, revocation.uid) == (aimed.dataset, aimed.uid)
        if same and _same_target(revocation, aimed):
            return candidate
    return None


def _same_target(revocation: Revocation, aimed: Revocation) -> bool:
    if revocation.withdraws is not None or aimed.withdraws is not None:
        return revocation.withdraws == aimed.withdraws
    if isinstance(revocation.samples, ListedSamples) and isinstance(aimed.samples, ListedSamples):
        return revocation.samples.lists == aimed.samples.lists
    same_samples = revocation.samples == aimed.samples
    return same_samples and (aimed.samples is not None or revocation.head == aimed.head)


def _join(
    workspace: Workspace, before: PassedOver, signer: Signer, trust: Trust
) -> InForce | PassedOver:
    """One more signature over a revocation that others have signed."""
    statement = workspace.revocations.read(before.number)
    workspace.revocations.add(sha256_digest(statement), signer.sign(statement))
    return _outcome(workspace, before.number, trust)


def _outcome(workspace: Workspace, number: int, trust: Trust) -> InForce | PassedOver:
    chain = read_chain(workspace, trust)
    outcomes: dict[int, InForce | PassedOver] = {
        revocation.number: revocation for revocation in chain.passed_over
    }
    outcomes |= {revocation.revocation.number: revocation for revocation in chain.counted}
    return outcomes[number]
