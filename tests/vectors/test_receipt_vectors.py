"""The vectors of receipts: by provreg, by the second reader and by the schema."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from provreg.core.encoding.canonical import canonical
from provreg.core.encoding.digest import sha256_digest
from provreg.core.statements.receipt import parse_receipt
from provreg.errors import FormatError

VECTORS = Path(__file__).parent
RECEIPTS = sorted((VECTORS / "receipts").glob("*.json"))
SCHEMA = VECTORS.parents[1] / "schemas/statement-run.v1.json"


@pytest.fixture(scope="module")
def second() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(VECTORS))
        yield importlib.import_module("second_receipt")


def read(path: Path) -> tuple[bytes, str]:
    case: dict[str, Any] = json.loads(path.read_bytes())
    return canonical(case["statement"]), case["expect"]


@pytest.mark.parametrize("path", RECEIPTS, ids=lambda path: path.stem)
def test_receipt_vector_has_its_digest_or_is_refused(path: Path) -> None:
    data, expect = read(path)
    if path.stem.startswith("good-"):
        assert parse_receipt(data).statement() == data
        assert sha256_digest(data) == expect
        Draft202012Validator(json.loads(SCHEMA.read_bytes())).validate(json.loads(data))
        return
    assert expect == "refused"
    with pytest.raises(FormatError):
        parse_receipt(data)


@pytest.mark.parametrize("path", RECEIPTS, ids=lambda path: path.stem)
def test_second_reader_agrees_about_receipts(path: Path, second: ModuleType) -> None:
    data, expect = read(path)
    if path.stem.startswith("good-"):
        assert second.read_receipt(data) == (json.loads(data), expect)
        return
    with pytest.raises(second.Refused):
        second.read_receipt(data)


def test_vectors_of_receipts_are_there() -> None:
    good = [path for path in RECEIPTS if path.stem.startswith("good-")]
    assert (len(good), len(RECEIPTS)) == (9, 38)
