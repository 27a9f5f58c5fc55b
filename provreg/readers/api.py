"""What a reader is: the one shape that all formats have.

How to add one is told in docs/contributing/README.md, "Adding a reader".

A reader is a module, or an object of another package, with the attributes of `Reader`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

from provreg.core.encoding.text import quoted
from provreg.core.rows.column import LogicalType
from provreg.errors import UsageError
from provreg.executors.api import no_report
from provreg.executors.processes import IN_PROCESS

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from provreg.errors import Finding
    from provreg.executors.api import Executor

# Bytes: the files of one sample are in memory together.
MAX_SAMPLE = 1024 * 1024 * 1024
# The field of a head's reading that records the SampleKind of another package's reader.
SAMPLES = "samples"

# Samples that are handed on: rows' columns, files' bytes, or members by name.
Payloads: TypeAlias = "pa.RecordBatch | Sequence[bytes] | Sequence[Mapping[str, bytes]]"
# (payloads, samples of schema SAMPLE) in batches, in the order of `ReadResult.table`.
SampleStream: TypeAlias = "Generator[tuple[Payloads, pa.RecordBatch], None, None]"


class SampleKind(StrEnum):
    """What a reader's samples are, and so what can be done with them.

    Of a reader of another package, the head records it as `samples`.
    """

    # Files in folders. An id is the file's path, the payload its bytes.
    FILES = "files"
    # Files in archives. The payload is the bytes of one file.
    MEMBERS = "members"
    # Rows. `label` and `split` in the reading name columns, or are null.
    ROWS = "rows"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a user said about reading; what is None or empty is inherited, or the reader's default.

    `label` and `split` are `dir`, `file`, `none`, or what else the reader can take them from: a
    column, a member. `time` is the column that says when a row is, `split_at` the moments between
    splits. `types` declares columns of CSV files, whose `quoting` is `standard` or `none`. `sha256`
    asks for that digest of every file as well. `prefix` is the folder of a larger one that the data
    stand for: ids begin with it. `file_columns` name files, relative to `files_root` from the
    folder of the table; `text_columns` may look as if they did, and are only text.
    `columns_excluded` are not read; `columns_added` are new in this version, with their types where
    the data do not tell.
    """

    format: str | None = None
    id: str | None = None
    label: str | None = None
    split: str | None = None
    source_column: str | None = None
    labeler_column: str | None = None
    labeled_at_column: str | None = None
    types: Mapping[str, LogicalType] = field(default_factory=dict)
    null_words: tuple[str, ...] | None = None
    delimiter: str | None = None
    quoting: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    time: str | None = None
    split_at: tuple[str, ...] = ()
    sha256: bool = False
    prefix: str | None = None
    file_columns: tuple[str, ...] = ()
    files_root: str | None = None
    text_columns: tuple[str, ...] = ()
    columns_excluded: tuple[str, ...] = ()
    columns_added: Mapping[str, LogicalType | None] = field(default_factory=dict)

    def explicitly_set(self) -> frozenset[str]:
        """The names of the fields that say something, but for `format`."""
        names = (option.name for option in fields(self) if option.name != "format")
        return frozenset(name for name in names if getattr(self, name) not in (None, (), {}, False))


@dataclass(frozen=True, slots=True)
class LabelsOptions:
    """How to read a labels file.

    `delimiter` separates the columns of CSV. Columns of `exclude` are not read. `timezone` is that
    of times without one: `UTC`, an offset, or a name such as `Europe/Berlin`. `aggregate` is the
    rule that makes one label of several people's.
    """

    delimiter: str | None = None
    exclude: tuple[str, ...] = ()
    timezone: str | None = None
    aggregate: str | None = None


class KnownDigests(Protocol):
    """Digests of files that have not changed since they were read last (the stat cache).

    They are as wide as the reader takes them: the 32 bytes of the BLAKE3, with `sha256` those of
    that after them.
    """

    def lookup(
        self, stats: npt.NDArray[np.uint64]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint8]]:
        """(which rows are known, (n,), their digests, (n, width), zero where not).

        `stats` has shape (n, 5): device, inode, size, mtime_ns, ctime_ns (these two signed).
        """
        ...


class RememberedRows(Protocol):
    """What the rows of a file hash to that has `size` bytes and of which only these `chunks` are
    read, by number, with these digests."""

    @property
    def size(self) -> int: ...

    @property
    def chunks(self) -> Mapping[int, bytes]: ...

    def digests(self, start: int, count: int) -> tuple[pa.FixedSizeBinaryArray, pa.UInt64Array]:
        """The contents and sizes of the `count` rows from `start` on, fewer where it ends."""
        ...


class RecordedRows(Protocol):
    """What is to be remembered of a file's rows, while they are read for the first time."""

    def add(self, content: pa.FixedSizeBinaryArray, size: pa.UInt64Array) -> None: ...

    def keep(self, size: int, chunks: Mapping[int, bytes]) -> None: ...

    def drop(self) -> None: ...


class KnownRows(Protocol):
    """Digests of the rows of files that were read before (the row memos), by keys of 32 bytes.

    Their chunks are hashed whenever they are read: nothing is taken for unchanged unseen.
    """

    def get(self, key: bytes) -> RememberedRows | None: ...

    def forget(self, key: bytes) -> None: ...

    def recording(self, key: bytes) -> RecordedRows: ...


@dataclass(frozen=True, slots=True)
class ReadContext:
    """How data are read. None of it changes the samples.

    Folders of `leave_out` (the registry) are not entered. Files with a digest in `known_files` need
    not be read; verification passes none. With `collect`, samples that cannot be read become
    findings if the reader can tell them apart. `progress` is called with the number of samples
    done, `total` before that, by readers that know how many there will be. `known_rows` has the
    digests of rows: `read` only adds to it, `stream` looks them up.
    """

    leave_out: Iterable[Path] = ()
    executor: Executor = IN_PROCESS
    known_files: KnownDigests | None = None
    collect: bool = False
    progress: Callable[[int], None] | None = None
    total: Callable[[int], None] = no_report
    known_rows: KnownRows | None = None


@dataclass(frozen=True, slots=True)
class FileStats:
    """What the stat cache is to remember: uint64 of shape (n, 5) and digests, uint8 of shape
    (n, width), both as `KnownDigests` has them, and the time before the first was taken."""

    stats: npt.NDArray[np.uint64]
    digests: npt.NDArray[np.uint8]
    read_at_ns: int


@dataclass(frozen=True, slots=True)
class FetchedList:
    """How many URLs of a list were `downloaded` now, how many files `kept` of another time, and
    what could not be had."""

    downloaded: int
    kept: int
    failed: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What was read of data.

    `table`: a row a sample, schema `manifest.entry.SAMPLE`, unique ids, in the order of the data.
    `reading`: for the head; with it the same is found again. `labels_known`, `splits_known`:
    whether the data speak of them at all. `reused`: how many digests were known already.
    `findings`: what could not be read, by id, where that was to be collected; `unseen` then names,
    by the reason in `left_out`, what other programs read for all that. `classes`: the classes in
    the order that the data give them, where they do, with those that no sample has.

    `warnings` are of data that are read all the same. `named_files` are the absolute paths of
    files that rows name and that belong to them. `differences_of` says in words what may differ of
    changed samples, by their ids: which row of which file, and the files that it names.

    Readers leave the last three alone. `long_labels` are texts over 1,024 bytes that no data hold,
    because a labels file gave them, `annotations` several people's labels of each sample, null for
    samples without. `fetched` is what came of a list of URLs.
    """

    table: pa.Table
    reading: dict[str, Any]
    labels_known: bool
    splits_known: bool
    classes: tuple[str, ...] = ()
    reused: int = 0
    findings: tuple[Finding, ...] = ()
    named_files: Set[str] = frozenset()
    differences_of: Callable[[Sequence[str]], Mapping[str, str]] | None = None
    files: FileStats | None = None
    warnings: tuple[str, ...] = ()
    unseen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    long_labels: Sequence[bytes] = ()
    annotations: pa.ChunkedArray | None = None
    fetched: FetchedList | None = None


class Closing:
    """A context manager that is closed at the end of the context."""

    close: Callable[[], None]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class SampleFiles(Protocol):
    """Samples whose bytes can be read one by one, by id. Serves one thread at a time."""

    def read(self, sample: str, *, limit: int) -> bytes:
        """The bytes of `sample`, read once; `limit + 1` of them if there are more than `limit`.

        Raises NotFoundError, InputError and StorageError, each naming the sample.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Reader(Protocol):
    """One way to make samples of data.

    `format_` is one of the reader's formats, `options` what `settle` or `options_from_reading`
    returned. All methods raise provreg's errors only, and InputError names the sample.
    """

    @property
    def SAMPLES(self) -> SampleKind:  # noqa: N802 - modules have constants
        """What the samples are. Optional in another package: `OTHER`."""
        ...

    @property
    def OPTIONS(self) -> frozenset[str]:  # noqa: N802 - modules have constants
        """The fields of ReadOptions that mean something to this reader."""
        ...

    def settle(
        self, format_: str, options: ReadOptions, before: Mapping[str, Any] | None, /
    ) -> Any:
        """What was said, over what the parent's reading `before` says, over the defaults."""
        ...

    def options_from_reading(self, reading: Mapping[str, Any], /) -> Any:
        """The options that a head's `reading` was made with; FormatError if it is invalid."""
        ...

    def read(
        self, paths: Sequence[Path], format_: str, options: Any, context: ReadContext, /
    ) -> ReadResult:
        """Every sample of the data at `paths`, hashed."""
        ...

    def files(self, paths: Sequence[Path], format_: str, options: Any, /) -> SampleFiles | None:
        """Access by id, or None if the data can only be streamed."""
        ...

    def stream(
        self, paths: Sequence[Path], format_: str, options: Any, context: ReadContext, /
    ) -> SampleStream | None:
        """The payloads in the order of the data, or None if they are read by id.

        They are the very bytes that `content` was computed from. Ids that are content digests have
        no numbers yet (`tables.samples.numbered_ids`).
        """
        ...

    def listed_files(
        self, paths: Sequence[Path], format_: str, label: str | None, /
    ) -> Set[Path] | None:
        """The files at `paths` that are read; anything else in their folders is a stranger.

        None if the reader lists what it leaves out itself, and in another package if it lacks this
        method. `label` is where labels come from, None if that is not known yet.
        """
        ...


def option_name(name: str) -> str:
    """A field of ReadOptions as the command line calls it."""
    names = {"types": "--column", "null_words": "--null", "file_columns": "--file-column"}
    names |= {"text_columns": "--text-column", "columns_excluded": "--exclude-column"}
    names["columns_added"] = "--column-added"
    return names.get(name, "--" + name.replace("_", "-"))


def check_options(options: ReadOptions, reader: Reader, format_: str) -> None:
    """UsageError for an option that means nothing to `reader`."""
    for name in sorted(options.explicitly_set() - reader.OPTIONS):
        raise UsageError(
            f"{option_name(name)} means nothing to the reader of {quoted(format_)}",
            hint="it takes " + ", ".join(sorted(map(option_name, reader.OPTIONS))),
        )


def override(value: str | None, inherited: str | None) -> str | None:
    """An option that can be turned off by `none`."""
    return inherited if value is None else None if value == "none" else value
