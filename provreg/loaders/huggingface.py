"""Verified versions as Hugging Face datasets (extra `huggingface`).

A dataset is made from verified bytes, in memory or in a new folder. Hugging Face's cache is not
used: its files are found by name and can be changed after they were verified.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import quoted
from provreg.core.manifest.columns import whole
from provreg.errors import InputError, StorageError, UsageError, needs_extra
from provreg.flows.reading.samples import reader_settings
from provreg.loaders import arrow
from provreg.loaders.passes.conversion import Conversion, Mark, remember_conversion
from provreg.loaders.passes.dataset_check import verify_dataset
from provreg.readers.huggingface.huggingface import signed_features
from provreg.readers.tables.signed_features import MEDIA, Feature, written
from provreg.store.private.folders import check_parents

with needs_extra("huggingface"):
    import datasets
    from datasets.table import InMemoryTable

if TYPE_CHECKING:
    from provreg.loaders.arrow import Signed
    from provreg.loaders.passes.batches import VerifiedBatch
    from provreg.loaders.passes.matching import Mask, Rows
    from provreg.loaders.samples import Sample, VerifiedSamples

__all__ = ["dataset", "dataset_dict", "verify_dataset"]

# Batches, each with the manifest rows and the splits of its samples.
_Batches: TypeAlias = "Iterator[tuple[Rows, pa.Array, pa.RecordBatch]]"
# The same, divided by split.
_Parts: TypeAlias = "Iterator[tuple[str | None, Rows, pa.RecordBatch]]"

# Limits of a batch of files: their number, their bytes.
_BATCH, _BATCH_BYTES = 256, 64 << 20
_OF_FILES = ("id", "label", "source", "labeler", "split")


@dataclass
class SignedInfo(datasets.DatasetInfo):  # type: ignore[misc]
    """The information of a dataset and, for receipts, which samples it was made of."""

    conversion: str | None = field(default=None, repr=False)


def dataset(
    samples: VerifiedSamples,
    signed: Signed = ("label",),
    *,
    features: Mapping[str, Any] | None = None,
    folder: Path | str | None = None,
) -> datasets.Dataset:
    """A version's samples as a `datasets.Dataset`.

    Rows have the columns of their payload. Files are one column with their verified bytes. Columns
    with signed features (images, audio and so on) get these. `features` replaces or adds features:
    for example `datasets.Image()` for a column of bytes and paths, or name and feature of the
    column of files, by default `{"image": datasets.Image()}`; `datasets` decodes on access. The
    columns `signed` are added as in `provreg.loaders.arrow.reader`; class labels as `ClassLabel`,
    with the version's classes in their order and -1 for a sample without a class.

    Samples are in the order of the manifest, whatever the order of the data, so ranks that each
    take a part of the dataset cover all of it together.

    The dataset is in memory, or mapped from `folder`, which must not exist and is created for this
    user only. Unless all samples are as signed, neither dataset nor folder is made.

    Raises SampleError and NotTrustedError (step 12), UsageError for a folder that exists or that
    others could replace, StorageError, and as `provreg.loaders.arrow.reader`.
    """
    features, batches = _read(samples, arrow.column_names(signed), dict(features or {}))
    parts = ((None, rows, batch) for rows, _, batch in batches)
    return _datasets(samples, features, parts, folder)[None]


def dataset_dict(
    samples: VerifiedSamples,
    signed: Signed = ("label",),
    *,
    features: Mapping[str, Any] | None = None,
    folder: Path | str | None = None,
) -> datasets.DatasetDict:
    """The samples as a `datasets.DatasetDict`, a dataset for each signed split, read once.

    Otherwise as `dataset`; `folder` holds a file for each split. Raises UsageError if samples have
    no split.
    """
    if samples.entries.column("split").null_count:
        raise UsageError(
            f"samples of {samples.reference} have no split",
            hint="call dataset(), or select the samples that have a split",
        )
    features, batches = _read(samples, arrow.column_names(signed), dict(features or {}))
    parts = (
        (split, rows[found.to_numpy(zero_copy_only=False)], batch.filter(found))
        for rows, splits, batch in batches
        for split in splits.unique().to_pylist()
        for found in [pc.equal(splits, split)]
    )
    return datasets.DatasetDict(_datasets(samples, features, parts, folder))


def _read(
    samples: VerifiedSamples, names: dict[str, str], given: dict[str, Any]
) -> tuple[datasets.Features, _Batches]:
    """(features of the dataset, its samples in batches with these columns)."""
    if samples.are_files:
        given = given or {"image": datasets.Image()}
        schema, batches = _read_files(samples, names, given)
    else:
        given = _signed_media(samples) | given
        schema, typed_batches = arrow.typed_batches(samples, names)
        batches = (
            (read.rows, whole(read.signed("split")), batch)
            for read, batch in typed_batches
            if _have_bytes(read, batch, given)
        )
    features = _features(samples, schema, given)
    label = names.get("label")
    if label is None or samples.head.label_type != "class":
        return features, batches
    features[label] = datasets.ClassLabel(names=list(samples.classes))
    classes = pa.array(samples.classes, pa.string())

    def with_indices(batch: pa.RecordBatch) -> pa.RecordBatch:
        place = batch.schema.get_field_index(label)
        indices = pc.index_in(batch.column(place), value_set=classes).cast(pa.int64())
        return batch.set_column(place, pa.field(label, pa.int64()), indices.fill_null(-1))

    return features, ((rows, splits, with_indices(batch)) for rows, splits, batch in batches)


def _signed_media(samples: VerifiedSamples) -> dict[str, Any]:
    """The features of the columns that are signed as images, audio and so on."""
    signed = signed_features(reader_settings(samples.head.reading))
    return {
        str(feature.at[0]): _feature(feature)
        for feature in signed
        if feature.kind in MEDIA and len(feature.at) == 1
    }


def _feature(signed: Feature) -> Any:
    known = getattr(datasets.features, signed.kind, None)
    names = set() if known is None else {parameter.name for parameter in fields(known)}
    if known is None or not set(signed.parameters) <= names:
        raise UsageError(
            f"this version of datasets does not support the signed feature {signed.kind} of"
            f" {written(signed.at)}",
            hint="install a newer version, or pass features= for the column",
        )
    return known(**signed.parameters)


def _features(
    samples: VerifiedSamples, schema: pa.Schema, given: dict[str, Any]
) -> datasets.Features:
    try:
        features = datasets.Features.from_arrow_schema(schema)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise UsageError(
            f"datasets has no type for a column of {samples.reference}: {quoted(str(error))}"
        ) from None
    for name, feature in given.items():
        if name not in features:
            raise UsageError(f"features: there is no column {quoted(name)}")
        features[name] = feature
    return features


def _have_bytes(read: VerifiedBatch, batch: pa.RecordBatch, given: dict[str, Any]) -> bool:
    """True; raises InputError if a sample has a path instead of bytes.

    The file at a path could be replaced before `datasets` opens it.
    """
    for name, feature in given.items():
        stored = datasets.Features({name: feature}).arrow_schema
        column = _cast(batch.select([name]), stored).column(0)
        by_path = _by_path(column, feature)
        if by_path.any():
            sample = read.signed("id")[int(by_path.argmax())].as_py()
            raise InputError(
                f"sample {quoted(sample)} has a path instead of bytes in column {quoted(name)}",
                hint="embed the files in the data, or omit the feature that opens them",
                sample=sample,
            )
    return True


def _by_path(array: pa.Array, feature: Any) -> Mask:
    """The rows in which `datasets` would open a path; `array` is as `feature` stores it."""
    rows: Mask = np.zeros(len(array), np.bool_)
    if hasattr(feature, "decode_example"):
        if getattr(feature, "decode", True) and pa.types.is_struct(array.type):
            data, path = (pc.struct_field(array, name) for name in ("bytes", "path"))
            rows |= np.asarray(pc.and_(data.is_null(), path.is_valid()))
    elif isinstance(feature, Mapping):
        for name, inner in feature.items():
            rows |= _by_path(pc.struct_field(array, name), inner)
    elif (
        pa.types.is_list(array.type)
        or pa.types.is_large_list(array.type)
        or (pa.types.is_fixed_size_list(array.type))
    ):
        inner = feature[0] if isinstance(feature, list | tuple) else feature.feature
        rows[np.asarray(pc.list_parent_indices(array))[_by_path(pc.list_flatten(array), inner)]] = (
            True
        )
    return rows


def _read_files(
    samples: VerifiedSamples, names: dict[str, str], given: dict[str, Any]
) -> tuple[pa.Schema, _Batches]:
    if len(given) != 1:
        raise UsageError(f"features: expected one column of files, found {len(given)}")
    for column in names:
        if column not in _OF_FILES:
            raise UsageError(
                f"column {quoted(column)} is not available for files",
                hint="choose among " + ", ".join(_OF_FILES),
            )
    payload = datasets.Features(given).arrow_schema.field(0)
    schema = pa.schema([payload, *((name, pa.string()) for name in names.values())])
    arrow.check_unique(schema.names)

    def batch_of(run: list[Sample]) -> tuple[pa.Array, pa.RecordBatch]:
        payloads: list[Any] = [sample.payload for sample in run]
        if pa.types.is_struct(payload.type):
            payloads = [{"bytes": sample.payload, "path": sample.id} for sample in run]
        signed = ([getattr(sample, column) for sample in run] for column in names)
        texts = (pa.array(values, pa.string()) for values in signed)
        arrays = [pa.array(payloads, payload.type), *texts]
        splits = pa.array([sample.split for sample in run], pa.string())
        return splits, pa.RecordBatch.from_arrays(arrays, schema=schema)

    def batches() -> _Batches:
        for run in _runs(samples):
            rows = np.array([row for row, _ in run])
            yield rows, *batch_of([sample for _, sample in run])

    return schema, batches()


def _runs(samples: VerifiedSamples) -> Iterator[list[tuple[int, Sample]]]:
    """All samples of files with their manifest rows, in order, as many at a time as fit a batch."""
    run: list[tuple[int, Sample]] = []
    size = 0
    for row, sample in samples.numbered():
        run.append((row, sample))
        size += len(sample.payload)
        if len(run) == _BATCH or size > _BATCH_BYTES:
            yield run
            run, size = [], 0
    if run:
        yield run


def _datasets(
    samples: VerifiedSamples,
    features: datasets.Features,
    parts: _Parts,
    folder: Path | str | None,
) -> dict[Any, datasets.Dataset]:
    """A dataset for each split, in the order of the manifest."""
    rows_of: dict[str | None, list[Rows]] = {}

    def with_rows_noted() -> Iterator[tuple[str | None, pa.RecordBatch]]:
        for split, rows, batch in parts:
            rows_of.setdefault(split, []).append(rows)
            yield split, batch

    unordered = _in_data_order(features, with_rows_noted(), folder)
    ordered = {}
    for split, dataset in unordered.items():
        rows = np.concatenate(rows_of[split])
        remember_conversion(dataset.info.conversion, Conversion(samples, rows), dataset.data.table)
        ordered[split] = _in_order(dataset, rows)
    return ordered


def _in_order(dataset: datasets.Dataset, rows: Rows) -> datasets.Dataset:
    if (rows[1:] >= rows[:-1]).all():
        return dataset
    return dataset.select(np.argsort(rows, kind="stable"))


def _info(features: datasets.Features) -> SignedInfo:
    return SignedInfo(features=features, conversion=Mark())


def _in_data_order(
    features: datasets.Features,
    parts: Iterator[tuple[str | None, pa.RecordBatch]],
    folder: Path | str | None,
) -> dict[Any, datasets.Dataset]:
    schema = features.arrow_schema
    if folder is None:
        batches_of: dict[str | None, list[pa.RecordBatch]] = {}
        for split, batch in parts:
            batches_of.setdefault(split, []).append(_cast(batch, schema))
        return {
            split: datasets.Dataset(
                InMemoryTable(pa.Table.from_batches(batches, schema)), _info(features)
            )
            for split, batches in batches_of.items()
        }
    root = Path(folder).absolute()
    # Other processes open it again by its path: no link may lead elsewhere.
    root = root.parent.resolve() / root.name
    check_parents(root)
    try:
        root.mkdir(mode=0o700)
    except FileExistsError:
        raise UsageError(
            f"{quoted(str(root))} already exists",
            hint="pass the name of a new folder: existing contents are not trusted",
        ) from None
    except OSError as error:
        raise StorageError(f"{quoted(str(root))} cannot be created: {error.strerror}") from error
    try:
        return _write(features, parts, root)
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """`batch` as its features are stored."""
    try:
        return batch.cast(schema)
    except pa.ArrowException as error:
        raise InputError(
            f"a column does not fit its feature: {quoted(str(error))}",
            hint="pass features= that fit the columns",
        ) from None


def _write(
    features: datasets.Features,
    parts: Iterator[tuple[str | None, pa.RecordBatch]],
    root: Path,
) -> dict[Any, datasets.Dataset]:
    schema = features.arrow_schema
    writers: dict[str | None, tuple[Path, Any]] = {}
    try:
        with ExitStack() as opened:
            for split, batch in parts:
                if split not in writers:
                    # A split's name may be a path that leads out of the folder.
                    path = root / f"{len(writers)}.arrow"
                    file = opened.enter_context(pa.OSFile(str(path), "wb"))
                    writer = opened.enter_context(pa.ipc.new_stream(file, schema))
                    writers[split] = path, writer
                writers[split][1].write_batch(_cast(batch, schema))
    except OSError as error:
        raise StorageError(f"{quoted(str(root))} cannot be written: {error}") from error
    return {
        split: datasets.Dataset.from_file(str(path), _info(features))
        for split, (path, _) in writers.items()
    }
