"""Folders of files as samples: one file, one sample (docs/readers.md, "Folders")."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from provreg.core.document import Fields
from provreg.core.entry import DIGEST, LIMITS, SAMPLE
from provreg.core.finding import Finding
from provreg.core.text import quoted
from provreg.errors import FormatError, InputError, UsageError
from provreg.readers.folder_files import FolderFiles
from provreg.readers.globs import MOST_PATTERNS, Globs
from provreg.readers.hashing import hash_files, stat_files
from provreg.readers.listing import list_samples
from provreg.readers.reader import FileStats, Found, SampleStream
from provreg.readers.runs import Run

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from provreg.readers.reader import HowToRead, KnownDigests, Work

READER = "folder"
READER_VERSION = 1
FORMATS = (READER,)
OPTIONS = frozenset({"label", "split", "include", "exclude", "sha256"})
_WHAT = "head.reading"
_FROM = r"dir|none"
_LEFT_OUT = ("hidden", "system", "registry", "filtered")


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """How folders become samples.

    `label`: `dir` (the name of the folder the file lies in) or `none`. `split`: `dir` (the first
    folder) or `none`. `include`, `exclude`: patterns over ids (`readers.globs`). `sha256`: whether
    the SHA-256 of every file is taken as well, in the same read. Raises UsageError.
    """

    label: str = "dir"
    split: str = "none"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sha256: bool = False

    def __post_init__(self) -> None:
        for name, value in (("label", self.label), ("split", self.split)):
            if value not in {"dir", "none"}:
                raise UsageError(f"{quoted(value)} is not a {name} for folders: dir or none")
        for patterns in (self.include, self.exclude):
            if patterns:
                Globs(patterns)


def read_folder(
    paths: Sequence[str | os.PathLike[str]],
    options: FolderOptions,
    *,
    leave_out: Iterable[str | os.PathLike[str]] = (),
    workers: int = 1,
    known: KnownDigests | None = None,
    collect: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Found:
    """Lists and hashes the samples below `paths`, in up to `workers` processes.

    Folders of `leave_out` (the registry) are not entered. With `known`, files it has a digest for
    are not read; verification passes none. With `collect`, files that cannot be samples or cannot
    be read become findings. `progress` hears (files, bytes) done so far.

    Raises what `readers.listing.list_samples` and `readers.hashing.hash_files` raise, and
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
    labels, splits = _names_of_folders(listing.runs, options, collect=collect)
    total = len(listing)
    digests = np.zeros((total, DIGEST.byte_width * (1 + options.sha256)), np.uint8)
    found = np.zeros(total, np.bool_)
    stats = np.zeros((total, 5), np.uint64)
    if known is not None:
        stats = stat_files(listing.runs, workers=workers)
        found, digests = known.lookup(stats)
    hashes = hash_files(
        _without(listing.runs, found) if found.any() else listing.runs,
        workers=workers,
        with_sha256=options.sha256,
        collect=collect,
        progress=progress and _offset(progress, int(found.sum()), int(stats[found, 2].sum())),
    )
    taken = [hashes.content] if hashes.sha256 is None else [hashes.content, hashes.sha256]
    digests[~found] = np.hstack(taken)
    stats[~found] = hashes.stats
    table = _table(listing.runs, digests, stats[:, 2], labels, splits)
    findings = listing.findings
    if hashes.failures:
        failed = np.flatnonzero(~found)[list(hashes.failures)]
        findings += [Finding("unreadable", table["id"][row].as_py()) for row in failed]
        readable = np.ones(total, np.bool_)
        readable[failed] = False
        table, stats = table.filter(pa.array(readable)), stats[readable]
        digests = digests[readable]
    return Found(
        table,
        _reading(options, listing.left_out),
        labels_known=options.label == "dir",
        splits_known=options.split == "dir",
        reused=int(found.sum()),
        findings=tuple(sorted(findings, key=lambda finding: finding.id)),
        files=FileStats(stats, digests, read_at_ns),
    )


def settle(_format: str, how: HowToRead, before: Mapping[str, Any] | None) -> FolderOptions:
    """What was said, over what `before` says. Raises UsageError, and FormatError for `before`."""
    old = FolderOptions() if before is None else options_from_reading(before)
    return FolderOptions(
        label=how.label or old.label,
        split=how.split or old.split,
        include=how.include or old.include,
        exclude=how.exclude or old.exclude,
        sha256=how.sha256 or old.sha256,
    )


def read(paths: Sequence[Path], _format: str, options: FolderOptions, work: Work) -> Found:
    """As `read_folder`."""
    progress = work.progress
    return read_folder(
        paths,
        options,
        leave_out=work.leave_out,
        workers=work.workers,
        known=work.known,
        collect=work.collect,
        progress=None if progress is None else lambda files, _bytes: progress(files),
    )


def files(paths: Sequence[Path], _format: str, _options: FolderOptions) -> FolderFiles:
    """The files by the ids they have as samples."""
    return FolderFiles(paths)


def stream(_paths: Sequence[Path], _format: str, _options: FolderOptions) -> SampleStream | None:
    """None: files are read by id."""
    return None


def options_from_reading(reading: Any) -> FolderOptions:
    """The options that `reading`, from a head, was made with. Raises FormatError."""
    fields = Fields(reading, _WHAT)
    if fields.text("reader") != READER:
        raise fields.wrong("reader", f"is not {READER}")
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


def _reading(options: FolderOptions, left_out: dict[str, int]) -> dict[str, Any]:
    reading: dict[str, Any] = {
        "reader": READER,
        "reader_version": READER_VERSION,
        "label": options.label,
        "split": options.split,
        "include": list(options.include),
        "exclude": list(options.exclude),
        "left_out": left_out,
    }
    return reading | {"sha256": True} if options.sha256 else reading


def _names_of_folders(
    runs: Sequence[Run], options: FolderOptions, *, collect: bool
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


def _without(runs: Sequence[Run], known: npt.NDArray[np.bool_]) -> list[Run]:
    """`runs` less the samples whose digest is known."""
    wanted = (~known).tolist()
    left: list[Run] = []
    begin = 0
    for run in runs:
        end = begin + len(run.names)
        chosen = wanted[begin:end]
        begin = end
        if any(chosen):
            names, files = list(compress(run.names, chosen)), list(compress(run.files, chosen))
            left.append(Run(run.root, run.prefix, names, run.folder, files))
    return left


def _offset(
    progress: Callable[[int, int], None], files: int, size: int
) -> Callable[[int, int], None]:
    return lambda done_files, done_bytes: progress(files + done_files, size + done_bytes)


def _table(
    runs: Sequence[Run],
    digests: npt.NDArray[np.uint8],
    sizes: npt.NDArray[np.uint64],
    labels: list[str | None],
    splits: list[str | None],
) -> pa.Table:
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
