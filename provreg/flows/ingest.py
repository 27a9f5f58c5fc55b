"""Ingestion: read and hash the data once, then draft, sign and publish the next version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from provreg.core.canonical import canonical
from provreg.core.head import Head
from provreg.core.names import check_dataset_name
from provreg.core.origin import Speaker
from provreg.errors import UsageError
from provreg.flows.draft import Draft, Parent, draft
from provreg.flows.judging import Judge, gate
from provreg.flows.publish import Outcome, as_parent, find_parent, publish
from provreg.flows.reading import (
    Progress,
    Read,
    options_said,
    read_new,
    still_overridden,
    takes_sha256,
)
from provreg.flows.trusting import Trust
from provreg.flows.workspace import Workspace
from provreg.readers.reader import HowToRead
from provreg.trust.signer import Signer

# The source of what is compared only, where nobody says another.
NOT_PUBLISHED = "(not published)"


@dataclass(frozen=True, slots=True)
class Ingestion:
    """What a user asks to take in: data, for which dataset, and for whom they speak.

    `source` and `labeler` are of what this ingestion brings or changes; `labels` is a file that
    says more, sample by sample. `rehash` believes no stat cache. `after_revoked`: the data are
    clean, and may continue a version that was revoked.
    """

    dataset: str
    paths: tuple[Path, ...]
    source: str | None = None
    labeler: str | None = None
    how: HowToRead = field(default_factory=HowToRead)
    labels: Path | None = None
    append: bool = False
    replace: bool = False
    rehash: bool = False
    after_revoked: bool = False
    message: str = ""


def ingest(
    workspace: Workspace,
    ingestion: Ingestion,
    signer: Signer,
    trust: Trust,
    *,
    progress: Progress | None = None,
) -> Outcome:
    """Publishes what the data make of the newest verified version, unless that changes nothing.

    Raises InputError naming the sample that
    cannot be taken in, NotTrustedError where the parent does not verify, StorageError; in every
    case nothing is published.
    """
    make = _drafts(workspace, ingestion, progress)
    return publish(
        workspace,
        make,
        signer,
        trust,
        dataset=ingestion.dataset,
        message=ingestion.message,
        after_revoked=ingestion.after_revoked,
    )


def dry_run(
    workspace: Workspace,
    ingestion: Ingestion,
    trust: Trust | None,
    *,
    progress: Progress | None = None,
) -> Outcome:
    """What `ingest` would publish, and whether its rule would take it; raises what it would raise.

    The gate raises NotTrustedError (step 9) where the line before is broken.
    """
    parent, passed_over = find_parent(
        workspace, ingestion.dataset, trust, after_revoked=ingestion.after_revoked
    )
    drafted = _drafts(workspace, ingestion, progress)(as_parent(parent))
    held = None if trust is None else gate(Judge.of(workspace, trust), drafted)
    return Outcome(drafted, None, None, passed_over, gate=held)


def draft_again(
    workspace: Workspace,
    head: Head,
    entries: pa.Table,
    ingestion: Ingestion,
    *,
    progress: Progress | None = None,
) -> Draft:
    """What `ingestion` after the version of `head` would change; it is never published."""
    spoken_for = replace(ingestion, source=ingestion.source or NOT_PUBLISHED)
    return _drafts(workspace, spoken_for, progress)(Parent(head.digest(), head, entries))


def _drafts(
    workspace: Workspace, ingestion: Ingestion, progress: Progress | None
) -> Callable[[Parent | None], Draft]:
    """Makes drafts after any parent; the data are read once for each way to read them."""
    check_dataset_name(ingestion.dataset)
    if ingestion.replace and not ingestion.append:
        raise UsageError("--replace is for --append", hint="without --append PATH is everything")
    reads: dict[bytes, Read] = {}

    def make(parent: Parent | None) -> Draft:
        inherited = None if parent is None else parent.head.reading
        key = canonical(options_said(inherited))
        if key not in reads:
            reads[key] = _read(workspace, ingestion, inherited, progress)
        samples = reads[key].samples
        if ingestion.append and inherited is not None:
            samples = replace(samples, reading=still_overridden(samples.reading, inherited))
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
    progress: Progress | None,
) -> Read:
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
        progress=progress,
    )
    if read.files is not None:
        cache.record(read.files.stats, read.files.digests, read_at_ns=read.files.read_at_ns)
    return read
