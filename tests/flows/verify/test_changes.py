"""Comparing by blocks gives what comparing whole versions gives."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provreg.core.changes.changes import Changes, compare
from provreg.core.manifest import tree
from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.head import KINDS, Head, NameCounts, PartRef
from provreg.errors import DamagedError
from provreg.flows.session.workspace import Workspace
from provreg.flows.verify import changes as compare_flow
from provreg.flows.verify.changes import changes_between
from provreg.store.registry.parts import write_part
from tests.parts import build_parts

if TYPE_CHECKING:
    from tests.conftest import Bench

COUNT = 700


def entry(identity: str, payload: int, label: int, source: int = 0) -> dict[str, Any]:
    return {"id": identity, "content": blake3(b"%d" % payload).digest(), "size": payload,
            "source": f"s{source}", "label": f"l{label}"}  # fmt: skip


def first_version() -> dict[str, dict[str, Any]]:
    # Payloads repeat, so that renames are ambiguous too.
    return {f"{n:05}": entry(f"{n:05}", n % 500, n % 3) for n in range(COUNT)}


def changed(chance: random.Random) -> dict[str, dict[str, Any]]:
    """The first version after up to 30 changes of all kinds."""
    rows = first_version()
    for _ in range(chance.randint(0, 30)):
        identity = chance.choice(sorted(rows))
        kind = chance.choice(KINDS)
        match kind:
            case "injected":
                new = f"{chance.randrange(COUNT):05}.{chance.randrange(9)}"
                rows[new] = entry(new, chance.randrange(600), 1)
            case "removed":
                del rows[identity]
            case "relabeled":
                rows[identity] |= {"label": "other"}
            case "modified":
                rows[identity] |= {"content": blake3(b"%f" % chance.random()).digest()}
            case "renamed":
                new = f"{chance.randrange(COUNT):05}-renamed"
                rows[new] = rows.pop(identity) | {"id": new}
            case "reattributed":
                rows[identity] |= {"source": "other"}
            case _:
                rows[identity] |= {"split": "test"}
    return rows


def store(workspace: Workspace, rows: dict[str, dict[str, Any]]) -> tuple[Head, pa.Table]:
    entries = pa.Table.from_pylist(
        sorted(rows.values(), key=lambda row: row["id"].encode()), schema=ENTRY
    )
    references = []
    for part in build_parts(entries):
        data = write_part(part.entries)
        ids = part.entries["id"]
        references.append(
            PartRef(
                workspace.objects.put(part.blocks.to_bytes()), workspace.objects.put(data),
                len(data), len(ids), ids[0].as_py(), ids[-1].as_py(),
            )
        )  # fmt: skip
    none = NameCounts(0, (), "")
    head = Head(
        "d", "", 1, None, "", len(entries), tuple(references), {}, "none", (), {}, none, none, 0,
        None, "",
    )  # type: ignore[arg-type]  # fmt: skip
    return head, entries


def told(changes: Changes) -> list[Any]:
    return [
        changes.kinds.tolist(),
        changes.ids().to_pylist(),
        changes.old_entries().to_pylist(),
        changes.new_entries().to_pylist(),
    ]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    chance=st.randoms(use_true_random=False),
    few=st.sampled_from([1, 100, 4096]),
    batch=st.sampled_from([1, 100, 1 << 17]),
    small_parts=st.booleans(),
)
def test_diff_by_blocks_is_the_diff_of_whole_versions(
    bench: Bench, chance: random.Random, few: int, batch: int, small_parts: bool
) -> None:
    workspace = bench.open().workspace
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_flow, "_FEW", few)
        patch.setattr(compare_flow, "_BATCH", batch)
        if small_parts:
            patch.setattr(tree, "PART_MIN_ENTRIES", 1)
            patch.setattr(tree, "_PART_MARK", 2**32)
        old, old_entries = store(workspace, first_version())
        new, new_entries = store(workspace, changed(chance))
        assert (len(old.parts) > 2) == small_parts
        assert told(changes_between(workspace, old, new)) == told(compare(old_entries, new_entries))
        assert told(changes_between(workspace, new, old)) == told(compare(new_entries, old_entries))


def test_renames_are_paired_in_the_order_of_ids_wherever_the_parts_stand(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two samples have the same bytes; the part of one begins with another id than before."""
    monkeypatch.setattr(tree, "PART_MIN_ENTRIES", 1)
    monkeypatch.setattr(tree, "_PART_MARK", 2**32)
    workspace = bench.open().workspace
    rows = {f"{n:05}": entry(f"{n:05}", n, 0) for n in range(COUNT)}
    first = store(workspace, rows)[0].parts[1].first
    one, other = f"{int(first) + 1:05}", f"{COUNT - 2:05}"
    rows[other] |= {"content": rows[one]["content"], "size": rows[one]["size"]}
    old, old_entries = store(workspace, rows)
    for identity in (first, one, other):
        rows[f"{identity}-renamed"] = rows.pop(identity) | {"id": f"{identity}-renamed"}
    new, new_entries = store(workspace, rows)
    assert [part.last for part in old.parts] == [part.last for part in new.parts]
    found = told(changes_between(workspace, old, new))
    assert found == told(compare(old_entries, new_entries))
    pairs = {row["id"]: old_row["id"] for row, old_row in zip(found[3], found[2], strict=True)}
    assert pairs == {f"{identity}-renamed": identity for identity in (first, one, other)}


def test_only_blocks_that_differ_are_joined(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = []

    def spy(old: pa.Table, new: pa.Table) -> Changes:
        joined.append((old.num_rows, new.num_rows))
        return compare(old, new)

    monkeypatch.setattr(compare_flow, "compare", spy)
    workspace = bench.open().workspace
    rows = first_version()
    old, _ = store(workspace, rows)
    rows["00001"] |= {"label": "other"}
    new, _ = store(workspace, rows)
    assert changes_between(workspace, old, new).counts()["relabeled"] == 1
    [(one, other)] = joined
    assert one == other < COUNT
    assert len(changes_between(workspace, new, new)) == 0
    assert joined[-1] == (0, 0)


def test_a_block_list_that_is_another_parts_is_not_believed(bench: Bench) -> None:
    workspace = bench.open().workspace
    old, _ = store(workspace, first_version())
    rows = first_version()
    del rows["00001"]
    new, _ = store(workspace, rows)
    path = bench.object(new.parts[0].blocks)
    bench.overwrite(path, bench.object(old.parts[0].blocks).read_bytes())
    with pytest.raises(DamagedError):
        changes_between(workspace, old, new)
    missing = replace(new, parts=(replace(new.parts[0], blocks="blake3:" + "00" * 32),))
    with pytest.raises(Exception, match="there is no"):
        changes_between(workspace, old, missing)
