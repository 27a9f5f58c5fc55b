"""Blocks and parts (docs/format/manifest.md, "Cuts" and "Tree").

Entries sorted by id are cut into blocks, and blocks into parts. The cuts depend on the ids alone,
not on the history, labels or origins. A version's root commits to its parts, a part to its blocks
and a block to its leaves, each with its counts.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from provreg.core.encoding.digest import blake3_digest
from provreg.core.manifest.limits import PART_MAX_ENTRIES
from provreg.core.rows.row_hash import iter_value_bytes
from provreg.errors import FormatError

BLOCK_CONTEXT = "provreg 2026-11-22 v1 block"
_BLOCK_LIST_MAGIC = b"provreg blocks v1\n"
_BLOCK_LIST_HEADER = struct.Struct("<18sQI")
_BLOCK = np.dtype([("entries", "<u4"), ("digest", "V32")])

# An id's mark is (crc32(id) * 0x9E3779B1) mod 2**32: uniform for usual ids, computed in 0.1 us. It
# need not resist an attacker: minimum and maximum sizes bound the effect of chosen ids.
_MIX = 0x9E3779B1
_BLOCK_MARK = 2**32 // 192
_PART_MARK = 2**32 // (192 * 192)
BLOCK_MIN_ENTRIES = 64
BLOCK_MAX_ENTRIES = 1024
BLOCK_MAX_ID_BYTES = 1 << 16
PART_MIN_ENTRIES = 1 << 14
PART_MAX_ID_BYTES = 1 << 24

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where a sorted run of entries is cut.

    `blocks` are the ends of the blocks in entries (ascending, the last is the number of entries);
    `parts` are the ends of the parts in blocks.
    """

    blocks: Ints
    parts: Ints


@dataclass(frozen=True, slots=True)
class BlockList:
    """The blocks of one part, in order: `counts` (int64) and `digests` (32-byte items)."""

    counts: Ints
    digests: npt.NDArray[np.void]

    @property
    def entries(self) -> int:
        return int(self.counts.sum())

    def to_bytes(self) -> bytes:
        """The block list object; its BLAKE3 digest is the part's logical digest."""
        header = _BLOCK_LIST_HEADER.pack(_BLOCK_LIST_MAGIC, self.entries, len(self.counts))
        items = np.empty(len(self.counts), _BLOCK)
        items["entries"], items["digest"] = self.counts, self.digests
        return header + items.tobytes()

    def logical_digest(self) -> str:
        return blake3_digest(self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> BlockList:
        """The inverse of `to_bytes`. Raises FormatError for any other bytes."""
        if len(data) < _BLOCK_LIST_HEADER.size:
            raise FormatError("a block list is truncated")
        magic, entries, blocks = _BLOCK_LIST_HEADER.unpack_from(data)
        body = memoryview(data)[_BLOCK_LIST_HEADER.size :]
        if magic != _BLOCK_LIST_MAGIC or len(body) != blocks * _BLOCK.itemsize:
            raise FormatError("a block list has a wrong header")
        items = np.frombuffer(body, _BLOCK)
        counts = items["entries"].astype(np.int64)
        inside = (counts >= 1) & (counts <= BLOCK_MAX_ENTRIES)
        if not blocks or not inside.all() or counts.sum() != entries or entries > PART_MAX_ENTRIES:
            raise FormatError("a block list has impossible counts")
        return cls(counts, items["digest"])


def cut(ids: pa.ChunkedArray) -> Cuts:
    """The cuts of a version with these ids (text, ascending by bytes)."""
    marks, id_bytes = _measure(ids)
    blocks = _cut_blocks(marks, id_bytes)
    return Cuts(blocks, _cut_parts(marks, id_bytes, blocks))


def closes_part(ids: pa.ChunkedArray) -> bool:
    """Whether a part with exactly these ids ends there although more entries follow."""
    marks, id_bytes = _measure(ids)
    blocks = _cut_blocks(marks, id_bytes)
    start = int(blocks[-2]) if len(blocks) > 1 else 0
    entries = len(marks) - start
    block_ends = (
        entries == BLOCK_MAX_ENTRIES
        or id_bytes[-1] - id_bytes[start] >= BLOCK_MAX_ID_BYTES
        or (entries >= BLOCK_MIN_ENTRIES and marks[-1] < _BLOCK_MARK)
    )
    closing = bool(marks[-1] < _PART_MARK)
    return bool(block_ends) and _ends_part(len(marks), int(id_bytes[-1]), closing=closing)


def block_list(leaves: bytes, ends: Ints) -> BlockList:
    """The blocks of one part from its leaves (32 bytes each) and its block ends in entries."""
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    view = memoryview(leaves)
    hasher = blake3(derive_key_context=BLOCK_CONTEXT)
    digests = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        hasher.reset()
        hasher.update(struct.pack("<Q", end - start))
        hasher.update(view[32 * start : 32 * end])
        digests.append(hasher.digest())
    return BlockList(ends - starts, np.frombuffer(b"".join(digests), "V32"))


def _measure(ids: pa.ChunkedArray) -> tuple[npt.NDArray[np.uint32], Ints]:
    """The marks of `ids`, and the total bytes of the ids before each place and before the end."""
    marks, id_bytes = np.empty(len(ids), np.uint32), np.zeros(len(ids) + 1, np.int64)
    start = 0
    for chunk in ids.chunks:
        end = start + len(chunk)
        marks[start:end] = _marks(chunk)
        id_bytes[start + 1 : end + 1] = id_bytes[start] + np.cumsum(pc.binary_length(chunk))
        start = end
    return marks, id_bytes


def _marks(ids: pa.Array) -> npt.NDArray[np.uint32]:
    checksums = np.fromiter(map(zlib.crc32, iter_value_bytes(ids)), np.uint64, len(ids))
    return (checksums * np.uint64(_MIX)).astype(np.uint32)


def _cut_blocks(marks: npt.NDArray[np.uint32], id_bytes: Ints) -> Ints:
    natural = (np.flatnonzero(marks < _BLOCK_MARK) + 1).tolist()
    count = len(marks)
    ends: list[int] = []
    start = 0
    while start < count:
        end = min(start + BLOCK_MAX_ENTRIES, count)
        place = bisect_left(natural, start + BLOCK_MIN_ENTRIES)
        if place < len(natural):
            end = min(end, natural[place])
        if id_bytes[end] - id_bytes[start] > BLOCK_MAX_ID_BYTES:
            end = int(np.searchsorted(id_bytes, id_bytes[start] + BLOCK_MAX_ID_BYTES))
        ends.append(end)
        start = end
    return np.array(ends, np.int64)


def _cut_parts(marks: npt.NDArray[np.uint32], id_bytes: Ints, blocks: Ints) -> Ints:
    closing = marks[blocks - 1] < _PART_MARK
    ends: list[int] = []
    start = 0
    for place, (end, closes) in enumerate(zip(blocks.tolist(), closing.tolist(), strict=True)):
        part_bytes = int(id_bytes[end] - id_bytes[start])
        if _ends_part(end - start, part_bytes, closing=closes) or end == len(marks):
            ends.append(place + 1)
            start = end
    return np.array(ends, np.int64)


def _ends_part(entries: int, id_bytes: int, *, closing: bool) -> bool:
    """Whether a part ends at a block after which it has these totals."""
    if entries > PART_MAX_ENTRIES - BLOCK_MAX_ENTRIES or id_bytes >= PART_MAX_ID_BYTES:
        return True
    return closing and entries >= PART_MIN_ENTRIES
