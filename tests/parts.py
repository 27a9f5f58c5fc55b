"""Parts of a version built in memory, for tests of what is written and verified."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from provreg.core.manifest.leaf import leaves
from provreg.core.manifest.manifest import cut_parts
from provreg.core.manifest.tree import BlockList, block_list


@dataclass(frozen=True, slots=True)
class Part:
    """A part: its entries (schema ENTRY, ascending ids) and its blocks."""

    entries: pa.Table
    blocks: BlockList


def build_parts(entries: pa.Table) -> Iterator[Part]:
    """The parts of a version's entries (schema ENTRY, ids ascending and unique), in order."""
    for part, ends in cut_parts(entries):
        yield Part(part.combine_chunks(), block_list(leaves(part), ends))
