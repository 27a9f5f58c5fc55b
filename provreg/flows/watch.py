"""Whether the files of an ingestion are as they were when an earlier one took them in.

An ingestion of files leaves, in the user's private cache, a fingerprint of their names and stats
(`readers.fingerprint`) beside the head that holds them. Like the stat cache it serves ingestion
alone: the same files with the same stats on a local disk make the same version, so that there is
nothing to read and nothing to publish. The version itself is verified as always.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provreg.core.canonical import canonical, parse_canonical
from provreg.errors import DamagedError, FormatError, ProvregError, StorageError
from provreg.flows.ingestion import Ingestion
from provreg.flows.workspace import Workspace, open_workspace
from provreg.readers.fingerprint import Fingerprint, taking_fingerprint
from provreg.readers.parallel import default_workers
from provreg.record import record
from provreg.store.folder import find, open_registry
from provreg.store.local_devices import SETTLED_NS, local_devices
from provreg.store.private import private_folder, read_private, replace_private

if TYPE_CHECKING:
    from provreg.readers.begun import BegunFolder

_LIMIT = 1 << 16


@record
class Watch:
    """The files of an ingestion as they were when it began.

    `begun`: they are being read, as nothing is known of them that could make this needless.
    """

    _memory: Path
    _paths: tuple[Path, ...]
    _began_ns: int
    _fingerprint: Callable[[], Fingerprint | None]
    begun: BegunFolder | None = None

    def left_out(self, head: str) -> Mapping[str, int] | None:
        """What is left out of the files, by reason, if these are known to be those of the version
        with the written digest `head`; None if that is not known."""
        known = self._known()
        if known.get("head") != head:
            return None
        found = self._fingerprint()
        if found is None or known["files"] != found.digest.hex():
            return None
        left_out: Mapping[str, int] = known["left_out"]
        return left_out

    def remember(self, head: str, left_out: Mapping[str, int]) -> None:
        """The version with the digest `head` holds just these files.

        Nothing is remembered of files that were touched in the two seconds before, or that lie on
        what is no local disk: they may change without a change of their stats.
        """
        found = self._fingerprint()
        if found is None or found.touched >= self._began_ns - SETTLED_NS:
            return
        said = {"files": found.digest.hex(), "head": head, "left_out": dict(left_out)}
        if said == self._known() or not found.devices <= local_devices(self._paths):
            return
        try:
            private_folder(self._memory.parent)
            replace_private(self._memory, canonical(said))
        except StorageError:  # it costs time next time, not this ingestion
            return

    def _known(self) -> dict[str, Any]:
        """What an earlier ingestion remembered, which only this user can have written."""
        try:
            data = read_private(self._memory, _LIMIT)
            known = None if data is None else parse_canonical(data, what="memory", limit=_LIMIT)
        except (DamagedError, FormatError, StorageError):
            return {}
        fields = {"files", "head", "left_out"}
        return known if isinstance(known, dict) and known.keys() == fields else {}


@contextmanager
def watching(workspace: Workspace, ingestion: Ingestion) -> Iterator[Watch]:
    """Begins to look at the files of `ingestion`, in other processes.

    Of a dataset that this user has not seen yet nothing is known: its files are read at once, and
    looked at afterwards, for what nobody touched since this began is what was read. Nothing is done
    where more than they, or less, says what is published.
    """
    began = time.time_ns()
    said = (ingestion.dataset, [str(path.absolute()) for path in ingestion.paths], ingestion.how)
    memory = workspace.cache / "unchanged" / hashlib.sha256(repr(said).encode()).hexdigest()
    more = ingestion.append or ingestion.rehash or ingestion.labels or ingestion.fetch
    first = not workspace.known_here(ingestion.dataset)
    if first and not more:
        # Only here, where what it loads is not waited for by anybody.
        from provreg.flows.beginning import begun_first

        with begun_first(workspace, ingestion) as begun:
            roots = _roots(ingestion)
            looked = cache(lambda: _looked_at(workspace, ingestion, roots))
            yield Watch(memory, ingestion.paths, began, looked, begun)
        return
    if first or more:
        yield Watch(memory, ingestion.paths, began, lambda: None)
        return
    with taking_fingerprint(
        ingestion.paths, leave_out=(workspace.folder,), workers=default_workers()
    ) as fingerprint:
        yield Watch(memory, ingestion.paths, began, cache(fingerprint))


def _roots(ingestion: Ingestion) -> list[str]:
    return [os.path.realpath(path) for path in ingestion.paths]


def _looked_at(workspace: Workspace, ingestion: Ingestion, roots: list[str]) -> Fingerprint | None:
    """The fingerprint of the files as they are now; None where the paths lead elsewhere than to
    `roots`, where nothing of what was read need have been touched."""
    with taking_fingerprint(
        ingestion.paths, leave_out=(workspace.folder,), workers=default_workers()
    ) as fingerprint:
        found = fingerprint()
    return found if _roots(ingestion) == roots else None


@contextmanager
def watching_from_the_start(registry: Path | None, ingestion: Ingestion) -> Iterator[Watch | None]:
    """As `watching`, before the registry in the folder `registry`, by default the nearest upward,
    is opened for what takes time: whom to trust in it. None where there is none to be opened."""
    try:
        found = registry or find(Path.cwd())
        store = None if found is None else open_registry(found)
        workspace = None if store is None else open_workspace(store, {}, report=_unheard)
    except ProvregError:  # whoever opens it in earnest says so
        workspace = None
    if workspace is None:
        yield None
        return
    with watching(workspace, ingestion) as watch:
        yield watch


def _unheard(_: str) -> None:
    """A report that is made again."""
