"""Verified samples as a data source for Grain, which reads them by index in its own processes.

A Grain source is any object with a length and an index: nothing of Grain is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex

from provreg.core.encoding.text import printable
from provreg.loaders.samples import streamed_only

if TYPE_CHECKING:
    from provreg.loaders.samples import VerifiedSamples


class SampleSource:
    """A `RandomAccessDataSource` for `grain.MapDataset.source` and `grain.DataLoader`.

    An element is a dict: `id`, `payload` (the verified bytes), `label` (its index in the version's
    classes, -1 without one; the text if labels are not classes), `source`, `labeler`, `split`.
    Every read checks the sample's bytes; a SampleError of Grain's workers reaches the training
    process unchanged.

    Raises UsageError for data that can only be streamed.
    """

    def __init__(self, samples: VerifiedSamples) -> None:
        if not samples.random_access:
            raise streamed_only(samples)
        self._samples = samples
        self._index_of = samples.class_to_idx if samples.head.label_type == "class" else None

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, record_key: SupportsIndex) -> dict[str, Any]:
        sample = self._samples[record_key.__index__()]
        label: str | int | None = sample.label
        if self._index_of is not None:
            label = -1 if sample.label is None else self._index_of[sample.label]
        return {
            "id": sample.id,
            "payload": sample.payload,
            "label": label,
            "source": sample.source,
            "labeler": sample.labeler,
            "split": sample.split,
        }

    def __repr__(self) -> str:
        """The version and the selected samples: Grain's checkpoints compare this text."""
        samples = self._samples
        name, chosen = printable(samples.reference), samples.chosen_digest
        which = f"{len(samples)} samples" + (f" {chosen}" if chosen else "")
        return f"SampleSource({name}, {samples.head.digest()}, {which})"
