"""Columns of files: names in the data, and what takes their place (docs/format/row.md, "Files").

Data hold the name of a file where a schema has the type `file`. To hash a row, each name becomes a
struct of the name, and the digest and size of the file's bytes; to deliver it, of bytes and name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.rows.column import (
    BINARY,
    FILE,
    TEXT,
    Column,
    List,
    LogicalType,
    Struct,
    has_files,
)

RowNumbers: TypeAlias = "npt.NDArray[np.int64]"


def as_named(logical: LogicalType) -> LogicalType:
    """`logical` as data store it: the name of a file is a text."""
    match logical:
        case List():
            return List(as_named(logical.element))
        case Struct():
            return Struct(tuple(Column(f.name, as_named(f.type)) for f in logical.fields))
    return TEXT if logical == FILE else logical


def with_files(logical: LogicalType, path: tuple[str, ...]) -> LogicalType | None:
    """`logical` with FILE for the texts at `path`, names of fields; None if there are no texts.

    Lists are passed through. Texts of maps cannot name files.
    """
    match logical:
        case List():
            element = with_files(logical.element, path)
            return None if element is None else List(element)
        case Struct() if path:
            found = {field.name: field.type for field in logical.fields}
            inner = with_files(found[path[0]], path[1:]) if path[0] in found else None
            if inner is None:
                return None
            found[path[0]] = inner
            return Struct(tuple(Column(name, kind) for name, kind in found.items()))
    return FILE if not path and logical in (TEXT, FILE) else None


def text_paths(logical: LogicalType) -> Iterator[tuple[str, ...]]:
    """The paths at which `logical` has texts that could name files, as in `with_files`.

    Texts beside binary fields are of these bytes, as in Hugging Face's images.
    """
    yield from _paths(logical, TEXT)


def file_paths(logical: LogicalType) -> Iterator[tuple[str, ...]]:
    """The paths at which `logical` has files."""
    yield from _paths(logical, FILE)


def _paths(logical: LogicalType, wanted: LogicalType) -> Iterator[tuple[str, ...]]:
    match logical:
        case List():
            yield from _paths(logical.element, wanted)
        case Struct() if wanted == FILE or BINARY not in {f.type for f in logical.fields}:
            for field in logical.fields:
                yield from ((field.name, *path) for path in _paths(field.type, wanted))
        case _ if logical == wanted:
            yield ()


def names_in(
    array: pa.Array, logical: LogicalType, rows: RowNumbers | None = None
) -> Iterator[tuple[pa.Array, RowNumbers]]:
    """(names of files in `array`, nulls among them, the row of each).

    `array` has the Arrow type of `as_named(logical)`; `rows` are the rows of its values, by default
    their places.
    """
    if rows is None:
        rows = np.arange(len(array), dtype=np.int64)
    match logical:
        case List() if has_files(logical):
            lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
            yield from names_in(array.flatten(), logical.element, np.repeat(rows, lengths))
        case Struct():
            for field, child in zip(logical.fields, array.flatten(), strict=True):
                yield from names_in(child, field.type, rows)
        case _ if logical == FILE:
            yield array, rows


def replace_names(
    array: pa.Array, logical: LogicalType, file_of: Callable[[pa.Array], pa.Array]
) -> pa.Array:
    """`array`, of the Arrow type of `as_named(logical)`, with `file_of` the names in place of them.

    `file_of` maps an array of names to one of as many structs, null where the name is.
    """
    if not has_files(logical):
        return array
    nulls = array.is_null() if array.null_count else None
    match logical:
        case List():
            elements = replace_names(array.flatten(), logical.element, file_of)
            lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
            ends = pa.array(np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))), pa.int64())
            return pa.ListArray.from_arrays(ends.cast(pa.int32()), elements, mask=nulls)
        case Struct():
            children = [
                replace_names(child, field.type, file_of)
                for field, child in zip(logical.fields, array.flatten(), strict=True)
            ]
            names = [field.name for field in logical.fields]
            return pa.StructArray.from_arrays(children, names=names, mask=nulls)
    return file_of(array)
