"""Samples from a list of URLs: downloaded into a folder, and signed as they were downloaded.

What is signed are the digests of the bytes as they came, whatever the folder holds later; the
version is one of that folder, and is read like one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa

from provreg.core.encoding.canonical import canonical
from provreg.core.encoding.text import quoted
from provreg.core.manifest.entry import DIGEST, SAMPLE
from provreg.core.manifest.manifest import sort_entries
from provreg.errors import Finding, NotFetchedError, UsageError, needs_extra
from provreg.executors.api import Progress
from provreg.executors.threads import per_host
from provreg.flows.ingest.request import Fetch
from provreg.flows.reading.samples import LABELS_FILE, takes_sha256
from provreg.readers.api import FetchedList, ReadOptions, ReadResult, option_name
from provreg.readers.catalog import reader_of, recorded_reader
from provreg.readers.files import folder as folders
from provreg.readers.files.folder import FolderOptions, reading_of
from provreg.readers.labels import LABEL_COLUMNS, long_labels
from provreg.readers.web.download_folder import DownloadFolder
from provreg.readers.web.url_list import OPTIONS, ROLES, read_url_list
from provreg.store.private.fetched import Fetched, FetchRecord, fetch_record

with needs_extra("fetch"):
    from provreg.readers.web.address import FetchError, host_of
    from provreg.readers.web.download import Downloader
    from provreg.readers.web.picture import perceptual_hash


# (place in the list, id, URL)
_Row = tuple[int, str, str]


def fetch_list(
    paths: Sequence[Path],
    options: ReadOptions,
    fetch: Fetch,
    inherited: Mapping[str, Any] | None,
    *,
    redownload: bool = False,
    progress: Progress | None = None,
) -> ReadResult:
    """The samples of the list at `paths`, downloaded; `inherited` is the reading of the parent.

    What was downloaded another time and is still there stays, unless `redownload`. Raises
    NotFetchedError where more URLs failed than allowed, InputError, UsageError, StorageError.
    """
    _check_options(options, inherited)
    rows = read_url_list(paths, options, fetch.column)
    with fetch_record(fetch.folder) as record, DownloadFolder(fetch.folder) as folder:
        work = _Work(rows, record, folder, Downloader(fetch.bounds), redownload, progress)
        work.run()
    work.failed.sort(key=lambda finding: finding.id.encode())
    _check_failures(work.failed, rows.num_rows, fetch.failures)
    sha256 = takes_sha256(options, inherited)
    table = _table(rows, work.fetched, sha256=sha256)
    columns = {"uri", "attrs"} | {role for role in ROLES if _speaks(options, role)}
    folder_options = FolderOptions(label="none", sha256=sha256)
    return ReadResult(
        sort_entries(table),
        reading_of(folders.READER, folder_options, {})
        | {LABELS_FILE: [name for name in LABEL_COLUMNS if name in columns]},
        labels_known="label" in columns,
        splits_known="split" in columns,
        long_labels=long_labels(table),
        fetched=FetchedList(work.downloaded, work.kept, tuple(work.failed)),
    )


class _Work:
    """One run through a list; what came of each row, by its place."""

    def __init__(
        self,
        rows: pa.Table,
        record: FetchRecord,
        folder: DownloadFolder,
        downloader: Downloader,
        redownload: bool,
        progress: Progress | None,
    ) -> None:
        self.fetched: list[Fetched | None] = [None] * rows.num_rows
        self.failed: list[Finding] = []
        self.downloaded = self.kept = 0
        self._rows, self._record, self._folder = rows, record, folder
        self._downloader, self._again, self._progress = downloader, redownload, progress

    def run(self) -> None:
        results = per_host(self._fetch, self._missing(), stop=self._downloader.stop)
        with closing(results):
            for (place, sample, url), found in results:
                if isinstance(found, FetchError):
                    self._failed(sample, url, found)
                else:
                    self._keep(place, sample, found)
                self._tell()

    def _missing(self) -> Iterator[tuple[str, _Row]]:
        """(host, row) of what is to be downloaded; what is there is taken over on the way."""
        for place, (sample, url) in enumerate(_pairs(self._rows)):
            if url is None:
                self._failed(sample, url, FetchError("the row has no URL", "refused"))
                continue
            known = None if self._again else self._record.get(sample)
            if known is None or known.url != url or self._folder.size(sample) != known.size:
                yield host_of(url), (place, sample, url)
                continue
            self.fetched[place] = known
            self.kept += 1
            self._tell()

    def _fetch(self, row: _Row) -> Fetched | FetchError:
        """Runs in a thread."""
        _, sample, url = row
        with self._folder.begin(sample) as file:
            try:
                found = self._downloader.download(url, file)
                phash = perceptual_hash(file)
            except FetchError as error:
                self._folder.discard(sample)
                return error
        return Fetched(url, found.content, found.sha256, found.size, phash)

    def _keep(self, place: int, sample: str, found: Fetched) -> None:
        before = self._record.get(sample)
        ours = {found.content} if before is None else {found.content, before.content}
        self._folder.keep(sample, ours=frozenset(ours))
        self._record.put(sample, found)
        self.fetched[place] = found
        self.downloaded += 1

    def _failed(self, sample: str, url: str | None, error: FetchError) -> None:
        self.failed.append(Finding(error.failure, sample, uri=url, detail=error.message))

    def _tell(self) -> None:
        if self._progress is not None:
            done = self.downloaded + self.kept + len(self.failed)
            self._progress(done, self._rows.num_rows)


def _pairs(rows: pa.Table) -> Iterator[tuple[str, str | None]]:
    """(id, URL) of every row, as Python values a batch at a time."""
    for batch in rows.select(["id", "uri"]).to_batches(max_chunksize=10_000):
        yield from zip(batch["id"].to_pylist(), batch["uri"].to_pylist(), strict=True)


def _table(rows: pa.Table, fetched: Sequence[Fetched | None], *, sha256: bool) -> pa.Table:
    """The samples of the rows that were fetched, schema SAMPLE."""
    present = [file for file in fetched if file is not None]
    columns = {
        "content": pa.array([file.content for file in present], DIGEST),
        "size": pa.array([file.size for file in present], pa.uint64()),
        "attrs": pa.array([_attrs(file.phash) for file in present], pa.string()),
    }
    if sha256:
        columns["content_sha256"] = pa.array([file.sha256 for file in present], DIGEST)
    fetched_rows = rows.filter(pa.array([file is not None for file in fetched]))
    return pa.table(
        [columns.get(field.name, fetched_rows[field.name]) for field in SAMPLE], schema=SAMPLE
    )


def _attrs(phash: str | None) -> str | None:
    return None if phash is None else canonical({"phash": phash}).decode()


def _check_options(options: ReadOptions, inherited: Mapping[str, Any] | None) -> None:
    for name in sorted(options.explicitly_set() - OPTIONS):
        raise UsageError(
            f"{option_name(name)} means nothing in a list of URLs",
            hint="it takes " + ", ".join(sorted(map(option_name, OPTIONS))),
        )
    if inherited is not None and recorded_reader(inherited)[0] != reader_of(folders.READER):
        raise UsageError(
            f"this dataset is read as {inherited['reader']}, and downloads are a folder",
            hint="choose another --name for a new dataset",
        )


def _speaks(options: ReadOptions, role: str) -> bool:
    option = {
        "label": options.label,
        "split": options.split,
        "source": options.source_column,
        "labeler": options.labeler_column,
        "labeled_at": options.labeled_at_column,
    }[role]
    return option not in (None, "none")


def _check_failures(failed: Sequence[Finding], rows: int, allowed: int) -> None:
    if len(failed) <= allowed and len(failed) < rows:
        return
    kinds: Counter[str] = Counter(finding.kind for finding in failed)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
    remedy = "run it again: what was downloaded is kept"
    if not kinds["unreachable"]:
        remedy = "correct the list"
    raise NotFetchedError(
        f"{len(failed):,} of {rows:,} URLs failed ({counts}), at most {allowed:,} allowed;"
        f" the first is {quoted(failed[0].uri or '')}: {failed[0].detail}",
        hint=f"{remedy}; or let more fail with --fetch-failures",
        findings=tuple(failed),
        sample=failed[0].id,
    )
