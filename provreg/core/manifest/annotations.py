"""Several people's labels of one sample, and the label that follows from them.

The head's `reading.aggregation` names the rule (docs/format/manifest.md, "Entry").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import quoted
from provreg.core.manifest.columns import Mask, chunked_nulls
from provreg.core.rows.row_hash import without_dictionary
from provreg.errors import FormatError

AGGREGATION = "aggregation"
# The rules by which a label follows from annotations.
RULES = ("majority",)


def majority(annotations: pa.ListArray) -> pa.Array:
    """The most frequent label of each list; null if there is none, or if two are equally frequent.

    Annotations without a label are no vote. Null for a null list.
    """
    items, owners = annotations.flatten(), pc.list_parent_indices(annotations)
    votes = pa.table({"list": owners, "label": pc.struct_field(items, "label")})
    votes = votes.filter(votes.column("label").is_valid())
    counted = votes.group_by(["list", "label"], use_threads=False).aggregate([([], "count_all")])
    lists, counts = (counted.column(name).to_numpy() for name in ("list", "count_all"))
    highest = np.zeros(len(annotations), np.int64)
    np.maximum.at(highest, lists, counts)
    first = counts == highest[lists]
    winners = np.bincount(lists[first], minlength=len(annotations))
    won = np.flatnonzero(first & (winners[lists] == 1))
    places = np.full(len(annotations), -1)
    places[lists[won]] = won
    labels = counted.column("label").combine_chunks()
    return labels.take(pa.array(places, mask=places < 0))


def annotated_by(annotations: pa.ChunkedArray, labelers: pa.Array) -> Mask:
    """Which lists have an annotation by one of `labelers`."""
    found = np.zeros(len(annotations), np.bool_)
    if annotations.null_count == len(annotations):
        return found
    start = 0
    for chunk in annotations.chunks:
        named = pc.is_in(pc.struct_field(chunk.flatten(), "labeler"), value_set=labelers)
        owners = pc.list_parent_indices(chunk).filter(named)
        found[start + owners.to_numpy()] = True
        start += len(chunk)
    return found


def are_annotated(annotations: pa.ChunkedArray | pa.Array) -> Mask:
    """Which lists have an annotation at all."""
    counts = pc.fill_null(pc.list_value_length(annotations), 0)
    return np.asarray(counts.to_numpy(), np.int64) > 0


def annotator_names(annotations: pa.ChunkedArray) -> pa.ChunkedArray:
    """The labelers of each list in its order, a line for each; null for lists without any.

    Names have no line breaks.
    """
    if annotations.null_count == len(annotations):
        return chunked_nulls(pa.string(), len(annotations))
    return pa.chunked_array([_joined_names(chunk) for chunk in annotations.chunks], pa.string())


def _joined_names(annotations: pa.ListArray) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(annotations), 0).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    labelers = pc.fill_null(pc.struct_field(annotations.flatten(), "labeler"), "")
    names = pc.binary_join(pa.ListArray.from_arrays(offsets, labelers), "\n")
    return pc.if_else(pa.array(lengths > 0), names, pa.scalar(None, pa.string()))


def check_aggregation(reading: Mapping[str, Any], entries: pa.Table) -> None:
    """That the label of each entry with annotations is the result of the rule in the `reading`.

    Raises FormatError that names a sample for another label, and for an unknown rule.
    """
    rule = reading.get(AGGREGATION)
    if rule is None:
        return
    if rule not in RULES:
        raise FormatError(
            f"head.reading: {quoted(str(rule))} is not a rule of aggregation",
            hint="update provreg to a version that supports it",
        )
    annotations = entries.column("annotations")
    start = 0
    for chunk in annotations.chunks if annotations.null_count < len(annotations) else ():
        rows = entries.slice(start, len(chunk))
        start += len(chunk)
        label = without_dictionary(rows.column("label")).combine_chunks()
        result = majority(chunk)
        same = pc.or_(
            pc.fill_null(pc.equal(label, result), False), pc.and_(label.is_null(), result.is_null())
        )
        same = pc.and_(same, rows.column("label_digest").combine_chunks().is_null())
        place = pc.index(pc.or_(chunk.is_null(), same), False).as_py()
        if place >= 0:
            sample = rows.column("id")[place].as_py()
            raise FormatError(
                f"{quoted(sample)}: the label is not the {rule} of its annotations", sample=sample
            )
