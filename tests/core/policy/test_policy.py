"""Policy files are read strictly, and a starter says what it is asked to."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import tomllib
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from provreg.core.policy.parser import parse_policy
from provreg.core.policy.policy import (
    FreshnessRule,
    Identity,
    LabelRule,
    Limit,
    NameList,
    Policy,
    PublishRule,
    RevokeRule,
    TrainRule,
)
from provreg.core.policy.template import principal_table, starter_policy
from provreg.errors import FormatError, ProvregError, UsageError

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas" / "policy.v1.json").read_text("utf-8"))
MAIN = "https://github.com/o/r/.github/workflows/x.yml@refs/heads/main"
ISSUER = "https://token.actions.githubusercontent.com"


def pem(letter: str) -> str:
    return f"-----BEGIN PUBLIC KEY-----\n{letter * 64}\n-----END PUBLIC KEY-----\n"


def fingerprint(text: str) -> str:
    """Stands in for the key parser, which core does not import; whitespace is no difference."""
    return "sha256:" + hashlib.sha256(text.strip().encode()).hexdigest()


def policy(document: dict[str, Any]) -> Policy:
    return parse_policy(document, fingerprint)


DOCUMENT: dict[str, Any] = {
    "format": "provreg.policy/v1",
    "principal": [
        {"name": "alice", "keys": [pem("A"), pem("B")]},
        {"name": "bob@example.org", "keys": [pem("C")]},
        {"name": "ci", "keys": [], "identities": [{"identity": MAIN, "issuer": ISSUER}]},
    ],
    "publish": [
        {"datasets": ["cifar10"], "principals": ["alice", "ci"], "threshold": 2},
        {"datasets": ["toolformer-*", "x?z"], "principals": ["alice"], "minimum_version": 5},
    ],
}

PUBLISH: dict[str, Any] = {"datasets": ["cifar10"], "principals": ["alice"], "threshold": 2}
FRESHNESS: dict[str, Any] = {"datasets": ["*"], "principals": ["ci"]}
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
JULY = datetime(2026, 7, 1, 2, tzinfo=timezone(timedelta(hours=2)))


def changed(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document


def as_json(value: Any) -> Any:
    """What the schema speaks of: TOML's moments are texts there."""
    if isinstance(value, dict):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


GOOD = [
    DOCUMENT,
    {"format": "provreg.policy/v1"},
    {"format": "provreg.policy/v1", "principal": [], "publish": []},
    changed(("principal", 0, "keys"), [pem("A").replace("\n", "\r\n")]),
    changed(("principal", 0, "identities"), [{"identity": "a@b.example", "issuer": "https://i"}]),
    changed(("publish", 0, "datasets"), ["*"]),
    changed(("publish",), [PUBLISH | {"countersigners": ["ci"]}]),
    changed(("publish", 0, "maximum_age"), "90d"),
    changed(("publish", 0, "require"), "timestamp"),
    changed(("revoke",), [{"datasets": ["*"], "principals": ["alice", "ci"], "threshold": 2}]),
    changed(("freshness",), [{"datasets": ["*"], "principals": ["ci"]}]),
    changed(("freshness",), [FRESHNESS | {"required": False, "maximum_age": "12h"}]),
    changed(("train",), [{"datasets": ["*"], "principals": ["alice", "ci"], "threshold": 2}]),
    changed(("principal", 0, "keys", 1), {"pem": pem("B")}),
    changed(
        ("principal", 0, "keys", 1),
        {"pem": pem("B"), "valid_from": JANUARY, "valid_until": JULY, "revoked": JULY},
    ),
]
# Refused by the schema and by the parser alike.
BAD_FORM = {
    "not an object": [],
    "no format": {"principal": []},
    "later format": changed(("format",), "provreg.policy/v2"),
    "unknown field": changed(("erase",), []),
    "unknown field of a principal": changed(("principal", 0, "role"), "admin"),
    "unknown field of a rule": changed(("publish", 0, "thresold"), 2),
    "identity without issuer": changed(("principal", 2, "identities"), [{"identity": MAIN}]),
    "empty identity": changed(("principal", 2, "identities", 0, "identity"), ""),
    "space in an identity": changed(("principal", 2, "identities", 0, "identity"), "a b"),
    "control in an identity": changed(("principal", 2, "identities", 0, "identity"), "a\x1bb"),
    "bidirectional issuer": changed(("principal", 2, "identities", 0, "issuer"), "a\u202eb"),
    "too long identity": changed(("principal", 2, "identities", 0, "identity"), "a" * 2049),
    "name with a quote": changed(("principal", 0, "name"), 'a"b'),
    "name with a space": changed(("principal", 0, "name"), "a b"),
    "name is a number": changed(("principal", 0, "name"), 7),
    "principal with nothing": changed(("principal", 1), {"name": "bob@example.org"}),
    "principal with empty lists": changed(("principal", 1, "keys"), []),
    "keys are a text": changed(("principal", 0, "keys"), pem("A")),
    "key is a path": changed(("principal", 0, "keys"), ["alice.pub"]),
    "two keys in one text": changed(("principal", 0, "keys"), [pem("A") + pem("B")]),
    "private key": changed(("principal", 0, "keys"), [pem("A").replace("PUBLIC", "PRIVATE")]),
    "no datasets": changed(("publish", 0, "datasets"), []),
    "dataset of another alphabet": changed(("publish", 0, "datasets"), ["[ab]"]),
    "dataset in capitals": changed(("publish", 0, "datasets"), ["CIFAR10"]),
    "dataset is a text": changed(("publish", 0, "datasets"), "cifar10"),
    "no principals": changed(("publish", 0, "principals"), []),
    "principal twice in a rule": changed(("publish", 0, "principals"), ["alice", "alice"]),
    "threshold 0": changed(("publish", 0, "threshold"), 0),
    "threshold true": changed(("publish", 0, "threshold"), True),
    "threshold text": changed(("publish", 0, "threshold"), "2"),
    "minimum_version 0": changed(("publish", 1, "minimum_version"), 0),
    "countersigner twice": changed(("publish",), [PUBLISH | {"countersigners": ["ci", "ci"]}]),
    "no countersigners": changed(("publish",), [PUBLISH | {"countersigners": []}]),
    "countersigners of a revocation": changed(
        ("revoke",), [PUBLISH | {"countersigners": ["ci"], "threshold": 1}]
    ),
    "age is a number": changed(("publish", 0, "maximum_age"), 90),
    "age in years": changed(("publish", 0, "maximum_age"), "1y"),
    "age of nothing": changed(("publish", 0, "maximum_age"), "0d"),
    "unknown proof": changed(("publish", 0, "require"), "promise"),
    "required is a text": changed(("freshness",), [FRESHNESS | {"required": "true"}]),
    "minimum_version of a freshness rule": changed(
        ("freshness",), [FRESHNESS | {"minimum_version": 2}]
    ),
    "key table without pem": changed(("principal", 0, "keys", 1), {"revoked": JULY}),
    "key table with an unknown field": changed(
        ("principal", 0, "keys", 1), {"pem": pem("B"), "expires": JULY}
    ),
    "key valid until a number": changed(
        ("principal", 0, "keys", 1), {"pem": pem("B"), "valid_until": 2026}
    ),
    "too many principals": changed(("principal",), [DOCUMENT["principal"][0]] * 257),
}
# Refused by the parser; a schema cannot say it.
BAD_MEANING = {
    "unknown countersigner": changed(("publish",), [PUBLISH | {"countersigners": ["mallory"]}]),
    "principal countersigns": changed(("publish",), [PUBLISH | {"countersigners": ["alice"]}]),
    "threshold out of the countersigners' reach": changed(
        ("publish",), [PUBLISH | {"countersigners": ["ci"], "threshold": 3}]
    ),
    "unknown principal revokes": changed(
        ("revoke",), [{"datasets": ["*"], "principals": ["mallory"]}]
    ),
    "unknown principal attests": changed(
        ("freshness",), [{"datasets": ["*"], "principals": ["mallory"]}]
    ),
    "key that ends before it begins": changed(
        ("principal", 0, "keys", 1), {"pem": pem("B"), "valid_from": JULY, "valid_until": JANUARY}
    ),
    "threshold out of reach": changed(("publish", 0, "threshold"), 3),
    "unknown principal": changed(("publish", 0, "principals"), ["alice", "mallory"]),
    "name twice": changed(("principal", 1, "name"), "alice"),
    "name twice but for case": changed(("principal", 1, "name"), "Alice"),
    "key of two principals": changed(("principal", 1, "keys"), [pem("A")]),
    "key of two principals, spelled apart": changed(("principal", 1, "keys"), ["\n" + pem("A")]),
    "key twice": changed(("principal", 0, "keys"), [pem("A"), pem("A")]),
    "identity of two principals": changed(
        ("principal", 0, "identities"), [{"identity": MAIN, "issuer": ISSUER}]
    ),
}


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("document", GOOD)
def test_schema_and_parser_take_a_good_policy(document: dict) -> None:
    Draft202012Validator(SCHEMA).validate(as_json(document))
    policy(document)


@pytest.mark.parametrize("name", BAD_FORM)
def test_schema_and_parser_refuse_a_bad_policy(name: str) -> None:
    assert not Draft202012Validator(SCHEMA).is_valid(as_json(BAD_FORM[name]))
    with pytest.raises(FormatError):
        parse_policy(BAD_FORM[name], fingerprint)


@pytest.mark.parametrize("name", BAD_MEANING)
def test_parser_refuses_a_policy_that_contradicts_itself(name: str) -> None:
    Draft202012Validator(SCHEMA).validate(as_json(BAD_MEANING[name]))
    with pytest.raises(FormatError):
        policy(BAD_MEANING[name])


def test_a_key_that_is_not_taken_is_refused_with_its_principal() -> None:
    def refuse(_: str) -> str:
        raise FormatError("the key is RSA", hint="make another")

    with pytest.raises(FormatError, match=r"'alice'.*RSA") as caught:
        parse_policy(DOCUMENT, refuse)
    assert caught.value.hint == "make another"


def test_identity_without_issuer_says_why() -> None:
    with pytest.raises(FormatError, match="without an issuer") as caught:
        policy(BAD_FORM["identity without issuer"])
    assert "anyone can run an issuer" in caught.value.hint


@pytest.mark.parametrize(
    "written", ["2026-07-01T00:00:00", "2026-07-01", "00:00:00", '"2026-07-01T00:00:00Z"', "0"]
)
def test_a_moment_without_an_offset_is_refused(written: str) -> None:
    """A local time would mean another moment on another machine."""
    document = changed(
        ("principal", 0, "keys", 1),
        {"pem": pem("B"), "revoked": tomllib.loads(f"at = {written}")["at"]},
    )
    with pytest.raises(FormatError, match="with an offset") as caught:
        policy(document)
    assert "2026-01-31T00:00:00Z" in caught.value.hint


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"])
def test_a_moment_beyond_the_calendar_is_refused(moment: str) -> None:
    keys = [{"pem": pem("B"), "revoked": tomllib.loads(f"at = {moment}")["at"]}]
    with pytest.raises(FormatError):
        policy(changed(("principal", 0, "keys"), keys))


def test_roles_of_each_kind_are_read_and_numbered() -> None:
    parsed = policy(
        changed(("revoke",), [{"datasets": ["x*"], "principals": ["ci"]}])
        | {
            "freshness": [FRESHNESS | {"maximum_age": "2w"}],
            "train": [{"datasets": ["y*"], "principals": ["ci"]}],
        }
    )
    assert [str(rule) for rule in parsed.rules()] == [
        "publish rule 1 (cifar10)",
        "publish rule 2 (toolformer-*, x?z)",
        "revoke rule 1 (x*)",
        "freshness rule 1 (*)",
        "train rule 1 (y*)",
    ]
    assert parsed.revoke_rule("xyz") == RevokeRule(("x*",), ("ci",))
    assert parsed.revoke_rule("cifar10") is None
    assert parsed.train_rule("yes") == TrainRule(("y*",), ("ci",))
    assert parsed.train_rule("cifar10") is None
    assert parsed.freshness_rule("cifar10") == FreshnessRule(
        ("*",), ("ci",), mandatory=True, maximum_age=timedelta(days=14)
    )


def test_a_policy_from_before_the_roles_reads_as_it_did() -> None:
    parsed = policy(DOCUMENT)
    assert parsed.publish_rule("cifar10") is parsed.publish[0]
    assert (parsed.revoke_rule("cifar10"), parsed.freshness_rule("cifar10")) == (None, None)
    assert not any(key.revoked or key.valid_until for key in parsed.trusted_keys())


tomls = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes()
    | st.datetimes(timezones=st.just(UTC)) | st.dates() | st.times()
    | st.sampled_from([pem("A"), "alice", "*", MAIN, ISSUER, "refs/**", "o/r", "x.yml", "1d"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["name", "keys", "identities", "identity", "identity_pattern", "issuer", "github",
             "workflow", "gitlab", "pipeline", "ref", "environment", "pem", "valid_from",
             "datasets", "principals", "countersigners", "threshold", "require", "maximum_age"]
        ) | st.text(max_size=3),
        inner, max_size=6,
    ),
    max_leaves=20,
)  # fmt: skip


@given(
    document=st.dictionaries(
        st.sampled_from(["principal", "publish", "revoke", "freshness", "train"])
        | st.text(max_size=3),
        tomls,
        max_size=4,
    )
)
def test_hostile_documents_raise_our_errors_only(document: dict[str, Any]) -> None:
    with contextlib.suppress(ProvregError):
        policy(document | {"format": "provreg.policy/v1"})


def test_starter_policy_parses_back_to_what_it_says() -> None:
    for text in (pem("A"), pem("A").replace("\n", "\r\n"), pem("A").strip()):
        parsed = policy(
            tomllib.loads(starter_policy({"alice": principal_table("alice", pem=text)}))
        )
        rule = parsed.publish_rule("cifar10")
        assert rule is not None
        assert (rule.principals, rule.threshold) == (("alice",), 1)
        assert [key.fingerprint for key in parsed.trusted_keys()] == [fingerprint(pem("A"))]


@pytest.mark.parametrize(
    "name",
    ['a"\nthreshold = 0', "a'''", "", "a b", "{pem}", "a\\", "-a", "a" * 65, "\u202ea", "a\n"],
)
def test_starter_policy_refuses_a_name_that_writes_into_the_file(name: str) -> None:
    with pytest.raises(UsageError):
        principal_table(name, pem=pem("A"))


@pytest.mark.parametrize("text", ["", "'''\n[[publish]]", pem("A") + "'''", pem("A") + pem("B")])
def test_starter_policy_refuses_a_key_that_writes_into_the_file(text: str) -> None:
    with pytest.raises(UsageError):
        starter_policy({"alice": principal_table("alice", pem=text)})


@pytest.mark.parametrize("identity", [MAIN, "a\"b\\u0041'''", "#[[publish]]", "\u03b1@b.example"])
def test_starter_policy_of_an_identity_says_just_that(identity: str) -> None:
    for key in (None, pem("A")):
        parsed = policy(
            tomllib.loads(
                starter_policy(
                    {"ann": principal_table("ann", pem=key, identity=identity, issuer=ISSUER)}
                )
            )
        )
        assert parsed.principals[0].identities == (Identity(identity, ISSUER),)
        assert len(parsed.trusted_keys()) == (key is not None)
        assert parsed.publish_rule("cifar10") is not None


@pytest.mark.parametrize(
    ("identity", "issuer"),
    [
        (None, ISSUER), (MAIN, None), ("", ISSUER), ("a b", ISSUER), ("a\nb", ISSUER),
        (MAIN, "i\x1b"), ("a\udc80", ISSUER), ("a" * 2049, ISSUER),
    ],
)  # fmt: skip
def test_starter_policy_refuses_an_identity_that_a_policy_could_not_hold(
    identity: str | None, issuer: str | None
) -> None:
    with pytest.raises(UsageError):
        principal_table("ann", identity=identity, issuer=issuer)


def test_starter_policy_of_nobody_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a key or an identity"):
        principal_table("ann")


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


def test_rules_and_limits_are_counted_as_in_other_messages() -> None:
    with pytest.raises(FormatError, match=r"^policy, publish rule 1, limit 2: share and count"):
        parse_policy(document(limits=[{"count": 1}, {}]), lambda pem: pem)


def test_a_share_is_what_is_written_and_not_a_little_less() -> None:
    for hundredths in range(1, 100):
        limit = read(limits=[{"share": hundredths / 100}]).limits[0]
        assert limit.max_changes(100) == hundredths
    assert Limit(share=Decimal("0.01"), count=3).max_changes(1_000) == 3
    assert Limit(share=Decimal("0.01"), count=30).max_changes(1_999) == 19


def test_names_are_taken_or_not() -> None:
    rule = read(
        sources={"allow": ["camera-*"]},
        labelers={"allow": ["ann", "b*"], "forbid": ["bob"], "absent": True},
    )
    assert rule.sources == NameList(("camera-*",))
    assert rule.sources.allows("camera-7")
    assert not any(rule.sources.allows(name) for name in ("crawl", "my camera-7", None))
    assert rule.labelers is not None
    assert [rule.labelers.allows(name) for name in ("ann", "bea", "bob", "eve", None)] == [
        True, True, False, False, True,
    ]  # fmt: skip


def test_without_a_labeler_is_refused_unless_the_policy_says_otherwise() -> None:
    """Who is forbidden could otherwise just leave their name out."""
    rule = read(labelers={"forbid": ["mallory"]})
    assert rule.labelers is not None
    assert rule.labelers.allows("ann")
    assert not rule.labelers.allows("mallory")
    assert not rule.labelers.allows(None)


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


@pytest.mark.parametrize(
    ("written", "rule", "allowed"),
    [
        ({"allow": ["cat", "d*"]}, LabelRule(("cat", "d*")), 0),
        ({"forbid": ["catt"], "absent": True}, LabelRule(None, ("catt",), absent=True), 200),
        ({"absent": False}, LabelRule(), 0),
        ({"absent": {"share": 0.01}}, LabelRule(share=Decimal("0.01")), 2),
        (
            {"absent": {"share": 0.29, "count": 50}, "signers_for_new": 2},
            LabelRule(share=Decimal("0.29"), count=50, signers_for_new=2),
            50,
        ),
        ({"absent": {"count": 0}}, LabelRule(count=0), 0),
    ],
)
def test_labels_are_read(written: dict[str, Any], rule: LabelRule, allowed: int) -> None:
    found = read(labels=written)
    assert found.labels == rule
    assert found.checks_content
    assert rule.max_absent(200) == allowed


def test_a_forbidden_label_is_forbidden_where_a_pattern_allows_it() -> None:
    labels = read(labels={"allow": ["cat*"], "forbid": ["catt"]}).labels
    assert labels is not None
    assert [labels.allows(name) for name in ("cat", "catt", "dog")] == [True, False, False]


@pytest.mark.parametrize(
    "labels",
    [
        {},
        ["cat"],
        {"allow": []},
        {"allow": "cat"},
        {"absent": "true"},
        {"absent": 1},
        {"absent": {}},
        {"absent": {"share": 1.0}},
        {"absent": {"count": -1}},
        {"absent": {"count": 1, "most": 2}},
        {"signers_for_new": 1},
        {"signers_for_new": True},
        {"new": 2},
    ],
)
def test_schema_and_parser_refuse_labels(labels: Any) -> None:
    assert not Draft202012Validator(SCHEMA).is_valid(document(labels=labels))
    with pytest.raises(FormatError):
        parse_policy(document(labels=labels), lambda pem: pem)


def test_parser_refuses_signers_for_new_labels_that_mean_nothing() -> None:
    """As many as must sign anyway, or more than there are."""
    for number, threshold in ((2, 2), (4, 1)):
        bad = document(labels={"signers_for_new": number}, threshold=threshold)
        with pytest.raises(FormatError, match="expected more than the threshold"):
            parse_policy(bad, lambda pem: pem)
