"""Samples that are kept while more are read."""

from __future__ import annotations

import pyarrow as pa

from provreg.core.manifest.columns import combine_tables
from provreg.core.manifest.entry import SAMPLE

_ROWS = 1 << 16


class Chunks:
    """Batches of samples, kept as chunks of some 65,536 rows however small the batches are.

    They are copied into Arrow's memory: batches that came from another process are many pieces of
    Python's, which the system does not get back.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._chunks: list[pa.Table] = []
        self._waiting: list[pa.RecordBatch] = []

    def add(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows
        self._waiting.append(batch)
        if sum(one.num_rows for one in self._waiting) >= _ROWS:
            self._join()

    def to_table(self) -> pa.Table:
        """All samples that were added, at least one; they are kept no more."""
        self._join()
        chunks, self._chunks = self._chunks, []
        return pa.concat_tables(chunks)

    def _join(self) -> None:
        if self._waiting:
            self._chunks.append(combine_tables([pa.Table.from_batches(self._waiting, SAMPLE)]))
            self._waiting.clear()
