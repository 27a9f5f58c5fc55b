"""Labels files: what somebody says of samples, by id (docs/reference/readers.md, "Labels files").

CSV, JSON Lines, a JSON array or Parquet, with a column `id` and any of label, source, labeler,
labeled_at, split, uri, attrs. What a file leaves null stays as the data say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.canonical import canonical, parse_json
from provreg.core.encoding.text import quoted, quoted_ascii
from provreg.core.manifest.entry import SAMPLE, TIMESTAMP
from provreg.core.manifest.limits import LIMITS
from provreg.core.rows.column import Column
from provreg.errors import FormatError, InputError, UsageError
from provreg.readers.data_files.source_file import ValueMismatchError
from provreg.readers.files.names import folded
from provreg.readers.tables.samples import texts_of
from provreg.readers.tables.table import (
    TableOptions,
    detect_format,
    iter_rows,
    options_from_reading,
    read_table,
)
from provreg.readers.tables.times import moments_of

LABEL_COLUMNS = ("label", "source", "labeler", "labeled_at", "split", "uri", "attrs")


def read_labels(path: Path) -> pa.Table:
    """The rows of a labels file: `id` and those of LABEL_COLUMNS it has, typed as in SAMPLE.

    Raises InputError naming row or id for values that cannot be what their column says and for ids
    that stand twice, UsageError for a file that is not a labels file, NotFoundError, StorageError.
    """
    format_ = detect_format([path])
    if format_ is None:
        raise UsageError(
            f"{quoted(str(path))} is not a labels file",
            hint="give a .csv, .tsv, .jsonl, .json or .parquet file",
        )
    # The first pass finds the types of the columns and ids that stand twice.
    reading = read_table([path], format_, TableOptions(id="id")).reading
    columns = options_from_reading(reading).payload_columns()
    strangers = [column.name for column in columns if column.name not in LABEL_COLUMNS]
    if strangers:
        raise UsageError(
            f"{quoted(str(path))} has a column {quoted(strangers[0])}",
            hint=f"a labels file has id and any of {', '.join(LABEL_COLUMNS)}",
        )
    batches = [_typed(path, rows, samples, columns) for rows, samples in iter_rows([path], reading)]
    return pa.Table.from_batches(batches)


def with_prefix(labels: pa.Table, prefix: str) -> pa.Table:
    """`labels` whose ids all begin with `prefix`: as they are, or with it put before all of them.

    Raises UsageError where only some begin with it: one file cannot name ids in both ways.
    """
    ids = labels["id"]
    whole = pc.starts_with(ids, prefix)
    if pc.all(whole).as_py():
        return labels
    if pc.any(whole).as_py():
        example = ids.filter(whole)[0].as_py()
        raise UsageError(
            f"only some ids of the labels file begin with the prefix, such as {quoted(example)}",
            hint="write all ids with the prefix, or all of them without it",
        )
    return labels.set_column(0, "id", pc.binary_join_element_wise(prefix, ids, ""))


def apply_labels(samples: pa.Table, labels: pa.Table) -> pa.Table:
    """`samples` (schema SAMPLE) with what `labels` say put over what they had.

    Raises InputError naming an id of the labels file that the data do not have.
    """
    unknown = pc.invert(pc.is_in(labels["id"], value_set=samples["id"].combine_chunks()))
    if pc.any(unknown).as_py():
        name = labels["id"].filter(unknown)[0].as_py()
        hint = "ids are as `provreg show` and `--dry-run` print them"
        sought = folded(name)
        twin = next(
            (sample for sample in samples["id"].to_pylist() if folded(sample) == sought), None
        )
        if twin is not None:
            hint = f"use the id {quoted_ascii(twin)}, which differs only in case or composition"
        raise InputError(
            f"the labels file speaks of {quoted(name)}, which is not in the data",
            sample=name,
            hint=hint,
        )
    rows = pc.index_in(samples["id"], value_set=labels["id"].combine_chunks())
    for name in labels.column_names[1:]:
        column = pc.coalesce(labels[name].take(rows), samples[name])
        samples = samples.set_column(SAMPLE.get_field_index(name), SAMPLE.field(name), column)
    return samples


def long_labels(labels: pa.Table) -> list[bytes]:
    """The distinct label texts of a labels file that entries name by digest only."""
    if "label" not in labels.column_names:
        return []
    texts = labels["label"].unique().drop_null()
    long = texts.filter(pc.greater(pc.binary_length(texts), LIMITS["label"]))
    return [text.encode() for text in long.to_pylist()]


def _typed(
    path: Path, rows: pa.RecordBatch, samples: pa.RecordBatch, columns: tuple[Column, ...]
) -> pa.RecordBatch:
    arrays: dict[str, pa.Array] = {"id": samples.column("id")}
    for column in columns:
        values, kind = rows.column(column.name), column.type
        try:
            if column.name == "attrs":
                arrays["attrs"] = _attrs(values)
            elif column.name == "labeled_at":
                arrays["labeled_at"] = moments_of(values, kind).cast(TIMESTAMP)
            else:
                arrays[column.name] = texts_of(values, kind)
        except (ValueMismatchError, FormatError) as error:
            complaint = error.complaint if isinstance(error, ValueMismatchError) else error.message
            raise InputError(
                f"{quoted(str(path))}, column {quoted(column.name)}: {complaint}"
            ) from None
    ordered = ["id", *(name for name in LABEL_COLUMNS if name in arrays)]
    return pa.RecordBatch.from_arrays([arrays[name] for name in ordered], names=ordered)


def _attrs(values: pa.Array) -> pa.Array:
    """Each object, given as JSON text or as nested fields, as RFC 8785 text."""
    return pa.array([_one_attrs(value) for value in values.to_pylist()], pa.string())


def _one_attrs(value: Any) -> str | None:
    if value is None:
        return None
    limit = LIMITS["attrs"]
    if isinstance(value, str):
        value = parse_json(value.encode(), what="attrs", limit=limit)
    if not isinstance(value, dict):
        raise FormatError("attrs is not an object")
    written = canonical(value).decode()
    if len(written.encode()) > limit:
        raise FormatError(f"attrs is longer than {limit} bytes")
    return written
