"""Rows to samples: who they are, what they are labeled, what their content hashes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.canonical import format_number
from provreg.core.encoding.text import quoted
from provreg.core.manifest.columns import (
    RowNumbers,
    combine_tables,
    nulls,
    reorder,
    sort_by_prefix,
    take_rows,
    unsafe_ids,
)
from provreg.core.manifest.entry import SAMPLE, TIMESTAMP
from provreg.core.manifest.limits import LIMITS
from provreg.core.rows.column import BOOL, FILE, INT, TEXT, LogicalType
from provreg.core.rows.row import hash_rows
from provreg.core.rows.row_hash import iter_value_bytes
from provreg.errors import InputError
from provreg.readers.data_files.source_file import ValueMismatchError
from provreg.readers.tables.times import moments_of, splits_at, timed_ids, times_of, written_in_ids

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from provreg.core.rows.column import Column
    from provreg.readers.tables.options import TableOptions

# (contents, sizes) of the rows of a batch with these payload columns.
HashRows: TypeAlias = (
    "Callable[[pa.RecordBatch, tuple[Column, ...]], tuple[pa.FixedSizeBinaryArray, pa.UInt64Array]]"
)

_LIMITED = ("split", "source", "labeler")
_REMAINING = ("label", "split", "source", "labeler", "labeled_at")
_PREFIX = np.frombuffer(b"blake3:", np.uint8)
_WRITTEN = len(_PREFIX) + 64
_ROWS = 1 << 16


def samples_of(
    batch: pa.RecordBatch, options: TableOptions, hash_: HashRows = hash_rows
) -> pa.RecordBatch:
    """The samples that the rows of `batch` are, a batch of the schema SAMPLE, in the same order.

    Their ids are null where no column holds ids; `hash_` gives contents and sizes. Raises
    ValueMismatchError.
    """
    types = {column.name: column.type for column in options.columns or ()}
    content, size = hash_(batch, options.payload_columns())
    arrays: dict[str, pa.Array] = {"content": content, "size": size}
    for role, name in options.roles().items():
        column = batch.column(name)
        if types[name] == FILE and pa.types.is_struct(column.type):
            column = column.field("path")
        try:
            if types[name] == FILE:
                _refuse_first(
                    pc.starts_with(column, "./"), "an id that names a file begins with ./"
                )
            if role == "labeled_at":
                arrays[role] = moments_of(column, types[name]).cast(TIMESTAMP)
            else:
                arrays[role] = texts_of(column, types[name])
            if types[name] == FILE and options.id_prefix:
                arrays[role] = pc.binary_join_element_wise(options.id_prefix, arrays[role], "")
            _check(role, arrays[role])
        except ValueMismatchError as misfit:
            complaint = f"column {quoted(name)}: {misfit.complaint}"
            raise ValueMismatchError(complaint, row=misfit.row, hint=misfit.hint) from None
    if options.time is not None:
        arrays |= _timed(batch.column(options.time), types[options.time], options, arrays.get("id"))
    rows = batch.num_rows
    return pa.RecordBatch.from_arrays(
        [arrays.get(field.name, nulls(field.type, rows)) for field in SAMPLE], schema=SAMPLE
    )


def _timed(
    column: pa.Array, logical: LogicalType, options: TableOptions, keys: pa.Array | None
) -> dict[str, pa.Array]:
    """The ids of rows that have a time, and their splits where time says them."""
    try:
        times = times_of(column, logical)
        ids = timed_ids(keys, written_in_ids(times, logical))
        _check("id", ids)
    except ValueMismatchError as misfit:
        complaint = f"column {quoted(options.time or '')}: {misfit.complaint}"
        raise ValueMismatchError(complaint, row=misfit.row, hint=misfit.hint) from None
    if not options.split_at:
        return {"id": ids}
    return {"id": ids, "split": splits_at(times, options.split_at)}


def texts_of(array: pa.Array, logical: LogicalType) -> pa.Array:
    """Text as it is, integers in decimal, true or false, floats as `canonical.format_number`.

    The width of floats does not matter: equal numbers give equal texts. Raises ValueMismatchError
    for NaN and infinities.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if logical in (TEXT, INT, BOOL, FILE):
        return array.cast(pa.string())
    distinct = array.dictionary_encode()
    numbers = distinct.dictionary.cast(pa.float64())
    finite = pc.is_finite(numbers)
    if not pc.all(finite, min_count=0).as_py():
        row = pc.index(finite.take(distinct.indices), pa.scalar(False)).as_py()
        hint = "use null for missing labels, or make the column text"
        raise ValueMismatchError("NaN and infinities are no labels", row=row, hint=hint)
    words = [format_number(number) for number in numbers.to_pylist()]
    return pa.array(words, pa.string()).take(distinct.indices)


def _check(role: str, array: pa.Array) -> None:
    if role == "id":
        _refuse_first(array.is_null(), "the row has no id")
        _refuse_first(pc.equal(pc.binary_length(array), 0), "the id is empty")
        _refuse_first(unsafe_ids(array), "the id holds control or bidirectional characters")
    if role == "id" or role in _LIMITED:
        limit = LIMITS[role]
        too_long = pc.greater(pc.binary_length(array), limit)
        _refuse_first(too_long, f"the {role} is longer than {limit} bytes")


def _refuse_first(refused: pa.Array, complaint: str) -> None:
    row = pc.index(refused, pa.scalar(True)).as_py()
    if row >= 0:
        raise ValueMismatchError(complaint, row=row)


def content_ids(content: pa.Array) -> pa.Array:
    """`blake3:<hex>` of every digest, an Arrow string array."""
    digests = _raw(content)
    written = np.empty((len(content), _WRITTEN), np.uint8)
    written[:, : len(_PREFIX)] = _PREFIX
    hexadecimal = np.frombuffer(digests.tobytes().hex().encode(), np.uint8)
    written[:, len(_PREFIX) :] = hexadecimal.reshape(len(content), 64)
    offsets = np.arange(len(content) + 1, dtype=np.int32) * _WRITTEN
    return pa.StringArray.from_buffers(len(content), pa.py_buffer(offsets), pa.py_buffer(written))


def numbered_ids(samples: pa.Table) -> pa.ChunkedArray:
    """Ids for samples without any: their content digests, repeats as `#2`, `#3` …

    Repeats are numbered in the order of their remaining fields: label, split, source, labeler,
    labeled_at; texts by their bytes, null last. Whose fields are all equal are the same sample
    several times, so that nothing depends on the order of rows. In the order of `samples`.
    """
    # Repeats are rare: only rows whose first 8 bytes occur again are compared as a whole.
    return _numbered(samples["content"], _ranks(samples, _standing_again(_heads(samples))))


def with_numbered_ids(samples: pa.Table) -> pa.Table:
    """`samples`, which have no ids, with their `numbered_ids`, and in the order of these.

    They are sorted before they have them: ids are longer than all else that is known of most.
    """
    ranks = np.zeros(samples.num_rows, np.int64)

    def ids(rows: RowNumbers) -> pa.ChunkedArray:
        ranks[:] = _ranks(samples, rows)
        return _numbered(take_rows(samples, rows)["content"], ranks[rows])

    order = sort_by_prefix(_heads(samples), ids)
    # Whoever gave them away has them no more: they need not be in memory twice and with ids.
    samples = reorder(samples, order)
    return samples.set_column(0, SAMPLE.field("id"), _numbered(samples["content"], ranks[order]))


def _numbered(content: pa.ChunkedArray, ranks: npt.NDArray[np.int64]) -> pa.ChunkedArray:
    suffixes = pa.array(["", *(f"#{number}" for number in range(2, int(ranks.max()) + 2))])
    ids = []
    start = 0
    for chunk in content.chunks:
        suffix = suffixes.take(pa.array(ranks[start : start + len(chunk)]))
        ids.append(pc.binary_join_element_wise(content_ids(chunk), suffix, ""))
        start += len(chunk)
    return pa.chunked_array(ids, pa.string())


def _ranks(samples: pa.Table, rows: RowNumbers) -> npt.NDArray[np.int64]:
    """How many samples of the same content come before each one; all that have others are among
    `rows`."""
    rank = np.zeros(samples.num_rows, np.int64)
    if len(rows) == 0:
        return rank
    repeated = take_rows(samples.select(["content", *_REMAINING]), rows)
    keys = [(name, "ascending") for name in ("content", *_REMAINING)]  # nulls last
    sorting = pc.sort_indices(repeated, sort_keys=keys).to_numpy()
    content = _raw(repeated["content"].combine_chunks())[sorting]
    begins = np.concatenate(([True], (content[1:] != content[:-1]).any(axis=1)))
    places = np.arange(len(sorting))
    rank[rows[sorting]] = places - np.maximum.accumulate(np.where(begins, places, 0))
    return rank


def _heads(samples: pa.Table) -> npt.NDArray[np.uint64]:
    """The first 8 bytes of each content, as numbers in the same order."""
    heads = [_raw(chunk)[:, :8].copy().view(">u8")[:, 0] for chunk in samples["content"].chunks]
    return np.concatenate(heads).astype(np.uint64)


def _standing_again(values: npt.NDArray[np.unsignedinteger[Any]]) -> RowNumbers:
    """The rows whose value other rows have too."""
    ascending = np.sort(values)
    return np.flatnonzero(np.isin(values, ascending[1:][ascending[1:] == ascending[:-1]]))


def _raw(content: pa.Array) -> npt.NDArray[np.uint8]:
    """(rows, 32) bytes."""
    data = np.frombuffer(content.buffers()[1], np.uint8)
    return data[content.offset * 32 : (content.offset + len(content)) * 32].reshape(-1, 32)


def check_unique(ids: pa.ChunkedArray, places: list[tuple[str, int]]) -> None:
    """Raises InputError naming the first repeated id and its first two places.

    `places` are the files, as shown in messages, and their numbers of rows, in the order of `ids`.
    """
    ascending = pc.all(pc.less(ids.slice(0, max(0, len(ids) - 1)), ids.slice(1))).as_py()
    # Most tables are in order, and to see that takes a thirtieth of the time.
    if ascending:
        return
    checksums = [
        np.fromiter(map(crc32, iter_value_bytes(chunk)), np.uint32) for chunk in ids.chunks
    ]
    # Two ids in two billion have the same by chance: only those are compared as a whole.
    alike = ids.take(pa.array(_standing_again(np.concatenate(checksums))))
    counted = pc.value_counts(alike)
    repeated = counted.field("counts").to_numpy() > 1
    if not repeated.any():
        return
    value = counted.field("values")[int(np.argmax(repeated))]
    first, second = pc.indices_nonzero(pc.equal(ids, value)).to_pylist()[:2]
    raise InputError(
        f"the id {quoted(value.as_py())} is duplicated: {_place(first, places)}"
        f" and {_place(second, places)}",
        hint="ids must be unique: take another column, or none to use content digests",
        sample=value.as_py(),
    )


def _place(row: int, places: list[tuple[str, int]]) -> str:
    for file, rows in places:
        if row < rows:
            return f"{file}, row {row + 1}"
        row -= rows
    raise IndexError(row)


class Chunks:
    """Batches of samples, kept as chunks of some 65,536 rows however small the batches are.

    They are copied into Arrow's memory: batches that came from another process are many pieces of
    Python's, which the system does not get back.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._chunks: list[pa.Table] = []
        self._waiting: list[pa.RecordBatch] = []

    def add(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows
        self._waiting.append(batch)
        if sum(waiting.num_rows for waiting in self._waiting) >= _ROWS:
            self._join()

    def to_table(self) -> pa.Table:
        """All samples that were added, at least one; they are kept no more."""
        self._join()
        chunks, self._chunks = self._chunks, []
        return pa.concat_tables(chunks)

    def _join(self) -> None:
        if self._waiting:
            self._chunks.append(combine_tables([pa.Table.from_batches(self._waiting, SAMPLE)]))
            self._waiting.clear()
