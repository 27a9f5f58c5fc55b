"""Sealing: a draft becomes a head and the objects it needs, nothing written or signed yet."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import accumulate, chain, islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.changes import Changes
from provreg.core.encoding.digest import blake3_digest
from provreg.core.encoding.names import is_class_name, twins_in_form_c
from provreg.core.encoding.text import quoted, quoted_ascii
from provreg.core.manifest.columns import RowNumbers
from provreg.core.manifest.head import (
    LABEL_TYPES,
    TOP_NAMES,
    Head,
    NameCounts,
    PartRef,
    check_parent,
    parse_head,
    root_of_parts,
)
from provreg.core.manifest.leaf import leaves
from provreg.core.manifest.limits import LIMITS
from provreg.core.manifest.manifest import (
    check_entry_schema,
    cut_parts,
    label_type_of,
    name_counts,
    name_table,
)
from provreg.core.manifest.tree import BlockList, Ints, block_list
from provreg.core.rows.row_hash import without_dictionary
from provreg.core.statements.statement import statement_of
from provreg.errors import FormatError, InputError
from provreg.executors.api import Executor
from provreg.executors.processes import IN_PROCESS, local_processes
from provreg.executors.worker import can_fork
from provreg.flows.ingest.draft import Draft
from provreg.flows.reading.samples import reader_settings
from provreg.flows.verify.manifest import MAX_LABEL_BYTES
from provreg.readers.catalog import recorded_reader
from provreg.store.private.mapped_parts import MappedParts
from provreg.store.registry.parts import write_part
from provreg.store.registry.spill import Spill

# Starting a process costs what hashing and writing some 10,000 entries does.
_WORTH_PROCESSES = 1 << 17


@dataclass(frozen=True, slots=True)
class Sealed:
    """A version ready to be signed: its head, and every object it needs that may be new."""

    head: Head
    objects: Spill
    parts: Sequence[tuple[PartRef, pa.Table]]


def seal(
    drafted: Draft,
    *,
    number: int,
    created: datetime,
    message: str,
    parents_blocks: Sequence[BlockList] = (),
) -> Sealed:
    """The head and objects of `drafted` as version `number`.

    Of `parents_blocks`, which are those of all its parts, what did not change is not hashed again.
    Raises InputError for what goes beyond a limit of the format.
    """
    try:
        check_entry_schema(drafted.entries)
    except FormatError as error:
        raise _unreadable(error) from None
    parent = None if drafted.parent is None else drafted.parent.head
    objects = Spill()
    for label in drafted.read.long_labels:
        objects.append(label)
    parts = _parts(drafted, parents_blocks, objects)
    counts = {}
    for name in ("source", "labeler"):
        table = name_counts(drafted.entries.column(name))
        written = name_table(table)
        objects.append(written)
        counts[name] = NameCounts(len(table), tuple(table[:TOP_NAMES]), blake3_digest(written))
    label_type, classes = _classes(drafted.entries, drafted.read.classes, parent)
    head = Head(
        dataset=drafted.dataset,
        uid=secrets.token_hex(16) if parent is None else parent.uid,
        version=number,
        parent=None if drafted.parent is None else drafted.parent.digest,
        root=root_of_parts([(part.rows, part.blocks) for part, _ in parts]),
        samples=drafted.entries.num_rows,
        parts=tuple(part for part, _ in parts),
        reading=drafted.read.reading,
        label_type=label_type,
        classes=classes,
        changes=drafted.changes.counts(),
        sources=counts["source"],
        labelers=counts["labeler"],
        reused_digests=drafted.read.reused,
        created=created.replace(microsecond=0),
        message=message,
    )
    _check_limits(head, drafted)
    return Sealed(head, objects, parts)


def _check_limits(head: Head, drafted: Draft) -> None:
    """Raises InputError for what readers of the format would refuse, by their own functions: once
    published, nobody could use it."""
    try:
        parse_head(head.to_bytes())
        statement_of(head)
        if drafted.parent is not None:
            check_parent(head, drafted.parent.head)
        reading = reader_settings(head.reading)
        recorded_reader(reading)[0].options_from_reading(reading)
        for label in drafted.read.long_labels:
            if len(label) > MAX_LABEL_BYTES:
                raise FormatError(f"a label is longer than {MAX_LABEL_BYTES} bytes")
    except FormatError as error:
        raise _unreadable(error) from None


def _unreadable(error: FormatError) -> InputError:
    return InputError(
        f"no version can be made of this, as nobody could read it: {error.message}",
        hint="see the limits in docs/format",
    )


def _parts(
    drafted: Draft, parents_blocks: Sequence[BlockList], objects: Spill
) -> list[tuple[PartRef, pa.Table]]:
    """The parts of a version; what they need is added to `objects`. A part the parent has keeps
    its file."""
    before = () if drafted.parent is None else drafted.parent.head.parts
    stored = {part.blocks: part for part in before}
    pieces = list(cut_parts(drafted.entries))
    starts = [0, *accumulate(part.num_rows for part, _ in pieces)]
    places = [(start, ends) for start, (_, ends) in zip(starts, pieces, strict=False)]
    all_ends = np.concatenate([start + ends for start, ends in places])
    known = reusable_block_digests(drafted.changes, parents_blocks, all_ends)
    new = sum(size for size, digest in zip(np.diff(all_ends, prepend=0), known, strict=True)
              if digest is None)  # fmt: skip
    next_known = iter(known)
    # Forked workers have the entries already: only the places of the parts go through pipes.
    executor: Executor = local_processes() if new >= _WORTH_PROCESSES else IN_PROCESS
    made = executor.map(
        partial(_make_part, drafted.entries, frozenset(stored)),
        [(start, ends, list(islice(next_known, len(ends)))) for start, ends in places],
    )
    parts: list[tuple[PartRef, pa.Table]] = []
    for (part, _), (blocks, data) in zip(pieces, made, strict=True):
        logical = blake3_digest(blocks)
        if data is None:
            reference = stored[logical]
        else:
            objects.append(data)
            objects.append(blocks)
            reference = _reference(part, logical, data)
        parts.append((reference, part))
    return parts


def _make_part(
    entries: pa.Table, stored: frozenset[str], place: tuple[int, Ints, list[bytes | None]]
) -> tuple[bytes, bytes | None]:
    """(block list, part file) of the part that starts at a row and has its blocks end so.

    No file where one is `stored` already.
    """
    start, ends, known = place
    part = entries.slice(start, int(ends[-1])).combine_chunks()
    blocks = block_list_with(part, ends, known).to_bytes()
    if blake3_digest(blocks) in stored:
        return blocks, None
    try:
        return blocks, write_part(part)
    except FormatError as error:
        raise _unreadable(error) from None


def remember_parts(mapped: MappedParts, parts: Sequence[tuple[PartRef, pa.Table]]) -> None:
    """Keeps the entries of parts that were just made, as those of parts that were checked."""
    new = [number for number, (part, _) in enumerate(parts) if mapped.get(part) is None]
    rows = sum(parts[number][0].rows for number in new)
    # As in `_parts`: forked workers have the entries.
    worth = rows >= _WORTH_PROCESSES and can_fork()
    executor: Executor = local_processes() if worth else IN_PROCESS
    for _ in executor.map(partial(_remember, mapped, parts), new):
        pass


def _remember(mapped: MappedParts, parts: Sequence[tuple[PartRef, pa.Table]], number: int) -> None:
    mapped.put(*parts[number])


def _reference(part: pa.Table, logical: str, data: bytes) -> PartRef:
    ids = part.column("id")
    return PartRef(
        blocks=logical,
        file=blake3_digest(data),
        size=len(data),
        rows=len(ids),
        first=ids[0].as_py(),
        last=ids[len(ids) - 1].as_py(),
    )


def _classes(
    entries: pa.Table, named: tuple[str, ...], parent: Head | None
) -> tuple[str, tuple[str, ...]]:
    """(label type, classes): the parent's classes keep their indices. New ones are appended, first
    those `named` by the data in their order."""
    labels = [label for label, _ in name_counts(entries.column("label"))]
    long = entries.column("label_digest").null_count < entries.num_rows
    long = long or any(len(name.encode()) > LIMITS["label"] for name in named)
    before = () if parent is None else parent.classes
    classes = tuple(dict.fromkeys((*before, *named, *sorted(labels, key=str.encode))))
    types = (label_type_of(classes, long=long), parent.label_type if parent else "none")
    label_type = max(types, key=LABEL_TYPES.index)
    if label_type == "class":
        hidden = next((label for label in classes if not is_class_name(label)), None)
        alike = twins_in_form_c(classes)
        if before and hidden is not None:
            raise _no_class(entries, hidden, "has a hidden character")
        if before and alike is not None:
            raise _no_class(
                entries, alike[1], f"differs only in composition from {quoted_ascii(alike[0])}"
            )
        if hidden is not None or alike is not None:
            label_type = "text"
    if label_type != "class":
        return label_type, ()
    if classes[: len(named)] != named:
        place = next(n for n, name in enumerate(named) if classes[n] != name)
        raise InputError(
            f"the data number the class {quoted(named[place])} as {place}, which is"
            f" {quoted(classes[place])} in the version before",
            hint="give the classes the order of that version, new ones behind:"
            " dataset.cast_column; or begin a new dataset with another --name",
        )
    return label_type, classes


def _no_class(entries: pa.Table, label: str, why: str) -> InputError:
    row = pc.index(without_dictionary(entries.column("label")), label).as_py()
    sample: str | None = entries.column("id")[row].as_py() if row >= 0 else None
    of = "" if sample is None else f"{quoted(sample)}: "
    return InputError(
        f"{of}the label {quoted(label)} {why}, and cannot be a class",
        sample=sample,
        hint="write the label otherwise",
    )


def reusable_block_digests(
    changes: Changes, old: Sequence[BlockList], ends: Ints
) -> list[bytes | None]:
    """The digest of each block of the new version that the old one has too, None for the others.

    `changes` are of whole versions: `old` are all blocks of the one, `ends` the ends of all blocks
    of the other in its entries.
    """
    counts = np.concatenate([np.empty(0, np.int64), *(part.counts for part in old)])
    places = _places(changes.old_rows, np.cumsum(counts))
    digests = chain.from_iterable(part.digests.tolist() for part in old)
    kept: dict[tuple[int, int] | None, bytes | None]
    kept = dict(zip(places, digests, strict=True)) | {None: None}
    return [kept.get(place) for place in _places(changes.new_rows, ends)]


def block_list_with(entries: pa.Table, ends: Ints, known: Sequence[bytes | None]) -> BlockList:
    """The blocks of one part, of which these are `known`: only the others are hashed."""
    missing = np.array([digest is None for digest in known])
    if missing.all():
        return block_list(leaves(entries), ends)
    counts = np.diff(ends, prepend=0)
    digests = np.frombuffer(b"".join(digest or bytes(32) for digest in known), "V32").copy()
    if missing.any():
        rows = entries.filter(pa.array(np.repeat(missing, counts))).combine_chunks()
        digests[missing] = block_list(leaves(rows), np.cumsum(counts[missing])).digests
    return BlockList(counts, digests)


def _places(changed: RowNumbers, ends: Ints) -> list[tuple[int, int] | None]:
    """For each block how many unchanged entries come before it and how many it has; None where one
    of its own changed."""
    rows = np.sort(changed[changed >= 0])
    counts = np.diff(ends, prepend=0)
    starts = ends - counts
    before, until = np.searchsorted(rows, starts), np.searchsorted(rows, ends)
    places = zip((starts - before).tolist(), counts.tolist(), strict=True)
    return [
        place if same else None
        for place, same in zip(places, (before == until).tolist(), strict=True)
    ]
