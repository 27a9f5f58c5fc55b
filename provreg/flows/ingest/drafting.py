"""Drafts of what an ingestion would publish: the data read and hashed once, after any parent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from provreg.core.changes.origin import Speaker
from provreg.core.encoding.canonical import canonical
from provreg.core.manifest.head import Head
from provreg.flows.ingest.draft import Draft, Parent, draft
from provreg.flows.reading.samples import (
    Progress,
    appended,
    read_new,
)
from provreg.flows.reading.settings import options_said, takes_sha256
from provreg.flows.session.workspace import Workspace
from provreg.readers.api import ReadResult

if TYPE_CHECKING:
    from provreg.flows.ingest.request import Ingestion

# The source of what is compared only, where nobody says another.
_NOT_PUBLISHED = "(not published)"


def draft_again(
    workspace: Workspace,
    head: Head,
    entries: pa.Table,
    ingestion: Ingestion,
    *,
    progress: Progress | None = None,
) -> Draft:
    """What `ingestion` after the version of `head` would change; it is never published."""
    spoken_for = replace(ingestion, source=ingestion.source or _NOT_PUBLISHED)
    return Drafts(workspace, spoken_for, progress).after(Parent(head.digest(), head, entries))


class Drafts:
    """Drafts of one ingestion after any parent; the data are read once for each way to read them.

    For lost races: the next parent seldom changes how the data are read.
    """

    def __init__(
        self, workspace: Workspace, ingestion: Ingestion, progress: Progress | None
    ) -> None:
        self._workspace, self._ingestion, self._progress = workspace, ingestion, progress
        self._reads: dict[bytes, ReadResult] = {}

    def after(self, parent: Parent | None) -> Draft:
        """The draft of what follows `parent`. Raises as `read_new`, `fetch_list` and `draft`."""
        ingestion = self._ingestion
        inherited = None if parent is None else parent.head.reading
        key = canonical(options_said(inherited))
        if key not in self._reads:
            self._reads[key] = _read(self._workspace, ingestion, inherited, self._progress)
        read = self._reads[key]
        if ingestion.append and inherited is not None:
            read = replace(read, reading=appended(read.reading, inherited))
        return draft(
            ingestion.dataset,
            read,
            parent,
            Speaker(ingestion.source, ingestion.labeler),
            append=ingestion.append,
            replace=ingestion.replace,
        )


def _read(
    workspace: Workspace,
    ingestion: Ingestion,
    inherited: dict[str, Any] | None,
    progress: Progress | None,
) -> ReadResult:
    if ingestion.fetch is not None:
        from provreg.flows.ingest.fetch import fetch_list

        return fetch_list(
            ingestion.paths,
            ingestion.how,
            ingestion.fetch,
            inherited,
            again=ingestion.rehash,
            progress=progress,
        )
    cache = workspace.stat_cache(ingestion.paths, sha256=takes_sha256(ingestion.how, inherited))
    # An empty cache is no reason to look at every file twice.
    useful = len(cache) > 0 and not ingestion.rehash
    read = read_new(
        ingestion.paths,
        ingestion.how,
        inherited,
        labels=ingestion.labels,
        leave_out=workspace.never_data,
        known=cache if useful else None,
        progress=progress,
    )
    if read.files is not None:
        cache.record(read.files.stats, read.files.digests, read_at_ns=read.files.read_at_ns)
    return read
