"""WebDataset: tar shards as samples, each the files of one stem.

They are told in docs/reference/readers.md, "WebDataset".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import quoted
from provreg.core.manifest.entry import DIGEST, SAMPLE
from provreg.core.manifest.limits import LIMITS
from provreg.errors import FormatError, InputError, UsageError
from provreg.readers.api import (
    MAX_SAMPLE,
    ReadContext,
    ReadResult,
    SampleKind,
    SampleStream,
    override,
)
from provreg.readers.archives.stems import LabelMember, StemSample, samples
from provreg.readers.archives.tar_stream import tar_members
from provreg.readers.data_files.shard_files import Shard, looks_like_shards, shards, unpacked
from provreg.readers.data_files.source_file import display
from provreg.readers.tables.samples import check_unique, content_ids, numbered_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from provreg.readers.api import ReadOptions

READER = "webdataset"
SAMPLES = SampleKind.OTHER
READER_VERSION = 1
OPTIONS = frozenset({"id", "label", "split"})
_WHAT = "head.reading"
_IDS = ("stem", "shard", "content")
_SPLITS = ("file", "dir")
_LEFT_OUT = ("hidden", "system", "unnamed")
# Samples that are handed on together: so many, or so many bytes.
_BATCH, _BATCH_BYTES = 256, 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ShardOptions:
    """How shards become samples.

    `id`: `stem`; `shard`, the shard's name before it; or `content`, the payload's digest. `label`:
    a member, or `json:key`. `split`: `file`, the shard's name before its number, or `dir`, the
    first folder. None for no label, no split. `assumed`: nobody said where labels are.
    """

    id: str = "stem"
    label: str | None = "cls"
    split: str | None = None
    assumed: bool = False

    def __post_init__(self) -> None:
        if self.id not in _IDS:
            raise UsageError(
                f"{quoted(self.id)} is not where ids of shards come from",
                hint="--id is stem, shard (the shard's name and the stem) or content (a digest)",
            )
        if self.split is not None and self.split not in _SPLITS:
            raise UsageError(f"{quoted(self.split)} is not a split for shards: file, dir or none")


def detect(paths: Sequence[Path]) -> str | None:
    """`webdataset` where all files are tar files."""
    return READER if looks_like_shards(paths) else None


def settle(_format: str, options: ReadOptions, before: Mapping[str, Any] | None) -> ShardOptions:
    """What was said, over what `before` says. Raises UsageError, and FormatError for `before`."""
    old = ShardOptions() if before is None else options_from_reading(before)
    if options.label == "dir":
        raise UsageError("--label dir is for folders of files: name a member, or none")
    return ShardOptions(
        options.id or old.id,
        override(options.label, old.label),
        override(options.split, old.split),
        assumed=before is None and options.label is None,
    )


def read(
    paths: Sequence[Path], _format: str, options: ShardOptions, context: ReadContext
) -> ReadResult:
    """Every sample of the shards at `paths`, a shard a process.

    Raises InputError naming shard and sample for invalid archives and for duplicate ids.
    """
    found = shards(paths)
    batches: list[pa.RecordBatch] = []
    left_out: dict[str, int] = {}
    rows = 0
    for batch, aside in context.executor.map(
        partial(_read_shard, options=options), found, most=len(found)
    ):
        batches.append(batch)
        for reason, count in aside.items():
            left_out[reason] = left_out.get(reason, 0) + count
        rows += batch.num_rows
        if context.progress is not None:
            context.progress(rows)
    table = pa.Table.from_batches(batches, SAMPLE)
    if rows == 0:
        raise InputError("the shards hold no samples")
    if options.id == "content":
        table = table.set_column(0, SAMPLE.field("id"), numbered_ids(table))
    else:
        places = [
            (display(shard.file.path), batch.num_rows)
            for shard, batch in zip(found, batches, strict=True)
        ]
        check_unique(table["id"], places)
    if options.label is not None and table["label"].null_count == rows:
        if not options.assumed and not context.collect:
            raise InputError(
                f"no sample has a label in {quoted(options.label)}",
                hint="name another member with --label, or none",
            )
        options = replace(options, label=None) if options.assumed else options
    return ReadResult(
        table,
        _reading(options, left_out),
        labels_known=options.label is not None,
        splits_known=options.split is not None,
    )


def files(_paths: Sequence[Path], _format: str, _options: ShardOptions) -> None:
    """None: shards are read from front to back."""


def listed_files(paths: Sequence[Path], _format: str, _label: str | None) -> set[Path]:
    """The shards."""
    return {shard.file.path for shard in shards(paths)}


def stream(
    paths: Sequence[Path], _format: str, options: ShardOptions, _context: ReadContext
) -> SampleStream:
    """The members of each sample."""
    for shard in shards(paths):
        yield from stream_shard(shard, options)


def stream_shard(shard: Shard, options: ShardOptions) -> SampleStream:
    """As `stream`, of one shard."""
    batch: list[StemSample] = []
    size = 0
    for sample in iter_shard(shard, options, {}):
        batch.append(sample)
        size += sample.size
        if len(batch) == _BATCH or size > _BATCH_BYTES:
            yield (
                [each.members for each in batch],
                _table(shard, batch, options),
            )
            batch, size = [], 0
    if batch:
        yield [each.members for each in batch], _table(shard, batch, options)


def iter_shard(
    shard: Shard, options: ShardOptions, left_out: dict[str, int]
) -> Iterator[StemSample]:
    """The samples of one shard, each hashed from the very bytes that it holds."""
    place = display(shard.file.path)
    label = None if options.label is None else LabelMember.parse(options.label)
    with unpacked(shard.file) as archive:
        yield from samples(tar_members(archive, place, limit=MAX_SAMPLE), place, label, left_out)


def options_from_reading(reading: Any) -> ShardOptions:
    """The options that `reading`, from a head, was made with. Raises FormatError."""
    fields = Fields(reading, _WHAT)
    if fields.text("reader") != READER:
        raise fields.wrong("reader", f"is not {READER}")
    if fields.integer("reader_version") != READER_VERSION:
        raise fields.wrong("reader_version", "is unknown: a newer provreg is needed")
    settings = (fields.text("id"), fields.optional_text("label"), fields.optional_text("split"))
    left_out = fields.object("left_out")
    for reason in _LEFT_OUT:
        if left_out.has(reason):
            left_out.integer(reason, minimum=1)
    left_out.done()
    fields.done()
    try:
        return ShardOptions(*settings)
    except UsageError as error:
        raise FormatError(f"{_WHAT}: {error.message}") from None


def shard_options(reading: Mapping[str, Any]) -> ShardOptions | None:
    """The options of a head's `reading`; None if its samples are not of shards."""
    return options_from_reading(reading) if reading["reader"] == READER else None


def _reading(options: ShardOptions, left_out: dict[str, int]) -> dict[str, Any]:
    return {
        "reader": READER,
        "reader_version": READER_VERSION,
        "id": options.id,
        "label": options.label,
        "split": options.split,
        "left_out": left_out,
    }


def _read_shard(shard: Shard, *, options: ShardOptions) -> tuple[pa.RecordBatch, dict[str, int]]:
    left_out: dict[str, int] = {}
    found = [
        # The bytes are done with: a shard must not stay in memory.
        StemSample(sample.stem, {}, sample.content, sample.size, sample.label)
        for sample in iter_shard(shard, options, left_out)
    ]
    return _table(shard, found, options), left_out


def _table(shard: Shard, found: Sequence[StemSample], options: ShardOptions) -> pa.RecordBatch:
    rows = len(found)
    content = pa.array([sample.content for sample in found], DIGEST)
    columns: dict[str, pa.Array] = {
        "content": content,
        "size": pa.array([sample.size for sample in found], pa.uint64()),
        "label": pa.array([sample.label for sample in found], pa.string()),
        "split": pa.repeat(pa.scalar(_split(shard, options), pa.string()), rows),
    }
    if options.id == "content":
        columns["id"] = content_ids(content)
    else:
        before = f"{shard.name}/" if options.id == "shard" else ""
        columns["id"] = pa.array([before + sample.stem for sample in found], pa.string())
    return pa.RecordBatch.from_arrays(
        [columns.get(field.name, pa.nulls(rows, field.type)) for field in SAMPLE], schema=SAMPLE
    )


def _split(shard: Shard, options: ShardOptions) -> str | None:
    if options.split is None:
        return None
    split = shard.split_of_name() if options.split == "file" else shard.split_of_folder()
    place = display(shard.file.path)
    if split is None:
        raise InputError(f"{place}: its {options.split} says no split", hint="pass --split none")
    if len(split.encode()) > LIMITS["split"]:
        raise InputError(f"{place}: its split is longer than {LIMITS['split']} bytes")
    return split
