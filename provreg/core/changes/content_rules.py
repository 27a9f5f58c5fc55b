"""Holding a version's samples and changes against its publish rule (step 11).

What is counted are true changes between entries, never what a head says of itself.
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
from provreg.core.manifest.columns import without_dictionary
from provreg.core.policy.policy import Limit, NameList, Origin, PublishRule

_SHOWN = 3


def disallowed_origins(rule: PublishRule, entries: pa.Table) -> list[str]:
    """What `rule` does not take of the names in `entries` (schema `entry.ENTRY`), in words."""
    found: list[str] = []
    if rule.sources is not None:
        found += _foreign(rule.sources, "source", entries)
    if rule.labelers is not None:
        found += _foreign(rule.labelers, "labeler", entries)
    return found


def exceeded_limits(rule: PublishRule, changes: Changes, samples: int, signed: int) -> list[str]:
    """The limits of `rule` that `changes` to a version of `samples` samples exceed, in words.

    `signed` is how many principals have signed: some limits do not apply to several.
    """
    limits = (limit for limit in rule.limits if not limit.is_waived(signed))
    return [
        said for limit in limits for said in _beyond(limit, changes, limit.max_changes(samples))
    ]


def _beyond(limit: Limit, changes: Changes, most: int) -> Iterator[str]:
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
    for group in beyond[:_SHOWN]:
        origin = _named(limit.each, group["values"])
        are = _samples(group["counts"], f"from {origin} is", f"from {origin} are")
        yield f"{are} {limit.counted}, the limit is {most:,} ({limit})"
    if len(beyond) > _SHOWN:
        yield f"so are those from {len(beyond) - _SHOWN:,} more"


def _foreign(names: NameList, origin: Origin, entries: pa.Table) -> Iterator[str]:
    counts = entries.column(origin).unify_dictionaries().value_counts()
    groups = {group["values"]: group["counts"] for group in counts.to_pylist()}
    refused = [name for name in groups if not names.allows(name)]
    for name in sorted(refused, key=lambda name: -groups[name])[:_SHOWN]:
        yield f"{_samples(groups[name], 'has', 'have')} {_named(origin, name)}"
    if len(refused) > _SHOWN:
        yield f"and so have those of {len(refused) - _SHOWN:,} more"
    if origin == "labeler":
        yield from _foreign_annotations(names, entries.column("annotations"))


def _foreign_annotations(names: NameList, annotations: pa.ChunkedArray) -> Iterator[str]:
    """Of several people's labels, whoever is not taken may not be among them either."""
    labelers = pc.struct_field(pc.list_flatten(annotations), "labeler").unique().to_pylist()
    refused = [name for name in labelers if not names.allows(name)]
    for name in refused[:_SHOWN]:
        yield f"annotations have {_named('labeler', name)}"


def _samples(count: int, one: str, several: str) -> str:
    return f"1 sample {one}" if count == 1 else f"{count:,} samples {several}"


def _named(origin: Origin, name: str | None) -> str:
    return f"no {origin}" if name is None else f"the {origin} {quoted(name)}"
