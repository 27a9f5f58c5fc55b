"""Blocks that a version has from its parent: their digests are known, and nothing is hashed again.

Entries that did not change stand in the same order in both versions. A block is its parent's where
none of its entries changed, as many unchanged ones come before it there, and it is as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import pyarrow as pa

from provreg.core.changes.changes import Changes
from provreg.core.manifest.columns import RowNumbers
from provreg.core.manifest.leaf import leaves
from provreg.core.manifest.tree import BlockList, Ints, block_list


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
