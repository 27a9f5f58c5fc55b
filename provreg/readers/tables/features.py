"""Hugging Face features: class names in the place of numbers, and no row without its bytes.

`datasets` keeps what it knows of columns beside their Arrow types, as JSON in the schema's
metadata. A class label is a number there whose meaning is a list of names; hashed as a number it
would mean something else as soon as somebody reorders the list.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.canonical import parse_json
from provreg.core.encoding.text import quoted
from provreg.core.rows.arrow_types import LISTS, columns_from_arrow, storage_schema
from provreg.errors import FormatError, InputError
from provreg.readers.data_files.source_file import ValueMismatchError
from provreg.readers.tables.signed_features import MEDIA, class_names, extra_features, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = b"huggingface"
_MAX_JSON = 16 * 1024 * 1024
_LISTS = frozenset({"Sequence", "List", "LargeList"})
_EMBED = "save the dataset with its files embedded: push_to_hub and save_to_disk do so"


def features_of(schema: pa.Schema) -> dict[str, Any]:
    """The features by column that a schema's metadata hold; empty where there are none.

    Raises FormatError for metadata that are no features.
    """
    written = (schema.metadata or {}).get(KEY)
    return {} if written is None else _parsed(written)


@lru_cache(maxsize=4)  # All files of a dataset, and all their row groups, say the same.
def _parsed(written: bytes) -> dict[str, Any]:
    return features_in(parse_json(written, what=_WHAT, limit=_MAX_JSON))


_WHAT = "the Hugging Face metadata"


def features_in(document: Any) -> dict[str, Any]:
    """The features in the JSON of a schema's metadata. Raises FormatError."""
    info = document.get("info") if isinstance(document, dict) else None
    features = info.get("features") if isinstance(info, dict) else None
    if features is None:
        return {}
    if not isinstance(features, dict):
        raise FormatError(f"{_WHAT} hold no features")
    return features


def class_columns(features: Mapping[str, Any]) -> list[str]:
    """The columns that hold one class label a row."""
    return [name for name, feature in features.items() if kind_of(feature) == "ClassLabel"]


def holds_media(features: Mapping[str, Any]) -> bool:
    """Whether a column holds images, sounds or the like."""
    return any(kind_of(feature) in MEDIA for feature in features.values())


def plain_batch(batch: pa.RecordBatch, features: Mapping[str, Any]) -> pa.RecordBatch:
    """`batch`, without extension types (`rows.arrow_types`), with the names of classes as text.

    Raises ValueMismatchError for the first row whose class has no name, or whose image (sound …) is
    a path without bytes; FormatError for invalid features.
    """
    arrays = [
        _plain(array, features.get(name))
        for name, array in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema that `plain_batch` gives for a file of this `schema`, with its extension types.

    Raises FormatError for features that are unknown or do not fit, and InputError as
    `columns_from_arrow`.
    """
    columns_from_arrow(schema)
    features, stored = features_of(schema), storage_schema(schema)
    arrays = [pa.nulls(0, field.type) for field in stored]
    empty = pa.RecordBatch.from_arrays(arrays, names=stored.names)
    plain = plain_batch(empty, features).schema
    extra_features(schema, features)
    return plain


def _plain(array: pa.Array, feature: Any) -> pa.Array:
    kind = kind_of(feature)
    if kind == "ClassLabel":
        return _named(array, feature)
    if kind in MEDIA:
        _check_bytes(array)
        return array
    if not _has_more(feature) or pa.types.is_null(array.type):
        return array
    if isinstance(feature, list) and len(feature) != 1:
        raise FormatError("a list of features does not hold one")
    inner = feature[0] if isinstance(feature, list) else feature.get("feature")
    if isinstance(feature, list) or kind in _LISTS:
        if pa.types.is_struct(array.type) and isinstance(inner, dict):
            # A sequence of structs is stored as a struct of sequences.
            return _struct(array, {name: [below] for name, below in inner.items()})
        return _list(array, inner)
    return _struct(array, feature)


def _has_more(feature: Any) -> bool:
    """Whether class labels or media stand somewhere in `feature`."""
    kind = kind_of(feature)
    if kind == "ClassLabel" or kind in MEDIA:
        return True
    below = feature if isinstance(feature, list) else ()
    if isinstance(feature, dict):
        of_struct = list(feature.values()) if kind is None else []
        below = [feature.get("feature")] if kind in _LISTS else of_struct
    return any(_has_more(inner) for inner in below)


def _named(array: pa.Array, feature: dict[str, Any]) -> pa.Array:
    names = class_names(feature)
    if not (pa.types.is_integer(array.type) or pa.types.is_null(array.type)):
        raise FormatError("a class label is not an integer")
    try:
        numbers = array.cast(pa.int64())
    except pa.ArrowInvalid:
        raise FormatError("a class label is beyond 63 bits") from None
    # -1 stands for no label, in test splits.
    numbers = pc.if_else(pc.equal(numbers, -1), pa.scalar(None, pa.int64()), numbers)
    beyond = pc.or_(pc.less(numbers, 0), pc.greater_equal(numbers, len(names)))
    if (row := pc.index(beyond, pa.scalar(True)).as_py()) >= 0:
        raise ValueMismatchError(f"the class {numbers[row].as_py()} has no name", row=row)
    return pa.array(names, pa.string()).take(numbers)


def _check_bytes(array: pa.Array) -> None:
    if not pa.types.is_struct(array.type):
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            raise InputError("images, sounds or videos are paths, not bytes", hint=_EMBED)
        return
    names = [field.name for field in array.type.fields]
    if not {"bytes", "path"} <= set(names):
        return
    parts = dict(zip(names, array.flatten(), strict=True))
    alone = pc.and_(parts["bytes"].is_null(), parts["path"].is_valid())
    if (row := pc.index(alone, pa.scalar(True)).as_py()) >= 0:
        path = quoted(str(parts["path"][row].as_py()))
        raise ValueMismatchError(f"{path} is a path without its bytes", row=row, hint=_EMBED)


def _list(array: pa.Array, inner: Any) -> pa.Array:
    if not any(test(array.type) for test in LISTS):
        raise FormatError("the features do not fit the columns")
    values = _plain_below(array.flatten(), inner)
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    mask = array.is_null() if array.null_count else None
    return pa.LargeListArray.from_arrays(pa.array(offsets), values, mask=mask)


def _struct(array: pa.Array, features: Mapping[str, Any]) -> pa.Array:
    if not pa.types.is_struct(array.type):
        raise FormatError("the features do not fit the columns")
    names = [field.name for field in array.type.fields]
    parts = [
        _plain_below(part, features.get(name))
        for name, part in zip(names, array.flatten(), strict=True)
    ]
    mask = array.is_null() if array.null_count else None
    return pa.StructArray.from_arrays(parts, names=names, mask=mask)


def _plain_below(array: pa.Array, feature: Any) -> pa.Array:
    """As `_plain`, for values that are not rows, so that theirs would be the wrong number."""
    try:
        return _plain(array, feature)
    except ValueMismatchError as misfit:
        raise InputError(misfit.complaint, hint=misfit.hint) from None
