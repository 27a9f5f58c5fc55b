"""Where a Hugging Face dataset keeps its files, and which split each of them is."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from provreg.core.encoding.canonical import parse_json
from provreg.errors import FormatError, InputError, UsageError
from provreg.readers.data_files.source_file import SourceFile, display, open_source, stat_source
from provreg.readers.data_files.table_files import chosen_files, data_at, detect_format, files_at
from provreg.readers.tables.features import class_columns, features_in, features_of, holds_media
from provreg.readers.tables.hugging_face import schema_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_DICT, _INFO, _STATE = "dataset_dict.json", "dataset_info.json", "state.json"
# What `load_from_disk` casts rows to, and which columns of them it shows.
_FORMAT = ("_format_type", "_format_kwargs", "_format_columns")
_MAX_JSON = 64 * 1024 * 1024
# The Hub's names of shards: `train-00000-of-00012.parquet`, with a digest behind in older ones.
_SHARD = re.compile(r"(.+?)-[0-9]{5}-of-[0-9]{5}(?:-[0-9a-f]+)?")


def looks_like_dataset(paths: Sequence[Path]) -> bool:
    """Whether `paths` are what `datasets` wrote: saved folders, a repository of the Hub, or Parquet
    files with class labels or media."""
    if all(path.is_dir() for path in paths):
        if all(_is_saved(path) or (path / _DICT).is_file() for path in paths):
            return True
        if all(_is_repository(path) for path in paths):
            return True
    if detect_format(paths) != "parquet":
        return False
    try:
        features = features_of(schema_of(stat_source(next(data_at(paths)))))
        return bool(class_columns(features)) or holds_media(features)
    except (InputError, FormatError):
        return False


def dataset_files(paths: Sequence[Path]) -> dict[Path, tuple[SourceFile, str | None]]:
    """The Arrow and Parquet files of the datasets at `paths`, by path: each with its split, None
    where nothing names one.

    Raises InputError for a saved dataset that is not whole or whose features are not those of its
    files, UsageError where a file is named twice, NotFoundError, StorageError.
    """
    found: dict[Path, tuple[SourceFile, str | None]] = {}
    for path in paths:
        for file, split in _files_of(path):
            if file.path in found:
                raise UsageError("a file is named twice")
            found[file.path] = (file, split)
    return dict(sorted(found.items()))


def files_and_documents(paths: Sequence[Path]) -> set[Path]:
    """The files that are read in the datasets at `paths`; all others there are strangers.

    So are documents with the names of a saved dataset's in another place: `datasets` takes a
    dictionary with a `state.json` for one dataset.
    """
    files = set(dataset_files(paths))
    for path in paths:
        folders = [path] if _is_saved(path) else []
        if (path / _DICT).is_file():
            files.add(path / _DICT)
            folders = [path / name for name in _splits(path)]
        files.update(folder / name for folder in folders for name in (_INFO, _STATE))
    return files


def _splits(path: Path) -> list[str]:
    splits = _names(_document(path / _DICT).get("splits"))
    if not splits:
        raise InputError(f"{display(path / _DICT)} does not list its splits")
    return splits


def _files_of(path: Path) -> list[tuple[SourceFile, str | None]]:
    if (path / _DICT).is_file():
        return [(file, name) for name in _splits(path) for file, _ in _saved(path / name)]
    if _is_saved(path):
        return _saved(path)
    chosen = chosen_files([path], _is_data, "Parquet or Arrow")
    return [(stat_source(file), _split_of(file)) for file in chosen]


def _saved(folder: Path) -> list[tuple[SourceFile, str | None]]:
    """The files that `state.json` names, which are those that `load_from_disk` reads."""
    state, info = _document(folder / _STATE), _document(folder / _INFO)
    entries = state.get("_data_files")
    names = _names(
        [
            file_entry.get("filename") if isinstance(file_entry, dict) else None
            for file_entry in entries
        ]
        if isinstance(entries, list)
        else None
    )
    if not names:
        raise InputError(f"{display(folder / _STATE)} does not list the files of the dataset")
    if state.get("_indices_data_files"):
        raise InputError(
            f"{display(folder)} selects rows through an indices file, which is not supported",
            hint="save it again: flatten_indices",
        )
    columns = state.get("_format_columns")
    features = info.get("features")
    # So does every cast, with all columns.
    whole = isinstance(features, dict) and isinstance(columns, list) and columns == [*features]
    if any(state.get(name) for name in _FORMAT if not (whole and name == "_format_columns")):
        raise InputError(
            f"{display(folder / _STATE)} sets a format of rows, with which datasets returns other"
            " values",
            hint="save it again without a format: reset_format",
        )
    split = state.get("_split")
    files = [stat_source(folder / name) for name in names]
    for file in files:
        _check_features(file, info, folder)
    return [(file, split if isinstance(split, str) else None) for file in files]


def _check_features(file: SourceFile, info: Mapping[str, Any], folder: Path) -> None:
    """Class names stand in two places, and two programs could believe different ones."""
    try:
        stated, own = features_in({"info": info}), features_of(schema_of(file))
    except FormatError as error:
        raise InputError(f"{display(folder)}: {error.message}") from None
    if stated and not _alike(stated, own):
        raise InputError(
            f"{display(file.path)} has other features than {display(folder / _INFO)} says",
            hint="save the dataset again with datasets' save_to_disk",
        )


def _alike(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    # As texts: to Python 1 and True are equal.
    return json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)


def _document(path: Path) -> dict[str, Any]:
    file = stat_source(path)
    with open_source(file) as stream:
        data = stream.read(_MAX_JSON + 1)
    try:
        document = parse_json(data, what=display(path), limit=_MAX_JSON)
    except FormatError as error:
        raise InputError(error.message) from None
    if not isinstance(document, dict):
        raise InputError(f"{display(path)} is no JSON object")
    return document


def _names(values: Any) -> list[str]:
    """`values` where they are distinct names of files or folders, which cannot lead anywhere else;
    else nothing."""
    if not isinstance(values, list) or not all(isinstance(name, str) for name in values):
        return []
    sound = all(name not in {"", ".", ".."} and not {"/", "\0"} & set(name) for name in values)
    return values if sound and len(set(values)) == len(values) else []


def _is_saved(path: Path) -> bool:
    return (path / _INFO).is_file() and (path / _STATE).is_file()


def _is_repository(path: Path) -> bool:
    """Whether `path` is a dataset repository of the Hub, with its shards in `data`."""
    marks = ("README.md", "dataset_infos.json")
    if not (path / "data").is_dir() or not any((path / mark).is_file() for mark in marks):
        return False
    return any(_is_data(file) for file in files_at([path / "data"]))


def _is_data(file: Path) -> bool:
    return file.suffix.lower() in {".parquet", ".arrow"}


def _split_of(file: Path) -> str | None:
    match = _SHARD.fullmatch(file.stem)
    return match[1] if match else None
