"""The samples of a verified version that are loaded, chosen once by their signed columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import printable, quoted
from provreg.core.manifest.annotations import annotated_by
from provreg.core.manifest.head import Head
from provreg.core.rows.row_hash import without_dictionary
from provreg.errors import NotFoundError, RevokedError, UsageError
from provreg.flows.verify.steps import VerifiedVersion
from provreg.store.private.shared import SharedMemory

Names: TypeAlias = str | Iterable[str]
SelectedRows: TypeAlias = npt.NDArray[np.uint32]

# Rows are numbered in 32 bits: a version cannot have more samples than that.
_MOST_ROWS = 2**32
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Selection:
    """The samples that meet all conditions; None is no condition.

    `split`, `label`, `source` and `labeler` are a string or several, one of which must be the
    sample's; the labelers of its annotations are labelers of it, too. `ids` are ids of samples,
    `exclude` those of samples that are not loaded.
    `where` is an SQL condition on the columns of an entry (docs/reference/sql.md), or a SELECT from
    `entries` with a column `id`.
    """

    split: Names | None = None
    label: Names | None = None
    source: Names | None = None
    labeler: Names | None = None
    ids: Names | None = None
    where: str | None = None
    exclude: Names | None = None

    @classmethod
    def of(cls, select: Selection | str | None) -> Selection:
        """A loader's `select`, where a string is SQL. Raises UsageError for other types."""
        if select is None:
            return cls()
        if isinstance(select, str):
            return cls(where=select)
        if not isinstance(select, cls):
            raise UsageError(
                "select is neither SQL nor a provreg.Selection",
                hint="""pass for example select=provreg.Selection(split="train")""",
            )
        return select

    def rows(self, entries: pa.Table) -> SelectedRows | None:
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
                "the selection is empty",
                hint="`provreg sql` lists the splits, labels and sources of the version",
            )
        return rows

    def mask(self, entries: pa.Table) -> npt.NDArray[np.bool_] | None:
        """Which rows of `entries` are selected, shape (entries,); None for all. As `rows`."""
        if all(getattr(self, field.name) is None for field in fields(self)):
            return None
        if entries.num_rows > _MOST_ROWS:
            raise UsageError(f"cannot select among more than {_MOST_ROWS:,} samples")
        mask = np.ones(entries.num_rows, np.bool_)
        for name in ("split", "label", "source", "labeler"):
            wanted = _texts(getattr(self, name), name)
            if wanted is not None:
                named = _is_one_of(entries.column(name), wanted)
                if name == "labeler":
                    named |= annotated_by(entries.column("annotations"), wanted)
                mask &= named
        ids = _texts(self.ids, "ids")
        if ids is not None:
            mask &= _with_ids(entries, ids)
        if self.where is not None:
            mask &= _where(entries, self.where)
        excluded = _texts(self.exclude, "exclude")
        if excluded is not None:
            mask &= ~_with_ids(entries, excluded, doing="exclude")
        return mask


def _texts(value: Any, name: str) -> pa.Array | None:
    if value is None:
        return None
    texts = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f"select: {name} is neither a string nor several strings")
    return pa.array(texts, pa.string())


def _is_one_of(column: pa.ChunkedArray, wanted: pa.Array) -> npt.NDArray[np.bool_]:
    chunks = [
        pc.is_in(chunk.dictionary, value_set=wanted).take(chunk.indices).fill_null(False)
        for chunk in column.chunks
    ]
    return np.concatenate([chunk.to_numpy(zero_copy_only=False) for chunk in chunks])


def _with_ids(entries: pa.Table, ids: pa.Array, *, doing: str = "select") -> npt.NDArray[np.bool_]:
    rows = pc.index_in(ids, value_set=entries.column("id").combine_chunks())
    if rows.null_count:
        missing = ids.filter(rows.is_null())[0].as_py()
        raise NotFoundError(f"no sample {quoted(missing)} to {doing}", sample=missing)
    mask = np.zeros(entries.num_rows, np.bool_)
    mask[rows.to_numpy()] = True
    return mask


def _where(entries: pa.Table, sql: str) -> npt.NDArray[np.bool_]:
    # Late: a loader needs DuckDB only here, and a worker process never does.
    from provreg.store.index.index import select_ids

    columns = pa.table(
        {name: without_dictionary(entries.column(name)) for name in entries.column_names}
    )
    ids = select_ids(sql, columns)
    return _with_ids(entries, ids.unique())


def chosen_classes(head: Head, classes: Sequence[str]) -> tuple[str, ...]:
    """`classes`, which are some of the version with `head`. Raises UsageError."""
    chosen = () if isinstance(classes, str) else tuple(classes)
    if not chosen or not all(isinstance(name, str) for name in chosen):
        raise UsageError(
            "classes is not a list of names", hint="pass for example classes=['cat', 'dog']"
        )
    reference = f"{head.dataset}@{head.version}"
    if head.label_type != "class":
        raise UsageError(
            f"the labels of {reference} are not classes",
            hint="select samples by their labels: select=provreg.Selection(label=…)",
        )
    for place, name in enumerate(chosen):
        if name in chosen[:place]:
            raise UsageError(f"duplicate class {quoted(name)} in classes")
        if name not in head.classes:
            more = ", …" if len(head.classes) > _SHOWN else ""
            raise UsageError(
                f"{reference} has no class {quoted(name)}",
                hint=f"its classes are {', '.join(map(quoted, head.classes[:_SHOWN]))}{more}",
            )
    return chosen


class Choice(NamedTuple):
    """The `rows` to load, ascending, None for all; how many are `left_out` as revoked."""

    rows: SelectedRows | None
    left_out: int


def choose(
    version: VerifiedVersion,
    select: Selection | str | None,
    exclude_revoked: bool | None,
    classes: Sequence[str] | None = None,
) -> Choice:
    """The selected samples, of `classes` alone if given, without revoked ones if `exclude_revoked`.

    Raises RevokedError (step 8) if some are revoked and `exclude_revoked` is None, or if all are;
    UsageError and NotFoundError for an invalid selection; NotTrustedError if an earlier version
    that is needed to find the revoked samples is damaged.
    """
    rows = Selection.of(select).rows(version.entries)
    if classes is not None:
        rows = _of_classes(version, rows, classes)
    if exclude_revoked is False or not version.chain.of(version.head):
        return Choice(rows, 0)
    revoked = version.revoked_samples()
    wanted = np.arange(len(revoked), dtype=np.uint32) if rows is None else rows
    is_revoked = revoked[wanted]
    if not is_revoked.any():
        return Choice(rows, 0)
    remaining = wanted[~is_revoked]
    if exclude_revoked is None or not len(remaining):
        raise _refusal(version, wanted[is_revoked], len(wanted))
    return Choice(remaining, len(wanted) - len(remaining))


def _of_classes(
    version: VerifiedVersion, rows: SelectedRows | None, classes: Sequence[str]
) -> SelectedRows:
    mask = _is_one_of(version.entries.column("label"), pa.array(classes, pa.string()))
    remaining = np.flatnonzero(mask).astype(np.uint32) if rows is None else rows[mask[rows]]
    if not len(remaining):
        raise UsageError(
            f"no selected sample of {version.reference} is of the chosen classes",
            hint="`provreg sql` lists the splits, labels and sources of the version",
        )
    return remaining


def _refusal(version: VerifiedVersion, revoked: SelectedRows, selected: int) -> RevokedError:
    first: str = version.entries.column("id")[int(revoked[0])].as_py()
    return RevokedError(
        f"{len(revoked):,} of {selected:,} samples of {version.reference} are revoked, the first is"
        f" {quoted(first)}: {why_revoked(version)}",
        step=8,
        sample=first,
        hint="pass exclude_revoked=True to exclude them, or exclude_revoked=False to load them"
        if len(revoked) < selected
        else "use a version without them",
    )


def why_revoked(version: VerifiedVersion) -> str:
    """Which samples of a version are revoked, and by whom, in words."""
    return printable(
        "; ".join(
            f"{revocation.revocation.samples}, {revocation}"
            for revocation in version.chain.of(version.head)
        )
    )


class SharedRows:
    """The chosen rows, ascending, in memory that all processes share."""

    def __init__(self, folder: Path, rows: SelectedRows) -> None:
        self._memory = SharedMemory(folder, rows.nbytes)
        self._memory.map[:] = rows.tobytes()

    def __getstate__(self) -> dict[str, Any]:
        return {"_memory": self._memory}

    @cached_property
    def rows(self) -> SelectedRows:
        return np.frombuffer(self._memory.map, np.uint32)
