"""Step 9: a version against what was seen, pinned and attested of its dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from provreg.core.encoding.names import Reference
from provreg.core.encoding.text import quoted
from provreg.core.manifest.head import Head
from provreg.core.policy.counting import Verdict
from provreg.core.statements.revocation import RevocationLink
from provreg.errors import DamagedError, NotFoundError, NotTrustedError
from provreg.executors.api import no_report
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.freshness import Attested
from provreg.flows.verify.manifest import Report, history, locate, read_head
from provreg.flows.verify.revocations import Chain
from provreg.flows.verify.signatures import Signed
from provreg.store.private.pins import read_lock, write_lock
from provreg.store.private.seen import Seen, forget_command, shown_place
from provreg.store.private.state import Pin, Sighting, check_same, check_seen

NOTHING_SEEN: Mapping[str, datetime] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Known:
    """What a consumer knows of a dataset before it looks at the registry.

    `here` has the uid that was seen under the name, by place: the addresses of this registry;
    `revoked_here` the newest revocation that was seen there, of whatever dataset.
    """

    here: Mapping[str, str]
    revoked_here: Mapping[str, RevocationLink]
    seen: Seen | None
    pin: Pin | None

    def of(self, workspace: Workspace, uid: str) -> Known:
        """What is known of the dataset `uid`, which the registry shows under the name."""
        if self.seen is not None and self.seen.uid == uid:
            return self
        return replace(self, seen=workspace.seen(uid))

    @property
    def newest(self) -> int:
        """The highest number seen or pinned, 0 where there is none."""
        seen, pin = self.seen, self.pin
        return max(0 if seen is None else seen.newest, 0 if pin is None else pin.version)


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of parents, each walked once however many versions are asked for.

    `heads`, by digest, need not be read.
    """

    workspace: Workspace
    heads: dict[str, Head] = field(default_factory=dict)
    _walks: dict[str, Iterator[tuple[str, Head]]] = field(default_factory=dict, init=False)
    _numbers: dict[str, dict[int, str]] = field(default_factory=dict, init=False)
    _above: dict[tuple[int, str], set[str]] = field(default_factory=dict, init=False)

    def descend(self, newer: str, older: tuple[int, str]) -> bool:
        """Whether the line of `newer` has the head `older[1]` as number `older[0]`.

        Raises NotTrustedError where it is broken before.
        """
        walk = self._walks.setdefault(newer, history(self.workspace, newer, self.heads))
        numbers = self._numbers.setdefault(newer, {})
        if numbers and next(reversed(numbers)) <= older[0]:
            return numbers.get(older[0]) == older[1]
        above = self._above.setdefault(older, set())
        passed: list[str] = []
        for digest, head in walk:
            numbers[head.version] = digest
            if digest in above or (head.version, digest) == older:
                above.update(passed, (digest,))
                return True
            if head.version <= older[0]:
                break
            passed.append(digest)
        return False


def known_of(workspace: Workspace, reference: Reference, uid: str | None = None) -> Known:
    """What is known of the dataset that `reference` names, and that has this `uid` if it is given.

    Asked for before the registry is listed: what others publish meanwhile is no rollback. Where
    nothing was seen under the name here, it is of the dataset that the registry shows under it,
    which may have been seen elsewhere.
    """
    dataset = reference.dataset
    here, pin = workspace.uids_here(dataset), workspace.pins.get(dataset)
    uid_here = next(iter(here.values()), None)
    seen = None if uid_here is None else workspace.seen(uid_here)
    if uid_here is not None and seen is None:
        place = next(iter(here))
        raise DamagedError(
            f"{dataset} was seen in {quoted(place)}, and what was seen is gone from the state",
            hint="put the state back from a copy, or forget the rest of it:"
            f" {forget_command(dataset, place)}",
        )
    if uid_here is None and uid is None:
        with suppress(NotFoundError, NotTrustedError, DamagedError):
            uid = read_head(workspace, locate(workspace, reference)[1]).uid
    if uid not in {None, uid_here}:
        seen = workspace.seen(uid)
    return Known(here, workspace.revocations_here(), seen, pin)


def check_known(known: Known, head: Head, digest: str, here: str) -> None:
    """Step 9, as far as the head `digest` shows it by itself: it is of the dataset that is known,
    and its number was that of no other. `known` is of its uid, `here` is where it lies.

    Raises NotTrustedError.
    """
    pin = known.pin
    if pin is not None and pin.uid != head.uid:
        raise NotTrustedError(
            f"{head.dataset} is pinned as another dataset (uid {pin.uid}, here {head.uid})",
            step=9,
            hint="ask its publisher whether it was made anew; if so, pin it again",
        )
    check_same(head.dataset, head.uid, here, known.here)
    if known.seen is not None:
        check_seen(known.seen, head.dataset, head.version, digest, here)


def check_history(
    workspace: Workspace,
    reference: Reference,
    digest: str,
    head: Head,
    known: Known,
    attested: Sequence[Attested] = (),
    done: Report = no_report,
    *,
    lines: Lines | None = None,
) -> bool:
    """Step 9: the head `digest` lies on one line with what is known. False where nothing was.

    `lines` are for who asks of many versions. Raises NotTrustedError.
    """
    lines = lines or Lines(workspace)
    pin, here = known.pin, workspace.location
    known = known.of(workspace, head.uid)
    check_known(known, head, digest, here)
    seen = known.seen
    anchors = [] if pin is None else [_Anchor(pin.version, pin.head, "is pinned")]
    if seen is not None:
        anchors += _anchor_of(workspace, reference, head, seen)
    # A list: pin and memory can name the same number, and both must hold.
    remembered = bool(anchors)
    if reference.head is not None:
        done(9, "named by digest: exempt")
        return remembered
    for attestation in attested:
        if reference.version is None and head.version < attestation.latest.version:
            raise NotTrustedError(
                f"the registry hides the newest version of {head.dataset}: {attestation} is"
                f" attested to be the newest, the registry's newest is {head.version}",
                step=9,
                hint="find out who writes to the registry; ask for an older version by number if"
                " you mean it",
            )
        anchors.append(_Anchor(attestation.latest.version, attestation.latest.head, "is attested"))
    for anchor in sorted(anchors, key=lambda attestation: (attestation.number, attestation.head)):
        older, newer = sorted([(head.version, digest), (anchor.number, anchor.head)])
        if reference.version is None and head.version < anchor.number:
            raise NotTrustedError(
                f"{head.dataset} went back: version {anchor.number} {anchor.evidence}, the newest"
                f" in {quoted(here)} is {head.version}",
                step=9,
                hint=f"ask for {head.dataset}@{head.version} by number if you mean it, or forget"
                f" what was seen: {anchor.forget}"
                if anchor.elsewhere
                else anchor.way_out(),
            )
        try:
            descends = lines.descend(newer[1], older)
        except NotTrustedError as error:
            raise NotTrustedError(
                f"{error.message}; version {anchor.number} {anchor.evidence}, this is"
                f" {quoted(here)}",
                step=9,
                hint=anchor.way_out(),
            ) from None
        if not descends:
            raise NotTrustedError(
                f"{head.dataset}@{newer[0]} does not descend from version {older[0]} ({older[1]});"
                f" version {anchor.number} {anchor.evidence}, this is {quoted(here)}",
                step=9,
                hint="the history was rewritten: compare with a colleague's state or lock file",
            )
    newest = max((anchor.number for anchor in anchors), default=None)
    done(
        9, "first use: nothing to compare" if newest is None else f"on the line of version {newest}"
    )
    return remembered


def check_revocations_present(
    workspace: Workspace, chain: Chain, known: Known, attested: Sequence[Attested] = ()
) -> None:
    """Step 9: the registry still has the revocations that are known, and those of its dataset that
    are attested are in force. NotTrustedError."""
    seen: list[tuple[RevocationLink, str, str | None]] = [
        (link, place, None) for place, link in known.revoked_here.items()
    ]
    if known.seen is not None:
        seen += [
            (
                RevocationLink(number, revocation.digest),
                shown_place(revocation.places, workspace.places),
                known.seen.dataset,
            )
            for number, revocation in known.seen.revocations.items()
        ]
    for link, place, dataset in seen:
        elsewhere = "" if place in workspace.places else f", this is {quoted(workspace.location)}"
        evidence = f"was seen in {quoted(place)}{elsewhere}"
        chain.check_holds(link, evidence, forget=forget_command(dataset, place))
    chain.check_holds(None if known.pin is None else known.pin.revocation, "is pinned")
    for attestation in attested:
        chain.check_holds(attestation.latest.revocation, "is attested to be the newest")
        chain.check_attested(attestation.latest)


def remember(workspace: Workspace, signed: Signed, trust: Trust, chain: Chain) -> None:
    """Remembers a version that verified, under which trust and by whose signatures, and the
    revocations that counted then."""
    head = signed.head
    counted = [made for _, made in signed.verdict.approvals]
    # Anybody may have a certificate, and add a bundle: of those only who counted.
    keys = [made for made in signed.signatures if made.key is not None]
    ours = [revocation for revocation in chain.counted if revocation.revocation.uid == head.uid]
    workspace.remember(
        Sighting(
            dataset=head.dataset,
            uid=head.uid,
            number=head.version,
            head=signed.digest,
            trust=trust.name,
            signers=tuple(dict.fromkeys(made.signer for made in (*counted, *keys))),
            at=_now(),
            revocation=chain.newest,
            in_force={revocation.revocation.number: revocation.digest for revocation in ours},
        )
    )


def pin(
    lock: Path,
    head: Head,
    digest: str,
    revocation: RevocationLink | None,
    *,
    exact: bool | None = None,
    seen: Mapping[str, datetime] = NOTHING_SEEN,
) -> Pin:
    """Pins a version that verified in the file `lock`, which is made if it does not exist, with the
    newest revocation in force.

    `exact` is by default as in the pin that is replaced. `seen` says when this user saw signatures
    of keys that have an end; times before the pin are written. Raises FormatError for a malformed
    lock file, StorageError.
    """
    pins = read_lock(lock) if lock.exists() else {}
    old, at = pins.get(head.dataset), _now()
    if exact is None:
        exact = old is not None and old.exact
    known: Mapping[str, datetime] = {}
    if old is not None and old.at is not None and (old.uid, old.head) == (head.uid, digest):
        known = old.seen
        if old.revocation == revocation:
            # Pinned again it is as old as it was: the earlier time says more.
            at = old.at
    times = dict(known) | {
        signer: min(moment, known.get(signer, moment)) for signer, moment in seen.items()
    }
    before = {signer: moment for signer, moment in times.items() if moment < at}
    new = Pin(head.uid, head.version, digest, revocation, at, exact, before)
    write_lock(lock, {**pins, head.dataset: new})
    return new


def seen_before_an_end(
    workspace: Workspace, head: Head, digest: str, verdict: Verdict, trust: Trust
) -> dict[str, datetime]:
    """When this user first saw, under their policy, the counted signatures of keys that have an end
    and that nothing else dates."""
    ends = {
        key.fingerprint
        for key in trust.policy.trusted_keys()
        if key.valid_until is not None or key.revoked is not None
    }
    counted = {made.key for _, made in verdict.approvals if made.signed_at is None}
    # Under --key no key has an end: what was seen so dates nothing for a policy.
    saw = workspace.witnessed(head, digest, trust.name)
    return {signer: moment for signer, moment in saw.items() if signer in ends & counted}


@dataclass(frozen=True, slots=True)
class _Anchor:
    """A version that another must be on one line with, how it is known, how to forget it.

    `elsewhere`: it was seen at other addresses only, so a registry without it may be a mirror.
    """

    number: int
    head: str
    evidence: str
    forget: str = ""
    elsewhere: bool = False

    def way_out(self) -> str:
        """What to do about a registry that lacks this version."""
        forget = self.forget and f"; if you went back to an old copy on purpose: {self.forget}"
        return f"put it back from a copy of the registry; find out who writes to it{forget}"


def _anchor_of(workspace: Workspace, reference: Reference, head: Head, seen: Seen) -> list[_Anchor]:
    """The newest version seen. One that was seen elsewhere may be missing in a mirror that lags:
    who asks it for an older number is shown that on the line of the newest that it has."""
    for number, version in reversed(list(seen.versions.items())):
        lags = reference.version is not None and head.version < number
        place = shown_place(version.places, workspace.places)
        elsewhere = place not in workspace.places
        if lags and elsewhere and not _has_head(workspace, version.head):
            continue
        evidence, forget = f"was seen in {quoted(place)}", forget_command(head.dataset, place)
        return [_Anchor(number, version.head, evidence, forget, elsewhere)]
    return []


def _has_head(workspace: Workspace, digest: str) -> bool:
    try:
        read_head(workspace, digest)
    except NotTrustedError:
        return False
    return True


def _now() -> datetime:
    """A whole second that is not before now: nothing was seen earlier than it was."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
