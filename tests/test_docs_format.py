"""docs/format/manifest.md and head.md against the code, and their examples against themselves."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3

from provreg.core.encoding.strict_fields import MAX_INTEGER
from provreg.core.manifest import leaf, tree
from provreg.core.manifest.bounds import FIRST_TIME, LAST_TIME, LIMITS, MAX_ANNOTATIONS
from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.head import (
    LABEL_TYPES,
    MAX_CLASSES,
    MAX_HEAD_BYTES,
    MAX_PART_BYTES,
    TOP_NAMES,
)
from provreg.core.manifest.leaf import leaves
from provreg.core.manifest.manifest import build_parts
from provreg.core.manifest.root import PART_MAX_ENTRIES, ROOT_CONTEXT, root
from provreg.readers.labels import LABEL_COLUMNS
from provreg.store.registry.parts import write_part

ROOT = Path(__file__).parents[1]
FORMAT = ROOT / "docs" / "format"
MANIFEST = (FORMAT / "manifest.md").read_text("utf-8")
HEAD = (FORMAT / "head.md").read_text("utf-8")
HEAD_SCHEMA = json.loads((ROOT / "schemas" / "head.v1.json").read_text("utf-8"))


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one that is not below it."""
    match = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert match, heading
    rest = text[match.end() :]
    following = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.MULTILINE)
    return rest if following is None else rest[: following.start()]


def rows_of(text: str) -> list[list[str]]:
    """The rows of all tables, without their headings."""
    rows: list[list[str]] = []
    lines = text.splitlines()
    for place, line in enumerate(lines):
        ruled = place + 1 < len(lines) and set(lines[place + 1]) <= set("|-: ") and lines[place + 1]
        if line.startswith("|") and not ruled and not set(line) <= set("|-: "):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def unwrapped(text: str) -> str:
    return " ".join(text.split())


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_the_table_of_columns_is_that_of_an_entry() -> None:
    rows = {names_in(row[0])[0]: row for row in rows_of(section(MANIFEST, "Entry"))}
    assert list(rows) == ENTRY.names
    types = {"string": "text", "fixed_size_binary[32]": "32 bytes", "uint64": "u64",
             "timestamp[us, tz=UTC]": "time"}  # fmt: skip
    for field in ENTRY:
        _, kind, null, limit, _ = rows[field.name]
        plain = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        assert kind == types.get(str(plain), "list")
        assert (null == "yes") == field.nullable
        if field.name in LIMITS:
            assert limit.endswith(f"{LIMITS[field.name]:,} bytes")
    assert rows["annotations"][3] == f"{MAX_ANNOTATIONS:,} items"


def test_field_numbers_and_contexts_are_those_of_the_code() -> None:
    text = section(MANIFEST, "Claim and leaf")
    rows = [(names_in(row[0]) or ["claim"], int(row[1])) for row in rows_of(text)]
    numbered = [(names[0], number) for names, number in rows]
    assert numbered == [
        *leaf._CLAIM_FIELDS, ("id", leaf._ID), ("claim", leaf._CLAIM), *leaf._LEAF_FIELDS,
    ]  # fmt: skip
    notes = re.search(r"encoded as above: (.*?) \|", unwrapped(text))
    assert notes
    assert re.findall(r"(\d) `(\w+)`", notes[1]) == [
        (str(place), name) for name, place in leaf._ANNOTATION_FIELDS
    ]
    contexts = set(re.findall(r'H\("([^"]+)"', MANIFEST))
    assert contexts == {
        leaf.CLAIM_CONTEXT, leaf.LEAF_CONTEXT, tree.BLOCK_CONTEXT, ROOT_CONTEXT
    }  # fmt: skip


def test_the_numbers_of_the_cuts_are_those_of_the_code() -> None:
    text = unwrapped(section(MANIFEST, "Cuts"))
    for said in (
        f"at least the {tree.BLOCK_MIN_ENTRIES}th of the block",
        f"= {tree._BLOCK_MARK:,};",
        f"the {tree.BLOCK_MAX_ENTRIES:,}th of the block",
        f"have {tree.BLOCK_MAX_ID_BYTES:,} bytes or more",
        f"at least {tree.PART_MIN_ENTRIES:,} (2¹⁴) entries",
        f"= {tree._PART_MARK:,};",
        f"more than {PART_MAX_ENTRIES - tree.BLOCK_MAX_ENTRIES:,} (2¹⁸ \u2212 1,024) entries",
        f"fit into {PART_MAX_ENTRIES:,} (2¹⁸)",
        f"have {tree.PART_MAX_ID_BYTES:,} (2²⁴) bytes or more",
        f"0x{tree._MIX:X}",
    ):
        assert said in text, said
    assert f"from {FIRST_TIME} to {LAST_TIME}".replace("-", "\u2212") in unwrapped(MANIFEST)


def test_the_example_of_a_mark() -> None:
    said = re.search(
        r"The mark of `([^`]+)` is ([\d,]+); its CRC-32 is ([\d,]+)\.", unwrapped(MANIFEST)
    )
    assert said
    import zlib

    assert zlib.crc32(said[1].encode()) == number(said[3])
    assert tree._marks(pa.array([said[1]]))[0] == number(said[2])


def test_the_example_follows_from_its_own_lines_and_from_the_code() -> None:
    block = re.search(r"```example\n(.*?)```", MANIFEST, re.DOTALL)
    assert block
    values: dict[str, bytes] = {}
    hashed: dict[str, bytes] = {}
    for line in block[1].splitlines():
        name, of, text = re.fullmatch(r"(\w+)\s+(of )?\s*(.*)", line).groups()  # type: ignore[union-attr]
        data = b"".join(
            values[word[1:-1]] if word.startswith("[") else bytes.fromhex(word)
            for word in text.split()
        )
        (hashed if of else values)[name] = data
    for name, data in hashed.items():
        context = f"provreg 2026-11-22 v1 {name}"
        assert blake3(data, derive_key_context=context).digest() == values[name]
    assert values["content"] == blake3(b"a picture").digest()
    assert values["logical"] == blake3(values["list"]).digest()
    entry = {"id": "1.txt", "content": values["content"], "size": 9, "label": "cat",
             "source": "shelter", "labeler": "ann"}  # fmt: skip
    entries = pa.Table.from_pylist([entry], schema=ENTRY)
    [part] = build_parts(entries)
    assert leaves(entries) == values["leaf"]
    assert part.blocks.to_bytes() == values["list"]
    assert root([(1, part.blocks.logical_digest())]) == "blake3:" + values["root"].hex()


def test_the_described_part_file_is_the_one_that_is_written() -> None:
    entry = {"id": "a", "content": b"c" * 32, "size": 1, "source": "s"}
    file = pq.ParquetFile(io.BytesIO(write_part(pa.Table.from_pylist([entry], schema=ENTRY))))
    text = re.search(r"```\nmessage schema \{\n(.*?)\n\}\n```", MANIFEST, re.DOTALL)
    assert text
    found = re.sub(r" field_id=-?\d+", "", str(file.schema).split("{\n", 1)[1].rsplit("}", 1)[0])
    names = {
        "(String)": "(STRING)",
        "(List)": "(LIST)",
        "(Int(bitWidth=64, isSigned=false))": "(INTEGER(64, false))",
    }
    for theirs, ours in names.items():
        found = found.replace(theirs, ours)
    found = re.sub(r"\(Timestamp\(isAdjustedToUTC=true, timeUnit=microseconds.*?\)\)",
                   "(TIMESTAMP(MICROS, true))", found)  # fmt: skip
    assert [line.strip() for line in found.strip().splitlines()] == [
        line.strip() for line in text[1].splitlines()
    ]


def fields_of(table: str) -> dict[str, str]:
    """Field to form, of a table whose first column names one or several fields."""
    return {name: row[1] for row in rows_of(table) for name in names_in(row[0])}


def test_the_fields_of_a_head_are_those_of_its_schema() -> None:
    head, part = section(HEAD, "Fields").split("Each of `parts`:")
    assert set(fields_of(head)) == set(HEAD_SCHEMA["properties"]) == set(HEAD_SCHEMA["required"])
    assert set(fields_of(part)) == set(HEAD_SCHEMA["$defs"]["part"]["required"])
    names = fields_of(section(HEAD, "Name tables"))
    assert set(names) == set(HEAD_SCHEMA["$defs"]["names"]["required"])
    example = re.search(r"```json\n(\{\n.*?\n\})\n```", HEAD, re.DOTALL)
    assert example
    document = json.loads(example[1])
    assert set(document) == set(HEAD_SCHEMA["required"])
    assert [set(one) for one in document["parts"]] == [set(fields_of(part))]


def test_the_limits_of_a_head_are_those_of_the_code() -> None:
    head, part = section(HEAD, "Fields").split("Each of `parts`:")
    fields, parts = fields_of(head), fields_of(part)
    assert f"at most {MAX_CLASSES:,}," in fields["classes"]
    assert fields["samples"] == "1 to 2⁵³ \u2212 1"
    assert MAX_INTEGER == 2**53 - 1
    assert parts["size"] == f"1 to {MAX_PART_BYTES:,}"
    assert parts["rows"] == f"1 to {PART_MAX_ENTRIES:,}"
    assert f"at most {TOP_NAMES};" in fields_of(section(HEAD, "Name tables"))["top"]
    assert f"of at most {MAX_HEAD_BYTES >> 20} MiB" in unwrapped(HEAD)
    assert names_in(fields["label_type"]) == list(LABEL_TYPES)
    types = [names_in(row[0])[0] for row in rows_of(section(HEAD, "Labels and classes"))]
    assert types == list(LABEL_TYPES)


@pytest.mark.parametrize(
    ("heading", "following", "name"),
    [
        ("**Folders**", "**Tables**", "reading-folder"),
        ("**Tables**", "**Shards**", "reading-table"),
        ("**Shards**", "**Datasets**", "reading-webdataset"),
        ("**Datasets**", "**IDX**", "reading-huggingface"),
        ("**IDX**", "**Readers", "reading-idx"),
    ],
)
def test_the_fields_of_a_reading_are_those_of_its_schema(
    heading: str, following: str, name: str
) -> None:
    text = section(HEAD, "Reading")
    said = fields_of(text[text.index(heading) : text.index(following)])
    schema = HEAD_SCHEMA["$defs"][name]
    optional = {field for field, form in said.items() if "Left out where" in form}
    assert set(said) - optional == set(schema["required"])
    assert set(said) == set(schema["properties"]) - {"labels_file", "beside", "adopted", "says"}


def test_the_fields_of_what_lies_beside_the_data_are_those_of_the_schema() -> None:
    text = section(HEAD, "Reading")
    said = fields_of(text[text.index("**Beside the data**") :])
    assert set(said) == {"beside", "adopted"}
    for name in said:
        assert f"list of one to {HEAD_SCHEMA['$defs'][name]['maxItems']} " in said[name]


def test_the_columns_of_a_labels_file_are_those_of_the_code() -> None:
    text = section(HEAD, "Reading")
    listed = text[text.index("the list of those of") :]
    assert names_in(listed)[: len(LABEL_COLUMNS)] == list(LABEL_COLUMNS)
    assert HEAD_SCHEMA["$defs"]["labels-file"]["items"]["enum"] == list(LABEL_COLUMNS)


def test_every_schema_that_is_named_exists_and_is_named() -> None:
    pages: Any = [path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md")]
    named = {name for page in pages for name in re.findall(r"schemas/[\w.-]+\.json", page)}
    assert named == {f"schemas/{path.name}" for path in (ROOT / "schemas").glob("*.json")}
