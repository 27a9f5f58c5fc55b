"""Samples of a stream take the entries they are signed as."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from provreg.core.changes.origin import OriginDefaults, assign_origin
from provreg.core.manifest.data_fields import DataFields
from provreg.core.manifest.entry import SAMPLE
from provreg.core.manifest.manifest import sort_entries
from provreg.errors import NotTrustedError, SampleError
from provreg.loaders.passes.matching import Matching
from provreg.readers.tables.samples import content_ids, numbered_ids

Row = tuple[str, str, str | None]


def samples(rows: list[Row], *, ids: bool) -> pa.RecordBatch:
    """Rows of (id, payload, label) as a reader gives them."""
    content = pa.array([blake3(row[1].encode()).digest() for row in rows], pa.binary(32))
    columns = {
        "id": pa.array([row[0] for row in rows], pa.string()) if ids else content_ids(content),
        "content": content,
        "size": pa.array([len(row[1]) for row in rows], pa.uint64()),
        "label": pa.array([row[2] for row in rows], pa.string()),
    }
    arrays = [columns.get(field.name, pa.nulls(len(rows), field.type)) for field in SAMPLE]
    return pa.RecordBatch.from_arrays(arrays, schema=SAMPLE)


def matching(signed: list[Row], *, ids: bool, labels: bool = True, parts: int = 1) -> Matching:
    table = pa.Table.from_batches([samples(signed, ids=ids)])
    if not ids:
        table = table.set_column(0, SAMPLE.field("id"), numbered_ids(table))
    entries = assign_origin(
        sort_entries(table), None, OriginDefaults("s", "ann"), labels_known=True, splits_known=False
    )
    length = -(-entries.num_rows // parts)
    pieces = [entries.slice(at, length) for at in range(0, entries.num_rows, length)]
    entries = pa.concat_tables([piece.combine_chunks() for piece in pieces])
    return Matching("d@1", entries, ids_read=ids, told=DataFields(("label",) if labels else ()))


SIGNED = [("a", "one", "x"), ("b", "two", "y"), ("c", "one", "y"), ("d", "one", "y")]


@given(data=st.data(), ids=st.booleans(), parts=st.integers(1, 4))
def test_every_sample_takes_one_entry_of_its_own_in_any_order_and_batches(
    data: st.DataObject, ids: bool, parts: int
) -> None:
    payloads, labels = st.sampled_from("uvw"), st.sampled_from(["x", "y", None, "é" * 600])
    many = data.draw(st.lists(st.tuples(payloads, labels), min_size=1, max_size=12))
    signed = [(f"{at:02}", *row) for at, row in enumerate(many)]
    shuffled = data.draw(st.permutations(signed))
    cut = data.draw(st.integers(0, len(signed)))
    one = matching(signed, ids=ids, parts=parts)
    taken: list[int] = []
    for batch in (shuffled[:cut], shuffled[cut:]):
        read = samples(batch, ids=ids)
        found = one.match(read)
        taken += found.rows.tolist()
        assert found.signed["content"].to_pylist() == read["content"].to_pylist()
        if ids:
            assert found.signed["id"].to_pylist() == read["id"].to_pylist()
    assert sorted(taken) == list(range(len(signed)))
    assert len(one.missing()) == 0


@pytest.mark.parametrize("ids", [True, False], ids=["ids read", "ids from content"])
@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize(
    ("poison", "why"),
    [
        (("b", "TWO", "y"), {True: "its bytes differ", False: "has no such sample"}),
        (("e", "evil", "y"), "has no such sample"),
        (("b", "two", "x"), "its label differs"),
        (("b", "two", None), "its label differs"),
        (("a", "one", "x"), "more often in the data than"),
    ],
    ids=["changed", "stranger", "relabeled", "unlabeled", "repeated"],
)
def test_what_is_not_as_signed_takes_no_entry(
    ids: bool, batch: int, poison: Row, why: str | dict[bool, str]
) -> None:
    rows = [SIGNED[0], poison, SIGNED[2], SIGNED[3]]
    one = matching(SIGNED, ids=ids)
    refused = []
    for at in range(0, len(rows), batch):
        read = samples(rows[at : at + batch], ids=ids)
        places = one.match(read).rows
        refused += [one.refusal(read, int(bad)) for bad in np.flatnonzero(places < 0)]
    assert len(refused) == 1
    assert isinstance(refused[0], SampleError)
    with pytest.raises(SampleError, match=why if isinstance(why, str) else why[ids]):
        raise refused[0]
    assert len(one.missing()) == 1
    assert "missing from the data" in one.missing_sample(int(one.missing()[0])).message


@pytest.mark.parametrize("ids", [True, False], ids=["ids read", "ids from content"])
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_sample_whose_bytes_stand_nowhere_else_is_taken_once(ids: bool, batch: int) -> None:
    one = matching(SIGNED, ids=ids)
    rows = [SIGNED[1], SIGNED[0], SIGNED[1], SIGNED[1]]
    taken = [
        one.match(samples(rows[at : at + batch], ids=ids)).rows >= 0 for at in range(0, 4, batch)
    ]
    assert np.concatenate(taken).tolist() == [True, True, False, False]
    assert len(one.missing()) == 2


def test_a_relabeled_sample_says_who_answers_for_it() -> None:
    one = matching(SIGNED, ids=True)
    read = samples([("b", "two", "x")], ids=True)
    assert one.match(read).rows.tolist() == [-1]
    error = one.refusal(read, 0)
    assert (error.sample, error.source, error.labeler) == ("b", "s", "ann")


def test_labels_that_a_labels_file_gave_are_not_looked_for_in_the_data() -> None:
    one = matching(SIGNED, ids=False, labels=False)
    unlabeled = [(name, payload, None) for name, payload, _ in SIGNED]
    found = one.match(samples(unlabeled, ids=False))
    assert Counter(found.signed["label"].to_pylist()) == Counter(label for *_, label in SIGNED)


def test_contents_that_begin_alike_are_not_taken_for_each_other() -> None:
    alike = [bytes(8) + bytes([number]) * 24 for number in range(3)]
    read = samples([("a", "", None), ("b", "", None), ("c", "", None)], ids=True)
    content = pa.array(alike, pa.binary(32))
    read = read.set_column(1, SAMPLE.field("content"), content)
    entries = assign_origin(
        pa.Table.from_batches([read]),
        None,
        OriginDefaults("s", None),
        labels_known=True,
        splits_known=False,
    )
    one = Matching("d@1", entries, ids_read=True, told=DataFields(("label",)))
    assert one.match(read.take(pa.array([2, 0]))).rows.tolist() == [2, 0]
    swapped = read.take(pa.array([1])).set_column(1, SAMPLE.field("content"), content.slice(2))
    assert one.match(swapped).rows.tolist() == [-1]


def test_missing_samples_are_named() -> None:
    one = matching(SIGNED, ids=True)
    one.match(samples(SIGNED[:2], ids=True))
    error = one.missing_samples(one.missing())
    assert isinstance(error, NotTrustedError)
    assert "2 samples of d@1 are missing from the data, the first is 'c'" in error.message
    assert [(finding.kind, finding.id) for finding in error.findings] == [
        ("missing", "c"), ("missing", "d"),
    ]  # fmt: skip


def test_a_manifest_in_order_and_one_shuffled_match_alike() -> None:
    signed = [(f"{at:04}", str(at % 7), str(at % 3)) for at in range(500)]
    shuffled = [signed[at * 7919 % 500] for at in range(500)]
    for rows in (signed, shuffled):
        one = matching(signed, ids=True, parts=5)
        found = np.concatenate(
            [one.match(samples(rows[at : at + 64], ids=True)).rows for at in range(0, 500, 64)]
        )
        assert [signed[row][0] for row in found] == [row[0] for row in rows]
