"""Which samples a loader hands out: those selected, and what becomes of revoked ones among them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from provreg.core.encoding.text import printable, quoted
from provreg.errors import RevokedError
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.revoked_samples import revoked_samples
from provreg.flows.verify.steps import VerifiedVersion
from provreg.loaders.selection import Rows, Selection
from provreg.store.private.shared import SharedMemory


class Choice(NamedTuple):
    """The `rows` to load, ascending, None for all; how many were `left_out` as revoked."""

    rows: Rows | None
    left_out: int


def choose(
    workspace: Workspace,
    version: VerifiedVersion,
    select: Selection | str | None,
    exclude_revoked: bool | None,
) -> Choice:
    """The samples selected, without the revoked ones if these are to be excluded.

    Raises RevokedError (step 8) where some are revoked and nothing is said of them, or nothing else
    is left; UsageError and NotFoundError for a selection that is none, NotTrustedError where the
    versions before this one, in which revoked samples are told from earlier ones, are damaged.
    """
    rows = Selection.of(select).rows(version.entries)
    if exclude_revoked is False or not version.chain.of(version.head):
        return Choice(rows, 0)
    revoked = revoked_samples(workspace, version)
    wanted = np.arange(len(revoked), dtype=np.uint32) if rows is None else rows
    among = revoked[wanted]
    if not among.any():
        return Choice(rows, 0)
    kept = wanted[~among]
    if exclude_revoked is None or not len(kept):
        raise _refusal(version, wanted[among], len(wanted))
    return Choice(kept, len(wanted) - len(kept))


def _refusal(version: VerifiedVersion, revoked: Rows, selected: int) -> RevokedError:
    first: str = version.entries.column("id")[int(revoked[0])].as_py()
    return RevokedError(
        f"{len(revoked):,} of {selected:,} samples of {version.reference} are revoked, the first is"
        f" {quoted(first)}: {why_revoked(version)}",
        step=8,
        sample=first,
        hint="leave them out: exclude_revoked=True; to load them all the same, say"
        " exclude_revoked=False"
        if len(revoked) < selected
        else "use a version that was made without them",
    )


def why_revoked(version: VerifiedVersion) -> str:
    """Which samples are revoked in a version, and by whom, in words."""
    return printable(
        "; ".join(f"{one.revocation.samples}, {one}" for one in version.chain.of(version.head))
    )


class ChosenRows:
    """The chosen rows, ascending, in memory that all processes share."""

    def __init__(self, folder: Path, rows: Rows) -> None:
        self._memory = SharedMemory(folder, rows.nbytes)
        self._memory.map[:] = rows.tobytes()

    def __getstate__(self) -> dict[str, Any]:
        return {"_memory": self._memory}

    @cached_property
    def rows(self) -> Rows:
        return np.frombuffer(self._memory.map, np.uint32)
