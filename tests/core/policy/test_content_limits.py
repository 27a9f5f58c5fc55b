"""Limits, sources and labelers of a policy file: what is read, and what is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from provreg.core.policy.content_limits import Limit, NameList
from provreg.core.policy.parser import parse_policy
from provreg.core.policy.policy import PublishRule
from provreg.errors import FormatError

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas" / "policy.v1.json").read_text("utf-8"))
PEOPLE = ("alice", "bob", "carol")


def document(**rule: Any) -> dict[str, Any]:
    return {
        "format": "provreg.policy/v1",
        "principal": [
            {"name": name, "identities": [{"identity": f"{name}@example.org", "issuer": "i"}]}
            for name in PEOPLE
        ],
        "publish": [
            {"datasets": ["*"], "principals": ["alice", "bob"], "countersigners": ["carol"]} | rule
        ],
    }


def read(**rule: Any) -> PublishRule:
    written = document(**rule)
    Draft202012Validator(SCHEMA).validate(written)
    return parse_policy(written, lambda pem: pem).publish[0]


@pytest.mark.parametrize(
    ("written", "limit", "words"),
    [
        ({"count": 5}, Limit(count=5), "at most 5 changed in any way"),
        (
            {"kinds": ["relabeled"], "share": 0.01, "unless": 2},
            Limit(("relabeled",), Decimal("0.01"), unless=2),
            "at most 1 % relabeled, unless 2 sign",
        ),
        (
            {"kinds": ["injected", "modified"], "share": 0.125, "count": 1000, "each": "source"},
            Limit(("injected", "modified"), Decimal("0.125"), 1000, "source"),
            "at most 12.5 % and 1,000 injected or modified from each source",
        ),
        (
            {"count": 0, "each": "labeler", "unless": 3},
            Limit(count=0, each="labeler", unless=3),
            "at most 0 changed in any way from each labeler, unless 3 sign",
        ),
    ],
)
def test_a_limit_is_read_and_said(written: dict[str, Any], limit: Limit, words: str) -> None:
    assert read(limits=[written]).limits == (limit,)
    assert str(limit) == words


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"unless": 2},
        {"kinds": [], "count": 1},
        {"kinds": ["poisoned"], "count": 1},
        {"kinds": ["relabeled", "relabeled"], "count": 1},
        {"kinds": "relabeled", "count": 1},
        {"share": 1.0},
        {"share": -0.1},
        {"share": "0.01"},
        {"share": True},
        {"count": -1},
        {"count": 1.5},
        {"count": 1, "each": "split"},
        {"kinds": ["removed"], "count": 1, "each": "labeler"},
        {"count": 1, "unless": 1},
        {"count": 1, "until": 2},
    ],
)
def test_schema_and_parser_refuse_a_limit(written: dict[str, Any]) -> None:
    bad = document(limits=[written])
    assert not Draft202012Validator(SCHEMA).is_valid(bad)
    with pytest.raises(FormatError):
        parse_policy(bad, lambda pem: pem)


@pytest.mark.parametrize(
    ("written", "threshold"),
    [
        ({"count": 1, "unless": 2}, 2),
        ({"count": 1, "unless": 4}, 1),
        ({"share": 0}, 1),
        ({"share": float("nan")}, 1),
    ],
)
def test_parser_refuses_a_limit_that_means_nothing(written: dict[str, Any], threshold: int) -> None:
    """One that is lifted by whoever signs anyway, or by nobody; and 1, that might mean 1 %."""
    with pytest.raises(FormatError):
        parse_policy(document(limits=[written], threshold=threshold), lambda pem: pem)


def test_a_share_is_what_is_written_and_not_a_little_less() -> None:
    for hundredths in range(1, 100):
        limit = read(limits=[{"share": hundredths / 100}]).limits[0]
        assert limit.most(100) == hundredths
    assert Limit(share=Decimal("0.01"), count=3).most(1_000) == 3
    assert Limit(share=Decimal("0.01"), count=30).most(1_999) == 19


def test_names_are_taken_or_not() -> None:
    rule = read(
        sources={"allow": ["camera-*"]},
        labelers={"allow": ["ann", "b*"], "forbid": ["bob"], "absent": True},
    )
    assert rule.sources == NameList(("camera-*",))
    assert rule.sources.takes("camera-7")
    assert not any(rule.sources.takes(name) for name in ("crawl", "my camera-7", None))
    assert rule.labelers is not None
    assert [rule.labelers.takes(name) for name in ("ann", "bea", "bob", "eve", None)] == [
        True, True, False, False, True,
    ]  # fmt: skip


def test_without_a_labeler_is_refused_unless_the_policy_says_otherwise() -> None:
    """Who is forbidden could otherwise just leave their name out."""
    rule = read(labelers={"forbid": ["mallory"]})
    assert rule.labelers is not None
    assert rule.labelers.takes("ann")
    assert not rule.labelers.takes("mallory")
    assert not rule.labelers.takes(None)


@pytest.mark.parametrize(
    "rule",
    [
        {"sources": {}},
        {"sources": {"allow": []}},
        {"sources": ["camera"]},
        {"sources": {"allow": ["a"], "absent": True}},
        {"labelers": {"absent": True}},
        {"labelers": {"allow": ["ann"], "absent": "true"}},
        {"labelers": {"allow": [""]}},
        {"labelers": {"allow": ["a\x1bb"]}},
        {"labelers": {"forbid": ["x" * 257]}},
        {"labelers": {"deny": ["mallory"]}},
    ],
)
def test_schema_and_parser_refuse_names(rule: dict[str, Any]) -> None:
    assert not Draft202012Validator(SCHEMA).is_valid(document(**rule))
    with pytest.raises(FormatError):
        parse_policy(document(**rule), lambda pem: pem)
