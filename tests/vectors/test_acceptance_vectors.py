"""The vectors of acceptances: by provreg, by the second reader and by the schema."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from provreg.core.encoding.canonical import canonical
from provreg.core.encoding.digest import sha256_digest
from provreg.core.statements.acceptance import parse_acceptance, samples_digest
from provreg.errors import FormatError

VECTORS = Path(__file__).parent
ACCEPTANCES = sorted((VECTORS / "acceptances").glob("*.json"))
SCHEMA = VECTORS.parents[1] / "schemas/statement-acceptance.v1.json"


@pytest.fixture(scope="module")
def second() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(VECTORS))
        yield importlib.import_module("second_acceptance")


def read(path: Path) -> tuple[bytes, str]:
    case: dict[str, Any] = json.loads(path.read_bytes())
    return canonical(case["statement"]), case["expect"]


@pytest.mark.parametrize("path", ACCEPTANCES, ids=lambda path: path.stem)
def test_acceptance_vector_has_its_digest_or_is_refused(path: Path) -> None:
    data, expect = read(path)
    if path.stem.startswith("good-"):
        assert parse_acceptance(data).statement() == data
        assert sha256_digest(data) == expect
        Draft202012Validator(json.loads(SCHEMA.read_bytes())).validate(json.loads(data))
        return
    assert expect == "refused"
    with pytest.raises(FormatError):
        parse_acceptance(data)


@pytest.mark.parametrize("path", ACCEPTANCES, ids=lambda path: path.stem)
def test_second_reader_agrees_about_acceptances(path: Path, second: ModuleType) -> None:
    data, expect = read(path)
    if path.stem.startswith("good-"):
        said, finding = second.read_acceptance(data)
        assert said["found"] == json.loads(data)["predicate"]["found"]
        assert finding == parse_acceptance(data).found.digest()
        assert sha256_digest(data) == expect
        return
    with pytest.raises(importlib.import_module("second_conventions").Refused):
        second.read_acceptance(data)


@given(st.lists(st.binary(min_size=32, max_size=32)))
def test_second_reader_makes_the_same_digest_of_samples(leaves: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(VECTORS))
        second = importlib.import_module("second_acceptance")
    assert second.samples_digest(leaves) == samples_digest(leaves)


def test_vectors_of_acceptances_are_there() -> None:
    good = [path for path in ACCEPTANCES if path.stem.startswith("good-")]
    assert (len(good), len(ACCEPTANCES)) == (6, 29)
