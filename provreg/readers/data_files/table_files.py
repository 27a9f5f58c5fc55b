"""Which files a table is in: those named, or all of one kind in a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from provreg.errors import InputError, NotFoundError, StorageError, UsageError
from provreg.readers.data_files.source_file import display

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence

# The files' extension, the format it stands for.
_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")
_LEFT_OUT = "Thumbs.db"
# Files that people and programs put beside data, and that no program reads as such.
NEIGHBOURS = frozenset(
    {"README", "README.md", "README.txt", "README.rst", "LICENSE", "LICENSE.md", "LICENSE.txt"}
    | {"_SUCCESS", "dataset_infos.json"}
)


def detect_format(paths: Sequence[Path]) -> str | None:
    """`csv`, `tsv`, `json`, `jsonl` or `parquet` where all files at `paths` are of this one kind.

    None where they are not, or there are none. Raises NotFoundError, StorageError, and InputError
    for tables that are compressed as a whole.
    """
    kinds: set[str | None] = set()
    for file in data_at(paths):
        kind = format_of(file)
        if kind is None and file.suffix.lower() in _COMPRESSED and format_of(Path(file.stem)):
            raise InputError(
                f"{display(file)} is compressed", hint="decompress it, or convert it to Parquet"
            )
        kinds.add(kind)
        if kind is None or len(kinds) > 1:
            return None
    return kinds.pop() if kinds else None


def shards(paths: Sequence[Path], format_: str) -> list[Path]:
    """The files to read: those named, and those of the format in the folders named, by path.

    Raises InputError where there are none, UsageError where one is named twice, NotFoundError and
    StorageError.
    """
    return chosen_files(paths, lambda file: format_of(file) == format_, format_)


def chosen_files(paths: Sequence[Path], wanted: Callable[[Path], bool], what: str) -> list[Path]:
    """The files named, and those `wanted` in the folders named, by path; `what` they hold.

    Raises InputError where there are none, UsageError where one is named twice, NotFoundError and
    StorageError.
    """
    found = [
        file for path in paths for file in files_at([path]) if not path.is_dir() or wanted(file)
    ]
    if len(set(found)) != len(found):
        raise UsageError("a file is named twice")
    if not found:
        raise InputError(f"there are no {what} files")
    return sorted(found, key=os.fsencode)


def all_files(paths: Sequence[Path], wanted: Callable[[Path], bool]) -> bool:
    """Whether there are files at `paths`, and all are `wanted`. Stops at the first that is not."""
    found = False
    for file in data_at(paths):
        found = True
        if not wanted(file):
            return False
    return found


def data_at(paths: Sequence[Path]) -> Iterator[Path]:
    """The files at `paths` but for well-known ones in folders that hold no data."""
    named = set(paths)
    for file in files_at(paths):
        if file.name not in NEIGHBOURS or file in named:
            yield file


def format_of(path: Path) -> str | None:
    """The format that a file's name stands for."""
    return _FORMATS.get(path.suffix.lower())


def files_at(paths: Sequence[Path]) -> Iterator[Path]:
    """The files at `paths` and, but for hidden ones, in the folders there. Links to folders are
    not followed."""
    for path in paths:
        if not path.exists():
            raise NotFoundError(f"there is no file or folder {display(path)}")
        if not path.is_dir():
            yield path
            continue
        for folder, below, names in os.walk(path, onerror=_raise_storage_error):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith(".") and name != _LEFT_OUT:
                    yield Path(folder, name)


def files_and_links(folder: Path, leave_out: Container[str]) -> Iterator[tuple[Path, bool]]:
    """All files in `folder` and below, hidden ones too, and links to folders: (path, whether it is
    such a link). Folders of `leave_out`, real paths, are not entered."""
    for place, below, names in os.walk(folder, onerror=_raise_storage_error):
        links = [name for name in below if (Path(place) / name).is_symlink()]
        below[:] = sorted(
            name
            for name in below
            if name not in links
            and (not leave_out or os.path.realpath(f"{place}/{name}") not in leave_out)
        )
        yield from ((Path(place, name), True) for name in sorted(links))
        yield from ((Path(place, name), False) for name in sorted(names))


def _raise_storage_error(error: OSError) -> NoReturn:
    raise StorageError(f"a folder cannot be listed: {error}") from error
