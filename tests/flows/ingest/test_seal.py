from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from blake3 import blake3

from provreg.core.manifest.entry import SAMPLE
from provreg.core.manifest.leaf import leaves
from provreg.errors import InputError
from provreg.executors.processes import LocalProcesses
from provreg.flows.ingest import seal as sealing
from provreg.flows.ingest.draft import Draft, Parent, draft
from provreg.flows.ingest.request import Ingestion
from provreg.flows.ingest.seal import Sealed, seal
from provreg.readers.api import ReadResult
from tests.parts import build_parts

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FOLDER = {
    "reader": "folder", "reader_version": 1, "label": "none", "split": "none",
    "include": [], "exclude": [], "left_out": {},
}  # fmt: skip


def samples(count: int, changed: str = "") -> ReadResult:
    names = [f"{number:06}" for number in range(count)]
    content = [blake3((name + (changed if name == "000007" else "")).encode()).digest()
               for name in names]  # fmt: skip
    table = pa.table(
        {
            "id": names,
            "content": pa.array(content, pa.binary(32)),
            "size": pa.array([1] * count, pa.uint64()),
        }
    )
    nulls = {f.name: pa.nulls(count, f.type) for f in SAMPLE if f.name not in table.column_names}
    whole = pa.table({f.name: table[f.name] if f.name not in nulls else nulls[f.name]
                      for f in SAMPLE}, schema=SAMPLE)  # fmt: skip
    return ReadResult(whole, FOLDER, labels_known=False, splits_known=False)


def drafted(count: int, parent: Parent | None = None, changed: str = "") -> Draft:
    return draft(Ingestion("d", (), source="s"), samples(count, changed), parent)


def sealed(made: Draft, number: int = 1) -> Sealed:
    return seal(made, number=number, created=NOW, message="")


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "_WORTH_PROCESSES", 1)
    monkeypatch.setattr(sealing, "local_processes", lambda: LocalProcesses(2))


def test_parts_made_in_processes_are_those_made_in_one(
    monkeypatch: pytest.MonkeyPatch, two_processes: None
) -> None:
    made = drafted(150_000)
    apart = sealed(made)
    assert len(apart.parts) > 1
    monkeypatch.setattr(sealing, "local_processes", lambda: LocalProcesses(1))
    assert apart.head.parts == sealed(made).head.parts
    assert [part.blocks for part, _ in apart.parts] == [
        part.blocks.logical_digest() for part in build_parts(made.entries)
    ]


def test_two_samples_with_one_id_are_not_sealed() -> None:
    """Whatever reader gave them: nobody could read the part."""
    made = drafted(5)
    for rows in ([0, 1, 1, 2], [1, 0]):
        with pytest.raises(InputError, match="ids are not ascending and unique"):
            sealed(replace(made, entries=made.entries.take(rows)))


def test_an_unchanged_part_keeps_its_parents_file(two_processes: None) -> None:
    first = sealed(drafted(150_000))
    parent = Parent(first.head.digest(), first.head, drafted(150_000).entries)
    second = sealed(drafted(150_000, parent, "!"), number=2)
    assert second.head.parts[1:] == first.head.parts[1:]
    assert second.head.parts[0] != first.head.parts[0]
    # One part file, its block list, and the tables of sources and labelers.
    assert len(second.objects) == 4


def test_a_successor_keeps_uid_and_class_indices() -> None:
    first = sealed(drafted(3))
    parent = Parent(first.head.digest(), first.head, drafted(3).entries)
    second = sealed(drafted(4, parent), number=2)
    assert (second.head.uid, second.head.parent) == (first.head.uid, first.head.digest())
    assert second.head.changes["injected"] == 1


def edited(entries: pa.Table, numbers: np.random.Generator) -> ReadResult:
    """The samples of `entries` after some were removed, renamed, relabeled, rewritten and added."""
    rows = entries.select(SAMPLE.names).to_pylist()
    for at in numbers.choice(len(rows), 3, replace=False).tolist():
        rows[at]["label"] = f"label {numbers.integers(3)}"
    for at in numbers.choice(len(rows), 3, replace=False).tolist():
        rows[at]["content"] = numbers.bytes(32)
    for at in numbers.choice(len(rows), 2, replace=False).tolist():
        rows[at]["id"] = f"{numbers.integers(len(rows)):06}x"
    for at in sorted(numbers.choice(len(rows), 2, replace=False).tolist(), reverse=True):
        del rows[at]
    for at in numbers.integers(0, 10**6, 2).tolist():
        rows.append(rows[0] | {"id": f"{at:06}+", "content": numbers.bytes(32)})
    rows.sort(key=lambda row: row["id"])
    table = pa.Table.from_pylist(rows, SAMPLE)
    return ReadResult(table, FOLDER, labels_known=True, splits_known=True)


def test_blocks_kept_from_the_parent_are_those_that_hashing_makes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashed: list[int] = []

    def counted(entries: pa.Table) -> bytes:
        hashed.append(entries.num_rows)
        return leaves(entries)

    monkeypatch.setattr(sealing, "leaves", counted)
    numbers = np.random.default_rng(8)
    version = sealed(drafted(40_000))
    entries = drafted(40_000).entries
    for number in range(2, 8):
        parent = Parent(version.head.digest(), version.head, entries)
        made = draft(Ingestion("d", (), source="s"), edited(entries, numbers), parent)
        blocks = [part.blocks for part in build_parts(entries)]
        hashed.clear()
        version = seal(made, number=number, created=NOW, message="", parents_blocks=blocks)
        assert 0 < sum(hashed) < 8_000
        entries = made.entries
        assert [part.blocks for part in version.head.parts] == [
            part.blocks.logical_digest() for part in build_parts(entries)
        ]


def test_a_version_all_of_whose_blocks_are_kept_is_not_hashed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = sealed(drafted(30_000))
    entries = drafted(30_000).entries
    blocks = [part.blocks for part in build_parts(entries)]
    monkeypatch.setattr(sealing, "leaves", None)
    made = drafted(30_000, Parent(first.head.digest(), first.head, entries))
    second = seal(made, number=2, created=NOW, message="", parents_blocks=blocks)
    assert second.head.parts == first.head.parts
