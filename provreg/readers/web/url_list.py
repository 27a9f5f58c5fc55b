"""Lists of URLs: tables with a column of URLs, whose rows are samples yet to be downloaded.

A sample is a file, and its id the path below the folder that the files go to: what the column of
ids says, or else the digest of the URL. It never is a path that the URL spells.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from provreg.core.encoding.text import quoted
from provreg.core.manifest.entry import DIGEST, SAMPLE
from provreg.core.manifest.manifest import check_path_ids
from provreg.core.rows.column import TEXT
from provreg.errors import FormatError, InputError, UsageError
from provreg.executors.processes import local_processes
from provreg.readers.files.safe_open import DEEPEST
from provreg.readers.files.walk import SYSTEM_FILES
from provreg.readers.tables.samples import numbered_ids
from provreg.readers.tables.table import (
    detect_format,
    iter_rows,
    options_from_reading,
    read_table,
    settle,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from provreg.readers.api import ReadOptions

# The options that mean something in a list of URLs.
OPTIONS = frozenset(
    {"id", "label", "split", "source_column", "labeler_column", "labeled_at_column"}
) | {"types", "null_words", "delimiter", "quoting", "sha256"}

# What the columns of a list can say of its samples.
ROLES = ("label", "source", "labeler", "labeled_at", "split")

_DIGEST_ID = r"^blake3:(..)([0-9a-f]{62})"
# A file's name has at most 255 bytes, and while it comes in six more (`download_folder`).
_LONGEST_NAME = 249


def read_url_list(paths: Sequence[Path], options: ReadOptions, column: str) -> pa.Table:
    """The rows of a list (schema SAMPLE; `content` and `size` mean nothing yet), in its order.

    `column` holds the URLs, taken over as they are, also those that lead nowhere. Raises InputError
    naming the row or the id that cannot be, UsageError, NotFoundError, StorageError.
    """
    format_ = options.format or detect_format(paths)
    if format_ is None:
        named = ", ".join(quoted(str(path)) for path in paths)
        raise UsageError(
            f"{named} is not a list of URLs",
            hint="give a .csv, .tsv, .jsonl, .json or .parquet file",
        )
    table_options = settle(format_, options, None)
    # The first pass finds the types of the columns and ids that stand twice.
    reading = read_table(paths, format_, table_options, executor=local_processes()).reading
    kinds = {each.name: each.type for each in options_from_reading(reading).columns or ()}
    if column not in kinds or column in table_options.roles().values():
        raise UsageError(
            f"there is no column {quoted(column)} of URLs alone",
            hint="name it with --url-column; the columns are: "
            + ", ".join(quoted(name) for name in list(kinds)[:20]),
        )
    if kinds[column] != TEXT:
        raise InputError(f"the column {quoted(column)} is not text, and holds no URLs")
    place = SAMPLE.get_field_index("uri")
    rows = pa.Table.from_batches(
        [
            samples.set_column(place, SAMPLE.field("uri"), payload.column(column).cast(pa.string()))
            for payload, samples in iter_rows(paths, reading)
        ],
        SAMPLE,
    )
    if table_options.id is None:
        rows = rows.set_column(0, SAMPLE.field("id"), _digest_ids(rows))
    _check_names(rows["id"])
    return rows


def _digest_ids(rows: pa.Table) -> pa.ChunkedArray:
    """`3f/2a…`, the digest of the URL; of a URL that stands several times `3f/2a…-2` and so on."""
    urls = rows["uri"].combine_chunks()
    digests = [blake3((url or "").encode()).digest() for url in urls.to_pylist()]
    content = SAMPLE.get_field_index("content")
    by_url = rows.set_column(content, SAMPLE.field("content"), pa.array(digests, DIGEST))
    ids = pc.replace_substring_regex(numbered_ids(by_url), _DIGEST_ID, r"\1/\2")
    return pc.replace_substring(ids, "#", "-")


def _check_names(ids: pa.ChunkedArray) -> None:
    """InputError for ids that cannot all be files of one folder which is read as samples later."""
    try:
        check_path_ids(ids)
    except FormatError as error:
        raise InputError(error.message, hint="ids become the names of files") from None
    folders: dict[str, str] = {}
    names = ids.to_pylist()
    for name in names:
        segments = name.split("/")
        if len(segments) > DEEPEST:
            raise InputError(
                f"{quoted(name)} is in more than {DEEPEST - 1} folders", sample=name,
                hint="ids become the names of files: take another column, or none",
            )  # fmt: skip
        for segment in segments:
            if segment.startswith(".") or segment in SYSTEM_FILES:
                raise InputError(
                    f"{quoted(name)} would be a hidden file", sample=name,
                    hint="ids become the names of files: take another column",
                )  # fmt: skip
            if len(segment.encode()) > _LONGEST_NAME:
                raise InputError(
                    f"{quoted(name)} is longer than {_LONGEST_NAME} bytes", sample=name,
                    hint="ids become the names of files: take another column, or none",
                )  # fmt: skip
        for folder in accumulate(segments[:-1], "{}/{}".format):
            folders.setdefault(folder, name)
    for name in names:
        if name in folders:
            raise InputError(
                f"{quoted(name)} would be a file, and the folder of {quoted(folders[name])}",
                sample=name,
                hint="ids become the names of files: take another column, or none",
            )
