"""Hashing files from the very start of what will want them, in other processes.

What begins here is used only where it turns out to be what is read. Whatever is wrong with the data
is left to be found by whoever reads them in earnest.
"""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from provreg.errors import ProvregError
from provreg.flows.reading_said import reader_said, takes_sha256
from provreg.readers.begun import HowToHash, begun_folder
from provreg.readers.folder_options import FolderOptions, options_of, settled_options
from provreg.readers.parallel import default_workers
from provreg.readers.table_files import files_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from provreg.flows.ingestion import Ingestion
    from provreg.flows.workspace import Workspace
    from provreg.readers.begun import BegunFolder

_FOLDER = "folder"
# What folders are full of that are not read as folders of files (`readers.catalog`): where one file
# is called otherwise, all of them are files.
_OTHERWISE = re.compile(
    r"ubyte|\.(arrow|csv|tsv|jsonl?|ndjson|parquet|tar|tgz|zip|gz|bz2|xz|zst|lz4)$", re.IGNORECASE
)


@contextmanager
def begun_again(
    workspace: Workspace, paths: Sequence[Path], reading: Mapping[str, Any]
) -> Iterator[BegunFolder | None]:
    """Begins to read `paths` the way a head says; None for data that are no folders of files."""

    def begin() -> AbstractContextManager[BegunFolder]:
        options = options_of(reader_said(reading), _FOLDER)
        return _begun(workspace, paths, options, collect=True)

    with _tried(begin) as begun:
        yield begun


@contextmanager
def begun_first(workspace: Workspace, ingestion: Ingestion) -> Iterator[BegunFolder | None]:
    """Begins to read the files of a dataset's first version.

    None for data that may be no folders of files, and where files can be known already: then their
    stats are looked at first.
    """

    def begin() -> AbstractContextManager[BegunFolder] | None:
        how, paths = ingestion.how, ingestion.paths
        sha256 = takes_sha256(how, None)
        if how.format not in (None, _FOLDER) or workspace.knows_files(sha256=sha256):
            return None
        if any(_may_be_otherwise(path) for path in paths):
            return None
        return _begun(workspace, paths, settled_options(how, FolderOptions()), collect=False)

    with _tried(begin) as begun:
        yield begun


def _begun(
    workspace: Workspace, paths: Sequence[Path], options: FolderOptions, *, collect: bool
) -> AbstractContextManager[BegunFolder]:
    how = HowToHash(tuple(paths), options.include, options.exclude, options.sha256, collect=collect)
    return begun_folder(how, leave_out=(workspace.folder,), workers=default_workers())


@contextmanager
def _tried(
    begin: Callable[[], AbstractContextManager[BegunFolder] | None],
) -> Iterator[BegunFolder | None]:
    with ExitStack() as stack:
        begun = None
        try:
            found = begin()
            begun = None if found is None else stack.enter_context(found)
        except ProvregError:
            pass
        yield begun


def _may_be_otherwise(path: Path) -> bool:
    first = next(files_at([path]), None)
    return first is None or not path.is_dir() or _OTHERWISE.search(first.name) is not None
