"""Parts as Parquet files (docs/format/manifest.md, "Part file").

The file is one way to write a part, not its identity: writers differ, so what is signed is the
digest of the block list, and the file's digest only says which bytes to fetch.
"""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.bounds import LIMITS
from provreg.core.entry import ENTRY
from provreg.core.root import PART_MAX_ENTRIES
from provreg.errors import FormatError
from provreg.store.part_form import check_form

_NAMES = [field.name for field in ENTRY if pa.types.is_dictionary(field.type)]
_FILE_SCHEMA = pa.schema(
    [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in ENTRY
    ]
)
# 37.9 bytes an entry at 10,000,000 path-like ids; DuckDB cannot read BYTE_STREAM_SPLIT here.
_ENCODINGS = {"id": "DELTA_BYTE_ARRAY", "size": "DELTA_BINARY_PACKED", "content": "PLAIN"}
# A page can hold one long text and say it 200,000 times; what the file says of its size is only its
# word. Rows unfold this many at a time: 10 instead of 5 ms for 64,000 entries.
_BATCH = 1024


def write_part(entries: pa.Table) -> bytes:
    """The Parquet bytes of one part; `entries` have the schema `core.entry.ENTRY`."""
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(
        entries.cast(_FILE_SCHEMA),
        sink,
        row_group_size=PART_MAX_ENTRIES,
        compression="zstd",
        compression_level=3,
        use_dictionary=_NAMES,
        column_encoding=_ENCODINGS,
        write_statistics=["id"],
        store_schema=False,
    )
    return sink.getvalue()


def read_part(data: bytes, *, rows: int) -> pa.Table:
    """The entries of a part file whose digest has been checked, one chunk a column.

    Raises FormatError for anything but a Parquet file of exactly these columns with `rows` rows
    and bounded size when decompressed. What the entries say is not checked here.
    """
    # Late: it brings all of pyarrow's file systems, and checked parts are mostly mapped already.
    import pyarrow.parquet as pq

    try:
        # Arrow sees nothing of the footer that is not looked at here.
        footer = pq.read_metadata(pa.BufferReader(check_form(data, rows)))
        file = pq.ParquetFile(pa.BufferReader(data), metadata=footer, read_dictionary=_NAMES)
        if not file.schema_arrow.equals(ENTRY):
            raise FormatError("a part file does not have the columns of an entry")
        batches = []
        for batch in file.iter_batches(batch_size=_BATCH, use_threads=False):
            _check_lengths(batch)
            batches.append(batch)
        entries = pa.Table.from_batches(batches, ENTRY).unify_dictionaries().combine_chunks()
        entries.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise FormatError(f"a part file is not readable Parquet: {error}") from None
    if entries.num_rows != rows:
        raise FormatError(f"a part file has {entries.num_rows} rows, its head says {rows}")
    return entries


def _check_lengths(batch: pa.RecordBatch) -> None:
    """Refuses texts no entry may hold, while few of them are unfolded: see `_BATCH`."""
    for name, limit in LIMITS.items():
        column = batch.column(name)
        texts = column.dictionary if pa.types.is_dictionary(column.type) else column
        if (pc.max(pc.binary_length(texts)).as_py() or 0) > limit:
            raise FormatError(f"a part file has a longer {name} than the {limit} bytes allowed")
