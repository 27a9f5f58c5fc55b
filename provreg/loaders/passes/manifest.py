"""The signed manifest as loaders use it: mapped, looked up by row, shared by processes.

Nothing is copied: rows are read from the mapped parts of the private cache, whose pages all
processes of this user share. It pickles into a few hundred bytes, however many samples there are,
because the cache has the parts under the head's digest.
"""

from __future__ import annotations

import gc
import os
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import quoted
from provreg.core.manifest.head import Head, PartRef
from provreg.errors import StorageError
from provreg.store.private.checked import CheckedHeads
from provreg.store.private.mapped_parts import MappedParts


class SignedManifest:
    """The entries of the version whose head has the digest `head`, by row in order of their ids.

    `classes` are in the order of their indices, by default those of the head. The version must have
    been verified on this machine by this user. Raises StorageError if the cache lacks it.
    """

    def __init__(
        self,
        parts: MappedParts,
        checked: CheckedHeads,
        head: str,
        classes: tuple[str, ...] | None = None,
    ) -> None:
        self.digest = head
        self._chosen_classes = classes
        self._parts = parts
        self._checked = checked
        self._process = os.getpid()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._parts, self._checked, self.digest, self._chosen_classes)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.head.classes if self._chosen_classes is None else self._chosen_classes

    @cached_property
    def head(self) -> Head:
        head = self._checked.get(self.digest)
        if head is None:
            raise _not_cached(self.digest)
        return head

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(part.rows for part in self.head.parts))

    @cached_property
    def _opened(self) -> list[MappedPart | None]:
        return [None] * len(self.head.parts)

    def __len__(self) -> int:
        return self.head.samples

    def __getitem__(self, row: int) -> Entry:
        """The entry at `row`, 0 to `len` - 1."""
        number = bisect_right(self._ends, row)
        part = self._opened[number] or self._open(number)
        return Entry(part, row - self._ends[number] + part.rows)

    def ids(self, rows: npt.NDArray[np.integer[Any]]) -> list[str]:
        """The ids of the entries at `rows`. Opens no part: workers do that, once forked."""
        ids: list[str] = self.table().column("id").take(pa.array(rows)).to_pylist()
        return ids

    def _open(self, number: int) -> MappedPart:
        if self._process != os.getpid():
            # A forked worker: a collection would touch, and so copy, all inherited pages.
            gc.freeze()
            self._process = os.getpid()
        part = MappedPart(self._table(self.head.parts[number]), self.classes)
        self._opened[number] = part
        return part

    def table(self) -> pa.Table:
        """All entries (schema `entry.ENTRY`), in the order of their ids; mapped, not copied."""
        return pa.concat_tables(map(self._table, self.head.parts))

    def _table(self, part: PartRef) -> pa.Table:
        entries = self._parts.get(part)
        if entries is None:
            raise _not_cached(self.digest)
        return entries


class MappedPart:
    """One part's columns as views of the mapped file: a value costs a tenth of a microsecond.

    `class_index` returns a label's index in `classes`, -1 without one.
    """

    def __init__(self, entries: pa.Table, classes: Sequence[str]) -> None:
        columns = {name: entries.column(name).chunk(0) for name in entries.column_names}
        self.rows = entries.num_rows
        self.id = _Texts(columns["id"]).at
        self.content = _Digests(columns["content"]).at
        self.size = memoryview(columns["size"].buffers()[1]).cast("Q").__getitem__
        self.label = _Names(columns["label"]).at
        self.class_index = _Indices(columns["label"], classes).at
        self.label_digest = _Digests(columns["label_digest"]).find
        self.source = _Names(columns["source"]).text
        self.labeler = _Names(columns["labeler"]).at
        self.split = _Names(columns["split"]).at


class Entry:
    """The signed fields of one sample that loaders deliver or check.

    `content` is the BLAKE3 digest of its payload and `size` the payload's bytes. Other fields are
    looked up on access.
    """

    __slots__ = ("_at", "_part", "content", "id", "size")

    def __init__(self, part: MappedPart, at: int) -> None:
        self._part = part
        self._at = at
        self.id: str = part.id(at)
        self.content: bytes = part.content(at)
        self.size: int = part.size(at)

    @property
    def label(self) -> str | None:
        """None also for a long label, which has a `label_digest`."""
        return self._part.label(self._at)

    @property
    def class_index(self) -> int:
        """The label's index in the classes, -1 without one."""
        return self._part.class_index(self._at)

    @property
    def label_digest(self) -> bytes | None:
        return self._part.label_digest(self._at)

    @property
    def source(self) -> str:
        return self._part.source(self._at)

    @property
    def labeler(self) -> str | None:
        return self._part.labeler(self._at)

    @property
    def split(self) -> str | None:
        return self._part.split(self._at)


class _Texts:
    def __init__(self, array: pa.Array) -> None:
        _, offsets, data = array.buffers()
        self._offsets = memoryview(offsets).cast("i")
        self._data = memoryview(data or b"")

    def at(self, row: int) -> str:
        return str(self._data[self._offsets[row] : self._offsets[row + 1]], "utf-8")


class _Digests:
    def __init__(self, array: pa.Array) -> None:
        self._valid = _validity(array)
        self._data = memoryview(array.buffers()[1])

    def at(self, row: int) -> bytes:
        return bytes(self._data[32 * row : 32 * row + 32])

    def find(self, row: int) -> bytes | None:
        return self.at(row) if _is_valid(self._valid, row) else None


class _Names:
    """A dictionary column: few texts, many rows."""

    def __init__(self, array: pa.DictionaryArray) -> None:
        self._valid = _validity(array)
        self._codes = memoryview(array.indices.buffers()[1]).cast("i")
        self._texts = _Texts(array.dictionary)

    def text(self, row: int) -> str:
        return self._texts.at(self._codes[row])

    def at(self, row: int) -> str | None:
        return self.text(row) if _is_valid(self._valid, row) else None


class _Indices:
    """The index in a list of each text of a dictionary column."""

    def __init__(self, array: pa.DictionaryArray, texts: Sequence[str]) -> None:
        self._valid = _validity(array)
        self._codes = memoryview(array.indices.buffers()[1]).cast("i")
        self._index = memoryview(indices(array.dictionary, texts).buffers()[1]).cast("i")

    def at(self, row: int) -> int:
        return self._index[self._codes[row]] if _is_valid(self._valid, row) else -1


def indices(array: pa.Array, texts: Sequence[str]) -> pa.Int32Array:
    """The index in `texts` of each item of `array`, -1 if it is not among them."""
    return pc.index_in(array, value_set=pa.array(texts, pa.string())).fill_null(-1)


def _validity(array: pa.Array) -> memoryview | None:
    """The validity bitmap; None without nulls."""
    return memoryview(array.buffers()[0]).cast("B") if array.null_count else None


def _is_valid(bits: memoryview | None, row: int) -> bool:
    return bits is None or bool(bits[row >> 3] >> (row & 7) & 1)


def _not_cached(head: str) -> StorageError:
    return StorageError(
        f"the verified manifest of {quoted(head)} is no longer in the private cache",
        hint="load the version again on this machine: the cache was emptied, or the loader comes"
        " from another machine",
    )
