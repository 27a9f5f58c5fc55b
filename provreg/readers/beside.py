"""What lies beside the files of a table or of shards, in folders that are the data.

Whoever trains on such a folder with another program reads whatever in it looks like data, so there
is nothing in it that nobody answers for: a file is read, left out by a pattern that the head
records, or a stranger.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from provreg.core.text import printable, quoted
from provreg.errors import InputError
from provreg.readers.globs import LONGEST_PATTERN, MOST_PATTERNS, Globs
from provreg.readers.listing import SYSTEM_FILES
from provreg.readers.table_files import NEIGHBOURS, files_and_links
from provreg.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

# A folder `label=pos` is a column to Spark, DuckDB and Arrow.
_PARTITION = re.compile(r"[^=]+=.*", re.DOTALL)
# What is hidden is left out, but for what DuckDB and Polars find all the same.
_DATA = re.compile(
    r".*\.(arrow|csv|tsv|jsonl?|ndjson|parquet|feather|txt|tar|tgz|zip)(\.(gz|bz2|xz|zst|lz4))?",
    re.IGNORECASE | re.DOTALL,
)
# What means more than itself in a pattern, and how it is written to mean itself.
_SPECIAL, _ESCAPED = re.compile(r"([*?[])"), re.compile(r"\[[*?[]\]")


@record
class Beside:
    """`patterns` leave out what lies beside the data; `strangers` is what they do not: its path
    below the folder that was named, and why it cannot stay there."""

    patterns: tuple[str, ...]
    strangers: dict[str, str]

    def refuse(self, format_: str) -> None:
        """InputError for the first stranger."""
        for path, why in self.strangers.items():
            raise InputError(
                f"{quoted(path)} {why}",
                sample=printable(path),
                hint=f"move it elsewhere, or leave it out: --format {format_}"
                f" --exclude {quoted(_exactly(path))}"
                if why == _NO_DATA
                else "write the values into a column: the names of folders are not signed"
                if why == _VALUES
                else "move its files into the folder, or leave it out with --exclude",
            )


_NO_DATA = "lies beside the data and is not read"
_VALUES = "has values in the name of a folder, which other programs read as a column"
_LINK = "is a link to a folder, which is not followed"


def look_beside(
    paths: Sequence[Path],
    is_read: Callable[[Path], bool],
    patterns: tuple[str, ...],
    *,
    leave_out: Iterable[Path] = (),
    adopt: bool = False,
) -> Beside:
    """What is in the folders among `paths` and not `is_read`, or read under a name with values.

    `patterns` say what is left out; with `adopt` also well-known files that hold no data (README,
    `_SUCCESS`), whose paths are then among the patterns. Folders of `leave_out` (the registry) are
    not entered. What was named itself has nothing beside it.
    """
    aside = frozenset(os.path.realpath(path) for path in leave_out)
    found: dict[str, str] = {}
    # Patterns leave out no file that is read.
    values: dict[str, str] = {}
    for folder in paths:
        if not folder.is_dir():
            continue
        # Its own name as well, when it is first read: it stands in the path that others see.
        before = [folder.absolute().name] if adopt else []
        for path, linked in files_and_links(folder, aside):
            inside = path.relative_to(folder).as_posix()
            *folders, name = inside.split("/")
            # Not read either in a hidden folder, whatever it is called.
            hidden = any(one.startswith(".") for one in [*folders, name])
            if linked:
                found[inside] = _LINK
            elif is_read(path) and not hidden:
                if any(_PARTITION.fullmatch(one) for one in before + folders):
                    values[inside] = _VALUES
            elif name not in SYSTEM_FILES and (
                not hidden or is_read(path) or _DATA.fullmatch(inside)
            ):
                # Of several folders, one may have a file where another has a link.
                found.setdefault(inside, _NO_DATA)
    strangers = _not_left_out(found, patterns)
    if adopt:
        known = [
            path
            for path, why in strangers.items()
            if why == _NO_DATA
            and _is_known(path)
            and len(_exactly(path)) <= LONGEST_PATTERN
            and path.isprintable()
        ]
        # A head with more patterns could not be read: somebody has to name one for all.
        if len(patterns) + len(known) > MOST_PATTERNS:
            known = []
        patterns = (*patterns, *(_exactly(path) for path in sorted(known)))
        strangers = {path: why for path, why in strangers.items() if path not in known}
    return Beside(patterns, strangers | values)


def _not_left_out(found: dict[str, str], patterns: tuple[str, ...]) -> dict[str, str]:
    """Those of `found` that no pattern leaves out.

    One that is the path of a well-known file stands for that very file: a folder in its place, or a
    link to one, could hold anything.
    """
    exact = {pattern for pattern in patterns if _is_known(pattern) and _is_exact(pattern)}
    others = [pattern for pattern in patterns if pattern not in exact]
    left = {path: why for path, why in found.items() if why == _LINK or _exactly(path) not in exact}
    if not others:
        return left
    out = Globs(others).matching(list(left))
    return {path: why for (path, why), gone in zip(left.items(), out, strict=True) if not gone}


def _is_known(path: str) -> bool:
    return path.rpartition("/")[2] in NEIGHBOURS


def _exactly(path: str) -> str:
    """The pattern that matches `path` alone, and what is below it."""
    return "/" + _SPECIAL.sub(r"[\1]", path)


def _is_exact(pattern: str) -> bool:
    """Whether `pattern` is one that `_exactly` gives."""
    return pattern.startswith("/") and not _SPECIAL.search(_ESCAPED.sub("", pattern))
