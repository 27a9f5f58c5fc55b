"""What this user has seen of each dataset: the memory that makes a rollback visible (step 9).

One private file per registry and dataset name (docs/format/state.md). It only ever grows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from provreg.core.canonical import canonical, parse_canonical
from provreg.core.document import Fields
from provreg.core.names import check_dataset_name
from provreg.core.revocation import RevocationLink, read_link
from provreg.core.text import printable, quoted
from provreg.errors import DamagedError, FormatError, NotTrustedError
from provreg.record import record
from provreg.store.layout import check_head_digest
from provreg.store.private import (
    in_silence,
    locked,
    private_folder,
    read_private,
    replace_private,
    state_folder,
)

STATE_FORMAT = "provreg.state/v1"
UID = "[0-9a-f]{32}"
_NUMBER = re.compile("[1-9][0-9]{0,7}")
_MAX_STATE_BYTES = 64 << 20


@record
class Seen:
    """What was seen of one dataset: version number to head digest, at least one.

    `revocation` is the newest one that counted in the registry.
    """

    uid: str
    versions: Mapping[int, str]
    revocation: RevocationLink | None

    @property
    def newest(self) -> int:
        """The highest number seen."""
        return max(self.versions)


@record
class Pin:
    """The version of a dataset that its user settled on; `head` is the digest of its head.

    `revocation` is the newest one that counted in the registry then.
    """

    uid: str
    version: int
    head: str
    revocation: RevocationLink | None = None


def check_seen(seen: Seen, uid: str, number: int, head: str) -> None:
    """Step 9, as far as one head shows: raises NotTrustedError where it contradicts `seen`."""
    _check_uid(seen, uid)
    known = seen.versions.get(number, head)
    if known != head:
        raise NotTrustedError(
            f"version {number} is not the one seen before: its head was {known}, the registry now"
            f" says {head}",
            step=9,
            hint="versions never change: compare with a colleague what they have seen, and find"
            " out who writes to the registry",
        )


def load(location: str, dataset: str) -> Seen | None:
    """What was seen of `dataset` in the registry at `location`; None if nothing was.

    Raises DamagedError for a state file that cannot be read as one: what cannot be remembered is
    not taken for never seen. Raises UsageError and StorageError as `private.state_folder`.
    """
    return _load(_state_file(location, dataset), location, dataset)


def remember(
    location: str,
    dataset: str,
    uid: str,
    versions: Mapping[int, str],
    *,
    revocation: RevocationLink | None = None,
    waiting: Callable[[str], None] = in_silence,
) -> Seen:
    """Adds verified `versions` (number to head digest) to what was seen; returns all of it.

    Nothing is forgotten: of two revocations the higher number stays. Raises NotTrustedError (step
    9) where something contradicts what was seen, and nothing is then written; otherwise as `load`.
    """
    path = _state_file(location, dataset)
    private_folder(path.parent)
    with locked(path.parent / "lock", f"remembering versions of {dataset}", waiting=waiting):
        before = _load(path, location, dataset)
        after = _merged(before, Seen(uid, versions, revocation))
        if after != before:
            replace_private(path, _to_bytes(after, location, dataset))
    return after


def _check_uid(seen: Seen, uid: str) -> None:
    if uid != seen.uid:
        raise NotTrustedError(
            f"this is another dataset of the same name: its uid is {printable(uid)}, the one seen"
            f" before has {seen.uid}",
            step=9,
            hint="ask its publisher whether it was made anew; if so, pin or name it by digest, or"
            " forget what was seen by removing its state file (docs/format/state.md)",
        )


def _merged(before: Seen | None, news: Seen) -> Seen:
    if before is None:
        return Seen(news.uid, MappingProxyType(dict(news.versions)), news.revocation)
    _check_uid(before, news.uid)
    for number, head in news.versions.items():
        check_seen(before, news.uid, number, head)
    versions = MappingProxyType({**before.versions, **news.versions})
    return Seen(before.uid, versions, _newer(before.revocation, news.revocation))


def _newer(old: RevocationLink | None, new: RevocationLink | None) -> RevocationLink | None:
    if old is None or new is None:
        return old or new
    if old.number == new.number and old.digest != new.digest:
        raise NotTrustedError(
            f"revocation {new.number} is not the one seen before: it was {old.digest}, the registry"
            f" now says {new.digest}",
            step=9,
            hint="revocations never change: find out who writes to the registry",
        )
    return max(old, new, key=lambda revocation: revocation.number)


def _state_file(location: str, dataset: str) -> Path:
    registry = hashlib.sha256(location.encode()).hexdigest()
    return state_folder() / registry / f"{check_dataset_name(dataset)}.json"


def _load(path: Path, location: str, dataset: str) -> Seen | None:
    try:
        data = read_private(path, _MAX_STATE_BYTES)
        return None if data is None else _parse(data, location, dataset)
    except DamagedError as error:
        raise DamagedError(
            f"what was seen of {quoted(dataset)} cannot be read from {quoted(str(path))}:"
            f" {error.message}",
            hint="put the file back from a copy; removing it forgets what was seen, and the next"
            " version is then taken on first use",
        ) from None


def _to_bytes(seen: Seen, location: str, dataset: str) -> bytes:
    document: dict[str, Any] = {
        "format": STATE_FORMAT,
        "location": location,
        "dataset": dataset,
        "uid": seen.uid,
        "versions": {str(number): head for number, head in seen.versions.items()},
        "revocation": seen.revocation
        and {"number": seen.revocation.number, "digest": seen.revocation.digest},
    }
    data = canonical(document)
    # Never write what could not be read again.
    _parse(data, location, dataset)
    return data


@lru_cache(maxsize=4)
def _parse(data: bytes, location: str, dataset: str) -> Seen:
    """One ingestion asks six times what was seen; what is parsed here grows with every version."""
    fields = Fields(parse_canonical(data, what="the state", limit=_MAX_STATE_BYTES), "state")
    for name, wanted in (("format", STATE_FORMAT), ("location", location), ("dataset", dataset)):
        found = fields.text(name)
        if found != wanted:
            raise fields.wrong(name, f"is {quoted(found)}, not {quoted(wanted)}")
    uid = fields.text("uid", pattern=UID)
    versions = _parse_versions(fields.raw("versions"))
    revoked = fields.optional_object("revocation")
    revocation = None
    if revoked is not None:
        revocation = read_link(revoked)
    fields.done()
    return Seen(uid, MappingProxyType(versions), revocation)


def _parse_versions(document: Any) -> dict[int, str]:
    if not isinstance(document, dict) or not document:
        raise FormatError("state.versions is not an object with at least one version")
    versions = {}
    for number, head in document.items():
        if not (_NUMBER.fullmatch(number) and isinstance(head, str)):
            raise FormatError(f"state.versions: {quoted(number)} is not a version and its head")
        versions[int(number)] = check_head_digest(head)
    return dict(sorted(versions.items()))
