"""Who may publish what: parsing is strict, judging counts principals and fails closed."""

import copy
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from provreg.core.policy import (
    Policy,
    Principal,
    PublishRule,
    Signature,
    explain,
    judge,
    short_fingerprint,
    single_key_policy,
)
from provreg.core.policy_document import parse_policy, starter_policy
from provreg.errors import FormatError, NotTrustedError, UsageError

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "policy.v1.json").read_text("utf-8"))
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
ALICE = Signature(key=fingerprint(pem("A")))
ALICE_AGAIN = Signature(key=fingerprint(pem("B")))
BOB = Signature(key=fingerprint(pem("C")))
STRANGER = Signature(key="sha256:" + "0" * 64)
CI = Signature(identity=MAIN, issuer=ISSUER, proof="log")


def changed(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document


GOOD = [
    DOCUMENT,
    {"format": "provreg.policy/v1"},
    {"format": "provreg.policy/v1", "principal": [], "publish": []},
    changed(("principal", 0, "keys"), [pem("A").replace("\n", "\r\n")]),
    changed(("principal", 0, "identities"), [{"identity": "a@b.example", "issuer": "https://i"}]),
    changed(("publish", 0, "datasets"), ["*"]),
]
# Refused by the schema and by the parser alike.
BAD_FORM = {
    "not an object": [],
    "no format": {"principal": []},
    "later format": changed(("format",), "provreg.policy/v2"),
    "unknown field": changed(("revoke",), []),
    "unknown field of a principal": changed(("principal", 0, "role"), "admin"),
    "unknown field of a rule": changed(("publish", 0, "thresold"), 2),
    "identity pattern": changed(
        ("principal", 2, "identities"), [{"identity_pattern": "*", "issuer": ISSUER}]
    ),
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
    "too many principals": changed(("principal",), [DOCUMENT["principal"][0]] * 257),
}
# Refused by the parser; a schema cannot say it.
BAD_MEANING = {
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
    Draft202012Validator(SCHEMA).validate(document)
    policy(document)


@pytest.mark.parametrize("name", BAD_FORM)
def test_schema_and_parser_refuse_a_bad_policy(name: str) -> None:
    assert not Draft202012Validator(SCHEMA).is_valid(BAD_FORM[name])
    with pytest.raises(FormatError):
        parse_policy(BAD_FORM[name], fingerprint)


@pytest.mark.parametrize("name", BAD_MEANING)
def test_parser_refuses_a_policy_that_contradicts_itself(name: str) -> None:
    Draft202012Validator(SCHEMA).validate(BAD_MEANING[name])
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


def test_threshold_is_met_by_two_principals() -> None:
    verdict = judge(policy(DOCUMENT), "cifar10", 1, [CI, ALICE])
    verdict.require()
    assert verdict.trusted
    assert verdict.step == 7
    assert verdict.threshold == 2
    assert verdict.approvals == (("alice", ALICE), ("ci", CI))
    assert verdict.reason == (
        f"signed by 2 of 2 needed: alice (key {short_fingerprint(ALICE.key)}), "
        f"ci ({MAIN} by {ISSUER})"
    )


def test_two_keys_of_one_principal_count_once() -> None:
    verdict = judge(policy(DOCUMENT), "cifar10", 1, [ALICE, ALICE_AGAIN, ALICE])
    assert verdict.ignored == ()
    assert verdict.needed == "needs a signature by 1 of: ci"
    with pytest.raises(NotTrustedError, match="1 of 2 needed") as caught:
        verdict.require()
    assert caught.value.step == 7
    assert caught.value.hint == verdict.needed


def test_signatures_of_others_are_ignored_and_reported() -> None:
    verdict = judge(policy(DOCUMENT), "cifar10", 1, [BOB, ALICE, STRANGER, CI])
    assert verdict.trusted
    assert verdict.ignored == (BOB, STRANGER)
    assert "not counted: key " in verdict.reason


def test_a_known_principal_outside_the_rule_is_not_enough() -> None:
    verdict = judge(policy(DOCUMENT), "toolformer-x", 9, [BOB, CI, STRANGER])
    assert not verdict.trusted
    assert verdict.step == 4
    assert verdict.needed == "needs a signature by 1 of: alice"


def test_many_strangers_do_not_flood_the_reason() -> None:
    strangers = [Signature(identity=f"s{n}\x1b[2J", issuer="i") for n in range(1000)]
    reason = judge(policy(DOCUMENT), "cifar10", 1, strangers).reason
    assert "and 990 more" in reason
    assert "\x1b" not in reason


@pytest.mark.parametrize(
    "signature",
    [
        Signature(identity=MAIN, issuer="https://evil.example"),
        Signature(identity=MAIN + "x", issuer=ISSUER),
        Signature(identity=MAIN.upper(), issuer=ISSUER),
        Signature(identity=MAIN),
        Signature(),
        Signature(key=ALICE.key.upper()),
        Signature(key=short_fingerprint(ALICE.key)),
        Signature(key=STRANGER.key, identity=MAIN, issuer=ISSUER),
    ],
)
def test_identities_issuers_and_keys_are_matched_whole(signature: Signature) -> None:
    one = policy(changed(("publish", 0, "threshold"), 1))
    assert not judge(one, "cifar10", 1, [signature]).trusted


def test_an_empty_policy_allows_nothing() -> None:
    for empty in (Policy(), policy({"format": "provreg.policy/v1"})):
        verdict = judge(empty, "cifar10", 1, [ALICE, CI])
        assert (verdict.trusted, verdict.step) == (False, 4)
        assert verdict.ignored == (ALICE, CI)


def test_a_version_below_the_minimum_is_refused_whoever_signed() -> None:
    assert judge(policy(DOCUMENT), "toolformer-x", 5, [ALICE]).trusted
    verdict = judge(policy(DOCUMENT), "toolformer-x", 4, [ALICE])
    assert (verdict.trusted, verdict.step) == (False, 4)


def test_the_first_rule_that_covers_decides_even_where_a_later_one_would_allow() -> None:
    rules = [
        {"datasets": ["secret-*"], "principals": ["alice"]},
        {"datasets": ["*"], "principals": ["bob@example.org"]},
    ]
    ordered = policy(changed(("publish",), rules))
    assert judge(ordered, "open", 1, [BOB]).trusted
    assert not judge(ordered, "secret-a", 1, [BOB]).trusted


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("a", "a", True),
        ("a", "ab", False),
        ("a", "ba", False),
        ("a*", "a", True),
        ("a*", "a.b-c_d", True),
        ("*a", "ba", True),
        ("*", "anything", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a.c", "abc", False),
        ("*a" * 60, "a" * 59 + "b" * 69, False),
    ],
)
def test_patterns_match_whole_names(pattern: str, name: str, covered: bool) -> None:
    assert PublishRule((pattern,), ("alice",)).covers(name) is covered


@given(
    owners=st.lists(st.integers(0, 4), max_size=12),
    threshold=st.integers(1, 4),
)
def test_trusted_exactly_when_enough_distinct_principals_signed(
    owners: list[int], threshold: int
) -> None:
    names = [f"p{n}" for n in range(4)]
    document = {
        "format": "provreg.policy/v1",
        "principal": [
            {"name": name, "keys": [pem(letter), pem(letter.lower())]}
            for name, letter in zip(names, "ABCD", strict=True)
        ],
        "publish": [{"datasets": ["d"], "principals": names, "threshold": threshold}],
    }
    signatures = [
        Signature(key=fingerprint(pem("ABCDE"[n] if k % 2 else "abcde"[n])))
        for k, n in enumerate(owners)
    ]
    verdict = judge(policy(document), "d", 1, signatures)
    assert verdict.trusted == (len(set(owners) - {4}) >= threshold)
    assert len(verdict.ignored) == owners.count(4)


def test_single_key_policy_is_that_key_for_any_dataset() -> None:
    single = single_key_policy(ALICE.key, pem("A"))
    assert judge(single, "whatever", 1, [ALICE]).trusted
    assert not judge(single, "whatever", 1, [BOB]).trusted
    assert single.principals[0].name == short_fingerprint(ALICE.key)
    assert [key.pem for key in single.trusted_keys()] == [pem("A")]


def test_explain_says_the_policy_in_words() -> None:
    assert explain(policy(DOCUMENT)) == [
        "principal alice",
        f"  key {fingerprint(pem('A'))}",
        f"  key {fingerprint(pem('B'))}",
        "principal bob@example.org",
        f"  key {fingerprint(pem('C'))}",
        "principal ci",
        f"  identity {MAIN} by {ISSUER}",
        "publish cifar10: 2 of alice, ci",
        "publish toolformer-*, x?z: 1 of alice, from version 5 on",
        "no rule names bob@example.org",
        "nothing else is allowed",
    ]
    assert explain(Policy()) == ["nothing is allowed"]


def test_explain_points_at_a_name_that_an_earlier_rule_covers() -> None:
    rules = (PublishRule(("*",), ("alice",)), PublishRule(("cifar10",), ("alice",)))
    lines = explain(Policy((Principal("alice"),), rules))
    assert "  cifar10 is never asked here: a rule above covers it" in lines


def test_starter_policy_parses_back_to_what_it_says() -> None:
    for text in (pem("A"), pem("A").replace("\n", "\r\n"), pem("A").strip()):
        parsed = policy(tomllib.loads(starter_policy(text, "alice")))
        assert judge(parsed, "cifar10", 1, [ALICE]).trusted
        assert not judge(parsed, "cifar10", 1, [BOB]).trusted


@pytest.mark.parametrize(
    "name",
    ['a"\nthreshold = 0', "a'''", "", "a b", "{pem}", "a\\", "-a", "a" * 65, "\u202ea", "a\n"],
)
def test_starter_policy_refuses_a_name_that_writes_into_the_file(name: str) -> None:
    with pytest.raises(UsageError):
        starter_policy(pem("A"), name)


@pytest.mark.parametrize("text", ["", "'''\n[[publish]]", pem("A") + "'''", pem("A") + pem("B")])
def test_starter_policy_refuses_a_key_that_writes_into_the_file(text: str) -> None:
    with pytest.raises(UsageError):
        starter_policy(text, "alice")
