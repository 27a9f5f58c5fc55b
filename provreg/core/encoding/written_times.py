"""How moments are written, whatever year they are in: Python's own are of the years 1 to 9999."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def written_times(times: pa.Array) -> pa.Array:
    """Timestamps without a zone as RFC 3339 has them, with as many digits as are needed."""
    text = pc.replace_substring(times.cast(pa.string()), " ", "T")
    text = pc.replace_substring_regex(text, r"(\.[0-9]*[1-9])0+\z", r"\1")
    return pc.replace_substring_regex(text, r"\.0+\z", "")


def written_moments(times: pa.Array) -> pa.Array:
    """Timestamps of UTC as RFC 3339 has them: 2026-01-31T12:00:00Z."""
    naive = times.cast(pa.timestamp(times.type.unit))
    return pc.binary_join_element_wise(written_times(naive), "Z", "")
