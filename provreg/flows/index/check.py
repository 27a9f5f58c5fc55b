"""Checking a registry and its index from the ground up, believing no cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from provreg.core.encoding.digest import sha256_digest
from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.head import Head, PartRef
from provreg.core.manifest.manifest import check_part
from provreg.core.rows.row_hash import without_dictionary
from provreg.core.statements.acceptance import Acceptance, parse_acceptance
from provreg.core.statements.latest import Latest, parse_latest
from provreg.core.statements.revocation import ListedSamples, Revocation, parse_revocation
from provreg.errors import FormatError, ProvregError
from provreg.executors.api import Progress
from provreg.flows.receipts.runs import members, read_receipt
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.changes import changes_of
from provreg.flows.verify.manifest import (
    load_entries,
    read_head,
    read_part_file,
    read_version_record,
)
from provreg.flows.verify.revocations import read_list
from provreg.flows.verify.signatures import is_recorded
from provreg.store.index.rows import change_rows
from provreg.store.registry.parts import read_part
from provreg.store.registry.statements import StatementStore
from provreg.trust.bundle import parse_bundle

if TYPE_CHECKING:
    from provreg.store.index.index import IndexedVersion

_MAX_TABLE = 1 << 30

_FACTS = ("dataset", "uid", "version", "parent", "root", "samples", "created", "message")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be, and where: a version, an object or the index."""

    where: str
    what: str


def check_objects(workspace: Workspace, *, progress: Progress | None = None) -> Iterator[Problem]:
    """Reads every object that a version names, recomputes every part, and follows revocations.

    `progress(done, total)` counts versions.
    """
    numbers = workspace.numbers()
    sound: set[str] = set()
    for place, (dataset, number) in enumerate(numbers, start=1):
        name = f"{dataset}@{number}"
        try:
            digest = read_version_record(workspace, dataset, number)
            head = read_head(workspace, digest)
        except ProvregError as error:
            yield Problem(name, error.message)
            continue
        if (head.dataset, head.version) != (dataset, number):
            yield Problem(name, f"its head is that of {head.dataset}@{head.version}")
        yield from _check_version(workspace, name, head, sound)
        bundles = workspace.versions.bundles(digest, dataset)
        yield from _check_bundles(name, bundles)
        if progress is not None:
            progress(place, len(numbers))
    for dataset in workspace.versions.proposed():
        yield from _check_proposals(workspace, dataset, sound)
    yield from _check_runs(workspace)
    for found in check_revocations(workspace):
        yield Problem(*found)
    for dataset in workspace.versions.datasets():
        for found in check_statements(workspace, dataset):
            yield Problem(*found)


def check_index(workspace: Workspace, *, progress: Progress | None = None) -> Iterator[Problem]:
    """Compares the index and the mapped parts with the objects they were made from."""
    versions = workspace.index.versions()
    for place, indexed in enumerate(versions, start=1):
        name = f"index: {indexed.dataset}@{indexed.version}"
        try:
            head = read_head(workspace, indexed.head)
            parts = [(part.blocks, part.rows) for part in head.parts]
            if any(getattr(indexed, fact) != getattr(head, fact) for fact in _FACTS):
                yield Problem(name, "its row is not what its head says")
            if workspace.index.parts(indexed.head) != parts:
                yield Problem(name, "its parts are not those of its head")
            yield from _check_changes(workspace, name, indexed, head)
            yield from _check_mapped(workspace, name, head)
        except ProvregError as error:
            yield Problem(name, error.message)
        if progress is not None:
            progress(place, len(versions))


def _check_version(
    workspace: Workspace, name: str, head: Head, sound: set[str]
) -> Iterator[Problem]:
    for part in head.parts:
        if part.blocks + part.file in sound:
            continue
        try:
            check_part(_decoded(workspace, part), part.blocks)
            workspace.objects.get(part.blocks, limit=_MAX_TABLE)
            sound.add(part.blocks + part.file)
        except ProvregError as error:
            yield Problem(name, error.message)
    try:
        for counts in (head.sources, head.labelers):
            workspace.objects.get(counts.table, limit=_MAX_TABLE)
        load_entries(workspace, head)
    except ProvregError as error:
        yield Problem(name, error.message)


def _check_proposals(workspace: Workspace, dataset: str, sound: set[str]) -> Iterator[Problem]:
    """Every proposal that is no version yet: what is published later has to be whole today."""
    for number, digest in workspace.versions.proposals(dataset):
        name = f"proposal {dataset}@{digest}"
        try:
            head = read_head(workspace, digest)
        except ProvregError as error:
            yield Problem(name, error.message)
            continue
        if is_recorded(workspace, head, digest):
            continue
        if (head.dataset, head.version) != (dataset, number):
            yield Problem(name, f"its head is that of {head.dataset}@{head.version}")
        yield from _check_version(workspace, name, head, sound)
        yield from _check_bundles(name, workspace.versions.bundles(digest, dataset))


def _check_bundles(name: str, bundles: Iterable[tuple[str, bytes]]) -> Iterator[Problem]:
    none = True
    for bundle, data in bundles:
        none = False
        try:
            parse_bundle(data)
        except ProvregError as error:
            yield Problem(f"{name}, bundle {bundle}", error.message)
    if none:
        yield Problem(name, "it has no signature")


def _check_runs(workspace: Workspace) -> Iterator[Problem]:
    for digest in workspace.runs.digests():
        try:
            for on in read_receipt(workspace, digest).datasets:
                members(workspace, on)
        except ProvregError as error:
            if not workspace.runs.has_bundles(digest):
                continue
            yield Problem(f"receipt {digest}", error.message)


def _check_changes(
    workspace: Workspace, name: str, indexed: IndexedVersion, head: Head
) -> Iterator[Problem]:
    changes, counts = changes_of(workspace, head)
    if counts != head.changes:
        yield Problem(name, "its head does not count its changes as they are")
    if indexed.counts_true != (counts == head.changes):
        yield Problem(name, "its row does not say whether its head counts its changes as they are")
    expected = change_rows(changes).drop_columns(["place"]).to_pylist()
    if workspace.index.changes([indexed.head]).drop_columns(["version"]).to_pylist() != expected:
        yield Problem(name, "its changes are not those between its objects")


def _check_mapped(workspace: Workspace, name: str, head: Head) -> Iterator[Problem]:
    for part in head.parts:
        mapped = workspace.parts.get(part)
        if mapped is not None and not _same(mapped, _decoded(workspace, part)):
            yield Problem(name, f"the mapped part {part.blocks} is not that of {part.file}")


def _same(a: pa.Table, b: pa.Table) -> bool:
    """Whether two parts say the same, however their dictionaries are numbered."""
    return all(
        without_dictionary(a.column(name)).equals(without_dictionary(b.column(name)))
        for name in ENTRY.names
    )


def _decoded(workspace: Workspace, part: PartRef) -> pa.Table:
    return read_part(read_part_file(workspace, part), rows=part.rows)


# Where, and what is not as it should be.
Found = tuple[str, str]


def check_revocations(workspace: Workspace) -> Iterator[Found]:
    """Every number that is no revocation, or that continues one which is not there."""
    read: dict[int, Revocation] = {}
    for number in workspace.revocations.numbers():
        name = f"revocation {number}"
        try:
            statement = workspace.revocations.read(number)
            revocation = parse_revocation(statement)
            if revocation.number != number:
                raise FormatError(f"it is a copy of revocation {revocation.number}")
        except ProvregError as error:
            yield name, error.message
            continue
        read[number] = revocation
        lists = revocation.samples.lists if isinstance(revocation.samples, ListedSamples) else {}
        for keys in lists.values():
            try:
                read_list(workspace, keys)
            except ProvregError as error:
                yield name, error.message
        bundles = list(workspace.revocations.bundles(sha256_digest(statement)))
        if not bundles:
            yield name, "it has no signature"
        for digest, data in bundles:
            try:
                if parse_bundle(data).payload != statement:
                    raise FormatError("it signs another statement")
            except ProvregError as error:
                yield f"{name}, bundle {digest}", error.message
    yield from _missing(read)


def check_statements(workspace: Workspace, dataset: str) -> Iterator[Found]:
    """Every malformed *latest* statement and acceptance of `dataset`."""
    kinds: tuple[tuple[str, StatementStore, Callable[[bytes], Latest | Acceptance]], ...]
    kinds = (
        ("latest statement", workspace.latest, parse_latest),
        ("acceptance", workspace.acceptances, parse_acceptance),
    )
    for name, store, parse in kinds:
        for statement in store.digests(dataset):
            for digest, data in store.bundles(statement, dataset):
                try:
                    payload = parse_bundle(data).payload
                    if sha256_digest(payload) != statement:
                        raise FormatError("it signs another statement than that of its folder")
                    about = parse(payload)
                    if about.dataset != dataset:
                        raise FormatError(f"it is of {about.dataset}")
                except ProvregError as error:
                    yield f"{name} of {dataset}, bundle {digest}", error.message


def _missing(read: Mapping[int, Revocation]) -> Iterator[Found]:
    for number, revocation in read.items():
        link = revocation.previous
        if link is None:
            continue
        before = read.get(link.number)
        if before is None or before.digest() != link.digest:
            yield f"revocation {number}", f"revocation {link.number}, which it continues, is gone"
