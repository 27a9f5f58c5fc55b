"""All readers: which one a format means, and which one data call for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provreg.core.text import quoted
from provreg.errors import UsageError
from provreg.readers import folder, table, webdataset
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
    webdataset.READER: webdataset,
}
# What data look like, asked in this order; whatever is nothing else is a folder of files.
_DETECTORS: tuple[Callable[[Sequence[Path]], str | None], ...] = (
    detect_format,
    webdataset.detect,
)


def reader_of(format_: str) -> Reader:
    """The reader of a format. Raises UsageError for an unknown one."""
    if format_ not in _READERS:
        raise UsageError(
            f"{quoted(format_)} is no format provreg reads", hint="formats: " + ", ".join(_READERS)
        )
    return _READERS[format_]


def detect(paths: Sequence[Path]) -> str:
    """The format that the data at `paths` have. Raises NotFoundError, StorageError, InputError."""
    found = (looks_like(paths) for looks_like in _DETECTORS)
    return next((format_ for format_ in found if format_), folder.READER)
