"""Hashes of samples by their content, computed once and kept in the private cache: perceptual
hashes of pictures, signatures of texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from blake3 import blake3

from provreg.store.private.folders import read_private, replace_private

_CONTENT = ("content", pa.binary(32))
# A hash is null where a picture shows nothing to tell it by, or cannot be decoded.
PICTURES = pa.schema([_CONTENT, ("phash", pa.uint64()), ("dhash", pa.uint64())])
# The 16 words of a signature are null where a text is too short to have one.
TEXTS = pa.schema(
    [_CONTENT, ("is_text", pa.bool_()), *((f"band_{n}", pa.uint64()) for n in range(16))]
)
_DIGEST = 32
_MOST_BYTES = 1 << 33


class ContentHashes:
    """The hashes of `schema` in the file `name` of `folder`, which must be private to the user.

    The name must be another one where the hashes of the same bytes would differ.
    """

    def __init__(self, folder: Path, name: str, schema: pa.Schema) -> None:
        self._path = folder / name
        self._schema = schema

    def load(self) -> pa.Table:
        """All hashes, each content once; none where the file is gone or damaged."""
        data = read_private(self._path, _MOST_BYTES)
        if data is None or blake3(data[_DIGEST:]).digest() != data[:_DIGEST]:
            return self._schema.empty_table()
        return pa.ipc.open_stream(memoryview(data)[_DIGEST:]).read_all()

    def add(self, hashes: pa.Table) -> pa.Table:
        """All hashes, with `hashes` of contents that were not there before.

        What another process adds at the same time may be lost, and is computed again. Raises
        StorageError.
        """
        both = pa.concat_tables([self.load(), hashes]).combine_chunks()
        contents = both.column("content").combine_chunks().dictionary_encode()
        first = np.unique(contents.indices.to_numpy(), return_index=True)[1]
        known = both.take(pa.array(np.sort(first)))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self._schema) as writer:
            writer.write_table(known)
        data = sink.getvalue().to_pybytes()
        replace_private(self._path, blake3(data).digest() + data)
        return known
