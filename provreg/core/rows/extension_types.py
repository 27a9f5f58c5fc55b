"""Extension types taken as what they are stored as, wherever they stand.

Which of them Arrow knows depends on what the process has imported; what is stored does not.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from provreg.core.rows.column import MAX_DEPTH


def stored_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """`batch`, the very same buffers, without extension types; with its schema's metadata."""
    if not any(_extends(field.type) for field in batch.schema):
        return batch
    return pa.record_batch(_Seen(batch, stored_schema(batch.schema)))


def stored_schema(schema: pa.Schema) -> pa.Schema:
    """The schema that `stored_batch` gives."""
    return pa.schema([_stored_field(field) for field in schema], schema.metadata)


class _Seen:
    """Buffers as Arrow's C data interface hands them on, but said to be of the type `seen`.

    The layout of an extension type is that of its storage.
    """

    def __init__(self, batch: pa.RecordBatch, seen: pa.Schema) -> None:
        self._batch = batch
        self._seen = seen

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[Any, Any]:
        return self._seen.__arrow_c_schema__(), self._batch.__arrow_c_array__()[1]


def _extends(arrow: pa.DataType, depth: int = 1) -> bool:
    """Whether an extension type stands in `arrow`, as far down as types may be nested."""
    if isinstance(arrow, pa.BaseExtensionType):
        return True
    if pa.types.is_dictionary(arrow):
        return _extends(arrow.value_type, depth)
    below = range(arrow.num_fields if depth <= MAX_DEPTH else 0)
    return any(_extends(arrow.field(number).type, depth + 1) for number in below)


def _stored_field(field: pa.Field) -> pa.Field:
    return field.with_type(_stored(field.type))


def _stored(arrow: pa.DataType) -> pa.DataType:
    """`arrow` without extension types."""
    while isinstance(arrow, pa.BaseExtensionType):
        arrow = arrow.storage_type
    if not _extends(arrow):
        return arrow
    kinds = pa.types
    if kinds.is_dictionary(arrow):
        return pa.dictionary(arrow.index_type, _stored(arrow.value_type), arrow.ordered)
    if kinds.is_map(arrow):
        key, value = (_stored_field(field) for field in (arrow.key_field, arrow.item_field))
        return pa.map_(key, value, arrow.keys_sorted)
    fields = [_stored_field(arrow.field(number)) for number in range(arrow.num_fields)]
    if kinds.is_struct(arrow):
        return pa.struct(fields)
    # Others that have something below (unions …) are refused by their name.
    for test, made in _LISTS:
        if test(arrow):
            return made(arrow, fields[0])
    return arrow


_LISTS: tuple[tuple[Any, Any], ...] = (
    (pa.types.is_list, lambda _, field: pa.list_(field)),
    (pa.types.is_large_list, lambda _, field: pa.large_list(field)),
    (pa.types.is_list_view, lambda _, field: pa.list_view(field)),
    (pa.types.is_large_list_view, lambda _, field: pa.large_list_view(field)),
    (pa.types.is_fixed_size_list, lambda arrow, field: pa.list_(field, arrow.list_size)),
)
