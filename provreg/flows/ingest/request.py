"""What a user asks to ingest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from provreg.core.encoding.names import check_dataset_name, check_utf8
from provreg.errors import UsageError
from provreg.readers.api import LabelsOptions, ReadOptions, option_name
from provreg.readers.web.bounds import Bounds


@dataclass(frozen=True, slots=True)
class Fetch:
    """How to download a list: into which `folder`, from the URLs of which `column`.

    Up to `failures` URLs may fail; their rows are skipped. `bounds` are the limits for a server.
    """

    folder: Path
    column: str = "url"
    failures: int = 0
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True, slots=True)
class Ingestion:
    """Data to ingest, for which dataset, and their origin.

    `source` and `labeler` are of what this ingestion brings or changes; `labels` is a file that
    says more, sample by sample, and is read with `labels_options`. `rehash` ignores the stat cache.
    `after_revoked`: the data are clean, and may continue a version that was revoked. `propose`:
    what the policy would not take yet is left as a proposal, for others to sign. `check_media`: new
    pictures are decoded. With `fetch` the paths are a list of URLs, whose files are the data.
    """

    dataset: str
    paths: tuple[Path, ...]
    source: str | None = None
    labeler: str | None = None
    options: ReadOptions = field(default_factory=ReadOptions)
    labels: Path | None = None
    labels_options: LabelsOptions = field(default_factory=LabelsOptions)
    append: bool = False
    replace: bool = False
    rehash: bool = False
    after_revoked: bool = False
    propose: bool = False
    check_media: bool = False
    message: str = ""
    fetch: Fetch | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for options that contradict each other."""
        check_dataset_name(self.dataset)
        check_utf8("the source", self.source)
        check_utf8("the labeler", self.labeler)
        check_utf8("the message", self.message)
        for name in self.options.explicitly_set():
            value = getattr(self.options, name)
            if isinstance(value, str | tuple):
                check_utf8(option_name(name), *([value] if isinstance(value, str) else value))
        if self.labels is None and self.labels_options != LabelsOptions():
            raise UsageError(
                "--labels-delimiter, --labels-exclude, --labels-timezone and --aggregate are for a"
                " labels file",
                hint="name it with --labels FILE",
            )
        if self.replace and not self.append:
            raise UsageError(
                "--replace is for --append", hint="without --append PATH is everything"
            )
        if self.fetch is not None and self.check_media:
            raise UsageError(
                "--check-media is not for --fetch", hint="ingest the downloaded folder with it"
            )
        if self.fetch is not None and self.labels is not None:
            raise UsageError(
                "--labels is not for --fetch",
                hint="the list of URLs says of its samples what a labels file would",
            )
