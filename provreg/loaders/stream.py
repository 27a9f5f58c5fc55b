"""Verified samples, one after the other: the loader that needs no framework.

A version is verified once, when the stream is made. Then each sample's bytes are read once, hashed,
compared with the signed manifest, and those same bytes are handed on. What is not in the manifest
never loads. Ids, labels and origins come from the manifest, not from the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from provreg.core.digest import written
from provreg.core.text import quoted
from provreg.errors import InputError, NotFoundError, SampleError
from provreg.flows.integrity import long_label
from provreg.flows.reading import files_again, read_again, rows_again
from provreg.flows.verify import VerifiedVersion
from provreg.flows.verify_data import check_read
from provreg.flows.workspace import Workspace
from provreg.readers.reader import SampleFiles
from provreg.registry import Registry

_BATCH = 1 << 12
_COLUMNS = ("id", "content", "size", "label", "label_digest", "source", "labeler", "split")


@dataclass(frozen=True, slots=True)
class Sample:
    """One verified sample.

    `payload` is the bytes of a file, or a table row's columns by name. `label`, `source`,
    `labeler` and `split` are as signed.
    """

    id: str
    payload: bytes | Mapping[str, Any]
    label: str | None
    source: str
    labeler: str | None
    split: str | None


class VerifiedStream:
    """The samples of a verified version, in the order of their ids (tables: of their rows).

    Iterating raises SampleError at the first sample whose bytes are not the signed ones. A stream
    can be iterated again, and reads and checks again.
    """

    def __init__(
        self, workspace: Workspace, version: VerifiedVersion, paths: Sequence[Path]
    ) -> None:
        self.version = version
        self._workspace = workspace
        self._paths = paths

    def __len__(self) -> int:
        return self.version.head.samples

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels in the order that fixes their indices, which later versions only append to."""
        return self.version.head.classes

    def __iter__(self) -> Iterator[Sample]:
        files = files_again(self._paths, self.version.head.reading)
        return self._rows() if files is None else self._files(files)

    def _files(self, files: SampleFiles) -> Iterator[Sample]:
        with files:
            for batch in self.version.entries.select(_COLUMNS).to_batches(max_chunksize=_BATCH):
                for entry in batch.to_pylist():
                    yield self._sample(entry, self._read(files, entry))

    def _rows(self) -> Iterator[Sample]:
        """Tables are read twice: to know which samples their rows are, then to hand them on.

        The second reading hashes as well: the rows handed on are those that were hashed, whatever
        happened to the file in between.
        """
        reading = self.version.head.reading
        read = read_again(self._paths, reading)
        check_read(self.version, read)
        signed = self.version.entries.select(_COLUMNS)
        places = pc.index_in(read.row_ids, value_set=signed["id"].combine_chunks())
        start = 0
        for payloads, found in rows_again(self._paths, reading):
            entries = signed.take(places.slice(start, found.num_rows))
            start += found.num_rows
            rows = payloads.to_pylist() if isinstance(payloads, pa.RecordBatch) else payloads
            read_now = zip(found["content"].to_pylist(), found["label"].to_pylist(), strict=True)
            for entry, row, (content, label) in zip(
                entries.to_pylist(), rows, read_now, strict=True
            ):
                self._check(entry, content)
                yield self._sample(entry, row, label)

    def _read(self, files: SampleFiles, entry: dict[str, Any]) -> bytes:
        """A sample's bytes: read once, hashed, and those that were hashed."""
        try:
            payload = files.read(entry["id"], limit=entry["size"])
        except (NotFoundError, InputError) as error:
            raise self._refused(entry, None, error.message) from None
        self._check(entry, blake3(payload).digest())
        return payload

    def _check(self, entry: dict[str, Any], content: bytes) -> None:
        if content != entry["content"]:
            raise self._refused(entry, content, "its bytes are not the signed ones")

    def _refused(self, entry: dict[str, Any], found: bytes | None, why: str) -> SampleError:
        labeler = "nobody" if entry["labeler"] is None else quoted(entry["labeler"])
        return SampleError(
            f"{quoted(entry['id'])} of {self.version.reference} does not load: {why}"
            f" (signed as from {quoted(entry['source'])}, labeled by {labeler})",
            sample=entry["id"],
            expected=written(entry["content"]),
            found=None if found is None else written(found),
            source=entry["source"],
            labeler=entry["labeler"],
            hint=f"`provreg verify {self.version.reference} --data …` lists all that is not as"
            " signed",
        )

    def _sample(
        self,
        entry: dict[str, Any],
        payload: bytes | Mapping[str, Any],
        label_read: str | None = None,
    ) -> Sample:
        label, digest = entry["label"], entry["label_digest"]
        if digest is not None:
            # Long labels stand in the data, or in an object when a labels file gave them.
            if label_read is not None and blake3(label_read.encode()).digest() == digest:
                label = label_read
            else:
                label = long_label(self._workspace, digest)
        return Sample(
            entry["id"], payload, label, entry["source"], entry["labeler"], entry["split"]
        )


def load(
    reference: str,
    *,
    data: Path | str | Sequence[Path | str],
    policy: Path | str | None = None,
    key: Path | str | None = None,
    registry: Path | str | None = None,
) -> VerifiedStream:
    """Verifies `reference` (steps 1 to 11) and streams its samples from `data`.

    `data` are the folders or tables the version was made from; `policy` or `key` say whom to trust,
    `registry` where to look, each found as the command line finds it where it is not given. Raises
    NotTrustedError with the step that refused; iterating raises SampleError, naming the sample, who
    signed for it, and what was expected and found.
    """
    paths = [Path(data)] if isinstance(data, str | Path) else [Path(path) for path in data]
    opened = Registry.open(
        None if registry is None else Path(registry),
        policy=None if policy is None else Path(policy),
        key=None if key is None else Path(key),
        outside=paths,
    )
    return VerifiedStream(opened.workspace, opened.verify(reference), paths)
