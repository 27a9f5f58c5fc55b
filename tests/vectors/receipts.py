"""Vectors of receipts: a statement of a training run, and whether it is one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from blake3 import blake3

from provreg.core.encoding.canonical import canonical
from provreg.core.encoding.digest import sha256_digest
from provreg.core.statements.receipt import parse_receipt
from provreg.errors import FormatError

SHA, BLAKE = "sha256:" + "ab" * 32, "blake3:" + blake3(b"bitmap").hexdigest()
ON = {
    "dataset": "pets", "version": 3, "uid": "0123456789abcdef" * 2, "head": SHA, "samples": 600,
    "seen": 500, "handed_out": 5000, "bitmap": BLAKE,
}  # fmt: skip
RECEIPT: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "predicateType": "https://provreg/training-run/v1",
    "subject": [{"name": "model.bin", "digest": {"sha256": "cd" * 32}}],
    "predicate": {
        "run": "f" * 32,
        "datasets": [ON],
        "files": [{"size": 0, "blake3": BLAKE}],
        "started": "2026-11-25T09:00:00Z",
        "finished": "2026-11-25T12:00:00Z",
        "code": {"commit": None, "dirty": None, "script": None},
        "parameters": {},
        "environment": {},
    },
}
CODE = {"commit": "1" * 40, "dirty": True, "script": {"name": "train.py", "sha256": SHA}}
FILES = [{"name": name, "digest": {"sha256": "ab" * 32}} for name in ("a/b.json", "a.json")]
ON_PETS = ("predicate", "datasets", 0)
SKIPPED = (*ON_PETS, "skipped")
Path = tuple[str | int, ...]


def skipped(samples: Any, *ids: Any, **more: Any) -> dict[str, Any]:
    return {"samples": samples, "ids": list(ids), **more}


def _of_files(subjects: list[dict[str, Any]]) -> dict[str, Any]:
    files = [{"size": 2, "blake3": BLAKE}] * len(subjects)
    return RECEIPT | {"subject": subjects, "predicate": RECEIPT["predicate"] | {"files": files}}


# Name, claim, and where which value stands.
GOOD: list[tuple[str, str, Path, Any]] = [
    ("run", "a run that skipped nothing", (), RECEIPT),
    ("files", "files in the order of bytes", (), _of_files(FILES[::-1])),
    ("code", "a commit and a script", ("predicate", "code"), CODE),
    ("parameters", "parameters of any kind", ("predicate", "parameters"),
     {"lr": 1e-07, "layers": [1, 2.5, None], "": {"\u20ac": False}}),
    ("environment", "versions of libraries", ("predicate", "environment"), {"python": "3.11.9"}),
    ("skipped", "skipped samples, their ids in the order of bytes", SKIPPED,
     skipped(3, "Z", "a/1.jpg", "é")),
    ("skipped-one", "one skipped sample of a long id", SKIPPED, skipped(1, "x" * 4096)),
    ("skipped-all", "all samples skipped at some time, and delivered at another", SKIPPED,
     skipped(600)),
    ("skipped-100-ids", "the ids of the first hundred", SKIPPED,
     skipped(600, *(f"{number:03}" for number in range(100)))),
]  # fmt: skip
REFUSED: list[tuple[str, str, Path, Any]] = [
    ("skipped-negative", "a negative number of skipped samples", SKIPPED, skipped(-1)),
    ("skipped-none", "nothing skipped, and said", SKIPPED, skipped(0)),
    ("skipped-null", "null for nothing skipped", SKIPPED, None),
    ("skipped-fraction", "half a sample skipped", SKIPPED, skipped(1.5)),
    ("skipped-true", "true for a number", SKIPPED, skipped(True)),
    ("skipped-more-than-samples", "more skipped than there are", SKIPPED, skipped(601)),
    ("skipped-more-ids-than-samples", "more ids than samples", SKIPPED, skipped(1, "a", "b")),
    ("skipped-unsorted", "ids out of order", SKIPPED, skipped(2, "b", "a")),
    ("skipped-sorted-as-utf-16", "ids in the order of UTF-16", SKIPPED,
     skipped(2, "\U0001f408", "\uff41")),
    ("skipped-twice", "an id twice", SKIPPED, skipped(2, "a", "a")),
    ("skipped-empty-id", "an empty id", SKIPPED, skipped(1, "")),
    ("skipped-long-id", "an id of 4,097 bytes", SKIPPED, skipped(1, "é" * 2048 + "x")),
    ("skipped-control", "an id with a control character", SKIPPED, skipped(1, "\x1b[2J")),
    ("skipped-bidirectional", "an id with a bidirectional control", SKIPPED, skipped(1, "\u202e")),
    ("skipped-101-ids", "more than a hundred ids", SKIPPED,
     skipped(600, *(f"{number:03}" for number in range(101)))),
    ("skipped-number-for-id", "a number for an id", SKIPPED, skipped(1, 1)),
    ("skipped-without-ids", "no ids field", SKIPPED, {"samples": 1}),
    ("skipped-more", "a field that nobody knows", SKIPPED, skipped(1, "a", more=1)),
    ("no-dataset", "a run on nothing", ("predicate", "datasets"), []),
    ("dataset-twice", "a version twice", ("predicate", "datasets"), [ON, ON]),
    ("seen-more", "more samples seen than there are", (*ON_PETS, "seen"), 601),
    ("handed-out-less", "fewer deliveries than samples", (*ON_PETS, "handed_out"), 499),
    ("handed-out-more", "more deliveries than are counted", (*ON_PETS, "handed_out"), 127501),
    ("finished-before", "finished before it started", ("predicate", "finished"),
     "2026-11-25T08:59:59Z"),
    ("file-outside", "a file above the model", ("subject", 0, "name"), "../config.json"),
    ("files-unsorted", "files out of order", (), _of_files(FILES)),
    ("files-fewer", "a subject without a size", ("predicate", "files"), []),
    ("unknown-field", "a field that nobody knows", ("predicate", "more"), 1),
    ("other-type", "the statement of a version", ("predicateType",), "https://provreg/version/v1"),
]  # fmt: skip


def receipts() -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of every vector."""
    yield from vectors(RECEIPT, GOOD, REFUSED, parse_receipt)


def vectors(
    base: Any,
    good: list[tuple[str, str, Path, Any]],
    refused: list[tuple[str, str, Path, Any]],
    parse: Callable[[bytes], Any],
) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of the vectors of a kind of statements, each `base` with one value changed."""
    for name, claim, path, value in good:
        statement = _changed(base, path, value)
        parse(canonical(statement))
        yield f"good-{name}", _vector(claim, statement, sha256_digest(canonical(statement)))
    for name, claim, path, value in refused:
        statement = _changed(base, path, value)
        try:
            parse(canonical(statement))
        except FormatError:
            yield name, _vector(claim, statement, "refused")
        else:
            raise AssertionError(f"{name} is not refused")


def _changed(base: Any, path: Path, value: Any) -> Any:
    """`base` with `value` at `path`; `value` itself where that is empty."""
    if not path:
        return value
    statement = copy.deepcopy(base)
    at: Any = statement
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return statement


def _vector(claim: str, statement: Any, expect: str) -> bytes:
    said = {"claim": claim, "expect": expect, "statement": statement}
    fields = [f"{json.dumps(name)}:{_json(value)}" for name, value in said.items()]
    return ("{" + ",\n".join(fields) + "}\n").encode()


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
