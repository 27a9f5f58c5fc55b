"""Readers of other packages, found by entry point.

They are told in docs/contributing/README.md, "Readers of your own".

A package offers one under its format's name in the group `provreg.readers`. Its code runs only
where a user names the format, or a head whose data are to be read does. What it gives is checked,
what it delivers is hashed (`check_payloads`), the package is written into the head, and another one
that offers the same name is not taken for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from provreg.core.encoding.canonical import canonical
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import printable, quoted
from provreg.core.manifest.entry import DIGEST, SAMPLE
from provreg.core.manifest.head import left_out_of
from provreg.core.rows.arrow_types import cast_batch, columns_from_arrow
from provreg.core.rows.row import hash_rows
from provreg.errors import Finding, FormatError, InputError, NotFoundError, ProvregError, UsageError
from provreg.readers.api import (
    SAMPLES,
    Closing,
    Payloads,
    ReadContext,
    Reader,
    ReadOptions,
    ReadResult,
    SampleFiles,
    SampleKind,
    SampleStream,
)
from provreg.readers.archives.stems import payload_pieces
from provreg.readers.tables.samples import check_unique

if TYPE_CHECKING:
    from provreg.readers.api import Payloads

GROUP = "provreg.readers"
_PACKAGE, _VERSION = "package", "package_version"
# What provreg adds to the reading that the package gives.
_OURS = {_PACKAGE, _VERSION, SAMPLES}
_NEEDED = ("OPTIONS", "settle", "options_from_reading", "read", "files", "stream")
_MAX_NAME = 256
_FOUND = {
    "table": pa.Table, "reading": dict, "labels_known": bool, "splits_known": bool,
    "classes": tuple, "reused": int, "findings": tuple,
}  # fmt: skip
_BATCH = ("payloads", "samples")
NEVER_NULL = ("id", "content", "size")


@dataclass(frozen=True, slots=True)
class PluggedReader:
    """A reader of another package, whose failures and results are held to what `Reader` promises.

    What is no error of provreg becomes an InputError that names format and package.
    """

    format: str
    package: str
    version: str
    reader: Reader
    SAMPLES: SampleKind

    @property
    def OPTIONS(self) -> frozenset[str]:  # noqa: N802 - as in `Reader`
        """Those of the package's reader."""
        with self.held():
            return frozenset(self.reader.OPTIONS)

    def settle(
        self, format_: str, options: ReadOptions, before: Mapping[str, Any] | None, /
    ) -> Any:
        """As the package's reader."""
        with self.held():
            return self.reader.settle(
                format_, options, None if before is None else self._own(before)
            )

    def options_from_reading(self, reading: Mapping[str, Any], /) -> Any:
        """As the package's reader. Raises NotFoundError where `reading` names another package."""
        with self.held():
            return self.reader.options_from_reading(self._own(reading))

    def read(
        self, paths: Sequence[Path], format_: str, options: Any, context: ReadContext, /
    ) -> ReadResult:
        """As the package's reader; the result names the package. Raises InputError for invalid
        results.

        provreg's caches hold what provreg hashed: the reader neither sees them nor adds to them.
        """
        own = replace(context, known_files=None, known_rows=None)
        with self.held():
            found = self.reader.read(paths, format_, options, own)
            complaint = self._complaint(found)
        if complaint:
            raise self.wrong(complaint)
        check_unique(found.table["id"], [(quoted(self.format), found.table.num_rows)])
        added = {_PACKAGE: self.package, _VERSION: self.version}
        if self.SAMPLES is not SampleKind.OTHER:
            added[SAMPLES] = self.SAMPLES.value
        return replace(found, reading=found.reading | added, files=None)

    def files(self, paths: Sequence[Path], format_: str, options: Any, /) -> SampleFiles | None:
        """As the package's reader; what is read is bytes. Whoever asked for a sample hashes it."""
        with self.held():
            found = self.reader.files(paths, format_, options)
        return None if found is None else _PluggedFiles(self, found)

    def stream(
        self, paths: Sequence[Path], format_: str, options: Any, context: ReadContext, /
    ) -> SampleStream | None:
        """As the package's reader, which sees no caches. Raises InputError for payloads that do not
        have the digests given with them."""
        own = replace(context, known_files=None, known_rows=None)
        with self.held():
            found = self.reader.stream(paths, format_, options, own)
        return None if found is None else self._streamed(found)

    def listed_files(
        self, paths: Sequence[Path], format_: str, label: str | None, /
    ) -> Set[Path] | None:
        """As the package's reader, None if it has no such method."""
        with self.held():
            if not hasattr(self.reader, "listed_files"):
                return None
            files = self.reader.listed_files(paths, format_, label)
            if files is None:
                return None
            if isinstance(files, Set) and all(isinstance(file, Path) for file in files):
                return frozenset(files)
        raise self.wrong("lists files that are not a set of paths")

    def _streamed(self, batches: Any) -> SampleStream:
        try:
            with self.held():
                before = None
                for batch in batches:
                    payloads, samples = self._checked(batch, before)
                    before = payloads.schema if isinstance(payloads, pa.RecordBatch) else None
                    yield payloads, samples
        finally:
            with self.held():
                if hasattr(batches, "close"):
                    batches.close()

    def _checked(self, batch: Any, before: pa.Schema | None) -> tuple[Payloads, pa.RecordBatch]:
        try:
            return check_payloads(batch, before)
        except InputError as error:
            raise self.wrong(error.message, sample=error.sample) from None

    def _own(self, reading: Mapping[str, Any]) -> dict[str, Any]:
        """`reading` without what names the package, which must be this one."""
        package, _ = named_package(reading)
        if package != self.package:
            raise missing_package(self.format, package)
        return {name: value for name, value in reading.items() if name not in _OURS}

    def _complaint(self, found: Any) -> str:
        if not isinstance(found, ReadResult):
            return "returns no samples"
        kinds = _FOUND.items()
        wrong = [name for name, kind in kinds if not isinstance(getattr(found, name), kind)]
        if wrong or not all(isinstance(finding, Finding) for finding in found.findings):
            return f"returns something else than {(wrong or ['findings'])[0]}"
        if not found.table.schema.equals(SAMPLE):
            return "returns samples of another schema than core.entry.SAMPLE"
        found.table.validate(full=True)
        if not found.table.num_rows or any(found.table[name].null_count for name in NEVER_NULL):
            return "returns no samples, or some without ids, digests or sizes"
        if found.reading.get("reader") != self.format or _OURS & set(found.reading):
            return (
                "does not name its format, and nothing of its package, in what goes into the head"
            )
        canonical(found.reading)
        left_out_of(found.reading)
        sound = {name for name in found.classes if isinstance(name, str)}
        twice = len(sound) < len(found.classes)
        return "returns classes that are not texts or not distinct" if twice else ""

    @contextmanager
    def held(self) -> Iterator[None]:
        """What fails here and is no error of provreg becomes an InputError."""
        try:
            yield
        except ProvregError:
            raise
        except (Exception, SystemExit) as error:  # one that exits would say that all is well
            why = f"{type(error).__name__}: {printable(str(error))}"
            raise self.wrong(f"failed: {why}") from error

    def wrong(self, complaint: str, *, sample: str | None = None) -> InputError:
        """What to raise where the reader, or its data, are not as promised."""
        return InputError(
            f"the reader {quoted(self.format)} of the package {quoted(self.package)}"
            f" {self.version} {complaint}",
            hint="report it to those who wrote the package",
            sample=sample,
        )


class _PluggedFiles(Closing):
    """The samples of a plugged reader by id."""

    def __init__(self, reader: PluggedReader, files: Any) -> None:
        self._reader = reader
        self._files = files

    def read(self, sample: str, *, limit: int) -> bytes:
        """As `SampleFiles.read`. Raises InputError for what is not bytes, which never change."""
        with self._reader.held():
            payload = self._files.read(sample, limit=limit)
        if type(payload) is not bytes:
            raise self._reader.wrong("delivers payloads that are not bytes", sample=sample)
        return payload

    def close(self) -> None:
        with self._reader.held():
            self._files.close()


def find_plugged(format_: str) -> PluggedReader | None:
    """The reader that an installed package offers for `format_`; None where none does.

    Raises UsageError where several do, or where the one cannot be loaded or is no reader.
    """
    found = tuple(entry_points(group=GROUP, name=format_))
    if not found:
        return None
    packages = sorted({_name_of(point) for point in found})
    if len(packages) > 1:
        raise UsageError(
            f"several packages offer a reader {quoted(format_)}",
            hint="uninstall all but one of " + ", ".join(map(quoted, packages)),
        )
    point = found[0]
    named = f"the reader {quoted(format_)} of the package {quoted(packages[0])}"
    try:
        reader = point.load()
        lacking = [name for name in _NEEDED if not hasattr(reader, name)]
        kind = getattr(reader, "SAMPLES", SampleKind.OTHER)
        known = kind in tuple(SampleKind)
    except (Exception, SystemExit) as error:  # whatever it is, it is other people's code
        raise UsageError(
            f"{named} cannot be loaded: {type(error).__name__}: {printable(str(error))}",
            hint="update the package, or uninstall it",
        ) from error
    if lacking:
        raise UsageError(f"{named} is not a reader: it lacks {', '.join(lacking)}")
    if not known:
        raise UsageError(
            f"{named} has an unknown kind of samples: {quoted(str(kind))}",
            hint="kinds: " + ", ".join(SampleKind),
        )
    version = "" if point.dist is None else point.dist.version
    return PluggedReader(format_, packages[0], version, reader, SampleKind(kind))


def named_package(reading: Mapping[str, Any]) -> tuple[str, str]:
    """(package, version) that a head's reading names. Raises FormatError where it names none."""
    fields = Fields(reading, "head.reading")
    return fields.text(_PACKAGE, limit=_MAX_NAME), fields.text(_VERSION, limit=_MAX_NAME)


def missing_package(format_: str, package: str) -> NotFoundError:
    """What to raise where data need the reader of a package that is not there."""
    return NotFoundError(
        f"these data are read by the reader {quoted(format_)} of the package {quoted(package)},"
        " which is not installed",
        hint="install it, if you trust it: its code will run",
    )


def _name_of(point: EntryPoint) -> str:
    if point.dist is None:
        raise FormatError("an entry point belongs to no package")
    return point.dist.name


def check_payloads(batch: Any, before: pa.Schema | None) -> tuple[Payloads, pa.RecordBatch]:
    """Payloads and their samples as a plugged reader hands them on, if all hash to what is said.

    Rows come in the types that their columns are held in; their schema is `before` where rows came
    before. Raises InputError for what is not as `Reader.stream` promises.
    """
    if type(batch) is not tuple or len(batch) != len(_BATCH):
        raise InputError(f"delivers something else than {' and '.join(_BATCH)}")
    payloads, content, size = _payloads(batch[0])
    samples = _samples(batch[1])
    _compare(samples, content, size)
    if before is not None and not (
        isinstance(payloads, pa.RecordBatch) and payloads.schema.equals(before)
    ):
        raise InputError("delivers rows of other columns than before")
    return payloads, samples


def _payloads(payloads: Any) -> tuple[Payloads, pa.Array, pa.Array]:
    """The payloads, which nobody else can change, their digests and sizes."""
    if isinstance(payloads, pa.RecordBatch):
        copy = _copy(payloads)
        columns = columns_from_arrow(copy.schema)
        typed = cast_batch(copy, columns)
        return typed, *hash_rows(typed, columns)
    if not isinstance(payloads, list | tuple):
        raise InputError("delivers payloads that are neither rows nor a list")
    mine = [_payload(payload) for payload in payloads]
    digests, sizes = [], []
    for payload in mine:
        hasher, size = blake3(), 0
        for piece in (payload,) if isinstance(payload, bytes) else payload_pieces(payload):
            hasher.update(piece)
            size += len(piece)
        digests.append(hasher.digest())
        sizes.append(size)
    # A list of bytes, or of members: what comes mixed is each what it hashes to.
    made: Any = mine
    return made, pa.array(digests, DIGEST), pa.array(sizes, pa.uint64())


def _payload(payload: Any) -> bytes | dict[str, bytes]:
    if type(payload) is bytes:
        return payload
    if isinstance(payload, Mapping):
        members = dict(payload.items())
        if all(type(name) is str and type(data) is bytes for name, data in members.items()):
            return members
    raise InputError("delivers payloads that are neither bytes nor mappings of names to bytes")


def _samples(samples: Any) -> pa.RecordBatch:
    if not isinstance(samples, pa.RecordBatch) or not samples.schema.equals(SAMPLE):
        raise InputError("delivers samples of another schema than core.entry.SAMPLE")
    copy = _copy(samples)
    if any(copy.column(name).null_count for name in NEVER_NULL):
        raise InputError("delivers samples without ids, digests or sizes")
    return copy


def _copy(batch: pa.RecordBatch) -> pa.RecordBatch:
    """`batch` in memory of its own: what it was in may be a file, or an array of the reader's."""
    batch.validate(full=True)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    copy = pa.ipc.open_stream(sink.getvalue()).read_next_batch()
    copy.validate(full=True)
    return copy


def _compare(samples: pa.RecordBatch, content: pa.Array, size: pa.Array) -> None:
    if len(content) != samples.num_rows:
        raise InputError(f"delivers {len(content)} payloads for {samples.num_rows} samples")
    given = samples.column("content"), samples.column("size")
    same = pc.and_(pc.equal(given[0], content), pc.equal(given[1], size))
    if (row := pc.index(same, pa.scalar(False)).as_py()) >= 0:
        sample = samples.column("id")[row].as_py()
        raise InputError(
            f"delivers other bytes of sample {quoted(sample)} than those of the digest and size"
            " that it gives",
            sample=sample,
        )
