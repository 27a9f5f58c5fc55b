"""Where the files lie that rows name: below the table's folder, or a folder that was named.

A name is a path relative to the folder of its table, or to `files_root` from there. It is hostile:
only what lies below one of the folders that the user named, or below the folder of a table that was
named itself, is ever opened, and no link leads out of it.
"""

from __future__ import annotations

import os
import posixpath
import re
from typing import TYPE_CHECKING, TypeAlias

from provreg.readers.files.names import problem_of
from provreg.readers.files.safe_open import DEEPEST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_URL = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]*://|data:", re.IGNORECASE)
_FILE_URL = re.compile(r"file:", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")
# What no plain relative path holds; a colon may begin with a scheme.
_SPECIAL = re.compile(r"^/|//|/$|(?:^|/)\.\.?(?:/|$)|\\|:|^$")
_SHORT = 1000
# The same where names stand on lines of their own.
_SPECIALS = ("\n/", "//", "/\n", "/.", "\n.", "\\", ":", "\n\n")


# (a folder by a path without links, the path of a file below it)
FilePlace: TypeAlias = tuple[str, str]


class BadNameError(Exception):
    """A name that stands for no file: `complaint` follows it in a sentence."""

    def __init__(self, complaint: str, hint: str = "") -> None:
        super().__init__(complaint, hint)
        self.complaint = complaint
        self.hint = hint


class FilePlaces:
    """The places of files that tables at `paths` name, relative to `root` from their folders.

    `prefix` comes before their paths where these are ids.
    """

    def __init__(self, paths: Sequence[Path], root: str, prefix: str = "") -> None:
        self._prefix = prefix
        self._folders = [os.path.realpath(path) for path in paths if path.is_dir()]
        folders = (path if path.is_dir() else path.parent for path in paths)
        self.roots = sorted({os.path.realpath(folder) for folder in folders}, key=len, reverse=True)
        self._root = root

    def of_table(self, table: Path) -> TablePlaces:
        """The places of the files that the table in the file `table` names."""
        folder = posixpath.normpath(posixpath.join(os.path.realpath(table.parent), self._root))
        return TablePlaces(self.roots, folder)

    def id_prefix(self, table: Path) -> str:
        """What comes before a name in `table` where names are ids: the folder that they are
        relative to, from the folder that was named."""
        inside = os.path.realpath(table.parent)
        folder = next(
            (root for root in self._folders if f"{inside}/".startswith(f"{root}/")), inside
        )
        path = posixpath.normpath(posixpath.join(inside[len(folder) + 1 :], self._root))
        segments = [segment for segment in path.split("/") if segment not in ("..", ".")]
        return self._prefix + "".join(f"{segment}/" for segment in segments)


class TablePlaces:
    """The places of files whose names are relative to `folder`, below one of `roots`."""

    def __init__(self, roots: Sequence[str], folder: str) -> None:
        self._roots = roots
        self._folder = folder
        self._known = self._below(folder)

    def place_all(self, names: Sequence[str]) -> list[FilePlace | BadNameError]:
        """`place` of each of `names`, or what is wrong with it."""
        if self._known is not None and _all_plain(names):
            root, folder = self._known
            prefix = f"{folder}/" if folder else ""
            return [(root, prefix + name) for name in names]
        found: list[FilePlace | BadNameError] = []
        for name in names:
            try:
                found.append(self.place(name))
            except BadNameError as error:
                found.append(error)
        return found

    def place(self, name: str) -> FilePlace:
        """Where the file called `name` is to be. Raises BadNameError."""
        if _SPECIAL.search(name) or not name.isprintable() or len(name) > _SHORT:
            name = _plain(name)
        if name.count("/") > DEEPEST:
            raise BadNameError(f"lies more than {DEEPEST} folders deep")
        if self._known is not None:
            root, folder = self._known
            return root, f"{folder}/{name}" if folder else name
        if (found := self._below(f"{self._folder}/{name}")) is None:
            raise BadNameError(
                "lies outside of the folders that were named",
                "name its folder too, beside the table",
            )
        return found

    def _below(self, path: str) -> FilePlace | None:
        """`path` below one of the roots, if it is."""
        for root in self._roots:
            if f"{path}/".startswith(f"{root}/"):
                return root, path[len(root) + 1 :]
        return None


def _all_plain(names: Sequence[str]) -> bool:
    """Whether no name needs a closer look, seen for all of them at once."""
    joined = "\n".join(["", *names, ""])
    return (
        joined.count("\n") == len(names) + 1
        and joined.replace("\n", "").isprintable()
        and not any(special in joined for special in _SPECIALS)
        and max(map(len, names), default=0) <= _SHORT
        and max((name.count("/") for name in names), default=0) <= DEEPEST
    )


def _plain(name: str) -> str:
    """`name` without `./` before it, if it is then a path to a file. Raises BadNameError."""
    if _URL.match(name):
        raise BadNameError(
            "is a URL, not the name of a file",
            "download the files first: provreg ingest --fetch FOLDER --url-column COLUMN",
        )
    if _FILE_URL.match(name) or _DRIVE.match(name) or name.startswith("/"):
        raise BadNameError("is an absolute path", "write names relative to the table's folder")
    while name.startswith("./"):
        name = name[2:]
    segments = name.split("/")
    if ".." in segments:
        raise BadNameError(
            "leads out of its folder",
            "write names relative to a folder above: --files-root .. or so",
        )
    if "" in segments or "." in segments:
        raise BadNameError("is not a path to a file")
    if problem := problem_of(name):
        raise BadNameError(problem)
    return name
