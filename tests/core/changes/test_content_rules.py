"""Counting what a version holds and changes against its rule."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.changes.changes import BIT, compare
from provreg.core.changes.content_rules import (
    disallowed_labels,
    disallowed_origins,
    exceeded_limits,
    new_labels,
)
from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.head import KINDS, Head
from provreg.core.policy.policy import LabelRule, Limit, NameList, PublishRule


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """Entries with the payload, label and names that `rows` say, or others of no matter."""
    entries = []
    for row in sorted(rows, key=lambda row: str(row["id"])):
        payload = str(row.get("payload", row["id"])).encode()
        said = {name: value for name, value in row.items() if name != "payload"}
        digest = {"content": blake3(payload).digest(), "size": len(payload), "source": "s"}
        entries.append(digest | said)
    return pa.Table.from_pylist(entries, schema=ENTRY)


def pets(count: int = 10, **changed: dict[str, Any]) -> pa.Table:
    rows = {f"{n:03}": {"id": f"{n:03}", "label": "cat", "labeler": "ann"} for n in range(count)}
    for name, fields in changed.items():
        identity = name.strip("_")
        rows[identity] = rows.get(identity, {"id": identity}) | fields
    return table([row for row in rows.values() if not row.pop("gone", False)])


def rule(*limits: Limit, **more: Any) -> PublishRule:
    return PublishRule(("*",), ("alice",), limits=limits, place=1, **more)


def said(limit: Limit, new: pa.Table, *, signed: int = 1) -> list[str]:
    return exceeded_limits(rule(limit), compare(pets(), new), 10, signed)


RELABELED = pets(_001={"label": "dog"}, _002={"label": "dog", "labeler": "mallory"})


def test_changes_of_the_kinds_are_counted_against_share_and_count() -> None:
    two = Limit(("relabeled",), count=2)
    assert said(two, RELABELED) == []
    one = Limit(("relabeled",), share=Decimal("0.1"), count=5)
    assert said(one, RELABELED) == [
        "2 samples are relabeled, the limit is 1 (at most 10 % and 5 relabeled)"
    ]
    assert said(Limit(("injected",), count=0), RELABELED) == []
    assert said(Limit(count=1), RELABELED) != []


def test_a_change_of_several_kinds_counts_once_under_each() -> None:
    both = pets(_001={"label": "dog", "payload": "other"})
    for kinds in (("relabeled",), ("modified",), ("relabeled", "modified")):
        assert said(Limit(kinds, count=0), both)
        assert said(Limit(kinds, count=1), both) == []


def test_more_principals_lift_a_limit() -> None:
    limit = Limit(count=0, unless=2)
    assert said(limit, RELABELED, signed=1)
    assert said(limit, RELABELED, signed=2) == []
    assert said(Limit(count=0), RELABELED, signed=99)


def test_each_labeler_has_a_limit_of_their_own() -> None:
    limit = Limit(count=1, each="labeler")
    assert said(limit, RELABELED) == []
    more = pets(_001={"labeler": "mallory", "label": "x"}, _002={"labeler": "mallory"})
    assert said(limit, more) == [
        "2 samples from the labeler 'mallory' are changed in any way, the limit is 1"
        " (at most 1 changed in any way from each labeler)"
    ]


def test_samples_without_a_labeler_are_counted_together() -> None:
    unnamed = pets(_001={"labeler": None, "label": "x"}, _002={"labeler": None, "label": "y"})
    assert "no labeler" in said(Limit(("relabeled",), count=1, each="labeler"), unnamed)[0]


def test_a_removal_counts_for_everybody_together_and_for_no_labeler() -> None:
    gone = pets(_001={"gone": True}, _002={"gone": True})
    assert said(Limit(("removed",), count=1), gone)
    assert said(Limit(count=0, each="labeler"), gone) == []


def test_very_many_labelers_do_not_flood_the_message() -> None:
    many = pets(**{f"_{n:03}": {"labeler": f"l{n}\x1b"} for n in range(10)})
    lines = said(Limit(count=0, each="labeler"), many)
    assert len(lines) == 4
    assert lines[-1] == "and those from 7 more labelers"
    assert "\x1b" not in "".join(lines)


def test_names_that_are_not_taken_are_said_with_their_samples() -> None:
    entries = pets(_001={"labeler": "mallory"}, _002={"labeler": None, "source": "crawl"})
    taken = rule(sources=NameList(("s", "crawl")), labelers=NameList(forbid=("m*",), absent=True))
    assert disallowed_origins(taken, pets()) == []
    assert disallowed_origins(taken, entries) == ["1 sample has the labeler 'mallory'"]
    strict = rule(sources=NameList(forbid=("crawl",)), labelers=NameList(("ann",)))
    assert sorted(disallowed_origins(strict, entries)) == [
        "1 sample has no labeler",
        "1 sample has the labeler 'mallory'",
        "1 sample has the source 'crawl'",
    ]


def test_a_forbidden_labeler_is_found_among_several_peoples_labels() -> None:
    annotations = [{"label": "cat", "labeler": name, "labeled_at": None} for name in ("ann", "eve")]
    entries = pets(_001={"annotations": annotations})
    assert disallowed_origins(rule(labelers=NameList(forbid=("eve",))), entries) == [
        "annotations have the labeler 'eve'"
    ]


def test_names_are_counted_across_parts_with_dictionaries_of_their_own() -> None:
    one, other = pets(2), pets(2, _000={"labeler": "eve"}, _001={"labeler": "eve"})
    both = pa.concat_tables([one, other]).cast(ENTRY)
    assert disallowed_origins(rule(labelers=NameList(forbid=("eve",))), both) == [
        "2 samples have the labeler 'eve'"
    ]


rows = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from([f"{n:02}" for n in range(12)]),
            "label": st.sampled_from(["a", "b"]),
            "labeler": st.sampled_from(["ann", "bob", None]),
            "payload": st.sampled_from([f"{n:02}" for n in range(12)]),
        }
    ),
    max_size=12,
    unique_by=lambda row: row["id"],
).map(table)
limits = st.builds(
    Limit,
    st.lists(st.sampled_from(KINDS), unique=True, max_size=3).map(tuple),
    count=st.integers(0, 4),
    each=st.sampled_from([None, "labeler", "source"]),
)


@given(old=rows, new=rows, limit=limits)
def test_a_limit_holds_exactly_when_no_count_is_above_it(
    old: pa.Table, new: pa.Table, limit: Limit
) -> None:
    changes = compare(old, new)
    bits = sum(BIT[kind] for kind in limit.kinds or KINDS)
    groups: dict[str | None, int] = {}
    for kinds, row in zip(changes.kinds.tolist(), changes.new_rows.tolist(), strict=True):
        if kinds & bits and (limit.each is None or row >= 0):
            name = None if limit.each is None else changes.new.column(limit.each)[row].as_py()
            groups[name] = groups.get(name, 0) + 1
    beyond = max(groups.values(), default=0) > (limit.count or 0)
    assert bool(exceeded_limits(rule(limit), changes, old.num_rows, 1)) is beyond


def notes(*people: str) -> list[dict[str, Any]]:
    return [{"label": "cat", "labeler": name} for name in people]


ANNOTATED = {"labeler": None, "annotations": notes("ben", "cho")}


def test_people_who_annotate_are_labelers_of_the_rule() -> None:
    entries = pets(2, _001=ANNOTATED, _002={"labeler": None})
    allowed = rule(labelers=NameList(("ann", "ben", "cho")))
    assert disallowed_origins(allowed, entries) == ["1 sample has no labeler"]
    allowed = rule(labelers=NameList(("ann", "ben"), absent=True))
    assert disallowed_origins(allowed, entries) == ["annotations have the labeler 'cho'"]


def test_an_empty_list_of_annotations_names_no_labeler() -> None:
    entries = pets(2, _001={"labeler": None, "annotations": []})
    assert disallowed_origins(rule(labelers=NameList(("ann",))), entries) == [
        "1 sample has no labeler"
    ]


def test_a_limit_for_each_labeler_counts_everybody_who_annotated() -> None:
    each = Limit(count=1, each="labeler")
    new = pets(10, a=ANNOTATED, b=ANNOTATED | {"annotations": notes("cho", "cho")})
    (words,) = said(each, new)
    assert words.startswith("2 samples from the labeler 'cho' are changed in any way")
    assert said(Limit(count=2, each="labeler"), new) == []
    # Nobody hides among the annotators: who sets labels alone is counted with nobody.
    nobody = pets(10, a={"labeler": None}, b={"labeler": None, "annotations": []})
    assert "no labeler" in said(each, nobody)[0]


def test_labels_are_allowed_by_name_and_counted_where_absent() -> None:
    entries = pets(8, _001={"label": "catt"}, _002={"label": None}, _003={"label": None})
    labels = LabelRule(("cat", "dog"))
    assert disallowed_labels(rule(labels=labels), entries) == [
        "1 sample has the label 'catt'",
        "2 samples have no label",
    ]
    some = LabelRule(("cat*",), share=Decimal("0.25"), count=5)
    assert disallowed_labels(rule(labels=some), entries) == []
    fewer = LabelRule(("cat*",), share=Decimal("0.24"))
    assert disallowed_labels(rule(labels=fewer), entries) == [
        "2 samples have no label, at most 24 % may have none"
    ]
    assert disallowed_labels(rule(labels=LabelRule(None, ("cat",), absent=True)), entries) == [
        "5 samples have the label 'cat'"
    ]
    assert disallowed_labels(rule(), entries) == []


def test_a_long_label_is_a_label_and_none_that_a_name_allows() -> None:
    long = pets(2, _001={"label": None, "label_digest": b"d" * 32})
    assert disallowed_labels(rule(labels=LabelRule()), long) == []
    assert disallowed_labels(rule(labels=LabelRule(("*",))), long) == [
        "1 sample has a label of more than 1,024 bytes"
    ]


def new(before: pa.Table, after: pa.Table, signed: int = 1, **head: Any) -> list[str]:
    base = SimpleNamespace(**({"classes": ("cat",), "label_type": "class"} | head))
    return new_labels(
        rule(labels=LabelRule(signers_for_new=2)),
        compare(before, after),
        cast(Head, base),
        signed,
        lambda: before,
    )


def test_a_new_label_needs_more_signers() -> None:
    after = pets(_001={"label": "catt"}, x={"label": "dog"}, y={"label": "dog"}, z={"label": None})
    assert new(pets(), after) == [
        "2 samples have the new label 'dog', 2 principals must sign a new label",
        "1 sample has the new label 'catt', 2 principals must sign a new label",
    ]
    assert new(pets(), after, signed=2) == []
    assert new(pets(), after, classes=("cat", "catt", "dog")) == []
    assert new(pets(), pets(_000={"gone": True})) == []


def test_a_new_text_is_a_new_label_and_a_known_one_is_not() -> None:
    text = {"classes": (), "label_type": "text"}
    before = pets(_001={"label": "a dog", "label_digest": None})
    assert new(before, pets(12, _001={"label": "a dog"}), **text) == []
    assert new(before, pets(_001={"label": None, "label_digest": b"d" * 32}), **text) == [
        "1 labels are new, 2 principals must sign a new label"
    ]
    assert "'a cat'" in new(before, pets(_002={"label": "a cat"}), **text)[0]
