"""A version's samples and changes checked against its publish rule (step 11).

Counts the actual changes between entries, never the counts in a head.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import reduce
from operator import or_

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.changes import BIT, Changes
from provreg.core.encoding.text import quoted
from provreg.core.manifest.annotations import are_annotated
from provreg.core.manifest.columns import RowNumbers, take_rows
from provreg.core.manifest.head import Head
from provreg.core.policy.policy import LabelRule, Limit, NameList, Origin, PublishRule
from provreg.core.rows.row_hash import without_dictionary

_MAX_SHOWN = 3


def content_refusals(rule: PublishRule, entries: pa.Table) -> list[str]:
    """What of the `entries` (schema ENTRY) `rule` does not allow, in words."""
    return disallowed_origins(rule, entries) + disallowed_labels(rule, entries)


def change_refusals(
    rule: PublishRule, changes: Changes, base: Head, signed: int, load_base: Callable[[], pa.Table]
) -> list[str]:
    """What of the `changes` since the version `base` `rule` does not allow, in words.

    `signed` is the number of signing principals, `load_base` returns the entries of `base`.
    """
    found = new_labels(rule, changes, base, signed, load_base)
    return found + exceeded_limits(rule, changes, base.samples, signed)


def disallowed_origins(rule: PublishRule, entries: pa.Table) -> list[str]:
    """The sources and labelers in `entries` (schema ENTRY) that `rule` does not allow, in words."""
    found: list[str] = []
    if rule.sources is not None:
        found += _disallowed(rule.sources, "source", entries)
    if rule.labelers is not None:
        found += _disallowed(rule.labelers, "labeler", entries)
    return found


def disallowed_labels(rule: PublishRule, entries: pa.Table) -> list[str]:
    """The labels in `entries`, and how many have none, that `rule` does not allow, in words."""
    return [] if rule.labels is None else list(_disallowed_labels(rule.labels, entries))


def _disallowed_labels(rule: LabelRule, entries: pa.Table) -> Iterator[str]:
    counts = _value_counts(entries.column("label"))
    long = entries.num_rows - entries.column("label_digest").null_count
    refused = [label for label in counts if label is not None and not rule.allows(label)]
    for label in sorted(refused, key=lambda label: -counts[label])[:_MAX_SHOWN]:
        yield f"{_samples(counts[label], 'has', 'have')} the label {quoted(label)}"
    if len(refused) > _MAX_SHOWN:
        yield f"and {len(refused) - _MAX_SHOWN:,} more labels are not allowed"
    if rule.allow is not None and long:
        yield f"{_samples(long, 'has', 'have')} a label of more than 1,024 bytes"
    without, most = counts.get(None, 0) - long, rule.max_absent(entries.num_rows)
    if without > most:
        bound = f", {rule.absent_in_words} may have none" if most else ""
        yield f"{_samples(without, 'has', 'have')} no label{bound}"


def new_labels(
    rule: PublishRule, changes: Changes, base: Head, signed: int, load_base: Callable[[], pa.Table]
) -> list[str]:
    """The labels that `changes` bring that `base` does not know, if `signed` principals are too few
    for them, in words.

    A label is new if it is neither a class of `base` nor the label of one of its entries, which
    `load_base` returns; they are needed for texts only.
    """
    labels = rule.labels
    if labels is None or not labels.bounds_new(signed):
        return []
    rows = changes.new_rows[changes.new_rows >= 0]
    touched = take_rows(changes.new.select(["label", "label_digest"]), rows)
    known = set(base.classes)
    counts = {
        label: count
        for label, count in _value_counts(touched.column("label")).items()
        if label is not None and label not in known
    }
    digests = touched.column("label_digest").unique().drop_null()
    if base.label_type == "text" and (counts or len(digests)):
        entries = load_base()
        labels_before = _value_counts(entries.column("label"))
        counts = {label: count for label, count in counts.items() if label not in labels_before}
        digests = digests.filter(
            pc.invert(pc.is_in(digests, value_set=entries.column("label_digest").unique()))
        )
    needed = f"{labels.signers_for_new} principals must sign a new label"
    found = [
        f"{_samples(count, 'has', 'have')} the new label {quoted(label)}, {needed}"
        for label, count in sorted(counts.items(), key=lambda item: -item[1])[:_MAX_SHOWN]
    ]
    more = len(counts) - len(found) + len(digests)
    if more:
        found.append(
            f"{more:,} more labels are new" if found else f"{more:,} labels are new, {needed}"
        )
    return found


def exceeded_limits(rule: PublishRule, changes: Changes, samples: int, signed: int) -> list[str]:
    """The limits of `rule` that `changes` to a version of `samples` samples exceed, in words.

    `signed` is the number of signing principals, which waives some limits.
    """
    limits = (limit for limit in rule.limits if not limit.is_waived(signed))
    return [
        text
        for limit in limits
        for text in _describe_excess(limit, changes, limit.max_changes(samples))
    ]


def _describe_excess(limit: Limit, changes: Changes, most: int) -> Iterator[str]:
    mask = reduce(or_, (BIT[kind] for kind in limit.kinds or BIT))
    counted = (changes.kinds & mask) != 0
    if limit.each is None:
        count = int(np.count_nonzero(counted))
        if count > most:
            yield f"{_samples(count, 'is', 'are')} {limit.counted}, the limit is {most:,} ({limit})"
        return
    rows = changes.new_rows[counted]
    groups = _by_name(changes.new, rows[rows >= 0], limit.each).value_counts()
    beyond = groups.filter(pc.greater(groups.field("counts"), most)).to_pylist()
    beyond.sort(key=lambda group: -group["counts"])
    for group in beyond[:_MAX_SHOWN]:
        origin = _origin_in_words(limit.each, group["values"])
        are = _samples(group["counts"], f"from {origin} is", f"from {origin} are")
        yield f"{are} {limit.counted}, the limit is {most:,} ({limit})"
    if len(beyond) > _MAX_SHOWN:
        yield f"and those from {len(beyond) - _MAX_SHOWN:,} more {limit.each}s"


def _by_name(entries: pa.Table, rows: RowNumbers, origin: Origin) -> pa.ChunkedArray:
    """The source or labeler of each of `rows`. In place of nobody, the people who annotated it."""
    taken = take_rows(entries.select([origin, "annotations"]), rows)
    names = without_dictionary(taken.column(origin)).cast(pa.string())
    annotations = taken.column("annotations")
    if origin != "labeler" or annotations.null_count == len(annotations):
        return names
    whole = annotations.combine_chunks()
    people = pa.table(
        {
            "row": pc.list_parent_indices(whole),
            "labeler": pc.struct_field(whole.flatten(), "labeler"),
        }
    )
    # A person counts once for a sample, as labeler and in its annotations.
    own = pa.table({"row": pa.array(np.arange(len(names))), "labeler": names})
    nobody = np.asarray(
        pc.and_(names.is_null(), pa.array(are_annotated(annotations))).to_numpy(), np.bool_
    )
    own = own.filter(pa.array(~nobody))
    people = people.set_column(0, "row", people.column("row").cast(pa.int64()))
    return (
        pa.concat_tables([own, people]).group_by(["row", "labeler"]).aggregate([]).column("labeler")
    )


def _value_counts(column: pa.ChunkedArray) -> dict[str | None, int]:
    """How often each text of a column occurs, null too."""
    counts: Counter[str | None] = Counter()
    for chunk in column.chunks:
        for group in pc.value_counts(chunk).to_pylist():
            counts[group["values"]] += group["counts"]
    return dict(counts)


def _disallowed(names: NameList, origin: Origin, entries: pa.Table) -> Iterator[str]:
    groups = _value_counts(entries.column(origin))
    if origin == "labeler" and None in groups:
        # The people in its annotations labeled it.
        nobody = np.asarray(entries.column(origin).is_null().to_numpy(), np.bool_)
        annotated = are_annotated(entries.column("annotations"))
        groups[None] = int(np.count_nonzero(nobody & ~annotated))
        if not groups[None]:
            del groups[None]
    refused = [name for name in groups if not names.allows(name)]
    for name in sorted(refused, key=lambda name: -groups[name])[:_MAX_SHOWN]:
        yield f"{_samples(groups[name], 'has', 'have')} {_origin_in_words(origin, name)}"
    if len(refused) > _MAX_SHOWN:
        yield f"and {len(refused) - _MAX_SHOWN:,} more {origin}s are not allowed"
    if origin == "labeler":
        yield from _disallowed_annotations(names, entries.column("annotations"))


def _disallowed_annotations(names: NameList, annotations: pa.ChunkedArray) -> Iterator[str]:
    """The labelers of annotations must be allowed, too."""
    labelers = pc.struct_field(pc.list_flatten(annotations), "labeler").unique().to_pylist()
    refused = [name for name in labelers if not names.allows(name)]
    for name in refused[:_MAX_SHOWN]:
        yield f"annotations have {_origin_in_words('labeler', name)}"


def _samples(count: int, one: str, several: str) -> str:
    return f"1 sample {one}" if count == 1 else f"{count:,} samples {several}"


def _origin_in_words(origin: Origin, name: str | None) -> str:
    return f"no {origin}" if name is None else f"the {origin} {quoted(name)}"
