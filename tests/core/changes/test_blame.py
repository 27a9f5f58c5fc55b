from __future__ import annotations

from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest

from provreg.core.changes.blame import UNTOUCHED, Blame, Life, blame_touched
from provreg.core.changes.changes import compare


@pytest.fixture
def blame_of(make_entries: Any) -> Any:
    """The blames of a line of versions given as rows, oldest first."""

    def run(*versions: list[dict[str, Any]]) -> dict[str, Blame]:
        tables = [make_entries(rows) for rows in versions]
        history = []
        for place, (old, new) in enumerate(pairwise(tables), start=1):
            changes = compare(old, new)
            before, after = changes.old_entries(), changes.new_entries()
            places = pa.array([place] * len(changes), pa.int64())
            columns = {"version": places, "kinds": pa.array(changes.kinds)}
            for name in ("id", "content", "source", "labeler", "labeled_at"):
                columns |= {f"old_{name}": before[name], f"new_{name}": after[name]}
            history.append(pa.table(columns))
        return blame_touched(pa.concat_tables(history))

    return run


def since(blame: Blame) -> tuple[int, int]:
    return blame.content.since, blame.label.since


def test_a_sample_nobody_touched_is_the_first_versions(blame_of) -> None:
    assert blame_of([{"id": "a"}], [{"id": "a"}, {"id": "b"}]).get("a", UNTOUCHED) == UNTOUCHED


def test_bytes_and_label_are_two_questions(blame_of) -> None:
    first = {"id": "a", "payload": "x", "label": "cat"}
    blames = blame_of(
        [first],
        [first | {"label": "dog"}],
        [first | {"label": "dog", "payload": "y"}],
    )
    assert since(blames["a"]) == (2, 1)


def test_a_renamed_sample_keeps_its_history(blame_of) -> None:
    a = {"payload": "x", "label": "cat"}
    blames = blame_of(
        [a | {"id": "a"}],
        [a | {"id": "a", "label": "dog"}],
        [a | {"id": "b", "label": "dog"}],
    )
    assert since(blames["b"]) == (0, 1)
    assert "a" not in blames


def test_two_samples_that_swap_names_swap_histories(blame_of) -> None:
    one, two = {"payload": "x"}, {"payload": "y"}
    blames = blame_of(
        [one | {"id": "a"}],
        [one | {"id": "a"}, two | {"id": "b"}],
        [one | {"id": "c"}, two | {"id": "d"}],
        [one | {"id": "d"}, two | {"id": "c"}],
    )
    # The bytes under each of the two names are others than before: both were modified in place 3.
    assert since(blames["c"])[0] == 3
    assert since(blames["d"])[0] == 3


def test_a_sample_brought_back_has_its_earlier_life(blame_of) -> None:
    a = {"id": "a", "payload": "x"}
    keep = {"id": "k"}
    blames = blame_of([a, keep], [keep], [keep], [a, keep])
    assert since(blames["a"]) == (3, 3)
    assert blames["a"].earlier == (Life("a", 0, 1),)


def test_bytes_brought_back_under_another_id_have_their_earlier_life(blame_of) -> None:
    keep = {"id": "k"}
    blames = blame_of(
        [{"id": "a", "payload": "x"}, keep], [keep], [{"id": "z", "payload": "x"}, keep]
    )
    assert blames["z"].earlier == (Life("a", 0, 1),)


def test_a_rewritten_origin_does_not_put_words_into_the_first_signers_mouth(blame_of) -> None:
    a = {"id": "a", "payload": "x", "labeler": "mallory"}
    blames = blame_of([a], [a | {"labeler": "krizhevsky"}])
    label = blames["a"].label
    assert (label.since, label.restated_in) == (0, 1)
    assert label.record is not None
    assert label.record.side == "old"


def test_removed_samples_are_not_blamed(blame_of) -> None:
    assert blame_of([{"id": "a"}, {"id": "b"}], [{"id": "b"}]) == {}
