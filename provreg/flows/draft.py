"""From samples to the next version: origins, changes, parts and the head, nothing written yet."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from provreg.core.change import Changes, compare
from provreg.core.digest import blake3_digest
from provreg.core.entry import ENTRY
from provreg.core.head import TOP_NAMES, Head, NameCounts, PartRef
from provreg.core.manifest import (
    Part,
    build_parts,
    check_path_ids,
    check_values,
    label_type_of,
    name_counts,
    name_table,
)
from provreg.core.origin import Speaker, contradicted, merge_appended, with_origin
from provreg.core.text import quoted
from provreg.core.tree import root
from provreg.errors import FormatError, InputError
from provreg.store.parts import write_part


@dataclass(frozen=True, slots=True)
class Samples:
    """What an ingestion read: `table` (schema SAMPLE, ids ascending and unique) and how.

    `labels_known` and `splits_known`: whether the data (or a labels file) speak of them at all.
    `reused` is the number of digests that came from the stat cache. `long_labels` are texts over
    1,024 bytes that no data hold, because a labels file gave them: they are stored as objects.
    """

    table: pa.Table
    reading: dict[str, Any]
    labels_known: bool
    splits_known: bool
    reused: int = 0
    long_labels: Sequence[bytes] = ()


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
    samples: Samples


@dataclass(frozen=True, slots=True)
class Sealed:
    """A version ready to be signed: its head, and every object it needs that may be new."""

    head: Head
    objects: Sequence[bytes]
    parts: Sequence[tuple[PartRef, pa.Table]]


def draft(
    dataset: str,
    samples: Samples,
    parent: Parent | None,
    speaker: Speaker,
    *,
    append: bool = False,
    replace: bool = False,
) -> Draft:
    """The version that `samples` make after `parent`.

    With `append` nothing of the parent is removed, and an id the parent has with other content or
    label is refused unless `replace`. Raises InputError naming the sample.
    """
    before = ENTRY.empty_table() if parent is None else parent.entries
    entries = with_origin(
        samples.table,
        None if parent is None else before,
        speaker,
        labels_known=samples.labels_known,
        splits_known=samples.splits_known,
    )
    if append and parent is not None:
        wrong = None if replace else contradicted(before, entries)
        if wrong is not None:
            raise InputError(
                f"{quoted(wrong)} has other content or another label in"
                f" {dataset}@{parent.head.version}",
                sample=wrong,
                hint="give it another id, or pass --replace to put the new one in its place",
            )
        entries = merge_appended(before, entries)
    try:
        check_values(entries)
        if samples.reading["reader"] == "folder":
            check_path_ids(entries.column("id"))
    except FormatError as error:
        raise InputError(error.message, sample=error.sample) from None
    return Draft(dataset, parent, entries, compare(before, entries), samples)


def seal(drafted: Draft, *, number: int, created: datetime, message: str) -> Sealed:
    """The head and objects of `drafted` as version `number`."""
    parent = None if drafted.parent is None else drafted.parent.head
    stored = {} if parent is None else {part.blocks: part for part in parent.parts}
    objects = list(drafted.samples.long_labels)
    parts: list[tuple[PartRef, pa.Table]] = []
    for part in build_parts(drafted.entries):
        reference = stored.get(part.blocks.logical_digest())
        if reference is None:
            data = write_part(part.entries)
            objects += [data, part.blocks.to_bytes()]
            reference = _reference(part, data)
        parts.append((reference, part.entries))
    counts = {}
    for name in ("source", "labeler"):
        table = name_counts(drafted.entries.column(name))
        objects.append(name_table(table))
        counts[name] = NameCounts(len(table), tuple(table[:TOP_NAMES]), blake3_digest(objects[-1]))
    label_type, classes = _classes(drafted.entries, parent)
    head = Head(
        dataset=drafted.dataset,
        uid=secrets.token_hex(16) if parent is None else parent.uid,
        version=number,
        parent=None if drafted.parent is None else drafted.parent.digest,
        root=root([(reference.rows, reference.blocks) for reference, _ in parts]),
        samples=drafted.entries.num_rows,
        parts=tuple(reference for reference, _ in parts),
        reading=drafted.samples.reading,
        label_type=label_type,
        classes=classes,
        changes=drafted.changes.counts(),
        sources=counts["source"],
        labelers=counts["labeler"],
        reused_digests=drafted.samples.reused,
        created=created.replace(microsecond=0),
        message=message,
    )
    return Sealed(head, objects, parts)


def _reference(part: Part, data: bytes) -> PartRef:
    ids = part.entries.column("id")
    return PartRef(
        blocks=part.blocks.logical_digest(),
        file=blake3_digest(data),
        size=len(data),
        rows=len(ids),
        first=ids[0].as_py(),
        last=ids[len(ids) - 1].as_py(),
    )


def _classes(entries: pa.Table, parent: Head | None) -> tuple[str, tuple[str, ...]]:
    """(label type, classes): the parent's classes keep their indices, new ones are appended."""
    labels = [label for label, _ in name_counts(entries.column("label"))]
    long = entries.column("label_digest").null_count < entries.num_rows
    before = () if parent is None else parent.classes
    known = set(before)
    label_type = label_type_of(known.union(labels), long=long)
    if label_type != "class" or (parent is not None and parent.label_type == "text"):
        return ("none", ()) if label_type == "none" else ("text", ())
    added = sorted((label for label in labels if label not in known), key=str.encode)
    return "class", (*before, *added)
