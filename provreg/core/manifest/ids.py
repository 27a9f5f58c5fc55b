"""Which ids hold characters that no id may hold."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.manifest.bounds import UNSAFE_IN_IDS


def unsafe_ids(ids: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Where `ids` (text) hold a control or bidirectional character."""
    # Nearly all ids are printable ASCII, which can be seen in a tenth of the expression's time.
    printable = pc.ascii_is_printable(ids)
    if pc.all(printable).as_py():
        return pc.invert(printable)
    return pc.match_substring_regex(ids, UNSAFE_IN_IDS)
