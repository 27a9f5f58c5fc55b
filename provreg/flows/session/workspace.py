"""One registry, and what this user keeps beside it: state, cache and index."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from provreg.core.manifest.head import Head
from provreg.core.statements.revocation import RevocationLink
from provreg.executors.api import no_report
from provreg.store.backends.api import Backend
from provreg.store.private import state
from provreg.store.private.checked import CheckedHeads
from provreg.store.private.folders import cache_folder, locked, private_folder
from provreg.store.private.seen import Seen
from provreg.store.registry.objects import Objects
from provreg.store.registry.statements import LATEST, RECEIPTS, REVOCATIONS, StatementStore
from provreg.store.registry.versions import Versions

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
    is for. `held_index` is set where several questions are asked.
    """

    store: Backend
    objects: Objects
    versions: Versions
    runs: StatementStore
    revocations: StatementStore
    latest: StatementStore
    checked: CheckedHeads
    parts_folder: Path
    cache: Path
    pins: Mapping[str, state.Pin]
    vouching: bool
    notice: Callable[[str], None]
    held_index: Index | None = None

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
        """Which samples of a version had a revoked name before, as far as it was asked."""
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

    def known_here(self, dataset: str) -> dict[str, str]:
        """The uid that this user has seen under the name, by place."""
        places = map(state.load_place, self.places)
        return {one.location: one.datasets[dataset] for one in places if dataset in one.datasets}

    def seen(self, uid: str) -> Seen | None:
        """What this user has seen of the dataset `uid`, here or in any other registry."""
        return state.load(uid)

    def revocations_here(self) -> dict[str, RevocationLink]:
        """The newest revocation that was seen in this registry, by place."""
        places = map(state.load_place, self.places)
        return {one.location: one.revocation for one in places if one.revocation is not None}

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
        """The user's own pin of exactly that head, None where there is none."""
        pin = self.pins.get(head.dataset)
        mine = self.vouching and pin is not None and (pin.uid, pin.head) == (head.uid, digest)
        return pin if mine else None

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
        checked=CheckedHeads(parts),
        parts_folder=parts,
        cache=private_folder(cache / "registries" / name),
        pins=pins,
        vouching=vouching,
        notice=notice,
    )
