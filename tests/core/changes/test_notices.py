"""What deserves a look in the changes to a version."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.changes.changes import compare
from provreg.core.changes.notices import Notice, notices
from provreg.core.manifest.entry import ENTRY, NO_ENTRIES

Rows = dict[str, dict[str, Any]]


def table(rows: Rows) -> pa.Table:
    """Entries by id, with the payload, label and names of each row."""
    entries = []
    for identity, row in sorted(rows.items()):
        payload = str(row.get("payload", identity)).encode()
        fields = {"id": identity, "label": "cat", "source": "web", "labeler": "ann"} | row
        fields.pop("payload", None)
        entries.append(fields | {"content": blake3(payload).digest(), "size": len(payload)})
    return pa.Table.from_pylist(entries, ENTRY) if entries else NO_ENTRIES


def many(count: int, label: str = "cat", **more: Any) -> Rows:
    return {f"{label}-{n:04}.jpg": {"label": label} | more for n in range(count)}


def found(before: Rows, after: Rows, **context: bool) -> dict[str, Notice]:
    known = {"labels_file_before": False, "labels_file": False, "are_files": True} | context
    noted = notices(compare(table(before), table(after)), **known)
    assert all(notice.samples >= len(notice.ids) for notice in noted)
    return {notice.kind: notice for notice in noted}


def test_what_is_ordinary_needs_no_look() -> None:
    pets = many(200) | many(150, "dog")
    assert found({}, pets) == {}
    assert found(pets, pets) == {}
    assert found(pets, pets | {"x.jpg": {"label": "dog"}}) == {}


def test_a_misspelled_class_is_new_rare_and_similar() -> None:
    pets = many(200) | many(200, "dog")
    noted = found(pets, pets | {"a.jpg": {"label": "catt"}, "b.jpg": {"label": "dog "}})
    assert noted["new-class"].names == ("catt", "dog ")
    assert noted["new-class"].ids == ("a.jpg", "b.jpg")
    assert set(noted["rare-class"].names) == {"catt", "dog "}
    assert noted["blank-padded-class"].names == ("dog ",)
    assert "'catt' (1) and 'cat' (200)" in noted["similar-classes"].message or (
        "'dog ' (1) and 'dog' (200)" in noted["similar-classes"].message
    )
    # What was noticed once is no news.
    again = pets | {"a.jpg": {"label": "catt"}}
    assert found(again, again | {"c.jpg": {"label": "cat"}}) == {}


def test_a_name_of_another_alphabet_is_shown_with_its_code_point() -> None:
    noted = found(many(5), many(5) | {"x.jpg": {"labeler": "\u0430nn", "source": "Web"}})
    assert "\\u0430nn" in noted["similar-labelers"].message
    assert noted["similar-labelers"].ids == ("x.jpg",)
    assert noted["similar-sources"].names == ("Web", "web")


def test_samples_without_a_label_are_counted() -> None:
    some = many(3) | {f"x{n}": {"label": None} for n in range(9)}
    assert found({}, some)["no-label"].message.startswith("9 of 12 samples have no label (75.00%)")
    assert found({}, {"x": {"label": None}}) == {}
    tied = many(1) | {"x": {"label": None, "annotations": [{"label": "cat", "labeler": "ben"}]}}
    assert "1 of them because their annotations are tied" in found({}, tied)["no-label"].message


def test_a_forgotten_labels_file_is_noticed() -> None:
    night = many(3) | {"new.jpg": {"label": None}}
    noted = found(many(3), night, labels_file_before=True)
    assert list(noted) == ["labels-forgotten"]
    assert "--labels" in noted["labels-forgotten"].message
    assert list(found(many(3), night)) == ["no-label"]
    assert list(found(many(3), night, labels_file_before=True, labels_file=True)) == ["no-label"]


def test_equal_bytes_are_noticed_where_they_are_new() -> None:
    twice = many(3) | {"a.jpg": {"payload": "cat-0001.jpg"}}
    assert found(many(3), twice)["equal-bytes"].ids == ("a.jpg", "cat-0001.jpg")
    assert found(twice, twice | {"z.jpg": {}}) == {}
    other = many(3) | {"a.jpg": {"payload": "cat-0001.jpg", "label": "dog"}}
    noted = found(many(3), other)
    assert noted["equal-bytes-other-label"].samples == 2
    assert "equal-bytes" not in noted


def test_empty_and_unusual_files_are_noticed() -> None:
    files = many(60) | {"readme.txt": {}, "e.png": {"payload": ""}, "F.JPG": {}}
    noted = found({}, files)
    assert noted["empty"].ids == ("e.png",)
    assert noted["unusual-file"].ids == ("readme.txt",)
    assert "pictures" in noted["unusual-file"].message
    assert "unusual-file" not in found({}, files, are_files=False)
    models = {f"part{n}": {} for n in range(30)} | {"a.b/part": {}, "notes.md": {}}
    assert found({}, models)["unusual-file"].ids == ("notes.md",)
    assert "unusual-file" not in found(
        {}, many(20) | many(20, "dog") | {"a.b": {}} | {f"{n}.wav": {} for n in range(20)}
    )


ROW = st.fixed_dictionaries(
    {
        "label": st.sampled_from([None, "", "cat", "Cat", "\u0441at", "catt", "house", "horse"]),
        "payload": st.sampled_from("xyz") | st.just(""),
        "labeler": st.sampled_from([None, "ann", "\u0430nn"]),
    }
)
VERSION = st.dictionaries(st.sampled_from(["a", "b.jpg", "c/d.e", "f/.g", "h"]), ROW, max_size=5)


@given(VERSION, VERSION, st.booleans(), st.booleans())
def test_any_changes_can_be_looked_at(before: Rows, after: Rows, old: bool, new: bool) -> None:
    noted = found(before, after, labels_file_before=old, labels_file=new)
    for notice in noted.values():
        assert set(notice.ids) <= after.keys()
    contents: dict[str, set[str | None]] = {}
    for row in after.values():
        contents.setdefault(row["payload"], set()).add(row["label"])
    if "equal-bytes-other-label" in noted:
        assert any(len(labels) > 1 for labels in contents.values())
