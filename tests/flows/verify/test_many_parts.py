"""A version of several parts: what is read of it again, and that all cores find the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from provreg.core.manifest.head import root_of_parts
from provreg.errors import NotTrustedError
from provreg.flows.verify import manifest
from provreg.readers.api import ReadOptions

if TYPE_CHECKING:
    from pathlib import Path

    from provreg.core.manifest.head import Head
    from tests.conftest import Bench

_ROWS = 120_000


@pytest.fixture
def heads(bench: Bench) -> tuple[Head, Head]:
    """Two versions that differ in the label of one row of the first part."""
    keys = [f"{row:06}" for row in range(_ROWS)]
    found = []
    for first in ("kept", "changed"):
        labels = [first, *["kept"] * (_ROWS - 1)]
        path: Path = bench.folder / "rows.parquet"
        pq.write_table(pa.table({"key": keys, "text": keys, "label": labels}), path)
        found.append(bench.ingest(path, options=ReadOptions(id="key", label="label")).head)
        bench.open().sync()
    old, new = found
    assert len(old.parts) > 2
    assert old.parts[0] != new.parts[0]
    assert old.parts[1:] == new.parts[1:]
    return old, new


def test_sync_reads_of_a_successor_only_what_its_parent_lacks(
    bench: Bench, heads: tuple[Head, Head], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = heads
    opened = bench.open()
    read = []
    real = manifest.read_part_file
    monkeypatch.setattr(
        manifest, "read_part_file", lambda at, part: read.append(part) or real(at, part)
    )
    opened.workspace.index.forget([new.digest()])
    assert opened.sync() == []
    assert read == [new.parts[0]]
    opened.workspace.index.forget([old.digest(), new.digest()])
    read.clear()
    assert opened.sync() == []
    assert sorted(part.first for part in read) == sorted(
        part.first for part in (*old.parts, new.parts[0])
    )


def test_sync_refuses_a_successor_whose_own_part_is_damaged(
    bench: Bench, heads: tuple[Head, Head]
) -> None:
    _, new = heads
    opened = bench.open()
    opened.workspace.index.forget([new.digest()])
    bench.overwrite(bench.object(new.parts[0].file), b"damaged")
    assert [one.number for one in opened.sync()] == [2]


@pytest.mark.parametrize("few", [0, 1 << 23])
def test_a_damaged_part_that_versions_share_does_not_verify_though_it_is_in_the_index(
    bench: Bench, heads: tuple[Head, Head], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "_FEW_BYTES", few)
    bench.overwrite(bench.object(heads[1].parts[1].file), b"damaged")
    opened = bench.open()
    assert opened.sync() == []
    with pytest.raises(NotTrustedError) as caught:
        opened.verify("pets@2")
    assert caught.value.step == 10


def test_all_cores_find_what_one_finds(
    bench: Bench, heads: tuple[Head, Head], monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = bench.open().verify("pets@2").entries
    liar = heads[1].parts[1]
    parts = tuple(
        replace(part, blocks=liar.blocks) if part == heads[1].parts[2] else part
        for part in heads[1].parts
    )
    lie = root_of_parts([(part.rows, part.blocks) for part in parts])
    bench.point(2, bench.forge(replace(heads[1], parts=parts, root=lie), claim=False))
    for worth in (1, 1 << 30):
        bench.forget("PROVREG_CACHE", "PROVREG_STATE")
        monkeypatch.setattr(manifest, "_WORTH_PROCESSES", worth)
        assert bench.open().verify("pets@1").entries.num_rows == entries.num_rows
        with pytest.raises(
            NotTrustedError, match="do not have the logical digest in the head"
        ) as caught:
            bench.open().verify("pets@2")
        assert caught.value.step == 11
