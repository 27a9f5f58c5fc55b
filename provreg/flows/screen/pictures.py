"""The perceptual hashes of a version's pictures, of verified bytes, each computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from provreg.core.manifest.columns import Mask
from provreg.errors import UsageError
from provreg.executors.api import Progress
from provreg.executors.processes import local_processes
from provreg.flows.reading.samples import files_again
from provreg.flows.screen.contents import new_contents, read_as_signed
from provreg.flows.session.workspace import Workspace
from provreg.screening.statistics.hashes import (
    DHASH_HEIGHT,
    DHASH_WIDTH,
    PHASH_SIDE,
    Hashes,
    dhash,
    phash,
)
from provreg.store.private.content_hashes import PICTURES, ContentHashes

# Pictures of one task: small ones are decoded in a fraction of a millisecond.
_TASK = 256
# Another number where the hashes of the same bytes would differ.
_KEPT_AS = "pictures-1"
# A picture with less contrast (of 255 shades) shows nothing to tell it by: its pHash is noise.
_LEAST_CONTRAST = 8
# One that grows darker all the way has hardly any ones, and looks like all of its kind.
_FEWEST_ONES = {"phash": 16, "dhash": 4}
_Sample = tuple[str, bytes]


def picture_hashes(
    workspace: Workspace,
    entries: pa.Table,
    reading: Mapping[str, Any],
    paths: Sequence[Path],
    *,
    progress: Progress | None = None,
) -> pa.Table:
    """The hashes (schema `PICTURES`) of the pictures in `entries`.

    Contents whose hashes are not kept yet are read from the data at `paths`, in all cores; without
    paths only those that are kept are returned. Raises UsageError where samples are not files,
    InputError for a file that is not as signed, NotFoundError, StorageError.
    """
    from provreg.readers.files.pictures import is_picture

    kept = ContentHashes(workspace.parts_folder, _KEPT_AS, PICTURES)
    known = kept.load()
    if not paths:
        return known
    opened = files_again(paths, reading)
    if opened is None:
        raise UsageError(
            "--phash needs samples that are files", hint="omit it: these data are rows"
        )
    opened.close()
    new = new_contents(entries, known, is_picture)
    columns = (new.column(name).to_pylist() for name in ("id", "content"))
    wanted = list(zip(*columns, strict=True))
    tasks = [wanted[at : at + _TASK] for at in range(0, len(wanted), _TASK)]
    task = partial(_hashed, tuple(paths), reading)
    found = []
    for number, hashes in enumerate(local_processes().map(task, tasks), 1):
        found.append(hashes)
        if progress is not None:
            progress(min(number * _TASK, len(wanted)), len(wanted))
    return kept.add(pa.concat_tables([PICTURES.empty_table(), *found])) if found else known


def _hashed(
    paths: tuple[Path, ...], reading: Mapping[str, Any], samples: Sequence[_Sample]
) -> pa.Table:
    """The hashes of `samples`, (id, content). Runs in a worker."""
    from provreg.readers.files.pictures import gray

    files = files_again(paths, reading)
    if files is None:
        raise UsageError("--phash needs samples that are files")
    decoded: list[tuple[bytes, ...] | None] = []
    with files:
        for sample, content in samples:
            data = read_as_signed(files, sample, content)
            decoded.append(gray(data, (PHASH_SIDE, PHASH_SIDE), (DHASH_WIDTH, DHASH_HEIGHT)))
    good = np.array([pixels is not None for pixels in decoded])
    squares, strips = (
        np.frombuffer(b"".join(pixels[at] for pixels in decoded if pixels is not None), np.uint8)
        for at in (0, 1)
    )
    squares = squares.reshape(-1, PHASH_SIDE, PHASH_SIDE)
    flat = np.ptp(squares, axis=(1, 2)) < _LEAST_CONTRAST
    hashes = {
        "phash": phash(squares),
        "dhash": dhash(strips.reshape(-1, DHASH_HEIGHT, DHASH_WIDTH)),
    }
    columns = [_column(name, values, good, flat) for name, values in hashes.items()]
    contents = pa.array([content for _, content in samples], pa.binary(32))
    return pa.Table.from_arrays([contents, *columns], schema=PICTURES)


def _column(name: str, hashes: Hashes, good: Mask, flat: Mask) -> pa.Array:
    """`hashes` of the pictures that could be decoded; null for the others, and where a hash says
    nothing."""
    ones = np.array([int(value).bit_count() for value in hashes.tolist()])
    empty = flat | (ones < _FEWEST_ONES[name]) | (ones > 64 - _FEWEST_ONES[name])
    values, missing = np.zeros(len(good), np.uint64), np.ones(len(good), np.bool_)
    values[good], missing[good] = hashes, empty
    return pa.array(values, mask=missing)
