"""Samples that are files: labels and splits by their folders, and the table of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from provreg.core.encoding.text import quoted
from provreg.core.manifest.entry import DIGEST, SAMPLE
from provreg.core.manifest.limits import LIMITS
from provreg.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from provreg.readers.files.folder_options import FolderOptions
    from provreg.readers.files.walk import ByteRun


def names_of_folders(
    runs: Sequence[ByteRun], options: FolderOptions, *, collect: bool
) -> tuple[list[str | None], list[str | None]]:
    """(label, split) of each run; None where not asked for, or not there and collecting."""
    labels: list[str | None] = []
    splits: list[str | None] = []
    with_label, with_split = options.label == "dir", options.split == "dir"
    for run in runs:
        folders = run.prefix.split("/")[:-1]
        if len(folders) < with_label + with_split and not collect:
            sample = run.prefix + run.names[0]
            needed = "folders for its label and split" if with_split else "folder for its label"
            if not with_label:
                needed = "folder for its split"
            raise InputError(
                f"{quoted(sample)} lies in no {needed}",
                hint="pass --label none (or --split none), or leave the file out with --exclude",
                sample=sample,
            )
        labels.append(folders[-1] if with_label and len(folders) > with_split else None)
        splits.append(folders[0] if with_split and folders else None)
        for name, limit in ((labels[-1], LIMITS["label"]), (splits[-1], LIMITS["split"])):
            if name is not None and len(name.encode()) > limit and not collect:
                raise InputError(
                    f"the folder name {quoted(name)} is longer than {limit} bytes",
                    sample=run.prefix + run.names[0],
                )
    return labels, splits


def table_of(
    runs: Sequence[ByteRun],
    digests: npt.NDArray[np.uint8],
    sizes: npt.NDArray[np.uint64],
    labels: list[str | None],
    splits: list[str | None],
) -> pa.Table:
    """The samples of `runs`, schema SAMPLE: `content` uint8 of shape (n, 32), `sizes` in bytes of
    shape (n,), a label and a split for each run."""
    lengths = [len(run.names) for run in runs]
    columns = {
        "id": pa.array([run.prefix + name for run in runs for name in run.names], pa.string()),
        "content": _digests(digests[:, : DIGEST.byte_width]),
        "size": pa.array(sizes),
        "label": _repeated(labels, lengths),
        "split": _repeated(splits, lengths),
    }
    rows = len(digests)
    if digests.shape[1] > DIGEST.byte_width:
        columns["content_sha256"] = _digests(digests[:, DIGEST.byte_width :])
    return pa.table(
        [columns.get(column.name, pa.nulls(rows, column.type)) for column in SAMPLE], schema=SAMPLE
    )


def _digests(rows: npt.NDArray[np.uint8]) -> pa.Array:
    return pa.Array.from_buffers(
        DIGEST, len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))]
    )


def _repeated(names: list[str | None], lengths: list[int]) -> pa.Array:
    """Each name as often as its run is long."""
    rows = np.repeat(np.arange(len(names), dtype=np.int32), lengths)
    return pa.array(names, pa.string()).take(pa.array(rows))
