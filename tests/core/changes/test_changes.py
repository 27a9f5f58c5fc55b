from __future__ import annotations

from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.changes import changes
from provreg.core.changes.changes import (
    Changes,
    compare,
    differing_rows,
    pair_renames,
    same_id,
    spans,
)
from provreg.core.manifest.columns import take, take_rows
from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.tree import BlockList

NAMES = st.sampled_from(["a", "b", "c"])


def apply(changes: Changes, old: pa.Table) -> pa.Table:
    """The version that `changes` make of the whole version `old`, ascending by id."""
    gone = take(changes.old, "id", changes.old_rows[changes.old_rows >= 0])
    kept = old.filter(pc.invert(pc.is_in(old.column("id"), value_set=gone)))
    come = take_rows(changes.new, changes.new_rows[changes.new_rows >= 0])
    return pa.concat_tables([kept, come]).unify_dictionaries().sort_by("id")


def rows(ids: list[str]) -> st.SearchStrategy[list[dict]]:
    entry = st.fixed_dictionaries(
        {
            "payload": st.sampled_from(["x", "y", "z", "w"]),
            "label": st.none() | NAMES,
            "source": NAMES,
            "labeler": st.none() | NAMES,
            "split": st.none() | NAMES,
        }
    )
    return st.lists(
        st.tuples(st.sampled_from(ids), entry), unique_by=lambda item: item[0], max_size=8
    ).map(lambda items: [{"id": name} | fields for name, fields in items])


def table(items: list[dict]) -> pa.Table:
    filled = []
    for item in sorted(items, key=lambda item: item["id"].encode()):
        fields = dict(item)
        payload = fields.pop("payload").encode()
        filled.append(fields | {"content": blake3(payload).digest(), "size": len(payload)})
    return pa.Table.from_pylist(filled, schema=ENTRY)


VERSION = rows(["1", "2", "3", "é", "10", "b/1", "b/2"]).map(table)


@given(VERSION, VERSION)
def test_apply_of_the_diff_gives_the_new_version(old: pa.Table, new: pa.Table) -> None:
    assert apply(compare(old, new), old).to_pylist() == new.to_pylist()


DIGEST = b"2" * 32
ANNOTATION = {"label": "b", "labeler": None, "labeled_at": None}
OTHER = {
    "content": DIGEST, "size": 2, "label": "b", "label_digest": DIGEST, "source": "b",
    "labeler": "b", "labeled_at": 2, "delivery": DIGEST, "annotations": [ANNOTATION],
    "split": "b", "uri": "b", "content_sha256": DIGEST, "attrs": "{}",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in ENTRY.names if name != "id"])
def test_whatever_field_of_an_entry_differs_is_a_change(name: str) -> None:
    """Blocks without a change are taken from the parent (`flows.ingest.seal`)."""
    before = {"id": "1", "content": b"1" * 32, "size": 1, "source": "a"}
    versions = [
        pa.Table.from_pylist([entry], ENTRY) for entry in (before, before | {name: OTHER[name]})
    ]
    assert len(compare(*versions)) == 1


@given(VERSION)
def test_a_version_does_not_differ_from_itself(version: pa.Table) -> None:
    assert len(compare(version, version)) == 0


@given(VERSION, VERSION)
def test_diff_backwards_swaps_injected_and_removed(old: pa.Table, new: pa.Table) -> None:
    there, back = compare(old, new).counts(), compare(new, old).counts()
    assert (there["injected"], there["removed"]) == (back["removed"], back["injected"])
    for kind in ("relabeled", "modified", "renamed", "reattributed", "resplit"):
        assert there[kind] == back[kind] or kind in ("relabeled", "reattributed", "resplit")


@given(VERSION, VERSION)
def test_every_kind_is_what_the_vocabulary_says(old: pa.Table, new: pa.Table) -> None:
    changes = compare(old, new)
    for kinds, before, after in zip(
        changes.kinds.tolist(),
        changes.old_entries().to_pylist(),
        changes.new_entries().to_pylist(),
        strict=True,
    ):
        one_side = before["id"] is None or after["id"] is None
        same_content = before["content"] == after["content"]
        same_label = before["label"] == after["label"]
        expected = 0
        if before["id"] is None:
            expected = 1
        elif after["id"] is None:
            expected = 2
        else:
            expected |= 4 * (not same_label) | 8 * (not same_content)
            expected |= 16 * (before["id"] != after["id"])
            origin = [n for n in ("source", "labeler") if before[n] != after[n]]
            expected |= 32 * (bool(origin) and same_content and same_label)
            expected |= 64 * (before["split"] != after["split"])
        assert kinds == expected
        assert one_side or before["id"] == after["id"] or same_content


@given(VERSION, VERSION)
def test_changes_do_not_depend_on_where_spans_end(old: pa.Table, new: pa.Table) -> None:
    def told() -> list[Any]:
        found = compare(old, new)
        return [found.kinds.tolist(), found.old_rows.tolist(), found.new_rows.tolist()]

    at_once = told()
    with patch.object(changes, "_SPAN", 2), patch.object(changes, "_SLICE", 2):
        assert told() == at_once


def test_two_names_swapped_are_two_modified_samples(make_entries) -> None:
    old = make_entries([{"id": "1", "payload": "a"}, {"id": "2", "payload": "b"}])
    new = make_entries([{"id": "1", "payload": "b"}, {"id": "2", "payload": "a"}])
    assert compare(old, new).counts() == dict.fromkeys(
        ("injected", "removed", "relabeled", "renamed", "reattributed", "resplit"), 0
    ) | {"modified": 2}


def test_content_standing_twice_is_paired_in_id_order(make_entries) -> None:
    old = make_entries([{"id": "a1", "payload": "x"}, {"id": "a2", "payload": "x"}])
    new = make_entries([{"id": "b1", "payload": "x"}, {"id": "b2", "payload": "x"}])
    changes = compare(old, new)
    pairs = zip(
        changes.old_entries()["id"].to_pylist(),
        changes.new_entries()["id"].to_pylist(),
        strict=True,
    )
    assert list(pairs) == [("a1", "b1"), ("a2", "b2")]
    assert np.all(changes.kinds == 16)


# Parts of blocks, each block with its number of entries and a letter for its digest.
PARTS = st.lists(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from("abcdef")), min_size=1, max_size=6),
    max_size=4,
)


def block_lists(parts: list[list[tuple[int, str]]]) -> list[BlockList]:
    return [
        BlockList(
            np.array([count for count, _ in blocks], np.int64),
            np.array([blake3(name.encode()).digest() for _, name in blocks], "V32"),
        )
        for blocks in parts
    ]


@given(PARTS, PARTS)
def test_rows_differ_in_runs_that_end_with_their_part(
    old: list[list[tuple[int, str]]], new: list[list[tuple[int, str]]]
) -> None:
    for found, parts, others in zip(
        differing_rows(block_lists(old), block_lists(new)), (old, new), (new, old), strict=True
    ):
        shared = {name for blocks in others for _, name in blocks}
        assert len(found) == len(parts)
        for runs, blocks in zip(found, parts, strict=True):
            wanted = [name not in shared for count, name in blocks for _ in range(count)]
            rows = [row for start, stop in runs for row in range(start, stop)]
            assert rows == np.flatnonzero(wanted).tolist()
            assert all(before[1] < after[0] for before, after in pairwise(runs))


IDS = st.lists(st.text("aé\U0001f600", min_size=1, max_size=3), unique=True, max_size=30).map(
    lambda ids: sorted(ids, key=str.encode)
)


def column(ids: list[str]) -> pa.ChunkedArray:
    """In chunks of 7, which no span ends with."""
    return pa.chunked_array([ids[at : at + 7] for at in range(0, len(ids), 7)], pa.string())


@given(IDS, IDS)
def test_spans_are_all_rows_in_order_and_none_is_long(old: list[str], new: list[str]) -> None:
    with patch.object(changes, "_SPAN", 5):
        found = list(spans(column(old), column(new)))
    for side, ids in ((0, old), (1, new)):
        rows = [row for pair in found for row in range(pair[side].start, pair[side].stop)]
        assert rows == list(range(len(ids)))
        assert all(pair[side].stop - pair[side].start <= 5 for pair in found)
    assert len(found) <= (len(old) + len(new)) / 5 + 2


@given(IDS, IDS)
def test_the_same_ids_are_found_on_both_sides(old: list[str], new: list[str]) -> None:
    with patch.object(changes, "_SPAN", 5):
        rows = [pair for pairs in same_id(column(old), column(new)) for pair in zip(*pairs)]  # noqa: B905
    assert [old[a] for a, _ in rows] == [new[b] for _, b in rows]
    assert {new[b] for _, b in rows} == {*old} & {*new}


def test_renames_of_a_content_that_stands_twice_are_in_the_order_of_ids(make_entries) -> None:
    old = make_entries([{"id": "1", "payload": "x"}, {"id": "2", "payload": "y"},
                        {"id": "3", "payload": "x"}, {"id": "4", "payload": "z"}])  # fmt: skip
    new = make_entries([{"id": "5", "payload": "y"}, {"id": "6", "payload": "x"},
                        {"id": "7", "payload": "w"}])  # fmt: skip
    found = pair_renames(old, new, np.ones(4, np.bool_), np.ones(3, np.bool_))
    pairs = zip(found.old.tolist(), found.new.tolist(), strict=True)
    assert sorted(pairs) == [(0, 1), (1, 0)]
    assert (found.removed.tolist(), found.added.tolist()) == ([2, 3], [2])
