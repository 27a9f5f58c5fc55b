from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from blake3 import blake3

from provreg.core.entry import SAMPLE
from provreg.core.manifest import build_parts
from provreg.core.origin import Speaker
from provreg.flows import seal as sealing
from provreg.flows.draft import Draft, Parent, Samples, draft
from provreg.flows.seal import Sealed, seal

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def samples(count: int, changed: str = "") -> Samples:
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
    return Samples(whole, {"reader": "folder"}, labels_known=False, splits_known=False)


def drafted(count: int, parent: Parent | None = None, changed: str = "") -> Draft:
    return draft("d", samples(count, changed), parent, Speaker("s", None))


def sealed(made: Draft, number: int = 1) -> Sealed:
    return seal(made, number=number, created=NOW, message="")


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "_WORTH_PROCESSES", 1)
    monkeypatch.setattr(sealing, "default_workers", lambda: 2)


def test_parts_made_in_processes_are_those_made_in_one(
    monkeypatch: pytest.MonkeyPatch, two_processes: None
) -> None:
    made = drafted(150_000)
    apart = sealed(made)
    assert len(apart.parts) > 1
    monkeypatch.setattr(sealing, "default_workers", lambda: 1)
    assert apart.head.parts == sealed(made).head.parts
    assert [part.blocks for part, _ in apart.parts] == [
        part.blocks.logical_digest() for part in build_parts(made.entries)
    ]


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
