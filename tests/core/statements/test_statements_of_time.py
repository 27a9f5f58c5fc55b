"""Revocations, *latest* statements, acceptances: a pure function of their facts, strictly read."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from provreg.core.encoding.canonical import canonical
from provreg.core.statements.acceptance import (
    Acceptance,
    FoundSamples,
    parse_acceptance,
)
from provreg.core.statements.latest import Latest, parse_latest
from provreg.core.statements.revocation import (
    NamedSamples,
    Revocation,
    RevocationLink,
    is_revocation_claim,
    parse_revocation,
)
from provreg.errors import FormatError

SCHEMAS = Path(__file__).parents[3] / "schemas"
DIGEST = "sha256:" + "ab" * 32
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
REVOCATION = Revocation(
    number=2, previous=RevocationLink(1, DIGEST), dataset="pets", uid="0" * 32, version=3,
    head=DIGEST, samples=NamedSamples(labeler="mallory", since=2), reason="flipped", created=NOW,
)  # fmt: skip
LATEST = Latest("pets", "0" * 32, 3, DIGEST, RevocationLink(2, DIGEST), NOW, NOW + timedelta(7))
ACCEPTANCE = Acceptance(
    "pets", "0" * 32, 3, DIGEST,
    FoundSamples("flips", "error", {"labeler": "ann"}, 60, "blake3:" + "cd" * 32),
    "looked at", NOW,
)  # fmt: skip
STATEMENTS = {"revocation": REVOCATION, "latest": LATEST, "acceptance": ACCEPTANCE}
KINDS: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "revocation": (REVOCATION.statement(), parse_revocation),
    "latest": (LATEST.statement(), parse_latest),
    "acceptance": (ACCEPTANCE.statement(), parse_acceptance),
}


@pytest.mark.parametrize("kind", KINDS)
def test_statement_says_all_and_keeps_its_schema(kind: str) -> None:
    statement, parse = KINDS[kind]
    assert parse(statement) == STATEMENTS[kind]
    schema = json.loads((SCHEMAS / f"statement-{kind}.v1.json").read_text("utf-8"))
    Draft202012Validator(schema).validate(json.loads(statement))
    # One kind is never read as the other.
    other = next(parse for name, (_, parse) in KINDS.items() if name != kind)
    with pytest.raises(FormatError, match="has type"):
        other(statement)


def places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    children = node.items() if isinstance(node, dict) else []
    children = enumerate(node) if isinstance(node, list) else children
    for step, child in children:
        found += places(child, (*at, step))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [None, "x", -1, [], {}, ...], ids=str)
def test_no_field_can_be_another_thing_or_missing(kind: str, value: Any) -> None:
    statement, parse = KINDS[kind]
    nullable = {("predicate", name) for name in ("previous", "samples", "revocation")}
    free = {
        ("predicate", *path)
        for path in (
            ("reason",), ("samples", "name"), ("found", "check"), ("found", "group", "labeler"),
        )
    }  # fmt: skip
    for place in places(json.loads(statement)):
        if (value is None and place in nullable) or (value == "x" and place in free):
            continue
        document = json.loads(statement)
        inside = document
        for step in place[:-1]:
            inside = inside[step]
        if value is ...:
            del inside[place[-1]]
        else:
            inside[place[-1]] = value
        with pytest.raises(FormatError):
            parse(canonical(document))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.binary(max_size=300))
def test_no_bytes_break_the_parsers(kind: str, data: bytes) -> None:
    _, parse = KINDS[kind]
    with pytest.raises(FormatError):
        parse(data)
    assert not is_revocation_claim(data)


def test_unknown_kinds_of_revocation_are_known_as_such() -> None:
    assert is_revocation_claim(REVOCATION.statement())
    assert is_revocation_claim(b'{"predicateType":"https://provreg/revocation/v2"}')
    assert not is_revocation_claim(LATEST.statement())
