"""Columns of entries: rows of them taken, compared, and their dictionaries decoded.

Entries of a large version are many chunks, most of them mapped part files. Nothing here puts the
chunks of a whole column together, which Arrow's own functions do for every row that is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.manifest.nulls import chunked_nulls

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_RUN = 1 << 16


def take_rows(entries: pa.Table, rows: Rows) -> pa.Table:
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


def rearranged(entries: pa.Table, order: Rows) -> pa.Table:
    """All of `entries`, in the order of these rows."""
    runs = [take_rows(entries, order[at : at + _RUN]) for at in range(0, len(order), _RUN)]
    return pa.concat_tables(runs)


def take_entries(entries: pa.Table, rows: Rows) -> pa.Table:
    """As `take_rows`, with dictionaries decoded to texts."""
    taken = take_rows(entries, rows)
    return pa.table({name: without_dictionary(taken.column(name)) for name in taken.column_names})


def take(entries: pa.Table, name: str, rows: Rows) -> pa.Array:
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


def concatenated(tables: Sequence[pa.Table]) -> pa.Table:
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


def _follow(rows: Rows) -> bool:
    """Whether each of `rows` is the one after that before it."""
    return bool(
        len(rows)
        and rows[0] >= 0
        and rows[-1] - rows[0] == len(rows) - 1
        and (np.diff(rows) == 1).all()
    )


def _gathered(entries: pa.Table, rows: Rows) -> pa.Table:
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
