"""The columns of an entry (docs/format/manifest.md, "Entry"), in memory and as a reader gives them.

In memory the repetitive texts are dictionaries; in Parquet files they are plain texts.
"""

from __future__ import annotations

import pyarrow as pa

from provreg.core.text import UNSAFE_CHARACTERS

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

# What a reader yields: entries before their origin is known. Labels are still whole texts.
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
        pa.field("content_sha256", DIGEST),
        pa.field("attrs", pa.string()),
    ]
)

# Most bytes of UTF-8 in each text column.
LIMITS = {"id": 4096, "label": 1024, "source": 256, "labeler": 256, "split": 256, "uri": 8192,
          "attrs": 4096}  # fmt: skip

MAX_ANNOTATIONS = 1024
# Microseconds of 0001-01-01T00:00:00 and 9999-12-31T23:59:59.999999, UTC: what calendars can show.
FIRST_TIME, LAST_TIME = -62_135_596_800_000_000, 253_402_300_799_999_999

# For RE2 (pyarrow.compute.match_substring_regex): characters no id may hold.
UNSAFE_IN_IDS = f"[{UNSAFE_CHARACTERS}]"
