"""Folders of files as samples: one file, one sample (docs/reference/readers.md, "Folders")."""

from __future__ import annotations

import time
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from provreg.core.manifest.entry import DIGEST
from provreg.errors import Finding
from provreg.executors.processes import IN_PROCESS
from provreg.readers.api import FileStats, ReadContext, ReadResult, SampleKind
from provreg.readers.files.folder_access import FolderFiles
from provreg.readers.files.folder_options import (
    OPTIONS,
    FolderOptions,
    options_of,
    reading_of,
    settled_options,
)
from provreg.readers.files.folder_samples import names_of_folders, table_of
from provreg.readers.files.hashing import hash_files, stat_files
from provreg.readers.files.stats import STAT_FIELDS
from provreg.readers.files.walk import ByteRun, list_samples

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from provreg.executors.api import Executor
    from provreg.readers.api import KnownDigests, ReadOptions

__all__ = [
    "OPTIONS",
    "READER",
    "SAMPLES",
    "FolderOptions",
    "files",
    "listed_files",
    "options_from_reading",
    "read",
    "read_folder",
    "settle",
    "stream",
]

READER = "folder"
SAMPLES = SampleKind.FILES


def read_folder(
    paths: Sequence[str | os.PathLike[str]],
    options: FolderOptions,
    *,
    leave_out: Iterable[str | os.PathLike[str]] = (),
    executor: Executor = IN_PROCESS,
    known: KnownDigests | None = None,
    collect: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ReadResult:
    """Lists and hashes the samples below `paths`, by `executor`.

    Folders of `leave_out` (the registry) are not entered. With `known`, files it has a digest for
    are not read; verification passes none. With `collect`, files that cannot be samples or cannot
    be read become findings. `progress` hears (files, bytes) done so far.

    Raises what `readers.files.walk.list_samples` and `readers.files.hashing.hash_files` raise, and
    InputError for a sample without the folder its label or split is to come from.
    """
    read_at_ns = time.time_ns()
    listing = list_samples(
        paths,
        include=options.include,
        exclude=options.exclude,
        leave_out=leave_out,
        collect=collect,
    )
    labels, splits = names_of_folders(listing.runs, options, collect=collect)
    total = len(listing)
    digests = np.zeros((total, DIGEST.byte_width * (1 + options.sha256)), np.uint8)
    found = np.zeros(total, np.bool_)
    stats = np.zeros((total, STAT_FIELDS), np.uint64)
    if known is not None:
        stats = _as_stats(stat_files(listing.runs, executor=executor)).copy()
        found, digests = known.lookup(stats)
    hashes = hash_files(
        _without(listing.runs, found) if found.any() else listing.runs,
        executor=executor,
        with_sha256=options.sha256,
        collect=collect,
        progress=progress and _offset(progress, int(found.sum()), int(stats[found, 2].sum())),
    )
    taken = [hashes.content, hashes.sha256] if options.sha256 else [hashes.content]
    digests[~found] = np.hstack([_as_digests(column) for column in taken])
    stats[~found] = _as_stats(hashes.stats)
    table = table_of(listing.runs, digests, stats[:, 2], labels, splits)
    findings = listing.findings
    if hashes.failures:
        failed = np.flatnonzero(~found)[list(hashes.failures)]
        findings += [Finding("unreadable", table["id"][row].as_py()) for row in failed]
        readable = np.ones(total, np.bool_)
        readable[failed] = False
        table, stats = table.filter(pa.array(readable)), stats[readable]
        digests = digests[readable]
    return ReadResult(
        table,
        reading_of(READER, options, listing.left_out),
        labels_known=options.label == "dir",
        splits_known=options.split == "dir",
        reused=int(found.sum()),
        findings=tuple(sorted(findings, key=lambda finding: finding.id)),
        files=FileStats(stats, digests, read_at_ns),
        # Where folders are no labels, an empty one is no class.
        unseen={
            reason: names
            for reason, names in listing.unseen.items()
            if reason != "empty" or options.label == "dir"
        },
    )


def _as_stats(stats: bytes) -> npt.NDArray[np.uint64]:
    return np.frombuffer(stats, np.uint64).reshape(-1, STAT_FIELDS)


def _as_digests(digests: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(digests, np.uint8).reshape(-1, DIGEST.byte_width)


def settle(_format: str, how: ReadOptions, before: Mapping[str, Any] | None) -> FolderOptions:
    """What was said, over what `before` says. Raises UsageError, and FormatError for `before`."""
    return settled_options(how, FolderOptions() if before is None else options_from_reading(before))


def read(
    paths: Sequence[Path], _format: str, options: FolderOptions, work: ReadContext
) -> ReadResult:
    """As `read_folder`."""
    progress = work.progress
    return read_folder(
        paths,
        options,
        leave_out=work.leave_out,
        executor=work.executor,
        known=work.known_files,
        collect=work.collect,
        progress=None if progress is None else lambda files, _bytes: progress(files),
    )


def files(paths: Sequence[Path], _format: str, _options: FolderOptions) -> FolderFiles:
    """The files by the ids they have as samples."""
    return FolderFiles(paths)


def stream(
    _paths: Sequence[Path], _format: str, _options: FolderOptions, _context: ReadContext
) -> None:
    """None: files are read by id."""


def listed_files(_paths: Sequence[Path], _format: str, _label: str | None) -> None:
    """None: the head counts what is left out."""


def options_from_reading(reading: Any) -> FolderOptions:
    """The options that `reading`, from a head, was made with. Raises FormatError."""
    return options_of(reading, READER)


def _without(runs: Sequence[ByteRun], known: npt.NDArray[np.bool_]) -> list[ByteRun]:
    """`runs` less the samples whose digest is known."""
    wanted = (~known).tolist()
    left: list[ByteRun] = []
    begin = 0
    for run in runs:
        end = begin + len(run.names)
        chosen = wanted[begin:end]
        begin = end
        if any(chosen):
            names, files = list(compress(run.names, chosen)), list(compress(run.files, chosen))
            left.append(ByteRun(run.root, run.prefix, names, run.folder, files))
    return left


def _offset(
    progress: Callable[[int, int], None], files: int, size: int
) -> Callable[[int, int], None]:
    return lambda done_files, done_bytes: progress(files + done_files, size + done_bytes)
