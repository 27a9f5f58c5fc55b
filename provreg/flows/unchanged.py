"""Ingesting again what nobody touched: the newest version verifies, and its files are as they were.

An ingestion of files leaves, in the user's private cache, a fingerprint of their names and stats
(`readers.fingerprint`) beside the head that holds them. Like the stat cache it serves ingestion
alone: the same files with the same stats on a local disk make the same version, so that there is
nothing to read and nothing to publish. The version itself is verified as always.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provreg.core.canonical import canonical, parse_canonical
from provreg.core.kinds import KINDS
from provreg.errors import DamagedError, FormatError, StorageError
from provreg.flows.publish import NotAVersion, Outcome
from provreg.flows.verify import VerifiedVersion
from provreg.flows.workspace import Workspace
from provreg.readers.fingerprint import Fingerprint, taking_fingerprint
from provreg.readers.parallel import default_workers
from provreg.store.local_devices import SETTLED_NS, local_devices
from provreg.store.private import private_folder, read_private, replace_private

if TYPE_CHECKING:
    from provreg.flows.ingestion import Ingestion

_LIMIT = 1 << 16


@dataclass(frozen=True, slots=True)
class Watch:
    """The files of an ingestion as they were when it began."""

    _memory: Path
    _paths: tuple[Path, ...]
    _began_ns: int
    _fingerprint: Callable[[], Fingerprint | None]

    def outcome(self, newest: VerifiedVersion, above: Sequence[NotAVersion]) -> Outcome | None:
        """That nothing is published, if the files are known to be those that made `newest`."""
        head = newest.head
        known = self._known()
        if known.get("head") != newest.digest or head.reading["reader"] != "folder":
            return None
        found = self._fingerprint()
        if found is None or known.get("files") != found.digest.hex():
            return None
        return Outcome(
            dataset=head.dataset,
            samples=head.samples,
            changes=dict.fromkeys(KINDS, 0),
            left_out=known["left_out"],
            reused=head.samples,
            head=None,
            digest=None,
            newest=newest.digest,
            passed_over=above,
        )

    def remember(self, outcome: Outcome) -> None:
        """The newest version holds just these files.

        Nothing is remembered of files that were touched in the two seconds before, or that lie on
        what is no local disk: they may change without a change of their stats.
        """
        found = self._fingerprint()
        if found is None or found.touched >= self._began_ns - SETTLED_NS:
            return
        said = {
            "files": found.digest.hex(),
            "head": outcome.newest,
            "left_out": dict(outcome.left_out),
        }
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

    Not for a dataset that this user has not seen yet, nor where more than the files, or less, says
    what is published: then nothing is known and nothing remembered.
    """
    began = time.time_ns()
    said = (ingestion.dataset, [str(path.absolute()) for path in ingestion.paths], ingestion.how)
    memory = workspace.cache / "unchanged" / hashlib.sha256(repr(said).encode()).hexdigest()
    more = ingestion.append or ingestion.rehash or ingestion.labels or ingestion.fetch
    if more or workspace.seen(ingestion.dataset) is None:
        yield Watch(memory, ingestion.paths, began, lambda: None)
        return
    with taking_fingerprint(
        ingestion.paths, leave_out=(workspace.folder,), workers=default_workers()
    ) as fingerprint:
        yield Watch(memory, ingestion.paths, began, cache(fingerprint))
