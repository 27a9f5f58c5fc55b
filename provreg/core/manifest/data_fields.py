"""Labels, splits and origins in the data, compared with the signed ones (step 12)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from provreg.core.manifest.columns import Mask, split_long_labels, unequal, whole
from provreg.core.rows.row_hash import without_dictionary

if TYPE_CHECKING:
    import pyarrow as pa

    from provreg.errors import FindingKind

ROW_ORIGIN_FIELDS = ("source", "labeler", "labeled_at")
ORIGIN_FIELDS = ("split", *ROW_ORIGIN_FIELDS)

# The kind of finding if the data differs from the signed field.
FINDING_KINDS: Mapping[str, FindingKind] = {
    "label": "relabeled",
    "split": "resplit",
    "source": "reattributed",
    "labeler": "reattributed",
    "labeled_at": "reattributed",
}


@dataclass(frozen=True, slots=True)
class DataFields:
    """The fields of entries that the data itself contains.

    `always`: every sample has the field, and null is a value. `if_present`: null means that the
    data says nothing; the signed value came from an option or from the parent.
    """

    always: tuple[str, ...] = ()
    if_present: tuple[str, ...] = ()

    def differences(self, entries: pa.Table, samples: pa.Table | pa.RecordBatch) -> dict[str, Mask]:
        """For each field that differs anywhere: where `samples` (schema SAMPLE) and `entries`, row
        by row, have different values."""
        masks = {
            name: self._difference(name, entries, samples)
            for name in FINDING_KINDS
            if self._has(name)
        }
        return {name: mask for name, mask in masks.items() if mask.any()}

    def _has(self, name: str) -> bool:
        return name in self.always or name in self.if_present

    def _difference(self, name: str, entries: pa.Table, samples: pa.Table | pa.RecordBatch) -> Mask:
        column = samples.column(name)
        if name not in self.always and column.null_count == len(column):
            return np.zeros(len(column), np.bool_)
        if name == "label":
            text, digest = split_long_labels(column)
            return unequal(without_dictionary(entries.column("label")), text) | unequal(
                entries.column("label_digest"), digest
            )
        mask = unequal(without_dictionary(entries.column(name)), column)
        if name not in self.always and column.null_count:
            mask &= np.asarray(whole(column).is_valid().to_numpy(zero_copy_only=False), np.bool_)
        return mask
