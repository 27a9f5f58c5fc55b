"""From samples to the next version: origins, changes, parts and the head, nothing written yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.changes import Changes, compare
from provreg.core.changes.notices import Notice, notices
from provreg.core.changes.origin import (
    OriginDefaults,
    assign_origin,
    first_conflict,
    merge_appended,
)
from provreg.core.encoding.canonical import canonical
from provreg.core.encoding.text import quoted
from provreg.core.manifest.annotations import AGGREGATION
from provreg.core.manifest.data_fields import ROW_ORIGIN_FIELDS, DataFields
from provreg.core.manifest.entry import NO_ENTRIES
from provreg.core.manifest.head import Head, left_out_of, samples_are_files
from provreg.core.manifest.manifest import (
    check_path_ids,
    check_values,
)
from provreg.errors import FormatError, InputError, UsageError
from provreg.executors.api import Progress
from provreg.flows.reading.samples import (
    LABELS_FILE,
    SAYS,
    adopted_files,
    appended,
    given_by_file,
    inheritable_settings,
    read_new,
    takes_sha256,
)
from provreg.flows.session.workspace import Workspace
from provreg.readers.api import ReadResult, SampleKind
from provreg.readers.catalog import sample_kind
from provreg.readers.files.walk import folder_prefix

if TYPE_CHECKING:
    from provreg.flows.ingest.request import Ingestion
    from provreg.flows.verify.steps import VerifiedVersion

# What a reading can newly say while no sample changes: which files are no samples, and more names
# of classes.
_COMPARED = ("beside", "include", "exclude", "features")


class InputData:
    """The data of one ingestion, read once for each way to read them.

    For lost races: the next parent seldom changes how the data are read.
    """

    def __init__(
        self, workspace: Workspace, ingestion: Ingestion, progress: Progress | None
    ) -> None:
        self._workspace, self._ingestion, self._progress = workspace, ingestion, progress
        self._results: dict[bytes, ReadResult] = {}

    def read(self, inherited: Mapping[str, Any] | None) -> ReadResult:
        """What the data are after a parent whose head has `inherited` as its reading.

        Raises as `read_new` and `fetch_list`.
        """
        way = canonical(inheritable_settings(inherited))
        if way not in self._results:
            self._results[way] = self._read(inherited)
        return self._results[way]

    def _read(self, inherited: Mapping[str, Any] | None) -> ReadResult:
        ingestion = self._ingestion
        if ingestion.fetch is not None:
            from provreg.flows.ingest.fetch import fetch_list

            return fetch_list(
                ingestion.paths,
                ingestion.options,
                ingestion.fetch,
                inherited,
                redownload=ingestion.rehash,
                progress=self._progress,
            )
        sha256 = takes_sha256(ingestion.options, inherited)
        cache = self._workspace.stat_cache(ingestion.paths, sha256=sha256)
        # An empty cache is no reason to look at every file twice.
        useful = len(cache) > 0 and not ingestion.rehash
        read = read_new(
            ingestion.paths,
            ingestion.options,
            inherited,
            labels=ingestion.labels,
            labels_options=ingestion.labels_options,
            leave_out=self._workspace.never_data,
            known=cache if useful else None,
            progress=self._progress,
        )
        if read.files is not None:
            cache.record(read.files.stats, read.files.digests, read_at_ns=read.files.read_at_ns)
        return read


@dataclass(frozen=True, slots=True)
class Parent:
    """The version a draft continues: its head, the head's digest, and its entries."""

    digest: str
    head: Head
    entries: pa.Table

    @classmethod
    def of(cls, version: VerifiedVersion | None) -> Parent | None:
        return None if version is None else cls(version.digest, version.head, version.entries)


@dataclass(frozen=True, slots=True)
class Draft:
    """The entries of a version to be, how they differ from its parent's, and what of that deserves
    a look."""

    dataset: str
    parent: Parent | None
    entries: pa.Table
    changes: Changes
    read: ReadResult
    notices: Sequence[Notice] = ()

    def is_unchanged(self) -> bool:
        """Whether a version of it would say what the parent says: of its samples, of the files
        that are left out, and of classes without samples."""
        if self.parent is None or len(self.changes):
            return False
        before, now = self.parent.head.reading, self.read.reading
        same = all(before.get(name) == now.get(name) for name in _COMPARED)
        return same and _lies_beside(now) <= _lies_beside(before)


def _lies_beside(reading: Mapping[str, Any]) -> set[tuple[str, str]]:
    """What a reading says that is in the data and no sample, and is else a stranger (step 12)."""
    found = adopted_files(reading)
    if sample_kind(reading) in {SampleKind.FILES, SampleKind.MEMBERS}:
        left_out = left_out_of(reading)
        found |= {("", reason) for reason in ("hidden", "empty") if reason in left_out}
    return found


def draft(
    ingestion: Ingestion,
    read: ReadResult,
    parent: Parent | None,
    *,
    progress: Progress | None = None,
) -> Draft:
    """The version that `ingestion` makes after `parent` of what was read.

    When it appends, nothing of the parent is removed, and an id that the parent has with other
    content or another label is refused, unless it replaces. Raises InputError naming the sample,
    UsageError where data for a prefix would remove all samples outside of it.
    """
    append = ingestion.append
    if ingestion.options.prefix is not None and parent is not None and not append:
        _check_inside(ingestion, folder_prefix(ingestion.options.prefix), parent)
    if append and parent is not None:
        read = replace(read, reading=appended(read.reading, parent.head.reading))
    before = NO_ENTRIES if parent is None else parent.entries
    continued = before
    if append:
        # A sample that PATH lacks is not gone: what holds its bytes is a copy, and no rename of it.
        ids = read.table.column("id").combine_chunks()
        continued = before.filter(pc.is_in(before.column("id"), value_set=ids))
    entries = assign_origin(
        read.table,
        None if parent is None else continued,
        OriginDefaults(ingestion.source, ingestion.labeler),
        labels_known=read.labels_known,
        splits_known=read.splits_known,
        annotations=read.annotations,
    )
    says = _told_by_samples(entries, read)
    if append and parent is not None:
        says = [name for name in says if name in parent.head.reading.get(SAYS, ())]
        conflict = None if ingestion.replace else first_conflict(continued, entries)
        if conflict is not None:
            raise InputError(
                f"{quoted(conflict)} has other content or another label in"
                f" {ingestion.dataset}@{parent.head.version}",
                sample=conflict,
                hint="give it another id, or pass --replace to put the new one in its place",
            )
    try:
        check_values(entries)
        if append:
            entries = merge_appended(before, entries)
        if samples_are_files(read.reading):
            check_path_ids(entries.column("id"))
    except FormatError as error:
        raise InputError(error.message, sample=error.sample) from None
    if says:
        read = replace(read, reading=read.reading | {SAYS: says})
    if parent is not None and AGGREGATION in parent.head.reading:
        # Its annotations, and the labels that follow from them, are inherited.
        rule = {AGGREGATION: parent.head.reading[AGGREGATION]}
        read = replace(read, reading=rule | read.reading)
    changes = compare(before, entries)
    by_file = () if parent is None else given_by_file(parent.head.reading)
    found = notices(
        changes,
        labels_file_before="label" in by_file,
        labels_file=ingestion.labels is not None,
        are_files=sample_kind(read.reading) in {SampleKind.FILES, SampleKind.MEMBERS},
    )
    if ingestion.check_media:
        from provreg.flows.ingest.media import media_notices

        found += media_notices(ingestion.paths, read.reading, changes, progress=progress)
    return Draft(ingestion.dataset, parent, entries, changes, read, found)


def _check_inside(ingestion: Ingestion, prefix: str, parent: Parent) -> None:
    """UsageError where `parent` has samples outside of `prefix`: without --append they are gone."""
    outside = pc.invert(pc.starts_with(parent.entries.column("id"), prefix))
    if (count := pc.sum(outside).as_py()) > 0:
        version = f"{ingestion.dataset}@{parent.head.version}"
        raise UsageError(
            f"{count:,} samples of {version} are not below {quoted(prefix)} and would be removed",
            hint="pass --append to keep them, or the folder that holds all samples without"
            " --prefix",
        )


def _told_by_samples(entries: pa.Table, read: ReadResult) -> list[str]:
    """The fields in which `entries` have exactly the values that the samples have themselves, nulls
    included. A field that is null in all samples does not count."""
    by_file = read.reading.get(LABELS_FILE, ())
    fields = tuple(
        name
        for name in ROW_ORIGIN_FIELDS
        if name not in by_file and read.table[name].null_count < len(entries)
    )
    different = DataFields(always=fields).differences(entries, read.table)
    return [name for name in fields if name not in different]
