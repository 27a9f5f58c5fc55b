"""The head: the small signed document of one version (docs/format/head.md, schemas/head.v1.json).

Its canonical JSON is stored as `head.json`; the sha256 of those bytes is the version's identity.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from blake3 import blake3

from provreg.core.encoding.canonical import canonical, parse_canonical
from provreg.core.encoding.digest import parse_digest, sha256_digest
from provreg.core.encoding.names import DATASET_NAME, is_class_name, twins_in_form_c
from provreg.core.encoding.strict_fields import Fields
from provreg.core.encoding.text import counted, quoted, quoted_ascii
from provreg.core.encoding.times import format_time
from provreg.core.manifest.limits import LIMITS, PART_MAX_ENTRIES
from provreg.errors import FormatError

HEAD_FORMAT = "provreg.head/v1"
MAX_HEAD_BYTES = 64 << 20
MAX_PART_BYTES = 4 << 30
ROOT_CONTEXT = "provreg 2026-11-22 v1 root"
# The kinds of change, in the order in which they are listed (docs/concepts/terms.md, "Changes").
KINDS = ("injected", "removed", "relabeled", "modified", "renamed", "reattributed", "resplit")
LABEL_TYPES = ("none", "class", "text")
MAX_CLASSES = 10_000
TOP_NAMES = 20
_MAX_PARTS = 1 << 20
_MAX_MESSAGE = 4096
# Features that a head can require of its readers; this version knows none.
_CRITICAL: frozenset[str] = frozenset()


def counts_in_words(counts: Mapping[str, int]) -> str:
    """The kinds of change that occurred, with how often: `50 injected, 10 removed`."""
    return ", ".join(f"{counts[kind]:,} {kind}" for kind in KINDS if counts[kind]) or "no changes"


@dataclass(frozen=True, slots=True)
class PartRef:
    """A part in a head: `blocks` is its logical digest, `file` the digest of the file's bytes.

    `size` is the file's size in bytes, `rows` its number of entries, `first` and `last` its ids.
    """

    blocks: str
    file: str
    size: int
    rows: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class NameCounts:
    """The distinct sources or labelers: how many, the 20 with most samples, and the whole table.

    `table` is the digest of the object that lists them all (docs/format/head.md, "Name tables").
    """

    distinct: int
    top: tuple[tuple[str, int], ...]
    table: str


@dataclass(frozen=True, slots=True)
class Head:
    """A version of a dataset. `reading` has the settings by which its reader read the data."""

    dataset: str
    uid: str
    version: int
    parent: str | None
    root: str
    samples: int
    parts: tuple[PartRef, ...]
    reading: dict[str, Any]
    label_type: str
    classes: tuple[str, ...]
    changes: dict[str, int]
    sources: NameCounts
    labelers: NameCounts
    reused_digests: int
    created: datetime
    message: str

    def __repr__(self) -> str:
        return f"Head({self.dataset}@{self.version}, {counted(self.samples, 'sample')})"

    def to_bytes(self) -> bytes:
        """The canonical JSON: it is stored, and its sha256 is signed."""
        document: dict[str, Any] = {
            "format": HEAD_FORMAT,
            "critical": [],
            "dataset": self.dataset,
            "uid": self.uid,
            "version": self.version,
            "parent": self.parent,
            "root": self.root,
            "samples": self.samples,
            "parts": [asdict(part) for part in self.parts],
            "reading": self.reading,
            "label_type": self.label_type,
            "classes": list(self.classes),
            "changes": self.changes,
            "sources": _counts_to_json(self.sources),
            "labelers": _counts_to_json(self.labelers),
            "reused_digests": self.reused_digests,
            "created": format_time(self.created),
            "message": self.message,
        }
        return canonical(document)

    def digest(self) -> str:
        """The written sha256 of the head: the version's identity."""
        return sha256_digest(self.to_bytes())


def root_of_parts(parts: list[tuple[int, str]]) -> str:
    """The written root over (entries, logical digest) of each part, in order."""
    hasher = blake3(derive_key_context=ROOT_CONTEXT)
    hasher.update(struct.pack("<QI", sum(entries for entries, _ in parts), len(parts)))
    for entries, logical in parts:
        hasher.update(struct.pack("<Q", entries) + parse_digest(logical)[1])
    return "blake3:" + hasher.hexdigest()


def parse_head(data: bytes) -> Head:
    """Reads `head.json`.

    Raises FormatError unless it is well-formed and its root and counts follow from its parts.
    """
    document = parse_canonical(data, what="the head", limit=MAX_HEAD_BYTES)
    fields = Fields(document, "head")
    _check_format(fields)
    head = Head(
        dataset=fields.text("dataset", pattern=DATASET_NAME),
        uid=fields.text("uid", pattern="[0-9a-f]{32}"),
        version=fields.integer("version", minimum=1, maximum=99_999_999),
        parent=fields.optional_digest("parent", "sha256"),
        root=fields.digest("root", "blake3"),
        samples=fields.integer("samples", minimum=1),
        parts=fields.items("parts", _read_part, limit=_MAX_PARTS),
        reading=_read_reading(fields),
        label_type=fields.text("label_type", pattern="|".join(LABEL_TYPES)),
        classes=fields.texts("classes", limit=MAX_CLASSES, size=LIMITS["label"]),
        changes=_read_changes(fields.object("changes")),
        sources=_read_counts(fields.object("sources")),
        labelers=_read_counts(fields.object("labelers")),
        reused_digests=fields.integer("reused_digests"),
        created=fields.time("created"),
        message=fields.text("message", limit=_MAX_MESSAGE),
    )
    fields.done()
    _check_consistent(head)
    return head


def samples_are_files(reading: Mapping[str, Any]) -> bool:
    """Whether a head's `reading` makes files its samples: ids are then paths below a folder.

    It says so of itself (docs/format/head.md, "Reading"), so that it holds without the reader.
    """
    return reading["reader"] == "folder" or reading.get("samples") == "files"


def left_out_of(reading: Mapping[str, Any]) -> dict[str, int]:
    """How many names `reading` left out, by reason. Raises FormatError for another form."""
    counts = reading.get("left_out", {})
    if isinstance(counts, dict) and all(type(count) is int for count in counts.values()):
        return counts
    raise FormatError("head.reading: left_out does not count names by reason")


def check_parent(child: Head, parent: Head) -> None:
    """Checks that `parent`, whose digest is `child.parent`, can be the parent of `child`.

    Raises FormatError for another dataset, a number that is not higher, and classes that lose or
    change an index: a model's outputs would mean other labels. A label type that goes back is
    refused too: after a version with texts, which has no classes, indices would start again.
    """
    name = f"{child.dataset}@{child.version}"
    if (parent.dataset, parent.uid) != (child.dataset, child.uid) or (
        parent.version >= child.version
    ):
        raise FormatError(f"the parent of {name} is {parent.dataset}@{parent.version}")
    types = [LABEL_TYPES.index(head.label_type) for head in (parent, child)]
    if types[1] < types[0]:
        raise FormatError(
            f"the label type of {name} goes back from {parent.label_type} to {child.label_type}"
        )
    inherited = child.classes[: len(parent.classes)]
    if child.label_type == "class" and inherited != parent.classes:
        raise FormatError(f"{name} renumbers its parent's classes")


def _check_format(fields: Fields) -> None:
    written = fields.text("format", limit=100)
    if written != HEAD_FORMAT:
        raise FormatError(
            f"the head has format {quoted(written)}, this provreg reads {HEAD_FORMAT}",
            hint="update provreg to a version that reads it",
        )
    unknown = sorted(set(fields.texts("critical", limit=100)) - _CRITICAL)
    if unknown:
        raise FormatError(
            f"the head requires {quoted(unknown[0])}, which this provreg does not support",
            hint="update provreg to a version that supports it",
        )


def _check_consistent(head: Head) -> None:
    if ".." in head.dataset:
        raise FormatError(f"{quoted(head.dataset)} is not a dataset name")
    if (head.version == 1) != (head.parent is None):
        raise FormatError("a head has a parent unless its version is 1")
    if sum(part.rows for part in head.parts) != head.samples:
        raise FormatError("the rows of the head's parts do not add up to its number of samples")
    if root_of_parts([(part.rows, part.blocks) for part in head.parts]) != head.root:
        raise FormatError("the head's root does not follow from its parts")
    if len(set(head.classes)) != len(head.classes):
        raise FormatError("the head has a duplicate class")
    hidden = next((name for name in head.classes if not is_class_name(name)), None)
    if hidden is not None:
        raise FormatError(f"the class {quoted(hidden)} has a hidden character")
    alike = twins_in_form_c(head.classes)
    if alike is not None:
        raise FormatError(
            f"the classes {quoted_ascii(alike[0])} and {quoted_ascii(alike[1])}"
            " differ only in composition"
        )
    if head.classes and head.label_type != "class":
        raise FormatError(f"the head has classes but its label type is {head.label_type}")
    runs = [bound.encode() for part in head.parts for bound in (part.first, part.last)]
    inside = all(part.first.encode() <= part.last.encode() for part in head.parts)
    between = all(a < b for a, b in zip(runs[1::2], runs[2::2], strict=False))
    if not (inside and between):
        raise FormatError("the head's parts are not in the order of their ids")


def _read_part(fields: Fields) -> PartRef:
    return PartRef(
        blocks=fields.digest("blocks", "blake3"),
        file=fields.digest("file", "blake3"),
        size=fields.integer("size", minimum=1, maximum=MAX_PART_BYTES),
        rows=fields.integer("rows", minimum=1, maximum=PART_MAX_ENTRIES),
        first=fields.text("first", limit=4096),
        last=fields.text("last", limit=4096),
    )


def _read_reading(fields: Fields) -> dict[str, Any]:
    reading = fields.raw("reading")
    if not isinstance(reading, dict) or not isinstance(reading.get("reader"), str):
        raise FormatError("head: reading does not name a reader")
    return reading


def _read_changes(fields: Fields) -> dict[str, int]:
    changes = {kind: fields.integer(kind) for kind in KINDS}
    fields.done()
    return changes


def _read_counts(fields: Fields) -> NameCounts:
    counts = NameCounts(
        distinct=fields.integer("distinct"),
        top=fields.items("top", _read_top, limit=TOP_NAMES),
        table=fields.digest("table", "blake3"),
    )
    fields.done()
    return counts


def _read_top(fields: Fields) -> tuple[str, int]:
    return fields.text("name", limit=256), fields.integer("samples", minimum=1)


def _counts_to_json(counts: NameCounts) -> dict[str, Any]:
    top = [{"name": name, "samples": samples} for name, samples in counts.top]
    return {"distinct": counts.distinct, "top": top, "table": counts.table}
