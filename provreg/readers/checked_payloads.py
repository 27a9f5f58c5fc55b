"""What a plugged reader hands on, which is hashed here before anybody gets it.

provreg's own readers hash what they hand on themselves. Others may take digests from elsewhere, an
index beside the data for one, or fall out of step: their payloads are believed to be nothing else
than what they hash to. And they are provreg's alone from then on, so that nobody changes them after
they were hashed: bytes are never changed, rows are copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from provreg.core.encoding.text import quoted
from provreg.core.manifest.entry import DIGEST, SAMPLE
from provreg.core.rows.arrow_types import cast_batch, columns_from_arrow
from provreg.core.rows.row import hash_rows
from provreg.errors import InputError
from provreg.readers.archives.stems import payload_pieces

if TYPE_CHECKING:
    from provreg.readers.api import Payloads

_HANDED_ON = ("payloads", "samples")
NEVER_NULL = ("id", "content", "size")


def hashed(one: Any, before: pa.Schema | None) -> tuple[Payloads, pa.RecordBatch]:
    """Payloads and their samples as a plugged reader hands them on, if all hash to what is said.

    Rows come in the types that their columns are held in; their schema is `before` where rows came
    before. Raises InputError for what is not as `Reader.stream` promises.
    """
    if type(one) is not tuple or len(one) != len(_HANDED_ON):
        raise InputError(f"hands on something else than {' and '.join(_HANDED_ON)}")
    payloads, content, size = _hashed(one[0])
    samples = _samples(one[1])
    _compare(samples, content, size)
    if before is not None and not (
        isinstance(payloads, pa.RecordBatch) and payloads.schema.equals(before)
    ):
        raise InputError("hands on rows of other columns than before")
    return payloads, samples


def _hashed(payloads: Any) -> tuple[Payloads, pa.Array, pa.Array]:
    """The payloads, which nobody else can change, their digests and sizes."""
    if isinstance(payloads, pa.RecordBatch):
        copy = _copy(payloads)
        columns = columns_from_arrow(copy.schema)
        typed = cast_batch(copy, columns)
        return typed, *hash_rows(typed, columns)
    if not isinstance(payloads, list | tuple):
        raise InputError("hands on payloads that are neither rows nor a list")
    mine = [_payload(one) for one in payloads]
    digests, sizes = [], []
    for one in mine:
        hasher, size = blake3(), 0
        for piece in (one,) if isinstance(one, bytes) else payload_pieces(one):
            hasher.update(piece)
            size += len(piece)
        digests.append(hasher.digest())
        sizes.append(size)
    # A list of bytes, or of members: what comes mixed is each what it hashes to.
    made: Any = mine
    return made, pa.array(digests, DIGEST), pa.array(sizes, pa.uint64())


def _payload(one: Any) -> bytes | dict[str, bytes]:
    if type(one) is bytes:
        return one
    if isinstance(one, Mapping):
        members = dict(one.items())
        if all(type(name) is str and type(data) is bytes for name, data in members.items()):
            return members
    raise InputError("hands on payloads that are neither bytes nor bytes by the names of members")


def _samples(samples: Any) -> pa.RecordBatch:
    if not isinstance(samples, pa.RecordBatch) or not samples.schema.equals(SAMPLE):
        raise InputError("hands on samples of another schema than core.entry.SAMPLE")
    copy = _copy(samples)
    if any(copy.column(name).null_count for name in NEVER_NULL):
        raise InputError("hands on samples without ids, digests or sizes")
    return copy


def _copy(batch: pa.RecordBatch) -> pa.RecordBatch:
    """`batch` in memory of its own: what it was in may be a file, or an array of the reader's."""
    batch.validate(full=True)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    copy = pa.ipc.open_stream(sink.getvalue()).read_next_batch()
    copy.validate(full=True)
    return copy


def _compare(samples: pa.RecordBatch, content: pa.Array, size: pa.Array) -> None:
    if len(content) != samples.num_rows:
        raise InputError(f"hands on {len(content)} payloads for {samples.num_rows} samples")
    said = samples.column("content"), samples.column("size")
    same = pc.and_(pc.equal(said[0], content), pc.equal(said[1], size))
    if (row := pc.index(same, pa.scalar(False)).as_py()) >= 0:
        sample = samples.column("id")[row].as_py()
        raise InputError(
            f"hands on other bytes of sample {quoted(sample)} than those of the digest and size"
            " that it gives",
            sample=sample,
        )
