"""Entries in the private cache: what was put is what is mapped, and no more room than it needs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from provreg.core.manifest.entry import ENTRY
from provreg.core.manifest.head import PartRef
from provreg.store.private.mapped_parts import MappedParts

_MANY = 3000


def part(rows: int) -> PartRef:
    return PartRef("blake3:" + "11" * 32, "blake3:" + "22" * 32, 1, rows, "a", "b")


def entries(rows: int, **given: Callable[[int], Any]) -> pa.Table:
    """`rows` entries of an id, content, size and source, and what is `given` for each."""
    values: dict[str, Callable[[int], Any]] = {
        "id": lambda row: f"{row:08}",
        "content": lambda row: row.to_bytes(32, "big"),
        "size": lambda row: row,
        "source": lambda row: f"source {row % 3}",
    }
    values |= given
    # As drafts have them: nulls of a whole version, of which a part is a slice.
    nulls = {field.name: pa.nulls(100 * rows, field.type) for field in ENTRY}
    columns = [
        pa.array([values[field.name](row) for row in range(rows)], field.type)
        if field.name in values
        else nulls[field.name].slice(7, rows)
        for field in ENTRY
    ]
    return pa.Table.from_arrays(columns, schema=ENTRY)


def file_of(parts: Path) -> Path:
    [file] = parts.rglob("*.arrow")
    return file


def sometimes(value: Any) -> Callable[[int], Any]:
    return lambda row: value if row % 2 else None


_VALUES = {
    "label": "cat",
    "label_digest": bytes(32),
    "labeler": "ann",
    "labeled_at": datetime(2026, 1, 2, tzinfo=UTC),
    "split": "train",
    "delivery": bytes(32),
    "annotations": [{"label": "cat", "labeler": None, "labeled_at": None}],
    "uri": "https://example.org/1",
    "content_sha256": bytes(32),
    "attrs": "{}",
}


@pytest.mark.parametrize("names", [(), *((name,) for name in _VALUES), tuple(_VALUES)])
def test_what_was_put_is_what_is_mapped(tmp_path: Path, names: tuple[str, ...]) -> None:
    given = entries(20, **{name: sometimes(_VALUES[name]) for name in names})
    MappedParts(tmp_path).put(part(20), given)
    found = MappedParts(tmp_path).get(part(20))
    assert found is not None
    found.validate(full=True)
    assert found.schema.equals(ENTRY)
    assert found.to_pylist() == given.to_pylist()
    assert all(column.num_chunks == 1 for column in found.columns)


def test_a_part_stays_mapped_for_who_asks_again(tmp_path: Path) -> None:
    parts = MappedParts(tmp_path)
    parts.put(part(20), entries(20))
    assert parts.recent(part(20)) is parts.recent(part(20))
    assert parts.get(part(20)) is not parts.recent(part(20))


def test_a_file_that_was_replaced_or_removed_is_not_taken_from_its_old_mapping(
    tmp_path: Path,
) -> None:
    parts = MappedParts(tmp_path)
    for label in ("cat", "dog"):  # files of one size
        given = entries(20, label=sometimes(label))
        parts.put(part(20), given)
        assert parts.recent(part(20)).to_pylist() == given.to_pylist()  # type: ignore[union-attr]
    file_of(tmp_path).unlink()
    assert parts.recent(part(20)) is None


def test_columns_without_values_take_no_room_in_the_cache(tmp_path: Path) -> None:
    MappedParts(tmp_path).put(part(_MANY), entries(_MANY))
    values = 4 + 8 + 32 + 8 + 4
    assert values * _MANY < file_of(tmp_path).stat().st_size < 1.1 * values * _MANY


def test_columns_without_values_take_no_memory(tmp_path: Path) -> None:
    MappedParts(tmp_path).put(part(_MANY), entries(_MANY))
    before = pa.total_allocated_bytes()
    found = MappedParts(tmp_path).get(part(_MANY))
    assert found is not None
    assert pa.total_allocated_bytes() - before < _MANY


def test_a_cache_that_was_written_with_all_columns_is_read(tmp_path: Path) -> None:
    given = entries(20)
    MappedParts(tmp_path).put(part(20), given)
    rewritten(file_of(tmp_path), given)
    assert MappedParts(tmp_path).get(part(20)).to_pylist() == given.to_pylist()  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["id", "content", "size", "source"])
def test_a_file_without_what_every_entry_has_is_none(tmp_path: Path, name: str) -> None:
    MappedParts(tmp_path).put(part(20), entries(20))
    rewritten(file_of(tmp_path), entries(20).drop_columns([name]))
    assert MappedParts(tmp_path).get(part(20)) is None


def test_a_file_with_other_columns_or_rows_is_none(tmp_path: Path) -> None:
    MappedParts(tmp_path).put(part(20), entries(20))
    assert MappedParts(tmp_path).get(part(19)) is None
    rewritten(file_of(tmp_path), entries(20).append_column("more", pa.nulls(20, pa.int8())))
    assert MappedParts(tmp_path).get(part(20)) is None
    rewritten(file_of(tmp_path), entries(20).select(ENTRY.names[::-1]))
    assert MappedParts(tmp_path).get(part(20)) is None


def rewritten(file: Path, table: pa.Table) -> None:
    with pa.OSFile(str(file), "wb") as sink:
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        sink.write(bytes(32))
