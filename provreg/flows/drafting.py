"""Drafts of what an ingestion would publish: the data read and hashed once, after any parent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from provreg.core.canonical import canonical
from provreg.core.head import Head
from provreg.core.origin import Speaker
from provreg.flows.draft import Draft, Parent, draft
from provreg.flows.reading import (
    Progress,
    Read,
    appended,
    read_new,
)
from provreg.flows.reading_said import options_said, takes_sha256
from provreg.flows.workspace import Workspace

if TYPE_CHECKING:
    from provreg.flows.ingestion import Ingestion
    from provreg.readers.begun import BegunFolder

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
    return drafts_of(workspace, spoken_for, progress)(Parent(head.digest(), head, entries))


def drafts_of(
    workspace: Workspace,
    ingestion: Ingestion,
    progress: Progress | None,
    begun: BegunFolder | None = None,
) -> Callable[[Parent | None], Draft]:
    """Makes drafts after any parent; the data are read once for each way to read them.

    `begun` is used for the first of them, if they are read so.
    """
    reads: dict[bytes, Read] = {}

    def make(parent: Parent | None) -> Draft:
        inherited = None if parent is None else parent.head.reading
        key = canonical(options_said(inherited))
        if key not in reads:
            first = None if reads else begun
            reads[key] = _read(workspace, ingestion, inherited, first, progress)
        samples = reads[key].samples
        if ingestion.append and inherited is not None:
            samples = replace(samples, reading=appended(samples.reading, inherited))
        return draft(
            ingestion.dataset,
            samples,
            parent,
            Speaker(ingestion.source, ingestion.labeler),
            append=ingestion.append,
            replace=ingestion.replace,
        )

    return make


def _read(
    workspace: Workspace,
    ingestion: Ingestion,
    inherited: dict[str, Any] | None,
    begun: BegunFolder | None,
    progress: Progress | None,
) -> Read:
    if ingestion.fetch is not None:
        from provreg.flows.fetch import fetch_list

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
        leave_out=(workspace.folder,),
        known=cache if useful else None,
        begun=begun,
        progress=progress,
    )
    if read.files is not None:
        cache.record(read.files.stats, read.files.digests, read_at_ns=read.files.read_at_ns)
    return read
