"""The pages of docs/format against code, schemas and vectors, and their worked bytes."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from jsonschema import Draft202012Validator

from provreg.core.encoding.strict_fields import MAX_INTEGER
from provreg.core.manifest import leaf, tree
from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.head import (
    KINDS,
    LABEL_TYPES,
    MAX_CLASSES,
    MAX_HEAD_BYTES,
    MAX_PART_BYTES,
    ROOT_CONTEXT,
    TOP_NAMES,
    parse_head,
    root_of_parts,
)
from provreg.core.manifest.leaf import claims, leaves
from provreg.core.manifest.limits import (
    FIRST_TIME,
    LAST_TIME,
    LIMITS,
    MAX_ANNOTATIONS,
    PART_MAX_ENTRIES,
)
from provreg.core.statements.statement import PAYLOAD_TYPE, pae, statement_of
from provreg.errors import NotTrustedError
from provreg.flows.verify.steps import STEPS
from provreg.readers.labels import LABEL_COLUMNS
from provreg.store.registry.parts import write_part
from provreg.trust.bundle import key_bundle, parse_bundle
from provreg.trust.keys import load_private_pem
from tests.parts import build_parts
from tests.vectors.test_vectors import stored

ROOT = Path(__file__).parents[2]
FORMAT = ROOT / "docs" / "format"
MANIFEST = (FORMAT / "manifest.md").read_text("utf-8")
HEAD = (FORMAT / "head.md").read_text("utf-8")
STATEMENT = (FORMAT / "statement.md").read_text("utf-8")
VERIFICATION = (FORMAT / "verification.md").read_text("utf-8")
POLICY = (FORMAT / "policy.md").read_text("utf-8")
VECTORS = ROOT / "tests" / "vectors"
HEAD_SCHEMA = json.loads((ROOT / "schemas" / "head.v1.json").read_text("utf-8"))


def vector(name: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((VECTORS / "cases" / f"{name}.json").read_bytes())
    return case


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


def worked(text: str, fence: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The bytes of each line of an example, and what the lines `name of …` hash; `[name]` stands
    for the bytes of another line."""
    block = re.search(rf"```{fence}\n(.*?)```", text, re.DOTALL)
    assert block
    values: dict[str, bytes] = {}
    hashed: dict[str, bytes] = {}
    for line in block[1].splitlines():
        name, of, words = re.fullmatch(r"(\w+)\s+(of )?\s*(.*)", line).groups()  # type: ignore[union-attr]
        data = b"".join(
            values[word[1:-1]] if word.startswith("[") else bytes.fromhex(word)
            for word in words.split()
        )
        (hashed if of else values)[name] = data
    for name, data in hashed.items():
        context = f"provreg 2026-11-22 v1 {name}"
        assert blake3(data, derive_key_context=context).digest() == values[name]
    return values, hashed


def test_the_example_follows_from_its_own_lines_and_from_the_code() -> None:
    values, _ = worked(MANIFEST, "example")
    assert values["content"] == blake3(b"a picture").digest()
    assert values["logical"] == blake3(values["list"]).digest()
    entry = {"id": "1.txt", "content": values["content"], "size": 9, "label": "cat",
             "source": "shelter", "labeler": "ann"}  # fmt: skip
    entries = pa.Table.from_pylist([entry], schema=ENTRY)
    [part] = build_parts(entries)
    assert leaves(entries) == values["leaf"]
    assert part.blocks.to_bytes() == values["list"]
    assert root_of_parts([(1, part.blocks.logical_digest())]) == "blake3:" + values["root"].hex()


def test_the_example_of_annotations_and_times_is_the_vector() -> None:
    values, hashed = worked(MANIFEST, "annotations")
    expected = vector("good-annotations")["expect"]["accepted"]
    assert values["claim"].hex() == expected["claims"][0]
    assert values["leaf"].hex() == expected["leaves"][0]
    at = datetime(2026, 11, 22, tzinfo=UTC)
    assert values["at"] == (int(at.timestamp()) * 10**6).to_bytes(8, "little", signed=True)
    notes = [
        {"label": "cat", "labeler": "ann", "labeled_at": at},
        {"label": "dog", "labeler": None, "labeled_at": None},
        {"label": None, "labeler": None, "labeled_at": None},
    ]
    entry = {"id": "1", "content": blake3(b"1").digest(), "size": 1, "label": "cat",
             "source": "shelter", "annotations": notes}  # fmt: skip
    [batch] = pa.Table.from_pylist([entry], schema=ENTRY).to_batches()
    assert hashed["claim"].endswith(
        len(values["annotations"]).to_bytes(4, "little") + values["annotations"]
    )
    assert claims(batch) == values["claim"]


def test_the_worked_statement_is_the_vector_signed_by_the_code() -> None:
    """Record, head, statement, what is signed, signature and bundle, byte by byte."""
    block = re.search(r"```signed\n(.*?)```", STATEMENT, re.DOTALL)
    assert block
    said = dict(line.split(None, 1) for line in block[1].splitlines())
    case = vector("good-worked-example")
    registry = {key: stored(value) for key, value in case["registry"].items()}
    expected = case["expect"]["accepted"]
    assert registry["datasets/pets/versions/00000001.json"].decode() == said["record"]
    digest = expected["head"].removeprefix("sha256:")
    place = f"objects/{digest[:2]}/sha256-{digest}"
    assert registry[place].decode() == said["head"]
    assert f"`{place}`" in STATEMENT
    head = parse_head(said["head"].encode())
    assert head.root == "blake3:" + worked(MANIFEST, "example")[0]["root"].hex()
    statement = statement_of(head)
    assert statement.decode() == said["statement"] == expected["statement"]
    assert sha256(said["head"].encode()).hexdigest() == digest
    written = said["pae"].replace("[statement]", said["statement"]).encode()
    assert written == pae(PAYLOAD_TYPE, statement)
    key = load_private_pem((VECTORS / "keys/TEST-ONLY-alice.pem").read_bytes(), None)
    assert key.sign(written).hex() == said["signature"]
    bundle = key_bundle(statement, key)
    assert bundle.decode() == said["bundle"]
    assert said["name"] == f"sha256-{sha256(bundle).hexdigest()}"
    assert registry[f"datasets/pets/signatures/sha256-{digest}/{said['name']}"] == bundle


def test_the_steps_of_verification_are_those_of_the_code() -> None:
    table = {int(row[0]): row[1] for row in rows_of(section(VERIFICATION, "Order"))}
    headings = re.findall(r"^## Step (\d+): (.+)$", VERIFICATION, re.MULTILINE)
    assert table == {int(number): name for number, name in headings} == STEPS
    code = re.search(r"```\n(verify\(.*?)```", VERIFICATION, re.DOTALL)
    assert code
    steps = [int(step) for step in re.findall(r"\S  +(\d+)(?:  |$)", code[1], re.MULTILINE)]
    assert steps == sorted(steps)
    assert set(steps) == set(STEPS)


def test_the_kinds_of_change_are_those_of_the_code() -> None:
    rows = rows_of(section((FORMAT / "changes.md").read_text("utf-8"), "Comparing two versions"))
    assert sorted(names_in(row[0])[0] for row in rows) == sorted(KINDS)


def test_the_fields_of_a_policy_are_those_of_its_schema() -> None:
    schema = json.loads((ROOT / "schemas" / "policy.v1.json").read_text("utf-8"))
    document, rest = section(POLICY, "Document").split("A principal:")
    principal, rule = rest.split("A rule:")
    named = {name for row in rows_of(document) for name in names_in(row[0])}
    assert named == set(schema["properties"])
    assert set(fields_of(principal)) == set(schema["$defs"]["principal"]["properties"])
    for kind in ("publish", "revoke", "freshness", "train"):
        fields = {
            name
            for row in rows_of(rule)
            for name in names_in(row[0])
            if row[1] == "all" or kind in names_in(row[1])
        }
        assert fields == set(schema["$defs"][kind]["properties"])
    limits = fields_of(section(POLICY, "Limits"))
    assert set(limits) == set(schema["$defs"]["limit"]["properties"])


def bundles_in(case: dict[str, Any]) -> Iterator[bytes]:
    """Every bundle of a vector: over heads, revocations and latest statements."""
    for key, value in case["registry"].items():
        if "/signatures/" in key or key.startswith("latest/"):
            yield stored(value)


def test_the_schema_of_bundles_has_the_form_of_every_bundle_of_the_vectors() -> None:
    """It takes what the code reads, and nothing that the code refuses in steps 1 and 2."""
    schema = Draft202012Validator(json.loads((ROOT / "schemas/bundle.v1.json").read_text("utf-8")))
    good, bad, others = 0, 0, set()
    for path in sorted((VECTORS / "cases").glob("*.json")):
        for data in bundles_in(vector(path.stem)):
            try:
                document = json.loads(data)
            except ValueError:
                document = None
            try:
                parse_bundle(data)
            except NotTrustedError:
                read = False
            else:
                read = True
            good, bad = good + read, bad + (not read)
            if schema.is_valid(document) != read:
                others.add(path.stem)
    assert good > 400
    assert bad > 20
    # What no schema can tell; and a certificate without its log entry, which step 3 refuses.
    assert others == {"bundle-key-twice", "bundle-certificate"}
    [unlogged] = bundles_in(vector("bundle-certificate"))
    assert not schema.is_valid(json.loads(unlogged))


@pytest.mark.parametrize(
    ("schema", "prefix"),
    [
        ("version-record", r"datasets/[^/]+/versions/"),
        ("head", r"objects/../sha256-"),
    ],
)
def test_the_documents_of_sound_vectors_have_the_form_of_their_schemas(
    schema: str, prefix: str
) -> None:
    validator = Draft202012Validator(
        json.loads((ROOT / f"schemas/{schema}.v1.json").read_text("utf-8"))
    )
    checked = 0
    for path in sorted((VECTORS / "cases").glob("good-*.json")):
        for key, value in vector(path.stem)["registry"].items():
            if re.match(prefix, key) and "text" not in value:
                validator.validate(json.loads(stored(value)))
                checked += 1
    assert checked


def test_the_statements_that_sound_vectors_sign_have_the_form_of_their_schemas() -> None:
    validators = {
        kind: Draft202012Validator(
            json.loads((ROOT / f"schemas/statement-{kind}.v1.json").read_text("utf-8"))
        )
        for kind in ("version", "revocation", "withdrawal", "latest")
    }
    seen = set()
    for path in sorted((VECTORS / "cases").glob("good-*.json")):
        for data in bundles_in(vector(path.stem)):
            try:
                statement = json.loads(parse_bundle(data).payload)
            except NotTrustedError:
                continue  # a stranger's
            kind = statement["predicateType"].split("/")[-2]
            validators[kind].validate(statement)
            seen.add(kind)
    assert seen == set(validators)


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
    optional = {field for field, form in said.items() if "Absent where" in form}
    assert set(said) - optional == set(schema["required"])
    assert set(said) == set(schema["properties"]) - {
        "labels_file",
        "aggregation",
        "beside",
        "adopted",
        "says",
    }


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
