"""Which samples a revocation is about, from what people say: names, signers, versions, times, ids.

Names alone go into the statement, and mean what comes later, too. Everything else is looked up in
the line of versions now, and listed sample by sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from provreg.core.changes.changes import BIT
from provreg.core.encoding.digest import blake3_digest
from provreg.core.encoding.names import check_utf8
from provreg.core.encoding.times import format_time
from provreg.core.manifest.annotations import annotated_by
from provreg.core.manifest.columns import Mask, equal_to
from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.head import Head
from provreg.core.manifest.leaf import sample_keys
from provreg.core.rows.row_hash import without_dictionary
from provreg.core.statements.revocation import (
    MAX_LISTED,
    KeyList,
    ListedSamples,
    NamedSamples,
    Origin,
    RevokedSamples,
)
from provreg.errors import NotFoundError, UsageError
from provreg.flows.history.ids import missing_id
from provreg.flows.session.trust import Trust
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.lineage import Ancestor, lineage
from provreg.flows.verify.manifest import load_entries

# Of the keys and identities of one principal, as many as a criterion takes.
_MOST_BYTES = 500


@dataclass(frozen=True, slots=True)
class Scope:
    """Which samples to revoke; what is given narrows each other.

    `principal` is the name of one of the policy, the fingerprint of a key, or an identity.
    `ids` are those of the version that is named. `since` and `until` are times that a proof gives
    for a version; one without proof is inside. With `labels_only` the bytes of the samples stay
    usable under another label. `why` are more words about where the ids are from.
    """

    source: str | None = None
    labeler: str | None = None
    principal: str | None = None
    ids: tuple[str, ...] | None = None
    since_version: int = 1
    until_version: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    labels_only: bool = False
    why: Mapping[str, str] | None = None

    @property
    def is_named(self) -> bool:
        """Whether names alone say what is meant, so that later samples are meant, too."""
        others = (self.principal, self.ids, self.until_version, self.since, self.until)
        has_name = self.source is not None or self.labeler is not None
        return has_name and all(one is None for one in others) and not self.labels_only

    def check(self) -> None:
        """Raises UsageError for what means nothing."""
        for what, text in (
            ("the source", self.source),
            ("the labeler", self.labeler),
            ("the principal", self.principal),
            ("the id", None if self.ids is None else "".join(self.ids)),
        ):
            check_utf8(what, text)
        if self.until_version is not None and self.until_version < self.since_version:
            raise UsageError(
                f"versions {self.since_version} to {self.until_version} are none",
                hint="--since-version is the first, --until-version the last",
            )
        if self.ids is not None and not self.ids:
            raise UsageError("there are no ids to revoke", hint="name at least one")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The samples of a scope, and their lists by digest, which are not stored yet."""

    samples: RevokedSamples
    lists: Mapping[str, bytes] = field(default_factory=dict)


def choose(
    workspace: Workspace, digest: str, head: Head, scope: Scope, trust: Trust | None
) -> Chosen:
    """The samples that `scope` means, in the line of versions that ends in the head `digest`.

    Needs the index. Raises UsageError for a scope that means nothing, NotFoundError where no sample
    is meant or an id is not there.
    """
    scope.check()
    if scope.is_named:
        return Chosen(NamedSamples(scope.source, scope.labeler, scope.since_version))
    line = [one for one in lineage(workspace, digest, trust) if _is_inside(one, scope)]
    rows = list(_rows(workspace, head, line, scope))
    data: dict[str, bytes] = {}
    lists: dict[Origin, KeyList | None] = {}
    for by in ("source", "labeler"):
        tables = [table for answers, table in rows if answers == by and table.num_rows]
        keys = [sample_keys(table, by) for table in tables]
        lists[by] = None
        if keys:
            unique = pc.unique(pa.concat_arrays(keys))
            made = b"".join(unique.take(pc.array_sort_indices(unique)).to_pylist())
            lists[by] = KeyList(blake3_digest(made), len(unique))
            data[blake3_digest(made)] = made
            if len(unique) > MAX_LISTED:
                raise UsageError(
                    f"{len(unique):,} samples are too many for a list of {MAX_LISTED:,}",
                    hint="revoke them by source, by labeler or version by version",
                )
    if not data:
        raise NotFoundError(
            f"{head.dataset} has no sample that is meant: {_in_words(scope)}",
            hint="`provreg blame` and `provreg log` say who brought what, and when",
        )
    return Chosen(
        ListedSamples(lists["source"], lists["labeler"], _criteria(scope, head, line)), data
    )


def _rows(
    workspace: Workspace, head: Head, line: Sequence[Ancestor], scope: Scope
) -> Iterator[tuple[Origin, pa.Table]]:
    """(who answers, entries) of the samples that are meant: a source answers for bytes, a labeler
    for a label."""
    for_labels = scope.labels_only or scope.labeler is not None
    wanted = None if scope.ids is None else pa.array(sorted(set(scope.ids)), pa.string())
    if wanted is not None:
        entries = load_entries(workspace, head)
        named = entries.filter(pc.is_in(entries.column("id"), value_set=wanted))
        if named.num_rows < len(wanted):
            there = pa.chunked_array(named.column("id"))
            gone = wanted.filter(pc.invert(pc.is_in(wanted, value_set=there.combine_chunks())))
            raise missing_id(workspace, head, gone[0].as_py())
        if scope.principal is None and not _has_window(scope):
            mask = _of_origin(named, scope)
            yield "labeler" if for_labels else "source", named.filter(pa.array(mask))
            return
    for kinds, old_origin, table in _changed(workspace, line):
        inside = _of_origin(table, scope)
        if wanted is not None:
            is_named = pc.is_in(table.column("id"), value_set=wanted)
            inside &= np.asarray(is_named.to_numpy(), np.bool_)
        brought = (kinds & (BIT["injected"] | BIT["modified"])) > 0
        labeled = (kinds & (BIT["injected"] | BIT["relabeled"])) > 0
        if for_labels:
            yield "labeler", table.filter(pa.array(inside & (labeled | old_origin["labeler"])))
            continue
        yield "source", table.filter(pa.array(inside & (brought | old_origin["source"])))
        if scope.source is None:  # a signer or a time answers for the labels that came, too
            only_labels = inside & labeled & ~brought
            yield "labeler", table.filter(pa.array(only_labels))


def _has_window(scope: Scope) -> bool:
    bounds = (scope.until_version, scope.since, scope.until)
    return scope.since_version > 1 or any(bound is not None for bound in bounds)


def _changed(
    workspace: Workspace, line: Sequence[Ancestor]
) -> Iterator[tuple[npt.NDArray[np.int64], dict[Origin, Mask], pa.Table]]:
    """What these versions changed: the kinds of each change, whether its source or labeler is a
    new one, and the new entries.

    Raises NotFoundError where one of them is not in the index: its samples would be missed.
    """
    indexed = {known.head for known in workspace.index.versions()}
    for version in line:
        if version.digest not in indexed:
            raise NotFoundError(
                f"{version.head.dataset}@{version.head.version} is not in the index",
                hint="`provreg check` says what is missing",
            )
    for first in (one for one in line if one.head.parent is None):
        entries = load_entries(workspace, first.head)
        count = entries.num_rows
        none = np.zeros(count, np.bool_)
        kinds = np.full(count, BIT["injected"], np.int64)
        yield kinds, {"source": none, "labeler": none}, entries
    changes = workspace.index.changes([one.digest for one in line if one.head.parent is not None])
    changes = changes.filter(pc.is_valid(changes.column("new_id")))
    kinds = changes.column("kinds").to_numpy().astype(np.int64)
    moved = (kinds & BIT["reattributed"]) > 0
    differs: dict[Origin, Mask] = {}
    for by in ("source", "labeler"):
        old, new = changes.column(f"old_{by}"), changes.column(f"new_{by}")
        equal = pc.fill_null(pc.equal(without_dictionary(old), without_dictionary(new)), False)
        differs[by] = moved & ~np.asarray(equal.to_numpy(), np.bool_)
    columns = [changes.column(f"new_{field.name}") for field in ENTRY]
    yield kinds, differs, pa.table(columns, names=ENTRY.names)


def _is_inside(version: Ancestor, scope: Scope) -> bool:
    number = version.head.version
    if number < scope.since_version or number > (scope.until_version or number):
        return False
    if version.proof != "claimed":  # a time that nobody proves excludes nothing
        if scope.since is not None and version.signed_at < scope.since:
            return False
        if scope.until is not None and version.signed_at > scope.until:
            return False
    return scope.principal is None or bool(_signers(version, scope))


def _signers(version: Ancestor, scope: Scope) -> set[str]:
    """The keys and identities of the principal of `scope` that signed `version`."""
    return {
        made.signer
        for made in version.signatures
        if made.is_verified
        and made.signer is not None
        and scope.principal in (made.signer, made.principal)
    }


def _of_origin(entries: pa.Table, scope: Scope) -> Mask:
    """Which entries have the source and labeler of `scope`."""
    mask = np.ones(entries.num_rows, np.bool_)
    if scope.source is not None:
        mask &= equal_to(entries.column("source"), scope.source)
    if scope.labeler is not None:
        annotated = annotated_by(entries.column("annotations"), pa.array([scope.labeler]))
        mask &= equal_to(entries.column("labeler"), scope.labeler) | annotated
    return mask


def _criteria(scope: Scope, head: Head, line: Sequence[Ancestor]) -> dict[str, str]:
    """What was asked for, for those who read the statement.

    A principal's name is the policy's own, so the keys and identities are named.
    """
    signers = {signer for version in line for signer in _signers(version, scope)}
    criteria = _given(scope)
    if scope.principal is not None:
        named = ", ".join(sorted(signers)).encode()[:_MOST_BYTES]
        criteria["principal"] = named.decode(errors="ignore")
    if scope.ids is not None:
        criteria["ids"] = f"{len(scope.ids):,} of version {head.version}"
    return criteria | dict(scope.why or {})


def _given(scope: Scope) -> dict[str, str]:
    since = scope.since_version if scope.since_version > 1 else None
    times = {"since": scope.since, "until": scope.until}
    given = {
        "source": scope.source,
        "labeler": scope.labeler,
        "principal": scope.principal,
        "since version": since,
        "until version": scope.until_version,
        **{name: None if at is None else format_time(at) for name, at in times.items()},
        "labels": "only" if scope.labels_only else None,
    }
    return {name: str(value) for name, value in given.items() if value is not None}


def _in_words(scope: Scope) -> str:
    return ", ".join(f"{name} {value}" for name, value in _given(scope).items()) or "these ids"
