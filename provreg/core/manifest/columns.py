"""Columns of entries: taking, comparing and sorting their rows; nulls and constants without memory.

Entries of a large version are many chunks, most of them mapped part files. Functions here never
combine the chunks of a whole column, as Arrow's own `take` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from provreg.core.manifest.entry import DIGEST
from provreg.core.manifest.limits import LIMITS, PART_MAX_ENTRIES, UNSAFE_IN_IDS
from provreg.core.rows.row_hash import without_dictionary

RowNumbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_RUN = 1 << 16
_MANY = PART_MAX_ENTRIES
_WIDEST = 32  # bytes of a value: a digest
# Never written to, so all its pages share the same physical memory.
_ZEROS = pa.py_buffer(bytes(_WIDEST * _MANY))


def take_rows(entries: pa.Table, rows: RowNumbers) -> pa.Table:
    """`entries` at `rows`, in that order; a row of -1 gives nulls.

    Consecutive rows are not copied. Columns without a value are not read: they may be mapped pages.
    """
    if _are_consecutive(rows):
        return entries.slice(int(rows[0]), len(rows))
    present = [
        name
        for name, column in zip(entries.column_names, entries.columns, strict=True)
        if column.null_count < len(column)
    ]
    taken = _gather(entries.select(present), rows) if present else None
    columns = [
        taken.column(field.name)
        if taken is not None and field.name in present
        else chunked_nulls(field.type, len(rows))
        for field in entries.schema
    ]
    return pa.table(columns, entries.schema)


def reorder(entries: pa.Table, order: RowNumbers) -> pa.Table:
    """All of `entries`, in the order of the row numbers `order`."""
    runs = [take_rows(entries, order[at : at + _RUN]) for at in range(0, len(order), _RUN)]
    return pa.concat_tables(runs)


def take_entries(entries: pa.Table, rows: RowNumbers) -> pa.Table:
    """As `take_rows`, with decoded dictionaries."""
    taken = take_rows(entries, rows)
    return pa.table({name: without_dictionary(taken.column(name)) for name in taken.column_names})


def take(entries: pa.Table, name: str, rows: RowNumbers) -> pa.Array:
    """A column of `entries` at `rows`, as one decoded array; -1 gives null."""
    return whole(take_entries(entries.select([name]), rows).column(name))


def byte_lengths(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """The number of bytes of each text, null for null; dictionaries are not decoded."""
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([byte_lengths(chunk) for chunk in column.chunks], pa.int32())
    if pa.types.is_dictionary(column.type):
        return pc.binary_length(column.dictionary).take(column.indices)
    return pc.binary_length(column)


def whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """`column` as one array."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    # Combining copies even a single chunk.
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def combine_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """Small tables, at least one, as one table with a single chunk in each column.

    Columns without a value stay as they are: they may be mapped pages that were never read.
    """
    table = pa.concat_tables(tables).unify_dictionaries()
    columns = [
        column if column.null_count == len(column) else column.combine_chunks()
        for column in table.columns
    ]
    return pa.table(columns, table.schema)


def unequal(a: pa.ChunkedArray | pa.Array, b: pa.ChunkedArray | pa.Array) -> Mask:
    """Where two columns of one type differ; null equals null only.

    Equal dictionaries are not decoded.
    """
    if a.null_count == b.null_count == len(a):
        return np.zeros(len(a), np.bool_)
    a, b = whole(a), whole(b)
    if pa.types.is_dictionary(a.type):
        if a.dictionary.equals(b.dictionary):
            return _differ(a.indices, b.indices)
        a, b = without_dictionary(a), without_dictionary(b)
    return _differ(a, b)


def equal_to(column: pa.ChunkedArray | pa.Array, value: str) -> Mask:
    """Which texts of a column are `value`; null is none. Dictionaries are not decoded."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    masks = [np.empty(0, np.bool_), *(_equal_to(chunk, value) for chunk in chunks)]
    return np.concatenate(masks)


def _equal_to(chunk: pa.Array, value: str) -> Mask:
    if not pa.types.is_dictionary(chunk.type):
        equal = pc.equal(chunk, value)
    else:
        # Of a dictionary that has the value twice every place counts.
        places = pc.indices_nonzero(pc.fill_null(pc.equal(chunk.dictionary, value), False))
        equal = pc.is_in(chunk.indices, value_set=places.cast(chunk.indices.type))
    return np.asarray(pc.fill_null(equal, False).to_numpy(zero_copy_only=False), np.bool_)


def _differ(a: pa.Array, b: pa.Array) -> Mask:
    if pa.types.is_list(a.type):
        return _lists_differ(a, b)
    if pa.types.is_struct(a.type):
        fields = range(a.type.num_fields)
        masks = [_differ(pc.struct_field(a, [at]), pc.struct_field(b, [at])) for at in fields]
        return np.asarray(np.logical_or.reduce(masks), np.bool_)
    if not a.null_count and not b.null_count:
        return ~np.asarray(pc.equal(a, b).to_numpy(zero_copy_only=False), np.bool_)
    both_null = pc.and_(a.is_null(), b.is_null())
    same = pc.or_(pc.fill_null(pc.equal(a, b), False), both_null)
    return ~np.asarray(same.to_numpy(zero_copy_only=False), np.bool_)


def _lists_differ(a: pa.Array, b: pa.Array) -> Mask:
    """Where two lists have another length, or other items."""
    lengths, others = (pc.fill_null(pc.list_value_length(lists), -1).to_numpy() for lists in (a, b))
    differ = lengths != others
    alike = np.flatnonzero(~differ & (lengths > 0))
    if len(alike):
        rows = pa.array(alike)
        items = _differ(a.take(rows).flatten(), b.take(rows).flatten())
        differ[np.repeat(alike, lengths[alike])[items]] = True
    return np.asarray(differ, np.bool_)


def claim_keys(content: pa.Array, label: pa.Array, label_digest: pa.Array) -> pa.Array:
    """A key for each content with its label: keys are equal where both are."""
    label_key = pc.coalesce(
        # An empty label differs from no label.
        pc.binary_join_element_wise(b"=", label.cast(pa.binary()), b""),
        pc.binary_join_element_wise(b"#", label_digest.cast(pa.binary()), b""),
        pa.scalar(b"", pa.binary()),
    )
    return pc.binary_join_element_wise(content.cast(pa.binary()), label_key, b"")


def _are_consecutive(rows: RowNumbers) -> bool:
    """Whether each row number is one more than the previous one."""
    return bool(
        len(rows)
        and rows[0] >= 0
        and rows[-1] - rows[0] == len(rows) - 1
        and (np.diff(rows) == 1).all()
    )


def _gather(entries: pa.Table, rows: RowNumbers) -> pa.Table:
    """The rows, taken batch by batch and then put in order."""
    order = np.argsort(rows)
    missing = np.count_nonzero(rows < 0)
    ascending = rows[order[missing:]]
    taken = []
    start = 0
    for batch in entries.to_batches():
        first, last = np.searchsorted(ascending, (start, start + batch.num_rows)).tolist()
        if first < last:
            taken.append(batch.take(pa.array(ascending[first:last] - start)))
        start += batch.num_rows
    gathered = pa.Table.from_batches(taken, entries.schema).unify_dictionaries().combine_chunks()
    if not missing and (order[:-1] < order[1:]).all():
        return gathered
    places = np.empty(len(rows), np.int64)
    places[order] = np.arange(len(rows)) - missing
    return gathered.take(pa.array(places, mask=rows < 0))


def nulls(type_: pa.DataType, count: int) -> pa.Array:
    """`count` nulls; up to a part's entries they take no memory."""
    return _nulls_of_part(type_).slice(0, count) if count <= _MANY else pa.nulls(count, type_)


def chunked_nulls(type_: pa.DataType, count: int) -> pa.ChunkedArray:
    """`count` nulls that take no memory."""
    whole, rest = divmod(count, _MANY)
    return pa.chunked_array([*[_nulls_of_part(type_)] * whole, nulls(type_, rest)], type_)


def constant_column(text: str, count: int) -> pa.DictionaryArray:
    """`text` for each of `count` entries, at most a part's, in the memory of one text."""
    indices = pa.Array.from_buffers(pa.int32(), count, [None, _ZEROS])
    return pa.DictionaryArray.from_arrays(indices, [text])


@lru_cache(maxsize=32)
def _nulls_of_part(type_: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(type_):
        indices, texts = _nulls_of_part(type_.index_type), pa.array([], type_.value_type)
        return pa.DictionaryArray.from_arrays(indices, texts, safe=False)
    children = None
    if pa.types.is_list(type_):
        children = [pa.array([], type_.value_type)]
    elif pa.types.is_fixed_size_binary(type_):
        if type_.byte_width > _WIDEST:
            return pa.nulls(_MANY, type_)
    elif not (pa.types.is_primitive(type_) or type_ in (pa.string(), pa.binary())):
        return pa.nulls(_MANY, type_)
    buffers = [_ZEROS, _ZEROS, _ZEROS][: type_.num_buffers]
    return pa.Array.from_buffers(type_, _MANY, buffers, _MANY, children=children)


def unsafe_ids(ids: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Where `ids` (text) hold a control or bidirectional character."""
    # Nearly all ids are printable ASCII, which is tested in a tenth of the time.
    printable = pc.ascii_is_printable(ids)
    if pc.all(printable).as_py():
        return pc.invert(printable)
    return pc.match_substring_regex(ids, UNSAFE_IN_IDS)


def split_long_labels(labels: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """(label, label_digest): labels over 1,024 bytes are replaced by the BLAKE3 of their text."""
    texts = whole(labels)
    long = pc.fill_null(pc.greater(pc.binary_length(texts), LIMITS["label"]), False)
    if not pc.any(long).as_py():
        return texts, nulls(DIGEST, len(texts))
    digests = [
        blake3(label.encode()).digest() if is_long else None
        for label, is_long in zip(texts.to_pylist(), long.to_pylist(), strict=True)
    ]
    return pc.if_else(long, pa.scalar(None, pa.string()), texts), pa.array(digests, DIGEST)


def ascending(ids: pa.ChunkedArray) -> RowNumbers:
    """The rows of `ids`, texts without nulls, in the order of their bytes."""
    if not len(ids):
        return np.empty(0, np.int64)
    skipped = _common_prefix_bytes(ids)
    words = np.concatenate([_words(chunk, skipped) for chunk in ids.chunks if len(chunk)])
    table = pa.table({"id": ids})
    return sort_by_prefix(words, lambda rows: take_rows(table, rows).column("id"))


def sort_by_prefix(
    words: npt.NDArray[np.uint64], texts: Callable[[RowNumbers], pa.ChunkedArray]
) -> RowNumbers:
    """The rows in the order of their texts; `words` has eight bytes of each text.

    Numbers sort several times faster than texts, and eight bytes from the first difference on
    distinguish most digests and counters. `texts` is called only for rows with equal words.
    """
    order = np.argsort(words)
    words = words[order]
    equal = words[1:] == words[:-1]
    places = np.flatnonzero(np.append(equal, False) | np.insert(equal, 0, False))
    if not len(places):
        return order
    if 2 * len(places) > len(order):
        sorted_as_texts: RowNumbers = pc.sort_indices(texts(np.arange(len(order)))).to_numpy()
        return sorted_as_texts.view(np.int64)
    rows = order[places]
    order[places] = rows[pc.sort_indices(texts(rows)).to_numpy()]
    return order


def _common_prefix_bytes(ids: pa.ChunkedArray) -> int:
    """The length of the prefix that all ids share, in bytes."""
    bounds = pc.min_max(ids)
    first, last = (bounds[name].as_py().encode() for name in ("min", "max"))
    pairs = enumerate(zip(first, last, strict=False))
    return next((at for at, (a, b) in pairs if a != b), len(first))


def _words(ids: pa.Array, skipped: int) -> npt.NDArray[np.uint64]:
    """The eight bytes of each id after the first `skipped`, padded with zeros, as a number."""
    _, offsets, data = ids.buffers()
    ends = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1]
    written = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
    padded = np.concatenate([written, np.zeros(8, np.uint8)])
    starts = ends[:-1] - ends[0] + skipped
    eight = padded[starts[:, None] + np.arange(8)].view(">u8")[:, 0].astype(np.uint64)
    missing = 8 * (8 - np.clip(np.diff(ends) - skipped, 0, 8)).astype(np.uint64)
    words: npt.NDArray[np.uint64] = eight >> missing << missing
    return words


def format_times(times: pa.Array) -> pa.Array:
    """Timestamps without a zone as in RFC 3339, with as many digits as needed; any year."""
    text = pc.replace_substring(times.cast(pa.string()), " ", "T")
    text = pc.replace_substring_regex(text, r"(\.[0-9]*[1-9])0+\z", r"\1")
    return pc.replace_substring_regex(text, r"\.0+\z", "")


def format_utc_times(times: pa.Array) -> pa.Array:
    """Timestamps in UTC as in RFC 3339: 2026-01-31T12:00:00Z."""
    naive = times.cast(pa.timestamp(times.type.unit))
    return pc.binary_join_element_wise(format_times(naive), "Z", "")
