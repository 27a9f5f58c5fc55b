"""Which runs, and so which models, were handed certain samples: from a poisoned sample outwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.statements.receipt import Receipt, TrainingInput
from provreg.errors import DamagedError, NotFoundError, NotTrustedError
from provreg.flows.receipts.runs import (
    RunJudge,
    TrainingRun,
    entries_of,
    members,
    read_receipt,
)
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace

Mask = npt.NDArray[np.bool_]
# Of a version's entries (schema `core.manifest.entry.ENTRY`): which are asked about, None for all.
Choose = Callable[[pa.Table], Mask | None]


@dataclass(frozen=True, slots=True)
class Exposure:
    """A run, and how many of the samples asked about it was handed.

    `chosen` of the samples in its versions are asked about, `seen` of those it was handed.
    """

    run: TrainingRun
    chosen: int
    seen: int

    @property
    def summary(self) -> dict[str, object]:
        """The facts of the run for a table."""
        return {
            "receipt": self.run.digest,
            "finished": self.run.receipt.finished,
            "model": ", ".join(file.name for file in self.run.receipt.model),
            "trained on": ", ".join(version.name for version in self.run.versions),
            "received": self.seen,
            "of": self.chosen,
            "signed by": ", ".join(signer.principal for signer in self.run.signers) or "UNTRUSTED",
        }


@dataclass(frozen=True, slots=True)
class UnresolvedReceipt:
    """A receipt of which it cannot be told what its run was handed, and why."""

    receipt: str
    reason: str


def all_runs(workspace: Workspace, trust: Trust | None) -> list[Exposure]:
    """Every run in the index, the latest last, with all that it was handed."""
    runs = RunJudge(workspace, trust).runs(workspace.indexed_runs.receipts())
    return [
        Exposure(
            run,
            sum(on.samples for on in run.receipt.datasets),
            sum(on.seen for on in run.receipt.datasets),
        )
        for run in runs
    ]


def exposures(
    workspace: Workspace, trust: Trust | None, choose: Choose, uid: str | None = None
) -> tuple[list[Exposure], list[UnresolvedReceipt]]:
    """The runs that were handed any of the samples that `choose` picks, the latest last; with `uid`
    only samples of that dataset are.

    Second, receipts of which that cannot be told of one of their versions: anybody can store one
    that names what is not in this registry, and must not keep the others from being found. Raises
    as `choose`.
    """
    chosen: dict[str, Mask] = {}
    found, unresolved = [], []
    judge = RunJudge(workspace, trust)
    for digest in workspace.indexed_runs.receipts():
        counts = np.zeros(2, np.int64)
        try:
            versions = read_receipt(workspace, digest).datasets
        except (DamagedError, NotTrustedError, NotFoundError) as error:
            unresolved.append(UnresolvedReceipt(digest, error.message))
            continue
        for on in versions:
            if uid is not None and on.uid != uid:
                continue
            try:
                counts += _count_chosen(workspace, on, choose, chosen)
            except (DamagedError, NotTrustedError, NotFoundError) as error:
                unresolved.append(UnresolvedReceipt(digest, error.message))
        try:
            run = judge.run(digest) if counts[1] else None
        except (DamagedError, NotTrustedError, NotFoundError) as error:
            unresolved.append(UnresolvedReceipt(digest, error.message))
            continue
        if run is not None:
            found.append(Exposure(run, int(counts[0]), int(counts[1])))
    return found, unresolved


def _count_chosen(
    workspace: Workspace, on: TrainingInput, choose: Choose, chosen: dict[str, Mask]
) -> tuple[int, int]:
    """(chosen samples of a version, those of them that the run was handed).

    `chosen` remembers what `choose` picks, by head. Raises NotTrustedError, NotFoundError and
    DamagedError where that cannot be told.
    """
    entries = None if on.head in chosen else entries_of(workspace, on)
    seen = members(workspace, on)
    if entries is not None:
        mask = choose(entries)
        chosen[on.head] = np.ones(len(entries), np.bool_) if mask is None else mask
    mask = chosen[on.head]
    return int(np.count_nonzero(mask)), int(np.count_nonzero(mask & seen))


def handed(
    workspace: Workspace, receipt: Receipt
) -> Iterator[tuple[TrainingInput, pa.ChunkedArray]]:
    """(version, ids of its samples that the run was handed), in order.

    Raises NotTrustedError, NotFoundError and DamagedError where that cannot be told.
    """
    for on in receipt.datasets:
        ids = entries_of(workspace, on).column("id")
        yield on, ids.filter(pa.array(members(workspace, on)))


def same_content(content: bytes) -> Choose:
    """The samples with those bytes, under any id."""

    def choose(entries: pa.Table) -> Mask:
        same = pc.equal(entries.column("content"), pa.scalar(content, pa.binary(32)))
        mask: Mask = same.to_numpy()
        return mask

    return choose
