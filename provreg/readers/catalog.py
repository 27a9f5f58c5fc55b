"""All readers: which one a format means, and which one data call for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provreg.core.text import quoted
from provreg.errors import UsageError
from provreg.readers import folder, huggingface, idx, table, webdataset, zipped
from provreg.readers.table_files import detect_format
from provreg.readers.table_options import READERS as TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from provreg.readers.reader import Reader

# Formats that read each other's versions: the same rows have the same digests in all of them.
_TABLE: Reader = table
_READERS: Mapping[str, Reader] = {
    folder.READER: folder,
    **dict.fromkeys(TABLES, _TABLE),
    huggingface.READER: huggingface,
    webdataset.READER: webdataset,
    zipped.READER: zipped,
    idx.READER: idx,
}
# What data look like, asked in this order; whatever is nothing else is a folder of files.
_DETECTORS: tuple[Callable[[Sequence[Path]], str | None], ...] = (
    huggingface.detect,
    detect_format,
    webdataset.detect,
    zipped.detect,
    idx.detect,
)


def reader_of(format_: str) -> Reader:
    """The reader of a format. Raises UsageError for an unknown one."""
    if format_ not in _READERS:
        raise UsageError(
            f"{quoted(format_)} is no format provreg reads", hint="formats: " + ", ".join(_READERS)
        )
    return _READERS[format_]


def detect(paths: Sequence[Path], before: str | None = None) -> str:
    """The format that the data at `paths` have; `before` is that of the version they continue.

    Parquet files of the Hub are a table too: what can be read as before is. Raises NotFoundError,
    StorageError, InputError.
    """
    found = [format_ for looks_like in _DETECTORS if (format_ := looks_like(paths))]
    parent = None if before is None else _READERS.get(before)
    same = [format_ for format_ in found if _READERS[format_] is parent]
    return next(iter(same or found), folder.READER)
