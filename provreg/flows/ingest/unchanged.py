"""Whether the files of an ingestion are as they were when an earlier one took them in.

An ingestion of files leaves, in the user's private cache, a fingerprint of their names and stats
(`files.stats`) beside the head that holds them. Like the stat cache it serves ingestion
alone: the same files with the same stats on a local disk make the same version, so that there is
nothing to read and nothing to publish. The version itself is verified as always.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provreg.core.encoding.canonical import canonical, parse_canonical
from provreg.core.manifest.head import samples_are_files
from provreg.errors import DamagedError, FormatError, StorageError
from provreg.executors.processes import local_processes
from provreg.flows.ingest.request import Ingestion
from provreg.flows.session.workspace import Workspace
from provreg.readers.files.stats import Fingerprint, fingerprint_of
from provreg.store.backends.local_devices import SETTLED_NS, local_devices
from provreg.store.private.folders import private_folder, read_private, replace_private

if TYPE_CHECKING:
    from provreg.core.manifest.head import Head

_LIMIT = 1 << 16


@dataclass(frozen=True, slots=True)
class UnchangedCheck:
    """The files of one ingestion, and what is remembered of them.

    `_roots` are where its paths led, and `_began_ns` when that was, in Unix nanoseconds: before
    anything was read.
    """

    _memory: Path
    _paths: tuple[Path, ...]
    _aside: tuple[Path, ...]
    _roots: tuple[str, ...]
    _began_ns: int

    def left_out(self, head: Head, digest: str) -> Mapping[str, int] | None:
        """What is left out of the files, by reason, if these are known to be those of the version
        of `head`, whose digest is `digest`; None if that is not known."""
        known = self._known()
        # What a reader of another package makes of unchanged files may change with the package.
        by_stats = samples_are_files(head.reading) and "package" not in head.reading
        if not by_stats or known.get("head") != digest:
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
        memory = {"files": found.digest.hex(), "head": head, "left_out": dict(left_out)}
        if memory == self._known() or not found.devices <= local_devices(self._paths):
            return
        try:
            private_folder(self._memory.parent)
            replace_private(self._memory, canonical(memory))
        except StorageError:  # it costs time next time, not this ingestion
            return

    def _fingerprint(self) -> Fingerprint | None:
        """None also where the paths lead elsewhere by now, where nothing need have been touched."""
        found = fingerprint_of(self._paths, leave_out=self._aside, executor=local_processes())
        return found if _roots(self._paths) == self._roots else None

    def _known(self) -> dict[str, Any]:
        """What an earlier ingestion remembered, which only this user can have written."""
        try:
            data = read_private(self._memory, _LIMIT)
            known = None if data is None else parse_canonical(data, what="memory", limit=_LIMIT)
        except (DamagedError, FormatError, StorageError):
            return {}
        fields = {"files", "head", "left_out"}
        return known if isinstance(known, dict) and known.keys() == fields else {}


def check_for(workspace: Workspace, ingestion: Ingestion) -> UnchangedCheck | None:
    """The check of the files of `ingestion`; None where more than they says what is published."""
    if ingestion.append or ingestion.rehash or ingestion.labels or ingestion.fetch:
        return None
    what = (
        ingestion.dataset,
        [str(path.absolute()) for path in ingestion.paths],
        ingestion.options,
    )
    memory = workspace.cache / "unchanged" / hashlib.sha256(repr(what).encode()).hexdigest()
    began = time.time_ns()
    return UnchangedCheck(
        memory, ingestion.paths, workspace.never_data, _roots(ingestion.paths), began
    )


def _roots(paths: Sequence[Path]) -> tuple[str, ...]:
    return tuple(os.path.realpath(path) for path in paths)
