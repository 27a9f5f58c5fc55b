"""Perceptual hashes of pictures by their content, computed once and kept in the private cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from blake3 import blake3

from provreg.store.private.folders import read_private, replace_private

SCHEMA = pa.schema([("content", pa.binary(32)), ("phash", pa.uint64()), ("dhash", pa.uint64())])
_DIGEST = 32
# Another number where the hashes of the same bytes would differ.
_NAME = "pictures-1"
_MOST_BYTES = 1 << 33


class PictureHashes:
    """The hashes in `folder`, which must be private to the user."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME

    def load(self) -> pa.Table:
        """All hashes, of SCHEMA, each content once; none where the file is gone or damaged.

        A hash is null where a picture shows nothing to tell it by, or cannot be decoded.
        """
        data = read_private(self._path, _MOST_BYTES)
        if data is None or blake3(data[_DIGEST:]).digest() != data[:_DIGEST]:
            return SCHEMA.empty_table()
        return pa.ipc.open_stream(memoryview(data)[_DIGEST:]).read_all()

    def add(self, hashes: pa.Table) -> pa.Table:
        """All hashes, with `hashes` (of SCHEMA) of contents that were not there before.

        What another process adds at the same time may be lost, and is computed again. Raises
        StorageError.
        """
        both = pa.concat_tables([self.load(), hashes]).combine_chunks()
        contents = both.column("content").combine_chunks().dictionary_encode()
        first = np.unique(contents.indices.to_numpy(), return_index=True)[1]
        known = both.take(pa.array(np.sort(first)))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SCHEMA) as writer:
            writer.write_table(known)
        data = sink.getvalue().to_pybytes()
        replace_private(self._path, blake3(data).digest() + data)
        return known
