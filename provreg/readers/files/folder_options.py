"""How files become samples, in folders and archives, and how that is written into the head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import quoted
from provreg.errors import FormatError, UsageError
from provreg.readers.files.globs import MOST_PATTERNS, Excluded, Globs

if TYPE_CHECKING:
    from provreg.readers.api import ReadOptions

READER_VERSION = 1
OPTIONS = frozenset({"label", "split", "include", "exclude", "sha256"})
_WHAT = "head.reading"
_FROM = r"dir|none"
_LEFT_OUT = ("hidden", "system", "registry", "filtered", "empty")


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """How folders become samples.

    `label`: `dir` (the name of the folder the file lies in) or `none`. `split`: `dir` (the first
    folder) or `none`. `include`, `exclude`: patterns over ids (`files.globs`). `sha256`: whether
    the SHA-256 of every file is taken as well, in the same read. Raises UsageError.
    """

    label: str = "dir"
    split: str = "none"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sha256: bool = False

    def __post_init__(self) -> None:
        for name, value in (("label", self.label), ("split", self.split)):
            if value not in {"dir", "none"}:
                raise UsageError(f"{quoted(value)} is not a {name} for folders: dir or none")
        if self.include:
            Globs(self.include)
        if self.exclude:
            Excluded(self.exclude)


def settled_options(how: ReadOptions, old: FolderOptions) -> FolderOptions:
    """What was said, over `old`. Raises UsageError."""
    return FolderOptions(
        label=how.label or old.label,
        split=how.split or old.split,
        include=how.include or old.include,
        exclude=how.exclude or old.exclude,
        sha256=how.sha256 or old.sha256,
    )


def options_of(reading: Any, reader: str) -> FolderOptions:
    """The options that `reading`, from a head, was made with by `reader`. Raises FormatError."""
    fields = Fields(reading, _WHAT)
    if fields.text("reader") != reader:
        raise fields.wrong("reader", f"is not {reader}")
    if fields.integer("reader_version") != READER_VERSION:
        raise fields.wrong("reader_version", "is unknown: a newer provreg is needed")
    label, split = fields.text("label", pattern=_FROM), fields.text("split", pattern=_FROM)
    include = fields.texts("include", limit=MOST_PATTERNS)
    exclude = fields.texts("exclude", limit=MOST_PATTERNS)
    left_out = fields.object("left_out")
    for reason in _LEFT_OUT:
        if left_out.has(reason):
            left_out.integer(reason, minimum=1)
    left_out.done()
    sha256 = fields.has("sha256")
    if sha256 and fields.raw("sha256") is not True:
        raise fields.wrong("sha256", "is not true: it is left out where it is not")
    fields.done()
    try:
        return FolderOptions(label, split, include, exclude, sha256)
    except UsageError as error:
        raise FormatError(f"{_WHAT}: {error.message}") from None


def reading_of(reader: str, options: FolderOptions, left_out: dict[str, int]) -> dict[str, Any]:
    """How files were read, for the head."""
    reading: dict[str, Any] = {
        "reader": reader,
        "reader_version": READER_VERSION,
        "label": options.label,
        "split": options.split,
        "include": list(options.include),
        "exclude": list(options.exclude),
        "left_out": left_out,
    }
    return reading | {"sha256": True} if options.sha256 else reading
