"""Folders that hold a dataset's tables rather than its samples."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from provreg.core.text import quoted
from provreg.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection


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
