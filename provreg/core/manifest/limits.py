"""Limits of entries and parts (docs/format/manifest.md, "Entry" and "Cuts")."""

from __future__ import annotations

from provreg.core.encoding.text import UNSAFE_CHARACTERS

# Maximum bytes of UTF-8 in each text column.
LIMITS = {"id": 4096, "label": 1024, "source": 256, "labeler": 256, "split": 256, "uri": 8192,
          "attrs": 4096}  # fmt: skip

PART_MAX_ENTRIES = 1 << 18
MAX_ANNOTATIONS = 1024
# Microseconds of 0001-01-01T00:00:00 and 9999-12-31T23:59:59.999999, UTC.
FIRST_TIME, LAST_TIME = -62_135_596_800_000_000, 253_402_300_799_999_999

# Characters that no id may have, for RE2 (pyarrow.compute.match_substring_regex).
UNSAFE_IN_IDS = f"[{UNSAFE_CHARACTERS}]"
