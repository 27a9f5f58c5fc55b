"""Checking a `datasets.Dataset` that came from elsewhere against a verified version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from blake3 import blake3

from provreg.core.encoding.text import printable, quoted
from provreg.core.manifest.data_fields import DataFields
from provreg.core.manifest.entry import DIGEST, SAMPLE
from provreg.core.rows.arrow_types import columns_from_arrow, to_storage_types
from provreg.core.rows.column import FILE, Column, columns_from_json
from provreg.errors import Finding, InputError, NotTrustedError, RevokedError, UsageError
from provreg.flows.reading.samples import reader_settings
from provreg.flows.verify.steps import VerifiedVersion
from provreg.loaders.passes.matching import Matching
from provreg.loaders.selection import why_revoked
from provreg.readers.data_files.source_file import ValueMismatchError
from provreg.readers.huggingface.huggingface import signed_features
from provreg.readers.tables.features import features_of, plain_batch, plain_schema
from provreg.readers.tables.named_files.delivered import hash_delivered
from provreg.readers.tables.options import ROLES, TableOptions
from provreg.readers.tables.samples import content_ids, samples_of
from provreg.readers.tables.signed_features import (
    MEDIA,
    Feature,
    difference,
    extra_features,
    written,
)

if TYPE_CHECKING:
    import datasets

    from provreg.core.manifest.head import Head
    from provreg.loaders.samples import VerifiedSamples

_BATCH = 1024
_SHOWN = 3


def verify_dataset(
    dataset: datasets.Dataset,
    signed: VerifiedSamples | VerifiedVersion,
    columns: Mapping[str, str] | None = None,
) -> None:
    """Checks that the rows of `dataset` are exactly the samples that are `signed`.

    `signed` is the result of `provreg.load`, with its selection and without excluded samples, or a
    whole version. The payload's columns have the same names as in the version; for a version of
    files it is the one column of images, audio or bytes. Ids and labels are compared if the dataset
    has them: in the columns that `columns` names for `id` and `label`, in those of the version's
    data, or in columns named `id` and `label`. Only the current rows are checked, not later results
    of `map`.

    Raises NotTrustedError (step 12) with a finding for every row that is not as signed (its
    `found_id` is `row N`, from 0), every missing sample, and every column whose features differ
    from the signed ones; RevokedError (step 8) for a version with revoked samples; UsageError for a
    missing or unsigned column, and for a dataset with a format other than Arrow; InputError for
    rows that cannot be hashed, such as an image that is a path without its bytes.
    """
    if dataset.format["type"] not in {None, "arrow"} or dataset.format["format_kwargs"]:
        raise UsageError(
            "the dataset has a format, which changes the values of its rows",
            hint="call dataset.reset_format(), check the dataset, then set the format",
        )
    schema = dataset.features.arrow_schema
    features = features_of(schema)
    found = {column.name: column for column in columns_from_arrow(plain_schema(schema))}
    if isinstance(signed, VerifiedVersion):
        _refuse_revoked(signed)
    reader = _reader(found, signed.head.reading, dict(columns or {}))
    classes = signed.head.classes if isinstance(signed, VerifiedVersion) else signed.classes
    _check_features(
        extra_features(schema, features), signed.reference, signed.head, classes, reader
    )
    matching = Matching(
        signed.reference,
        signed.entries,
        ids_read=reader.id is not None,
        told=DataFields(("label",) if reader.label is not None else ()),
    )
    findings: list[Finding] = []
    row = 0
    for table in dataset.with_format("arrow").iter(_BATCH):
        for batch in table.combine_chunks().to_batches():
            try:
                samples = reader.samples(plain_batch(to_storage_types(batch), features))
            except ValueMismatchError as misfit:
                place = f"row {row + misfit.row}"
                raise InputError(
                    f"{place}: {misfit.complaint}", hint=misfit.hint, sample=place
                ) from None
            findings += (
                replace(matching.finding(samples, at), found_id=f"row {row + at}")
                for at in np.flatnonzero(matching.match(samples).rows < 0).tolist()
            )
            row += batch.num_rows
    findings += matching.missing_findings(matching.missing())
    if findings:
        raise _differs(signed.reference, findings)


def _refuse_revoked(version: VerifiedVersion) -> None:
    if version.chain.of(version.head):
        raise RevokedError(
            f"samples of {version.reference} are revoked: {why_revoked(version)}",
            step=8,
            hint="pass the result of provreg.load, which excludes or includes them"
            " (exclude_revoked), instead of the version",
        )


def _check_features(
    features: Iterable[Feature],
    reference: str,
    head: Head,
    classes: Sequence[str],
    reader: _RowReader,
) -> None:
    """Raises NotTrustedError if features of the dataset decode to other than the signed values."""
    compared = ((feature, _difference(feature, head, classes, reader)) for feature in features)
    findings = [
        Finding("changed", printable(feature.at[0] or ""), detail=complaint)
        for feature, complaint in compared
        if complaint is not None
    ]
    if findings:
        raise NotTrustedError(
            f"the dataset differs from {reference}: {findings[0].detail}",
            step=12,
            hint="load the version with provreg.loaders.huggingface.dataset, or cast the column to"
            " the signed feature: dataset.cast_column",
            findings=tuple(findings),
        )


def _difference(
    feature: Feature, head: Head, classes: Sequence[str], reader: _RowReader
) -> str | None:
    """How a feature of the dataset differs from the signed one, None if it does not."""
    if feature.kind in MEDIA and feature.parameters.get("decode") is False:
        return None  # their bytes
    column = feature.at[0]
    reading: Mapping[str, Any] = head.reading
    for role, own in (("id", reader.id), ("label", reader.label)):
        if own is not None and own.name == column:
            column = reading.get(role)
            if role == "label" and head.label_type == "class":
                names = replace(feature, parameters={"names": list(classes)})
                return difference([names], [feature])
    place = (column, *feature.at[1:])
    signed = [each for each in signed_features(reader_settings(reading)) if each.at == place]
    if signed:
        return difference(signed, [replace(feature, at=signed[0].at)])
    if feature.kind in {"Json", *MEDIA} and not feature.parameters:
        return None  # as usual
    return f"the feature {feature.kind} of {written(feature.at)} is not signed"


def _differs(reference: str, findings: list[Finding]) -> NotTrustedError:
    kinds = Counter(finding.kind for finding in findings)
    first = "; ".join(
        " ".join(filter(None, (finding.found_id, finding.kind, quoted(finding.id))))
        for finding in findings[:_SHOWN]
    )
    counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
    return NotTrustedError(
        f"the dataset differs from {reference}: {counts} (first: {first})",
        step=12,
        hint="do not train on it; load the version with provreg.loaders.huggingface.dataset",
        findings=tuple(findings),
    )


@dataclass(frozen=True, slots=True)
class _RowReader:
    """How rows are read as samples: the payload's columns, and those of ids and labels."""

    payload: tuple[Column, ...]
    are_files: bool
    id: Column | None
    label: Column | None

    def samples(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch of the schema SAMPLE. Raises ValueMismatchError, InputError."""
        columns = dict.fromkeys((*self.payload, *(one for one in (self.id, self.label) if one)))
        options = TableOptions(
            id=None if self.id is None else self.id.name,
            label=None if self.label is None else self.label.name,
            columns=tuple(columns),
        )
        samples = samples_of(batch, options, partial(hash_delivered, named_by=options.id))
        if self.are_files:
            contents, sizes = _hash_files(batch.column(self.payload[0].name))
            samples = samples.set_column(1, SAMPLE.field("content"), contents)
            samples = samples.set_column(2, SAMPLE.field("size"), sizes)
        if self.id is None:
            ids = content_ids(samples.column("content"))
            samples = samples.set_column(0, SAMPLE.field("id"), ids)
        return samples


def _reader(
    found: dict[str, Column], reading: Mapping[str, Any], given: dict[str, str]
) -> _RowReader:
    """How rows with the columns `found` are read as samples of a version with `reading`."""
    for role, name in given.items():
        if role not in ("id", "label") or name not in found:
            raise UsageError(f"columns: there is no column {quoted(name)} for {quoted(role)}")
    signed: tuple[Column, ...] = ()
    if "columns" in reading:
        roles = {reading.get(role) for role in ROLES}
        columns = columns_from_json(reading["columns"], "head.reading.columns")
        signed = tuple(one for one in columns if one.name not in roles or one.type == FILE)
    payload = {column.name for column in signed}
    chosen: dict[str, Column | None] = {}
    for role in ("id", "label"):
        names = (given.get(role), reading.get(role), role)
        there = (found[name] for name in names if name in found and name not in payload)
        chosen[role] = next(there, None)
    if chosen["id"] is None:  # files may be named by their ids
        chosen["id"] = next((one for one in signed if one.name == reading.get("id")), None)
    taken = {column.name for column in chosen.values() if column}
    others = [column for name, column in found.items() if name not in taken | payload]
    if not signed and len(others) == 1:
        return _RowReader((others[0],), True, **chosen)
    missing = sorted(payload - found.keys())
    if missing or not signed:
        raise UsageError(f"the dataset lacks the column {quoted((missing or ['image'])[0])}")
    if others:
        raise UsageError(
            f"the column {quoted(others[0].name)} is not signed",
            hint="check the dataset without it: dataset.remove_columns(…)",
        )
    return _RowReader(signed, False, **chosen)


def _hash_files(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Digests and sizes of files."""
    if pa.types.is_struct(column.type):
        column = column.field("bytes")
    if column.null_count:
        raise InputError("a row has no bytes, only a path", hint="embed the files in the dataset")
    payloads = column.to_pylist()
    digests = [blake3(payload).digest() for payload in payloads]
    return pa.array(digests, DIGEST), pa.array(map(len, payloads), pa.uint64())
