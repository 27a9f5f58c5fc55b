"""The contract of all loaders: verified once, then each sample's bytes checked as they are read.

A sample's bytes are read once, hashed and compared with the signed manifest, and those same bytes
are delivered. A sample that is not in the manifest never loads. Ids, labels and origins come from
the manifest, not from the data. Only a `VerifiedVersion` makes `VerifiedSamples`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from provreg.core.encoding.digest import blake3_digest
from provreg.core.encoding.text import counted, quoted
from provreg.core.manifest.data_fields import DataFields
from provreg.core.manifest.head import Head
from provreg.core.rows.column import FILE, columns_from_json
from provreg.errors import InputError, NotFoundError, SampleError, UsageError
from provreg.executors.api import no_report
from provreg.flows.reading.samples import (
    files_again,
    row_access,
    rows_again,
    streamed_data_fields_of,
)
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.data import verify_data
from provreg.flows.verify.manifest import long_label
from provreg.flows.verify.steps import VerifiedVersion
from provreg.loaders.passes.batches import Pass, VerifiedBatch
from provreg.loaders.passes.manifest import Entry, SignedManifest, indices
from provreg.loaders.passes.matching import Mask, sample_error
from provreg.loaders.passes.ranks import Ranks
from provreg.loaders.passes.recast import python_rows
from provreg.loaders.passes.shared_state import MOST_BAD, DeliveryCounts, Skips
from provreg.loaders.selection import Selection, SharedRows, choose, chosen_classes
from provreg.readers.api import SampleFiles
from provreg.readers.tables.named_files.row_access import RowAccess

# The bytes of a file, or a row's columns by name.
Payload: TypeAlias = bytes | Mapping[str, Any]
Weights: TypeAlias = npt.NDArray[np.float64]

_SHARED = "loading"
_TOGETHER = 256
_SHOWN = 2
# What rows may say of themselves, of what loaders deliver.
_IN_ROWS = ("label", "split", "source", "labeler")
_MOST_IDS = 1000
_SIGNED = ("id", "label", "source", "labeler", "split")


@dataclass(frozen=True, slots=True)
class Sample:
    """One verified sample.

    `payload` is the bytes of a file, or a table row's columns by name. `label`, `source`,
    `labeler` and `split` are as signed.
    """

    id: str
    payload: Payload
    label: str | None
    source: str
    labeler: str | None
    split: str | None

    def __repr__(self) -> str:
        if isinstance(self.payload, bytes):
            payload = counted(len(self.payload), "byte")
        else:
            payload = counted(len(self.payload), "column")
        names = {"label": self.label, "source": self.source, "labeler": self.labeler,
                 "split": self.split}  # fmt: skip
        words = [f"{what} {quoted(name)}" for what, name in names.items() if name is not None]
        return f"Sample({', '.join([quoted(self.id), payload, *words])})"


def _difference(entry: Entry, sample: Mapping[str, Any], fields: DataFields) -> str | None:
    """Why a row that was read is not as its entry signs it, None if it is."""
    if sample["content"] != entry.content:
        return "its bytes differ from the signed ones"
    for name in _IN_ROWS:
        value = sample[name]
        signed = getattr(entry, name)
        if name == "label" and entry.label_digest is not None:
            signed = entry.label_digest
            value = None if value is None else blake3(value.encode()).digest()
        is_said = name in fields.always or (name in fields.if_present and value is not None)
        if is_said and value != signed:
            return f"its {name} differs from the signed one"
    return None


def streamed_only(samples: VerifiedSamples) -> UsageError:
    """The error for samples that cannot be read one by one; its hint names who shuffles them."""
    from provreg.readers.archives.webdataset import READER

    if samples.head.reading["reader"] == READER:
        who = (
            "provreg.loaders.webdataset.VerifiedWebDataset(provreg.load(…), shuffle_shards=1)"
            ".shuffle(1000)"
        )
    else:
        who = "provreg.loaders.huggingface.dataset(provreg.load(…)), also in a DataLoader or Grain"
    return UsageError(
        f"the samples of {samples.reference} cannot be read one by one",
        hint=f"to shuffle them, use {who}; to stream them in the order of the data, iterate,"
        " in PyTorch with VerifiedIterableDataset",
    )


class VerifiedSamples:
    """The samples of a verified version, or those selected of it, in the order of their ids.

    A sequence if single samples can be read (`random_access`: files, and rows that name files and
    have ids), else an iterable in the order of the data. Every read checks again; a sample that is
    not as signed raises SampleError, or is skipped with `on_bad="skip"`.

    It pickles into a few hundred bytes and shares its memory with the processes it is sent to:
    threads, and forked or spawned processes of this machine, as long as the process that made it
    lives. Returned by `provreg.load`.
    """

    def __init__(
        self,
        workspace: Workspace,
        version: VerifiedVersion,
        paths: Sequence[Path],
        *,
        select: Selection | str | None = None,
        exclude_revoked: bool | None = None,
        classes: Sequence[str] | None = None,
        on_bad: str = "raise",
        most_bad: float = MOST_BAD,
    ) -> None:
        """`on_bad` is `raise` or `skip`; a share of `most_bad` of the samples, at least one, may be
        skipped. `left_out` is the number of selected samples that are excluded as revoked. Raises
        as `selection.choose`, StorageError."""
        if on_bad not in ("raise", "skip"):
            raise UsageError(
                f"invalid value of on_bad: {quoted(str(on_bad))}", hint="pass 'raise' or 'skip'"
            )
        self._home: tuple[Workspace, VerifiedVersion] | None = workspace, version
        self._objects = workspace.objects
        self._rows = workspace.rows
        self.paths = [path.absolute() for path in paths]
        chosen = None if classes is None else chosen_classes(version.head, classes)
        self._manifest = SignedManifest(workspace.parts, workspace.checked, version.digest, chosen)
        shared = workspace.cache / _SHARED
        rows, self.left_out = choose(version, select, exclude_revoked, chosen)
        self._chosen = None if rows is None else SharedRows(shared, rows)
        self.deliveries = DeliveryCounts(shared, len(self._manifest))
        # How many processes share what is read by index, each with skips of its own.
        self.ranks = max(1, Ranks.launched().of)
        self._skips: Skips | None = None
        if on_bad == "skip":
            most = max(1, int(most_bad * len(self)))
            self._skips = Skips(shared, len(self._manifest), most)
        self._threads = threading.local()

    def __repr__(self) -> str:
        return f"VerifiedSamples({self.description})"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_home": None, "_threads": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._threads = threading.local()

    @property
    def version(self) -> VerifiedVersion:
        """The verified version; UsageError in a worker process, which has only `head`."""
        return self._at_home[1]

    @property
    def workspace(self) -> Workspace:
        """The workspace of its registry; UsageError as `version`."""
        return self._at_home[0]

    @property
    def head(self) -> Head:
        """The verified version's head."""
        return self._manifest.head

    @property
    def reference(self) -> str:
        """The version's name: `cifar10@3`."""
        return f"{self.head.dataset}@{self.head.version}"

    @property
    def description(self) -> str:
        """The version, how many of its samples are selected, and where its data are, in words."""
        of = "" if self._chosen is None else f" of {len(self._manifest):,}"
        samples = f"{len(self):,}{of} {'sample' if len(self._manifest) == 1 else 'samples'}"
        places = ", ".join(quoted(str(path)) for path in self.paths[:_SHOWN])
        more = ", …" if len(self.paths) > _SHOWN else ""
        return f"{self.reference}, {samples} in {places}{more}"

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of their indices: those that were chosen, or all of the version,
        to which later versions only append."""
        return self._manifest.classes

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The index of each of `classes`."""
        return {name: index for index, name in enumerate(self.classes)}

    @property
    def entries(self) -> pa.Table:
        """The samples' signed entries (schema `manifest.entry.ENTRY`), in the order of the ids."""
        entries = self._manifest.table()
        return entries if self._chosen is None else entries.take(pa.array(self._chosen.rows))

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """The index in `classes` of each sample's label, -1 without one."""
        chunks = [
            indices(chunk.dictionary, self.classes).take(chunk.indices).fill_null(-1)
            for chunk in self._manifest.table().column("label").chunks
        ]
        targets = np.concatenate([chunk.to_numpy() for chunk in chunks]).astype(np.int64)
        return targets if self._chosen is None else targets[self._chosen.rows]

    def weights(self, weights: Mapping[str, float], default: float = 1.0) -> Weights:
        """The weight of each sample, by its id, in the order of `self`: float64 of shape (len,).

        Samples that `weights` does not name have the weight `default`. Raises NotFoundError for an
        id that the version does not have, UsageError for weights that are negative or no numbers.
        """
        ids = pa.array(weights, pa.string())
        values = np.fromiter(weights.values(), np.float64, len(ids))
        if not np.isfinite([*values, default]).all() or min([*values, default]) < 0:
            raise UsageError("weights are numbers from 0")
        rows = pc.index_in(ids, value_set=self._manifest.table().column("id").combine_chunks())
        if rows.null_count:
            missing = ids.filter(rows.is_null())[0].as_py()
            raise NotFoundError(f"no sample {quoted(missing)} to weigh", sample=missing)
        found = np.full(len(self._manifest), default)
        found[rows.to_numpy()] = values
        return found if self._chosen is None else found[self._chosen.rows]

    @property
    def chosen_digest(self) -> str | None:
        """The BLAKE3 digest of the selected rows of the version, None if all are selected."""
        if self._chosen is None or len(self) == len(self._manifest):
            return None
        return blake3_digest(self._chosen.rows.tobytes())

    @property
    def skipped(self) -> int:
        """The number of distinct samples skipped so far by all processes together."""
        return 0 if self._skips is None else len(self._skips)

    @property
    def skipped_ids(self) -> list[str]:
        """The ids of the samples skipped so far, in order; at most the first 1,000."""
        if self._skips is None:
            return []
        return self.ids(np.flatnonzero(self._skips.marks())[:_MOST_IDS])

    def skipped_in_run(self) -> npt.NDArray[np.uint8]:
        """Which samples of the manifest were skipped since `start_run`, 0 or 1."""
        if self._skips is None:
            return np.zeros(len(self._manifest), np.uint8)
        return self._skips.marks_of_run()

    def start_run(self) -> npt.NDArray[np.uint8]:
        """Counts deliveries and skips anew; returns the deliveries counted so far."""
        before = self.deliveries.counts()
        self.deliveries.reset()
        if self._skips is not None:
            self._skips.start_run()
        return before

    def some_ids(self, most: int) -> list[str]:
        """The ids of up to `most` samples, evenly spread."""
        return self.ids(
            np.array([self._row(k) for k in range(0, len(self), -(-len(self) // most))])
        )

    def ids(self, rows: npt.NDArray[np.integer[Any]]) -> list[str]:
        """The ids in these rows of the manifest."""
        return self._manifest.ids(rows)

    @property
    def random_access(self) -> bool:
        """Whether one sample can be read alone, by its index."""
        return self.are_files or self._rows_by_id() is not None

    @property
    def file_columns(self) -> tuple[str, ...]:
        """The columns of rows whose values are files: `{"bytes": …, "path": …}` in payloads."""
        documents = self.head.reading.get("columns", [])
        columns = columns_from_json(documents, "head.reading.columns")
        return tuple(column.name for column in columns if column.type == FILE)

    @property
    def are_files(self) -> bool:
        """Whether a payload is the bytes of a file."""
        return self._files() is not None

    def __len__(self) -> int:
        return len(self._manifest if self._chosen is None else self._chosen.rows)

    def __iter__(self) -> Iterator[Sample]:
        return self.share(0, 1)

    def share(self, number: int, of: int) -> Iterator[Sample]:
        """Every `of`th sample of the manifest, starting with `number` (0 to `of` - 1).

        Together the shares are all samples once, whatever is skipped and however data are ordered.
        """
        if not self.random_access:
            yield from self._streamed_share(number, of)
            return
        for entry, payload in self.read_all(range(number, len(self), of)):
            yield self.sample(entry, payload)

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`, which is never skipped: raises SampleError if it is not as signed."""
        return self.sample(*self.read(index))

    def read(self, index: int) -> tuple[Entry, Payload]:
        """The signed entry of sample `index`, and its verified payload. Raises as `[index]`."""
        row = self._row(index)
        [(entry, payload)] = self._payloads([row], [self._manifest[row]])
        if isinstance(payload, SampleError):
            raise payload
        return entry, payload

    def read_all(self, indices: Iterable[int]) -> Iterator[tuple[Entry, Payload]]:
        """`read` of each of `indices`, without skipped samples."""
        return ((entry, payload) for _, entry, payload in self._read_rows(indices))

    def numbered(self) -> Iterator[tuple[int, Sample]]:
        """(row of the manifest, sample) of all samples of files, without skipped ones."""
        for row, entry, payload in self._read_rows(range(len(self))):
            yield row, self.sample(entry, payload)

    def _read_rows(self, indices: Iterable[int]) -> Iterator[tuple[int, Entry, Payload]]:
        remaining = iter(indices)
        # Looked up together, while the columns are in the processor's caches.
        while rows := [self._row(index) for index in islice(remaining, _TOGETHER)]:
            read = self._payloads(rows, [self._manifest[row] for row in rows])
            for row, (entry, payload) in zip(rows, read, strict=True):
                if not isinstance(payload, SampleError):
                    yield row, entry, payload
                elif self._skips is None:
                    raise payload
                else:
                    self._skips.add(row, payload, ranks=self.ranks)

    def _payloads(
        self, rows: Sequence[int], entries: Sequence[Entry]
    ) -> Iterator[tuple[Entry, Payload | SampleError]]:
        """The verified payload of each of `entries`, in these `rows` of the manifest, or why it is
        not as signed."""
        read: Iterator[Payload | SampleError]
        if not self.are_files and (access := self._rows_by_id()) is not None:
            read = self._rows_as_signed(access, entries)
        else:
            read = (self._file_as_signed(entry) for entry in entries)
        for row, entry, payload in zip(rows, entries, read, strict=True):
            if not isinstance(payload, SampleError):
                self.deliveries.add(row)
            yield entry, payload

    def _rows_as_signed(
        self, access: RowAccess, entries: Sequence[Entry]
    ) -> Iterator[Mapping[str, Any] | SampleError]:
        fields = streamed_data_fields_of(self.head.reading)
        remaining = iter(entries)
        for read in access.read([entry.id for entry in entries]):
            if isinstance(read, str):
                yield self._error(next(remaining), None, read)
                continue
            samples = read.samples.to_pylist()
            for payload, sample in zip(python_rows(read.payloads), samples, strict=True):
                entry = next(remaining)
                why = _difference(entry, sample, fields)
                yield payload if why is None else self._error(entry, sample["content"], why)

    def batches(self) -> Iterator[VerifiedBatch]:
        """All samples once in batches, in the order of data that can only be streamed.

        A batch is delivered once all of it is as signed; missing samples are known at the end.
        Iterating raises SampleError and NotTrustedError (step 12), and UsageError for data whose
        samples are read one by one.
        """
        for batch in self._batches():
            self.deliveries.add_all(batch.rows)
            yield batch

    def verify_data(self) -> None:
        """Checks all data of the version now (step 12), not only what is selected.

        Raises NotTrustedError with a finding for every sample that is not as signed, strangers
        included. Samples that are loaded later are checked again.
        """
        _, version = self._at_home
        verify_data(version.workspace, version.head, version.entries, self.paths, on_step=no_report)

    @property
    def _at_home(self) -> tuple[Workspace, VerifiedVersion]:
        if self._home is None:
            raise UsageError("the version is only available in the process that loaded it")
        return self._home

    def _row(self, index: int) -> int:
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"sample {index} of {count}")
        index %= count
        return index if self._chosen is None else int(self._chosen.rows[index])

    def _file_as_signed(self, entry: Entry) -> bytes | SampleError:
        """A sample's bytes, exactly those that were hashed; or why they are not as signed."""
        files = self._files()
        if files is None:
            raise streamed_only(self)
        size = entry.size
        try:
            payload = files.read(entry.id, limit=size)
        except (NotFoundError, InputError) as error:
            return self._error(entry, None, error.message)
        if len(payload) > size:
            return self._error(entry, None, f"it is longer than the signed {size:,} bytes")
        content = blake3(payload).digest()
        if content != entry.content:
            return self._error(entry, content, "its bytes differ from the signed ones")
        return payload

    def _rows_by_id(self) -> RowAccess | None:
        """The rows by id, if they name files and are not too many; each thread has its own."""
        try:
            access: RowAccess | None = self._threads.rows
        except AttributeError:
            access = self._threads.rows = row_access(self.paths, self.head.reading)
        return access

    def _files(self) -> SampleFiles | None:
        """The samples by id, None if they can only be streamed.

        Each thread has its own, because open folders are not shared.
        """
        try:
            files: SampleFiles | None = self._threads.files
        except AttributeError:
            files = self._threads.files = files_again(self.paths, self.head.reading)
        return files

    def _streamed_share(self, number: int, of: int) -> Iterator[Sample]:
        for whole in self._batches():
            batch = whole if of == 1 else whole.only(self.in_share(whole.rows, number, of))
            payloads = batch.payloads
            listed = python_rows(payloads) if isinstance(payloads, pa.RecordBatch) else payloads
            columns = (batch.signed(name).to_pylist() for name in _SIGNED)
            for row, payload, *signed in zip(batch.rows.tolist(), listed, *columns, strict=True):
                self.deliveries.add(row)
                yield Sample(signed[0], payload, *signed[1:])

    def in_share(self, rows: npt.NDArray[np.integer], number: int, of: int) -> Mask:
        """Which of these rows of the manifest are in share `number` of `of`.

        Only the manifest decides: processes that share may read their data in different orders.
        """
        places = rows if self._chosen is None else np.searchsorted(self._chosen.rows, rows)
        mask: Mask = places % of == number
        return mask

    def new_pass(self) -> Pass:
        """A pass over data that can only be streamed, for loaders that read them in parts."""
        wanted = None
        if self._chosen is not None:
            wanted = np.zeros(len(self._manifest), np.bool_)
            wanted[self._chosen.rows] = True
        entries = self._manifest.table()
        return Pass(self.head, entries, self._objects, wanted=wanted, skips=self._skips)

    def _batches(self) -> Iterator[VerifiedBatch]:
        data_pass = self.new_pass()
        yield from data_pass.read(rows_again(self.paths, self.head.reading, self._rows))
        data_pass.refuse(data_pass.missing())

    def _error(self, entry: Entry, found: bytes | None, why: str) -> SampleError:
        signed = {name: getattr(entry, name) for name in ("id", "content", "source", "labeler")}
        return sample_error(self.reference, signed, found, why)

    def sample(self, entry: Entry, payload: Payload) -> Sample:
        """The delivered sample for an entry whose `payload` was checked."""
        label = entry.label
        if entry.label_digest is not None:
            label = long_label(self._objects, entry.label_digest)
        return Sample(entry.id, payload, label, entry.source, entry.labeler, entry.split)
