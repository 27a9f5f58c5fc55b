"""What lies beside the files of a table or of shards, in folders that are the data.

Whoever trains on such a folder with another program reads whatever in it looks like data, so there
is nothing in it that nobody answers for: a file is read, left out by a pattern that the head
records, adopted (recorded with the digest of its bytes), or a stranger.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, TypeVar

from blake3 import blake3

from provreg.core.encoding.digest import written_digest
from provreg.core.encoding.text import printable, quoted
from provreg.core.manifest.limits import LIMITS
from provreg.errors import InputError
from provreg.readers.data_files.source_file import open_source, stat_source
from provreg.readers.data_files.table_files import NEIGHBOURS, files_and_links
from provreg.readers.files.globs import Excluded
from provreg.readers.files.names import is_called_like_data
from provreg.readers.files.walk import SYSTEM_FILES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

# A folder `label=pos` is a column to Spark, DuckDB and Arrow.
_PARTITION = re.compile(r"[^=]+=.*", re.DOTALL)
MOST_ADOPTED = 256
# What means more than itself in a pattern.
_SPECIAL = re.compile(r"([*?[])")
_PIECE = 1 << 20

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Adopted:
    """A well-known file beside the data: its path below a folder that was named, and the written
    digest of its bytes."""

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class Beside:
    """What lies beside the data: files that were `adopted`, and `strangers`, each by its path below
    the folder that was named and why it cannot stay there."""

    adopted: tuple[Adopted, ...]
    strangers: dict[str, str]

    def refuse(self, format_: str) -> None:
        """InputError for the first stranger."""
        for path, why in self.strangers.items():
            raise InputError(
                f"{quoted(path)} {why}",
                sample=printable(path),
                hint=f"move it elsewhere, or leave it out: --format {format_}"
                f" --exclude {quoted(_exactly(path))}, its folder with --exclude 'FOLDER/'"
                if why in (_NO_DATA, _NOT_NAMED)
                else "write the values into a column: the names of folders are not signed"
                if why == _VALUES
                else "move its files into the folder, or leave it out:"
                f" --exclude {quoted(_exactly(path) + '/')}",
            )


_NO_DATA = "lies beside the data and is not read"
_NOT_NAMED = "lies beside the data, and no row names it"
_VALUES = "has values in the name of a folder, which other programs read as a column"
_LINK = "is a link to a folder, which is not followed"


def look_beside(
    paths: Sequence[Path],
    read: Collection[Path],
    patterns: Sequence[str],
    *,
    leave_out: Iterable[Path] = (),
    new: bool = False,
    named: Collection[str] = (),
) -> Beside:
    """What is in the folders among `paths` and not among the files that are `read`, or read under a
    name with values.

    `patterns` say what is left out. Well-known files that hold no data (README, `_SUCCESS`) are
    adopted: 256 of them. Folders of `leave_out` (the registry) are not entered. What was named
    itself has nothing beside it. `new` data must not be named by a folder with values either, which
    stands in the path that others see. `named` are absolute paths of files that belong to what is
    read. Raises InputError for a well-known file that cannot be read.
    """
    aside = frozenset(os.path.realpath(path) for path in leave_out)
    files: list[tuple[str, Path]] = []
    links: list[str] = []
    # Patterns leave out no file that is read.
    values: dict[str, str] = {}
    for folder in paths:
        if not folder.is_dir():
            continue
        own = [folder.absolute().name] if new else []
        root = os.path.realpath(folder) if named else ""
        for place, linked in files_and_links(folder, aside):
            inside = place[len(os.fspath(folder)) :].lstrip("/")
            if linked:
                links.append(inside)
                continue
            if named and f"{root}/{inside}" in named:
                continue
            path = folder / inside
            if path in read:
                if any(map(_PARTITION.fullmatch, own + inside.split("/")[:-1])):
                    values[inside] = _VALUES
            elif _counts(inside):
                files.append((inside, path))
    excluded = Excluded(patterns)
    links = _without(links, excluded.folders(links))
    files = _without(files, excluded.files([inside for inside, _ in files]))
    known = [(inside, path) for inside, path in files if _is_known(inside)]
    # A head with more could not be read: somebody has to leave them out by a pattern.
    known = known if len(known) <= MOST_ADOPTED else []
    adopted = {Adopted(inside, _digest(path)) for inside, path in known}
    ours = set(known)
    why = _NOT_NAMED if named else _NO_DATA
    strangers = {inside: why for inside, path in files if (inside, path) not in ours}
    return Beside(
        tuple(sorted(adopted, key=lambda file: (file.path, file.content))),
        strangers | dict.fromkeys(links, _LINK) | values,
    )


def _counts(inside: str) -> bool:
    """Whether a file that is not read, at this path, is one to others."""
    *folders, name = inside.split("/")
    if name in SYSTEM_FILES:
        return False
    # What is hidden is left out, but for what DuckDB and Polars find all the same.
    hidden = any(part.startswith(".") for part in [*folders, name])
    return not hidden or is_called_like_data(name)


def _is_known(inside: str) -> bool:
    """Whether the file at this path is one that people and programs put beside data."""
    return (
        inside.rpartition("/")[2] in NEIGHBOURS
        and inside.isprintable()
        and len(inside.encode()) <= LIMITS["id"]
    )


def _digest(path: Path) -> str:
    hasher = blake3()
    with open_source(stat_source(path)) as stream:
        while piece := stream.read(_PIECE):
            hasher.update(piece)
    return written_digest(hasher.digest())


def _without(found: Sequence[Found], gone: Iterable[bool]) -> list[Found]:
    return list(compress(found, (not excluded for excluded in gone)))


def _exactly(path: str) -> str:
    """The pattern that matches the file at `path` alone."""
    return "/" + _SPECIAL.sub(r"[\1]", path)
