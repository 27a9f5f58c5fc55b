"""Labels that are too long for an entry, which then holds their digest."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from provreg.core.manifest.bounds import LIMITS
from provreg.core.manifest.columns import whole
from provreg.core.manifest.entry import DIGEST
from provreg.core.manifest.nulls import nulls


def split_long_labels(labels: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """(label, label_digest): labels over 1,024 bytes are replaced by the BLAKE3 of their text."""
    texts = whole(labels)
    long = pc.fill_null(pc.greater(pc.binary_length(texts), LIMITS["label"]), False)
    if not pc.any(long).as_py():
        return texts, nulls(DIGEST, len(texts))
    digests = [
        blake3(label.encode()).digest() if is_long else None
        for label, is_long in zip(texts.to_pylist(), long.to_pylist(), strict=True)
    ]
    return pc.if_else(long, pa.scalar(None, pa.string()), texts), pa.array(digests, DIGEST)
