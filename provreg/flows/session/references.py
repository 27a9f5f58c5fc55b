"""The datasets and versions of a registry by name, as a shell completes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from provreg.core.encoding.names import check_dataset_name
from provreg.errors import ProvregError
from provreg.store.backends.api import Backend
from provreg.store.layout import DATASETS
from provreg.store.registry.folder import find_registry, open_registry
from provreg.store.registry.versions import Versions

_MOST = 1000


def references(folder: Path | None, prefix: str) -> list[str]:
    """Names of datasets that begin with `prefix`; of `NAME@…`, its versions, the newest first.

    Of very many the first. Names that are no dataset names are skipped. Empty without a registry
    that can be read; nothing is verified.
    """
    name, at, selector = prefix.partition("@")
    with suppress(ProvregError, OSError):
        found = folder or find_registry(os.environ)
        if found is None:
            return []
        store = open_registry(found)
        if not at:
            return sorted(islice(_names(store, name), _MOST))
        numbers = map(str, reversed(Versions(store).numbers(check_dataset_name(name))))
        matching = (number for number in numbers if number.startswith(selector))
        return [f"{name}@{number}" for number in islice(matching, _MOST)]
    return []


def _names(store: Backend, prefix: str) -> Iterator[str]:
    for key in store.list(DATASETS):
        with suppress(ProvregError):
            name = check_dataset_name(key.rpartition("/")[2])
            if name.startswith(prefix):
                yield name
