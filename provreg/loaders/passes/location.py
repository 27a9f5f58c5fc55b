"""Whether data are where a version's samples are looked for, found out before training begins.

A folder one too high or too low would otherwise be noticed at the first batch, inside a worker, and
a part of a table at the end of its first pass. Only a few samples and names are looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from provreg.core.encoding.text import quoted
from provreg.errors import InputError, NotFoundError, ProvregError
from provreg.flows.reading.samples import files_again, listed_files_again

if TYPE_CHECKING:
    from provreg.loaders.samples import VerifiedSamples
    from provreg.readers.api import SampleFiles

_LOOKED_AT = 16
_LEVELS = 3
_MOST_FOLDERS = 1000


def check_location(samples: VerifiedSamples) -> None:
    """Raises NotFoundError if none of a few samples, or no file of a table, is in the data; the
    hint says where they are if that is one folder down, or up to three up."""
    # Opened for this alone: what stays open is not looked up again, though it be replaced.
    files = files_again(samples.paths, samples.head.reading)
    if files is not None:
        with files:
            _check_files(samples, files)
        return
    try:
        listed_files_again(samples.paths, samples.head.reading)
    except InputError as error:
        if any(not path.is_dir() for path in samples.paths):
            raise
        raise NotFoundError(
            f"the data of {samples.reference} are not in {_shown(samples.paths)}: {error.message}",
            hint=_hint_of_tables(samples),
        ) from None


def _check_files(samples: VerifiedSamples, files: SampleFiles) -> None:
    ids = samples.some_ids(_LOOKED_AT)
    if any(_is_there(files, sample) for sample in ids):
        return
    raise NotFoundError(
        f"the data of {samples.reference} are not in {_shown(samples.paths)}: of"
        f" {len(ids)} samples looked for, for example {quoted(ids[0])}, none is there",
        hint=_hint_of_files(samples.paths, ids),
        sample=ids[0],
    )


def _is_there(files: SampleFiles, sample: str) -> bool:
    try:
        files.read(sample, limit=0)
    except NotFoundError:
        return False
    except ProvregError:
        return True  # Reading it will say what is wrong with it.
    return True


def _hint_of_files(paths: Sequence[Path], ids: Sequence[str]) -> str:
    if len(paths) == 1:
        for place, words in _nearby(paths[0]):
            if any(os.path.lexists(place / sample) for sample in ids):
                return f"they are {words}: data={str(place)!r}"
    return "pass the folder that was ingested, in which samples have the paths of their ids"


def _hint_of_tables(samples: VerifiedSamples) -> str:
    if len(samples.paths) == 1:
        for place, words in _nearby(samples.paths[0]):
            try:
                listed_files_again([*_files_in(place)], samples.head.reading)
            except (ProvregError, OSError):
                continue
            return f"files of this kind are {words}: data={str(place)!r}"
    return "pass the files or the folder that was ingested"


def _files_in(folder: Path) -> Iterator[Path]:
    """The first files right in `folder`."""
    with os.scandir(folder) as entries:
        files = (Path(entry.path) for entry in islice(entries, _MOST_FOLDERS) if entry.is_file())
        yield from files


def _nearby(path: Path) -> Iterator[tuple[Path, str]]:
    """Folders in which the data could be instead of `path`, and where that is."""
    for level, folder in enumerate(path.parents[:_LEVELS], start=1):
        yield folder, "one folder up" if level == 1 else f"{level} folders up"
    try:
        with os.scandir(path) as entries:
            below = sorted(entry.path for entry in islice(entries, _MOST_FOLDERS) if entry.is_dir())
    except OSError:
        return
    for child in below:
        yield Path(child), "one folder down"


def _shown(paths: Sequence[Path]) -> str:
    more = ", …" if len(paths) > 1 else ""
    return quoted(str(paths[0])) + more
