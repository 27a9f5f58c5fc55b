"""From samples to the next version: origins, changes, parts and the head, nothing written yet."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.changes import Changes, compare
from provreg.core.changes.origin import Speaker, contradicted, merge_appended, with_origin
from provreg.core.encoding.text import quoted
from provreg.core.manifest.entry import NO_ENTRIES
from provreg.core.manifest.head import Head
from provreg.core.manifest.manifest import (
    check_path_ids,
    check_values,
)
from provreg.core.manifest.told import SAID_OF_ROWS, Told
from provreg.errors import FormatError, InputError
from provreg.flows.reading.settings import LABELS_FILE, SAYS, adopted_files
from provreg.readers.api import ReadResult

# What a reading can newly say while no sample changes: which files are no samples, and more names
# of classes.
_COMPARED = ("beside", "include", "exclude", "features")


@dataclass(frozen=True, slots=True)
class Parent:
    """The version a draft continues: its head, the head's digest, and its entries."""

    digest: str
    head: Head
    entries: pa.Table


@dataclass(frozen=True, slots=True)
class Draft:
    """The entries of a version to be, and how they differ from its parent's."""

    dataset: str
    parent: Parent | None
    entries: pa.Table
    changes: Changes
    read: ReadResult

    def says_nothing_new(self) -> bool:
        """Whether a version of it would say what the parent says: of the samples, of what may lie
        in the data and is none, and of classes that no sample has."""
        if self.parent is None or len(self.changes):
            return False
        before, now = self.parent.head.reading, self.read.reading
        same = all(before.get(name) == now.get(name) for name in _COMPARED)
        return same and _lies_beside(now) <= _lies_beside(before)


def _lies_beside(reading: Mapping[str, Any]) -> set[tuple[str, str]]:
    """What a reading says that is in the data and no sample, and is else a stranger (step 12)."""
    found = adopted_files(reading)
    if reading["reader"] in {"folder", "zip"}:
        found |= {("", reason) for reason in ("hidden", "empty") if reason in reading["left_out"]}
    return found


def draft(
    dataset: str,
    read: ReadResult,
    parent: Parent | None,
    speaker: Speaker,
    *,
    append: bool = False,
    replace: bool = False,
) -> Draft:
    """The version that what was read makes after `parent`.

    With `append` nothing of the parent is removed, and an id the parent has with other content or
    label is refused unless `replace`. Raises InputError naming the sample.
    """
    before = NO_ENTRIES if parent is None else parent.entries
    continued = before
    if append:
        # A sample that PATH lacks is not gone: what holds its bytes is a copy, and no rename of it.
        ids = read.table.column("id").combine_chunks()
        continued = before.filter(pc.is_in(before.column("id"), value_set=ids))
    entries = with_origin(
        read.table,
        None if parent is None else continued,
        speaker,
        labels_known=read.labels_known,
        splits_known=read.splits_known,
    )
    says = _says(entries, read)
    if append and parent is not None:
        says = [name for name in says if name in parent.head.reading.get(SAYS, ())]
        wrong = None if replace else contradicted(continued, entries)
        if wrong is not None:
            raise InputError(
                f"{quoted(wrong)} has other content or another label in"
                f" {dataset}@{parent.head.version}",
                sample=wrong,
                hint="give it another id, or pass --replace to put the new one in its place",
            )
    try:
        check_values(entries)
        if append:
            entries = merge_appended(before, entries)
        if read.reading["reader"] == "folder":
            check_path_ids(entries.column("id"))
    except FormatError as error:
        raise InputError(error.message, sample=error.sample) from None
    if says:
        read = dataclasses.replace(read, reading=read.reading | {SAYS: says})
    return Draft(dataset, parent, entries, compare(before, entries), read)


def _says(entries: pa.Table, read: ReadResult) -> list[str]:
    """The fields of which `entries` have just what the samples say of themselves: where
    those say nothing, neither do they. A field of which they say nothing at all is none."""
    by_file = read.reading.get(LABELS_FILE, ())
    said = tuple(
        name
        for name in SAID_OF_ROWS
        if name not in by_file and read.table[name].null_count < len(entries)
    )
    unlike = Told(always=said).unlike(entries, read.table)
    return [name for name in said if name not in unlike]
