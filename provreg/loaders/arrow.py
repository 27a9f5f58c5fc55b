"""Verified tables in Arrow: record batches as they are read, or all of them as one table.

Every batch is hashed and compared before those same bytes are delivered. No extra is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from provreg.core.encoding.text import quoted
from provreg.core.manifest.columns import whole
from provreg.core.manifest.entry import ENTRY
from provreg.core.rows.arrow_types import columns_from_arrow, to_arrow
from provreg.core.rows.column import columns_from_json
from provreg.errors import UsageError

if TYPE_CHECKING:
    from provreg.loaders.passes.batches import VerifiedBatch
    from provreg.loaders.samples import VerifiedSamples

# Columns of entries to deliver; a mapping renames them.
Signed: TypeAlias = Sequence[str] | Mapping[str, str]


def reader(samples: VerifiedSamples, signed: Signed = ("label",)) -> pa.RecordBatchReader:
    """The rows of a table version in batches, in the order of the data.

    The columns are those of the payload, typed by the version's column schema, then the columns
    `signed` of the entries: `id`, `label`, `source`, `labeler`, `labeled_at`, `split` or any other;
    a mapping renames them.

    Reading raises SampleError before it delivers a batch with a row that is not as signed, at the
    end NotTrustedError (step 12) if rows are missing, and InputError for a value that does not fit
    its column. Raises UsageError for samples that are not rows, and for an unknown or duplicate
    column name.
    """
    schema, batches = typed_batches(samples, column_names(signed))
    return pa.RecordBatchReader.from_batches(schema, (batch for _, batch in batches))


def table(samples: VerifiedSamples, signed: Signed = ("label",)) -> pa.Table:
    """As `reader`, all at once: nothing is returned unless everything is as signed."""
    return reader(samples, signed).read_all()


def typed_batches(
    samples: VerifiedSamples, names: Mapping[str, str]
) -> tuple[pa.Schema, Iterator[tuple[VerifiedBatch, pa.RecordBatch]]]:
    """(schema, pairs of a verified batch and its rows in that schema), for other loaders.

    `names` maps columns of entries to the names of columns.
    """
    batches = samples.batches()
    first = next(batches)
    if not isinstance(first.payloads, pa.RecordBatch):
        raise UsageError(
            f"the samples of {samples.reference} are not rows of a table",
            hint="provreg.loaders.torch has datasets of files, provreg.loaders.webdataset of"
            " shards",
        )
    reading = samples.head.reading
    if "package" in reading:  # A plug-in delivers rows in their storage types.
        columns = columns_from_arrow(first.payloads.schema)
    else:
        columns = columns_from_json(reading["columns"], "head.reading.columns")
    types = {column.name: to_arrow(column.type) for column in columns}
    schema = pa.schema(
        [(name, types[name]) for name in first.payloads.schema.names]
        + [(name, _signed_type(column)) for column, name in names.items()]
    )
    check_unique(schema.names)
    every_batch = chain([first], batches)
    return schema, ((batch, _typed(batch, schema, names)) for batch in every_batch)


def check_unique(names: Sequence[str]) -> None:
    """Raises UsageError for a duplicate name."""
    for name, times in Counter(names).items():
        if times > 1:
            raise UsageError(
                f"duplicate column name {quoted(name)}",
                hint=f"rename the signed column: signed={{'label': 'signed_{name}'}}",
            )


def column_names(signed: Signed) -> dict[str, str]:
    """`signed` as a mapping from columns of entries to names."""
    return dict(signed) if isinstance(signed, Mapping) else {name: name for name in signed}


def _signed_type(column: str) -> pa.DataType:
    if column not in ENTRY.names:
        raise UsageError(
            f"unknown signed column: {quoted(column)}",
            hint="choose among " + ", ".join(ENTRY.names),
        )
    held = ENTRY.field(column).type
    return held.value_type if pa.types.is_dictionary(held) else held


def _typed(batch: VerifiedBatch, schema: pa.Schema, names: Mapping[str, str]) -> pa.RecordBatch:
    payloads: pa.RecordBatch = batch.payloads
    arrays = [*payloads.columns, *(whole(batch.signed(column)) for column in names)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
