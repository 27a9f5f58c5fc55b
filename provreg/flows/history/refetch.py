"""What the URLs of a version give today, against the bytes that were signed: split views by name.

It is no step of verification: a version whose URLs give something else is as good as it was, if one
has its data. Who downloads it anew is warned.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa

from provreg.core.encoding.canonical import parse_canonical
from provreg.core.encoding.digest import written_digest
from provreg.core.manifest.limits import LIMITS
from provreg.errors import Finding, FindingKind, UsageError, needs_extra
from provreg.executors.api import Progress
from provreg.executors.threads import per_host
from provreg.flows.verify.steps import VerifiedVersion
from provreg.readers.api import SampleKind
from provreg.readers.catalog import sample_kind
from provreg.readers.web.bounds import Bounds

with needs_extra("fetch"):
    from provreg.readers.web.address import FetchError, host_of
    from provreg.readers.web.download import Downloader
    from provreg.readers.web.picture import (
        BITS,
        SAME_PICTURE,
        differing_bits,
        is_hash,
        perceptual_hash,
    )

_IN_MEMORY = 1 << 20
# Samples whose digest is that of a file's bytes.
_FILES = frozenset({SampleKind.FILES, SampleKind.MEMBERS})
_COLUMNS = ["id", "content", "source", "labeler", "uri", "attrs"]


@dataclass(frozen=True, slots=True)
class Refetched:
    """What was found: of `checked` samples those that are `unchanged`, and the others.

    `without_url` samples have none and were passed over.
    """

    checked: int
    unchanged: int
    without_url: int
    findings: tuple[Finding, ...]


def refetch(
    version: VerifiedVersion,
    *,
    sample: int | None = None,
    bounds: Bounds | None = None,
    progress: Progress | None = None,
) -> Refetched:
    """Downloads every sample from its URL again, or `sample` of them, picked by chance.

    Nothing is kept. `bounds` is what a server is given. Raises UsageError for a version without
    URLs, StorageError where there is no room for a file.
    """
    if sample_kind(version.head.reading) not in _FILES:
        raise UsageError(
            f"the samples of {version.reference} are no files, whose bytes a URL could give"
        )
    entries = version.entries.select(_COLUMNS)
    having = entries.filter(entries["uri"].is_valid())
    without = entries.num_rows - having.num_rows
    if not having.num_rows:
        raise UsageError(
            f"no sample of {version.reference} has a URL",
            hint="`ingest --fetch` records them, and so does a labels file with a column uri",
        )
    if sample is not None and sample < having.num_rows:
        chosen = np.random.default_rng().choice(having.num_rows, sample, replace=False)
        having = having.take(pa.array(np.sort(chosen)))
    downloader = Downloader(bounds or Bounds())

    def check(entry: dict[str, Any]) -> Finding | None:
        return _check(entry, downloader)

    findings: list[Finding] = []
    results = per_host(check, _tasks(having), stop=downloader.stop)
    with closing(results):
        for done, (_, finding) in enumerate(results, 1):
            if finding is not None:
                findings.append(finding)
            if progress is not None:
                progress(done, having.num_rows)
    findings.sort(key=lambda finding: finding.id.encode())
    unchanged = having.num_rows - len(findings)
    return Refetched(having.num_rows, unchanged, without, tuple(findings))


def _tasks(entries: pa.Table) -> Iterator[tuple[str, dict[str, Any]]]:
    for batch in entries.to_batches(max_chunksize=10_000):
        for entry in batch.to_pylist():
            yield host_of(entry["uri"]), entry


def _check(entry: dict[str, Any], downloader: Downloader) -> Finding | None:
    """Runs in a thread."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        try:
            found = downloader.download(entry["uri"], file)
        except FetchError as error:
            return _finding(error.failure, entry, detail=error.message)
        if found.content == entry["content"]:
            return None
        kind, detail = _compared(entry["attrs"], file)
        return _finding(kind, entry, found=written_digest(found.content), detail=detail)


def _compared(attrs: str | None, file: IO[bytes]) -> tuple[FindingKind, str]:
    """How other bytes differ from those that were signed with `attrs`."""
    signed = _signed_hash(attrs)
    if signed is None:
        return "changed", "other bytes"
    now = perceptual_hash(file)
    if now is None:
        return "replaced", "no picture that can be compared"
    bits = differing_bits(signed, now)
    kind: FindingKind = "recompressed" if bits <= SAME_PICTURE else "replaced"
    return kind, f"its picture differs in {bits} of {BITS} bits"


def _signed_hash(attrs: str | None) -> str | None:
    """The perceptual hash in an entry's attributes, which may hold anything."""
    document = {}
    if attrs is not None:
        document = parse_canonical(attrs.encode(), what="attrs", limit=LIMITS["attrs"])
    phash = document.get("phash") if isinstance(document, dict) else None
    return phash if isinstance(phash, str) and is_hash(phash) else None


def _finding(
    kind: FindingKind, entry: dict[str, Any], *, detail: str, found: str | None = None
) -> Finding:
    return Finding(
        kind,
        entry["id"],
        expected=written_digest(entry["content"]),
        found=found,
        source=entry["source"],
        labeler=entry["labeler"],
        uri=entry["uri"],
        detail=detail,
    )
