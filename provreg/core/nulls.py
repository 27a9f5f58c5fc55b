"""Columns of nothing, which share their memory: most entries have most fields left out."""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa

_MANY = 1 << 16


def nulls(type_: pa.DataType, count: int) -> pa.Array:
    """`count` nulls; up to 65,536 take no room of their own."""
    return _many(type_).slice(0, count) if count <= _MANY else pa.nulls(count, type_)


def chunked_nulls(type_: pa.DataType, count: int) -> pa.ChunkedArray:
    """`count` nulls, however many, that take no room of their own."""
    whole, rest = divmod(count, _MANY)
    return pa.chunked_array([*[_many(type_)] * whole, nulls(type_, rest)], type_)


@lru_cache(maxsize=32)
def _many(type_: pa.DataType) -> pa.Array:
    return pa.nulls(_MANY, type_)
