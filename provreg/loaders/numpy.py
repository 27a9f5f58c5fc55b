"""Verified samples as numpy arrays, for scikit-learn, ART and TensorFlow Privacy.

numpy comes with provreg; decoding images needs Pillow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from provreg.core.encoding.text import counted, quoted
from provreg.errors import InputError, UsageError
from provreg.loaders import arrow

if TYPE_CHECKING:
    from provreg.loaders.samples import Sample, VerifiedSamples

Decode = Callable[[Any], npt.ArrayLike]

_SIGNED = ("id", "label", "source", "labeler")


@dataclass(frozen=True, slots=True)
class Arrays:
    """`n` samples, all arrays in the same order.

    `x`: shape (n, …), the decoded payloads. `y`: shape (n,), int64, the index of each label in
    `classes`, -1 without one; texts where labels are no classes. `ids`: shape (n,), texts.
    `provenance`: shape (n, k), float32, one-hot: which of the k `origins` a sample is from.
    """

    x: npt.NDArray[Any]
    y: npt.NDArray[Any]
    ids: npt.NDArray[Any]
    provenance: npt.NDArray[np.float32]
    origins: tuple[str | None, ...]
    classes: tuple[str, ...]

    def __repr__(self) -> str:
        counts = (
            counted(len(self.classes), "class", "classes"),
            counted(len(self.origins), "origin"),
        )
        return f"Arrays(x {self.x.dtype} {self.x.shape}, y {self.y.shape}, {', '.join(counts)})"

    def one_hot(self) -> npt.NDArray[np.float32]:
        """`y` in the shape (n, number of classes); a row of zeros without a label."""
        return _one_hot(self.y, len(self.classes))


def arrays(
    samples: VerifiedSamples,
    *,
    decode: Decode | None = None,
    by: Literal["source", "labeler"] = "source",
) -> Arrays:
    """Reads all samples, checks each, and decodes them into arrays.

    `decode` converts a payload into an array: a file's bytes, a row's columns by name, or a tar
    sample's members by name. All arrays must have one shape and type. Without it, files are decoded
    as RGB images, uint8 of shape (height, width, 3), and rows must be numeric columns or one column
    of equally long lists of numbers; null becomes NaN. `provenance` is by the signed `source` or
    `labeler`; None (no labeler) counts as one.

    Raises SampleError and NotTrustedError (step 12) before anything is returned, InputError for a
    sample that cannot be decoded or differs in shape or type, UsageError for other columns.
    """
    if decode is None and not samples.are_files:
        x, signed = _of_columns(samples)
    else:
        x, signed = _decoded(samples, decode)
    origins = tuple(sorted(set(signed[by]), key=lambda name: (name is None, name)))
    places = {name: place for place, name in enumerate(origins)}
    classes = samples.classes
    labels = np.array(signed["label"], object)
    if samples.head.label_type == "class":
        index_of = samples.class_to_idx
        labels = np.array([index_of.get(label, -1) for label in signed["label"]], np.int64)
    return Arrays(
        x,
        labels,
        np.array(signed["id"], object),
        _one_hot(np.array([places[name] for name in signed[by]]), len(origins)),
        origins,
        classes,
    )


def _decoded(
    samples: VerifiedSamples, decode: Decode | None
) -> tuple[npt.NDArray[Any], dict[str, list[Any]]]:
    x = np.empty(0)
    signed: dict[str, list[Any]] = {name: [] for name in _SIGNED}
    for at, sample in enumerate(samples):
        value = np.asarray(_rgb(sample) if decode is None else decode(sample.payload))
        if at == 0:
            x = np.empty((len(samples), *value.shape), value.dtype)
        if value.shape != x.shape[1:] or value.dtype != x.dtype:
            raise InputError(
                f"{quoted(sample.id)} has type {value.dtype} and shape {value.shape}, the first"
                f" sample {x.dtype} and {x.shape[1:]}",
                hint="pass a decode= that returns one type and shape",
                sample=sample.id,
            )
        x[at] = value
        for name, values in signed.items():
            values.append(getattr(sample, name))
    return x[: len(signed["id"])], signed


def _rgb(sample: Sample) -> npt.NDArray[np.uint8]:
    # Late: rows need no Pillow.
    from provreg.loaders.images import decode_rgb

    payload: Any = sample.payload
    return np.asarray(decode_rgb(payload, sample.id))


def _of_columns(samples: VerifiedSamples) -> tuple[npt.NDArray[Any], dict[str, list[Any]]]:
    signed: dict[str, list[Any]] = {name: [] for name in _SIGNED}
    tables = []
    schema, batches = arrow.typed_batches(samples, {})
    for batch, rows in batches:
        tables.append(rows)
        for name in _SIGNED:
            signed[name] += batch.signed(name).to_pylist()
    return _numbers(pa.Table.from_batches(tables, schema)), signed


def _numbers(table: pa.Table) -> npt.NDArray[Any]:
    if table.num_columns == 1 and pa.types.is_list(table.schema[0].type):
        return _matrix(table.column(0).combine_chunks(), table.column_names[0])
    for field in table.schema:
        if not (pa.types.is_boolean(field.type) or _is_number(field.type)):
            raise UsageError(
                f"column {quoted(field.name)} is not numeric",
                hint="pass decode= to convert rows; it receives each row's columns by name",
            )
    columns = [column.to_numpy() for column in table.columns]
    held = np.result_type(*columns)
    for field, column in zip(table.schema, table.columns, strict=True):
        _refuse_rounded(column.combine_chunks(), held, field.name)
    return np.column_stack(columns)


def _matrix(lists: pa.Array, name: str) -> npt.NDArray[Any]:
    values = lists.flatten()
    lengths = lists.value_lengths()
    if lists.null_count or not _is_number(values.type) or len(lengths.unique()) != 1:
        raise UsageError(
            f"column {quoted(name)} is not made of equally long lists of numbers",
            hint="pass decode= to convert rows; it receives each row's columns by name",
        )
    matrix: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False).reshape(len(lists), -1)
    _refuse_rounded(values, matrix.dtype, name)
    return matrix


def _refuse_rounded(array: pa.Array, held: np.dtype[Any], name: str) -> None:
    """Raises InputError for integers that floats of the type `held` would round."""
    if held.kind != "f" or not pa.types.is_integer(array.type):
        return
    values = np.abs(array.drop_null().to_numpy()).view(np.uint64)
    # Without the zeros at its end, a number must fit into the float's digits.
    lowest = np.maximum(values & (~values + np.uint64(1)), np.uint64(1))
    digits = values // lowest >> np.uint64(np.finfo(held).nmant + 1)
    if digits.any():
        value = int(values[np.flatnonzero(digits)[0]])
        raise InputError(
            f"column {quoted(name)} holds the integer {value}, which {held} would round",
            hint="pass decode= to convert rows; it receives each row's columns by name",
        )


def _is_number(held: pa.DataType) -> bool:
    return bool(pa.types.is_integer(held) or pa.types.is_floating(held))


def _one_hot(places: npt.NDArray[Any], count: int) -> npt.NDArray[np.float32]:
    hot: npt.NDArray[np.float32] = (places[:, np.newaxis] == np.arange(count)).astype(np.float32)
    return hot
