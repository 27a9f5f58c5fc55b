"""What the second reader (`second_reader.py`) takes from docs/format/manifest.md.

What part files may be made of is `second_parts`.
"""

from __future__ import annotations

import re
import struct
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from blake3 import blake3
from second_conventions import Refused, digest, parse, raw, refuse_unless
from second_parts import check_form, most_unfolded

# --- "Claim and leaf" -----------------------------------------------------------------------------

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def hashed(context: str, data: bytes) -> bytes:
    made: bytes = blake3(data, derive_key_context=f"provreg 2026-11-22 v1 {context}").digest()
    return made


def encoded(*numbered: tuple[int, Any]) -> bytes:
    return b"".join(
        struct.pack("<BI", place, len(value)) + value
        for place, value in (
            (place, _bytes(value)) for place, value in numbered if value is not None
        )
    )


def _bytes(value: Any) -> bytes:
    if isinstance(value, datetime):
        return struct.pack("<q", (value - EPOCH) // timedelta(microseconds=1))
    return value.encode() if isinstance(value, str) else value


def claim(entry: Mapping[str, Any]) -> bytes:
    notes = entry["annotations"]
    if notes is not None:
        each = [encoded((1, n["label"]), (2, n["labeler"]), (3, n["labeled_at"])) for n in notes]
        notes = struct.pack("<I", len(each)) + b"".join(
            struct.pack("<I", len(note)) + note for note in each
        )
    return hashed(
        "claim",
        encoded(
            (1, entry["content"]), (2, struct.pack("<Q", entry["size"])), (3, entry["label"]),
            (4, entry["label_digest"]), (5, entry["labeler"]), (6, entry["labeled_at"]), (7, notes),
        ),
    )  # fmt: skip


def leaf(entry: Mapping[str, Any]) -> bytes:
    return hashed(
        "leaf",
        encoded(
            (1, entry["id"]), (2, claim(entry)), (3, entry["source"]), (4, entry["delivery"]),
            (5, entry["split"]), (6, entry["uri"]), (7, entry["content_sha256"]),
            (8, entry["attrs"]),
        ),
    )  # fmt: skip


# --- "Names" --------------------------------------------------------------------------------------

TABLE = (
    "0000-001F 007F-009F 00AD 034F 061C 115F-1160 17B4-17B5 180B-180F 200B-200F 2028-202E 2060-206F"
    " 2800 3164 E000-F8FF FDD0-FDEF FE00-FE0F FEFF FFA0 FFF0-FFFB FFFE-FFFF 16FE4"
    " 1BCA0-1BCA3 1D159 1D173-1D17A E0000-E0FFF EFFFE-10FFFF"
)
BLANKS = "0020 00A0 1680 2000-200A 202F 205F 3000"
VIRAMAS = (
    "094D 09CD 0A4D 0ACD 0B4D 0BCD 0C4D 0CCD 0D3B 0D3C 0D4D 0DCA 0E3A 0EBA 0F84 1039 103A 1714 1715"
    " 1734 17D2 1A60 1B44 1BAA 1BAB 1BF2 1BF3 2D7F A806 A82C A8C4 A953 A9C0 AAF6 ABED"
)
BOTH_SIDES = (
    "0620 0626 0628 062A-062E 0633-063F 0641-0647 0649-064A 066E-066F 0678-0687 069A-06BF 06C1-06C2"
    " 06CC 06CE 06D0-06D1 06FA-06FC 06FF 075C-076A 076D-0770 0772 0775-0777 077A-077F"
)
TO_WHAT_IS_BEFORE = (
    "0622-0625 0627 0629 062F-0632 0648 0671-0673 0675-0677 0688-0699 06C0 06C3-06CB 06CD 06CF"
    " 06D2-06D3 06D5 06EE-06EF 0759-075B 076B-076C 0771 0773-0774 0778-0779"
)
MARKS = "0610-061A 064B-065F 0670 06D6-06DC 06DF-06E4 06E7-06E8 06EA-06ED"
EMOJI = (
    "00A9 00AE 203C 2049 2122 2139 2194-2199 21A9-21AA 2300-23FF 24C2 25AA-25AB 25B6 25C0 25FB-25FE"
    " 2600-27BF 2934-2935 2B05-2B07 2B1B-2B1C 2B50 2B55 3030 303D 3297 3299 1F000-1FAFF"
)


def within(character: str, ranges: str) -> bool:
    for one in ranges.split():
        first, _, last = one.partition("-")
        if int(first, 16) <= ord(character) <= int(last or first, 16):
            return True
    return False


def unseen(character: str) -> bool:
    return within(character, TABLE) or ord(character) & 0xFFFF in (0xFFFE, 0xFFFF)


def check_name(name: str) -> None:
    refuse_unless(not any(map(unseen, name)), "a name that holds what is not seen")
    refuse_unless(not any(within(one, BLANKS) for one in name[:1] + name[-1:]), "a blank at an end")
    refuse_unless(unicodedata.normalize("NFC", name) == name, "a name that is not normalized")


def check_class(name: str) -> None:
    for at, character in enumerate(name):
        if unseen(character):
            refuse_unless(joins(character, name[:at], name[at + 1 :]), "a class with the unseen")


def joins(character: str, before: str, after: str) -> bool:
    last, following = before[-1:], after[:1]
    if character in "\u200c\u200d" and last and within(last, VIRAMAS):
        return True
    if character == "\u200c":
        old = [one for one in before if not within(one, MARKS)][-1:]
        new = [one for one in after if not within(one, MARKS)][:1]
        joining = f"{BOTH_SIDES} {TO_WHAT_IS_BEFORE}"
        return bool(old and new) and within(old[0], BOTH_SIDES) and within(new[0], joining)
    if character == "\u200d":
        last = before.removesuffix("\ufe0f")[-1:]
        return bool(last and following) and within(last, EMOJI) and within(following, EMOJI)
    if character in "\ufe0e\ufe0f" and last:
        return within(last, EMOJI) or (last in "0123456789#*" and following == "\u20e3")
    return False


# --- "Cuts" and "Tree" ----------------------------------------------------------------------------


def mark(identity: str) -> int:
    return zlib.crc32(identity.encode()) * 0x9E3779B1 % 2**32


def ends_block(ids: Sequence[str]) -> bool:
    """Whether a block that holds `ids` ends here, though it is not the last."""
    size = sum(len(identity.encode()) for identity in ids)
    return (len(ids) >= 64 and mark(ids[-1]) < 22_369_621) or len(ids) == 1024 or size >= 65_536


def ends_part(entries: int, size: int, last: str) -> bool:
    """Whether a part ends with a block that ends here, though it is not the last."""
    return (entries >= 2**14 and mark(last) < 116_508) or entries > 2**18 - 2**10 or size >= 2**24


def blocks_of(ids: Sequence[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for identity in ids:
        block.append(identity)
        if ends_block(block):
            yield block
            block = []
    if block:
        yield block


def check_cut(ids: Sequence[str], blocks: Sequence[Sequence[str]], *, last: bool) -> None:
    """Refuses a part that goes on behind an end, or ends where none is."""
    entries = size = 0
    for place, block in enumerate(blocks, start=1):
        entries += len(block)
        size += sum(len(identity.encode()) for identity in block)
        if place < len(blocks):
            refuse_unless(not ends_part(entries, size, block[-1]), "part too long")
        elif not last:
            ended = ends_block(block) and ends_part(entries, size, ids[-1])
            refuse_unless(ended, "part ended early")


def logical_digest(blocks: Sequence[Sequence[bytes]]) -> str:
    data = b"provreg blocks v1\n" + struct.pack("<QI", sum(map(len, blocks)), len(blocks))
    for leaves in blocks:
        hashed_block = hashed("block", struct.pack("<Q", len(leaves)) + b"".join(leaves))
        data += struct.pack("<I", len(leaves)) + hashed_block
    return digest("blake3", data)


def root(parts: Sequence[Mapping[str, Any]]) -> str:
    data = struct.pack("<QI", sum(part["rows"] for part in parts), len(parts))
    for part in parts:
        data += struct.pack("<Q", part["rows"]) + raw(part["blocks"])
    return "blake3:" + hashed("root", data).hex()


# --- "Part file" and "Entry" ----------------------------------------------------------------------

TIME = pa.timestamp("us", tz="UTC")
NOTE = pa.struct([("label", pa.string()), ("labeler", pa.string()), ("labeled_at", TIME)])
COLUMNS = (
    ("id", pa.string()), ("content", pa.binary(32)), ("size", pa.uint64()), ("label", pa.string()),
    ("label_digest", pa.binary(32)), ("source", pa.string()), ("labeler", pa.string()),
    ("labeled_at", TIME), ("split", pa.string()), ("delivery", pa.binary(32)),
    ("annotations", pa.list_(NOTE)), ("uri", pa.string()), ("content_sha256", pa.binary(32)),
    ("attrs", pa.string()),
)  # fmt: skip
NEEDED = ("id", "content", "size", "source")
LIMITS = {"id": 4096, "label": 1024, "source": 256, "labeler": 256, "split": 256, "uri": 8192,
          "attrs": 4096}  # fmt: skip
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999


def read_part(data: bytes, rows: int) -> list[dict[str, Any]]:
    try:
        footer = pq.read_metadata(pa.BufferReader(check_form(data, rows)))
        file = pq.ParquetFile(pa.BufferReader(data), metadata=footer)
        entries = file.read()
        entries.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise Refused(f"no Parquet: {error}") from None
    refuse_unless(file.metadata.num_row_groups == 1 and entries.num_rows == rows, "rows")
    found = [(field.name, field.type, field.nullable) for field in entries.schema]
    refuse_unless(found == [(name, kind, name not in NEEDED) for name, kind in COLUMNS], "columns")
    for times in (
        entries["labeled_at"],
        entries["annotations"].combine_chunks().flatten().field(2),
    ):
        for moment in times.cast(pa.int64()).to_pylist():
            refuse_unless(moment is None or FIRST <= moment <= LAST, "time")
    notes = entries["annotations"].combine_chunks().flatten()
    texts = [entries["id"], entries["uri"], entries["attrs"], notes.field(0), notes.field(1)]
    said = sum(pc.sum(pc.binary_length(each)).as_py() or 0 for each in texts)
    refuse_unless(said <= most_unfolded(data), "too much text")
    return entries.to_pylist()


def check_entries(entries: Sequence[Mapping[str, Any]]) -> None:
    before = b""
    for place, entry in enumerate(entries):
        identity = entry["id"].encode()
        refuse_unless(place == 0 or before < identity, "ids not ascending")
        before = identity
        refuse_unless(entry["id"] != "" and not UNSAFE.search(entry["id"]), "id")
        refuse_unless(entry["source"] != "", "no source")
        notes = entry["annotations"] or ()
        refuse_unless(len(notes) <= 1024 and None not in notes, "annotations")
        for said in (entry, *notes):
            long = [name for name in LIMITS if len((said.get(name) or "").encode()) > LIMITS[name]]
            refuse_unless(not long, "too long")
            for name in ("source", "labeler", "split"):
                check_name(said.get(name) or "")
        refuse_unless(None in (entry["label"], entry["label_digest"]), "label and digest")
        if entry["attrs"] is not None:
            parse(entry["attrs"].encode(), 4096)


def check_paths(ids: Sequence[str]) -> None:
    for identity in ids:
        bad = any(part in ("", ".", "..") for part in identity.split("/"))
        refuse_unless(not bad and "\\" not in identity, "no path")
    folded = {unicodedata.normalize("NFC", identity).casefold() for identity in ids}
    refuse_unless(len(folded) == len(ids), "one file on other systems")
