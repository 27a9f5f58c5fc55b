"""Reading the text rows of `make_rows` in batches: with pyarrow alone, and through the loader.

Batches are only counted while the clock runs; another pass then digests what they hold. A process
reads all rows several times, as epochs do: `seconds` is the median of the later passes, `first` the
first one.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.tasks import timed
from provreg import load
from provreg.loaders.arrow import reader

_LATER = 5
_Batches = Callable[[], Iterable[pa.RecordBatch]]


def read_rows_plain(path: str) -> dict[str, Any]:
    """pyarrow's own batches of a Parquet file, with its own settings."""
    return _passes(lambda: pq.ParquetFile(path).iter_batches())


def read_rows_verified(path: str, registry: str, public: str) -> dict[str, Any]:
    """The rows that were ingested as `data` with `--id key --label class`, verified before."""
    samples = load("data", data=Path(path), registry=Path(registry), key=Path(public))
    return _passes(lambda: reader(samples))


def _passes(batches: _Batches) -> dict[str, Any]:
    first, rows = timed(lambda: _rows(batches()))
    later = [timed(lambda: _rows(batches()))[0] for _ in range(_LATER)]
    seconds = statistics.median(later)
    return {"seconds": seconds, "first": first, "rows": rows, "texts": _texts(batches())}


def _rows(batches: Iterable[pa.RecordBatch]) -> int:
    return sum(batch.num_rows for batch in batches)


def _texts(batches: Iterable[pa.RecordBatch]) -> str:
    """SHA-256 over the texts, a line each, in their order."""
    found = hashlib.sha256()
    for batch in batches:
        found.update("".join(f"{text}\n" for text in batch.column("text").to_pylist()).encode())
    return found.hexdigest()
