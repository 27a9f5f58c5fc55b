"""Labels files: facts about samples, by id (docs/reference/readers.md, "Labels files").

CSV, JSON Lines, a JSON array or Parquet, with a column `id` and any of LABEL_COLUMNS. What a file
leaves null stays as the data have it. With a rule of aggregation an id has a row for each of the
people who labeled it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.canonical import canonical, parse_json
from provreg.core.encoding.text import quoted, quoted_ascii
from provreg.core.manifest.annotations import RULES, majority
from provreg.core.manifest.columns import whole
from provreg.core.manifest.entry import ANNOTATIONS, SAMPLE, TIMESTAMP
from provreg.core.manifest.limits import LIMITS
from provreg.core.rows.column import INT, TEXT, TIMESTAMP_UTC, Column, LogicalType
from provreg.errors import FormatError, InputError, UsageError
from provreg.readers.api import LabelsOptions
from provreg.readers.data_files.source_file import ValueMismatchError, display, place_of
from provreg.readers.files.names import folded
from provreg.readers.tables.options import DELIMITED, check_delimiter
from provreg.readers.tables.samples import check_unique, texts_of
from provreg.readers.tables.table import (
    TableOptions,
    detect_format,
    iter_rows,
    options_from_reading,
    read_table,
)
from provreg.readers.tables.text.typed_text import moments
from provreg.readers.tables.times import moments_of

LABEL_COLUMNS = ("label", "source", "labeler", "labeled_at", "split", "uri", "attrs")
# What each annotation has of its own, and what all rows of an id must agree on.
_OF_ANNOTATION = ("label", "labeler", "labeled_at")
_SHARED = tuple(name for name in LABEL_COLUMNS if name not in _OF_ANNOTATION)

_TIME_FORM = "write times with a zone: 2026-11-30T10:00:00Z or 2026-11-30T10:00:00+01:00"
_ZONE_AT_END = r"(Z|[+-][0-9]{2}:?[0-9]{2})\z"
_NAIVE = pa.timestamp("us")
# Separators that a file without a column `id` may turn out to have.
_DELIMITERS = (";", "\t", "|", ",")
_EXAMPLES = 3


def read_labels(path: Path, options: LabelsOptions) -> pa.Table:
    """The rows of a labels file, one for each id: `id` and columns of LABEL_COLUMNS, as in SAMPLE.

    With `options.aggregate` also `annotations`, of which `label` is the result.

    Raises InputError that names the file and the row for invalid values and duplicate ids,
    UsageError for a file that is not a labels file, NotFoundError, StorageError.
    """
    _check_options(options)
    rows = _read_rows(path, options)
    if options.aggregate is not None:
        return _aggregated(path, rows)
    try:
        check_unique(rows["id"], [(display(path), rows.num_rows)])
    except InputError as error:
        raise InputError(
            error.message,
            hint="for labels by several people, with a column labeler: --aggregate majority",
            sample=error.sample,
        ) from None
    return rows


def with_prefix(labels: pa.Table, prefix: str) -> pa.Table:
    """`labels` whose ids all begin with `prefix`: as they are, or with it put before all of them.

    Raises UsageError where only some begin with it: one file cannot name ids in both ways.
    """
    ids = labels["id"]
    begins = pc.starts_with(ids, prefix)
    if pc.all(begins).as_py():
        return labels
    if pc.any(begins).as_py():
        example = ids.filter(begins)[0].as_py()
        raise UsageError(
            f"only some ids of the labels file begin with the prefix, such as {quoted(example)}",
            hint="write all ids with the prefix, or all of them without it",
        )
    return labels.set_column(0, "id", pc.binary_join_element_wise(prefix, ids, ""))


def apply_labels(
    samples: pa.Table, labels: pa.Table, path: Path
) -> tuple[pa.Table, pa.ChunkedArray | None]:
    """`samples` (schema SAMPLE) with the values of `labels` instead of their own, and their
    annotations, None if `labels` have none.

    A sample with annotations has no label but their result, and no labeler or time of its own.
    Raises InputError that names an id of the labels file that the data do not have.
    """
    _check_known(samples["id"], labels["id"], path)
    rows = pc.index_in(samples["id"], value_set=labels["id"].combine_chunks())
    annotations, annotated = None, None
    if "annotations" in labels.column_names:
        annotations = labels["annotations"].take(rows)
        annotated = annotations.is_valid()
    for name in (name for name in LABEL_COLUMNS if name in labels.column_names):
        column = labels[name].take(rows)
        if annotated is None or name not in _OF_ANNOTATION:
            column = pc.coalesce(column, samples[name])
        else:
            column = pc.if_else(annotated, column, samples[name])
        samples = samples.set_column(SAMPLE.get_field_index(name), SAMPLE.field(name), column)
    return samples, annotations


def long_labels(labels: pa.Table) -> list[bytes]:
    """The distinct label texts of a labels file that entries name by digest only."""
    if "label" not in labels.column_names:
        return []
    texts = labels["label"].unique().drop_null()
    long = texts.filter(pc.greater(pc.binary_length(texts), LIMITS["label"]))
    return [text.encode() for text in long.to_pylist()]


def _check_options(options: LabelsOptions) -> None:
    """Raises UsageError for an invalid value."""
    if options.delimiter is not None:
        check_delimiter(options.delimiter)
    if options.aggregate is not None and options.aggregate not in RULES:
        raise UsageError(
            f"{quoted(options.aggregate)} is not a rule of aggregation",
            hint=f"use --aggregate {' or '.join(RULES)}",
        )
    if options.timezone is not None:
        _in_zone(pa.array([0], _NAIVE), options.timezone)


def _read_rows(path: Path, options: LabelsOptions) -> pa.Table:
    """All rows, in the order of the file."""
    format_ = detect_format([path])
    if format_ is None:
        raise UsageError(
            f"{display(path)} is not a labels file",
            hint="give a .csv, .tsv, .jsonl, .json or .parquet file",
        )
    if options.delimiter is not None and format_ not in DELIMITED:
        raise UsageError(
            f"--labels-delimiter means nothing in {display(path)}", hint="omit it: it is for CSV"
        )
    try:
        reading = read_table([path], format_, TableOptions(delimiter=options.delimiter)).reading
    except InputError as error:
        if display(path) in error.message:
            raise
        raise InputError(f"{display(path)}: {error.message}", hint=error.hint) from None
    columns = _columns(path, options_from_reading(reading).columns or (), options)
    batches: list[pa.RecordBatch] = []
    before = 0
    for rows, _ in iter_rows([path], reading):
        batches.append(_typed(path, rows, columns, options.timezone, before))
        before += rows.num_rows
    return pa.Table.from_batches(batches)


def _columns(
    path: Path, columns: tuple[Column, ...], options: LabelsOptions
) -> dict[str, LogicalType]:
    """The columns to read: `id` first, the others in the order of LABEL_COLUMNS."""
    types = {column.name: column.type for column in columns}
    if "id" not in types:
        names = ", ".join(quoted(name) for name in list(types)[:20])
        hint = (
            f"a labels file has id and any of {', '.join(LABEL_COLUMNS)}; its columns are {names}"
        )
        if len(types) == 1 and path.suffix.lower() != ".parquet":
            (name,) = types
            found = [mark for mark in _DELIMITERS if mark in name]
            hint = f"its columns are separated by {found[0]!r}" if found else hint
            hint = f"{hint}: pass --labels-delimiter '{found[0]}'" if found else hint
        raise InputError(f"{display(path)} has no column 'id'", hint=hint)
    for name in options.exclude:
        if name not in types:
            raise UsageError(
                f"{display(path)} has no column {quoted(name)}", hint="omit --labels-exclude for it"
            )
    if "id" in options.exclude:
        raise UsageError("--labels-exclude id leaves no ids", hint="omit it")
    others = [name for name in types if name not in ("id", *LABEL_COLUMNS, *options.exclude)]
    if others:
        more = "" if len(others) == 1 else f" and {len(others) - 1:,} more that are unknown"
        raise UsageError(
            f"{display(path)} has a column {quoted(others[0])}{more}",
            hint=f"a labels file has id and any of {', '.join(LABEL_COLUMNS)};"
            f" --labels-exclude {others[0]} leaves a column out",
        )
    if types["id"] not in (TEXT, INT):
        raise InputError(f"the column 'id' of {display(path)} holds neither text nor integers")
    wanted = [name for name in LABEL_COLUMNS if name in types and name not in options.exclude]
    if not wanted:
        raise InputError(
            f"{display(path)} has no column but 'id'", hint=f"add any of {', '.join(LABEL_COLUMNS)}"
        )
    return {name: types[name] for name in ("id", *wanted)}


def _typed(
    path: Path,
    rows: pa.RecordBatch,
    columns: dict[str, LogicalType],
    timezone: str | None,
    before: int,
) -> pa.RecordBatch:
    arrays: dict[str, pa.Array] = {}
    for name, kind in columns.items():
        values = rows.column(name)
        try:
            if name == "attrs":
                arrays[name] = _attrs(values)
            elif name == "labeled_at":
                arrays[name] = _times(values, kind, timezone)
            else:
                arrays[name] = texts_of(values, kind)
            if name == "id" and (row := pc.index(values.is_null(), True).as_py()) >= 0:
                raise ValueMismatchError("the row has no id", row=row)
        except ValueMismatchError as error:
            place = place_of(path, before + error.row)
            raise InputError(
                f"{place}, column {quoted(name)}: {error.complaint}", hint=error.hint, sample=place
            ) from None
    return pa.RecordBatch.from_pydict(arrays)


def _times(values: pa.Array, kind: LogicalType, timezone: str | None) -> pa.Array:
    """Times in UTC; those without a zone are of `timezone`. Raises ValueMismatchError."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if kind == TEXT:
        texts = values.cast(pa.string())
        try:
            moments(texts)
        except ValueMismatchError as error:
            complaint = f"{quoted(texts[error.row].as_py())} is not a time"
            raise ValueMismatchError(complaint, row=error.row, hint=_TIME_FORM) from None
        zoned = pc.match_substring_regex(texts, _ZONE_AT_END)
    else:
        zoned = pc.and_(values.is_valid(), kind == TIMESTAMP_UTC)
    times = moments_of(values, kind)
    local = pc.invert(pc.fill_null(zoned, True))
    row = pc.index(pc.and_(local, values.is_valid()), True).as_py()
    if row < 0:
        return times.cast(TIMESTAMP)
    if timezone is None:
        raise ValueMismatchError(
            f"{quoted(str(values[row].as_py()))} has no time zone",
            row=row,
            hint=f"{_TIME_FORM}; or name the zone of such times: --labels-timezone UTC",
        )
    return pc.if_else(local, _in_zone(times, timezone), times.cast(TIMESTAMP))


def _in_zone(times: pa.Array, timezone: str) -> pa.Array:
    """`times` of a local clock, in UTC. Raises ValueMismatchError for times that the clock shows
    twice or never, UsageError for an unknown zone."""
    try:
        first, last = (
            pc.assume_timezone(times, timezone, ambiguous=side, nonexistent=side).cast(TIMESTAMP)
            for side in ("earliest", "latest")
        )
    except (pa.ArrowException, ValueError):
        raise UsageError(
            f"{quoted(timezone)} is not a time zone",
            hint="write UTC, an offset such as +01:00, or a name such as Europe/Berlin",
        ) from None
    row = pc.index(pc.not_equal(first, last), True).as_py()
    if row >= 0:
        raise ValueMismatchError(
            f"{times[row].as_py()} is not one time in {timezone}: clocks were changed",
            row=row,
            hint=_TIME_FORM,
        )
    return first


def _attrs(values: pa.Array) -> pa.Array:
    """Each object, given as JSON text or as nested fields, as RFC 8785 text."""
    found = []
    for row, value in enumerate(values.to_pylist()):
        try:
            found.append(_one_attrs(value))
        except FormatError as error:
            raise ValueMismatchError(error.message, row=row) from None
    return pa.array(found, pa.string())


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


def _aggregated(path: Path, rows: pa.Table) -> pa.Table:
    """A row for each id: the annotations in the order of their labelers, the majority of them, and
    what its rows share."""
    for name in ("label", "labeler"):
        if name not in rows.column_names:
            raise UsageError(
                f"{display(path)} has no column {quoted(name)}",
                hint="--aggregate needs the columns id, label and labeler",
            )
    _refuse_rows(path, rows["labeler"].is_null(), "the row has no labeler")
    long = pc.greater(pc.binary_length(rows["label"]), LIMITS["label"])
    _refuse_rows(path, long, f"the label is longer than {LIMITS['label']} bytes")
    order = pc.sort_indices(rows, sort_keys=[("id", "ascending"), ("labeler", "ascending")])
    table = rows.take(order).combine_chunks()
    ids, labelers = whole(table["id"]), whole(table["labeler"])
    again = _equals_next(ids)
    twice = np.flatnonzero(again & _equals_next(labelers))
    if len(twice):
        place = int(twice[0])
        first, second = sorted(order[at].as_py() for at in (place, place + 1))
        raise InputError(
            f"{place_of(path, second)}: {quoted(labelers[place].as_py())} labeled"
            f" {quoted(ids[place].as_py())} in row {first + 1} already",
            hint="leave one label by each person for each id",
            sample=ids[place].as_py(),
        )
    starts = np.flatnonzero(np.concatenate(([True], ~again)))
    times = table["labeled_at"] if "labeled_at" in table.column_names else None
    annotation = ANNOTATIONS.value_type
    items = pa.StructArray.from_arrays(
        [
            whole(table["label"]),
            labelers,
            pa.nulls(len(table), TIMESTAMP) if times is None else whole(times),
        ],
        fields=list(annotation),
    )
    offsets = pa.array(np.append(starts, len(table)), pa.int32())
    annotations = pa.ListArray.from_arrays(offsets, items, type=ANNOTATIONS)
    nobody = pa.nulls(len(starts), pa.string())
    columns = {
        "id": ids.take(pa.array(starts)),
        "label": majority(annotations),
        "labeler": nobody,
        "labeled_at": nobody.cast(TIMESTAMP),
        "annotations": annotations,
    }
    for name in _SHARED:
        if name in table.column_names:
            columns[name] = _shared(path, table, name, starts)
    return pa.table(columns)


def _equals_next(column: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """For each value but the last: whether the next one is equal."""
    equal = pc.equal(column.slice(0, len(column) - 1), column.slice(1))
    return np.asarray(equal.to_numpy(zero_copy_only=False), np.bool_)


def _shared(
    path: Path, table: pa.Table, name: str, starts: np.ndarray[Any, np.dtype[np.int64]]
) -> pa.Array:
    """The value that the rows of each id have in common; rows without one agree with any."""
    values = whole(table[name])
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(table))))
    there = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    found, first = np.unique(group[there], return_index=True)
    places = np.full(len(starts), -1)
    places[found] = there[first]
    chosen = values.take(pa.array(places, mask=places < 0))
    other = pc.fill_null(pc.not_equal(values, chosen.take(pa.array(group))), False)
    row = pc.index(other, True).as_py()
    if row >= 0:
        sample = table["id"][row].as_py()
        raise InputError(
            f"{display(path)}: the rows of {quoted(sample)} differ in {quoted(name)}",
            hint="with --aggregate, people differ in label and labeled_at only",
            sample=sample,
        )
    return chosen


def _refuse_rows(path: Path, refused: pa.ChunkedArray, complaint: str) -> None:
    row = pc.index(pc.fill_null(refused, False), True).as_py()
    if row >= 0:
        place = place_of(path, row)
        raise InputError(f"{place}: {complaint}", sample=place)


def _check_known(samples: pa.ChunkedArray, ids: pa.ChunkedArray, path: Path) -> None:
    """InputError for ids of a labels file that are not among those of the samples."""
    unknown = pc.invert(pc.is_in(ids, value_set=samples.combine_chunks()))
    if not pc.any(unknown).as_py():
        return
    name, count = ids.filter(unknown)[0].as_py(), pc.sum(unknown).as_py()
    of = "" if count == 1 else f" (of {count:,} such ids among {len(ids):,})"
    raise InputError(
        f"{display(path)} has the id {quoted(name)}, which is not in the data{of}",
        sample=name,
        hint=_similar(samples, name),
    )


def _similar(samples: pa.ChunkedArray, name: str) -> str:
    """What to do about an id of a labels file that no sample has."""
    sought = folded(name)
    twin = next((sample for sample in samples.to_pylist() if folded(sample) == sought), None)
    if twin is not None:
        return f"use the id {quoted_ascii(twin)}, which differs only in case or composition"
    below = samples.filter(pc.ends_with(samples, f"/{name}"))
    if len(below):
        return f"ids contain the folders: use {quoted(below[0].as_py())}"
    examples = ", ".join(quoted(sample.as_py()) for sample in samples.slice(0, _EXAMPLES))
    return f"ids of the data: {examples}{', …' if len(samples) > _EXAMPLES else ''}"
