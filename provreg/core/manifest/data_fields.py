"""What data say of their samples beside the payload, held against what is signed (step 12)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from provreg.core.manifest.columns import (
    Mask,
    split_long_labels,
    unequal,
    whole,
    without_dictionary,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from provreg.errors import FindingKind

ROW_ORIGIN_FIELDS = ("source", "labeler", "labeled_at")
ORIGIN_FIELDS = ("split", *ROW_ORIGIN_FIELDS)

# What a field is called where the data say another than the signed one.
FINDING_KINDS: Mapping[str, FindingKind] = {
    "label": "relabeled",
    "split": "resplit",
    "source": "reattributed",
    "labeler": "reattributed",
    "labeled_at": "reattributed",
}


@dataclass(frozen=True, slots=True)
class DataFields:
    """The fields of entries that the data say themselves.

    `always`: of every sample, so that null is said as well. `if_present`: where they are null, the
    data say nothing, and what is signed was said of the ingestion or kept from the version before.
    """

    always: tuple[str, ...] = ()
    if_present: tuple[str, ...] = ()

    def differences(self, entries: pa.Table, samples: pa.Table | pa.RecordBatch) -> dict[str, Mask]:
        """Of each field where `samples` (schema SAMPLE) say another than the entries beside them;
        fields that all are alike in are left out."""
        masks = {
            name: self._difference(name, entries, samples)
            for name in FINDING_KINDS
            if self._has(name)
        }
        return {name: mask for name, mask in masks.items() if mask.any()}

    def _has(self, name: str) -> bool:
        return name in self.always or name in self.if_present

    def _difference(self, name: str, entries: pa.Table, samples: pa.Table | pa.RecordBatch) -> Mask:
        said = samples.column(name)
        if name not in self.always and said.null_count == len(said):
            return np.zeros(len(said), np.bool_)
        if name == "label":
            text, digest = split_long_labels(said)
            return unequal(without_dictionary(entries.column("label")), text) | unequal(
                entries.column("label_digest"), digest
            )
        mask = unequal(without_dictionary(entries.column(name)), said)
        if name not in self.always and said.null_count:
            mask &= np.asarray(whole(said).is_valid().to_numpy(zero_copy_only=False), np.bool_)
        return mask
