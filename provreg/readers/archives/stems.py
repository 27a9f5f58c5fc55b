"""Samples of several files in one archive: the files of one stem.

They are told in docs/reference/readers.md, "WebDataset".

A file's stem is its path up to the first dot of its last segment; the rest is the member's name.
The payload of a sample is the row (docs/format/row.md) whose columns are its members, as binary
values: so the same members have the same digest in whatever archive, and in a Parquet file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blake3 import blake3

from provreg.core.encoding.canonical import parse_json
from provreg.core.encoding.text import quoted
from provreg.core.manifest.limits import LIMITS, UNSAFE_IN_IDS
from provreg.core.rows.column import BINARY
from provreg.core.rows.row import TAG_STRUCT, TAGS
from provreg.errors import FormatError, InputError
from provreg.readers.api import MAX_SAMPLE
from provreg.readers.files.walk import SYSTEM_FILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAX_MEMBERS = 1024
_MAX_LABEL = 16 * 1024 * 1024
_BINARY = bytes([TAGS[BINARY]])
_UNSAFE = re.compile(UNSAFE_IN_IDS)
# Names that WebDataset keeps for itself and passes over.
_META = re.compile(r"__[^/]*__(?:/.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class StemSample:
    """One sample: `members` are its payload by name, `content` the payload's raw digest and `size`
    its length in bytes. The member that is the label, if one is, is not among them."""

    stem: str
    members: Mapping[str, bytes]
    content: bytes
    size: int
    label: str | None


@dataclass(frozen=True, slots=True)
class LabelMember:
    """Where a sample's label stands: in a member of its own, or under a key of a JSON member."""

    member: str
    key: str | None = None

    @classmethod
    def parse(cls, text: str) -> LabelMember:
        """`cls`, or `json:key` for a member named `json` or `….json`."""
        member, colon, key = text.partition(":")
        if colon and member.rpartition(".")[2].lower() == "json":
            return cls(member, key)
        return cls(text)


def samples(
    files: Iterable[tuple[str, bytes]],
    place: str,
    label: LabelMember | None,
    left_out: dict[str, int],
) -> Iterator[StemSample]:
    """The samples that the `files` (name, bytes) of one archive are, in their order.

    `place` names the archive in messages. Counts in `left_out` what WebDataset passes over too:
    `hidden`, `system`, and `unnamed` for names without a dot and those it keeps for itself. Raises
    InputError naming the file: for paths that are absolute or lead out, characters no id may hold,
    what WebDataset takes for another sample or member, a member that is duplicated (upper and lower
    case are one to it), files of one stem that do not stand together, samples of nothing but a
    label, of more than MAX_MEMBERS files or MAX_SAMPLE bytes, and invalid labels.
    """
    seen: set[str] = set()
    stem, dots, members, size = "", "", dict[str, bytes](), 0
    lower: set[str] = set()
    for path, data in files:
        placed = _place(path, place, left_out)
        if placed is None:
            continue
        before = path[: len(path) - len(_inside(path))]
        if placed[0] != stem or before != dots:
            if members:
                yield _sample(stem, members, place, label)
            stem, dots, members, size = placed[0], before, {}, 0
            lower = set()
            if stem in seen:
                raise InputError(
                    f"{place}: files of {quoted(stem)} stand apart from each other",
                    hint="pack the files of a sample one after another: sort them by name",
                    sample=stem,
                )
            seen.add(stem)
        name = placed[1]
        if name.lower() in lower:
            raise InputError(f"{place}: {quoted(path)} is duplicated", sample=stem)
        if len(members) == MAX_MEMBERS:
            raise InputError(
                f"{place}: {quoted(stem)} has more than {MAX_MEMBERS:,} files",
                hint="a sample is the files of one name up to its first dot: have no dot in front"
                " of what tells samples apart",
                sample=stem,
            )
        lower.add(name.lower())
        size += len(data)
        if size > MAX_SAMPLE:
            raise InputError(f"{place}: {quoted(stem)} has more than {MAX_SAMPLE:,} bytes")
        members[name] = data
    if members:
        yield _sample(stem, members, place, label)


def payload_pieces(members: Mapping[str, bytes]) -> Iterator[bytes]:
    """The payload of `members` in pieces, as docs/format/row.md has it for a struct of binaries."""
    yield bytes([TAG_STRUCT]) + len(members).to_bytes(4, "little")
    for name, data in sorted((name.encode(), data) for name, data in members.items()):
        written = len(name).to_bytes(4, "little") + name
        yield written + _BINARY + len(data).to_bytes(4, "little")
        yield data


def _inside(path: str) -> str:
    """`path` without the `./` that many programs put before it."""
    while path.startswith("./"):
        path = path[2:]
    return path


def _place(written: str, place: str, left_out: dict[str, int]) -> tuple[str, str] | None:
    """(stem, member's name) of a file; None where it is left out."""
    path = _inside(written)
    folder, slash, file = path.rpartition("/")
    if not path.isprintable() and _UNSAFE.search(path):
        raise InputError(
            f"{place}: {quoted(path)} contains control or bidirectional characters", sample=path
        )
    if (slash and not {"", ".", ".."}.isdisjoint(folder.split("/"))) or file in {"", "..", "."}:
        raise InputError(
            f"{place}: {quoted(path)} is absolute or leads out of the archive", sample=path
        )
    base, dot, name = file.partition(".")
    if _META.fullmatch(written) or not dot or (not base and not slash):
        reason = "system" if file in SYSTEM_FILES else "unnamed" if base else "hidden"
        left_out[reason] = left_out.get(reason, 0) + 1
        return None
    if not base or file in SYSTEM_FILES:
        raise InputError(
            f"{place}: WebDataset would make a sample of {quoted(path)}, which is not one",
            hint="pack the shard again without it",
            sample=path,
        )
    if not name or name.startswith("__"):
        raise InputError(
            f"{place}: {quoted(path)} has an ending that WebDataset takes for something else",
            hint="rename it: an ending is not empty, and does not begin with two underscores",
            sample=path,
        )
    stem = folder + slash + base
    if len(path) > LIMITS["id"] // 4 and len(path.encode()) > LIMITS["id"]:
        raise InputError(f"{place}: {quoted(path)} is longer than {LIMITS['id']} bytes")
    return stem, name


def _sample(
    stem: str, members: dict[str, bytes], place: str, label: LabelMember | None
) -> StemSample:
    text = None
    if label is not None and label.member in members:
        data = members[label.member]
        try:
            text = _text(data) if label.key is None else _value(data, label.key)
        except (FormatError, UnicodeDecodeError) as error:
            why = error.message if isinstance(error, FormatError) else "is not UTF-8"
            raise InputError(f"{place}: the label of {quoted(stem)}: {why}", sample=stem) from None
        if label.key is None:
            del members[label.member]
            if not members:
                raise InputError(f"{place}: {quoted(stem)} is nothing but a label", sample=stem)
    hasher = blake3()
    size = 0
    for piece in payload_pieces(members):
        hasher.update(piece)
        size += len(piece)
    return StemSample(stem, members, hasher.digest(), size, text)


def _text(data: bytes) -> str:
    """A label that is a file: its text without blanks and line breaks around it."""
    if len(data) > _MAX_LABEL:
        raise FormatError(f"is longer than {_MAX_LABEL:,} bytes")
    return data.decode().strip(" \t\r\n")


def _value(data: bytes, key: str) -> str | None:
    """A label that stands in a JSON object, written as a table's would be."""
    document = parse_json(data, what="its JSON", limit=_MAX_LABEL)
    if not isinstance(document, dict):
        raise FormatError("its JSON is not an object")
    match document.get(key):
        case None:
            return None
        case str(text):
            return text
        case bool(truth):
            return "true" if truth else "false"
        case int(number) | float(number):
            return str(number)
    raise FormatError(f"{quoted(key)} is neither text nor a number")
