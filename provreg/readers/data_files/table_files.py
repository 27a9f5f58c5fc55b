"""The files of a dataset: those named, or all of one kind in a folder."""

from __future__ import annotations

import os
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from provreg.core.encoding.text import quoted
from provreg.errors import InputError, NotFoundError, StorageError, UsageError
from provreg.readers.data_files.compression import COMPRESSIONS, compression_of
from provreg.readers.data_files.source_file import display

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence

# The files' extension, the format it stands for.
_FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
TAR = re.compile(r"(.+)\.(?:tar|tar\.gz|tgz|tar\.zst)", re.IGNORECASE)
# Formats that are text, and may be compressed as a whole; Parquet compresses its own pages.
_TEXT = frozenset({"csv", "tsv", "json", "jsonl"})
_ENDINGS = (
    *_FORMATS,
    *(
        f"{ending}{packed}"
        for ending, format_ in _FORMATS.items()
        if format_ in _TEXT
        for packed in COMPRESSIONS
    ),
)
_PACKED = frozenset({*COMPRESSIONS, ".lz4", ".zip"})
_LEFT_OUT = "Thumbs.db"
# Files that people and programs put beside data, and that no program reads as such.
NEIGHBOURS = frozenset(
    {"README", "README.md", "README.txt", "README.rst", "LICENSE", "LICENSE.md", "LICENSE.txt"}
    | {"_SUCCESS", "dataset_infos.json"}
)
# Of so many files the first are looked at: a folder of samples may have any number.
_MOST = 1000


def detect_format(paths: Sequence[Path]) -> str | None:
    """`csv`, `tsv`, `json`, `jsonl` or `parquet` where all files at `paths` are of this one kind.

    None where they are not, or there are none. Raises NotFoundError, StorageError, and InputError
    for tables that are compressed in a way that is not read.
    """
    kinds: set[str | None] = set()
    for file in data_at(paths):
        kind = format_of(file)
        if kind is None and file.suffix.lower() in _PACKED and format_of(Path(file.stem)):
            raise InputError(
                f"{display(file)} is compressed",
                hint="decompress it; tables of text may be compressed with gzip, zstd, bzip2, xz",
            )
        kinds.add(kind)
        if kind is None or len(kinds) > 1:
            return None
    return kinds.pop() if kinds else None


def format_of_tables(paths: Sequence[Path], before: str | None) -> str:
    """The format of the tables at `paths`, whatever other files are there; that of `before`, the
    version they continue, where there are several.

    Raises InputError where there are no tables, UsageError for tables of several formats.
    """
    tables = files_at(paths, lambda name: name.lower().endswith(_ENDINGS))
    kinds = {kind for file in tables if (kind := format_of(file)) is not None}
    if not kinds:
        raise InputError("there is no table that could name files")
    if before in kinds:
        return before
    if len(kinds) > 1:
        raise UsageError(
            "there are tables of several formats: " + ", ".join(sorted(kinds)),
            hint="choose one: --format " + min(kinds),
        )
    return kinds.pop()


def files_of_format(paths: Sequence[Path], format_: str) -> list[Path]:
    """The files to read: those named, and those of the format in the folders named, by path.

    Raises InputError where there are none, or a file is there compressed and unpacked, UsageError
    where one is named twice, NotFoundError and StorageError.
    """
    # By their names: beside them may lie any number of files that rows name.
    endings = tuple(ending for ending in _ENDINGS if format_of(Path(f"x{ending}")) == format_)
    found = [
        file
        for path in paths
        for file in files_at([path], lambda name: name.lower().endswith(endings))
    ]
    if format_ in _TEXT:
        _refuse_twins(found)
    return _in_order(found, format_)


def _refuse_twins(files: Iterable[Path]) -> None:
    unpacked: dict[Path, Path] = {}
    for file in files:
        name = file if compression_of(file) is None else file.with_suffix("")
        if (twin := unpacked.setdefault(name, file)) != file:
            raise InputError(
                f"{display(twin)} and {display(file)} are one table, compressed and unpacked"
                " or compressed in two ways",
                hint="remove one of them",
            )


def chosen_files(paths: Sequence[Path], wanted: Callable[[Path], bool], what: str) -> list[Path]:
    """The files named, and those `wanted` in the folders named, by path; `what` they hold.

    Raises InputError where there are none, UsageError where one is named twice, NotFoundError and
    StorageError.
    """
    found: list[Path] = []
    for path in paths:
        is_named = not path.is_dir()
        found += (file for file in files_at([path]) if is_named or wanted(file))
    return _in_order(found, what)


def _in_order(found: list[Path], what: str) -> list[Path]:
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
    """The format that a file's name stands for, that of a compressed table, too."""
    if compression_of(path) is None:
        return _FORMATS.get(path.suffix.lower())
    inside = _FORMATS.get(Path(path.stem).suffix.lower())
    return inside if inside in _TEXT else None


def is_tar(path: Path) -> bool:
    """Whether a file has the name of a tar file."""
    return TAR.fullmatch(path.name) is not None


def files_at(paths: Sequence[Path], wanted: Callable[[str], bool] | None = None) -> Iterator[Path]:
    """The files at `paths` and, but for hidden ones, in the folders there, those whose names are
    `wanted`. Links to folders are not followed."""
    for path in paths:
        if not path.exists():
            raise NotFoundError(f"there is no file or folder {display(path)}")
        if not path.is_dir():
            yield path
            continue
        for folder, below, names in os.walk(path, onerror=_raise_storage_error):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for name in sorted(names if wanted is None else filter(wanted, names)):
                if not name.startswith(".") and name != _LEFT_OUT:
                    yield Path(folder, name)


def files_and_links(folder: Path, leave_out: Container[str]) -> Iterator[tuple[str, bool]]:
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
        yield from ((f"{place}/{name}", True) for name in sorted(links))
        yield from ((f"{place}/{name}", False) for name in sorted(names))


def _raise_storage_error(error: OSError) -> NoReturn:
    raise StorageError(f"a folder cannot be listed: {error}") from error


def refuse_hugging_face(root: str, files: Collection[str], folders: Collection[str]) -> None:
    """InputError if `root`, with `files` and `folders` right inside, is a Hugging Face dataset.

    Read as a folder its shards would become the samples, which is never what is meant.
    """
    if "dataset_dict.json" in files or {"dataset_info.json", "state.json"} <= set(files):
        raise InputError(
            f"{quoted(root)} is a dataset saved by Hugging Face datasets",
            hint="read it with --format huggingface",
        )
    if "data" in folders and not {"README.md", "dataset_infos.json"}.isdisjoint(files):
        try:
            names = os.listdir(f"{root}/data")  # noqa: PTH208
        except OSError:  # the listing itself will say so
            return
        if any(name.endswith((".parquet", ".arrow")) for name in names):
            raise InputError(
                f"{quoted(root)} is a Hugging Face dataset repository",
                hint="read it with --format huggingface",
            )


def refuse_tables(paths: Sequence[Path], before: str | None) -> None:
    """InputError if the files at `paths` are a table's or shards, with something beside them.

    Read as a folder they would be the samples, and not their rows. `before` is the format of the
    version they continue.
    """
    kinds: Counter[str] = Counter()
    first: dict[str, Path] = {}
    for file in islice(data_at(paths), _MOST):
        kind = "webdataset" if is_tar(file) else format_of(file) or ""
        if file.suffix.lower() == ".zip":
            kind = "zip"
        kinds[kind] += 1
        first.setdefault(kind, file)
    alone = kinds.pop("", 0)
    if not kinds or len(first) < 2:
        return
    [(format_, count)] = kinds.most_common(1)
    other = next(file for kind, file in first.items() if kind != format_)
    # A sample may well have a JSON or CSV file of its own, but hardly a Parquet file or a shard.
    if format_ in {"parquet", "webdataset"} or count > alone or format_ == before:
        raise InputError(
            f"there are {format_} files and others, such as {display(other)}",
            hint=f"--format {format_} reads them; --format folder signs the files themselves",
        )
