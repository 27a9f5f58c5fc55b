"""A policy is explained in words, and so is what of it can never apply."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from provreg.core.policy.explain import explain
from provreg.core.policy.policy import (
    FreshnessRule,
    Identity,
    LabelRule,
    Policy,
    Principal,
    PublishRule,
    RevokeRule,
    TrainRule,
    TrustedKey,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ALICE = Principal("alice", (TrustedKey("sha256:aa", "PEM"), TrustedKey("sha256:bb", "PEM")))
BOB = Principal("bob@example.org", (TrustedKey("sha256:cc", "PEM"),))
CI = Principal("ci", identities=(Identity("https://ci/x", "https://i"),))


def told(*rules: PublishRule, people: tuple[Principal, ...] = (ALICE, BOB, CI)) -> list[str]:
    return explain(Policy(people, rules), NOW)


def key_told(**when: datetime) -> str:
    principal = Principal("alice", (TrustedKey("sha256:aa", "PEM", **when),))
    return explain(Policy((principal,)), NOW)[1]


def test_a_policy_is_told_line_by_line() -> None:
    policy = Policy(
        (ALICE, BOB, CI),
        (
            PublishRule(
                ("cifar10",), ("alice",), 2, ("ci",), required="time", maximum_age=90 * DAY, place=1
            ),
            PublishRule(("toolformer-*", "x?z"), ("alice",), minimum_version=5, place=2),
        ),
        (RevokeRule(("*",), ("alice", "ci"), 2, place=1),),
        (FreshnessRule(("*",), ("ci",), maximum_age=DAY, place=1),),
        (TrainRule(("*",), ("ci",), place=1),),
    )
    assert explain(policy, NOW) == [
        "principal alice",
        "  key sha256:aa",
        "  key sha256:bb",
        "principal bob@example.org",
        "  key sha256:cc",
        "principal ci",
        "  identity https://ci/x by https://i",
        "publish rule 1 (cifar10): 2 of alice, ci",
        "  at least one of them of alice",
        "  only signatures with a proven time count",
        "  only signatures at most 90 days old count",
        "publish rule 2 (toolformer-*, x?z): 1 of alice",
        "  from version 5 on",
        "revoke rule 1 (*): 2 of alice, ci",
        "freshness rule 1 (*): 1 of ci",
        "  their latest statement is required",
        "  only signatures at most 1 day old count",
        "train rule 1 (*): 1 of ci",
        "no rule names bob@example.org",
        "nothing else is allowed",
    ]
    assert explain(Policy(), NOW) == ["nothing is allowed"]


def test_an_identity_is_told_with_all_it_asks_for() -> None:
    known = Identity("https://ci/*", "https://i", True, "https://r", "refs/tags/*", "release")
    assert told(people=(Principal("ci", identities=(known,)),))[1] == (
        "  identities like https://ci/* by https://i, repository https://r, ref refs/tags/*,"
        " environment release"
    )


def test_a_key_is_told_with_when_it_holds() -> None:
    assert key_told(valid_from=NOW, valid_until=NOW + DAY) == (
        "  key sha256:aa, valid from 2026-06-01 00:00:00Z, valid until 2026-06-02 00:00:00Z"
    )
    ended = ": only signatures proven, seen or pinned to be earlier count"
    assert key_told(revoked=NOW) == f"  key sha256:aa, revoked from 2026-06-01 00:00:00Z{ended}"
    assert key_told(valid_from=NOW, revoked=NOW).endswith(": it is never valid")


def test_what_can_never_apply_is_pointed_at() -> None:
    def notes(*rules: PublishRule) -> list[str]:
        return [line.strip() for line in told(*rules)]

    def rule(*principals: str, datasets: tuple[str, ...] = ("*",), **more: Any) -> PublishRule:
        return PublishRule(datasets, principals, **more)

    covered = notes(rule("alice"), rule("alice", datasets=("cifar10",)))
    assert "cifar10 has no effect here: an earlier rule covers it" in covered
    useless = "its countersigners have no effect: one signature of a principal is enough"
    assert useless in notes(rule("alice", countersigners=("ci",)))
    assert useless not in notes(rule("alice", countersigners=("ci",), threshold=2))
    unlogged = notes(rule("alice", "ci", required="log"))
    assert "never counted: alice, because keys have no log entry" in unlogged
    assert "it can never be met" not in unlogged
    for never in (
        rule("alice", required="log"),
        rule("alice", "ci", threshold=2, required="log"),
        rule("alice", countersigners=("ci",), required="log"),
    ):
        assert "it can never be met" in notes(never)


def test_bounds_of_labels_are_told() -> None:
    labels = LabelRule(("cat", "dog"), ("catt",), share=Decimal("0.02"), signers_for_new=2)
    rule = PublishRule(("*",), ("alice",), countersigners=("ci",), labels=labels, place=1)
    lines = told(rule)
    assert lines[lines.index("publish rule 1 (*): 1 of alice, ci") + 1 :][:5] == [
        "  at least one of them of alice",
        "  labels: 'cat', 'dog' and no other",
        "  labels: not 'catt'",
        "  samples without a label: at most 2 %",
        "  a new label needs 2 of them to sign",
    ]
    assert not any("no effect" in line for line in lines)
    assert "  a sample without a label is refused" in told(
        PublishRule(("*",), ("alice",), labels=LabelRule(("cat",)))
    )
    odd = PublishRule(("*",), ("alice",), labels=LabelRule(("cat",), ("c*",), absent=True))
    assert "  samples without a label: any number" in told(odd)
    assert "  'cat' is both allowed and forbidden: it is refused" in told(odd)
