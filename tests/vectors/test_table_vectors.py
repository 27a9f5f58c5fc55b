"""The vectors of tables: text and schema to payloads, by provreg and by the second reader."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from blake3 import blake3

from provreg.core.rows.column import columns_from_json
from provreg.errors import InputError
from provreg.readers.tables.table import TableOptions, read_table

VECTORS = Path(__file__).parent
TABLES = sorted((VECTORS / "tables").glob("*.json"))


def has_roles(path: Path) -> bool:
    case = json.loads(path.read_bytes())
    return "roles" in case or "time" in case or "files" in case


CASES = [path for path in TABLES if not has_roles(path)]
ROLES = [path for path in TABLES if has_roles(path)]


@pytest.fixture(scope="module")
def second() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(VECTORS))
        yield importlib.import_module("second_table")


def read(path: Path) -> tuple[dict[str, Any], bytes]:
    case: dict[str, Any] = json.loads(path.read_bytes())
    data = bytes.fromhex(case["hex"]) if "hex" in case else case["text"].encode()
    return case, data


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_table_vector_has_its_digests_or_is_refused(path: Path, tmp_path: Path) -> None:
    case, data = read(path)
    file = tmp_path / f"table.{case['format']}"
    file.write_bytes(data)
    options = TableOptions(
        delimiter=case.get("delimiter"),
        quoting="quoting" not in case,
        null_words=tuple(case.get("null_words", [""])),
        columns=columns_from_json(case["columns"], "vector"),
        excluded=tuple(case.get("columns_excluded", ())),
        added=tuple(case.get("columns_added", ())),
    )
    if case["expect"] == "refused":
        with pytest.raises(InputError):
            read_table([file], case["format"], options)
        return
    contents = read_table([file], case["format"], options).table["content"].to_pylist()
    assert sorted(content.hex() for content in contents) == sorted(case["expect"]["digests"])


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_second_reader_finds_the_same_payloads(path: Path, second: ModuleType) -> None:
    case, data = read(path)
    if case["expect"] == "refused":
        with pytest.raises(second.Refused):
            second.payloads(data, case)
        return
    found = second.payloads(data, case)
    assert [payload.hex() for payload in found] == case["expect"]["payloads"]
    assert [blake3(payload).hexdigest() for payload in found] == case["expect"]["digests"]


@pytest.mark.parametrize("path", ROLES, ids=lambda path: path.stem)
def test_table_vector_has_its_samples_or_is_refused(path: Path, second: ModuleType) -> None:
    tables = importlib.import_module("tables")
    case, data = read(path)
    found = tables.samples(data, case)
    assert found == (None if case["expect"] == "refused" else case["expect"]["samples"])


@pytest.mark.parametrize("path", ROLES, ids=lambda path: path.stem)
def test_second_reader_finds_the_same_samples(path: Path, second: ModuleType) -> None:
    rows = importlib.import_module("second_rows")
    case, data = read(path)
    if case["expect"] == "refused":
        with pytest.raises(second.Refused):
            rows.samples(data, case)
        return
    found = sorted(rows.samples(data, case), key=lambda one: str(one["id"]).encode())
    assert found == case["expect"]["samples"]
