"""Folders of files as samples: one file, one sample (docs/reference/readers.md, "Folders").

Archives of files share its options, its labels and splits by folder, and its table of samples.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import quoted
from provreg.core.manifest.entry import DIGEST, SAMPLE
from provreg.core.manifest.limits import LIMITS
from provreg.errors import Finding, FormatError, InputError, UsageError
from provreg.executors.api import no_report
from provreg.executors.processes import IN_PROCESS
from provreg.readers.api import FileStats, ReadContext, ReadResult, SampleKind
from provreg.readers.files.folder_access import FolderFiles
from provreg.readers.files.globs import MOST_PATTERNS, Excluded, Globs
from provreg.readers.files.hashing import hash_files, stat_files
from provreg.readers.files.stats import STAT_FIELDS
from provreg.readers.files.walk import ByteRun, folder_prefix, list_samples

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from provreg.errors import StorageError
    from provreg.executors.api import Executor
    from provreg.readers.api import KnownDigests, ReadOptions
    from provreg.readers.files.walk import ByteRun

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
READER_VERSION = 1
OPTIONS = frozenset({"label", "split", "include", "exclude", "sha256", "prefix"})
_WHAT = "head.reading"
_FROM = r"dir|none"
_LEFT_OUT = ("hidden", "system", "registry", "filtered", "empty")


def read_folder(
    paths: Sequence[str | os.PathLike[str]],
    options: FolderOptions,
    *,
    leave_out: Iterable[str | os.PathLike[str]] = (),
    executor: Executor = IN_PROCESS,
    known: KnownDigests | None = None,
    collect: bool = False,
    progress: Callable[[int, int], None] | None = None,
    announce: Callable[[int], None] = no_report,
) -> ReadResult:
    """Lists and hashes the samples below `paths`, by `executor`.

    Folders of `leave_out` (the registry) are not entered. With `known`, files it has a digest for
    are not read; verification passes none. With `collect`, files that cannot be samples or cannot
    be read become findings. `progress` hears (files, bytes) done so far, `announce` before that how
    many files there are.

    Raises what `readers.files.walk.list_samples` and `readers.files.hashing.hash_files` raise, and
    InputError for a sample without the folder its label or split is to come from.
    """
    read_at_ns = time.time_ns()
    listing = list_samples(
        paths,
        include=options.include,
        exclude=options.exclude,
        leave_out=leave_out,
        prefix=options.prefix,
        collect=collect,
    )
    labels, splits = names_of_folders(listing.runs, options, collect=collect)
    total = len(listing)
    announce(total)
    hashed = hash_runs(
        listing.runs,
        executor=executor,
        known=known,
        sha256=options.sha256,
        collect=collect,
        progress=progress,
    )
    digests, stats = hashed.digests, hashed.stats
    table = table_of(listing.runs, digests, stats[:, 2], labels, splits)
    findings = listing.findings
    if hashed.failures:
        failed = np.array(list(hashed.failures))
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
        reused=hashed.reused,
        findings=tuple(sorted(findings, key=lambda finding: finding.id)),
        files=FileStats(stats, digests, read_at_ns),
        # Where folders are no labels, an empty one is no class.
        unseen={
            reason: names
            for reason, names in listing.unseen.items()
            if reason != "empty" or options.label == "dir"
        },
    )


@dataclass(frozen=True, slots=True)
class HashedRuns:
    """What was read of `n` files, in the order of their runs.

    `digests` has shape (n, 32), or (n, 64) with SHA-256, `stats` (n, 5) as in `FileStats`; both are
    zero for `failures`, by row. `reused` is how many digests were known.
    """

    digests: npt.NDArray[np.uint8]
    stats: npt.NDArray[np.uint64]
    failures: Mapping[int, InputError | StorageError]
    reused: int


def hash_runs(
    runs: Sequence[ByteRun],
    *,
    executor: Executor,
    known: KnownDigests | None,
    sha256: bool = False,
    collect: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> HashedRuns:
    """The digests and stats of the files of `runs`; those that are `known` are not read.

    The rest as `hash_files`.
    """
    total = sum(len(run.names) for run in runs)
    digests = np.zeros((total, DIGEST.byte_width * (1 + sha256)), np.uint8)
    found = np.zeros(total, np.bool_)
    stats = np.zeros((total, STAT_FIELDS), np.uint64)
    if known is not None:
        stats = _as_stats(stat_files(runs, executor=executor)).copy()
        found, digests = known.lookup(stats)
    hashes = hash_files(
        _without(runs, found) if found.any() else runs,
        executor=executor,
        with_sha256=sha256,
        collect=collect,
        progress=progress and _offset(progress, int(found.sum()), int(stats[found, 2].sum())),
    )
    columns = [hashes.content, hashes.sha256] if sha256 else [hashes.content]
    digests[~found] = np.hstack([_as_digests(column) for column in columns])
    stats[~found] = _as_stats(hashes.stats)
    left = np.flatnonzero(~found)
    failures = {int(left[row]): failure for row, failure in hashes.failures.items()}
    return HashedRuns(digests, stats, failures, int(found.sum()))


def _as_stats(stats: bytes) -> npt.NDArray[np.uint64]:
    return np.frombuffer(stats, np.uint64).reshape(-1, STAT_FIELDS)


def _as_digests(digests: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(digests, np.uint8).reshape(-1, DIGEST.byte_width)


def settle(_format: str, options: ReadOptions, before: Mapping[str, Any] | None) -> FolderOptions:
    """What was said, over what `before` says. Raises UsageError, and FormatError for `before`."""
    return override_options(
        options, FolderOptions() if before is None else options_from_reading(before)
    )


def read(
    paths: Sequence[Path], _format: str, options: FolderOptions, context: ReadContext
) -> ReadResult:
    """As `read_folder`."""
    progress = context.progress
    return read_folder(
        paths,
        options,
        leave_out=context.leave_out,
        executor=context.executor,
        known=context.known_files,
        collect=context.collect,
        progress=None if progress is None else lambda files, _bytes: progress(files),
        announce=context.total,
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


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """How folders become samples.

    `label`: `dir` (the name of the folder the file lies in) or `none`. `split`: `dir` (the first
    folder) or `none`. `include`, `exclude`: patterns over ids (`files.globs`). `sha256`: whether
    the SHA-256 of every file is taken as well, in the same read. `prefix`: what ids begin with, as
    `files.walk.folder_prefix` has it; no head has it, since all else goes by whole ids. Raises
    UsageError.
    """

    label: str = "dir"
    split: str = "none"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sha256: bool = False
    prefix: str = ""

    def __post_init__(self) -> None:
        for name, value in (("label", self.label), ("split", self.split)):
            if value not in {"dir", "none"}:
                raise UsageError(f"{quoted(value)} is not a {name} for folders: dir or none")
        if self.include:
            Globs(self.include)
        if self.exclude:
            Excluded(self.exclude)


def override_options(options: ReadOptions, old: FolderOptions) -> FolderOptions:
    """What was said, over `old`. Raises UsageError."""
    return FolderOptions(
        label=options.label or old.label,
        split=options.split or old.split,
        include=options.include or old.include,
        exclude=options.exclude or old.exclude,
        sha256=options.sha256 or old.sha256,
        prefix="" if options.prefix is None else folder_prefix(options.prefix),
    )


def options_of(reading: Any, reader: str) -> FolderOptions:
    """The options that `reading`, from a head, was made with by `reader`. Raises FormatError."""
    fields = Fields(reading, _WHAT)
    if fields.text("reader") != reader:
        raise fields.wrong("reader", f"is not {reader}")
    if fields.integer("reader_version") != READER_VERSION:
        raise fields.wrong("reader_version", "is unknown: a newer provreg is needed")
    label, split = fields.text("label", pattern=_FROM), fields.text("split", pattern=_FROM)
    include = fields.texts("include", limit=MOST_PATTERNS)
    exclude = fields.texts("exclude", limit=MOST_PATTERNS)
    left_out = fields.object("left_out")
    for reason in _LEFT_OUT:
        if left_out.has(reason):
            left_out.integer(reason, minimum=1)
    left_out.done()
    sha256 = fields.has("sha256")
    if sha256 and fields.raw("sha256") is not True:
        raise fields.wrong("sha256", "is not true: it is left out where it is not")
    fields.done()
    try:
        return FolderOptions(label, split, include, exclude, sha256)
    except UsageError as error:
        raise FormatError(f"{_WHAT}: {error.message}") from None


def reading_of(reader: str, options: FolderOptions, left_out: dict[str, int]) -> dict[str, Any]:
    """How files were read, for the head."""
    reading: dict[str, Any] = {
        "reader": reader,
        "reader_version": READER_VERSION,
        "label": options.label,
        "split": options.split,
        "include": list(options.include),
        "exclude": list(options.exclude),
        "left_out": left_out,
    }
    return reading | {"sha256": True} if options.sha256 else reading


def names_of_folders(
    runs: Sequence[ByteRun], options: FolderOptions, *, collect: bool
) -> tuple[list[str | None], list[str | None]]:
    """(label, split) of each run; None where not asked for, or not there and collecting."""
    labels: list[str | None] = []
    splits: list[str | None] = []
    with_label, with_split = options.label == "dir", options.split == "dir"
    for run in runs:
        folders = run.prefix.split("/")[:-1]
        if len(folders) < with_label + with_split and not collect:
            sample = run.prefix + run.names[0]
            needed = "folders for its label and split" if with_split else "folder for its label"
            if not with_label:
                needed = "folder for its split"
            raise InputError(
                f"{quoted(sample)} lies in no {needed}",
                hint="pass --label none (or --split none), or leave the file out with --exclude",
                sample=sample,
            )
        labels.append(folders[-1] if with_label and len(folders) > with_split else None)
        splits.append(folders[0] if with_split and folders else None)
        for name, limit in ((labels[-1], LIMITS["label"]), (splits[-1], LIMITS["split"])):
            if name is not None and len(name.encode()) > limit and not collect:
                raise InputError(
                    f"the folder name {quoted(name)} is longer than {limit} bytes",
                    sample=run.prefix + run.names[0],
                )
    return labels, splits


def table_of(
    runs: Sequence[ByteRun],
    digests: npt.NDArray[np.uint8],
    sizes: npt.NDArray[np.uint64],
    labels: list[str | None],
    splits: list[str | None],
) -> pa.Table:
    """The samples of `runs`, schema SAMPLE: `content` uint8 of shape (n, 32), `sizes` in bytes of
    shape (n,), a label and a split for each run."""
    lengths = [len(run.names) for run in runs]
    columns = {
        "id": pa.array([run.prefix + name for run in runs for name in run.names], pa.string()),
        "content": _digests(digests[:, : DIGEST.byte_width]),
        "size": pa.array(sizes),
        "label": _repeated(labels, lengths),
        "split": _repeated(splits, lengths),
    }
    rows = len(digests)
    if digests.shape[1] > DIGEST.byte_width:
        columns["content_sha256"] = _digests(digests[:, DIGEST.byte_width :])
    return pa.table(
        [columns.get(column.name, pa.nulls(rows, column.type)) for column in SAMPLE], schema=SAMPLE
    )


def _digests(rows: npt.NDArray[np.uint8]) -> pa.Array:
    return pa.Array.from_buffers(
        DIGEST, len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))]
    )


def _repeated(names: list[str | None], lengths: list[int]) -> pa.Array:
    """Each name as often as its run is long."""
    rows = np.repeat(np.arange(len(names), dtype=np.int32), lengths)
    return pa.array(names, pa.string()).take(pa.array(rows))
