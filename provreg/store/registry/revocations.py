"""The revocations of a registry, by number (docs/format/revocation.md).

As everywhere in a registry: whoever can write to it may have written any of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from provreg.core.encoding.digest import sha256_digest
from provreg.core.encoding.text import quoted
from provreg.core.statements.statement import MAX_STATEMENT_BYTES
from provreg.errors import DamagedError, NotFoundError
from provreg.store.backends.api import Backend
from provreg.store.layout import (
    REVOCATION_SIGNATURES,
    REVOCATIONS,
    record_number,
    revocation_key,
    revocation_prefix,
    revocation_signature_key,
)
from provreg.store.registry.bundles import add_bundle, read_bundles

MAX_REVOCATIONS = 100_000


class Revocations:
    """The statements of revocations in `store`, and the bundles over them.

    `report` is told of everything that is passed over because it is not what its name says.
    """

    def __init__(self, store: Backend, report: Callable[[str], None]) -> None:
        self._store = store
        self._report = report

    def numbers(self) -> list[int]:
        """The numbers taken, ascending; none may be that of a revocation.

        Raises DamagedError for more than 100,000: leaving some out could hide one.
        """
        found = []
        for key in self._store.list(REVOCATIONS):
            number = record_number(key)
            if number is not None:
                found.append(number)
            elif key != REVOCATION_SIGNATURES:
                self._report(f"{quoted(self._store.where(key))} is not a revocation: ignored")
            if len(found) > MAX_REVOCATIONS:
                raise DamagedError(
                    f"the registry has more than {MAX_REVOCATIONS:,} revocations",
                    hint="somebody floods it: find out who writes to it, and remove what is not"
                    " signed by whom the policy names",
                )
        return sorted(found)

    def statement(self, number: int) -> bytes:
        """What stands under a number, at most 16 KiB; anybody may have put it there.

        Raises NotFoundError where the number is free, DamagedError where what stands there can be
        no statement.
        """
        return self._store.read(revocation_key(number), MAX_STATEMENT_BYTES)

    def claim(self, number: int, statement: bytes) -> bool:
        """Makes `statement` the one under `number`, durably; False where the number is taken.

        A bundle over it must be stored before.
        """
        key = revocation_key(number)
        if self._store.create(key, statement):
            return True
        # A retried request whose first reply was lost meets its own statement.
        try:
            return self._store.read(key, MAX_STATEMENT_BYTES) == statement
        except (DamagedError, NotFoundError):
            return False

    def add_signature(self, statement: bytes, bundle: bytes) -> str:
        """Stores a bundle over `statement`; returns its written SHA-256.

        Raises as `store.registry.bundles.add_bundle`.
        """
        said = sha256_digest(statement)
        return add_bundle(
            self._store, lambda digest: revocation_signature_key(said, digest), bundle
        )

    def remove_signature(self, statement: bytes, bundle: str) -> None:
        """Tidies away the signature of a statement that lost the race for its number."""
        self._store.remove(revocation_signature_key(sha256_digest(statement), bundle))

    def signatures(self, statement: bytes) -> Iterator[tuple[str, bytes]]:
        """(written SHA-256, bundle) of those over `statement`; nothing is verified."""
        digest = sha256_digest(statement)
        of = f"the revocation {digest}"
        return read_bundles(self._store, revocation_prefix(digest), self._report, of=of)
