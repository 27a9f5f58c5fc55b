"""Reading data into samples: which reader, with which options, and the same way again later.

How the data was read stands in the head. A successor inherits what it does not say otherwise, and
verification reads exactly so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import printable, quoted
from provreg.core.manifest.data_fields import ORIGIN_FIELDS, ROW_ORIGIN_FIELDS, DataFields
from provreg.core.manifest.head import left_out_of
from provreg.core.manifest.manifest import sort_entries
from provreg.errors import Finding, FormatError, UsageError
from provreg.executors.api import Progress
from provreg.executors.processes import local_processes
from provreg.readers.api import (
    KnownDigests,
    KnownRows,
    ReadContext,
    Reader,
    ReadOptions,
    ReadResult,
    SampleFiles,
    SampleKind,
    SampleStream,
    check_options,
)
from provreg.readers.catalog import detect, reader_again, reader_of, sample_kind
from provreg.readers.files.beside import MOST_ADOPTED, Adopted, Beside, look_beside
from provreg.readers.files.globs import Excluded
from provreg.readers.labels import LABEL_COLUMNS, apply_labels, long_labels, read_labels

LABELS_FILE, BESIDE, ADOPTED, SAYS = "labels_file", "beside", "adopted", "says"


def read_new(
    paths: Sequence[Path],
    how: ReadOptions,
    inherited: Mapping[str, Any] | None,
    *,
    labels: Path | None = None,
    leave_out: Iterable[Path] = (),
    known: KnownDigests | None = None,
    progress: Progress | None = None,
) -> ReadResult:
    """The samples at `paths`, in the order of their ids, for ingestion.

    `inherited` is the reading of the parent's head.

    Raises InputError naming the sample that cannot be taken in, UsageError for options that do not
    fit the data or the parent, NotFoundError, StorageError.
    """
    before = None if inherited is None else reader_settings(inherited)
    format_ = how.format or detect(paths, None if before is None else before["reader"])
    reader = reader_of(format_)
    if before is not None and reader_again(before)[0] != reader:
        raise UsageError(
            f"this dataset is read as {before['reader']}, the data look like {format_}",
            hint="give data of the same kind, or another --name for a new dataset",
        )
    beside, how = _beside(paths, format_, how, inherited, leave_out)
    check_options(how, reader, format_)
    options = reader.settle(format_, how, before)
    work = ReadContext(leave_out, local_processes(), known, progress=_counted(progress))
    read = _read(reader, paths, format_, options, work)
    reading = read.reading | beside
    if labels is None:
        return replace(read, reading=reading)
    given = read_labels(labels)
    named = [name for name in LABEL_COLUMNS if name in given.column_names]
    return replace(
        read,
        table=apply_labels(read.table, given),
        reading=reading | {LABELS_FILE: named},
        long_labels=long_labels(given),
    )


def read_again(
    paths: Sequence[Path],
    reading: Mapping[str, Any],
    *,
    sha256: bool = False,
    leave_out: Iterable[Path] = (),
    remember: KnownRows | None = None,
    progress: Progress | None = None,
) -> ReadResult:
    """Reads `paths` the way a head says; unreadable samples become findings where they can.

    `sha256`: of files that digest is taken, whatever the head says. Believes no cache; `remember`
    is left what rows hash to. Raises as `read_new`, and FormatError for a reading that is none.
    """
    again = reader_settings(reading)
    reader, format_ = reader_again(again)
    if sha256 and "sha256" in reader.OPTIONS:
        again = {"sha256": True} | again
    options = reader.options_from_reading(again)
    work = ReadContext(
        leave_out,
        local_processes(),
        collect=True,
        known_rows=remember,
        progress=_counted(progress),
    )
    read = _read(reader, paths, format_, options, work)
    findings = [*read.findings, *_unseen(read, again)]
    if (files := reader.listed_files(paths, format_, again.get("label"))) is not None:
        beside = look_beside(paths, files, _patterns(reading), leave_out=leave_out)
        findings += _strangers(beside, _adopted(reading))
    return replace(read, findings=tuple(findings))


def files_again(paths: Sequence[Path], reading: Mapping[str, Any]) -> SampleFiles | None:
    """The samples' bytes by id, where data read so can be read sample by sample; else None.

    Raises as `read_again`.
    """
    again = reader_settings(reading)
    reader, format_ = reader_again(again)
    return reader.files(paths, format_, reader.options_from_reading(again))


def rows_again(paths: Sequence[Path], reading: Mapping[str, Any], known: KnownRows) -> SampleStream:
    """(payloads, samples of schema SAMPLE) in batches, in their order, of data that are streamed.

    Files are hashed by their chunks alone where `known` remembers their rows. Raises UsageError
    where `files_again` reads them, else as `read_again`.
    """
    again = reader_settings(reading)
    reader, format_ = reader_again(again)
    options = reader.options_from_reading(again)
    stream = reader.stream(paths, format_, options, ReadContext(known_rows=known))
    if stream is None:
        raise UsageError(f"data read as {quoted(format_)} are read by id")
    return stream


def told_by_data(reading: Mapping[str, Any], *, labels: bool, splits: bool) -> DataFields:
    """What data read so say of their samples themselves: all but what a labels file said.

    `labels`, `splits`: the data speak of them at all. Raises FormatError for a reading that is
    none.
    """
    overridden = _given_by_file(reading)
    says = reading.get(SAYS, [])
    if not isinstance(says, list) or not all(name in ROW_ORIGIN_FIELDS for name in says):
        raise FormatError(f"head.reading: {SAYS} does not list source, labeler or labeled_at")
    always = {"label": labels, "split": splits} | dict.fromkeys(says, True)
    return DataFields(
        tuple(name for name, known in always.items() if known and name not in overridden),
        tuple(name for name in ORIGIN_FIELDS if not always.get(name) and name not in overridden),
    )


def told_by_stream(reading: Mapping[str, Any]) -> DataFields:
    """As `told_by_data`, of data that have not been read yet: only columns say every split."""
    rows = sample_kind(reading) is SampleKind.ROWS
    return told_by_data(
        reading,
        labels=reading.get("label") not in {None, "none"},
        splits=rows and reading.get("split") is not None,
    )


def appended(reading: dict[str, Any], inherited: Mapping[str, Any]) -> dict[str, Any]:
    """`reading` of an append: what a labels file said of the parent's samples, what was left out
    and what lay beside them still holds.

    Raises FormatError for an inherited reading that is none.
    """
    named = {*_given_by_file(inherited), *_given_by_file(reading)}
    if named:
        reading = reading | {LABELS_FILE: [name for name in LABEL_COLUMNS if name in named]}
    if adopted := {*_adopted(inherited), *_adopted(reading)}:
        reading = reading | {ADOPTED: _adopted_to_json(adopted)}
    if before := left_out_of(inherited):
        reading = reading | {"left_out": before | left_out_of(reading)}
    return reading


def _given_by_file(reading: Mapping[str, Any]) -> list[str]:
    named = reading.get(LABELS_FILE, [])
    if not isinstance(named, list) or not all(name in LABEL_COLUMNS for name in named):
        raise FormatError(f"head.reading: {LABELS_FILE} does not list columns of a labels file")
    return named


def _beside(
    paths: Sequence[Path],
    format_: str,
    how: ReadOptions,
    inherited: Mapping[str, Any] | None,
    leave_out: Iterable[Path],
) -> tuple[dict[str, Any], ReadOptions]:
    """What the head says of what lies beside the data, and `how` to read them without what was said
    of that alone.

    Raises InputError for a file that nobody left out.
    """
    label = how.label or (None if inherited is None else inherited.get("label"))
    files = reader_of(format_).listed_files(paths, format_, label)
    if files is None:
        return {}, how
    patterns = how.exclude or (() if inherited is None else _patterns(inherited))
    beside = look_beside(paths, files, patterns, leave_out=leave_out, new=True)
    beside.refuse(format_)
    said: dict[str, Any] = {BESIDE: list(patterns)} if patterns else {}
    if beside.adopted:
        said[ADOPTED] = _adopted_to_json(beside.adopted)
    return said, how if "exclude" in reader_of(format_).OPTIONS else replace(how, exclude=())


def _strangers(beside: Beside, signed: Collection[Adopted]) -> Iterator[Finding]:
    """What lies beside the data and is not as `signed`."""
    for path, why in beside.strangers.items():
        yield Finding("stranger", printable(path), detail=why)
    contents = {one.path: one.content for one in signed}
    for one in beside.adopted:
        if one.path not in contents:
            why = "lies beside the data and did not when they were signed"
            yield Finding("stranger", printable(one.path), found=one.content, detail=why)
        elif one not in signed:
            expected = contents[one.path]
            yield Finding("changed", printable(one.path), expected=expected, found=one.content)


# What other programs read in a folder of files that is no sample.
_UNSEEN = {
    "hidden": "is hidden, and called like data: other programs read it",
    "empty": "is a folder without samples, which other programs take for a class",
}


def _unseen(found: ReadResult, reading: Mapping[str, Any]) -> Iterator[Finding]:
    """What was not there when the data were signed: the head would say that such are left out."""
    for reason, names in found.unseen.items():
        if reason not in left_out_of(reading):
            yield from (
                Finding("stranger", printable(one), detail=_UNSEEN[reason]) for one in names
            )


def _adopted(reading: Mapping[str, Any]) -> list[Adopted]:
    """The files beside the data of which the head has the digests. Raises FormatError."""
    what = f"head.reading: {ADOPTED}"
    said = reading.get(ADOPTED, [])
    if not isinstance(said, list) or len(said) > MOST_ADOPTED:
        raise FormatError(f"{what} is no list of at most {MOST_ADOPTED} files")
    found = []
    for one in said:
        fields = Fields(one, what)
        found.append(Adopted(fields.text("path", limit=4096), fields.digest("content", "blake3")))
        fields.done()
    return found


def _adopted_to_json(adopted: Iterable[Adopted]) -> list[dict[str, str]]:
    ordered = sorted(adopted, key=lambda one: (one.path, one.content))
    return [{"path": one.path, "content": one.content} for one in ordered]


def _patterns(reading: Mapping[str, Any]) -> tuple[str, ...]:
    """The patterns that leave out what lies beside the data. Raises FormatError."""
    said = reading.get(BESIDE, [])
    if not isinstance(said, list) or not all(isinstance(pattern, str) for pattern in said):
        raise FormatError(f"head.reading: {BESIDE} is no list of patterns")
    try:
        if said:
            Excluded(said)
    except UsageError as error:
        raise FormatError(f"head.reading: {BESIDE}: {error.message}") from None
    return tuple(said)


def _read(
    reader: Reader, paths: Sequence[Path], format_: str, options: Any, context: ReadContext
) -> ReadResult:
    found = reader.read(paths, format_, options, context)
    return replace(found, table=sort_entries(found.table))


def _counted(progress: Progress | None) -> Callable[[int], None] | None:
    return None if progress is None else lambda done: progress(done, 0)


def reader_settings(reading: Mapping[str, Any]) -> dict[str, Any]:
    """What the reader itself said; without what a labels file said, and what lies beside."""
    others = (LABELS_FILE, BESIDE, ADOPTED, SAYS)
    return {name: said for name, said in reading.items() if name not in others}


def inheritable_settings(reading: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What of a head's reading its successor inherits: how to read, and not what came of it."""
    if reading is None:
        return None
    came = (LABELS_FILE, ADOPTED, SAYS, "left_out")
    return {name: said for name, said in reading.items() if name not in came}


def adopted_files(reading: Mapping[str, Any] | None) -> set[tuple[str, str]]:
    """(path, digest) of the well-known files beside data read so."""
    said = () if reading is None else reading.get(ADOPTED, ())
    return {(one["path"], one["content"]) for one in said}


def takes_sha256(how: ReadOptions, inherited: Mapping[str, Any] | None) -> bool:
    """Whether files are read for their SHA-256 too: it was asked for now, or before."""
    return how.sha256 or (inherited is not None and inherited.get("sha256") is True)
