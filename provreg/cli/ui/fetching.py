"""Lists of URLs on the command line: options and results of downloading them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.ui.findings import list_findings
from provreg.cli.ui.options import URLS
from provreg.cli.ui.output import Output
from provreg.core.encoding.text import counted, quoted
from provreg.errors import NotFoundError, NotTrustedError, StorageError, UsageError

if TYPE_CHECKING:
    from provreg.flows.history.refetch import Refetched
    from provreg.flows.ingest.request import Fetch
    from provreg.flows.verify.steps import VerifiedVersion
    from provreg.readers.api import FetchedList
    from provreg.readers.web.bounds import Bounds
    from provreg.registry import Registry


def _url_option(help: str, metavar: str | None = None, *, flag: str | None = None) -> Any:
    """An option under the heading of lists of URLs; `flag` names one without a value."""
    names = () if flag is None else (flag,)
    return typer.Option(*names, metavar=metavar, rich_help_panel=URLS, help=help)


FetchLimitOption = Annotated[
    str | None, _url_option("Largest allowed file, in MiB. Default: 64.", "MIB")
]
FetchFromPrivateOption = Annotated[
    bool,
    _url_option("Also download from addresses of private networks.", flag="--fetch-from-private"),
]

# Other bytes than the signed ones, or a URL that provreg refuses to download.
_DIFFERENT = frozenset({"changed", "recompressed", "replaced", "refused"})


@dataclass(frozen=True, slots=True)
class Fetching:
    """Whether and how `ingest` downloads a list of URLs."""

    fetch: Annotated[
        Path | None,
        _url_option("PATH is a list of URLs: download them into DIR and sign the files.", "DIR"),
    ] = None
    url_column: Annotated[str | None, _url_option("Column of URLs. Default: url.", "COLUMN")] = None
    fetch_failures: Annotated[
        str | None, _url_option("How many URLs may fail. Default: 0.", "N")
    ] = None
    fetch_limit: FetchLimitOption = None
    fetch_from_private: FetchFromPrivateOption = False

    def request(self) -> Fetch | None:
        """The download, None without `--fetch`. Raises UsageError."""
        from provreg.flows.ingest.request import Fetch

        failures, limit, private = self.fetch_failures, self.fetch_limit, self.fetch_from_private
        if self.fetch is None:
            unused = {"--url-column": self.url_column, "--fetch-failures": failures,
                      "--fetch-limit": limit, "--fetch-from-private": private or None}  # fmt: skip
            _refuse_without("--fetch DIR", unused)
            return None
        allowed = 0 if failures is None else _number(failures, "--fetch-failures")
        bounds = _bounds(limit, private=private)
        return Fetch(self.fetch, self.url_column or "url", allowed, bounds)


@dataclass(frozen=True, slots=True)
class Refetching:
    """Whether and how `verify` downloads samples again."""

    refetch: Annotated[
        bool, _url_option("Download each sample from its URL again and compare.", flag="--refetch")
    ] = False
    refetch_sample: Annotated[
        str | None, _url_option("With --refetch: only N samples, chosen at random.", "N")
    ] = None
    fetch_limit: FetchLimitOption = None
    fetch_from_private: FetchFromPrivateOption = False

    def request(self) -> tuple[int | None, Bounds]:
        """(how many samples to download, None for all; bounds of a download).

        Raises UsageError.
        """
        limit, private = self.fetch_limit, self.fetch_from_private
        if not self.refetch:
            unused = {"--refetch-sample": self.refetch_sample, "--fetch-limit": limit,
                      "--fetch-from-private": private or None}  # fmt: skip
            _refuse_without("--refetch", unused)
        sample = self.refetch_sample
        number = None if sample is None else _number(sample, "--refetch-sample", least=1)
        return number, _bounds(limit, private=private)


def _refuse_without(needed: str, options: Mapping[str, object]) -> None:
    for option, value in options.items():
        if value is not None:
            raise UsageError(f"{option} requires {needed}")


def _bounds(limit: str | None, *, private: bool) -> Bounds:
    from provreg.readers.web.bounds import Bounds

    most = 64 if limit is None else _number(limit, "--fetch-limit", least=1)
    return Bounds(most=most << 20, private=private)


def warn_failed_urls(fetched: FetchedList, output: Output) -> None:
    """What was downloaded, and a warning with the names of what was not."""
    output.note(f"{fetched.downloaded:,} downloaded, {fetched.kept:,} already present")
    if fetched.failed:
        output.warn(f"{counted(len(fetched.failed), 'URL')} failed and were skipped")
        list_findings(fetched.failed, output)


def fetched_to_json(fetched: FetchedList) -> dict[str, Any]:
    """What became of a list of URLs."""
    return {
        "downloaded": fetched.downloaded,
        "kept": fetched.kept,
        "failed": [finding.to_json() for finding in fetched.failed],
    }


def refetch(
    opened: Registry,
    version: VerifiedVersion,
    document: dict[str, Any],
    *,
    sample: int | None,
    bounds: Bounds,
    output: Output,
) -> None:
    """Downloads the samples again, compares them, and prints `document` with the result.

    Exits with code 4 if a URL delivers other content, 6 if a server did not answer, 3 if samples
    are only gone.
    """
    with output.progress("downloading") as progress:
        found = opened.refetch(version, sample=sample, bounds=bounds, progress=progress)
    counts: Counter[str] = Counter(finding.kind for finding in found.findings)
    output.stream(
        document
        | {
            "refetched": {
                "checked": found.checked,
                "unchanged": found.unchanged,
                "without_url": found.without_url,
            }
        },
        "findings",
        (finding.to_json() for finding in found.findings),
    )
    list_findings(found.findings, output)
    output.line(_in_words(found, counts))
    if not _DIFFERENT.isdisjoint(counts):
        raise typer.Exit(NotTrustedError.exit_code)
    if counts["unreachable"]:
        raise typer.Exit(StorageError.exit_code)
    if counts:
        raise typer.Exit(NotFoundError.exit_code)


def _in_words(found: Refetched, counts: Counter[str]) -> str:
    differences = "".join(f", {count:,} {kind}" for kind, count in sorted(counts.items()))
    without = f"; {found.without_url:,} have no URL" if found.without_url else ""
    return f"{counted(found.checked, 'URL')}: {found.unchanged:,} as signed{differences}{without}"


def _number(text: str, option: str, *, least: int = 0) -> int:
    # Longer numbers would overflow later.
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= least):
        raise UsageError(f"{option} {quoted(text)} is not a whole number of at least {least}")
    return int(text)
