"""The versions of a dataset, each with who stands behind what it brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provreg.core.changes.changes import BIT
from provreg.core.manifest.head import TOP_NAMES
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify.lineage import Ancestor

# Whom a change of this kind is of: who provided the bytes, or who set the label.
_RESPONSIBLE = {"injected": "source", "modified": "source", "relabeled": "labeler"}


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A version, and its changes of each kind by their source (of bytes) or labeler (of labels).

    `origins` has the names with most changes, the largest first; None is no labeler. Kinds that did
    not occur are absent.
    """

    version: Ancestor
    origins: Mapping[str, Mapping[str | None, int]]


def log_entries(indexed: Workspace, versions: Sequence[Ancestor]) -> list[LogEntry]:
    """`versions` with the origins of their changes. The index must be current."""
    origins: dict[str, dict[str, dict[str | None, int]]] = {}
    columns = {BIT[kind]: column for kind, column in _RESPONSIBLE.items()}
    kinds = {BIT[kind]: kind for kind in _RESPONSIBLE}
    digests = [version.digest for version in versions]
    for head, bit, name, count in indexed.index.origins_of_changes(
        digests, columns, most=TOP_NAMES
    ):
        origins.setdefault(head, {}).setdefault(kinds[bit], {})[name] = count
    for version in versions:
        # The index has no changes of a first version: all of it is injected.
        if version.head.parent is None and version.head.samples:
            origins[version.digest] = {"injected": dict(version.head.sources.top)}
    return [LogEntry(version, origins.get(version.digest, {})) for version in versions]
