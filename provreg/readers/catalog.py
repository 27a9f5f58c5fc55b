"""All readers: which one a format means, and which one data call for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provreg.core.encoding.text import quoted
from provreg.errors import FormatError, UsageError
from provreg.readers.archives import webdataset, zip_folder
from provreg.readers.data_files.shard_files import shards
from provreg.readers.data_files.table_files import detect_format
from provreg.readers.data_files.table_files import shards as table_files
from provreg.readers.data_files.tables_in_folder import refuse_tables
from provreg.readers.files import folder
from provreg.readers.huggingface import huggingface
from provreg.readers.huggingface.layout import reads
from provreg.readers.idx import idx
from provreg.readers.tables import table
from provreg.readers.tables.options import READERS as TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence, Set
    from pathlib import Path

    from provreg.readers.api import Reader

# Formats that read each other's versions: the same rows have the same digests in all of them.
_TABLE: Reader = table
_READERS: Mapping[str, Reader] = {
    folder.READER: folder,
    **dict.fromkeys(TABLES, _TABLE),
    huggingface.READER: huggingface,
    webdataset.READER: webdataset,
    zip_folder.READER: zip_folder,
    idx.READER: idx,
}
# What data look like, asked in this order; whatever is nothing else is a folder of files.
_DETECTORS: tuple[Callable[[Sequence[Path]], str | None], ...] = (
    huggingface.detect,
    detect_format,
    webdataset.detect,
    zip_folder.detect,
    idx.detect,
)


def reader_of(format_: str) -> Reader:
    """The reader of a format, of provreg or of an installed package (`plugged`).

    Raises UsageError for a format that nobody reads, and for a reader that is none.
    """
    reader = _READERS.get(format_) or _plugged(format_)
    if reader is None:
        raise UsageError(
            f"{quoted(format_)} is no format that provreg or an installed package reads",
            hint="formats: " + ", ".join(_READERS),
        )
    return reader


def reader_again(reading: Mapping[str, Any]) -> tuple[Reader, str]:
    """The reader that a head's reading names, and its format.

    Raises FormatError for a reading that names none, NotFoundError where it is of a package that is
    not installed, and UsageError as `reader_of`.
    """
    format_ = reading.get("reader")
    if not isinstance(format_, str):
        raise FormatError("head.reading: reader is not text")
    reader = _READERS.get(format_) or _plugged(format_)
    if reader is None:
        if "package" in reading:
            from provreg.readers.plugins import missing, named_package

            raise missing(format_, named_package(reading)[0])
        raise FormatError(
            f"head.reading: the reader {quoted(format_)} is unknown",
            hint="it was written by a newer provreg: update, or refuse it",
        )
    return reader, format_


def files_read(format_: str, paths: Sequence[Path], label: str | None = None) -> Set[Path] | None:
    """The files at `paths` that a format reads, as its reader lists them; None where it reads all,
    or says itself what it leaves out, as folders of files and readers of other packages do.

    `label` is where labels are, None where nobody said so yet. Raises as reading does.
    """
    if format_ in TABLES:
        return set(table_files(paths, format_))
    if format_ == huggingface.READER:
        return reads(paths)
    if format_ == webdataset.READER:
        return {shard.file.path for shard in shards(paths)}
    if format_ == zip_folder.READER:
        return set(zip_folder.archives(paths))
    if format_ == idx.READER:
        return idx.reads(paths, labels=label != "none")
    return None


def _plugged(format_: str) -> Reader | None:
    # Late: what knows the installed packages takes as long to import as all our readers.
    from provreg.readers.plugins import plugged

    return plugged(format_)


def detect(paths: Sequence[Path], before: str | None = None) -> str:
    """The format that the data at `paths` have; `before` is that of the version they continue.

    Parquet files of the Hub are a table too: what can be read as before is. Raises NotFoundError,
    StorageError, InputError.
    """
    found = [format_ for looks_like in _DETECTORS if (format_ := looks_like(paths))]
    parent = None if before is None else _READERS.get(before)
    same = [format_ for format_ in found if _READERS[format_] is parent]
    if not found and (before is None or before != folder.READER):
        refuse_tables(paths, before)
    return next(iter(same or found), folder.READER)
