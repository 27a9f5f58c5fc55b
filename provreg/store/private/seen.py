"""What was seen, as it is kept: of a dataset, and at a place (docs/format/state.md)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from provreg.core.encoding.canonical import canonical, parse_canonical
from provreg.core.encoding.names import check_dataset_name
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import printable, quoted
from provreg.core.encoding.times import format_time
from provreg.core.statements.revocation import RevocationLink, read_link
from provreg.errors import FormatError, UsageError
from provreg.store.layout import check_head_digest

SEEN_FORMAT = "provreg.state/v1"
PLACE_FORMAT = "provreg.place/v1"
MAX_STATE_BYTES = 64 << 20
UID = "[0-9a-f]{32}"
_NUMBER = re.compile("[1-9][0-9]{0,7}")
_MAX_PLACES = 100_000
# Of one version; where somebody is made a new place every day, the newest are kept.
MAX_KEPT_PLACES = 16


@dataclass(frozen=True, slots=True)
class SeenVersion:
    """A version's head, the places where it was seen, and what it vouches for.

    `trusts` has, for each trust under which it verified, every signer of it and when their
    signature was first seen.
    """

    head: str
    places: tuple[str, ...]
    trusts: Mapping[str, Mapping[str, datetime]]


@dataclass(frozen=True, slots=True)
class SeenRevocation:
    """A revocation that counted when it was seen, and the places where that was.

    `trusts` are those under which one of this very dataset was in force, and so stays. Of others
    only that they are there is known.
    """

    digest: str
    places: tuple[str, ...]
    trusts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one dataset, by number, in whatever `places`."""

    uid: str
    dataset: str
    places: tuple[str, ...] = ()
    versions: Mapping[int, SeenVersion] = field(default_factory=dict)
    revocations: Mapping[int, SeenRevocation] = field(default_factory=dict)

    @property
    def newest(self) -> int:
        """The highest number seen, 0 where none is left."""
        return max(self.versions, default=0)


@dataclass(frozen=True, slots=True)
class Place:
    """What was seen at one address: the uid under each name, and the newest revocation."""

    location: str
    datasets: Mapping[str, str] = field(default_factory=dict)
    revocation: RevocationLink | None = None


def shown_place(places: Sequence[str], here: Sequence[str]) -> str:
    """Which of the `places` where something was seen people are told: that `here`, if it was."""
    return next((place for place in places if place in here), places[0])


def forget_command(dataset: str | None, place: str) -> str:
    """The command by which a user forgets what was seen of `dataset`, or of all, at `place`."""
    what = "" if dataset is None else f"{dataset} "
    return f"provreg forget {what}--registry {printable(shlex.quote(path_of(place)))}"


def path_of(place: str) -> str:
    """The path of a folder's address; what is no folder's stays as it is."""
    return unquote(place.removeprefix("file://")) if place.startswith("file://") else place


def written_seen(seen: Seen) -> bytes:
    """The document of `seen`. Raises FormatError for what could not be read again."""
    places = {place: index for index, place in enumerate(seen.places)}
    document: dict[str, Any] = {
        "format": SEEN_FORMAT,
        "dataset": seen.dataset,
        "uid": seen.uid,
        "places": list(seen.places),
        "versions": {
            str(number): {
                "head": version.head,
                "places": [places[place] for place in version.places],
                "seen": {
                    trust: {signer: format_time(at) for signer, at in signers.items()}
                    for trust, signers in version.trusts.items()
                },
            }
            for number, version in seen.versions.items()
        },
        "revocations": {
            str(number): {
                "digest": revocation.digest,
                "places": [places[place] for place in revocation.places],
                "in_force": list(revocation.trusts),
            }
            for number, revocation in seen.revocations.items()
        },
    }
    data = canonical(document)
    read_seen(data, seen.uid)
    return data


def read_seen(data: bytes, uid: str) -> Seen:
    """What `written_seen` wrote of the dataset `uid`; FormatError for anything else."""
    fields = Fields(parse_canonical(data, what="the state", limit=MAX_STATE_BYTES), "state")
    _check_equal(fields, "format", SEEN_FORMAT)
    _check_equal(fields, "uid", uid)
    if re.fullmatch(UID, uid) is None:
        raise fields.wrong("uid", "is not a uid")
    dataset = _dataset(fields.text("dataset"))
    places = fields.texts("places", limit=_MAX_PLACES)
    if len(set(places)) != len(places):
        raise fields.wrong("places", "has one twice")
    versions = {
        number: _read_version(Fields(document, f"state.versions.{number}"), places)
        for number, document in _numbered(fields, "versions")
    }
    revocations = {
        number: _read_revocation(Fields(document, f"state.revocations.{number}"), places)
        for number, document in _numbered(fields, "revocations")
    }
    fields.done()
    return Seen(uid, dataset, places, MappingProxyType(versions), MappingProxyType(revocations))


def written_place(place: Place) -> bytes:
    """The document of `place`. Raises FormatError for what could not be read again."""
    link = place.revocation
    document = {
        "format": PLACE_FORMAT,
        "location": place.location,
        "datasets": dict(place.datasets),
        "revocation": link and {"number": link.number, "digest": link.digest},
    }
    data = canonical(document)
    read_place(data, place.location)
    return data


def read_place(data: bytes, location: str) -> Place:
    """What `written_place` wrote of `location`; FormatError for anything else."""
    fields = Fields(parse_canonical(data, what="the place", limit=MAX_STATE_BYTES), "place")
    _check_equal(fields, "format", PLACE_FORMAT)
    _check_equal(fields, "location", location)
    datasets = fields.raw("datasets")
    if not isinstance(datasets, dict):
        raise fields.wrong("datasets", "is not an object")
    for name, uid in datasets.items():
        _dataset(name)
        if not isinstance(uid, str) or re.fullmatch(UID, uid) is None:
            raise fields.wrong("datasets", f"has no uid for {name}")
    revoked = fields.optional_object("revocation")
    link = None if revoked is None else read_link(revoked)
    fields.done()
    return Place(location, MappingProxyType(datasets), link)


def _read_version(fields: Fields, places: tuple[str, ...]) -> SeenVersion:
    head = check_head_digest(fields.text("head"))
    seen_at = _places(fields, places)
    trusts = fields.raw("seen")
    fields.done()
    if not isinstance(trusts, dict) or not trusts:
        raise fields.wrong("seen", "is not an object with at least one trust")
    return SeenVersion(head, seen_at, {trust: _signers(fields, trusts[trust]) for trust in trusts})


def _signers(fields: Fields, signers: Any) -> dict[str, datetime]:
    if not isinstance(signers, dict):
        raise fields.wrong("seen", "is not who signed, and when that was first seen")
    return {signer: _moment(fields, at) for signer, at in signers.items()}


def _moment(fields: Fields, written: Any) -> datetime:
    # By hand: a state has one for every version, and `Fields.time` takes ten times as long.
    try:
        moment = datetime.fromisoformat(written).astimezone(UTC)
        if format_time(moment) == written:
            return moment
    except (TypeError, ValueError, OverflowError):
        pass
    raise fields.wrong("seen", "has an invalid time")


def _read_revocation(fields: Fields, places: tuple[str, ...]) -> SeenRevocation:
    digest = fields.digest("digest", "sha256")
    seen_at = _places(fields, places)
    trusts = fields.texts("in_force", limit=_MAX_PLACES)
    fields.done()
    return SeenRevocation(digest, seen_at, trusts)


def _places(fields: Fields, places: tuple[str, ...]) -> tuple[str, ...]:
    """Where something was seen, by the indexes into `places`."""
    found = fields.raw("places")
    if not isinstance(found, list) or not 0 < len(found) <= MAX_KEPT_PLACES:
        raise fields.wrong("places", f"is not a list of 1 to {MAX_KEPT_PLACES}")
    # A truth value is an integer too, and no index.
    if any(type(at) is not int or not 0 <= at < len(places) for at in found):
        raise fields.wrong("places", "has what is no index into the state's places")
    if len(set(found)) != len(found):
        raise fields.wrong("places", "has one twice")
    return tuple(places[at] for at in found)


def _numbered(fields: Fields, name: str) -> list[tuple[int, Any]]:
    document = fields.raw(name)
    if not isinstance(document, dict):
        raise fields.wrong(name, "is not an object")
    for number in document:
        if _NUMBER.fullmatch(number) is None:
            raise fields.wrong(name, f"has {quoted(number)}, which is not a number")
    return sorted((int(number), document) for number, document in document.items())


def _check_equal(fields: Fields, name: str, wanted: str) -> None:
    found = fields.text(name)
    if found != wanted:
        raise fields.wrong(name, f"is {quoted(found)}, not {quoted(wanted)}")


def _dataset(name: str) -> str:
    try:
        return check_dataset_name(name)
    except UsageError as error:
        raise FormatError(f"the state is of {quoted(name)}: {error.message}") from None
