"""How many samples of a version have no label, and who annotated how many."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.manifest.head import Head
from provreg.errors import ProvregError
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.manifest import load_entries


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """How many samples have no label; each annotator with their samples, most of them first."""

    unlabeled: int
    annotators: tuple[tuple[str, int], ...]


def count_labels(workspace: Workspace, head: Head) -> LabelCounts | None:
    """The counts of a version, trusted or not; None if its entries are damaged."""
    try:
        entries = load_entries(workspace, head)
    except ProvregError:
        return None
    null = [
        np.asarray(entries.column(name).is_null().to_numpy(), np.bool_)
        for name in ("label", "label_digest")
    ]
    return LabelCounts(
        int(np.count_nonzero(np.logical_and(*null))), _annotators(entries.column("annotations"))
    )


def _annotators(annotations: pa.ChunkedArray) -> tuple[tuple[str, int], ...]:
    totals: Counter[str] = Counter()
    for chunk in annotations.chunks if annotations.null_count < len(annotations) else ():
        labelers = pc.struct_field(chunk.flatten(), "labeler")
        pairs = pa.table({"row": pc.list_parent_indices(chunk), "labeler": labelers})
        # Whoever annotated a sample twice annotated one sample.
        names = pairs.group_by(["row", "labeler"]).aggregate([]).column("labeler")
        for group in pc.value_counts(names.drop_null()).to_pylist():
            totals[group["values"]] += group["counts"]
    return tuple(sorted(totals.items(), key=lambda item: (-item[1], item[0].encode())))
