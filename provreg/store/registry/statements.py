"""Signed statements of a registry: one store for versions, revocations, *latest*, acceptances
and receipts.

Each statement has a folder with the bundles over it (docs/format/registry.md). Some kinds also have
a file for each number. Anybody who can write to a registry may have written any of this: nothing is
verified here.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from provreg.core.encoding.digest import parse_digest, sha256_digest
from provreg.core.encoding.names import check_dataset_name
from provreg.core.encoding.text import quoted
from provreg.core.statements.statement import MAX_STATEMENT_BYTES
from provreg.errors import DamagedError, FormatError, InputError, NotFoundError
from provreg.store.backends.api import Backend
from provreg.store.layout import digest_of_key, digest_segment, number_of_key, numbered_key
from provreg.store.registry.objects import create_or_match

MAX_BUNDLE_BYTES = 256 << 10
MAX_BUNDLES = 1000


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of statements: its name in messages, its folders, and how many of it are read.

    `bundles` is the folder of its statements, `numbers` that of its numbered files; `{}` is the
    dataset.
    """

    noun: str
    bundles: str
    numbers: str = ""
    limit: int | None = None

    def prefix(self, digest: str, dataset: str = "") -> str:
        """The folder of the bundles over the statement with this written SHA-256, or of a version
        that of its head. Raises FormatError for another digest, UsageError for a bad name."""
        if parse_digest(digest)[0] != "sha256":
            raise FormatError(f"{quoted(digest)} is not the sha256 of a {self.noun}")
        return f"{_folder(self.bundles, dataset)}/{digest_segment(digest)}"

    def bundle_key(self, digest: str, bundle: str, dataset: str = "") -> str:
        """The key of the bundle with the written SHA-256 `bundle` over that statement."""
        return f"{self.prefix(digest, dataset)}/{digest_segment(bundle)}"


VERSIONS = Kind("version", "datasets/{}/signatures", "datasets/{}/versions")
REVOCATIONS = Kind("revocation", "revocations/signatures", "revocations", limit=100_000)
LATEST = Kind("latest statement", "latest/{}", limit=1000)
ACCEPTANCES = Kind("acceptance", "acceptances/{}", limit=10_000)
RECEIPTS = Kind("receipt", "runs", limit=100_000)


class StatementStore:
    """The statements of one kind in `store`, each known by the digest that `Kind.prefix` takes.

    `report` is told, in a sentence, of everything that is passed over because it is not what its
    name says. Methods raise UsageError for a bad dataset name and StorageError.
    """

    def __init__(self, kind: Kind, store: Backend, report: Callable[[str], None]) -> None:
        self._kind, self._store, self.report = kind, store, report

    def add(self, digest: str, bundle: bytes, dataset: str = "") -> str:
        """Stores a bundle over a statement; returns the bundle's written SHA-256. Twice is once.

        Raises InputError for more than 256 KiB, DamagedError where other bytes took its place.
        """
        if len(bundle) > MAX_BUNDLE_BYTES:
            raise InputError(
                f"the bundle has {len(bundle)} bytes, at most {MAX_BUNDLE_BYTES} are allowed",
                hint="sign again: a bundle is a few kilobytes",
            )
        name = sha256_digest(bundle)
        create_or_match(self._store, self._kind.bundle_key(digest, name, dataset), bundle)
        return name

    def remove(self, digest: str, bundle: str, dataset: str = "") -> None:
        """Removes a bundle, by its written SHA-256."""
        self._store.remove(self._kind.bundle_key(digest, bundle, dataset))

    def bundles(self, digest: str, dataset: str = "") -> Iterator[tuple[str, bytes]]:
        """(written SHA-256, bundle) of at most 1,000 bundles over a statement, by digest.

        Those whose bytes do not match their name are passed over.
        """
        prefix = self._kind.prefix(digest, dataset)
        statement = f"the {self._kind.noun} {digest}"
        try:
            keys = heapq.nsmallest(MAX_BUNDLES + 1, self._store.list(prefix))
        except DamagedError as error:
            # Anybody may have put a file in the place of the folder.
            self.report(f"{error.message}: {statement} has no signatures")
            return
        if len(keys) > MAX_BUNDLES:
            self.report(f"{statement} has more than {MAX_BUNDLES} signatures: the rest is ignored")
        for key in keys[:MAX_BUNDLES]:
            try:
                name = digest_of_key(key)
                bundle = self._store.read(key, MAX_BUNDLE_BYTES)
            except (DamagedError, NotFoundError) as error:
                self.report(f"{error.message}: the signature is ignored")
                continue
            if sha256_digest(bundle) == name:
                yield name, bundle
            else:
                where = quoted(self._store.where(key))
                self.report(f"the content of {where} does not match its name: the signature is"
                            " ignored")  # fmt: skip

    def has_bundles(self, digest: str) -> bool:
        """False for a statement that is being added, or whose writer was killed."""
        return next(self._store.list(self._kind.prefix(digest)), None) is not None

    def digests(self, dataset: str = "") -> list[str]:
        """The statements that have a folder, in order; of more than `Kind.limit` the first."""
        limit = self._kind.limit or 0
        found = heapq.nsmallest(limit + 1, self._digests(dataset))
        if len(found) > limit:
            owner = quoted(dataset) if dataset else "the registry"
            self.report(f"{owner} has more than {limit:,} {self._kind.noun}s: the rest is ignored")
        return found[:limit]

    def _digests(self, dataset: str) -> Iterator[str]:
        for key in self._store.list(_folder(self._kind.bundles, dataset)):
            try:
                digest = digest_of_key(key)
                self._kind.prefix(digest, dataset)
            except FormatError:
                self._report_stranger(key)
            else:
                yield digest

    def numbers(self, dataset: str = "") -> list[int]:
        """The numbers taken, ascending, with gaps; none of them may hold a statement.

        Raises DamagedError for more than `Kind.limit`: leaving some out could hide one.
        """
        found = []
        for key in self._store.list(_folder(self._kind.numbers, dataset)):
            number = number_of_key(key)
            if number is not None:
                found.append(number)
            elif key != self._kind.bundles:
                self._report_stranger(key)
            if self._kind.limit is not None and len(found) > self._kind.limit:
                raise DamagedError(
                    f"the registry has more than {self._kind.limit:,} {self._kind.noun}s",
                    hint="someone with write access may be flooding the folder: remove those that"
                    " nobody named in the policy signed",
                )
        return sorted(found)

    def read(self, number: int, dataset: str = "") -> bytes:
        """The content of a number's file, at most 16 KiB.

        Raises NotFoundError where the number is free, DamagedError for what cannot be a statement.
        """
        return self._store.read(self._number_key(number, dataset), MAX_STATEMENT_BYTES)

    def create(self, number: int, data: bytes, dataset: str = "") -> bool:
        """Makes `data` the content of a number's file, durably; False where the number is taken.

        A bundle over the statement must be stored before.
        """
        key = self._number_key(number, dataset)
        if self._store.create(key, data):
            return True
        # A retried request whose first reply was lost meets its own data.
        try:
            return self._store.read(key, len(data)) == data
        except (DamagedError, NotFoundError):
            return False

    def where(self, number: int, dataset: str = "") -> str:
        """The place of a number's file, for messages."""
        return self._store.where(self._number_key(number, dataset))

    def _number_key(self, number: int, dataset: str) -> str:
        return numbered_key(_folder(self._kind.numbers, dataset), number)

    def _report_stranger(self, key: str) -> None:
        self.report(f"{quoted(self._store.where(key))} is not a {self._kind.noun}: ignored")


def _folder(template: str, dataset: str) -> str:
    return template.format(check_dataset_name(dataset)) if "{}" in template else template
