"""Verified tar shards in a WebDataset pipeline (extra `webdataset`)."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from provreg.errors import ProvregError, UsageError, needs_extra
from provreg.flows.reading.samples import reader_settings
from provreg.loaders.passes.ranks import OwnRank
from provreg.loaders.passes.shared_state import SharedPasses, Worker
from provreg.readers.archives import webdataset as reader
from provreg.readers.archives.stems import LabelMember
from provreg.readers.data_files.shard_files import shards

with needs_extra("webdataset"):
    import webdataset

_SIGNED = ("id", "label", "source", "labeler", "split")

if TYPE_CHECKING:
    from provreg.loaders.passes.batches import Pass, VerifiedBatch
    from provreg.loaders.passes.matching import Rows
    from provreg.loaders.samples import VerifiedSamples
    from provreg.readers.data_files.shard_files import Shard


class VerifiedWebDataset(webdataset.DataPipeline, webdataset.FluidInterface):  # type: ignore[misc]
    """The samples of a version of tar shards, in the place of `webdataset.WebDataset(urls)`.

    A pipeline: `.shuffle(…).decode("pil").to_tuple("jpg", "cls")`, or the first stage of a
    `webdataset.DataPipeline`. A sample is a dict as in WebDataset: `__key__` is its signed id, then
    its files by name, as bytes; the label's member is written anew from the signed label. `__url__`
    is the shard; `__label__`, `__source__`, `__labeler__` and `__split__` are the signed values.

    Worker processes divide the shards among themselves; `shuffle_shards`, a seed, shuffles each
    worker's shards in every pass. Ranks divide the samples by their places in the manifest, and
    each rank reads all shards, because the shard of a sample is not signed. A shard is read from
    front to back, and its samples are checked before they are delivered: SampleError for the first
    that is not as signed. When the last worker process ends, NotTrustedError (step 12) lists
    samples that are missing or occur in several shards.

    Raises UsageError for samples that are not from tar shards.
    """

    def __init__(self, samples: VerifiedSamples, *, shuffle_shards: int | None = None) -> None:
        super().__init__(_Source(samples, shuffle_shards))
        self.verified = samples

    def __repr__(self) -> str:
        return f"VerifiedWebDataset({self.verified.description})"

    def verify_data(self) -> None:
        """Checks all data of the version now (step 12); raises as `VerifiedSamples.verify_data`."""
        self.verified.verify_data()


class _Source(webdataset.pytorch.IterableDataset):  # type: ignore[misc]
    """The first stage of the pipeline."""

    def __init__(self, samples: VerifiedSamples, shuffle_shards: int | None) -> None:
        super().__init__()
        options = reader.shard_options(reader_settings(samples.head.reading))
        if options is None:
            raise UsageError(
                f"the samples of {samples.reference} are not from tar shards",
                hint="provreg.loaders.torch has datasets of files, provreg.loaders.huggingface of"
                " tables",
            )
        self._options = options
        label = None if options.label is None else LabelMember.parse(options.label)
        self._label = label.member.lower() if label is not None and label.key is None else None
        self._samples = samples
        self._seed = shuffle_shards
        self._rank = OwnRank()
        self._number = 0
        self._passes = SharedPasses(samples.workspace.cache / "loading", samples.head.samples)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        torch = sys.modules.get("torch.utils.data")
        worker = None if torch is None else torch.get_worker_info()
        if worker is None:
            yield from self._alone()
            return
        parent: Any = multiprocessing.parent_process()
        # The workers of one DataLoader share a base seed; another DataLoader has another.
        loader = (worker.seed - worker.id) % 2**64 or 1
        own = Worker(parent.pid, loader, worker.id, worker.num_workers)
        try:
            yield from self._share(own)
        except ProvregError as error:
            # The DataLoader recreates a worker's error from its class and text alone.
            error.carry()
            raise

    def _alone(self) -> Iterator[dict[str, Any]]:
        self._number += 1
        data_pass = self._samples.new_pass()
        for _, samples in self._read(data_pass, shards(self._samples.paths), self._number):
            yield from samples
        data_pass.refuse(data_pass.missing())

    def _share(self, worker: Worker) -> Iterator[dict[str, Any]]:
        number = self._passes.begin(worker)
        result = None
        try:
            data_pass = self._samples.new_pass()
            own = shards(self._samples.paths)[worker.number :: worker.of]
            for rows, samples in self._read(data_pass, own, number):
                self._passes.take(worker, number, rows)
                yield from samples
            result = self._passes.end(worker, number)
        except BaseException:
            self._passes.leave(worker, number)
            raise
        if result is not None:
            data_pass.refuse(result.missing, repeated=result.repeated)

    def _read(
        self, data_pass: Pass, own: list[Shard], number: int
    ) -> Iterator[tuple[Rows, Iterator[dict[str, Any]]]]:
        """(manifest rows of a batch, samples of it that belong to this rank)."""
        ranks = self._rank.now
        if self._seed is not None:
            order = np.random.default_rng((self._seed, number)).permutation(len(own))
            own = [own[place] for place in order]
        for shard in own:
            for batch in data_pass.read(reader.stream_shard(shard, self._options)):
                mine = batch.only(self._samples.in_share(batch.rows, ranks.number, ranks.of))
                yield batch.rows, self._of_batch(mine, str(shard.file.path))

    def _of_batch(self, batch: VerifiedBatch, url: str) -> Iterator[dict[str, Any]]:
        payloads: Any = batch.payloads
        columns = [batch.signed(name).to_pylist() for name in _SIGNED]
        for row, files, key, label, source, labeler, split in zip(
            batch.rows.tolist(), payloads, *columns, strict=True
        ):
            sample: dict[str, Any] = {"__key__": key, "__url__": url}
            for name, data in files.items():
                sample[name.lower()] = data
            if self._label is not None and label is not None:
                sample[self._label] = label.encode()
            sample["__label__"], sample["__source__"] = label, source
            sample["__labeler__"], sample["__split__"] = labeler, split
            self._samples.deliveries.add(row)
            yield sample
