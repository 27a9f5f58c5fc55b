"""A table's rows with what is signed of them, in the order of the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from provreg.flows.reading import read_again, rows_again
from provreg.flows.verify_data import check_read
from provreg.loaders.manifest import Entry, SignedManifest


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its columns or bytes, the digest and label of them just read, and its entry, which
    is number `number` in the order of ids."""

    number: int
    payload: bytes | Mapping[str, Any]
    content: bytes
    label: str | None
    entry: Entry


def rows_as_signed(
    paths: Sequence[Path], manifest: SignedManifest, wanted: npt.NDArray[np.bool_] | None
) -> Iterator[Row]:
    """The rows of a table, those whose entry is `wanted` (None: all).

    The table is read twice: to know which samples its rows are, then to hand them on. The second
    reading hashes as well: whoever takes a row compares its `content`, so that the rows handed on
    are those that were hashed, whatever happened to the file in between. Raises NotTrustedError
    (step 12) where the first reading finds anything that is not as signed.
    """
    reading = manifest.head.reading
    read = read_again(paths, reading)
    entries = manifest.table()
    check_read(manifest.head, entries, read)
    signed = entries.select(Entry._fields)
    places = pc.index_in(read.row_ids, value_set=signed["id"].combine_chunks())
    start = 0
    for payloads, found in rows_again(paths, reading):
        at = places.slice(start, found.num_rows)
        start += found.num_rows
        keep = np.ones(len(at), np.bool_) if wanted is None else wanted[at.to_numpy()]
        kept = pa.array(keep)
        samples = found.select(("content", "label")).filter(kept)
        numbers = at.filter(kept)
        for number, payload, read_now, entry in zip(
            numbers.to_pylist(),
            _kept(payloads, keep),
            samples.to_pylist(),
            signed.take(numbers).to_pylist(),
            strict=True,
        ):
            yield Row(number, payload, read_now["content"], read_now["label"], Entry(**entry))


def _kept(
    payloads: pa.RecordBatch | Sequence[bytes], keep: npt.NDArray[np.bool_]
) -> Sequence[bytes | Mapping[str, Any]]:
    if isinstance(payloads, pa.RecordBatch):
        rows: list[Mapping[str, Any]] = payloads.filter(pa.array(keep)).to_pylist()
        return rows
    return [payload for payload, kept in zip(payloads, keep, strict=True) if kept]
