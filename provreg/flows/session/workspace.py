"""One registry, opened as a user asks: its stores, this user's private folders, whom to trust."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from provreg.core.encoding.names import Reference
from provreg.core.encoding.text import quoted
from provreg.core.manifest.head import Head
from provreg.core.statements.revocation import RevocationLink
from provreg.errors import NotFoundError, NotTrustedError
from provreg.executors.api import no_report
from provreg.flows.session.trust import Trust, find_root, find_trust, is_own
from provreg.store.backends.api import Backend
from provreg.store.backends.local import LocalBackend
from provreg.store.private import state
from provreg.store.private.checked import CheckedHeads
from provreg.store.private.folders import cache_folder, locked, private_folder
from provreg.store.private.pins import find_lock, read_lock
from provreg.store.private.seen import Seen
from provreg.store.private.state import PlaceMemory, memory_of
from provreg.store.registry.folder import find, find_registry, open_registry
from provreg.store.registry.objects import Objects
from provreg.store.registry.statements import (
    ACCEPTANCES,
    LATEST,
    RECEIPTS,
    REVOCATIONS,
    StatementStore,
)
from provreg.store.registry.versions import Versions
from provreg.trust.sigstore.root import TrustedRoot

if TYPE_CHECKING:
    from provreg.store.index.index import Index
    from provreg.store.index.runs import IndexedRuns
    from provreg.store.private.former_names import FormerNames
    from provreg.store.private.mapped_parts import MappedParts
    from provreg.store.private.row_memos import RowHashCache
    from provreg.store.private.stat_cache import StatCache


@dataclass(frozen=True, slots=True)
class Workspace:
    """A registry's stores, and this user's private folders for it.

    `cache` can be deleted at any time; what was seen is kept apart from it. `pins` are those of the
    lock file in force; `vouching` says that it is this user's own. `notice` hears whom a long wait
    is for. `held_index` is set where several questions are asked. `also` are further registries, in
    which the versions of receipts are looked up.
    """

    store: Backend
    objects: Objects
    versions: Versions
    runs: StatementStore
    revocations: StatementStore
    latest: StatementStore
    acceptances: StatementStore
    checked: CheckedHeads
    parts_folder: Path
    cache: Path
    pins: Mapping[str, state.Pin]
    vouching: bool
    notice: Callable[[str], None]
    held_index: Index | None = None
    also: tuple[Workspace, ...] = ()

    def __repr__(self) -> str:
        return f"Workspace({quoted(self.location)})"

    @property
    def location(self) -> str:
        return self.store.location

    @property
    def parts(self) -> MappedParts:
        """The parts that were checked; Arrow is loaded only where entries are asked for."""
        from provreg.store.private.mapped_parts import MappedParts

        return MappedParts(self.parts_folder)

    @property
    def former_names(self) -> FormerNames:
        """The samples of versions that formerly had a revoked name, as computed before."""
        from provreg.store.private.former_names import FormerNames

        return FormerNames(self.parts_folder)

    @property
    def rows(self) -> RowHashCache:
        """What the rows of files hash to that were read before, for loaders alone."""
        from provreg.store.private.row_memos import RowHashCache

        return RowHashCache(private_folder(self.cache.parents[1] / "rows"))

    @property
    def index(self) -> Index:
        """The DuckDB index of this registry; duckdb is loaded only where it is asked for."""
        from provreg.store.index.index import Index

        return self.held_index or Index(self.cache / "index.duckdb")

    @contextmanager
    def holding_index(self) -> Iterator[Workspace]:
        """This workspace with its index opened once, for one thread; not for sending elsewhere."""
        with self.index.held() as index:
            yield replace(self, held_index=index)

    @property
    def indexed_runs(self) -> IndexedRuns:
        """The receipts in the index."""
        from provreg.store.index.runs import IndexedRuns

        return IndexedRuns(self.index)

    @property
    def never_data(self) -> tuple[Path, ...]:
        """The registry's own folder, where it is in one: it may lie in the data."""
        return () if self.store.folder is None else (self.store.folder,)

    def stat_cache(self, paths: Sequence[Path], *, sha256: bool = False) -> StatCache:
        """Digests of files at `paths` read before, for ingestion alone; with `sha256` both."""
        from provreg.store.backends.local_devices import local_devices
        from provreg.store.private.stat_cache import StatCache

        path = self.cache.parent / ("stats.sha256" if sha256 else "stats")
        return StatCache.open(path, devices=local_devices(paths), width=64 if sha256 else 32)

    @contextmanager
    def index_lock(self) -> Iterator[None]:
        """Keeps other processes of this user from syncing the index."""

        def waiting(holder: str) -> None:
            self.notice(f"waiting for {holder}")

        with locked(self.cache / "index.lock", "sync", waiting=waiting):
            yield

    def numbers(self) -> list[tuple[str, int]]:
        """Every (dataset, number) taken in the registry, a version or not."""
        return [
            (dataset, number)
            for dataset in self.versions.datasets()
            for number in self.versions.numbers(dataset)
        ]

    @property
    def places(self) -> tuple[str, ...]:
        """The addresses of this registry: what was seen at either was seen here."""
        return self.store.places

    def uids_here(self, dataset: str) -> dict[str, str]:
        """The uid that this user has seen under the name, by place."""
        places = map(state.load_place, self.places)
        return {
            place.location: place.datasets[dataset] for place in places if dataset in place.datasets
        }

    def seen(self, uid: str) -> Seen | None:
        """What this user has seen of the dataset `uid`, here or in any other registry."""
        return state.load(uid)

    def revocations_here(self) -> dict[str, RevocationLink]:
        """The newest revocation that was seen in this registry, by place."""
        places = map(state.load_place, self.places)
        return {
            place.location: place.revocation for place in places if place.revocation is not None
        }

    def witnessed(self, head: Head, digest: str, trust: str) -> Mapping[str, datetime]:
        """When this user first saw each signature over the head `digest` under such a trust.

        What verified under one trust vouches for nothing under another.
        """
        seen = self.seen(head.uid)
        version = None if seen is None else seen.versions.get(head.version)
        if version is None or version.head != digest:
            return {}
        return version.trusts.get(trust, {})

    def pinned(self, head: Head, digest: str) -> state.Pin | None:
        """The user's own pin of exactly that head, or None."""
        pin = self.pins.get(head.dataset)
        mine = self.vouching and pin is not None and (pin.uid, pin.head) == (head.uid, digest)
        return pin if mine else None

    def chosen(self, reference: Reference) -> Reference:
        """`reference`, or the version that an exact pin sets for the name of a dataset alone.

        Raises NotTrustedError (step 9) for an exact pin in a lock file that somebody else may have
        planted: it could choose an old version.
        """
        pin = self.pins.get(reference.dataset)
        named = reference.latest or reference.version is not None or reference.head is not None
        if named or pin is None or not pin.exact:
            return reference
        if not self.vouching:
            raise NotTrustedError(
                f"{reference.dataset} is pinned to exactly version {pin.version} by a lock file"
                " that others may have written",
                step=9,
                hint=f"ask for {reference.dataset}@{pin.version} or {reference.dataset}@latest, or"
                " make the lock file and its folder yours (chmod go-w)",
            )
        return Reference(reference.dataset, version=pin.version)

    def remember(self, sighting: state.Sighting) -> None:
        """Remembers a version that was verified or published here."""
        state.remember(self.places, sighting)


def open_workspace(
    store: Backend,
    pins: Mapping[str, state.Pin],
    *,
    vouching: bool = True,
    report: Callable[[str], None],
    notice: Callable[[str], None] = no_report,
) -> Workspace:
    """The workspace of the registry in `store`; `report` is told of what is passed over in it.

    `vouching` says that `pins` are the user's own and can be relied on, not only heeded.
    """
    name = hashlib.sha256(store.location.encode()).hexdigest()[:32]
    cache = cache_folder()
    parts = private_folder(cache / "parts")
    return Workspace(
        store=store,
        objects=Objects(store),
        versions=Versions(store, report),
        runs=StatementStore(RECEIPTS, store, report),
        revocations=StatementStore(REVOCATIONS, store, report),
        latest=StatementStore(LATEST, store, report),
        acceptances=StatementStore(ACCEPTANCES, store, report),
        checked=CheckedHeads(parts),
        parts_folder=parts,
        cache=private_folder(cache / "registries" / name),
        pins=pins,
        vouching=vouching,
        notice=notice,
    )


@dataclass(frozen=True, slots=True)
class Where:
    """The registry's folder, None for PROVREG_REGISTRY or the nearest upward; the file of pins,
    None for the nearest upward; data folders; further registries."""

    folder: Path | None
    lock: Path | None
    outside: tuple[Path, ...]
    also: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Whom:
    """Whom to trust, as `flows.session.trust.find_trust` and `find_root` take it."""

    policy: Path | None
    key: Path | bytes | None
    identity: str | None
    issuer: str | None
    trusted_root: Path | None
    staging: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A registry, the trust in force (None where nothing says whom), and the root it is under."""

    workspace: Workspace
    trust: Trust | None
    root: TrustedRoot


def open_as_asked(
    where: Where,
    whom: Whom,
    *,
    report: Callable[[str], None],
    notice: Callable[[str], None] = no_report,
) -> Opened:
    """Raises NotFoundError without a registry, and as `find_trust`, `find_root` and `read_lock`."""
    found = where.folder or find_registry(os.environ)
    if found is None:
        raise NotFoundError(
            "there is no registry here or in any folder above",
            hint="make one with `provreg init`, or name one with --registry FOLDER",
        )
    lock_file = where.lock or find_lock(Path.cwd())
    pins = {} if lock_file is None else read_lock(lock_file)
    outside = (found, *where.also, *where.outside)
    # A planted file of pins may only refuse: it makes no version one that was relied on.
    own = where.lock is not None or lock_file is None or is_own(lock_file, outside)
    workspace, *others = (
        open_workspace(open_registry(place), pins, vouching=own, report=report, notice=notice)
        for place in (found, *where.also)
    )
    workspace = replace(workspace, also=tuple(others))
    root = find_root(whom.trusted_root, os.environ, staging=whom.staging)
    trust = find_trust(
        whom.policy,
        whom.key,
        os.environ,
        Path.cwd(),
        outside,
        identity=whom.identity,
        issuer=whom.issuer,
        root=root,
    )
    return Opened(workspace, trust, root)


def memory_at(folder: Path | None, dataset: str | None) -> PlaceMemory:
    """What was seen in the registry in `folder`, by default the nearest upward; it may be gone.

    Raises NotFoundError where there is none.
    """
    place = folder or find(Path.cwd())
    if place is None:
        raise NotFoundError(
            "there is no registry here or in any folder above",
            hint="name the one to forget with --registry FOLDER",
        )
    return memory_of(LocalBackend(place).places, dataset)
