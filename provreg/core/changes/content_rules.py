"""A version's samples and changes checked against its publish rule (step 11).

Counts the actual changes between entries, never the counts in a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import or_

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.changes import BIT, Changes
from provreg.core.encoding.text import quoted
from provreg.core.policy.policy import Limit, NameList, Origin, PublishRule
from provreg.core.rows.row_hash import without_dictionary

_MAX_SHOWN = 3


def disallowed_origins(rule: PublishRule, entries: pa.Table) -> list[str]:
    """The sources and labelers in `entries` (schema ENTRY) that `rule` does not allow, in words."""
    found: list[str] = []
    if rule.sources is not None:
        found += _disallowed(rule.sources, "source", entries)
    if rule.labelers is not None:
        found += _disallowed(rule.labelers, "labeler", entries)
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
    names = without_dictionary(changes.new.column(limit.each).take(pa.array(rows[rows >= 0])))
    groups = names.value_counts()
    beyond = groups.filter(pc.greater(groups.field("counts"), most)).to_pylist()
    beyond.sort(key=lambda group: -group["counts"])
    for group in beyond[:_MAX_SHOWN]:
        origin = _origin_in_words(limit.each, group["values"])
        are = _samples(group["counts"], f"from {origin} is", f"from {origin} are")
        yield f"{are} {limit.counted}, the limit is {most:,} ({limit})"
    if len(beyond) > _MAX_SHOWN:
        yield f"and those from {len(beyond) - _MAX_SHOWN:,} more {limit.each}s"


def _disallowed(names: NameList, origin: Origin, entries: pa.Table) -> Iterator[str]:
    counts = entries.column(origin).unify_dictionaries().value_counts()
    groups = {group["values"]: group["counts"] for group in counts.to_pylist()}
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
