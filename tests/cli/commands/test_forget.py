"""`provreg forget`: what was seen is shown, then forgotten, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

Run = Callable[..., Any]
SCHEMA = Path(__file__).resolve().parents[3] / "schemas/output/forget.v1.json"


@pytest.fixture
def seen(pets: Path, provreg: Run) -> Path:
    """The registry, whose version 1 was seen by nobody but now."""
    shutil.rmtree(os.environ["PROVREG_STATE"], ignore_errors=True)
    assert provreg("verify", "pets@1").code == 0
    return pets / ".provreg"


def test_it_shows_what_it_forgets_before_it_asks(seen: Path, provreg: Run) -> None:
    ran = provreg("forget", "pets")
    assert ran.code == 2  # nobody is there to be asked
    assert f"seen in {seen.as_uri()}" in ran.out
    assert "1 version (1)" in ran.out
    assert "--yes" in ran.err
    assert provreg("verify", "pets@1").err == ""


def test_the_next_version_is_then_taken_on_first_use(seen: Path, provreg: Run) -> None:
    assert provreg("forget", "pets", "--yes").code == 0
    assert "no earlier verification" in provreg("verify", "pets@1").err


def test_its_document_is_as_its_schema_says(seen: Path, provreg: Run) -> None:
    ran = provreg("forget", "--yes", "--json")
    assert (ran.code, ran.err) == (0, "")
    jsonschema.validate(ran.json, json.loads(SCHEMA.read_text("utf-8")))
    assert [one["versions"] for one in ran.json["datasets"]] == [[1]]
    assert ran.json["places"] == [seen.as_uri()]


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (["forget", "dogs", "--yes"], 3, "there is no record of dogs in"),
        (["forget", "pets", "--registry", "elsewhere", "--yes"], 3, "there is no record of pets"),
        (["forget", "--registry", "elsewhere", "--yes"], 3, "there is no record of any dataset"),
        (["forget", "pets@1", "--yes"], 2, "pets@1"),
        (["forget", "../pets", "--yes"], 2, "../pets"),
    ],
)
def test_what_was_not_seen_cannot_be_forgotten(
    seen: Path, provreg: Run, command: list[str], code: int, says: str
) -> None:
    ran = provreg(*command)
    assert (ran.code, says in ran.err) == (code, True), ran


def test_a_state_that_cannot_be_read_is_forgotten_whole_and_said(seen: Path, provreg: Run) -> None:
    [path] = (Path(os.environ["PROVREG_STATE"]) / "datasets").iterdir()
    path.write_bytes(b"cut sho")
    refused = provreg("verify", "pets@1")
    assert refused.code == 5
    assert "provreg forget" in refused.err
    ran = provreg("forget", "pets", "--yes")
    assert ran.code == 0
    assert "the record of pets is deleted" in ran.err
    assert provreg("verify", "pets@1").code == 0
