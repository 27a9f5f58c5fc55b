"""The label that follows from several people's."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.manifest.annotations import (
    annotated_by,
    annotator_names,
    are_annotated,
    majority,
)
from provreg.core.manifest.columns import unequal
from provreg.core.manifest.entry import ANNOTATIONS

NOTE = st.fixed_dictionaries(
    {
        "label": st.sampled_from([None, "", "cat", "dog"]),
        "labeler": st.sampled_from([None, "ann", "ben"]),
        "labeled_at": st.just(None),
    }
)
LISTS = st.lists(st.none() | st.lists(NOTE, max_size=5), max_size=8)


def most_frequent(notes: list[dict[str, str | None]] | None) -> str | None:
    """As docs/format/manifest.md says it."""
    votes = Counter(note["label"] for note in notes or () if note["label"] is not None)
    ranked = votes.most_common()
    if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


@given(LISTS)
def test_the_majority_is_the_only_most_frequent_label(lists: list) -> None:
    column = pa.array(lists, ANNOTATIONS)
    assert majority(column).to_pylist() == [most_frequent(notes) for notes in lists]
    assert majority(column.slice(1)).to_pylist() == [most_frequent(notes) for notes in lists[1:]]


@given(LISTS)
def test_people_are_found_in_annotations(lists: list) -> None:
    column = pa.chunked_array([pa.array(lists[:3], ANNOTATIONS), pa.array(lists[3:], ANNOTATIONS)])
    named = [any(note["labeler"] == "ann" for note in notes or ()) for notes in lists]
    assert annotated_by(column, pa.array(["ann"])).tolist() == named
    names = [
        "\n".join(note["labeler"] or "" for note in notes) if notes else None for notes in lists
    ]
    assert annotator_names(column).to_pylist() == names
    assert are_annotated(column).tolist() == [bool(notes) for notes in lists]


@given(st.lists(st.tuples(*[st.none() | st.lists(NOTE, max_size=3)] * 2), max_size=8))
def test_lists_differ_where_one_item_does(pairs: list) -> None:
    a, b = (pa.array([pair[side] for pair in pairs], ANNOTATIONS) for side in range(2))
    assert np.array_equal(unequal(a, b), np.array([x != y for x, y in pairs], np.bool_))
