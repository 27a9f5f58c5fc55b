"""The manifest of a version: its entries in order, and their rules (docs/format/manifest.md).

Entries are untrusted: `check_part` is step 11 of verification.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.canonical import canonical, parse_canonical
from provreg.core.encoding.digest import blake3_digest
from provreg.core.encoding.names import name_complaint
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import quoted
from provreg.core.manifest.annotations import check_aggregation
from provreg.core.manifest.columns import ascending, byte_lengths, reorder, unsafe_ids
from provreg.core.manifest.entry import ENTRY, TIMESTAMP
from provreg.core.manifest.head import (
    LABEL_TYPES,
    MAX_CLASSES,
    TOP_NAMES,
    Head,
    samples_are_files,
)
from provreg.core.manifest.leaf import leaves
from provreg.core.manifest.limits import (
    FIRST_TIME,
    LAST_TIME,
    LIMITS,
    MAX_ANNOTATIONS,
    PART_MAX_ENTRIES,
)
from provreg.core.manifest.tree import Ints, block_list, closes_part, cut
from provreg.core.rows.row_hash import without_dictionary
from provreg.errors import FormatError, InputError

_SLICE = 1 << 16


def sort_entries(entries: pa.Table) -> pa.Table:
    """`entries` sorted by the bytes of their ids. Raises InputError for a duplicate id."""
    ids = entries.column("id")
    if _first_not_ascending(ids) is None:
        return entries
    ordered = reorder(entries, ascending(ids))
    place = _first_not_ascending(ordered.column("id"))
    if place is not None:
        duplicate = ordered.column("id")[place].as_py()
        raise InputError(f"duplicate id: {quoted(duplicate)}", sample=duplicate)
    return ordered


def cut_parts(entries: pa.Table) -> Iterator[tuple[pa.Table, Ints]]:
    """Cuts a version's entries (schema ENTRY, ids ascending and unique) into parts, in order.

    Yields each part's entries and the ends of its blocks in them.
    """
    cuts = cut(entries.column("id"))
    first_block = start = 0
    for last_block in cuts.parts.tolist():
        ends = cuts.blocks[first_block:last_block]
        yield entries.slice(start, int(ends[-1]) - start), ends - start
        first_block, start = last_block, int(ends[-1])


def check_part(entries: pa.Table, logical: str) -> None:
    """Checks that `entries` follow every rule of the format and have this logical digest.

    Raises FormatError that names the first entry that breaks a rule.
    """
    check_entries(entries)
    cuts = cut(entries.column("id"))
    if len(cuts.parts) != 1:
        raise FormatError("a part is not cut as its ids require")
    if block_list(leaves(entries), cuts.blocks).logical_digest() != logical:
        raise FormatError("a part's entries do not have the logical digest in the head")


def check_part_end(entries: pa.Table) -> None:
    """Checks that a part, not the last of its version, ends where its ids require."""
    if not closes_part(entries.column("id")):
        raise FormatError("a part ends too early for its ids")


def check_version(head: Head, entries: pa.Table) -> None:
    """Checks a head against all of its entries; raises FormatError.

    `entries` are those of all parts, each checked by `check_part`.
    """
    for what, counts in (("source", head.sources), ("labeler", head.labelers)):
        true = name_counts(entries.column(what))
        if (counts.distinct, counts.top) != (len(true), tuple(true[:TOP_NAMES])):
            raise FormatError(f"the head's counts of {what}s are wrong")
        if counts.table != blake3_digest(name_table(true)):
            raise FormatError(f"the head's table of {what}s does not match its entries")
    labels = {label for label, _ in name_counts(entries.column("label"))}
    long = entries.column("label_digest").null_count < entries.num_rows
    # A type never goes back: after `text`, labels that could be classes are still `text`.
    needed = label_type_of(labels, long=long)
    if LABEL_TYPES.index(needed) > LABEL_TYPES.index(head.label_type):
        raise FormatError(f"the head's label type is {head.label_type}, its labels need {needed}")
    if head.label_type == "class" and not labels <= set(head.classes):
        stranger = min(labels - set(head.classes))
        raise FormatError(f"the label {quoted(stranger)} is not one of the head's classes")
    if samples_are_files(head.reading):
        check_path_ids(entries.column("id"))
    check_aggregation(head.reading, entries)


def name_counts(column: pa.ChunkedArray) -> list[tuple[str, int]]:
    """The distinct texts of a column with their number, most frequent first, then by name."""
    totals: Counter[str] = Counter()
    for chunk in column.chunks:
        counts = pc.value_counts(chunk.drop_null())
        names = counts.field("values").cast(pa.string()).to_pylist()
        totals.update(dict(zip(names, counts.field("counts").to_pylist(), strict=True)))
    return sorted(totals.items(), key=lambda item: (-item[1], item[0].encode()))


def name_table(counts: list[tuple[str, int]]) -> bytes:
    """The object that lists all sources or labelers (docs/format/head.md, "Name tables")."""
    return canonical([{"name": name, "samples": samples} for name, samples in counts])


def parse_name_table(data: bytes) -> list[tuple[str, int]]:
    """The inverse of `name_table`. Raises FormatError for any other bytes."""
    what = "the name table"
    table = parse_canonical(data, what=what, limit=len(data))
    if not isinstance(table, list):
        raise FormatError(f"{what} is not a list")
    counts = []
    for entry in table:
        fields = Fields(entry, what)
        counts.append((fields.text("name", limit=LIMITS["source"]), fields.integer("samples")))
        fields.done()
    return counts


def label_type_of(labels: Collection[str], *, long: bool) -> str:
    """`none` without labels, `class` for a bounded set of short ones, else `text`."""
    if long or len(labels) > MAX_CLASSES:
        return "text"
    return "class" if labels else "none"


def check_entries(entries: pa.Table) -> None:
    """Checks schema, order, uniqueness, sizes and characters; raises FormatError."""
    if not 0 < entries.num_rows <= PART_MAX_ENTRIES:
        raise FormatError(f"a part has {entries.num_rows} entries")
    check_entry_schema(entries)
    check_values(entries)


def check_entry_schema(entries: pa.Table) -> None:
    """Checks schema, order, uniqueness and required values; raises FormatError."""
    if not entries.schema.equals(ENTRY):
        raise FormatError("a part does not have the columns of an entry")
    for field in ENTRY:
        column = entries.column(field.name)
        if not field.nullable and column.null_count:
            raise FormatError(f"an entry has no {field.name}")
    ids = entries.column("id")
    place = _first_not_ascending(ids)
    if place is not None:
        raise FormatError(f"ids are not ascending and unique at {quoted(ids[place].as_py())}")
    both = pc.and_(entries.column("label").is_valid(), entries.column("label_digest").is_valid())
    if pc.any(both).as_py():
        raise FormatError("an entry has both a label and a label digest")


def check_values(entries: pa.Table) -> None:
    """Checks sizes, characters and times of every column; raises FormatError that names the id."""
    for name in ("source", "labeler", "split"):
        for at, chunk in _with_starts(entries.column(name)):
            texts = chunk.dictionary.take(pc.unique(chunk.indices).drop_null())
            wrong = _find_invalid_name(texts)
            if wrong is not None:
                row = (
                    at
                    + pc.index(
                        pc.fill_null(pc.equal(without_dictionary(chunk), wrong[0]), False), True
                    ).as_py()
                )
                sample = entries.column("id")[row].as_py()
                raise FormatError(
                    f"{quoted(sample)}: the {name} {quoted(wrong[0])} {wrong[1]}", sample=sample
                )
    for at in range(0, entries.num_rows, _SLICE):
        _check_values(entries.slice(at, _SLICE))


def _with_starts(column: pa.ChunkedArray) -> Iterator[tuple[int, pa.Array]]:
    starts = accumulate((len(chunk) for chunk in column.chunks), initial=0)
    return zip(starts, column.chunks, strict=False)


def _find_invalid_name(texts: pa.Array) -> tuple[str, str] | None:
    """The first of `texts` that is not a valid name, and why; None if all are valid."""
    simple = pc.and_(
        pc.ascii_is_printable(texts), pc.invert(pc.match_substring_regex(texts, "^ | $"))
    )
    for text in texts.filter(pc.invert(simple)).to_pylist():
        complaint = name_complaint(text)
        if complaint is not None:
            return text, complaint
    return None


def _check_values(entries: pa.Table) -> None:
    for name, limit in LIMITS.items():
        lengths = byte_lengths(entries.column(name))
        _refuse_where(pc.greater(lengths, limit), entries, f"the {name} is too long")
    ids = entries.column("id")
    _refuse_where(pc.equal(pc.binary_length(ids), 0), entries, "the id is empty")
    _refuse_where(unsafe_ids(ids), entries, "the id has control or bidirectional characters")
    no_source = pc.equal(byte_lengths(entries.column("source")), 0)
    _refuse_where(no_source, entries, "the source is empty")
    attrs = entries.column("attrs")
    for text in attrs.filter(attrs.is_valid()).to_pylist() if attrs.null_count < len(attrs) else []:
        parse_canonical(text.encode(), what="an entry's attrs", limit=LIMITS["attrs"])
    _refuse_where(
        _out_of_range(entries.column("labeled_at")), entries, "labeled_at is out of range"
    )
    annotations = entries.column("annotations")
    if annotations.null_count < len(annotations):
        _check_annotations(annotations, entries)


def _check_annotations(annotations: pa.ChunkedArray, entries: pa.Table) -> None:
    many = pc.greater(pc.list_value_length(annotations), MAX_ANNOTATIONS)
    _refuse_where(many, entries, f"more than {MAX_ANNOTATIONS} annotations")
    column = annotations.combine_chunks()
    items = column.flatten()
    owners = entries.take(pc.list_parent_indices(column))
    _refuse_where(items.is_null(), owners, "an annotation is null")
    for name in ("label", "labeler"):
        long = pc.greater(pc.binary_length(items.field(name)), LIMITS[name])
        _refuse_where(long, owners, f"the {name} of an annotation is too long")
    wrong = _find_invalid_name(pc.unique(items.field("labeler")).drop_null())
    if wrong is not None:
        named = pc.equal(items.field("labeler"), wrong[0])
        _refuse_where(named, owners, f"the labeler {quoted(wrong[0])} of an annotation {wrong[1]}")
    late = _out_of_range(items.field("labeled_at"))
    _refuse_where(late, owners, "labeled_at of an annotation is out of range")


def _out_of_range(times: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    first, last = (pa.scalar(time, TIMESTAMP) for time in (FIRST_TIME, LAST_TIME))
    return pc.or_(pc.less(times, first), pc.greater(times, last))


def check_path_ids(ids: pa.ChunkedArray) -> None:
    """Refuses ids that, as paths below a folder, would leave it or name a file twice."""
    unsafe = pc.match_substring_regex(ids, r"(^|/)(\.{0,2})(/|$)|\\")
    if pc.any(unsafe).as_py():
        example = ids.filter(unsafe)[0].as_py()
        raise FormatError(f"the id {quoted(example)} is not a path below its folder")
    twins = case_twins(ids)
    if twins is not None:
        raise FormatError(
            f"{quoted(twins[0])} and {quoted(twins[1])} are the same file on some systems"
        )


def case_twins(ids: pa.ChunkedArray) -> tuple[str, str] | None:
    """Two of the distinct `ids` that are equal after NFC and case folding, or None."""
    folded = pc.utf8_lower(ids)
    plain_ascii = pc.string_is_ascii(ids)
    if not pc.all(plain_ascii).as_py():
        texts = [unicodedata.normalize("NFC", text).casefold() for text in ids.to_pylist()]
        folded = pa.chunked_array([pa.array(texts, pa.string())])
    if pc.all(pc.equal(folded, ids)).as_py() or pc.count_distinct(folded).as_py() == len(ids):
        return None
    repeated = next(text for text, times in Counter(folded.to_pylist()).items() if times > 1)
    first, second, *_ = ids.filter(pc.equal(folded, repeated)).to_pylist()
    return first, second


def _first_not_ascending(ids: pa.ChunkedArray) -> int | None:
    """The place of the first id that is not greater than the previous id."""
    if len(ids) < 2:
        return None
    wrong = pc.less_equal(ids.slice(1), ids.slice(0, len(ids) - 1))
    place = pc.index(wrong, True).as_py()
    return None if place < 0 else place + 1


def _refuse_where(mask: pa.Array | pa.ChunkedArray, entries: pa.Table, complaint: str) -> None:
    place = pc.index(pc.fill_null(mask, False), True).as_py()
    if place >= 0:
        sample = entries.column("id")[place].as_py()
        raise FormatError(f"{quoted(sample)}: {complaint}", sample=sample)
