"""Columns of entries: taking, comparing and sorting their rows; nulls and constants without memory.

Entries of a large version are many chunks, most of them mapped part files. Nothing here puts the
chunks of a whole column together, which Arrow's own functions do for every row that is asked for.
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

RowNumbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_RUN = 1 << 16
_MANY = PART_MAX_ENTRIES
_WIDEST = 32  # bytes of a value: a digest
# Never written to, so that the system gives all its pages the same memory.
_ZEROS = pa.py_buffer(bytes(_WIDEST * _MANY))


def take_rows(entries: pa.Table, rows: RowNumbers) -> pa.Table:
    """`entries` at `rows`, in that order; a row of -1 gives nulls.

    Rows that follow one another are not copied. Columns without a value are not looked at: they may
    be mapped pages.
    """
    if _follow(rows):
        return entries.slice(int(rows[0]), len(rows))
    said = [
        name
        for name, column in zip(entries.column_names, entries.columns, strict=True)
        if column.null_count < len(column)
    ]
    taken = _gathered(entries.select(said), rows) if said else None
    columns = [
        taken.column(field.name)
        if taken is not None and field.name in said
        else chunked_nulls(field.type, len(rows))
        for field in entries.schema
    ]
    return pa.table(columns, entries.schema)


def reorder(entries: pa.Table, order: RowNumbers) -> pa.Table:
    """All of `entries`, in the order of these rows."""
    runs = [take_rows(entries, order[at : at + _RUN]) for at in range(0, len(order), _RUN)]
    return pa.concat_tables(runs)


def take_entries(entries: pa.Table, rows: RowNumbers) -> pa.Table:
    """As `take_rows`, with dictionaries decoded to texts."""
    taken = take_rows(entries, rows)
    return pa.table({name: without_dictionary(taken.column(name)) for name in taken.column_names})


def take(entries: pa.Table, name: str, rows: RowNumbers) -> pa.Array:
    """One column of `entries` at `rows`, whole and decoded; -1 gives null."""
    return whole(take_entries(entries.select([name]), rows).column(name))


def without_dictionary(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """`column` with dictionaries decoded."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


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
    """Small tables, at least one, as one whose columns are whole; those without a value stay as
    they are, which may be mapped pages that nobody has touched."""
    table = pa.concat_tables(tables).unify_dictionaries()
    columns = [
        column if column.null_count == len(column) else column.combine_chunks()
        for column in table.columns
    ]
    return pa.table(columns, table.schema)


def unequal(a: pa.ChunkedArray | pa.Array, b: pa.ChunkedArray | pa.Array) -> Mask:
    """Where two columns of one type differ; null is equal to null, and to nothing else.

    Dictionaries are decoded only where they are not the same.
    """
    if a.null_count == b.null_count == len(a):
        return np.zeros(len(a), np.bool_)
    a, b = whole(a), whole(b)
    if pa.types.is_dictionary(a.type):
        if a.dictionary.equals(b.dictionary):
            return _differ(a.indices, b.indices)
        a, b = without_dictionary(a), without_dictionary(b)
    return _differ(a, b)


def _differ(a: pa.Array, b: pa.Array) -> Mask:
    if pa.types.is_list(a.type):
        pairs = zip(a.to_pylist(), b.to_pylist(), strict=True)
        return np.fromiter((x != y for x, y in pairs), np.bool_, len(a))
    if not a.null_count and not b.null_count:
        return ~np.asarray(pc.equal(a, b).to_numpy(zero_copy_only=False), np.bool_)
    both_null = pc.and_(a.is_null(), b.is_null())
    same = pc.or_(pc.fill_null(pc.equal(a, b), False), both_null)
    return ~np.asarray(same.to_numpy(zero_copy_only=False), np.bool_)


def claim_keys(content: pa.Array, label: pa.Array, label_digest: pa.Array) -> pa.Array:
    """One value for each content with its label, equal where both are."""
    said = pc.coalesce(
        # An empty label is not the same as none.
        pc.binary_join_element_wise(b"=", label.cast(pa.binary()), b""),
        pc.binary_join_element_wise(b"#", label_digest.cast(pa.binary()), b""),
        pa.scalar(b"", pa.binary()),
    )
    return pc.binary_join_element_wise(content.cast(pa.binary()), said, b"")


def _follow(rows: RowNumbers) -> bool:
    """Whether each of `rows` is the one after that before it."""
    return bool(
        len(rows)
        and rows[0] >= 0
        and rows[-1] - rows[0] == len(rows) - 1
        and (np.diff(rows) == 1).all()
    )


def _gathered(entries: pa.Table, rows: RowNumbers) -> pa.Table:
    """The rows, taken from one batch after another and then put in order."""
    order = np.argsort(rows)
    without = np.count_nonzero(rows < 0)
    ascending = rows[order[without:]]
    taken = []
    start = 0
    for batch in entries.to_batches():
        first, last = np.searchsorted(ascending, (start, start + batch.num_rows)).tolist()
        if first < last:
            taken.append(batch.take(pa.array(ascending[first:last] - start)))
        start += batch.num_rows
    concatenated = (
        pa.Table.from_batches(taken, entries.schema).unify_dictionaries().combine_chunks()
    )
    if not without and (order[:-1] < order[1:]).all():
        return concatenated
    places = np.empty(len(rows), np.int64)
    places[order] = np.arange(len(rows)) - without
    return concatenated.take(pa.array(places, mask=rows < 0))


def nulls(type_: pa.DataType, count: int) -> pa.Array:
    """`count` nulls; as many as a part has entries take no room."""
    return _many(type_).slice(0, count) if count <= _MANY else pa.nulls(count, type_)


def chunked_nulls(type_: pa.DataType, count: int) -> pa.ChunkedArray:
    """`count` nulls, however many, that take no room."""
    whole, rest = divmod(count, _MANY)
    return pa.chunked_array([*[_many(type_)] * whole, nulls(type_, rest)], type_)


def constant_column(text: str, count: int) -> pa.DictionaryArray:
    """`text` for each of `count` entries, no more than a part has, in no room but its own."""
    indices = pa.Array.from_buffers(pa.int32(), count, [None, _ZEROS])
    return pa.DictionaryArray.from_arrays(indices, [text])


@lru_cache(maxsize=32)
def _many(type_: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(type_):
        indices, texts = _many(type_.index_type), pa.array([], type_.value_type)
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
    # Nearly all ids are printable ASCII, which can be seen in a tenth of the expression's time.
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
    skipped = _in_common(ids)
    words = np.concatenate([_words(chunk, skipped) for chunk in ids.chunks if len(chunk)])
    table = pa.table({"id": ids})
    return sort_by_prefix(words, lambda rows: take_rows(table, rows).column("id"))


def sort_by_prefix(
    words: npt.NDArray[np.uint64], texts: Callable[[RowNumbers], pa.ChunkedArray]
) -> RowNumbers:
    """The rows in the order of their texts, of which each has eight bytes in `words`.

    Numbers are sorted several times as fast as texts, and eight bytes from where texts begin to
    differ tell most digests and counters apart. Only of rows alike in them `texts` are asked for.
    """
    order = np.argsort(words)
    words = words[order]
    alike = words[1:] == words[:-1]
    places = np.flatnonzero(np.append(alike, False) | np.insert(alike, 0, False))
    if not len(places):
        return order
    if 2 * len(places) > len(order):
        sorted_as_texts: RowNumbers = pc.sort_indices(texts(np.arange(len(order)))).to_numpy()
        return sorted_as_texts.view(np.int64)
    rows = order[places]
    order[places] = rows[pc.sort_indices(texts(rows)).to_numpy()]
    return order


def _in_common(ids: pa.ChunkedArray) -> int:
    """How many bytes all ids begin with alike."""
    bounds = pc.min_max(ids)
    first, last = (bounds[name].as_py().encode() for name in ("min", "max"))
    pairs = enumerate(zip(first, last, strict=False))
    return next((at for at, (a, b) in pairs if a != b), len(first))


def _words(ids: pa.Array, skipped: int) -> npt.NDArray[np.uint64]:
    """The eight bytes of each id after those `skipped`, zeros where it ends, as a number."""
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
    """Timestamps without a zone as RFC 3339 has them, with as many digits as are needed."""
    text = pc.replace_substring(times.cast(pa.string()), " ", "T")
    text = pc.replace_substring_regex(text, r"(\.[0-9]*[1-9])0+\z", r"\1")
    return pc.replace_substring_regex(text, r"\.0+\z", "")


def format_utc_times(times: pa.Array) -> pa.Array:
    """Timestamps of UTC as RFC 3339 has them: 2026-01-31T12:00:00Z."""
    naive = times.cast(pa.timestamp(times.type.unit))
    return pc.binary_join_element_wise(format_times(naive), "Z", "")
