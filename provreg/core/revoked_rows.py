"""Which samples of a version are revoked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.entry_columns import Mask, Rows, plain, take_entries, unequal, whole
from provreg.core.revocation import RevokedSamples

# What makes a sample the same one, of which a source or a labeler has said no more since.
_BROUGHT: Mapping[str, tuple[str, ...]] = {
    "source": ("content", "source"),
    "labeler": ("content", "label", "label_digest", "labeler"),
}


def revoked_mask(
    entries: pa.Table,
    revoked: Sequence[RevokedSamples],
    version: int,
    before: Mapping[int, pa.Table | None],
) -> Mask:
    """Which of `entries`, those of version `version`, are revoked: one bool each, in their order.

    `before` has, for each `since` above 1, the entries of the newest version on the line that is
    numbered lower, None where there is none. A sample that stood there already, with the same
    bytes from the same source (or the same label by the same labeler), is not of the revoked time.
    """
    mask = np.zeros(entries.num_rows, np.bool_)
    for one in revoked:
        if version < one.since:
            continue
        named = pc.fill_null(pc.equal(plain(entries.column(one.by)), one.name), False)
        rows = np.flatnonzero(named.to_numpy(zero_copy_only=False))
        earlier = before.get(one.since) if one.since > 1 else None
        if earlier is not None and len(rows):
            rows = rows[~_stood(entries, earlier, rows, _BROUGHT[one.by])]
        mask[rows] = True
    return mask


def _stood(entries: pa.Table, earlier: pa.Table, rows: Rows, columns: Sequence[str]) -> Mask:
    """Which of `rows` of `entries` stand in `earlier` under the same id, equal in `columns`."""
    ids = pc.take(entries.column("id"), pa.array(rows))
    found = pc.index_in(ids, value_set=whole(earlier.column("id")))
    places = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    there = places >= 0
    old = take_entries(earlier.select(columns), places[there])
    new = take_entries(entries.select(columns), rows[there])
    differ = np.zeros(np.count_nonzero(there), np.bool_)
    for name in columns:
        differ |= unequal(old.column(name), new.column(name))
    stood = np.zeros(len(rows), np.bool_)
    stood[there] = ~differ
    return stood
