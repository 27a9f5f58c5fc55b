"""Receipts of training runs, by the SHA-256 of their statement (docs/format/run.md).

As everywhere in a registry: whoever can write to it may have written any of this.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.text import quoted
from provreg.errors import FormatError
from provreg.store.backends.api import Backend
from provreg.store.layout import RUNS, digest_of_key, run_key, run_prefix
from provreg.store.registry.bundles import add_bundle, read_bundles

MAX_RUNS = 100_000


class Runs:
    """The receipts in `store`; `report` is told of everything that is passed over."""

    def __init__(self, store: Backend, report: Callable[[str], None]) -> None:
        self._store = store
        self.report = report

    def add(self, statement: bytes, bundle: bytes) -> str:
        """Stores a bundle over a receipt's `statement`, whose written SHA-256 is returned.

        The bitmaps it names must be stored before. Raises as `store.registry.bundles.add_bundle`.
        """
        receipt = sha256_digest(statement)
        add_bundle(self._store, lambda digest: run_key(receipt, digest), bundle)
        return receipt

    def receipts(self) -> list[str]:
        """The written SHA-256 of every receipt, in order; at most the first 100,000."""
        found = heapq.nsmallest(MAX_RUNS + 1, self._names())
        if len(found) > MAX_RUNS:
            self.report(f"the registry has more than {MAX_RUNS:,} receipts: the rest is ignored")
        return found[:MAX_RUNS]

    def bundles(self, receipt: str) -> Iterator[tuple[str, bytes]]:
        """(written SHA-256, bundle) of those over `receipt`; nothing is verified."""
        of = f"the receipt {receipt}"
        return read_bundles(self._store, run_prefix(receipt), self.report, of=of)

    def is_begun(self, receipt: str) -> bool:
        """Whether only the name of `receipt` is there: who stores it is at it, or was killed."""
        return next(self._store.list(run_prefix(receipt)), None) is None

    def _names(self) -> Iterator[str]:
        for key in self._store.list(RUNS):
            try:
                receipt = digest_of_key(key)
                run_prefix(receipt)
            except FormatError:
                self.report(f"{quoted(self._store.where(key))} is not a receipt: ignored")
            else:
                yield receipt
