"""Receipts: what is signed is what is read, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from provreg.core.encoding.canonical import canonical
from provreg.core.statements.receipt import (
    MAX_RECEIPT_BYTES,
    Code,
    ModelFile,
    Receipt,
    Script,
    SkippedSamples,
    TrainingInput,
    parse_receipt,
)
from provreg.errors import FormatError, ProvregError

SCHEMA = json.loads(
    (Path(__file__).parents[3] / "schemas" / "statement-run.v1.json").read_text("utf-8")
)
SHA, BLAKE = "sha256:" + "ab" * 32, "blake3:" + "cd" * 32
NOON = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
ON = TrainingInput("cifar10", 3, "0123456789abcdef" * 2, SHA, 50_000, 40_000, 400_000, BLAKE)
RECEIPT = Receipt(
    run="f" * 32,
    datasets=(ON,),
    model=(ModelFile("config.json", 2, SHA, BLAKE), ModelFile("model.bin", 0, SHA, BLAKE)),
    started=NOON,
    finished=NOON + timedelta(hours=3),
    code=Code("1" * 40, True, Script("train.py", SHA)),
    parameters={"lr": 0.1, "layers": [1, 2]},
    environment={"python": "3.11.9"},
)


def changed(path: tuple[str | int, ...], value: Any) -> bytes:
    """The receipt's statement with one value replaced, in canonical form again."""
    document = json.loads(RECEIPT.statement())
    at = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return canonical(document)


def test_a_receipt_is_read_as_it_was_written() -> None:
    assert parse_receipt(RECEIPT.statement()) == RECEIPT
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(json.loads(RECEIPT.statement()))


texts = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts
    | st.floats(-(2.0**52), 2.0**52),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(parameters=st.dictionaries(texts, values, max_size=4), seen=st.integers(1, 9))
def test_any_parameters_are_read_as_they_were_written(parameters: dict, seen: int) -> None:
    receipt = replace(
        RECEIPT,
        parameters=parameters,
        datasets=(replace(ON, seen=seen, handed_out=2 * seen),),
    )
    assert parse_receipt(receipt.statement()).parameters == json.loads(canonical(parameters))


@pytest.mark.parametrize("ids", [(), ("a",), ("a.jpg", "b", "é")])
def test_skipped_samples_are_read_as_they_were_written(ids: tuple[str, ...]) -> None:
    skipped = SkippedSamples(3, ids)
    receipt = replace(RECEIPT, datasets=(replace(ON, skipped=skipped),))
    assert parse_receipt(receipt.statement()) == receipt
    Draft202012Validator(SCHEMA).validate(json.loads(receipt.statement()))


@pytest.mark.parametrize(
    ("skipped", "complaint"),
    [
        ({"samples": 0, "ids": []}, "samples"),
        ({"samples": -1, "ids": []}, "samples"),
        ({"samples": 50_001, "ids": []}, "contradict"),
        ({"samples": 1, "ids": ["a", "b"]}, "contradict"),
        ({"samples": 2, "ids": ["b", "a"]}, "not in order"),
        ({"samples": 2, "ids": ["a", "a"]}, "not in order"),
        ({"samples": 2, "ids": ["", "a"]}, "not the id"),
        ({"samples": 2, "ids": ["\x1b[2J"]}, "not the id"),
        ({"samples": 200, "ids": [f"{n:03}" for n in range(101)]}, "ids"),
        ({"samples": 1, "ids": ["x" * 4097]}, "ids"),
        ({"samples": 1, "ids": [1]}, "ids"),
        ({"samples": 1, "ids": "a"}, "ids"),
        ({"samples": 1}, "ids"),
        ({"samples": 1, "ids": [], "more": 1}, "unknown field 'more'"),
        (None, "skipped"),
    ],
)
def test_wrong_counts_of_skipped_samples_are_refused(skipped: Any, complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint):
        parse_receipt(changed(("predicate", "datasets", 0, "skipped"), skipped))


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("_type",), "https://in-toto.io/Statement/v0.1", "_type"),
        (("predicateType",), "https://provreg/version/v1", "has type 'https://provreg/version/v1'"),
        (("predicateType",), "https://provreg/training-run/v2", "training-run/v2"),
        (("more",), 1, "unknown field 'more'"),
        (("subject",), [], "subjects"),
        (("subject", 0, "name"), "../config.json", "not the name of a model's file"),
        (("subject", 0, "name"), "/etc/passwd", "not the name of a model's file"),
        (("subject", 0, "name"), "a//b", "not the name of a model's file"),
        (("subject", 0, "name"), "\x1b[2J", "not the name of a model's file"),
        (("subject", 0, "name"), "model.bin", "not in the order"),
        (("subject", 0, "name"), "z", "not in the order"),
        (("subject", 0, "digest"), {"sha256": "ab" * 32, "md5": "00"}, "unknown field 'md5'"),
        (("subject", 0, "digest", "sha256"), "AB" * 32, "sha256"),
        (("predicate", "more"), 1, "unknown field 'more'"),
        (("predicate", "run"), "F" * 32, "run"),
        (("predicate", "files"), [], "2 subjects and 0 files"),
        (("predicate", "files", 0, "size"), -1, "size"),
        (("predicate", "files", 0, "blake3"), SHA, "not a blake3 digest"),
        (("predicate", "datasets"), [], "has no dataset"),
        (("predicate", "datasets", 0, "dataset"), "a..b", "not a dataset name"),
        (("predicate", "datasets", 0, "version"), 0, "version"),
        (("predicate", "datasets", 0, "seen"), 50_001, "contradict"),
        (("predicate", "datasets", 0, "seen"), 0, "seen"),
        (("predicate", "datasets", 0, "handed_out"), 39_999, "contradict"),
        (("predicate", "datasets", 0, "handed_out"), 255 * 40_000 + 1, "contradict"),
        (("predicate", "datasets", 0, "handed_out"), 1.5, "not an integer"),
        (("predicate", "datasets", 0, "bitmap"), SHA, "not a blake3 digest"),
        (("predicate", "finished"), "2026-11-25T11:59:59Z", "before it started"),
        (("predicate", "finished"), "2026-02-30T00:00:00Z", "not a valid time"),
        (("predicate", "code", "commit"), "main", "not a commit digest"),
        (("predicate", "code", "dirty"), 1, "neither true, false nor null"),
        (("predicate", "code", "script", "sha256"), BLAKE, "not a sha256 digest"),
        (("predicate", "parameters"), [], "not an object"),
        (("predicate", "environment"), {"python": 3}, "an invalid package name or version"),
        (("predicate", "environment"), {"py\nthon": "3"}, "an invalid package name or version"),
        (("predicate", "environment"), {f"a{n}": "" for n in range(65)}, "at most 64"),
    ],
)  # fmt: skip
def test_a_statement_that_no_receipt_can_be_is_refused(
    path: tuple[str | int, ...], value: Any, complaint: str
) -> None:
    with pytest.raises(FormatError, match=complaint.replace("[", r"\[")):
        parse_receipt(changed(path, value))


def test_a_dataset_named_twice_is_refused() -> None:
    with pytest.raises(FormatError, match="or duplicate"):
        replace(RECEIPT, datasets=(ON, replace(ON, seen=1))).statement()


def test_a_receipt_in_another_spelling_is_refused() -> None:
    with pytest.raises(FormatError, match="canonical form"):
        parse_receipt(RECEIPT.statement() + b"\n")


def test_parameters_that_fit_no_bundle_are_refused_before_signing() -> None:
    with pytest.raises(FormatError, match="at most 131072 are allowed"):
        replace(RECEIPT, parameters={"text": "x" * MAX_RECEIPT_BYTES}).statement()


@pytest.mark.parametrize("value", [float("nan"), 2**53, 1e20, {1: 2}, "\ud800", object()])
def test_parameters_that_are_no_json_are_refused(value: Any) -> None:
    with pytest.raises(FormatError):
        replace(RECEIPT, parameters={"value": value}).statement()


@given(st.binary(max_size=200) | st.binary(min_size=1).map(RECEIPT.statement().__add__))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with pytest.raises(ProvregError):
        parse_receipt(data)
