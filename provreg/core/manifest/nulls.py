"""Columns of nothing or one text, in no memory of their own: most entries leave most fields out."""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa

from provreg.core.manifest.root import PART_MAX_ENTRIES

_MANY = PART_MAX_ENTRIES
_WIDEST = 32  # bytes of a value: a digest
# Never written to, so that the system gives all its pages the same memory.
_ZEROS = pa.py_buffer(bytes(_WIDEST * _MANY))


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
