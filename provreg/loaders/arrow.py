"""Verified tables in Arrow: record batches as they are read, or all of them as one table.

Every batch is hashed and compared before it is handed on, and those same bytes are handed on.
Arrow comes with provreg: no extra is needed.
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

# Columns of entries to hand on; as a mapping, with the names they get.
Signed: TypeAlias = Sequence[str] | Mapping[str, str]


def reader(samples: VerifiedSamples, signed: Signed = ("label",)) -> pa.RecordBatchReader:
    """The rows of a table version in batches, in the order of the data.

    The columns are those of the payload, typed by the version's column schema, then those `signed`
    of each row: `id`, `label`, `source`, `labeler`, `labeled_at`, `split` or any other column of an
    entry; a mapping gives them names of their own.

    Reading raises SampleError before the first batch with a row that is not as signed is handed on,
    at the end NotTrustedError (step 12) where rows are missing, and InputError for a value that
    does not fit its column. Raises UsageError for samples that are not rows, for a column that
    entries do not have and for a name that stands twice.
    """
    schema, batches = typed(samples, named(signed))
    return pa.RecordBatchReader.from_batches(schema, (batch for _, batch in batches))


def table(samples: VerifiedSamples, signed: Signed = ("label",)) -> pa.Table:
    """As `reader`, all at once: nothing is handed on unless everything is as signed."""
    return reader(samples, signed).read_all()


def typed(
    samples: VerifiedSamples, names: Mapping[str, str]
) -> tuple[pa.Schema, Iterator[tuple[VerifiedBatch, pa.RecordBatch]]]:
    """What `reader` reads, and beside each batch what it was made of; for other loaders.

    `names` are columns of entries and what they are called.
    """
    batches = samples.batches()
    first = next(batches)
    if not isinstance(first.payloads, pa.RecordBatch):
        raise UsageError(
            f"the samples of {samples.reference} are not rows of a table",
            hint="docs/guides/loaders.md shows the loaders for files and shards",
        )
    reading = samples.head.reading
    if "package" in reading:  # Its rows come in the types that they are held in.
        columns = columns_from_arrow(first.payloads.schema)
    else:
        columns = columns_from_json(reading["columns"], "head.reading.columns")
    types = {column.name: to_arrow(column.type) for column in columns}
    schema = pa.schema(
        [(name, types[name]) for name in first.payloads.schema.names]
        + [(name, _signed_type(column)) for column, name in names.items()]
    )
    check_names(schema.names)
    ahead = chain([first], batches)
    return schema, ((batch, _typed(batch, schema, names)) for batch in ahead)


def check_names(names: Sequence[str]) -> None:
    """Raises UsageError where a name stands twice."""
    for name, times in Counter(names).items():
        if times > 1:
            raise UsageError(
                f"there would be two columns {quoted(name)}",
                hint=f"give what is signed another name: signed={{'label': 'signed_{name}'}}",
            )


def named(signed: Signed) -> dict[str, str]:
    """The columns of entries that `signed` asks for, and the names they get."""
    return dict(signed) if isinstance(signed, Mapping) else {name: name for name in signed}


def _signed_type(column: str) -> pa.DataType:
    if column not in ENTRY.names:
        raise UsageError(
            f"{quoted(column)} is not signed of samples",
            hint="signed are " + ", ".join(ENTRY.names),
        )
    held = ENTRY.field(column).type
    return held.value_type if pa.types.is_dictionary(held) else held


def _typed(batch: VerifiedBatch, schema: pa.Schema, names: Mapping[str, str]) -> pa.RecordBatch:
    payloads: pa.RecordBatch = batch.payloads
    arrays = [*payloads.columns, *(whole(batch.signed(column)) for column in names)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
