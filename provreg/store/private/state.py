"""The memory of what this user has seen: what makes a rollback visible (step 9).

It belongs to a dataset's uid, wherever its registry lies, and beside it stands which uid each place
shows under a name (docs/format/state.md). It only ever grows, but by `forget`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from provreg.core.encoding.text import printable, quoted
from provreg.core.statements.revocation import RevocationLink
from provreg.errors import DamagedError, NotTrustedError, StorageError
from provreg.executors.api import no_report
from provreg.store.private.folders import (
    locked,
    private_folder,
    read_private,
    replace_private,
    state_folder,
)
from provreg.store.private.seen import (
    MAX_KEPT_PLACES,
    MAX_STATE_BYTES,
    UID,
    Place,
    Seen,
    SeenRevocation,
    SeenVersion,
    forget_command,
    read_place,
    read_seen,
    shown_place,
    written_place,
    written_seen,
)

_Thing = TypeVar("_Thing", SeenVersion, SeenRevocation)


@dataclass(frozen=True, slots=True)
class Pin:
    """The version of a dataset that its user settled on; `head` is the digest of its head.

    `at` is when, None where the pin does not say. `revocation` is the newest one that counted in
    the registry then. `exact`: the dataset's name alone means this version, not the newest. `seen`
    has signers whose signatures over the head the user saw before `at`, and when.
    """

    uid: str
    version: int
    head: str
    revocation: RevocationLink | None = None
    at: datetime | None = None
    exact: bool = False
    seen: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A version that verified `at` some moment under a trust, with who had signed it.

    `revocation` is the newest one that counted; `in_force` are, by number, the digests of those of
    this dataset that counted, and are to stay in force.
    """

    dataset: str
    uid: str
    number: int
    head: str
    trust: str
    signers: tuple[str, ...]
    at: datetime
    revocation: RevocationLink | None = None
    in_force: Mapping[int, str] = field(default_factory=dict)


def load(uid: str) -> Seen | None:
    """What was seen of the dataset `uid`, wherever; None if nothing was.

    Raises DamagedError for a state file that cannot be read as one: what cannot be remembered is
    not taken for never seen. Raises UsageError and StorageError as `private.state_folder`.
    """
    if re.fullmatch(UID, uid) is None:
        return None
    path = _seen_file(uid)
    try:
        data = read_private(path, MAX_STATE_BYTES)
        return None if data is None else _parsed_seen(data, uid)
    except DamagedError as error:
        raise _unreadable(path, error) from None


def load_place(location: str) -> Place:
    """What was seen at one address; raises as `load`."""
    path = _place_file(location)
    try:
        data = read_private(path, MAX_STATE_BYTES)
        return Place(location) if data is None else _parsed_place(data, location)
    except DamagedError as error:
        raise _unreadable(path, error) from None


def check_same(dataset: str, uid: str, here: str, known: Mapping[str, str]) -> None:
    """Step 9: the dataset `uid` is the one that is `known`, by place, under the name.

    Raises NotTrustedError.
    """
    for place, other in known.items():
        if uid != other:
            raise NotTrustedError(
                f"this is another dataset of the same name: {dataset} in {quoted(here)} has the"
                f" uid {printable(uid)}, the one seen before in {quoted(place)} has {other}",
                step=9,
                hint="ask its publisher whether it was made anew; if so, forget the one before:"
                f" {forget_command(dataset, place)}",
            )


def check_seen(seen: Seen, dataset: str, number: int, head: str, here: str) -> None:
    """Step 9, as far as one head in `here` shows it: NotTrustedError where `seen` contradicts."""
    if seen.dataset != dataset:
        raise NotTrustedError(
            f"the dataset with the uid {seen.uid} is {dataset} in {quoted(here)}, and was seen"
            f" before as {seen.dataset}",
            step=9,
            hint="no two datasets have one uid: find out who made this one",
        )
    known = seen.versions.get(number)
    if known is None or known.head == head:
        return
    place = shown_place(known.places, [here])
    raise NotTrustedError(
        f"version {number} is not the one seen before: in {quoted(place)} its head was"
        f" {known.head}, {quoted(here)} now says {head}",
        step=9,
        hint="versions never change: compare with a colleague what they have seen, and find out who"
        " writes to the registry. If what was seen before was made to try something out:"
        f" {forget_command(dataset, place)}",
    )


def remember(
    places: Sequence[str],
    sighting: Sighting,
    *,
    waiting: Callable[[str], None] = no_report,
) -> Seen:
    """Adds a version that was seen at `places`, the addresses of one registry, to what was seen.

    Nothing is forgotten. Raises NotTrustedError (step 9) where something contradicts what was seen,
    and nothing is then written; otherwise as `load`. Where nothing is new nothing is written.
    """
    before = load(sighting.uid)
    after, changed = _merged(places, sighting, before)
    if after == before and not changed:
        return after
    with locked(_lock_file(), f"remembering a version of {sighting.dataset}", waiting=waiting):
        before = load(sighting.uid)
        after, changed = _merged(places, sighting, before)
        # The dataset first: a place that names one which nothing is known of would refuse it.
        if after != before:
            _write(_seen_file(after.uid), written_seen(after))
        for place in changed:
            _write(_place_file(place.location), written_place(place))
    return after


@dataclass(frozen=True, slots=True)
class Forgettable:
    """What would be forgotten of one dataset: the versions and revocations seen there alone.

    `unreadable` says why all of it is forgotten, where the state file cannot be read.
    """

    dataset: str
    uid: str
    versions: tuple[int, ...] = ()
    revocations: tuple[int, ...] = ()
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class PlaceMemory:
    """What is remembered at the addresses of one registry, and would be forgotten.

    `revocation` is the newest one seen there; it is forgotten with the last dataset.
    """

    places: tuple[str, ...]
    datasets: tuple[Forgettable, ...]
    revocation: RevocationLink | None
    unreadable: str | None = None


def memory_of(places: Sequence[str], dataset: str | None = None) -> PlaceMemory:
    """What `forget` would forget: of `dataset`, or of all that was seen at `places`."""
    known: dict[tuple[str, str], None] = {}
    link: RevocationLink | None = None
    unreadable = None
    for location in places:
        try:
            place = load_place(location)
        except DamagedError as error:
            unreadable = error.message
            continue
        link = place.revocation or link
        known |= dict.fromkeys(place.datasets.items())
    forgettable = [
        _forgettable(name, uid, places) for name, uid in known if dataset is None or name == dataset
    ]
    last = len(forgettable) == len(known)
    return PlaceMemory(tuple(places), tuple(forgettable), link if last else None, unreadable)


def forget(memory: PlaceMemory, *, waiting: Callable[[str], None] = no_report) -> None:
    """Forgets what `memory_of` said; raises StorageError."""
    gone = {dataset.dataset for dataset in memory.datasets}
    with locked(_lock_file(), "forgetting what was seen", waiting=waiting):
        for location in memory.places:
            if memory.unreadable is not None:
                _remove(_place_file(location))
                continue
            place = load_place(location)
            left = {name: uid for name, uid in place.datasets.items() if name not in gone}
            if left:
                _write(
                    _place_file(location), written_place(Place(location, left, place.revocation))
                )
            else:
                _remove(_place_file(location))
        for dataset in memory.datasets:
            _forget_dataset(dataset, memory.places)


def _forgettable(dataset: str, uid: str, places: Sequence[str]) -> Forgettable:
    try:
        seen = load(uid)
    except DamagedError as error:
        return Forgettable(dataset, uid, unreadable=error.message)
    if seen is None:
        return Forgettable(dataset, uid)
    versions = tuple(n for n, version in seen.versions.items() if not _elsewhere(version, places))
    revocations = tuple(
        n for n, revocation in seen.revocations.items() if not _elsewhere(revocation, places)
    )
    return Forgettable(dataset, uid, versions, revocations)


def _forget_dataset(forgotten: Forgettable, places: Sequence[str]) -> None:
    seen = None if forgotten.unreadable else load(forgotten.uid)
    other_places = (
        () if seen is None else tuple(place for place in seen.places if place not in places)
    )
    if seen is None or not other_places:
        _remove(_seen_file(forgotten.uid))
        return
    rest = Seen(
        seen.uid,
        seen.dataset,
        other_places,
        MappingProxyType(_without(seen.versions, places)),
        MappingProxyType(_without(seen.revocations, places)),
    )
    _write(_seen_file(forgotten.uid), written_seen(rest))


def _elsewhere(item: SeenVersion | SeenRevocation, places: Sequence[str]) -> tuple[str, ...]:
    return tuple(place for place in item.places if place not in places)


def _without(seen: Mapping[int, _Thing], places: Sequence[str]) -> dict[int, _Thing]:
    """What was seen elsewhere as well, and there."""
    return {
        number: replace(item, places=other_places)
        for number, item in seen.items()
        if (other_places := _elsewhere(item, places))
    }


def _merged(
    places: Sequence[str], sighting: Sighting, before: Seen | None
) -> tuple[Seen, list[Place]]:
    """What is seen now, and the places of which something new is known."""
    old = before or Seen(sighting.uid, sighting.dataset)
    here, changed = places[0], []
    for location in places:
        place = load_place(location)
        known = place.datasets.get(sighting.dataset)
        if known is not None:
            check_same(sighting.dataset, sighting.uid, here, {location: known})
        datasets = {**place.datasets, sighting.dataset: sighting.uid}
        after = Place(location, datasets, _newer(place.revocation, sighting.revocation, location))
        if after != place:
            changed.append(after)
    check_seen(old, sighting.dataset, sighting.number, sighting.head, here)
    versions = {**old.versions, sighting.number: _seen_again(old, sighting, places)}
    seen = Seen(
        old.uid,
        old.dataset,
        tuple(dict.fromkeys((*old.places, *places))),
        MappingProxyType(dict(sorted(versions.items()))),
        MappingProxyType(_revocations(old, sighting, places)),
    )
    return seen, changed


def _seen_again(old: Seen, sighting: Sighting, places: Sequence[str]) -> SeenVersion:
    """The version with what is new about it; of each signer the first time stays."""
    known = old.versions.get(sighting.number) or SeenVersion(sighting.head, (), {})
    known = replace(known, places=_seen_at(known.places, places))
    signers = known.trusts.get(sighting.trust, {})
    new = sorted(set(sighting.signers) - set(signers))
    if not new and sighting.trust in known.trusts:
        return known
    # A clock that was set back must not date anything before what was seen earlier.
    earlier = (
        at
        for version in old.versions.values()
        for signed in version.trusts.values()
        for at in signed.values()
    )
    at = max(sighting.at, max(earlier, default=sighting.at))
    trusts = {**known.trusts, sighting.trust: {**signers, **dict.fromkeys(new, at)}}
    return replace(known, trusts=trusts)


def _seen_at(before: tuple[str, ...], places: Sequence[str]) -> tuple[str, ...]:
    """The places where something was seen, the newest last."""
    return tuple(dict.fromkeys((*before, *places)))[-MAX_KEPT_PLACES:]


def _revocations(old: Seen, sighting: Sighting, places: Sequence[str]) -> dict[int, SeenRevocation]:
    found = dict(old.revocations)
    new = dict(sighting.in_force)
    link = sighting.revocation
    if link is not None:
        new.setdefault(link.number, link.digest)
    for number, digest in new.items():
        known = found.get(number) or SeenRevocation(digest, (), ())
        if known.digest != digest:
            place = shown_place(known.places, places)
            raise _other_revocation(number, known.digest, place, digest)
        trusts = {*known.trusts, sighting.trust} if number in sighting.in_force else known.trusts
        seen_at = _seen_at(known.places, places)
        found[number] = SeenRevocation(digest, seen_at, tuple(sorted(trusts)))
    return dict(sorted(found.items()))


def _newer(
    old: RevocationLink | None, new: RevocationLink | None, place: str
) -> RevocationLink | None:
    if old is None or new is None:
        return old or new
    if old.number == new.number and old.digest != new.digest:
        raise _other_revocation(old.number, old.digest, place, new.digest)
    return max(old, new, key=lambda revocation: revocation.number)


def _other_revocation(number: int, known: str, place: str, found: str) -> NotTrustedError:
    return NotTrustedError(
        f"revocation {number} is not the one seen before: in {quoted(place)} it was {known}, the"
        f" registry now says {found}",
        step=9,
        hint="revocations never change: find out who writes to the registry",
    )


def _seen_file(uid: str) -> Path:
    return state_folder() / "datasets" / f"{uid}.json"


def _place_file(location: str) -> Path:
    return state_folder() / "places" / f"{hashlib.sha256(location.encode()).hexdigest()}.json"


def _lock_file() -> Path:
    return state_folder() / "lock"


def _write(path: Path, data: bytes) -> None:
    private_folder(path.parent)
    replace_private(path, data)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot remove {quoted(str(path))}: {error.strerror}") from error


def _unreadable(path: Path, error: DamagedError) -> DamagedError:
    return DamagedError(
        f"what was seen cannot be read from {quoted(str(path))}: {error.message}",
        hint="put the file back from a copy; `provreg forget` (or removing it) forgets what was"
        " seen, and the next version is then taken on first use",
    )


@lru_cache(maxsize=4)
def _parsed_seen(data: bytes, uid: str) -> Seen:
    """One ingestion asks six times what was seen; what is parsed here grows with every version."""
    return read_seen(data, uid)


@lru_cache(maxsize=4)
def _parsed_place(data: bytes, location: str) -> Place:
    return read_place(data, location)
