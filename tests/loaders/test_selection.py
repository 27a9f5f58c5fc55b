from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import provreg
from provreg.core.manifest.entry import ENTRY
from provreg.loaders.selection import Selection

Load = Callable[..., provreg.VerifiedSamples]
NAMES = st.sampled_from(["a", "b", None])


@st.composite
def entries(draw: st.DrawFn) -> pa.Table:
    """Parts of a manifest, as they are mapped: each with dictionaries of its own."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    parts = []
    for number, size in enumerate(sizes):
        columns: dict[str, Any] = {field.name: [None] * size for field in ENTRY}
        columns["id"] = [f"{number}/{place}" for place in range(size)]
        columns["content"], columns["size"] = [bytes(32)] * size, [0] * size
        columns["source"] = draw(st.lists(st.sampled_from("ab"), min_size=size, max_size=size))
        for name in ("label", "labeler", "split"):
            columns[name] = draw(st.lists(NAMES, min_size=size, max_size=size))
        arrays = [
            pa.array(columns[field.name], field.type.value_type).dictionary_encode()
            if pa.types.is_dictionary(field.type)
            else pa.array(columns[field.name], field.type)
            for field in ENTRY
        ]
        parts.append(pa.Table.from_arrays(arrays, schema=ENTRY))
    return pa.concat_tables(parts)


WANTED = st.none() | st.sampled_from(["a", "b", ("a", "b"), ("a", "nothing")])


@given(entries(), WANTED, WANTED, WANTED, WANTED)
def test_a_selection_holds_exactly_the_samples_that_meet_all_conditions(
    table: pa.Table, split: Any, label: Any, source: Any, labeler: Any
) -> None:
    said = {"split": split, "label": label, "source": source, "labeler": labeler}
    expected = [
        row
        for row, entry in enumerate(table.to_pylist())
        if all(wanted is None or entry[name] in list(wanted) for name, wanted in said.items())
    ]
    selection = Selection(**said)
    if not expected:
        with pytest.raises(provreg.UsageError, match="the selection is empty"):
            selection.rows(table)
        return
    rows = selection.rows(table)
    assert (list(range(len(table))) if rows is None else rows.tolist()) == expected


def test_samples_are_selected_by_what_is_signed_of_them(load: Load) -> None:
    def ids(select: Any) -> list[str]:
        return [one.id for one in load(select=select)]

    assert ids(Selection(split="test")) == ["test/cat/7.jpg", "test/dog/6.jpg"]
    assert ids(Selection(split="train", label="cat", labeler="ann")) == [
        "train/cat/1.jpg", "train/cat/3.jpg", "train/cat/5.jpg"]  # fmt: skip
    assert ids("split = 'test' -- a comment") == ["test/cat/7.jpg", "test/dog/6.jpg"]
    assert ids("select id from entries order by id desc limit 1") == ["train/dog/4.jpg"]
    assert ids(Selection(ids=["train/dog/4.jpg", "test/cat/7.jpg"])) == [
        "test/cat/7.jpg", "train/dog/4.jpg"]  # fmt: skip


def test_class_indices_are_those_of_the_version_whatever_is_selected(load: Load) -> None:
    dogs = load(select=Selection(label="dog"))
    assert dogs.class_to_idx == {"cat": 0, "dog": 1}
    assert dogs.targets.tolist() == [1, 1, 1, 1]
    assert [len(dogs), dogs[0].label, dogs[-1].id] == [4, "dog", "train/dog/4.jpg"]
    assert dogs.entries["id"].to_pylist() == [one.id for one in dogs]


def test_a_changed_sample_is_refused_whatever_is_selected(load: Load, pets: Path) -> None:
    (pets / "test/cat/7.jpg").write_bytes(b"evil")
    with pytest.raises(provreg.SampleError, match=r"7\.jpg"):
        list(load(select="split = 'test'"))
    assert len(list(load(select="split = 'train'"))) == 6


@pytest.mark.parametrize(
    ("select", "complaint"),
    [
        ("nothing = 1", "the query failed"),
        ("1) union select * from read_csv('/etc/passwd'", "the query failed"),
        ("select content as id from read_text('/etc/passwd')", "disabled"),
        ("select 1 as id; drop table signed", "exactly one SELECT"),
        ("select source from entries", "no column id"),
        ("select null::text as id", "ids alone"),
        ("false", "the selection is empty"),
        (Selection(split=3), "neither a string nor several"),
        ({"split": "train"}, "neither SQL nor a provreg.Selection"),
    ],
)
def test_a_selection_that_is_none_is_refused(load: Load, select: Any, complaint: str) -> None:
    with pytest.raises(provreg.UsageError, match=complaint):
        load(select=select)


def test_an_id_that_is_not_in_the_version_is_refused(load: Load) -> None:
    with pytest.raises(provreg.NotFoundError, match="nobody"):
        load(select=Selection(ids="nobody"))


def test_people_are_selected_by_what_they_annotated() -> None:
    notes = [[{"label": "cat", "labeler": "ann"}, {"label": "cat", "labeler": "ben"}], [], None]
    columns = {"id": ["1", "2", "3"], "labeler": [None, "ben", "ann"], "annotations": notes}
    columns |= {"content": [bytes(32)] * 3, "size": [0] * 3, "source": ["web"] * 3}
    table = pa.Table.from_pylist(
        [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], ENTRY
    )
    for labeler, rows in (("ann", [0, 2]), ("ben", [0, 1]), (("ann", "cho"), [0, 2])):
        found = Selection(labeler=labeler).rows(table)
        assert found is not None
        assert found.tolist() == rows
