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
from provreg.store.backends.api import Backend
from provreg.store.layout import (
    DATASETS,
    check_head_digest,
    proposal_key,
    proposals_prefix,
    proposed_by,
    record_key,
    record_number,
    records_prefix,
    signature_key,
    signatures_prefix,
)
from provreg.store.registry.bundles import add_bundle, read_bundles

MAX_PROPOSALS = 256
_MAX_RECORD_BYTES = 1024


def _ignore(_message: str) -> None:
    """A report nobody listens to."""


class Versions:
    """The version records and signatures in `store`.

    `report` is told, in a sentence, of everything that is passed over because it is not what its
    name says. Methods raise UsageError for a bad dataset name and StorageError.
    """

    def __init__(self, store: Backend, report: Callable[[str], None] = _ignore) -> None:
        self._store = store
        self._report = report

    def datasets(self) -> list[str]:
        """The names that have at least one number, sorted."""
        return sorted(filter(self._is_dataset, self._names()))

    def proposed(self) -> list[str]:
        """The names that have at least one proposal, sorted; some may have no number yet."""
        return sorted(name for name in self._names() if self.proposals(name))

    def numbers(self, dataset: str) -> list[int]:
        """The numbers taken in `dataset`, ascending; gaps are allowed, none may be a version."""
        found = []
        for key in self._store.list(records_prefix(dataset)):
            number = record_number(key)
            if number is None:
                self._report(f"{quoted(self._store.where(key))} is not a version record: ignored")
            else:
                found.append(number)
        return sorted(found)

    def record(self, dataset: str, number: int) -> str:
        """The head digest the registry names for a version.

        Raises NotFoundError where the number is free, FormatError where what stands there is not a
        version record.
        """
        key = record_key(dataset, number)
        what = f"the version record {quoted(self._store.where(key))}"
        try:
            data = self._store.read(key, _MAX_RECORD_BYTES)
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
        key = record_key(dataset, number)
        record = canonical({"head": check_head_digest(head), "nonce": secrets.token_hex(16)})
        if self._store.create(key, record):
            return True
        # A retried request whose first reply was lost meets its own record: the nonce tells.
        try:
            return self._store.read(key, _MAX_RECORD_BYTES) == record
        except (DamagedError, NotFoundError):
            return False

    def propose(self, dataset: str, number: int, head: str) -> None:
        """Says that `head` is proposed as version `number`: it waits for signatures, durably.

        The head, its objects and a signature must be stored before. The key says all of it: what
        bytes stand there is never looked at.
        """
        self._store.create(proposal_key(dataset, number, head), b"{}")

    def proposals(self, dataset: str, *, above: int = 0) -> list[tuple[int, str]]:
        """(number, head digest) of at most 256 proposals of `dataset` with numbers over `above`.

        Ascending; of more the highest. Anybody may add some: none may have a head or a signature.
        """
        prefix = proposals_prefix(dataset)
        try:
            found = filter(None, map(self._proposed_by, self._store.list(prefix)))
            newest = heapq.nlargest(MAX_PROPOSALS + 1, (one for one in found if one[0] > above))
        except DamagedError as error:
            self._report(f"{error.message}: {quoted(dataset)} has no proposals")
            return []
        if len(newest) > MAX_PROPOSALS:
            self._report(f"{quoted(dataset)} has more than {MAX_PROPOSALS} proposals: the rest is"
                         " ignored")  # fmt: skip
        return sorted(newest[:MAX_PROPOSALS])

    def is_proposed(self, dataset: str, number: int, head: str) -> bool:
        """Whether `head` is proposed as version `number`, however many proposals there are."""
        try:
            return self._store.exists(proposal_key(dataset, number, head))
        except DamagedError:
            return False

    def withdraw(self, dataset: str, number: int, head: str) -> None:
        """Tidies away a proposal that became a version."""
        self._store.remove(proposal_key(dataset, number, head))

    def tidy(self, dataset: str) -> list[tuple[int, str]]:
        """Takes away the proposals whose number, or a higher one, is taken; returns them.

        None of them can become a version any more, whatever anybody's policy says. Heads and
        signatures stay: a head is shown and revoked by its digest as before.
        """
        newest = max(self.numbers(dataset), default=0)
        keys = self._store.list(proposals_prefix(dataset))
        spent = sorted(one for one in filter(None, map(proposed_by, keys)) if one[0] <= newest)
        for number, head in spent:
            self.withdraw(dataset, number, head)
        return spent

    def _proposed_by(self, key: str) -> tuple[int, str] | None:
        found = proposed_by(key)
        if found is None:
            self._report(f"{quoted(self._store.where(key))} is not a proposal: ignored")
        return found

    def add_signature(self, dataset: str, head: str, bundle: bytes) -> str:
        """Stores a bundle over `head`; returns its written SHA-256. Twice is once.

        Raises InputError for more than 256 KiB, DamagedError where other bytes took its place.
        """
        return add_bundle(self._store, lambda digest: signature_key(dataset, head, digest), bundle)

    def remove_signature(self, dataset: str, head: str, bundle: str) -> None:
        """Tidies away the signature of a head that lost the race for its number."""
        self._store.remove(signature_key(dataset, head, bundle))

    def signatures(self, dataset: str, head: str) -> Iterator[tuple[str, bytes]]:
        """(written SHA-256, bundle) of at most 1,000 bundles over `head`, by digest.

        Bundles whose bytes are not those of their name are passed over. Nothing is verified.
        """
        prefix, of = signatures_prefix(dataset, head), f"{quoted(dataset)} under {head}"
        return read_bundles(self._store, prefix, self._report, of=of)

    def _names(self) -> Iterator[str]:
        for key in self._store.list(DATASETS):
            try:
                yield check_dataset_name(key.rpartition("/")[2])
            except UsageError:
                self._report(f"{quoted(self._store.where(key))} is not a dataset: ignored")

    def _is_dataset(self, name: str) -> bool:
        try:
            return bool(self.numbers(name))
        except DamagedError as error:
            self._report(f"{error.message}: {quoted(name)} is ignored")
            return False
