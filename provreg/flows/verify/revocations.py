"""The revocations of a registry that count under a policy (steps 8 and 9).

Anybody who can write to a registry can put anything under a number: what is not signed by whom a
[[revoke]] rule names is passed over, and can neither revoke nor keep a version from verifying. What
is so signed must continue what it names, back to the first: where that is missing, somebody hides
revocations, and nothing verifies. A withdrawal is numbered and counted in the same way, and ends
one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.text import printable, quoted
from provreg.core.manifest.head import Head
from provreg.core.policy.counting import NO_WITNESS, Witness, count_principals, is_met_by
from provreg.core.policy.policy import Signature
from provreg.core.statements.latest import Latest
from provreg.core.statements.revocation import (
    LIST_KEY_BYTES,
    KeyList,
    ListedSamples,
    NamedSamples,
    Revocation,
    RevocationLink,
    RevokedSamples,
    is_revocation_claim,
    parse_revocation,
)
from provreg.errors import DamagedError, FormatError, NotFoundError, NotTrustedError, RevokedError
from provreg.flows.session.trust import POLICY, Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.freshness import read_freshness
from provreg.flows.verify.signatures import check_bundles, over
from provreg.store.private.seen import shown_place


@dataclass(frozen=True, slots=True)
class InForce:
    """A revocation that counts: the digest of its statement, and each principal's signature.

    `known` says how this user knows that it counted, where its signatures alone do not make it
    count any more: no revocation lapses.
    """

    revocation: Revocation
    digest: str
    approvals: tuple[tuple[str, Signature], ...]
    known: str | None = None

    @property
    def link(self) -> RevocationLink:
        return RevocationLink(self.revocation.number, self.digest)

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.approvals)
        return f"InForce({self.revocation!r}, signed by {printable(names)})"

    def __str__(self) -> str:
        """By whom and why."""
        names = [name for name, _ in self.approvals]
        revoked = f"revoked by {', '.join(names)}" if names else "revoked"
        source = f"revocation {self.revocation.number}" + (f", {self.known}" if self.known else "")
        return f"{revoked} ({source}): {self.revocation.reason}"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A number that is not in force, and why; `revocation` where it can be read as one.

    `approvals` are those it has, where it lacks others; `ruled`: a rule says whose it needs.
    """

    number: int
    reason: str
    revocation: Revocation | None = None
    approvals: tuple[tuple[str, Signature], ...] = ()
    ruled: bool = False


@dataclass(frozen=True, slots=True)
class Readable:
    """What can be read as a revocation, by number, and the digests of the statements, whoever
    signed them.

    `whole` has the numbers of those that continue, back to the first, what is there.
    """

    revocations: Mapping[int, Revocation]
    digests: Mapping[int, str]
    whole: frozenset[int]

    @classmethod
    def of(cls, revocations: Mapping[int, Revocation]) -> Readable:
        """Those by number: each continues one of a lower number."""
        digests = {number: revocation.digest() for number, revocation in revocations.items()}
        whole: set[int] = set()
        for number in sorted(revocations):
            link = revocations[number].previous
            if link is None or (link.number in whole and digests[link.number] == link.digest):
                whole.add(number)
        return cls(revocations, digests, frozenset(whole))

    def line(self, link: RevocationLink | None) -> Iterator[tuple[str, Revocation]]:
        """The revocation `link` and what it continues, as far as the registry has it."""
        while link is not None and self.digests.get(link.number) == link.digest:
            revocation = self.revocations[link.number]
            yield link.digest, revocation
            link = revocation.previous


@dataclass(frozen=True, slots=True)
class Chain:
    """The revocations of a registry under one policy, by number.

    `withdrawn` were in force until one of the `withdrawals`, which count like revocations. `broken`
    says why nothing can be relied upon, None where the chain is whole.
    """

    in_force: tuple[InForce, ...]
    passed_over: tuple[PassedOver, ...]
    read: Readable
    broken: NotTrustedError | None
    withdrawn: tuple[InForce, ...] = ()
    withdrawals: tuple[InForce, ...] = ()

    def __repr__(self) -> str:
        counts = f"{len(self.in_force):,} in force, {len(self.passed_over):,} not"
        return f"Chain({counts}{'' if self.broken is None else ', broken'})"

    @property
    def newest(self) -> RevocationLink | None:
        """The newest revocation or withdrawal that counts, None where there is none."""
        links = (counted.link for counted in self.counted)
        return max(links, key=lambda link: link.number, default=None)

    @property
    def counted(self) -> tuple[InForce, ...]:
        """All that count: those in force, those that were withdrawn, and the withdrawals."""
        return (*self.in_force, *self.withdrawn, *self.withdrawals)

    def withdrawal_of(self, digest: str) -> InForce | None:
        """What withdraws the revocation whose statement has this digest."""
        for counted in self.withdrawals:
            withdraws = counted.revocation.withdraws
            is_of_it = withdraws is not None and withdraws.digest == digest
            if is_of_it and _is_sound(counted, self.read.revocations):
                return counted
        return None

    @property
    def next_number(self) -> int:
        """The lowest number after the newest that was free when the chain was read.

        Who squats higher ones gains nothing. One that was taken since is not passed by: it may be
        that of a revocation to continue.
        """
        taken = {counted.revocation.number for counted in self.counted}
        taken.update(skipped.number for skipped in self.passed_over)
        number = 1 if self.newest is None else self.newest.number + 1
        while number in taken:
            number += 1
        return number

    def of(self, head: Head) -> tuple[InForce, ...]:
        """Those of samples of the dataset of `head` that reach as far as its version."""
        return tuple(
            counted
            for counted in self.in_force
            if (counted.revocation.dataset, counted.revocation.uid) == (head.dataset, head.uid)
            and counted.revocation.samples is not None
            and counted.revocation.samples.since <= head.version
        )

    def samples_of(self, head: Head) -> list[RevokedSamples]:
        """The samples that the revocations of `of` name."""
        names = (counted.revocation.samples for counted in self.of(head))
        return [samples for samples in names if samples is not None]

    def revoking(self, head: Head, digest: str) -> InForce | None:
        """The first one of the version with the head `digest`."""
        version = (head.dataset, head.uid, digest)
        for counted in self.in_force:
            revocation = counted.revocation
            if (
                revocation.samples is None
                and (revocation.dataset, revocation.uid, revocation.head) == version
            ):
                return counted
        return None

    def check(self, head: Head, digest: str) -> None:
        """Step 8: raises RevokedError for a revoked version, NotTrustedError for a broken chain."""
        if self.broken is not None:
            raise self.broken
        revocation = self.revoking(head, digest)
        if revocation is not None:
            raise RevokedError(
                f"{head.dataset}@{head.version} is {printable(str(revocation))}",
                step=8,
                hint="use another version; models trained on this version are affected, too",
            )

    def check_holds(self, link: RevocationLink | None, known: str, *, forget: str = "") -> None:
        """Step 9: raises NotTrustedError unless the registry has the revocation `link` and all that
        it continues: it had them when it was in force.

        `known` says how it is known, `forget` the command that ends that.
        """
        if link is None:
            return
        there = self.read.digests.get(link.number) == link.digest
        if there and link.number in self.read.whole:
            return
        missing = ": it continues one that is not there" if there else ""
        raise NotTrustedError(
            f"the registry hides revocation {link.number}, which {known} ({link.digest}){missing}",
            step=9,
            hint="put it back from a copy of the registry; find out who writes to it"
            + (forget and f"; if you went back to an old copy on purpose: {forget}"),
        )

    def check_attested(self, latest: Latest) -> None:
        """Step 9: raises NotTrustedError where `latest` names a revocation of its dataset, or what
        continues one, that needs signatures and is not in force.

        It was when that was said. Its bundles may be hidden: that puts it in force for nobody, and
        nobody is told that all is well. Where it is in force under another number, it is.
        """
        passed_over = {
            uncounted.number: uncounted for uncounted in self.passed_over if uncounted.ruled
        }
        for _, revocation in self.read.line(latest.revocation):
            uncounted = passed_over.get(revocation.number)
            if uncounted is None or (revocation.dataset, revocation.uid) != (
                latest.dataset,
                latest.uid,
            ):
                continue
            if revocation.withdraws is not None:
                continue  # without it what it withdraws is in force: the safe side
            if self.withdrawal_of(self.read.digests[revocation.number]) is not None:
                continue
            if any(_covers(counted.revocation, revocation) for counted in self.in_force):
                continue
            raise NotTrustedError(
                f"revocation {revocation.number} of {revocation.dataset} is attested to be in"
                f" force, and does not count here: {uncounted.reason}",
                step=9,
                hint="put its signatures back from a copy of the registry; if who revoked is not in"
                " your policy, or their key was stolen, have it revoked again",
            )


def read_list(workspace: Workspace, keys: KeyList) -> bytes:
    """The keys in a list of the registry: ascending, each once.

    Raises NotTrustedError (step 8) where it is gone or holds anything else.
    """
    size = keys.count * LIST_KEY_BYTES
    try:
        data = workspace.objects.get(keys.digest, limit=size)
        if len(data) != size:
            raise FormatError(f"it has {len(data):,} bytes, expected {size:,}")
        ends = range(LIST_KEY_BYTES, size, LIST_KEY_BYTES)
        if any(
            data[end - LIST_KEY_BYTES : end] >= data[end : end + LIST_KEY_BYTES] for end in ends
        ):
            raise FormatError("its keys do not ascend")
    except (DamagedError, NotFoundError, FormatError) as error:
        raise NotTrustedError(
            f"a list of revoked samples cannot be read: {error.message}",
            step=8,
            hint="put it back from a copy of the registry; find out who writes to it",
        ) from None
    return data


def check_lists(workspace: Workspace, chain: Chain, head: Head, read: set[str]) -> None:
    """Raises NotTrustedError where a list of revoked samples of the dataset of `head` is gone: who
    hides it would have them used. `read` has the digests of those that were read before."""
    for samples in chain.samples_of(head):
        lists = samples.lists.values() if isinstance(samples, ListedSamples) else ()
        for keys in lists:
            if keys.digest not in read:
                read_list(workspace, keys)
                read.add(keys.digest)


def _covers(wide: Revocation, narrow: Revocation) -> bool:
    """Whether `wide` revokes all that `narrow` does."""
    if (wide.dataset, wide.uid) != (narrow.dataset, narrow.uid):
        return False
    if wide.samples is None or narrow.samples is None:
        return wide.samples is None and narrow.samples is None and wide.head == narrow.head
    if isinstance(wide.samples, NamedSamples) and isinstance(narrow.samples, NamedSamples):
        same_names = wide.samples.names == narrow.samples.names
        return same_names and wide.samples.since <= narrow.samples.since
    if isinstance(wide.samples, ListedSamples) and isinstance(narrow.samples, ListedSamples):
        return wide.samples.lists == narrow.samples.lists
    return False


@dataclass(frozen=True, slots=True)
class _Testimony:
    """How somebody knows that a revocation was there, and since when, None where that is open.

    `by` are the principals who say so.
    """

    evidence: str
    at: datetime | None
    by: frozenset[str] = frozenset()


def read_chain(workspace: Workspace, trust: Trust) -> Chain:
    """All revocations of the registry, judged now under the policy in force.

    Raises DamagedError for more than 100,000, StorageError.
    """
    now = datetime.now(UTC)
    in_force: list[InForce] = []
    passed_over: list[PassedOver] = []
    uncounted: dict[int, PassedOver] = {}
    signatures_of: dict[int, list[Signature]] = {}
    read: dict[int, Revocation] = {}
    broken: NotTrustedError | None = None
    for number in workspace.revocations.numbers():
        try:
            statement = workspace.revocations.read(number)
        except (DamagedError, NotFoundError) as error:
            passed_over.append(PassedOver(number, error.message))
            continue
        signatures = _signatures(workspace, statement, trust)
        try:
            revocation = parse_revocation(statement)
        except FormatError as error:
            passed_over.append(PassedOver(number, error.message))
            if is_revocation_claim(statement):
                broken = broken or _unreadable(number, signatures, trust, error)
            continue
        if revocation.number != number:
            copy = f"it is a copy of revocation {revocation.number}"
            passed_over.append(PassedOver(number, copy))
            continue
        read[number] = revocation
        counted = _count(revocation, signatures, trust, now)
        if isinstance(counted, PassedOver):
            uncounted[number] = counted
            signatures_of[number] = signatures
        else:
            in_force.append(InForce(revocation, sha256_digest(statement), counted))
    readable = Readable.of(read)
    remembered = _known(workspace, trust, uncounted, readable, signatures_of, now)
    passed_over += [entry for number, entry in uncounted.items() if number not in remembered]
    passed_over.sort(key=lambda entry: entry.number)
    in_force += remembered.values()
    in_force.sort(key=lambda entry: entry.revocation.number)
    broken = broken or _missing_link(in_force, readable)
    withdrawals = [counted for counted in in_force if counted.revocation.withdraws is not None]
    ended = {counted.revocation.withdraws for counted in withdrawals if _is_sound(counted, read)}
    revocations = [counted for counted in in_force if counted.revocation.withdraws is None]
    return Chain(
        tuple(counted for counted in revocations if counted.link not in ended),
        tuple(passed_over),
        readable,
        broken,
        tuple(counted for counted in revocations if counted.link in ended),
        tuple(withdrawals),
    )


def _is_sound(withdrawal: InForce, read: Mapping[int, Revocation]) -> bool:
    """Whether a withdrawal is of the dataset that its target is of: a rule for one dataset ends
    nothing of another."""
    made = withdrawal.revocation
    target = None if made.withdraws is None else read.get(made.withdraws.number)
    return target is not None and (target.dataset, target.uid) == (made.dataset, made.uid)


def _known(
    workspace: Workspace,
    trust: Trust,
    uncounted: dict[int, PassedOver],
    read: Readable,
    signatures_of: Mapping[int, Sequence[Signature]],
    now: datetime,
) -> dict[int, InForce]:
    """Those whose signatures do not make them count, and that this user knows to have counted:
    whatever became of the key, the rule or the bundles since, they stay in force.

    Of what others say only the time is taken, and whose word it is: whom no rule lets revoke cannot
    do so by attesting, and whom it does has signed for it thus.
    Where that is not enough, `uncounted` says so.
    """
    remembered: dict[int, InForce] = {}
    if not uncounted:
        return remembered
    pinned, testimonies_of = _pinned(workspace, read)
    datasets = {read.revocations[number].dataset for number in uncounted}
    for digest, testimony in _attested(workspace, trust, datasets, read):
        testimonies_of.setdefault(digest, []).append(testimony)
    for number, skipped in uncounted.items():
        revocation, digest = read.revocations[number], read.digests[number]
        if revocation.withdraws is not None:
            continue  # a thief's would outlive the news of the theft
        seen = workspace.seen(revocation.uid)
        known = None if seen is None else seen.revocations.get(number)
        if known is not None and known.digest == digest and {trust.name, POLICY} & {*known.trusts}:
            evidence = f"seen in {quoted(shown_place(known.places, workspace.places))}"
            remembered[number] = InForce(revocation, digest, skipped.approvals, evidence)
        elif digest in pinned:
            remembered[number] = InForce(revocation, digest, skipped.approvals, "pinned")
        elif digest in testimonies_of:
            testimonies = testimonies_of[digest]
            counts = (
                _count_with(revocation, signatures_of[number], trust, now, testimony)
                for testimony in testimonies
            )
            counted = next((count for count in counts if count is not None), None)
            if counted is None:
                evidence = testimonies[0].evidence
                reason = f"{skipped.reason}; that it is {evidence} does not put it in force"
                uncounted[number] = replace(skipped, reason=reason)
            else:
                remembered[number] = InForce(revocation, digest, *counted)
    return remembered


def _count_with(
    revocation: Revocation,
    signatures: Sequence[Signature],
    trust: Trust,
    now: datetime,
    testimony: _Testimony,
) -> tuple[tuple[tuple[str, Signature], ...], str] | None:
    """By whose signatures `revocation` counts if `testimony` is taken, and how that is known."""
    rule = trust.policy.revoke_rule(revocation.dataset)
    counted = _count(revocation, signatures, trust, now, Witness(pinned=testimony.at))
    if not isinstance(counted, PassedOver):
        return counted, testimony.evidence
    signed = {name for name, _ in counted.approvals}
    met = rule is not None and is_met_by(rule, signed | testimony.by)
    return (counted.approvals, testimony.evidence) if met else None


def _pinned(workspace: Workspace, read: Readable) -> tuple[set[str], dict[str, list[_Testimony]]]:
    """The digests of those that the user's pins put in force, and which others are heard of.

    Who signed the pinned one could have signed what it continues, of its own dataset. What it
    continues of another may be a stranger's.
    """
    in_force: set[str] = set()
    testimonies_of: dict[str, list[_Testimony]] = {}
    # A planted file of pins may refuse, and not choose what is left out.
    for pin in workspace.pins.values() if workspace.vouching else ():
        line = list(read.line(pin.revocation))
        for digest, revocation in line:
            if (revocation.dataset, revocation.uid) == (line[0][1].dataset, line[0][1].uid):
                in_force.add(digest)
            else:
                testimonies_of.setdefault(digest, []).append(_Testimony("pinned", pin.at))
    return in_force, testimonies_of


def _attested(
    workspace: Workspace, trust: Trust, datasets: Iterable[str], read: Readable
) -> Iterator[tuple[str, _Testimony]]:
    """Which revocations of its own dataset a *latest* statement that counts names, or names what
    continues them: they were there when all who attest it signed, as far as that is proven."""
    for dataset in datasets:
        for attestation in read_freshness(workspace, dataset, None, trust).attested:
            times = [
                signature.signed_at
                for _, signature in attestation.approvals
                if signature.carries("time")
            ]
            proven = [at for at in times if at is not None]
            at = max(proven) if len(proven) == len(attestation.approvals) else None
            testimony = _Testimony(
                "attested", at, frozenset(name for name, _ in attestation.approvals)
            )
            for digest, revocation in read.line(attestation.latest.revocation):
                if (revocation.dataset, revocation.uid) == (dataset, attestation.latest.uid):
                    yield digest, testimony


def _signatures(workspace: Workspace, statement: bytes, trust: Trust) -> list[Signature]:
    """Who signed `statement`, of those whom the policy knows (steps 1 to 3)."""
    bundles = workspace.revocations.bundles(sha256_digest(statement))
    return check_bundles(bundles, trust, over(statement)).signatures


def _count(
    revocation: Revocation,
    signatures: Sequence[Signature],
    trust: Trust,
    now: datetime,
    witness: Witness = NO_WITNESS,
) -> tuple[tuple[str, Signature], ...] | PassedOver:
    """The principals by whose signatures `revocation` counts, or why it does not."""
    rule = trust.policy.revoke_rule(revocation.dataset)
    if rule is None:
        why = f"no [[revoke]] rule of the policy covers {quoted(revocation.dataset)}"
        return PassedOver(revocation.number, why, revocation)
    # An expired key revokes all the same: only a possibly stolen key must be proven to have signed
    # earlier. A timely revocation would otherwise lapse for later users. It withdraws nothing.
    count = count_principals(
        trust.policy, rule, signatures, now=now, created=revocation.created, witness=witness,
        ends=revocation.withdraws is not None,
    )  # fmt: skip
    if count.is_met:
        return count.approvals
    aside = "".join(f"; not counted: {signature}" for signature in count.uncounted)
    why = f"{count.needed}{aside}"
    return PassedOver(revocation.number, why, revocation, count.approvals, ruled=True)


def _unreadable(
    number: int, signatures: Sequence[Signature], trust: Trust, error: FormatError
) -> NotTrustedError | None:
    """Why nothing verifies where someone who may revoke something signed what cannot be read."""
    signers = {name for rule in trust.policy.revoke for name in rule.signers}
    for signature in signatures:
        principal = trust.policy.signer_of(signature)
        if principal is not None and principal.name in signers:
            return NotTrustedError(
                f"revocation {number}, signed by {principal.name}, cannot be read: {error.message}",
                step=8,
                hint="update provreg: it may be of a kind that this one does not know",
            )
    return None


def _missing_link(in_force: Sequence[InForce], read: Readable) -> NotTrustedError | None:
    """Why the chain is not whole: one in force continues one that is not there."""
    followed: set[int] = set()
    for counted in in_force:
        revocation = counted.revocation
        while revocation.previous is not None and revocation.number not in followed:
            followed.add(revocation.number)
            link = revocation.previous
            if read.digests.get(link.number) != link.digest:
                return NotTrustedError(
                    f"revocation {revocation.number} continues revocation {link.number}"
                    f" ({link.digest}), which the registry hides",
                    step=8,
                    hint="put it back from a copy of the registry; find out who writes to it",
                )
            revocation = read.revocations[link.number]
    return None
