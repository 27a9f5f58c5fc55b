"""Parts as Parquet files (docs/format/manifest.md, "Part file").

The file is one way to write a part, not its identity: writers differ, so what is signed is the
digest of the block list, and the file's digest only says which bytes to fetch.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.limits import LIMITS, PART_MAX_ENTRIES
from provreg.errors import FormatError
from provreg.store.registry.part_form import check_form, most_unfolded

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow.parquet as pq

_NAMES = [field.name for field in ENTRY if pa.types.is_dictionary(field.type)]
_FILE_SCHEMA = pa.schema(
    [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in ENTRY
    ]
)
# 37.9 bytes an entry at 10,000,000 path-like ids; DuckDB cannot read BYTE_STREAM_SPLIT here.
_ENCODINGS = {"id": "DELTA_BYTE_ARRAY", "size": "DELTA_BINARY_PACKED", "content": "PLAIN"}
# Texts of DELTA_BYTE_ARRAY repeat what is before them: so many bytes of them unfold together, and
# so many rows.
_BYTES_TOGETHER, _ROWS_TOGETHER = 1 << 27, 1 << 13


def write_part(entries: pa.Table) -> bytes:
    """The Parquet bytes of one part; `entries` have the schema `core.manifest.entry.ENTRY`.

    Raises FormatError where they unfold to more than a reader takes.
    """
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
    data = sink.getvalue()
    check_form(data, entries.num_rows)
    _check_sum(sum(_bytes_of(texts) for _, texts in _unfolding(entries)), len(data))
    return data


def read_part(data: bytes, *, rows: int) -> pa.Table:
    """The entries of a part file whose digest has been checked, one chunk a column.

    Raises FormatError for anything but a Parquet file of exactly these columns with `rows` rows
    and bounded size when decompressed. What the entries say is not checked here.
    """
    # Late: it brings all of pyarrow's file systems, and checked parts are mostly mapped already.
    import pyarrow.parquet as pq

    try:
        form = check_form(data, rows)
        # Arrow sees nothing of the footer that is not looked at here.
        footer = pq.read_metadata(pa.BufferReader(form.footer))
        # No text is unfolded before the lengths in its dictionary are known.
        paths = [footer.schema.column(number).path for number in form.dictionaries]
        file = pq.ParquetFile(
            pa.BufferReader(data), metadata=footer, read_dictionary=[*_NAMES, *paths]
        )
        if "id" in paths:
            found = file.read(use_threads=False)
        else:
            ids = _ids(file, form.pages[0], len(data))
            found = file.read(ENTRY.names[1:], use_threads=False).add_column(0, "id", ids)
        _check_texts(found, len(data))
        columns = [found.column(field.name).cast(field.type) for field in ENTRY]
        entries = pa.Table.from_arrays(columns, schema=ENTRY)
        entries = entries.unify_dictionaries().combine_chunks()
        entries.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise FormatError(f"a part file is not readable Parquet: {error}") from None
    if entries.num_rows != rows:
        raise FormatError(f"a part file has {entries.num_rows} rows, its head says {rows}")
    return entries


def _ids(file: pq.ParquetFile, page: int, size: int) -> pa.ChunkedArray:
    """The ids of a part file that has no dictionary of them; none is longer than its `page`."""
    together = min(_ROWS_TOGETHER, max(1, _BYTES_TOGETHER // max(1, page)))
    chunks, texts = [], 0
    for batch in file.iter_batches(together, columns=["id"], use_threads=False):
        ids = batch.column("id")
        _check_lengths("id", ids)
        texts += _bytes_of(ids)
        _check_sum(texts, size)
        chunks.append(ids)
    return pa.chunked_array(chunks, pa.string())


def _check_texts(entries: pa.Table, size: int) -> None:
    """Refuses texts no entry may hold, and more of them than a file of `size` bytes may say."""
    for name in _NAMES:
        for chunk in entries.column(name).chunks:
            _check_lengths(name, chunk)
    texts = 0
    for name, chunk in _unfolding(entries):
        _check_lengths(name, chunk)
        texts += _bytes_of(chunk)
    _check_sum(texts, size)


def _unfolding(entries: pa.Table) -> Iterator[tuple[str, pa.Array]]:
    """The texts that are no dictionaries in memory, by the name of their limit."""
    for name in ("id", "uri", "attrs"):
        yield from ((name, chunk) for chunk in entries.column(name).chunks)
    for chunk in entries.column("annotations").chunks:
        items = chunk.flatten()
        yield from ((name, items.field(name)) for name in ("label", "labeler"))


def _bytes_of(texts: pa.Array) -> int:
    if pa.types.is_dictionary(texts.type):
        # As wide as their sum: the lengths are of 32 bits.
        lengths = pc.cast(pc.binary_length(texts.dictionary), pa.int64()).take(texts.indices)
    else:
        lengths = pc.binary_length(texts)
    found: int = pc.sum(lengths).as_py() or 0
    return found


def _check_lengths(name: str, texts: pa.Array) -> None:
    limit = LIMITS[name]
    whole = texts.dictionary if pa.types.is_dictionary(texts.type) else texts
    if (pc.max(pc.binary_length(whole)).as_py() or 0) > limit:
        raise FormatError(f"a part file has a longer {name} than the {limit} bytes allowed")


def _check_sum(texts: int, size: int) -> None:
    if texts > most_unfolded(size):
        raise FormatError("a part file unfolds to more text than its size allows")
