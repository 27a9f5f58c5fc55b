"""Folders that hold a dataset's tables rather than its samples."""

from __future__ import annotations

import os
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from provreg.core.encoding.text import quoted
from provreg.errors import InputError
from provreg.readers.data_files.shard_files import is_tar
from provreg.readers.data_files.source_file import display
from provreg.readers.data_files.table_files import data_at, format_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

# Of so many files the first are looked at: a folder of samples may have any number.
_MOST = 1000


def refuse_hugging_face(root: str, files: Collection[str], folders: Collection[str]) -> None:
    """InputError if `root`, with `files` and `folders` right inside, is a Hugging Face dataset.

    Read as a folder its shards would become the samples, which is never what is meant.
    """
    if "dataset_dict.json" in files or {"dataset_info.json", "state.json"} <= set(files):
        raise InputError(
            f"{quoted(root)} is a dataset saved by Hugging Face datasets",
            hint="read it with --format huggingface",
        )
    if "data" in folders and not {"README.md", "dataset_infos.json"}.isdisjoint(files):
        try:
            shards = os.listdir(f"{root}/data")  # noqa: PTH208
        except OSError:  # the listing itself will say so
            return
        if any(name.endswith((".parquet", ".arrow")) for name in shards):
            raise InputError(
                f"{quoted(root)} is a Hugging Face dataset repository",
                hint="read it with --format huggingface",
            )


def refuse_tables(paths: Sequence[Path], before: str | None) -> None:
    """InputError if the files at `paths` are a table's or shards, with something beside them.

    Read as a folder they would be the samples, and not their rows. `before` is the format of the
    version they continue.
    """
    kinds: Counter[str] = Counter()
    first: dict[str, Path] = {}
    for file in islice(data_at(paths), _MOST):
        kind = "webdataset" if is_tar(file) else format_of(file) or ""
        if file.suffix.lower() == ".zip":
            kind = "zip"
        kinds[kind] += 1
        first.setdefault(kind, file)
    alone = kinds.pop("", 0)
    if not kinds or len(first) < 2:
        return
    [(format_, count)] = kinds.most_common(1)
    other = next(file for kind, file in first.items() if kind != format_)
    # A sample may well have a JSON or CSV file of its own, but hardly a Parquet file or a shard.
    if format_ in {"parquet", "webdataset"} or count > alone or format_ == before:
        raise InputError(
            f"there are {format_} files and others, such as {display(other)}",
            hint=f"--format {format_} reads them; --format folder signs the files themselves",
        )
