"""Verified tar shards in a WebDataset pipeline (extra `webdataset`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from provreg.core.extras import needs_extra
from provreg.errors import ProvregError, UsageError
from provreg.flows.reading_said import reader_said
from provreg.loaders.shared_passes import SharedPasses
from provreg.readers import webdataset as reader
from provreg.readers.shard_files import shards
from provreg.readers.stems import LabelMember

with needs_extra("webdataset"):
    import webdataset

_SIGNED = ("id", "label", "source", "labeler", "split")

if TYPE_CHECKING:
    from provreg.loaders.batches import VerifiedBatch
    from provreg.loaders.samples import VerifiedSamples


class VerifiedWebDataset(webdataset.DataPipeline, webdataset.FluidInterface):  # type: ignore[misc]
    """The samples of a version of tar shards, in the place of `webdataset.WebDataset(urls)`.

    A pipeline: `.shuffle(…).decode("pil").to_tuple("jpg", "cls")`, or the first stage of a
    `webdataset.DataPipeline`. A sample is a dict as WebDataset has it: `__key__` is its signed id,
    then its files by name, as bytes; the member that was the label is made anew from the signed
    label. `__url__` is the shard, `__label__`, `__source__`, `__labeler__` and `__split__` are as
    signed.

    Worker processes share the shards among themselves; `shuffle_shards`, a seed, brings each one's
    into another order in every pass. Ranks share the samples by their places in the manifest, and
    each reads all shards: which shard a sample stands in is not signed. A shard is read from front
    to back, and its samples are checked before they leave it: SampleError for the first that is not
    as signed. When the last worker process comes to its end, NotTrustedError (step 12) says what is
    missing, or stands in several shards.

    Raises UsageError for samples that are not of tar shards.
    """

    def __init__(self, samples: VerifiedSamples, *, shuffle_shards: int | None = None) -> None:
        super().__init__(_Source(samples, shuffle_shards))
        self.verified = samples

    def verify_data(self) -> None:
        """Checks all data of the version now (step 12); raises as `VerifiedSamples.verify_data`."""
        self.verified.verify_data()


class _Source(webdataset.pytorch.IterableDataset):  # type: ignore[misc]
    """What a pipeline begins with."""

    def __init__(self, samples: VerifiedSamples, shuffle_shards: int | None) -> None:
        super().__init__()
        reading = samples.head.reading
        if reading["reader"] != reader.READER:
            raise UsageError(
                f"the samples of {samples.reference} are not of tar shards",
                hint="docs/loaders.md shows the loaders for files and tables",
            )
        self._options = reader.options_from_reading(reader_said(reading))
        label = None if self._options.label is None else LabelMember.parse(self._options.label)
        self._label = label.member.lower() if label is not None and label.key is None else None
        self._samples = samples
        self._seed = shuffle_shards
        self._passes = SharedPasses(samples.workspace.cache / "loading", samples.head.samples)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        try:
            yield from self._share(*webdataset.utils.pytorch_worker_info())
        except ProvregError as error:
            torch = sys.modules.get("torch.utils.data")
            if torch is not None and torch.get_worker_info() is not None:
                # The DataLoader raises what a worker raised again from class and text alone.
                error.carry()
            raise

    def _share(self, rank: int, ranks: int, worker: int, workers: int) -> Iterator[dict[str, Any]]:
        number = self._passes.begin(worker)
        own = shards(self._samples.paths)[worker::workers]
        if self._seed is not None:
            order = np.random.default_rng((self._seed, number)).permutation(len(own))
            own = [own[place] for place in order]
        one = self._samples.new_pass()
        for shard in own:
            for batch in one.read(reader.stream_shard(shard, self._options)):
                self._passes.take(worker, number, batch.rows)
                mine = batch.only(self._samples.in_share(batch.rows, rank, ranks))
                yield from self._of_batch(mine, str(shard.file.path))
        ended = self._passes.end(worker, number, workers)
        if ended is not None:
            one.refuse(ended.missing, repeated=ended.repeated)

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
            self._samples.handed_out.add(row)
            yield sample
