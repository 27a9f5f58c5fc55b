"""Which samples of a verified version are loaded: chosen once, by what is signed of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import printable, quoted
from provreg.core.manifest.columns import without_dictionary
from provreg.errors import NotFoundError, RevokedError, UsageError
from provreg.flows.verify.steps import VerifiedVersion
from provreg.store.private.shared import SharedMemory

Names: TypeAlias = str | Iterable[str]
Rows: TypeAlias = npt.NDArray[np.uint32]

# Rows are numbered in 32 bits: a version cannot have more samples than that.
_MOST_ROWS = 2**32


@dataclass(frozen=True, slots=True)
class Selection:
    """The samples that meet all that is said; what is None says nothing.

    `split`, `label`, `source` and `labeler` are a text or several of which one must be signed of
    the sample; `ids` are the samples' own. `where` is a condition in SQL over the columns of an
    entry (docs/reference/sql.md), or a SELECT from `entries` that gives a column `id`.
    """

    split: Names | None = None
    label: Names | None = None
    source: Names | None = None
    labeler: Names | None = None
    ids: Names | None = None
    where: str | None = None

    @classmethod
    def of(cls, said: Selection | str | None) -> Selection:
        """What a loader's `select` says: a text is SQL. Raises UsageError for anything else."""
        if said is None:
            return cls()
        if isinstance(said, str):
            return cls(where=said)
        if not isinstance(said, cls):
            raise UsageError(
                "select is neither SQL nor a provreg.Selection",
                hint="""for example: select=provreg.Selection(split="train")""",
            )
        return said

    def rows(self, entries: pa.Table) -> Rows | None:
        """The rows of `entries` (schema ENTRY, a whole version) to load, ascending; None for all.

        Raises UsageError for a selection of nothing and for SQL that fails, NotFoundError for an id
        that is not in the version.
        """
        mask = self.mask(entries)
        if mask is None:
            return None
        rows = np.flatnonzero(mask).astype(np.uint32)
        if not len(rows):
            raise UsageError(
                "the selection holds no sample",
                hint="`provreg sql` shows the splits, labels and sources there are",
            )
        return rows

    def mask(self, entries: pa.Table) -> npt.NDArray[np.bool_] | None:
        """Which rows of `entries` are selected, shape (entries,); None for all. As `rows`."""
        if all(getattr(self, field.name) is None for field in fields(self)):
            return None
        if entries.num_rows > _MOST_ROWS:
            raise UsageError(f"samples can be selected among {_MOST_ROWS:,} at most")
        mask = np.ones(entries.num_rows, np.bool_)
        for name in ("split", "label", "source", "labeler"):
            wanted = _texts(getattr(self, name), name)
            if wanted is not None:
                mask &= _is_one_of(entries.column(name), wanted)
        ids = _texts(self.ids, "ids")
        if ids is not None:
            mask &= _with_ids(entries, ids)
        if self.where is not None:
            mask &= _where(entries, self.where)
        return mask


def _texts(said: Any, name: str) -> pa.Array | None:
    if said is None:
        return None
    texts = [said] if isinstance(said, str) or not isinstance(said, Iterable) else list(said)
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f"select: {name} is neither a text nor several")
    return pa.array(texts, pa.string())


def _is_one_of(column: pa.ChunkedArray, wanted: pa.Array) -> npt.NDArray[np.bool_]:
    chunks = [
        pc.is_in(chunk.dictionary, value_set=wanted).take(chunk.indices).fill_null(False)
        for chunk in column.chunks
    ]
    return np.concatenate([chunk.to_numpy(zero_copy_only=False) for chunk in chunks])


def _with_ids(entries: pa.Table, ids: pa.Array) -> npt.NDArray[np.bool_]:
    rows = pc.index_in(ids, value_set=entries.column("id").combine_chunks())
    if rows.null_count:
        missing = ids.filter(rows.is_null())[0].as_py()
        raise NotFoundError(f"no sample {quoted(missing)} to select", sample=missing)
    mask = np.zeros(entries.num_rows, np.bool_)
    mask[rows.to_numpy()] = True
    return mask


def _where(entries: pa.Table, sql: str) -> npt.NDArray[np.bool_]:
    # Late: only here a loader needs DuckDB, and never a worker process.
    from provreg.store.index.index import select_ids

    columns = pa.table(
        {name: without_dictionary(entries.column(name)) for name in entries.column_names}
    )
    ids = select_ids(sql, columns)
    return _with_ids(entries, ids.unique())


class Choice(NamedTuple):
    """The `rows` to load, ascending, None for all; how many were `left_out` as revoked."""

    rows: Rows | None
    left_out: int


def choose(
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
    revoked = version.revoked_samples()
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
