"""The columns of an entry (docs/format/manifest.md, "Entry") and of a reader's sample.

In memory repetitive texts are dictionaries; in Parquet files they are plain texts.
"""

from __future__ import annotations

import pyarrow as pa

DIGEST = pa.binary(32)
TIMESTAMP = pa.timestamp("us", tz="UTC")
NAME = pa.dictionary(pa.int32(), pa.string())
ANNOTATIONS = pa.list_(
    pa.struct(
        [
            pa.field("label", pa.string()),
            pa.field("labeler", pa.string()),
            pa.field("labeled_at", TIMESTAMP),
        ]
    )
)

ENTRY = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("content", DIGEST, nullable=False),
        pa.field("size", pa.uint64(), nullable=False),
        pa.field("label", NAME),
        pa.field("label_digest", DIGEST),
        pa.field("source", NAME, nullable=False),
        pa.field("labeler", NAME),
        pa.field("labeled_at", TIMESTAMP),
        pa.field("split", NAME),
        pa.field("delivery", DIGEST),
        pa.field("annotations", ANNOTATIONS),
        pa.field("uri", pa.string()),
        pa.field("content_sha256", DIGEST),
        pa.field("attrs", pa.string()),
    ]
)
NO_ENTRIES = ENTRY.empty_table()

# What a reader returns: entries without a complete origin. Labels are not yet replaced by digests.
SAMPLE = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("content", DIGEST, nullable=False),
        pa.field("size", pa.uint64(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("source", pa.string()),
        pa.field("labeler", pa.string()),
        pa.field("labeled_at", TIMESTAMP),
        pa.field("split", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("content_sha256", DIGEST),
        pa.field("attrs", pa.string()),
    ]
)
