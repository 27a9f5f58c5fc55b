"""All readers: which one a format means, and which one data call for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provreg.core.encoding.text import quoted
from provreg.errors import FormatError, UsageError
from provreg.readers.api import SAMPLES, SampleKind
from provreg.readers.archives import webdataset, zip_folder
from provreg.readers.data_files.table_files import detect_format, refuse_tables
from provreg.readers.files import folder
from provreg.readers.huggingface import huggingface
from provreg.readers.idx import idx
from provreg.readers.tables import table
from provreg.readers.tables.options import READERS as TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
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
    """The reader of a format, of provreg or of an installed package (`find_plugged`).

    Raises UsageError for a format that nobody reads, and for an object that is not a reader.
    """
    reader = _READERS.get(format_) or _plugged_reader(format_)
    if reader is None:
        raise UsageError(
            f"{quoted(format_)} is not a format of provreg or of an installed package",
            hint="formats: " + ", ".join(_READERS),
        )
    return reader


def recorded_reader(reading: Mapping[str, Any]) -> tuple[Reader, str]:
    """The reader that a head's reading names, and its format.

    Raises FormatError for a reading that names none, NotFoundError where it is of a package that is
    not installed, and UsageError as `reader_of`.
    """
    format_ = reading.get("reader")
    if not isinstance(format_, str):
        raise FormatError("head.reading: reader is not text")
    reader = _READERS.get(format_) or _plugged_reader(format_)
    if reader is None:
        if "package" in reading:
            from provreg.readers.plugins import missing_package, named_package

            raise missing_package(format_, named_package(reading)[0])
        raise FormatError(
            f"head.reading: the reader {quoted(format_)} is unknown",
            hint="it was written by a newer provreg: update, or refuse it",
        )
    return reader, format_


def sample_kind(reading: Mapping[str, Any]) -> SampleKind:
    """What the samples of a head are, by its reading.

    A reader of another package is neither needed nor loaded: the head records its answer, and
    without one, or with one that is unknown, samples are `OTHER`.
    """
    if reader := _READERS.get(reading["reader"]):
        return reader.SAMPLES
    kind = reading.get(SAMPLES)
    return SampleKind(kind) if kind in tuple(SampleKind) else SampleKind.OTHER


def names_files(reading: Mapping[str, Any]) -> bool:
    """Whether the rows of data read so name files, which belong to them.

    Raises FormatError for an invalid reading.
    """
    if _READERS.get(reading["reader"]) is not _TABLE:
        return False
    return table.options_from_reading(reading).has_files


def _plugged_reader(format_: str) -> Reader | None:
    # Late: what knows the installed packages takes as long to import as all our readers.
    from provreg.readers.plugins import find_plugged

    return find_plugged(format_)


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
