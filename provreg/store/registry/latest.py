"""The *latest* statements of a registry, by dataset (docs/format/latest.md).

As everywhere in a registry: whoever can write to it may have written any of this.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.text import quoted
from provreg.errors import FormatError
from provreg.store.backends.api import Backend
from provreg.store.layout import digest_of_key, latest_key, latest_prefix
from provreg.store.registry.bundles import add_bundle, read_bundles

MAX_LATEST = 1000


class LatestStatements:
    """The *latest* statements in `store`; `report` is told of everything that is passed over."""

    def __init__(self, store: Backend, report: Callable[[str], None]) -> None:
        self._store = store
        self._report = report

    def add(self, dataset: str, statement: bytes, bundle: bytes) -> None:
        """Stores a bundle over `statement`. Raises as `store.registry.bundles.add_bundle`."""
        said = sha256_digest(statement)
        add_bundle(self._store, lambda digest: latest_key(dataset, said, digest), bundle)

    def remove(self, dataset: str, statement: str, bundle: str) -> None:
        """Tidies away a bundle over what has expired, by the written SHA-256 of both."""
        self._store.remove(latest_key(dataset, statement, bundle))

    def statements(self, dataset: str) -> list[str]:
        """The written SHA-256 of statements of `dataset`, in order; at most the first 1,000."""
        found = heapq.nsmallest(MAX_LATEST + 1, self._names(dataset))
        if len(found) > MAX_LATEST:
            self._report(
                f"{quoted(dataset)} has more than {MAX_LATEST:,} latest statements: the rest is"
                " ignored"
            )
        return found[:MAX_LATEST]

    def bundles(self, dataset: str, statement: str) -> Iterator[tuple[str, bytes]]:
        """(written SHA-256, bundle) of those over a statement; nothing is verified."""
        of = f"the latest statement {statement}"
        return read_bundles(self._store, latest_prefix(dataset, statement), self._report, of=of)

    def _names(self, dataset: str) -> Iterator[str]:
        for key in self._store.list(latest_prefix(dataset)):
            try:
                statement = digest_of_key(key)
                latest_prefix(dataset, statement)
            except FormatError:
                self._report(f"{quoted(self._store.where(key))} is not a statement: ignored")
            else:
                yield statement
