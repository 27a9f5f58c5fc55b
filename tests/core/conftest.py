"""Entries made by hand or by Hypothesis."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from blake3 import blake3

from provreg.core.manifest.entry import ENTRY


def make_entries(rows: list[dict[str, Any]]) -> pa.Table:
    """Entries from dicts with at least id; content may be given as text to hash."""
    filled = []
    for row in sorted(rows, key=lambda row: row["id"].encode()):
        payload = row.get("payload", row["id"]).encode()
        defaults = {"content": blake3(payload).digest(), "size": len(payload), "source": "s"}
        filled.append(defaults | {name: value for name, value in row.items() if name != "payload"})
    return pa.Table.from_pylist(filled, schema=ENTRY)


@pytest.fixture(name="make_entries")
def _make_entries() -> Any:
    return make_entries
