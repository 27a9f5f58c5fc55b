"""Manifests: one way to cut and to count them, and every rule of an entry kept."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from provreg.core.changes.origin import merge_appended
from provreg.core.manifest import leaf, tree
from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.head import root_of_parts
from provreg.core.manifest.limits import (
    FIRST_TIME,
    LAST_TIME,
    LIMITS,
    MAX_ANNOTATIONS,
    UNSAFE_IN_IDS,
)
from provreg.core.manifest.manifest import (
    case_twins,
    check_entries,
    check_part,
    check_part_end,
    check_path_ids,
    label_type_of,
    name_counts,
    name_table,
    sort_entries,
)
from provreg.core.manifest.tree import block_list
from provreg.errors import FormatError
from provreg.store.registry.parts import write_part
from tests.parts import Part, build_parts

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas" / "entry.v1.json").read_text("utf-8"))


def numbered(count: int, *, labels: int = 3) -> pa.Table:
    """`count` entries with ids that cut well, in order."""
    rows = [
        {"id": f"{n:05}.jpg", "content": blake3(b"%d" % n).digest(), "size": n, "source": "s",
         "label": f"l{n % labels}", "labeler": None if n % 4 else f"w{n % 5}"}
        for n in range(count)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=ENTRY)


def root_of(parts: list[Part]) -> str:
    return root_of_parts([(part.entries.num_rows, part.blocks.logical_digest()) for part in parts])


ENTRIES = numbered(900)
PARTS = list(build_parts(ENTRIES))
ROOT = root_of(PARTS)


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_the_order_of_ingestion_never_changes_the_root(chance: random.Random, runs: int) -> None:
    rows = list(range(900))
    chance.shuffle(rows)
    ends = sorted(chance.sample(range(1, 900), runs))
    version = ENTRY.empty_table()
    for start, stop in zip([0, *ends], [*ends, 900], strict=True):
        delivery = sort_entries(ENTRIES.take(pa.array(rows[start:stop])).unify_dictionaries())
        version = merge_appended(version, delivery)
    assert root_of(list(build_parts(version))) == ROOT


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 899), max_size=5, unique=True))
def test_parts_depend_on_the_set_of_entries_alone(cuts: list[int]) -> None:
    """Not on chunks, and not on how their dictionaries are numbered."""
    rows = ENTRIES.to_pylist()
    ends = sorted(cuts)
    pieces = [
        pa.Table.from_pylist(rows[a:b], schema=ENTRY)
        for a, b in zip([0, *ends], [*ends, 900], strict=True)
    ]
    parts = list(build_parts(pa.concat_tables(pieces)))
    assert [part.blocks.to_bytes() for part in parts] == [part.blocks.to_bytes() for part in PARTS]
    assert sum(part.entries.num_rows for part in parts) == 900


def test_what_is_built_is_sound_part_by_part() -> None:
    entries = numbered(60_000)
    parts = list(build_parts(entries))
    assert len(parts) > 1
    for part in parts:
        check_part(part.entries, part.blocks.logical_digest())
    for part in parts[:-1]:
        check_part_end(part.entries)


def first_part() -> pa.Table:
    """The first of several parts, which ends where its ids say."""
    return next(build_parts(numbered(60_000))).entries


def test_a_part_that_ends_early_is_refused() -> None:
    part = first_part()
    check_part_end(part)
    with pytest.raises(FormatError, match="ends too early for its ids"):
        check_part_end(part.slice(0, part.num_rows - 1))


def test_a_part_that_ends_inside_a_block_is_refused() -> None:
    """Its last id could end a part, had its block only enough entries to end there."""
    part = first_part()
    ends = tree.cut(part["id"]).blocks
    few = part.slice(0, int(ends[-2]) + 10)
    marked = next(
        name
        for name in (f"{few['id'][-1].as_py()}-{salt}" for salt in range(10**6))
        if tree._marks(pa.array([name]))[0] < tree._PART_MARK
    )
    ids = pa.chunked_array([few["id"].combine_chunks()[:-1], pa.array([marked])])
    early = few.set_column(0, ENTRY.field("id"), ids)
    assert early.num_rows >= tree.PART_MIN_ENTRIES
    check_entries(early)
    with pytest.raises(FormatError, match="ends too early for its ids"):
        check_part_end(early)


def test_a_part_at_its_maximum_must_end_with_a_whole_block() -> None:
    """Past 2^18 - 1,024 entries a part ends, but only where a block does."""
    ids = pa.chunked_array([pa.array([f"{n:07}" for n in range(2**18)])])
    cuts = tree.cut(ids)
    ends = cuts.blocks[cuts.parts - 1]
    full = ids.slice(0, int(ends[0]))
    assert tree.closes_part(full)
    for less in (1, 5, 63):
        assert not tree.closes_part(full.slice(0, len(full) - less))


def one(**columns: Any) -> pa.Table:
    first = {"id": "a", "content": b"c" * 32, "size": 1, "source": "s"}
    return pa.Table.from_pylist([first, first | {"id": "b"} | columns], schema=ENTRY)


def refuse(entries: pa.Table, match: str) -> None:
    with pytest.raises(FormatError, match=match):
        check_entries(entries)


@pytest.mark.parametrize("name", [name for name in LIMITS if name not in ("id", "attrs")])
def test_texts_are_bounded_in_bytes(name: str) -> None:
    check_entries(one(**{name: "é" * (LIMITS[name] // 2)}))
    refuse(one(**{name: "é" * (LIMITS[name] // 2) + "x"}), f"'b': the {name} is too long")


def test_ids_are_bounded_in_bytes() -> None:
    check_entries(one(id="b" * 4096))
    refuse(one(id="b" * 4097), "id is too long")


@pytest.mark.parametrize(
    ("count", "sound"), [(MAX_ANNOTATIONS, True), (MAX_ANNOTATIONS + 1, False)]
)
def test_annotations_are_bounded(count: int, sound: bool) -> None:
    entries = one(annotations=[{"label": "x"}] * count)
    if sound:
        check_entries(entries)
    else:
        refuse(entries, "'b': more than 1024 annotations")


@pytest.mark.parametrize(
    ("note", "match"),
    [
        (None, "'b': an annotation is null"),
        ({"label": "x" * 1025}, "'b': the label of an annotation is too long"),
        ({"labeler": "x" * 257}, "'b': the labeler of an annotation is too long"),
        ({"labeled_at": LAST_TIME + 1}, "'b': labeled_at of an annotation is out of range"),
    ],
)
def test_annotations_keep_the_rules_of_labels(note: Any, match: str) -> None:
    refuse(one(annotations=[{"label": "good"}, note]), match)
    # Chunks and slices do not shift the blame to another entry.
    refuse(pa.concat_tables([one().slice(0, 1), one(annotations=[note]).slice(1)]), match)


@pytest.mark.parametrize(
    ("moment", "sound"),
    [(FIRST_TIME, True), (LAST_TIME, True), (FIRST_TIME - 1, False), (LAST_TIME + 1, False)],
)
def test_times_are_those_of_the_calendar(moment: int, sound: bool) -> None:
    entries = one(labeled_at=moment)
    if sound:
        check_entries(entries)
        assert entries.to_pylist()
    else:
        refuse(entries, "'b': labeled_at is out of range")


def test_ids_hold_no_character_that_acts_on_a_terminal() -> None:
    """Exactly those of docs/format/manifest.md, "Ids"."""
    runs = ((0x00, 0x1F), (0x7F, 0x9F), (0x61C, 0x61C), (0x200E, 0x200F), (0x2028, 0x202E),
            (0x2066, 0x2069), (0xFEFF, 0xFEFF))  # fmt: skip
    unsafe = {code for first, last in runs for code in range(first, last + 1)}
    points = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    texts = pa.array([chr(code) for code in points])
    matched = pc.match_substring_regex(texts, UNSAFE_IN_IDS).to_pylist()
    assert {code for code, match in zip(points, matched, strict=True) if match} == unsafe
    refuse(one(id="b\x1b[2J"), r"'b\\x1b\[2J': the id has control or bidirectional")


SEGMENT = st.text("ab./\\ é", max_size=6)


@given(SEGMENT)
def test_path_ids_never_leave_their_folder(identity: str) -> None:
    segments = identity.split("/")
    inside = "\\" not in identity and not {"", ".", ".."} & set(segments)
    ids = pa.chunked_array([pa.array([identity])])
    if inside:
        check_path_ids(ids)
    else:
        with pytest.raises(FormatError, match="not a path below its folder"):
            check_path_ids(ids)


@given(
    st.lists(
        st.text("aA\u00e9\u00c9\u00df\u017fK\u212a", min_size=1, max_size=3),
        min_size=1,
        max_size=6,
        unique=True,
    )
)
def test_twins_are_found_however_they_are_spelled(names: list[str]) -> None:
    import unicodedata

    folded = [unicodedata.normalize("NFC", name).casefold() for name in names]
    twin = case_twins(pa.chunked_array([pa.array(names)]))
    assert (twin is None) == (len(set(folded)) == len(names))
    if twin is not None:
        assert twin[0] != twin[1]


def test_a_repeated_id_is_named() -> None:
    entries = pa.Table.from_pylist(
        [{"id": name, "content": b"c" * 32, "size": 1, "source": "s"} for name in "abbcc"],
        schema=ENTRY,
    )
    refuse(entries, "at 'b'")


def test_columns_that_are_not_an_entrys_are_refused() -> None:
    for wrong in (
        ENTRIES.drop_columns(["uri"]),
        ENTRIES.append_column("more", pa.nulls(900)),
        ENTRIES.select([*reversed(ENTRY.names)]),
    ):
        refuse(wrong, "columns of an entry")


@given(st.lists(st.sampled_from(["a", "b", "é", "", None]), max_size=30), st.integers(1, 3))
def test_names_are_counted_the_most_frequent_first(names: list[str | None], chunks: int) -> None:
    arrays = [pa.array(names[n::chunks], pa.string()).dictionary_encode() for n in range(chunks)]
    counts = name_counts(pa.chunked_array(arrays))
    said = [name for name in names if name is not None]
    assert dict(counts) == {name: said.count(name) for name in set(said)}
    assert counts == sorted(counts, key=lambda item: (-item[1], item[0].encode()))
    assert json.loads(name_table(counts)) == [{"name": n, "samples": s} for n, s in counts]


def test_label_types() -> None:
    assert label_type_of((), long=False) == "none"
    assert label_type_of({"a"}, long=False) == "class"
    assert label_type_of({str(n) for n in range(10_000)}, long=False) == "class"
    assert label_type_of({str(n) for n in range(10_001)}, long=False) == "text"
    assert label_type_of((), long=True) == "text"


def test_the_described_columns_are_those_of_an_entry() -> None:
    """`schemas/entry.v1.json` against the columns, limits, field numbers and Parquet files."""
    columns = SCHEMA["columns"]
    assert [column["name"] for column in columns] == ENTRY.names
    assert [column["nullable"] for column in columns] == [field.nullable for field in ENTRY]
    assert {
        c["name"]: c["limit"] for c in columns if "limit" in c and c["name"] != "annotations"
    } == LIMITS
    claim = {c["name"]: c["claim"] for c in columns if "claim" in c}
    assert claim == dict(leaf._CLAIM_FIELDS)
    bound = {c["name"]: c["leaf"] for c in columns if "leaf" in c}
    assert bound == {"id": leaf._ID} | dict(leaf._LEAF_FIELDS)
    [annotations] = [column for column in columns if column["name"] == "annotations"]
    notes = annotations["items"]["fields"]
    assert [(n["name"], n["annotation"]) for n in notes] == list(leaf._ANNOTATION_FIELDS)
    assert annotations["limit"] == MAX_ANNOTATIONS
    file = pq.ParquetFile(io.BytesIO(write_part(one())))
    plain = {"utf8": "string", "list": None}
    for column, field in zip(columns, file.schema_arrow, strict=True):
        kind = plain.get(column["arrow"], column["arrow"])
        assert kind is None or str(field.type) == kind.replace("utf8", "string")
    physical = [file.schema.column(place) for place in range(len(file.schema.names))]
    described = [
        inner for column in columns
        for inner in (column["items"]["fields"] if "items" in column else [column])
    ]  # fmt: skip
    for column, found in zip(described, physical, strict=True):
        kind, _, logical = column["parquet"].partition(" ")
        assert found.physical_type == kind.partition("(")[0]
        assert (found.logical_type.type == "NONE") == (logical == "")
        assert logical.partition("(")[0] in (
            "",
            {"INT": "INTEGER"}.get(found.logical_type.type, found.logical_type.type),
        )


def test_blocks_of_other_ends_have_another_logical_digest() -> None:
    [part] = build_parts(ENTRIES.slice(0, 100))
    other = block_list(leaf.leaves(part.entries), np.array([50, 100]))
    with pytest.raises(FormatError, match="do not have the logical digest"):
        check_part(part.entries, other.logical_digest())
