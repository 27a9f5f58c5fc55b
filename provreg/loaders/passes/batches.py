"""The samples of data that can only be streamed, batch by batch, each batch checked as it is read.

Every batch is read once and hashed, and those same payloads are delivered, with their entries. A
sample that is not as signed is refused before its batch is delivered, missing ones at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from blake3 import blake3

from provreg.core.manifest.head import Head
from provreg.core.rows.row_hash import without_dictionary
from provreg.flows.reading.samples import streamed_data_fields_of
from provreg.flows.verify.manifest import long_label
from provreg.loaders.passes.matching import Matching
from provreg.readers.tables.samples import content_ids

if TYPE_CHECKING:
    from provreg.loaders.passes.matching import Mask, Rows
    from provreg.loaders.passes.shared_state import Skips
    from provreg.readers.api import Payloads, SampleStream
    from provreg.store.registry.objects import Objects


@dataclass(frozen=True, slots=True)
class VerifiedBatch:
    """Samples in the order of the data, with their signed entries.

    `payloads`: rows' columns, files' bytes, or members by name. `rows` are the samples' places in
    the manifest, `entries` (schema ENTRY) their entries, `labels_read` the labels in the data.
    """

    payloads: Payloads
    rows: Rows
    entries: pa.Table
    labels_read: pa.Array
    objects: Objects

    def only(self, keep: Mask) -> VerifiedBatch:
        """The samples where `keep` is true."""
        return VerifiedBatch(
            _filter(self.payloads, keep),
            self.rows[keep],
            _filter(self.entries, keep),
            _filter(self.labels_read, keep),
            self.objects,
        )

    def signed(self, name: str) -> pa.ChunkedArray:
        """A column of the entries without dictionary; labels in full, however long."""
        column = without_dictionary(self.entries.column(name))
        digests = self.entries.column("label_digest")
        if name != "label" or digests.null_count == len(digests):
            return column
        # Long labels are in the data, or in an object if they came from a labels file.
        labels = column.to_pylist()
        long = zip(digests.to_pylist(), self.labels_read.to_pylist(), strict=True)
        for at, (digest, read) in enumerate(long):
            if digest is not None:
                same = read is not None and blake3(read.encode()).digest() == digest
                labels[at] = read if same else long_label(self.objects, digest)
        return pa.chunked_array([pa.array(labels, pa.string())])


class Pass:
    """One pass over the data of the verified version with `head` and `entries`.

    Only samples whose entry is `wanted` (None: all) are delivered and required; all samples are
    checked. With `skips`, samples that are not as signed are skipped within its limit.
    """

    def __init__(
        self,
        head: Head,
        entries: pa.Table,
        objects: Objects,
        *,
        wanted: Mask | None = None,
        skips: Skips | None = None,
    ) -> None:
        self._matching = Matching(
            f"{head.dataset}@{head.version}",
            entries,
            ids_read=not _ids_are_contents(entries),
            told=streamed_data_fields_of(head.reading),
        )
        self._objects = objects
        self._wanted = wanted
        self._skips = skips
        self._passed_over = 0

    def read(self, stream: SampleStream) -> Iterator[VerifiedBatch]:
        """The checked batches of the data, or of a part of them.

        Raises SampleError for the first sample that is not as signed, and what reading raises.
        """
        with closing(stream):
            for payloads, samples in stream:
                batch = self._checked(payloads, samples)
                if len(batch.rows):
                    yield batch

    def _checked(self, payloads: Payloads, samples: pa.RecordBatch) -> VerifiedBatch:
        """The samples to deliver."""
        rows, signed = self._matching.match(samples)
        good = rows >= 0
        if not good.all():
            error = self._matching.refusal(samples, int(np.argmin(good)))
            if self._skips is None:
                raise error
            self._passed_over += int(np.count_nonzero(~good))
            self._skips.check(self._passed_over, error)
            bad = _filter(samples.select(["id", "content"]), ~good)
            # Identifies a sample: processes that read the same data compute the same digest.
            self._skips.pass_over(
                (blake3(repr(one).encode()).digest() for one in bad.to_pylist()), error
            )
        keep = good if self._wanted is None else good & self._wanted[rows]
        return VerifiedBatch(
            _filter(payloads, keep),
            rows[keep],
            _filter(signed, keep[good]),
            _filter(samples.column("label"), keep),
            self._objects,
        )

    def missing(self) -> Rows:
        """The rows of the entries without a sample so far."""
        return self._matching.missing()

    def refuse(self, missing: Rows, *, repeated: int = 0) -> None:
        """Raises NotTrustedError (step 12) for wanted samples among `missing`, and for `repeated`
        ones that several processes read, unless they can be skipped."""
        if self._wanted is not None:
            missing = missing[self._wanted[missing]]
        if self._skips is not None:
            for row in missing.tolist():
                self._skips.add(row, self._matching.missing_sample(row))
        elif len(missing):
            raise self._matching.missing_samples(missing)
        if repeated:
            error = self._matching.repeated_samples(repeated)
            if self._skips is None:
                raise error
            self._skips.check(repeated, error)


def _ids_are_contents(entries: pa.Table) -> bool:
    """Whether ids are content digests, and so are not in the data.

    The first entry decides. If it misleads, samples are found by content and label alone, and are
    still delivered with nothing but their signed entries.
    """
    first = entries.slice(0, 1)
    made: str = content_ids(first.column("content").chunk(0))[0].as_py()
    return bool(first.column("id")[0].as_py() == made)


def _filter(many: Any, keep: Mask) -> Any:
    """The items of `many`, an Arrow object or a sequence, where `keep` is true."""
    if keep.all():
        return many
    if isinstance(many, Sequence):
        return [one for one, kept in zip(many, keep.tolist(), strict=True) if kept]
    return many.filter(pa.array(keep))
