"""The samples of a version whose hashes are not kept yet, and their bytes, verified."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from provreg.core.encoding.text import quoted
from provreg.errors import InputError, NotFoundError

# Larger files are not compared.
MOST_BYTES = 1 << 28
HINT = "`provreg verify --data` lists all differences"


def new_contents(
    entries: pa.Table, known: pa.Table, chosen: Callable[[str], bool] | None = None
) -> pa.Table:
    """(`content`, `id`) of each content of `entries` that is not in `known`, once; of ids that are
    `chosen`, by default all."""
    contents = entries.column("content").combine_chunks()
    kept = pc.is_in(contents, value_set=known.column("content").combine_chunks())
    small = pc.less_equal(entries.column("size").combine_chunks(), MOST_BYTES)
    new = entries.select(["id", "content"]).filter(pc.and_not(small, kept))
    if chosen is not None:
        new = new.filter(
            pa.array([chosen(name) for name in new.column("id").to_pylist()], pa.bool_())
        )
    once = new.group_by("content", use_threads=False).aggregate([("id", "min")])
    return once.rename_columns(["content", "id"])


def read_as_signed(files: Any, sample: str, content: bytes) -> bytes:
    """The bytes of `sample`, whose digest is `content`. Raises InputError for other bytes."""
    try:
        data: bytes = files.read(sample, limit=MOST_BYTES)
    except NotFoundError:
        raise InputError(
            f"{quoted(sample)} is not in the data",
            sample=sample,
            hint="name the folder that was ingested: --data",
        ) from None
    if blake3(data).digest() != content:
        raise InputError(f"{quoted(sample)} is not as signed", sample=sample, hint=HINT)
    return data
