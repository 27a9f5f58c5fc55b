"""Rows whose files are hashed beside them: each file once, in all cores, then the rows.

Rows are read twice, because what they hash to needs the digests of their files: first for the names
alone, and again once every file has been read. The table cannot change in between: both reads see
that the file is the one that was looked at first.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.encoding.text import printable, quoted
from provreg.core.rows.files import names_in, replace_names
from provreg.core.rows.row import hash_rows
from provreg.errors import Finding, InputError, StorageError
from provreg.executors.threads import prefetched
from provreg.readers.api import MAX_SAMPLE, FileStats
from provreg.readers.data_files.source_file import ValueMismatchError, display, place_of
from provreg.readers.files.folder import hash_runs
from provreg.readers.files.names import check_twins
from provreg.readers.files.safe_open import resolve
from provreg.readers.files.walk import ByteRun
from provreg.readers.tables.named_files.places import BadNameError, FilePlace, FilePlaces
from provreg.readers.tables.rows import (
    READERS,
    drop_null_columns,
    map_slices,
    rows_before,
    slice_rows,
    typed_rows,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from provreg.core.rows.column import Column
    from provreg.core.rows.files import RowNumbers
    from provreg.readers.api import ReadContext
    from provreg.readers.data_files.source_file import ByteSlice, SourceFile
    from provreg.readers.tables.options import TableOptions

# The files of a slice, by name: what their bytes are, or why there are none.
_FILES = pa.schema(
    {
        "name": pa.string(),
        "blake3": pa.binary(32),
        "size": pa.uint64(),
        "problem": pa.string(),
        "hint": pa.string(),
    }
)
_GONE = "does not exist"


@dataclass(slots=True)
class NamedFiles:
    """What came of the files that rows name, while their samples are taken.

    `files` are the absolute paths that rows name, `findings` the samples that lack one, if they are
    collected. `stats` is what the stat cache is to remember, `reused` how many digests it knew.
    """

    files: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    stats: FileStats | None = None
    reused: int = 0


def named_samples(
    pieces: Iterable[ByteSlice],
    format_: str,
    options: TableOptions,
    places: FilePlaces,
    context: ReadContext,
    found: NamedFiles,
) -> Iterator[tuple[ByteSlice, list[pa.RecordBatch]]]:
    """Each slice with its samples as `rows.slice_samples`, which name files; `found` is filled.

    Files with a digest in `context.known_files` are not read. Raises InputError, naming file and
    row, for a name that leads nowhere or out of its folder and for a file that cannot be read;
    where `context.collect`, its sample becomes a finding. Raises InputError too for two files that
    are one on other systems.
    """
    executor = context.executor
    names = list(map_slices(partial(_names, format_=format_, options=options), pieces, executor))
    hashed = _hash_named(names, places, context, found)
    tasks = (
        (piece, hashed.of_slice(number), places.id_prefix(piece.file.path))
        for number, (piece, _) in enumerate(names)
    )
    task = partial(_samples, format_=format_, options=options, collect=context.collect)
    for piece, batches, findings in executor.map(task, tasks):
        found.findings += findings
        yield piece, batches


def _names(piece: ByteSlice, *, format_: str, options: TableOptions) -> tuple[ByteSlice, pa.Array]:
    """A slice and the names of files in it, each once."""
    payload = options.payload_columns()
    found: list[pa.Array] = []
    try:
        with prefetched(READERS[format_].batches(piece, options.as_stored())) as batches:
            for batch in typed_rows(batches, payload):
                for column in payload:
                    leaves = names_in(batch.column(column.name), column.type)
                    found += (names.unique() for names, _ in leaves)
    except ValueMismatchError as misfit:
        before = rows_before(piece, format_, options)
        raise misfit.in_file(piece.file.path, before) from None
    distinct = pa.chunked_array(found, pa.string()).unique().drop_null()
    return piece, distinct


class _Problem(NamedTuple):
    """Why a name has no bytes, as a sentence, and what to do."""

    complaint: str
    hint: str = ""


class _NamedSlice(NamedTuple):
    """The names in a slice, the number of the file of each, and what is wrong with names that
    stand for none (their number is -1)."""

    names: pa.Array
    files: npt.NDArray[np.int64]
    bad: dict[int, _Problem]


class _Hashed(NamedTuple):
    """The files of all slices by number: digests (n, 32), sizes (n,), and what is wrong."""

    contents: npt.NDArray[np.uint8]
    sizes: npt.NDArray[np.uint64]
    problems: dict[int, _Problem]
    slices: list[_NamedSlice]

    def of_slice(self, number: int) -> pa.RecordBatch:
        """The files of a slice, schema `_FILES`."""
        names, files, bad = self.slices[number]
        problems = [
            bad.get(at) or self.problems.get(file) for at, file in enumerate(files.tolist())
        ] if bad or self.problems else [None] * len(files)  # fmt: skip
        digests = np.ascontiguousarray(self.contents[files]) if len(files) else b""
        arrays = [
            names,
            pa.Array.from_buffers(pa.binary(32), len(files), [None, pa.py_buffer(digests)]),
            pa.array(self.sizes[files]),
            pa.array([problem and problem.complaint for problem in problems], pa.string()),
            pa.array([problem and problem.hint for problem in problems], pa.string()),
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=_FILES)


def _hash_named(
    names: Sequence[tuple[ByteSlice, pa.Array]],
    places: FilePlaces,
    context: ReadContext,
    found: NamedFiles,
) -> _Hashed:
    numbers: dict[FilePlace, int] = {}
    slices: list[_NamedSlice] = []
    for piece, named in names:
        table = places.of_table(piece.file.path)
        files = np.full(len(named), -1, np.int64)
        bad: dict[int, _Problem] = {}
        texts = named.to_pylist()
        for at, place in enumerate(table.place_all(texts)):
            if isinstance(place, BadNameError):
                bad[at] = _Problem(f"{quoted(texts[at])} {place.complaint}", place.hint)
            else:
                files[at] = numbers.setdefault(place, len(numbers))
        slices.append(_NamedSlice(named, files, bad))
    # One file more, for names that stand for none.
    contents, sizes = (
        np.zeros((len(numbers) + 1, 32), np.uint8),
        np.zeros(len(numbers) + 1, np.uint64),
    )
    problems: dict[int, _Problem] = {}
    if numbers:
        ordered = sorted(numbers)
        order = np.fromiter((numbers[place] for place in ordered), np.int64, len(ordered))
        contents[order], sizes[order], failures = _hash(ordered, context, found)
        problems = {int(order[row]): problem for row, problem in failures.items()}
    return _Hashed(contents, sizes, problems, slices)


def _hash(
    places: Sequence[FilePlace], context: ReadContext, found: NamedFiles
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint64], dict[int, _Problem]]:
    """(digests (n, 32), sizes (n,), problems by row) of the files at `places`, which are sorted."""
    runs = _runs(places)
    if not context.collect:
        check_twins((run.prefix, run.names) for run in runs)
    context.total(len(places))
    started = time.time_ns()
    progress = context.progress
    hashed = hash_runs(
        runs,
        executor=context.executor,
        known=context.known_files,
        collect=True,
        progress=None if progress is None else lambda files, _bytes: progress(files),
    )
    digests, sizes = hashed.digests, hashed.stats[:, 2].copy()
    problems: dict[int, _Problem] = {}
    links: dict[int, ByteRun] = {}
    for row, failure in hashed.failures.items():
        target = _link_target(places[row], failure)
        if isinstance(target, ByteRun):
            links[row] = target
        else:
            problems[row] = target
    if links:
        behind = hash_runs(
            list(links.values()), executor=context.executor, known=None, collect=True
        )
        for at, row in enumerate(links):
            digests[row], sizes[row] = behind.digests[at], behind.stats[at, 2]
            if at in behind.failures:
                problems[row] = _Problem(behind.failures[at].message)
    if not context.collect:
        for failure in hashed.failures.values():
            if isinstance(failure, StorageError):
                raise failure
    read = np.ones(len(places), np.bool_)
    read[list(hashed.failures)] = False
    found.files.update(f"{root}/{path}" for root, path in places)
    found.stats = FileStats(hashed.stats[read], hashed.digests[read], started)
    found.reused = hashed.reused
    return digests, sizes, problems


def _runs(places: Sequence[FilePlace]) -> list[ByteRun]:
    """The files at `places`, which are sorted, by folder."""
    runs: list[ByteRun] = []
    last: tuple[str, str] | None = None
    for root, path in places:
        folder, slash, name = path.rpartition("/")
        if last != (root, folder):
            runs.append(ByteRun(root, folder + slash, [], folder, []))
            last = root, folder
        runs[-1].names.append(name)
        runs[-1].files.append(name)
    return runs


def _link_target(place: FilePlace, failure: InputError | StorageError) -> ByteRun | _Problem:
    """The file behind a link at `place`, or why there is none to read."""
    root, path = place
    file = f"{root}/{path}"
    if os.path.realpath(file) == file:
        exists = os.path.lexists(file)
        return _Problem(failure.message if exists else f"{quoted(path)} {_GONE}")
    try:
        target, leads_to_folder = resolve(root, file, path)
    except InputError as error:
        return _Problem(error.message, error.hint)
    if leads_to_folder:
        return _Problem(f"{quoted(path)} is a folder")
    folder, _, name = target.rpartition("/")
    return ByteRun(root, "", [path], folder, [name])


def _samples(
    task: tuple[ByteSlice, pa.RecordBatch, str],
    *,
    format_: str,
    options: TableOptions,
    collect: bool,
) -> tuple[ByteSlice, list[pa.RecordBatch], list[Finding]]:
    """A slice with its samples in batches of `drop_null_columns`, and those that lack a file."""
    piece, files, prefix = task
    options = replace(options, id_prefix=prefix)
    rows = _RowHash(files, options, collect)
    samples: list[pa.RecordBatch] = []
    findings: list[Finding] = []
    before: int | None = None
    done = 0
    with prefetched(READERS[format_].batches(piece, options.as_stored())) as batches:
        for _, batch in slice_rows(piece, batches, options, rows, format_=format_):
            if rows.bad:
                before = rows_before(piece, format_, options) if before is None else before
                findings += _findings(rows.bad, batch, piece, before + done, options)
                keep = np.ones(batch.num_rows, np.bool_)
                keep[list(rows.bad)] = False
                samples.append(drop_null_columns(batch.filter(pa.array(keep))))
            else:
                samples.append(drop_null_columns(batch))
            done += batch.num_rows
    return piece, samples, findings


def _findings(
    bad: dict[int, tuple[str, str]],
    samples: pa.RecordBatch,
    piece: ByteSlice,
    before: int,
    options: TableOptions,
) -> list[Finding]:
    """A finding for each of the `bad` rows; `before` rows of the file precede them."""
    ids = samples.column("id")
    return [
        Finding(
            "missing" if problem.endswith(_GONE) else "unreadable",
            ids[row].as_py() if options.has_ids else place_of(piece.file.path, before + row),
            detail=f"column {quoted(column)}: {problem}",
        )
        for row, (column, problem) in bad.items()
    ]


class _RowHash:
    """Hashes rows whose files have been hashed (`samples.HashRows`).

    `bad` are the rows of the last batch that lack a file, each with its column and problem; where
    they are not collected, ValueMismatchError is raised for the first.
    """

    def __init__(self, files: pa.RecordBatch, options: TableOptions, collect: bool) -> None:
        self._files = files
        self._names = files.column("name")
        self._id = options.id
        self._collect = collect
        self.bad: dict[int, tuple[str, str]] = {}

    def __call__(
        self, batch: pa.RecordBatch, columns: tuple[Column, ...]
    ) -> tuple[pa.FixedSizeBinaryArray, pa.UInt64Array]:
        self.bad = {}
        arrays = []
        total = np.zeros(batch.num_rows)
        for column in columns:
            array = batch.column(column.name)
            for names, rows in names_in(array, column.type):
                places = pc.index_in(names, value_set=self._names)
                self._check(column.name, places, rows)
                sizes = self._files.column("size").take(places).fill_null(0).to_numpy()
                total += np.bincount(rows, weights=sizes, minlength=len(total))
            by_id = column.name == self._id
            arrays.append(replace_names(array, column.type, partial(self._digests, by_id=by_id)))
        if (large := total > MAX_SAMPLE).any():
            raise ValueMismatchError(
                f"its files have more than {MAX_SAMPLE:,} bytes", row=int(np.argmax(large))
            )
        names = [column.name for column in columns]
        return hash_rows(pa.RecordBatch.from_arrays(arrays, names=names), columns)

    def _check(self, column: str, places: pa.Array, rows: RowNumbers) -> None:
        problems = self._files.column("problem")
        if problems.null_count == len(problems):
            return
        for at in np.flatnonzero(problems.take(places).is_valid()).tolist():
            row, problem = int(rows[at]), problems[places[at].as_py()].as_py()
            if not self._collect:
                hint = self._files.column("hint")[places[at].as_py()].as_py()
                raise ValueMismatchError(f"column {quoted(column)}: {problem}", row=row, hint=hint)
            self.bad.setdefault(row, (column, problem))

    def _digests(self, names: pa.Array, *, by_id: bool) -> pa.Array:
        """The files called `names`, as they are hashed; the name is not, where it is the id."""
        places = pc.index_in(names, value_set=self._names)
        digests = self._files.column("blake3").take(places)
        sizes = self._files.column("size").take(places)
        paths = pa.nulls(len(names), pa.string()) if by_id else names
        nulls = names.is_null() if names.null_count else None
        return pa.StructArray.from_arrays(
            [digests, paths, sizes], names=["blake3", "path", "size"], mask=nulls
        )


# Of so many files the names are told.
_TOLD = 3


def differences_of(
    files: Sequence[SourceFile],
    format_: str,
    options: TableOptions,
    places: FilePlaces,
    ids: Sequence[str],
) -> dict[str, str]:
    """What may differ of the samples with these `ids`, in words, by id: their row, and the files
    that it names. The rows are read again, unhashed; raises as reading them."""
    wanted = pa.array(ids, pa.string())
    told: dict[str, str] = {}
    for file in files:
        options = replace(options, id_prefix=places.id_prefix(file.path))
        before = 0
        for piece in READERS[format_].slices(file, options.as_stored()):
            batches = READERS[format_].batches(piece, options.as_stored())
            for rows, samples in slice_rows(piece, batches, options, unhashed, format_=format_):
                found = pc.is_in(samples.column("id"), value_set=wanted)
                if pc.any(found).as_py():
                    places_found = np.flatnonzero(found.to_numpy(zero_copy_only=False))
                    numbers = (places_found + before + 1).tolist()
                    named = samples.column("id").filter(found).to_pylist()
                    of_files = _told(rows.filter(found), named, options)
                    for row, sample in zip(numbers, named, strict=True):
                        told[sample] = f"row {row:,} of {display(file.path)} differs"
                        if sample in of_files:
                            told[sample] += f", or {of_files[sample]} does"
                before += rows.num_rows
    return told


def _told(rows: pa.RecordBatch, ids: list[str], options: TableOptions) -> dict[str, str]:
    names: dict[str, list[str]] = {name: [] for name in ids}
    for column in options.payload_columns():
        for files, places in names_in(rows.column(column.name), column.type):
            for row, name in zip(places.tolist(), files.to_pylist(), strict=True):
                if name is not None:
                    names[ids[row]].append(f"{printable(column.name)} {quoted(name)}")
    return {
        sample: ", ".join(files[:_TOLD])
        + (f" and {len(files) - _TOLD:,} more" if len(files) > _TOLD else "")
        for sample, files in names.items()
        if files
    }


def unhashed(
    batch: pa.RecordBatch, _columns: tuple[Column, ...]
) -> tuple[pa.FixedSizeBinaryArray, pa.UInt64Array]:
    """In place of hashes, where nobody asks for them."""
    rows = batch.num_rows
    empty = pa.Array.from_buffers(pa.binary(32), rows, [None, pa.py_buffer(bytes(32 * rows))])
    return empty, pa.array(np.zeros(rows, np.uint64))
