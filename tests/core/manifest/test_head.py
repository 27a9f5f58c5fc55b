"""Heads: read back as written, or refused with our errors; the schema says what the parser does."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from provreg.core.encoding.canonical import canonical
from provreg.core.manifest.head import Head, NameCounts, PartRef, parse_head, root_of_parts
from provreg.errors import FormatError
from provreg.readers.archives import webdataset
from provreg.readers.files import folder
from provreg.readers.huggingface import huggingface
from provreg.readers.idx import idx
from provreg.readers.tables import table

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas" / "head.v1.json").read_text("utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
BLAKE3 = "blake3:" + "ab" * 32
SHA256 = "sha256:" + "cd" * 32
FOLDER = {"reader": "folder", "reader_version": 1, "label": "dir", "split": "none", "include": [],
          "exclude": ["*.txt"], "left_out": {"hidden": 2}}  # fmt: skip
TABLE = {"reader": "csv", "reader_version": 1, "columns": [{"name": "q", "type": "text"}],
         "id": None, "label": None, "split": None, "source": None, "labeler": None,
         "labeled_at": None, "null_words": [""], "delimiter": ","}  # fmt: skip
SHARDS = {"reader": "webdataset", "reader_version": 1, "id": "stem", "label": "cls",
          "split": None, "left_out": {"unnamed": 2}}  # fmt: skip
HUGGING = {"reader": "huggingface", "reader_version": 1, "columns": TABLE["columns"], "id": None,
           "label": None, "split": None, "source": None, "labeler": None, "labeled_at": None,
           "split_from": "file",
           "features": [{"at": ["q", None], "type": "ClassLabel", "with": {"names": ["b", "a"]}}],
          }  # fmt: skip
IDX = {"reader": "idx", "reader_version": 1, "label": "file", "split": "none"}
# What a schema cannot say: relations between fields, lengths in bytes, dates, and (in a reading)
# numbers that canonical JSON does not have.
BEYOND_SCHEMA = re.compile(
    "root does not follow|do not add up|not in the order of their ids|is longer than"
    "|is not a valid time|not representable as canonical JSON|a hidden character"
)


def make_head() -> Head:
    parts = (
        PartRef(BLAKE3, BLAKE3, 1000, 5, "a/1", "a/5"),
        PartRef(BLAKE3, BLAKE3, 900, 4, "b/1", "é"),
    )
    return Head(
        dataset="pets",
        uid="0123456789abcdef" * 2,
        version=2,
        parent=SHA256,
        root=root_of_parts([(part.rows, part.blocks) for part in parts]),
        samples=9,
        parts=parts,
        reading=FOLDER,
        label_type="class",
        classes=("cat", "dog"),
        changes=dict.fromkeys(
            ("injected", "removed", "relabeled", "modified", "renamed", "reattributed", "resplit"),
            3,
        ),
        sources=NameCounts(2, (("shelter", 8), ("park", 1)), BLAKE3),
        labelers=NameCounts(0, (), BLAKE3),
        reused_digests=4,
        created=datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC),
        message="ein erster Wurf: é",
    )


DOCUMENT: dict[str, Any] = json.loads(make_head().to_bytes())


def paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every field and item of a document stands."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield (*before, key)
        if isinstance(value[key], dict | list):
            yield from paths(value[key], (*before, key))


def changed(path: tuple[Any, ...], change: Any) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    change(place, path[-1])
    return document


def refusal(data: bytes) -> tuple[Head | None, str]:
    """The head, or why it is refused; anything but FormatError escapes."""
    try:
        return parse_head(data), ""
    except FormatError as error:
        return None, error.message


def check_agreement(document: Any) -> None:
    """The parser takes what the schema takes, and raises nothing but FormatError."""
    try:
        data = canonical(document)
    except FormatError:
        return
    seen = json.loads(data)
    head, why = refusal(data)
    if head is None:
        assert why
        assert not VALIDATOR.is_valid(seen) or BEYOND_SCHEMA.search(why), why
    else:
        assert VALIDATOR.is_valid(seen), list(VALIDATOR.iter_errors(seen))
        assert head.to_bytes() == data


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_a_head_reads_back_as_written() -> None:
    head = make_head()
    assert parse_head(head.to_bytes()) == head
    VALIDATOR.validate(DOCUMENT)


def test_a_first_version_reads_back_as_written() -> None:
    head = replace(make_head(), version=1, parent=None, label_type="none", classes=())
    assert parse_head(head.to_bytes()) == head
    check_agreement(json.loads(head.to_bytes()))


def test_identity_is_the_sha256_of_the_bytes() -> None:
    import hashlib

    head = make_head()
    assert head.digest() == "sha256:" + hashlib.sha256(head.to_bytes()).hexdigest()


WRONG: tuple[Any, ...] = (
    None, True, -1, 0, 1, 1.5, 2**53 - 1, "", "x", "\n", "a" * 5000, BLAKE3, BLAKE3 + "\n", SHA256,
    [], [1], ["x", "x"], {}, {"x": 1}, "class", "text", "2026-02-30T00:00:00Z",
    "0000-01-01T00:00:00Z", "0999-12-31T23:59:59Z", "٢٠٢٦-11-22T10:00:00Z", "2026-11-22T10:00:60Z",
    "pets\n", "a..b",
)  # fmt: skip


@pytest.mark.parametrize("path", list(paths(DOCUMENT)), ids=lambda path: ".".join(map(str, path)))
def test_mutated_heads_raise_our_errors_only_and_the_schema_agrees(path: tuple[Any, ...]) -> None:
    def drop(place: Any, key: Any) -> None:
        del place[key]

    def add(place: Any, key: Any) -> None:
        if isinstance(place[key], dict):
            place[key]["unknown"] = 1
        elif isinstance(place[key], list):
            place[key].append(1)

    check_agreement(changed(path, drop))
    check_agreement(changed(path, add))
    for value in WRONG:

        def put(place: Any, key: Any, value: Any = value) -> None:
            place[key] = value

        check_agreement(changed(path, put))


def test_lists_end_where_the_schema_says() -> None:
    def named(count: int) -> dict[str, Any]:
        top = [{"name": str(n), "samples": 1} for n in range(count)]
        return {"distinct": count, "top": top, "table": BLAKE3}

    for field, values in (
        ("sources", (named(20), named(21))),
        ("classes", ([str(n) for n in range(10_000)], [str(n) for n in range(10_001)])),
        ("samples", (9, 2**53)),
    ):
        sound, _ = values
        assert parse_head(canonical(DOCUMENT | {field: sound}))
        for value in values:
            check_agreement(DOCUMENT | {field: value})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**53 - 1) | st.text(max_size=20)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_heads_with_any_json_anywhere_raise_our_errors_only(data: st.DataObject) -> None:
    document = copy.deepcopy(DOCUMENT)
    for _ in range(data.draw(st.integers(1, 3))):
        *before, last = data.draw(st.sampled_from(list(paths(document))))
        place: Any = document
        for key in before:
            place = place[key]
        place[last] = data.draw(JSON)
    check_agreement(document)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_head_parser(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_head(data)


@settings(deadline=None)
@given(st.integers(0, len(make_head().to_bytes()) - 1), st.integers(0, 7))
def test_any_changed_bit_is_refused_or_another_head(place: int, bit: int) -> None:
    data = bytearray(make_head().to_bytes())
    data[place] ^= 1 << bit
    head, _ = refusal(bytes(data))
    assert head is None or (head != make_head() and head.to_bytes() == data)


def test_a_newer_head_says_what_to_do() -> None:
    for newer in ({"format": "provreg.head/v2"}, {"critical": ["x"]}, {"colour": 1}):
        with pytest.raises(FormatError) as caught:
            parse_head(canonical(DOCUMENT | newer))
        assert "update" in caught.value.hint


def test_hostile_texts_do_not_act_through_messages() -> None:
    for field in ("dataset", "format", "created"):
        with pytest.raises(FormatError) as caught:
            parse_head(canonical(DOCUMENT | {field: "\x1b[2J\u202e"}))
        assert caught.value.message.isprintable()
    with pytest.raises(FormatError) as caught:
        parse_head(canonical(DOCUMENT | {"\x1b[2J": 1}))
    assert caught.value.message.isprintable()


def reading_schema(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]})


@pytest.mark.parametrize(
    ("name", "reading", "parse"),
    [
        ("reading-folder", FOLDER, folder.options_from_reading),
        ("reading-table", TABLE, table.options_from_reading),
        ("reading-huggingface", HUGGING, huggingface.options_from_reading),
        ("reading-idx", IDX, idx.options_from_reading),
        ("reading-webdataset", SHARDS, webdataset.options_from_reading),
    ],
)
def test_readings_fit_their_schema(name: str, reading: dict[str, Any], parse: Any) -> None:
    validator = reading_schema(name)
    parse(reading)
    validator.validate(reading)
    validator.validate(reading | {"labels_file": ["label", "source"]})
    for field in reading:
        less = {key: value for key, value in reading.items() if key != field}
        for wrong in (less, reading | {field: 5.5}, reading | {"unknown": 1}):
            assert not validator.is_valid(wrong)
            with pytest.raises(FormatError):
                parse(wrong)
