"""What a listing is made of: runs of samples, and the folders they are found in."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provreg.core.encoding.text import quoted
from provreg.errors import InputError, NotFoundError, UsageError
from provreg.readers.files.names import check_names

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Run:
    """Samples with neighbouring ids whose files lie in one folder.

    The id of a sample is `prefix` + its name; its file is `root`/`folder`/its file name. Names and
    file names, and prefix and folder, differ below links only: `folder` never contains one.
    """

    root: str
    prefix: str
    names: list[str]
    folder: str
    files: list[str]


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder to list: its ids begin with `prefix`, it lies at `folder` below `root`."""

    root: str
    prefix: str
    folder: str
    linked: bool = False


def starting_points(
    paths: Sequence[str | os.PathLike[str]], leave_out: frozenset[str]
) -> list[Folder | Run]:
    """What each path stands for, in the order of ids.

    Raises NotFoundError, UsageError and InputError as `readers.files.walk.list_samples` says.
    """
    if not paths:
        raise UsageError("no path was given")
    starts: dict[str, Folder | Run] = {}
    for given in paths:
        path = os.fspath(given)
        name = os.path.basename(os.path.abspath(path))  # noqa: PTH100, PTH119
        try:
            real = os.path.realpath(path, strict=True)
            mode = os.stat(real).st_mode  # noqa: PTH116
        except OSError:
            raise NotFoundError(f"{quoted(path)} does not exist or cannot be reached") from None
        if real == "/":
            raise UsageError(f"{quoted(path)} is the whole file system")
        if lies_in(real, leave_out):
            raise UsageError(f"{quoted(path)} lies inside the registry")
        start: Folder | Run
        if stat.S_ISDIR(mode):
            prefix = f"{name}/" if len(paths) > 1 else ""
            key, start = f"{name}/", Folder(real, prefix, "")
        elif stat.S_ISREG(mode):
            folder, _, file = real.rpartition("/")
            key, start = name, Run(folder or "/", "", [name], "", [file])
        else:
            raise InputError(f"{quoted(path)} is neither a folder nor a regular file", sample=path)
        for problem in check_names("", [name] if len(paths) > 1 else []).values():
            raise InputError(problem, sample=path)
        if key in starts:
            raise UsageError(
                f"several paths are named {quoted(name)}",
                hint="ids begin with the last name of each path: give paths whose names differ",
            )
        starts[key] = start
    return [starts[key] for key in sorted(starts)]


def join(folder: str, name: str) -> str:
    """The path of `name` in `folder`, where either may be empty."""
    return f"{folder}/{name}" if folder and name else folder or name


def lies_in(path: str, folders: frozenset[str]) -> bool:
    """Whether `path` is one of `folders` or below one."""
    return any(f"{path}/".startswith(f"{folder}/") for folder in folders)
