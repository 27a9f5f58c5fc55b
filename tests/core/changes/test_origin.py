from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from blake3 import blake3

from provreg.core.changes import changes
from provreg.core.changes import origin as origin_of
from provreg.core.changes.origin import (
    OriginDefaults,
    assign_origin,
    first_conflict,
    merge_appended,
)
from provreg.core.manifest.columns import split_long_labels
from provreg.core.manifest.entry import ENTRY, SAMPLE
from provreg.errors import InputError

VENDOR = OriginDefaults("vendor-b", "mallory")


def make_samples(*rows: dict[str, Any]) -> pa.Table:
    filled = []
    for row in sorted(rows, key=lambda row: row["id"].encode()):
        fields = dict(row)
        payload = fields.pop("payload", row["id"]).encode()
        filled.append({"content": blake3(payload).digest(), "size": len(payload)} | fields)
    return pa.Table.from_pylist(filled, schema=SAMPLE)


def origin(
    samples: pa.Table, parent: pa.Table | None, speaker: OriginDefaults = VENDOR, **known: bool
) -> dict[str, tuple[str, str | None]]:
    known = {"labels_known": True, "splits_known": True} | known
    entries = assign_origin(samples, parent, speaker, **known)
    return {row["id"]: (row["source"], row["labeler"]) for row in entries.to_pylist()}


@pytest.fixture
def parent(make_entries) -> pa.Table:
    by = {"source": "cifar", "labeler": "krizhevsky", "label": "cat"}
    return make_entries([by | {"id": "1", "payload": "x"}, by | {"id": "2", "payload": "y"}])


def test_the_first_version_is_the_speakers(make_entries) -> None:
    assert origin(make_samples({"id": "1"}), None) == {"1": ("vendor-b", "mallory")}


def test_a_missing_source_is_an_error_naming_the_sample() -> None:
    with pytest.raises(InputError, match="'1' has no source") as caught:
        origin(make_samples({"id": "1"}), None, OriginDefaults(None, "l"))
    assert caught.value.sample == "1"


def test_a_missing_labeler_is_recorded_as_none() -> None:
    assert origin(make_samples({"id": "1"}), None, OriginDefaults("s", None)) == {"1": ("s", None)}


def test_what_did_not_change_keeps_its_origin(parent) -> None:
    samples = make_samples({"id": "1", "payload": "x", "label": "cat"})
    assert origin(samples, parent) == {"1": ("cifar", "krizhevsky")}


def test_an_unchanged_sample_needs_no_source_from_this_ingestion(parent) -> None:
    samples = make_samples({"id": "1", "payload": "x", "label": "cat"})
    assert origin(samples, parent, OriginDefaults(None, None)) == {"1": ("cifar", "krizhevsky")}


def test_injected_samples_are_the_speakers(parent) -> None:
    assert origin(make_samples({"id": "9", "label": "cat"}), parent) == {
        "9": ("vendor-b", "mallory")
    }


def test_modified_bytes_have_a_new_source_and_the_old_labeler(parent) -> None:
    samples = make_samples({"id": "1", "payload": "z", "label": "cat"})
    assert origin(samples, parent) == {"1": ("vendor-b", "krizhevsky")}


def test_a_relabeled_sample_has_the_old_source_and_a_new_labeler(parent) -> None:
    samples = make_samples({"id": "1", "payload": "x", "label": "dog"})
    assert origin(samples, parent) == {"1": ("cifar", "mallory")}


def test_a_renamed_sample_keeps_its_origin(parent) -> None:
    samples = make_samples({"id": "3", "payload": "x", "label": "cat"})
    assert origin(samples, parent) == {"3": ("cifar", "krizhevsky")}


TWINS = (("1", "cat", "evil", "fay"), ("2", "dog", "evil", "fay"))


def twins(make_entries, *rows: tuple[str, str, str, str | None]) -> pa.Table:
    names = ("id", "label", "source", "labeler")
    return make_entries([{"payload": "x"} | dict(zip(names, row, strict=True)) for row in rows])


def test_bytes_that_stood_twice_keep_what_both_had(make_entries) -> None:
    samples = make_samples({"id": "3", "payload": "x", "label": "cat"},
                           {"id": "4", "payload": "x", "label": "dog"},
                           {"id": "5", "payload": "x", "label": "ant"})  # fmt: skip
    assert origin(samples, twins(make_entries, *TWINS)) == {
        "3": ("evil", "fay"), "4": ("evil", "fay"), "5": ("evil", "mallory"),
    }  # fmt: skip


def test_bytes_that_stood_twice_are_the_movers_where_both_had_something_else(make_entries) -> None:
    before = twins(make_entries, ("1", "cat", "honest", "ann"), ("2", "cat", "evil", "ben"))
    samples = make_samples({"id": "3", "payload": "x", "label": "cat"})
    assert origin(samples, before) == {"3": ("vendor-b", "mallory")}
    nobody = twins(make_entries, ("1", "cat", "evil", None), ("2", "cat", "evil", None))
    assert origin(samples, nobody) == {"3": ("evil", None)}


def test_a_label_comes_along_where_the_data_say_nothing_of_labels(make_entries) -> None:
    silent = {"labels_known": False, "splits_known": False}
    before = twins(make_entries, ("1", "cat", "evil", "fay"), ("2", "cat", "evil", "fay"))
    made = assign_origin(make_samples({"id": "3", "payload": "x"}), before, VENDOR, **silent)
    assert made.select(["label", "labeler"]).to_pylist() == [{"label": "cat", "labeler": "fay"}]
    made = assign_origin(
        make_samples({"id": "3", "payload": "x"}), twins(make_entries, *TWINS), VENDOR, **silent
    )
    assert made.select(["label", "labeler"]).to_pylist() == [{"label": None, "labeler": "mallory"}]


def test_swapped_bytes_keep_their_source_and_their_ids_keep_their_labels(make_entries) -> None:
    """Of labels that the data say nothing of, who set them stays beside them."""
    before = make_entries([
        {"id": "1", "payload": "x", "label": "cat", "source": "a", "labeler": "ann"},
        {"id": "2", "payload": "y", "label": "dog", "source": "b", "labeler": "ben"},
    ])  # fmt: skip
    samples = make_samples({"id": "1", "payload": "y"}, {"id": "2", "payload": "x"})
    assert origin(samples, before, labels_known=False) == {"1": ("b", "ann"), "2": ("a", "ben")}
    samples = make_samples({"id": "1", "payload": "y", "label": "dog"},
                           {"id": "2", "payload": "x", "label": "cat"})  # fmt: skip
    assert origin(samples, before) == {"1": ("b", "ben"), "2": ("a", "ann")}


def test_columns_override_what_would_be_inherited(parent) -> None:
    samples = make_samples(
        {"id": "1", "payload": "x", "label": "cat", "source": "col", "labeler": "ann"}
    )
    assert origin(samples, parent) == {"1": ("col", "ann")}


def test_labels_the_data_do_not_speak_of_are_kept(parent) -> None:
    samples = make_samples({"id": "1", "payload": "x"})
    entries = assign_origin(samples, parent, VENDOR, labels_known=False, splits_known=False)
    assert entries.column("label").to_pylist() == ["cat"]
    assert entries.column("labeler").to_pylist() == ["krizhevsky"]


def test_a_label_taken_away_is_a_relabeling(parent) -> None:
    samples = make_samples({"id": "1", "payload": "x"})
    assert origin(samples, parent) == {"1": ("cifar", "mallory")}


def test_an_unlabeled_sample_does_not_get_a_labeler_on_the_second_ingestion(make_entries) -> None:
    old = make_entries([{"id": "1", "payload": "x", "source": "s", "labeler": None}])
    assert origin(make_samples({"id": "1", "payload": "x"}), old) == {"1": ("s", None)}


def test_long_labels_are_kept_as_digests() -> None:
    label, digest = split_long_labels(pa.chunked_array([pa.array(["é" * 513, "short", None])]))
    assert label.to_pylist() == [None, "short", None]
    assert digest.to_pylist() == [blake3(("é" * 513).encode()).digest(), None, None]


@pytest.mark.parametrize("column", ["source", "labeler", "split"])
def test_an_overlong_name_is_refused_naming_the_sample(column: str) -> None:
    with pytest.raises(InputError, match=f"the {column} of '1' is longer than 256 bytes"):
        origin(make_samples({"id": "1", column: "x" * 257}), None)


def test_append_sees_other_content_and_other_labels(parent, make_entries) -> None:
    same = {"id": "1", "payload": "x", "label": "cat", "source": "other"}
    assert first_conflict(parent, make_entries([same, {"id": "9"}])) is None
    assert first_conflict(parent, make_entries([same | {"payload": "z"}])) == "1"
    assert first_conflict(parent, make_entries([same | {"label": "dog"}])) == "1"


def test_append_removes_nothing(parent, make_entries) -> None:
    merged = merge_appended(parent, make_entries([{"id": "1", "payload": "z"}, {"id": "0"}]))
    assert merged.column("id").to_pylist() == ["0", "1", "2"]
    assert merged.column("content")[1].as_py() == blake3(b"z").digest()


def test_what_is_continued_does_not_depend_on_where_slices_end(
    make_entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    def row(number: int, **said: str) -> dict[str, Any]:
        return {"id": f"{number:02}", "payload": f"{number}", "label": f"{number % 3}"} | said

    parent = make_entries([row(n, source=f"s{n % 4}", labeler=f"l{n % 5}") for n in range(30)])
    gone, renamed = {4, 5, 17}, {"08": "99"}
    changed = {"11": {"label": "new"}, "12": {"payload": "new"}, "20": {"source": "said"}}
    rows = [row(n) | changed.get(f"{n:02}", {}) for n in range(35) if n not in gone]
    rows = [one | {"id": renamed.get(one["id"], one["id"])} for one in rows]
    samples, appended = make_samples(*rows), make_entries(rows)

    def made() -> list[Any]:
        entries = assign_origin(samples, parent, VENDOR, labels_known=True, splits_known=False)
        merged = merge_appended(parent, appended)
        return [entries.to_pylist(), merged.to_pylist(), first_conflict(parent, appended)]

    at_once = made()
    for size in (1, 4, 7):
        monkeypatch.setattr(origin_of, "_SLICE", size)
        monkeypatch.setattr(changes, "_SPAN", size)
        assert made() == at_once


def test_columns_of_nothing_take_no_room() -> None:
    count = 100_000
    samples = pa.table(
        {
            "id": [f"{row:06}" for row in range(count)],
            "content": pa.array([bytes(32)] * count, pa.binary(32)),
            "size": pa.array([1] * count, pa.uint64()),
        }
    )
    for field in SAMPLE:
        if field.name not in samples.column_names:
            samples = samples.append_column(field, pa.nulls(count, field.type))
    samples = samples.select(SAMPLE.names).cast(SAMPLE)
    before = pa.total_allocated_bytes()
    entries = assign_origin(
        samples, None, OriginDefaults("s", None), labels_known=False, splits_known=False
    )
    entries.validate(full=True)
    assert entries.schema == ENTRY
    assert entries.column("source").unique().to_pylist() == ["s"]
    assert entries.column("delivery").null_count == entries.column("label").null_count == count
    assert pa.total_allocated_bytes() - before < 20 * count
