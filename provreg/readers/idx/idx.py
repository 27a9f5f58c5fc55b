"""MNIST-style IDX files as samples: one item, one sample (docs/reference/readers.md, "IDX")."""

from __future__ import annotations

import math
import re
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa

from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import quoted
from provreg.core.manifest.entry import SAMPLE
from provreg.core.manifest.limits import LIMITS
from provreg.core.rows.row import hash_payloads
from provreg.core.rows.row_hash import constant, join_pieces
from provreg.errors import InputError, UsageError
from provreg.readers.api import ReadContext, ReadResult, SampleKind, SampleStream
from provreg.readers.data_files.shard_files import unpacked
from provreg.readers.data_files.source_file import SourceFile, display, stat_source
from provreg.readers.data_files.table_files import all_files, chosen_files
from provreg.readers.tables.samples import content_ids, numbered_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from provreg.readers.api import ReadOptions

READER = "idx"
SAMPLES = SampleKind.OTHER
READER_VERSION = 1
OPTIONS = frozenset({"label", "split"})
_WHAT = "head.reading"
_FROM = "file|none"
# `train-images-idx3-ubyte.gz`, `train-labels.idx1-ubyte`, `weights.idx2-float`.
_NAME = re.compile(
    r"(?P<split>.*?)[-_.]?(?P<kind>images|labels)?[-_.]?idx[0-9]+"
    r"-(?:ubyte|byte|short|int|float|double)(?:\.gz)?"
)
_BATCH_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class IdxOptions:
    """How items become samples: `label` by the labels file beside them, `split` by the file's name.
    Each is `file` or `none`. `assumed`: nobody said whether there are labels. Raises UsageError."""

    label: str = "file"
    split: str = "file"
    assumed: bool = False

    def __post_init__(self) -> None:
        for name, value in (("label", self.label), ("split", self.split)):
            if value not in {"file", "none"}:
                raise UsageError(f"{quoted(value)} is not a {name} for IDX files: file or none")


@dataclass(frozen=True, slots=True)
class _Pair:
    """A file of items, the file of their labels, and their split."""

    items: SourceFile
    labels: SourceFile | None
    split: str | None


def detect(paths: Sequence[Path]) -> str | None:
    """`idx` where all files are called so."""
    return READER if all_files(paths, is_idx) else None


def settle(_format: str, options: ReadOptions, before: Mapping[str, Any] | None) -> IdxOptions:
    """What was said, over what `before` says. Raises UsageError, and FormatError for `before`."""
    old = IdxOptions() if before is None else options_from_reading(before)
    assumed = before is None and options.label is None
    return IdxOptions(options.label or old.label, options.split or old.split, assumed)


def read(
    paths: Sequence[Path], _format: str, options: IdxOptions, context: ReadContext
) -> ReadResult:
    """Every item of the files at `paths`.

    Raises InputError for files that are no IDX files, items without their labels file, labels that
    are not as many as the items or no integers, and a file of labels that is named and not wanted.
    """
    pairs = _pairs(paths)
    if options.assumed and not any(pair.labels for pair in pairs):
        options = replace(options, label="none")
    for path in paths:
        if options.label == "none" and not path.is_dir() and is_idx(path) and not is_items(path):
            raise InputError(
                f"{display(path)} is named, and is not read: without labels, as --label none",
                hint="do not name it, or move it out of what your shell takes for `*`",
            )
    batches: list[pa.RecordBatch] = []
    rows = 0
    for pair in pairs:
        for _, samples in _batches(pair, options):
            batches.append(samples)
            rows += samples.num_rows
            if context.progress is not None:
                context.progress(rows)
    if not rows:
        raise InputError("the IDX files hold no items")
    table = pa.Table.from_batches(batches, SAMPLE)
    return ReadResult(
        table.set_column(0, SAMPLE.field("id"), numbered_ids(table)),
        {
            "reader": READER,
            "reader_version": READER_VERSION,
            "label": options.label,
            "split": options.split,
        },
        labels_known=options.label == "file",
        splits_known=options.split == "file" and any(pair.split for pair in pairs),
    )


def files(_paths: Sequence[Path], _format: str, _options: IdxOptions) -> None:
    """None: items are streamed."""


def stream(
    paths: Sequence[Path], _format: str, options: IdxOptions, _context: ReadContext
) -> SampleStream:
    """The items, each as the IDX file that it would be alone."""
    for pair in _pairs(paths):
        for encoded, samples in _batches(pair, options):
            yield encoded.to_pylist(), samples


def options_from_reading(reading: Any) -> IdxOptions:
    """The options that `reading`, from a head, was made with. Raises FormatError."""
    fields = Fields(reading, _WHAT)
    if fields.text("reader") != READER:
        raise fields.wrong("reader", f"is not {READER}")
    if fields.integer("reader_version") != READER_VERSION:
        raise fields.wrong("reader_version", "is unknown: a newer provreg is needed")
    label, split = fields.text("label", pattern=_FROM), fields.text("split", pattern=_FROM)
    fields.done()
    return IdxOptions(label, split)


def listed_files(paths: Sequence[Path], _format: str, label: str | None) -> set[Path]:
    """The files of items, and those of labels unless `label` is `none`."""
    pairs = _pairs(paths)
    items = {pair.items.path for pair in pairs}
    if label == "none":
        return items
    return items | {pair.labels.path for pair in pairs if pair.labels is not None}


def is_idx(path: Path) -> bool:
    """Whether a file is called like one of these."""
    return _NAME.fullmatch(path.name) is not None


def is_items(path: Path) -> bool:
    """Whether a file is called like one of items, and not of their labels."""
    match = _NAME.fullmatch(path.name)
    return match is not None and match["kind"] != "labels"


def _pairs(paths: Sequence[Path]) -> list[_Pair]:
    """The files of items at `paths`, by path, each with its labels."""
    items: dict[tuple[Path, str], Path] = {}
    labels: dict[tuple[Path, str], Path] = {}
    for path in chosen_files(paths, is_idx, "IDX"):
        match = _NAME.fullmatch(path.name)
        split, kind = (match["split"], match["kind"]) if match else (path.stem, None)
        other = (labels if kind == "labels" else items).setdefault((path.parent, split), path)
        if other != path:
            raise InputError(f"{display(other)} and {display(path)} say that they are the same")
        if len(split.encode()) > LIMITS["split"]:
            raise InputError(f"{display(path)}: its split is longer than {LIMITS['split']} bytes")
    if alone := labels.keys() - items.keys():
        raise InputError(f"{display(labels[min(alone)])} labels no items beside it")
    return [
        _Pair(
            stat_source(path), stat_source(labels[key]) if key in labels else None, key[1] or None
        )
        for key, path in items.items()
    ]


def _batches(pair: _Pair, options: IdxOptions) -> Iterator[tuple[pa.Array, pa.RecordBatch]]:
    """(payloads, samples) of one file, in bounded batches."""
    place = display(pair.items.path)
    with ExitStack() as stack:
        items = open_idx(stack.enter_context(unpacked(pair.items)), place)
        labels = None
        if options.label == "file":
            if pair.labels is None:
                raise InputError(f"{place} has no labels file beside it", hint="--label none")
            labels = _open_labels(stack, pair.labels, items)
        left = items.count
        while left:
            count = min(left, max(1, _BATCH_BYTES // items.size))
            encoded = join_pieces([constant(items.header, count), items.take(count)], count)
            yield (
                encoded,
                _samples(encoded, labels, pair.split if options.split == "file" else None),
            )
            left -= count
        items.finish()
        if labels is not None:
            labels.finish()


def _open_labels(stack: ExitStack, file: SourceFile, items: Idx) -> Idx:
    place = display(file.path)
    labels = open_idx(stack.enter_context(unpacked(file)), place)
    if labels.shape or labels.type.kind not in "iu":
        raise InputError(f"{place}: labels must be one integer an item", hint="--label none")
    if labels.count != items.count:
        raise InputError(f"{place}: {labels.count:,} labels for {items.count:,} items")
    return labels


def _samples(encoded: pa.Array, labels: Idx | None, split: str | None) -> pa.RecordBatch:
    content, size = hash_payloads(encoded)
    rows = len(content)
    columns: dict[str, pa.Array] = {
        "id": content_ids(content),
        "content": content,
        "size": size,
        "split": pa.repeat(pa.scalar(split, pa.string()), rows),
    }
    if labels is not None:
        numbers = labels.take(rows).view(labels.type).reshape(rows).astype(np.int64)
        columns["label"] = pa.array(numbers).cast(pa.string())
    return pa.RecordBatch.from_arrays(
        [columns.get(field.name, pa.nulls(rows, field.type)) for field in SAMPLE], schema=SAMPLE
    )


# The types' codes, as numpy calls them.
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_ITEM = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Idx:
    """An open IDX file behind its header: `count` items of `shape`, each of `size` bytes. `header`
    is what an IDX file of one item alone would begin with: the same, without the count."""

    stream: BinaryIO
    place: str
    count: int
    shape: tuple[int, ...]
    type: np.dtype[np.generic]
    header: bytes

    @property
    def size(self) -> int:
        return math.prod(self.shape) * self.type.itemsize

    def take(self, count: int) -> npt.NDArray[np.uint8]:
        """The next `count` items, uint8 of shape (count, size). Raises InputError at the end."""
        data = self.stream.read(count * self.size)
        if len(data) < count * self.size:
            raise InputError(f"{self.place}: is cut off", hint="the file may be damaged")
        return np.frombuffer(data, np.uint8).reshape(count, self.size)

    def finish(self) -> None:
        """Raises InputError where bytes follow the last item."""
        if self.stream.read(1):
            raise InputError(f"{self.place}: has bytes after its last item")


def open_idx(stream: BinaryIO, place: str) -> Idx:
    """Reads the header. Raises InputError for what is no IDX file, and for items of more than 1 GiB
    or of no bytes at all, which a header could claim any number of."""
    mark = stream.read(4)
    if len(mark) < 4 or mark[:2] != b"\0\0" or mark[2] not in _TYPES or not mark[3]:
        raise InputError(f"{place}: no IDX file")
    dimensions = mark[3]
    written = stream.read(4 * dimensions)
    if len(written) < 4 * dimensions:
        raise InputError(f"{place}: is cut off")
    count, *shape = (
        int.from_bytes(written[at : at + 4], "big") for at in range(0, len(written), 4)
    )
    header = bytes([0, 0, mark[2], dimensions - 1]) + written[4:]
    found = Idx(stream, place, count, tuple(shape), np.dtype(_TYPES[mark[2]]), header)
    if not 0 < found.size <= _MAX_ITEM:
        raise InputError(f"{place}: its items have {found.size:,} bytes")
    return found
