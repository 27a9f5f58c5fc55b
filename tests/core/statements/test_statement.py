"""The bytes that are signed are fixed: a verifier makes them again and compares."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from provreg.core.encoding.canonical import parse_canonical
from provreg.core.statements.statement import PAYLOAD_TYPE, pae, version_statement
from provreg.errors import FormatError

SCHEMA = json.loads(
    (Path(__file__).parents[3] / "schemas" / "statement-version.v1.json").read_text("utf-8")
)
FACTS = {
    "dataset": "cifar10",
    "version": 3,
    "head": "sha256:" + "ab" * 32,
    "uid": "0123456789abcdef" * 2,
    "root": "blake3:" + "cd" * 32,
    "samples": 50000,
}
STATEMENT = (
    b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"dataset":"cifar10",'
    b'"root":"blake3:cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",'
    b'"samples":50000,"uid":"0123456789abcdef0123456789abcdef","version":3},'
    b'"predicateType":"https://provreg/version/v1","subject":[{"digest":{"sha256":'
    b'"abababababababababababababababababababababababababababababababab"},"name":"cifar10@3"}]}'
)


def test_version_statement_has_these_bytes() -> None:
    assert version_statement(**FACTS) == STATEMENT


def test_statement_fits_its_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(json.loads(STATEMENT))


def test_longest_statement_stays_under_1_kib() -> None:
    longest = FACTS | {"dataset": "a" * 128, "version": 99_999_999, "samples": 2**53 - 1}
    assert len(version_statement(**longest)) < 1024


@given(
    facts=st.fixed_dictionaries(
        {
            "dataset": st.from_regex(r"[a-z0-9][a-z0-9_-]{0,127}", fullmatch=True),
            "version": st.integers(1, 99_999_999),
            "head": st.binary(min_size=32, max_size=32).map(lambda raw: "sha256:" + raw.hex()),
            "uid": st.binary(min_size=16, max_size=16).map(bytes.hex),
            "root": st.binary(min_size=32, max_size=32).map(lambda raw: "blake3:" + raw.hex()),
            "samples": st.integers(1, 2**53 - 1),
        }
    )
)
def test_statement_is_canonical_and_says_every_fact(facts: dict) -> None:
    document = parse_canonical(version_statement(**facts), what="statement", limit=1024)
    Draft202012Validator(SCHEMA).validate(document)
    [subject] = document["subject"]
    assert document["predicate"] == {key: facts[key] for key in facts if key != "head"}
    assert subject["name"] == f"{facts['dataset']}@{facts['version']}"
    assert "sha256:" + subject["digest"]["sha256"] == facts["head"]


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("dataset", "../cifar10"),
        ("dataset", "a..b"),
        ("dataset", "a@3"),
        ("dataset", "cifar10\n"),
        ("version", 0),
        ("version", 100_000_000),
        ("head", "blake3:" + "ab" * 32),
        ("head", "ab" * 32),
        ("uid", "0123456789ABCDEF" * 2),
        ("uid", ""),
        ("root", "sha256:" + "cd" * 32),
        ("samples", 0),
        ("samples", 2**53),
    ],
)
def test_statement_refuses_a_fact_no_head_may_hold(fact: str, value: object) -> None:
    with pytest.raises(FormatError):
        version_statement(**FACTS | {fact: value})


def test_pae_is_the_specifications_example() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_pae_counts_bytes_and_not_characters() -> None:
    assert pae("é", "é".encode()) == b"DSSEv1 2 \xc3\xa9 2 \xc3\xa9"


@given(first=st.tuples(st.text(), st.binary()), second=st.tuples(st.text(), st.binary()))
def test_pae_of_two_messages_is_never_the_same(first: tuple, second: tuple) -> None:
    assert (pae(*first) == pae(*second)) == (first == second)


def test_pae_of_a_statement() -> None:
    assert pae(PAYLOAD_TYPE, STATEMENT) == (
        b"DSSEv1 28 application/vnd.in-toto+json %d " % len(STATEMENT) + STATEMENT
    )
