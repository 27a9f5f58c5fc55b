"""Zip files as folders of files: one member, one sample.

They are told in docs/reference/readers.md, "Zip files".
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import compress, groupby, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from blake3 import blake3

from provreg.core.encoding.text import quoted
from provreg.core.manifest.entry import DIGEST
from provreg.errors import Finding, InputError, NotFoundError
from provreg.readers.api import Closing, ReadContext, ReadResult, SampleKind
from provreg.readers.archives.zip_contents import Member, member_pieces, members_of
from provreg.readers.data_files.source_file import SourceFile, display, open_source, stat_source
from provreg.readers.data_files.table_files import all_files, chosen_files, files_at
from provreg.readers.files.folder import (
    OPTIONS,
    FolderOptions,
    names_of_folders,
    options_of,
    override_options,
    reading_of,
    table_of,
)
from provreg.readers.files.globs import Excluded, Globs
from provreg.readers.files.names import check_names, check_twins, is_called_like_data
from provreg.readers.files.walk import SYSTEM_FILES, ByteRun, excluded_folder_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from provreg.readers.api import ReadOptions

__all__ = [
    "OPTIONS",
    "READER",
    "SAMPLES",
    "detect",
    "files",
    "listed_files",
    "options_from_reading",
    "read",
    "settle",
    "stream",
]

READER = "zip"
SAMPLES = SampleKind.MEMBERS
_MAC = "__MACOSX"
# What one process is given at once.
_MOST_MEMBERS, _MOST_BYTES = 1024, 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Sample:
    id: str
    file: SourceFile
    member: Member


def detect(paths: Sequence[Path]) -> str | None:
    """`zip` where all files are zip files."""
    return READER if all_files(paths, is_zip) else None


def settle(_format: str, options: ReadOptions, before: Mapping[str, Any] | None) -> FolderOptions:
    """What was said, over what `before` says. Raises UsageError, and FormatError for `before`."""
    return override_options(
        options, FolderOptions() if before is None else options_from_reading(before)
    )


def options_from_reading(reading: Any) -> FolderOptions:
    """The options that `reading`, from a head, was made with. Raises FormatError."""
    return options_of(reading, READER)


def read(
    paths: Sequence[Path], _format: str, options: FolderOptions, context: ReadContext
) -> ReadResult:
    """Every member of the archives at `paths` that is a sample, several processes at a time.

    Members that cannot be read become findings where `context` collects them; what makes an archive
    ambiguous is InputError in any case, naming archive and member.
    """
    left_out: dict[str, int] = {}
    hidden: list[str] = []
    samples = list(_chosen(_all(paths), options, left_out, hidden))
    if not samples:
        raise InputError("there are no samples in the zip files")
    runs = _runs(samples)
    if not context.collect:
        check_twins((run.prefix, run.names) for run in runs)
    labels, splits = names_of_folders(runs, options, collect=context.collect)
    digests, findings, done = bytearray(), list[Finding](), 0
    task = partial(_hash, with_sha256=options.sha256)
    for batch, (found, failures) in zip(
        _batches(samples), context.executor.map(task, _batches(samples)), strict=True
    ):
        for place, error in failures:
            if not context.collect:
                raise error
            findings.append(Finding("unreadable", batch[place].id))
        digests += found
        done += len(batch)
        if context.progress is not None:
            context.progress(done)
    sizes = np.array([sample.member.size for sample in samples], np.uint64)
    width = DIGEST.byte_width * (1 + options.sha256)
    table = table_of(
        runs, np.frombuffer(digests, np.uint8).reshape(-1, width), sizes, labels, splits
    )
    if findings:
        unread = {finding.id for finding in findings}
        table = table.filter([ident not in unread for ident in table["id"].to_pylist()])
    return ReadResult(
        table,
        reading_of(READER, options, left_out),
        labels_known=options.label == "dir",
        splits_known=options.split == "dir",
        findings=tuple(findings),
        unseen={"hidden": hidden},
    )


def files(paths: Sequence[Path], _format: str, options: FolderOptions) -> ZipFiles:
    """The members by the ids they have as samples."""
    return ZipFiles(paths, options)


def stream(
    _paths: Sequence[Path], _format: str, _options: FolderOptions, _context: ReadContext
) -> None:
    """None: members are read by id."""


def listed_files(paths: Sequence[Path], _format: str, _label: str | None) -> set[Path]:
    """The archives."""
    return set(archives(paths))


class ZipFiles(Closing):
    """The members of the archives at `paths`, by their ids as samples.

    A context manager that keeps the archives open. It may cross a fork.
    """

    def __init__(self, paths: Sequence[Path], options: FolderOptions) -> None:
        self._samples = {sample.id: sample for sample in _chosen(_all(paths), options, {}, [])}
        self._files: dict[Path, int] = {}
        with ExitStack() as stack:
            for file in {sample.file for sample in self._samples.values()}:
                self._files[file.path] = stack.enter_context(open_source(file)).fileno()
            self._opened = stack.pop_all()

    def read(self, sample: str, *, limit: int) -> bytes:
        """The bytes of `sample`, read once; `limit + 1` of them if there are more than `limit`.

        Raises NotFoundError for an id that no member has, InputError for a member that is damaged.
        """
        if sample not in self._samples:
            raise NotFoundError(f"{quoted(sample)} has no file", sample=sample)
        found = self._samples[sample]
        data = bytearray()
        try:
            for piece in member_pieces(self._files[found.file.path], found.member):
                data += piece
                if len(data) > limit:
                    return bytes(data[: limit + 1])
        except InputError as error:
            raise InputError(f"{quoted(sample)} {error.message}", sample=sample) from None
        return bytes(data)

    def close(self) -> None:
        """Closes the archives. Raises InputError for one that changed while it was open."""
        self._opened.close()


def archives(paths: Sequence[Path]) -> list[Path]:
    """The files that are read, by path. Raises as `table_files.chosen_files`."""
    return chosen_files(paths, is_zip, "zip")


def is_zip(path: Path) -> bool:
    """Whether a file is called like one of these."""
    return path.suffix.lower() == ".zip"


def _all(paths: Sequence[Path]) -> Iterator[_Sample]:
    """Every file in every archive; of several archives each one's name comes first."""
    named: dict[Path, str] = {}
    for path in paths:
        for file in files_at([path]):
            inside = file.relative_to(path) if path.is_dir() else file.relative_to(file.parent)
            named[file] = inside.with_suffix("").as_posix() + "/"
    sources = [stat_source(path) for path in archives(paths)]
    for source in sources:
        path = source.path
        prefix = named[path] if len(sources) > 1 else ""
        with open_source(source) as archive:
            for member in members_of(archive, display(path)):
                ident = prefix + member.name
                segments = ident.split("/")
                if not {"", ".", ".."}.isdisjoint(segments):
                    raise InputError(
                        f"{display(path)}: {quoted(member.name)} is absolute or leads out of the"
                        " archive",
                        sample=member.name,
                    )
                yield _Sample(ident, source, member)


def _chosen(
    samples: Iterator[_Sample],
    options: FolderOptions,
    left_out: dict[str, int],
    hidden: list[str],
) -> list[_Sample]:
    """Those that are samples, in the order of their ids; counts the others by reason, and adds to
    `hidden` those that are, and called like data.

    Raises InputError for names that no ids may be, for one that two archives give, and for folders
    that are named as files.
    """
    visible: list[_Sample] = []
    for sample in samples:
        segments = sample.id.split("/")
        reason = ""
        if segments[-1] in SYSTEM_FILES or _MAC in segments:
            reason = "system"
        elif any(segment.startswith(".") for segment in segments):
            reason = "hidden"
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
            if reason == "hidden" and is_called_like_data(sample.id):
                hidden.append(sample.id)
        else:
            visible.append(sample)
    wanted = _wanted([sample.id for sample in visible], options)
    if aside := wanted.count(False):
        left_out["filtered"] = left_out.get("filtered", 0) + aside
    visible = list(compress(visible, wanted))
    for sample in visible:
        for problem in check_names("", [sample.id]).values():
            raise InputError(
                f"{display(sample.file.path)}: {problem}",
                sample=sample.id,
                hint="rename it, or leave it out with --exclude",
            )
    visible.sort(key=lambda sample: sample.id.encode())
    for first, second in pairwise(visible):
        if first.id == second.id:
            raise InputError(
                f"{quoted(first.id)} is duplicated: in {display(first.file.path)} and"
                f" {display(second.file.path)}",
                sample=first.id,
                hint="of several zip files each one's name comes first in ids: rename one",
            )
    return visible


def _wanted(ids: Sequence[str], options: FolderOptions) -> list[bool]:
    """Which of `ids` the patterns take. Raises InputError for a folder that is named as a file."""
    wanted = [True] * len(ids)
    if options.exclude:
        excluded = Excluded(options.exclude)
        folders = sorted({folder for ident in ids for folder in _folders_of(ident)})
        for folder in compress(folders, excluded.mistaken(folders)):
            raise excluded_folder_error(folder)
        wanted = [not found for found in excluded.files(ids)]
    if options.include:
        matched = Globs(options.include).matching(ids)
        wanted = [included and found for included, found in zip(wanted, matched, strict=True)]
    return wanted


def _folders_of(ident: str) -> Iterator[str]:
    """The folders above an id."""
    segments = ident.split("/")
    return ("/".join(segments[:end]) for end in range(1, len(segments)))


def _runs(samples: Sequence[_Sample]) -> list[ByteRun]:
    """The samples in runs of one folder each."""
    runs = []
    for prefix, group in groupby(samples, lambda sample: sample.id[: sample.id.rfind("/") + 1]):
        names = [sample.id[len(prefix) :] for sample in group]
        runs.append(ByteRun("", prefix, names, "", names))
    return runs


def _batches(samples: Sequence[_Sample]) -> Iterator[list[_Sample]]:
    batch: list[_Sample] = []
    size = 0
    for sample in samples:
        batch.append(sample)
        size += sample.member.size
        if len(batch) == _MOST_MEMBERS or size >= _MOST_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _hash(batch: list[_Sample], *, with_sha256: bool) -> tuple[bytes, list[tuple[int, InputError]]]:
    """(digests, one after another, zeros for what cannot be read; (place, error) of that)."""
    digests: list[bytes] = []
    failures: list[tuple[int, InputError]] = []
    width = DIGEST.byte_width * (1 + with_sha256)
    with ExitStack() as stack:
        archives = {sample.file for sample in batch}
        descriptors = {file: stack.enter_context(open_source(file)).fileno() for file in archives}
        for place, sample in enumerate(batch):
            hasher, also = blake3(), sha256()
            try:
                for piece in member_pieces(descriptors[sample.file], sample.member):
                    hasher.update(piece)
                    if with_sha256:
                        also.update(piece)
            except InputError as error:
                message = f"{quoted(sample.id)} {error.message}"
                failures.append((place, InputError(message, hint=error.hint, sample=sample.id)))
                digests.append(bytes(width))
                continue
            digests.append(hasher.digest() + (also.digest() if with_sha256 else b""))
    return b"".join(digests), failures
