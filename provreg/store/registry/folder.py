"""A registry in a folder: making one, finding one, opening one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from provreg.core.encoding.canonical import canonical, parse_json
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import printable, quoted
from provreg.errors import FormatError, NotFoundError, UsageError
from provreg.store.backends.api import Backend
from provreg.store.backends.local import LocalBackend
from provreg.store.files import storage_error
from provreg.store.layout import (
    ACCEPTANCES,
    DATASETS,
    LATEST,
    OBJECTS,
    REGISTRY_KEY,
    REVOCATIONS,
    RUNS,
    STAGING,
)

FOLDER_NAME = ".provreg"
_REGISTRY_VARIABLE = "PROVREG_REGISTRY"
REGISTRY_FORMAT = "provreg.registry/v1"
_MAX_HINT_BYTES = 4096
# A scheme has at least two letters. In a path, the two slashes of a URL are one.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_OWN_NAMES = frozenset(
    {REGISTRY_KEY, OBJECTS, DATASETS, REVOCATIONS, LATEST, ACCEPTANCES, RUNS, STAGING}
)


def init(folder: Path) -> Backend:
    """Makes a registry of `folder`, which is made too; one that is there already stays as it is.

    Raises UsageError for a folder that holds anything else, FormatError for a registry in a format
    this provreg does not write, StorageError.
    """
    _check_no_url(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = sorted({entry.name for entry in folder.iterdir()} - _OWN_NAMES)
    except OSError as error:
        raise storage_error("make a registry in", str(folder), error) from error
    if strangers and not (folder / REGISTRY_KEY).is_file():
        raise UsageError(
            f"{quoted(str(folder))} is not empty (it holds {quoted(strangers[0])})",
            hint="choose a new or empty folder for the registry",
        )
    store = LocalBackend(folder)
    store.create(REGISTRY_KEY, canonical({"format": REGISTRY_FORMAT}))
    check_writable(store)
    return store


def find(start: Path) -> Path | None:
    """The nearest `.provreg` folder in `start` or above it, as git finds its own; None if none.

    A planted one gains nothing: what is in a registry is never trusted for where it lies.
    """
    here = Path(os.path.realpath(start))
    candidates = (folder / FOLDER_NAME for folder in (here, *here.parents))
    return next(filter(_is_folder, candidates), None)


def find_registry(environ: Mapping[str, str]) -> Path | None:
    """The registry that PROVREG_REGISTRY names, or the nearest `.provreg` upward; None if none."""
    name = environ.get(_REGISTRY_VARIABLE)
    return Path(name) if name else find(Path.cwd())


def open_registry(folder: Path, *, writing: bool = False) -> Backend:
    """The registry in `folder`. Raises NotFoundError if it holds no registry.

    With `writing`, raises FormatError for one in a format this provreg must not write to.
    """
    try:
        found = any((folder / name).exists() for name in (REGISTRY_KEY, OBJECTS, DATASETS))
    except OSError as error:
        raise storage_error("open the registry", str(folder), error) from error
    if not found:
        _check_no_url(folder)
        raise NotFoundError(
            f"there is no registry in {quoted(str(folder))}",
            hint=f"make one with: provreg init {printable(str(folder))}",
        )
    store = LocalBackend(folder)
    if writing:
        check_writable(store)
    return store


def _check_no_url(folder: Path) -> None:
    """Raises UsageError for a URL: as a path it would be a folder below the working folder."""
    if _URL.match(str(folder)) and not folder.exists():
        scheme, _, path = str(folder).partition(":")
        hint = "copy or mount the registry, and name its folder as a path"
        if scheme.lower() == "file":
            hint = f"name its folder as a path: {printable(path)}"
        raise UsageError(
            f"a registry is a folder, and {quoted(str(folder))} looks like a URL", hint=hint
        )


def check_writable(store: Backend) -> None:
    """Raises FormatError for a registry that says a newer format is in use.

    Only a hint, so it binds writers alone: anybody can write or remove the file, and readers judge
    each object by its own signed format.
    """
    what = f"{quoted(store.where(REGISTRY_KEY))}"
    try:
        data = store.read(REGISTRY_KEY, _MAX_HINT_BYTES)
    except NotFoundError:
        return
    fields = Fields(parse_json(data, what=what, limit=_MAX_HINT_BYTES), what)
    found = fields.text("format", pattern=r"provreg\.registry/v[1-9][0-9]{0,3}")
    if found != REGISTRY_FORMAT:
        raise FormatError(
            f"{what} says {found}, this provreg writes {REGISTRY_FORMAT}",
            hint=f"update provreg to a version that writes {found}",
        )
    fields.done()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError:
        return False
