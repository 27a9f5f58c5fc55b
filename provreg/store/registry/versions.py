"""Version records, proposals and signatures of datasets (docs/format/registry.md).

Everything here may have been written by anybody: a record only claims that a head is the version
of that number, a bundle only claims to be a signature. `flows.verify.steps` finds out.
"""

from __future__ import annotations

import heapq
import secrets
from collections.abc import Callable, Iterator

from provreg.core.encoding.canonical import canonical, parse_canonical
from provreg.core.encoding.names import check_dataset_name
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import quoted
from provreg.errors import DamagedError, FormatError, NotFoundError, UsageError
from provreg.executors.api import no_report
from provreg.store.backends.api import Backend
from provreg.store.layout import (
    DATASETS,
    check_head_digest,
    proposal_key,
    proposal_of_key,
    proposals_prefix,
)
from provreg.store.registry.statements import VERSIONS, StatementStore

MAX_PROPOSALS = 256
_MAX_RECORD_BYTES = 1024


class Versions(StatementStore):
    """The versions in `store`: a record for each number, bundles over each head, and proposals."""

    def __init__(self, store: Backend, report: Callable[[str], None] = no_report) -> None:
        super().__init__(VERSIONS, store, report)

    def datasets(self) -> list[str]:
        """The names that have at least one number, sorted."""
        return sorted(filter(self._is_dataset, self._names()))

    def proposed(self) -> list[str]:
        """The names that have at least one proposal, sorted; some may have no number yet."""
        return sorted(name for name in self._names() if self.proposals(name))

    def record(self, dataset: str, number: int) -> str:
        """The head digest the registry names for a version.

        Raises NotFoundError where the number is free, FormatError for a malformed
        version record.
        """
        what = f"the version record {quoted(self.where(number, dataset))}"
        try:
            data = self.read(number, dataset)
        except NotFoundError:
            raise NotFoundError(f"{quoted(dataset)} has no version {number}") from None
        except DamagedError as error:
            raise FormatError(error.message, hint=error.hint) from None
        fields = Fields(parse_canonical(data, what=what, limit=_MAX_RECORD_BYTES), what)
        head = fields.digest("head", "sha256")
        fields.text("nonce", pattern="[0-9a-f]{32}")
        fields.done()
        return head

    def claim(self, dataset: str, number: int, head: str) -> bool:
        """Makes `head` the version `number`, durably; False where the number is taken.

        The head, its objects and a signature must be stored before.
        """
        # The nonce tells a retried request from another one for the same head.
        record = {"head": check_head_digest(head), "nonce": secrets.token_hex(16)}
        return self.create(number, canonical(record), dataset)

    def propose(self, dataset: str, number: int, head: str) -> None:
        """Proposes `head` as version `number`, durably: it waits for signatures.

        The head, its objects and a signature must be stored before. The key says all of it: its
        content is never read.
        """
        self._store.create(proposal_key(dataset, number, head), b"{}")

    def proposals(self, dataset: str, *, above: int = 0) -> list[tuple[int, str]]:
        """(number, head digest) of at most 256 proposals of `dataset` with numbers over `above`.

        Ascending; of more the highest. Anybody may add some: none may have a head or a signature.
        """
        prefix = proposals_prefix(dataset)
        try:
            found = filter(None, map(self._proposed_by, self._store.list(prefix)))
            newest = heapq.nlargest(
                MAX_PROPOSALS + 1, (proposal for proposal in found if proposal[0] > above)
            )
        except DamagedError as error:
            self.report(f"{error.message}: {quoted(dataset)} has no proposals")
            return []
        if len(newest) > MAX_PROPOSALS:
            self.report(f"{quoted(dataset)} has more than {MAX_PROPOSALS} proposals: the rest is"
                         " ignored")  # fmt: skip
        return sorted(newest[:MAX_PROPOSALS])

    def is_proposed(self, dataset: str, number: int, head: str) -> bool:
        """Whether `head` is proposed as version `number`, however many proposals there are."""
        try:
            return self._store.exists(proposal_key(dataset, number, head))
        except DamagedError:
            return False

    def withdraw(self, dataset: str, number: int, head: str) -> None:
        """Removes a proposal that became a version."""
        self._store.remove(proposal_key(dataset, number, head))

    def tidy(self, dataset: str) -> list[tuple[int, str]]:
        """Removes the proposals whose number, or a higher one, is taken; returns them.

        None of them can become a version any more, whatever anybody's policy says. Heads and
        signatures stay: a head is shown and revoked by its digest as before.
        """
        newest = max(self.numbers(dataset), default=0)
        keys = self._store.list(proposals_prefix(dataset))
        spent = sorted(
            proposal
            for proposal in filter(None, map(proposal_of_key, keys))
            if proposal[0] <= newest
        )
        for number, head in spent:
            self.withdraw(dataset, number, head)
        return spent

    def _proposed_by(self, key: str) -> tuple[int, str] | None:
        found = proposal_of_key(key)
        if found is None:
            self.report(f"{quoted(self._store.where(key))} is not a proposal: ignored")
        return found

    def _names(self) -> Iterator[str]:
        for key in self._store.list(DATASETS):
            try:
                yield check_dataset_name(key.rpartition("/")[2])
            except UsageError:
                self.report(f"{quoted(self._store.where(key))} is not a dataset: ignored")

    def _is_dataset(self, name: str) -> bool:
        try:
            return bool(self.numbers(name))
        except DamagedError as error:
            self.report(f"{error.message}: {quoted(name)} is ignored")
            return False
