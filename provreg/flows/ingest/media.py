"""Pictures of an ingestion that cannot be decoded (`--check-media`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from provreg.core.changes.changes import Changes
from provreg.core.changes.notices import Notice
from provreg.core.encoding.text import quoted
from provreg.core.manifest.columns import take_rows, unequal
from provreg.errors import InputError, NotFoundError, UsageError
from provreg.executors.api import Progress
from provreg.executors.processes import local_processes
from provreg.flows.reading.samples import files_again

# Pictures of one task: small ones are decoded in milliseconds.
_TASK = 64
# A larger file is no picture that anybody trains on.
_MOST_BYTES = 1 << 28
_SHOWN = 3


def media_notices(
    paths: Sequence[Path],
    reading: Mapping[str, Any],
    changes: Changes,
    *,
    progress: Progress | None = None,
) -> list[Notice]:
    """A notice of the injected and modified pictures that cannot be decoded.

    They are read again, in all cores. Raises UsageError where samples are not files or Pillow is
    not installed, InputError for a file that changed since it was hashed, StorageError.
    """
    from provreg.readers.files.pictures import is_picture

    opened = files_again(paths, reading)
    if opened is None:
        raise UsageError(
            "--check-media needs samples that are files",
            hint="omit it: these data are rows, which are read in their order",
        )
    opened.close()
    rows = _new_bytes(changes)
    table = take_rows(changes.new.select(["id", "content"]), rows)
    samples = [
        (sample, content)
        for sample, content in zip(*(table.column(at).to_pylist() for at in range(2)), strict=True)
        if is_picture(sample)
    ]
    tasks = [samples[at : at + _TASK] for at in range(0, len(samples), _TASK)]
    broken: list[tuple[str, str]] = []
    done = 0
    for task, found in zip(
        tasks, local_processes().map(partial(_check, tuple(paths), reading), tasks), strict=True
    ):
        broken += found
        done += len(task)
        if progress is not None:
            progress(done, len(samples))
    return list(_notices(broken, len(samples)))


def _new_bytes(changes: Changes) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The rows of samples whose bytes are new under their id."""
    old = take_rows(changes.old.select(["content"]), changes.old_rows).column("content")
    new = take_rows(changes.new.select(["content"]), changes.new_rows).column("content")
    rows = changes.new_rows[unequal(old, new)]
    return np.unique(rows[rows >= 0])


def _check(
    paths: tuple[Path, ...], reading: Mapping[str, Any], samples: Sequence[tuple[str, bytes]]
) -> list[tuple[str, str]]:
    """(id, complaint) of those of `samples` that cannot be decoded. Runs in a worker."""
    from provreg.readers.files.pictures import picture_complaint

    files = files_again(paths, reading)
    if files is None:
        raise UsageError("--check-media needs samples that are files")
    found = []
    with files:
        for sample, content in samples:
            try:
                data = files.read(sample, limit=_MOST_BYTES)
            except NotFoundError:
                raise _changed(sample) from None
            if len(data) > _MOST_BYTES:
                found.append((sample, f"has more than {_MOST_BYTES:,} bytes: not decoded"))
                continue
            if blake3(data).digest() != content:
                raise _changed(sample)
            complaint = picture_complaint(data)
            if complaint is not None:
                found.append((sample, complaint))
    return found


def _changed(sample: str) -> InputError:
    return InputError(
        f"{quoted(sample)} changed while it was being read",
        sample=sample,
        hint="ingest a copy that nothing writes to",
    )


def _notices(broken: Sequence[tuple[str, str]], pictures: int) -> Iterator[Notice]:
    if not broken:
        return
    examples = "; ".join(f"{quoted(sample)}: {why}" for sample, why in broken[:_SHOWN])
    more = f"; and {len(broken) - _SHOWN:,} more" if len(broken) > _SHOWN else ""
    plural = "picture" if pictures == 1 else "pictures"
    yield Notice(
        "undecodable",
        f"{len(broken):,} of {pictures:,} {plural} cannot be decoded: {examples}{more}",
        len(broken),
        tuple(sample for sample, _ in broken),
    )
