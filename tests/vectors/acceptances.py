"""Vectors of acceptances: a statement that a finding is in order, and whether it is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from receipts import Path, vectors

from provreg.core.statements.acceptance import parse_acceptance, samples_digest

FOUND = ("predicate", "found")
GROUP = (*FOUND, "group")
SAMPLES = samples_digest([b"a" * 32, b"b" * 32])
ACCEPTANCE: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "predicateType": "https://provreg/acceptance/v1",
    "subject": [{"name": "pets@3", "digest": {"sha256": "ab" * 32}}],
    "predicate": {
        "dataset": "pets",
        "uid": "0123456789abcdef" * 2,
        "version": 3,
        "found": {
            "check": "relabels",
            "severity": "warning",
            "group": {"labeler": "dora"},
            "count": 60,
            "samples": SAMPLES,
        },
        "reason": "dora corrects what others left",
        "created": "2026-12-01T12:00:00Z",
    },
}
# Name, claim, and where which value stands.
GOOD: list[tuple[str, str, Path, Any]] = [
    ("acceptance", "a warning that was accepted", (), ACCEPTANCE),
    ("error", "an error that was accepted", (*FOUND, "severity"), "error"),
    ("group-of-eight", "eight names of a group", GROUP, {str(n): "x" for n in range(8)}),
    ("group-long", "a name and its text of 4,096 bytes", GROUP, {"label": "\u00e9" * 2045 + "x"}),
    ("check-of-others", "a check of another package", (*FOUND, "check"), "acme:Texts_2"),
    ("count-most", "the greatest count", (*FOUND, "count"), 2**53 - 1),
]
REFUSED: list[tuple[str, str, Path, Any]] = [
    ("severity-note", "a note", (*FOUND, "severity"), "note"),
    ("severity-capital", "a severity in capitals", (*FOUND, "severity"), "Warning"),
    ("group-empty", "a group of nothing", GROUP, {}),
    ("group-of-nine", "nine names of a group", GROUP, {str(n): "x" for n in range(9)}),
    ("group-of-numbers", "a number in a group", GROUP, {"version": 3}),
    ("group-list", "a list for a group", GROUP, ["labeler", "dora"]),
    ("group-too-long", "a name and its text of 4,097 bytes", GROUP, {"label": "\u00e9" * 2046}),
    ("check-empty", "no check", (*FOUND, "check"), ""),
    ("check-blank", "a blank in the name of a check", (*FOUND, "check"), "two words"),
    ("check-long", "257 characters of a check", (*FOUND, "check"), "x" * 257),
    ("count-zero", "nothing was found", (*FOUND, "count"), 0),
    ("count-true", "true for a number", (*FOUND, "count"), True),
    ("samples-sha256", "another algorithm", (*FOUND, "samples"), "sha256:" + "ab" * 32),
    ("samples-capital", "a digest in capitals", (*FOUND, "samples"), SAMPLES.upper()),
    ("found-more", "a field that nobody knows", (*FOUND, "more"), 1),
    ("found-null", "nothing that was found", FOUND, None),
    ("reason-blank", "a reason of blanks", ("predicate", "reason"), " \u3000\n"),
    ("reason-long", "a reason of 4,097 bytes", ("predicate", "reason"), "x" * 4097),
    ("created-offset", "a time with an offset", ("predicate", "created"),
     "2026-12-01T12:00:00+00:00"),
    ("created-never", "a day that is none", ("predicate", "created"), "2026-02-30T12:00:00Z"),
    ("name-of-another", "the subject is another version", ("subject", 0, "name"), "pets@4"),
    ("unknown-field", "a field that nobody knows", ("predicate", "expires"), None),
    ("other-type", "the statement of a version", ("predicateType",), "https://provreg/version/v1"),
]  # fmt: skip


def acceptances() -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of every vector."""
    yield from vectors(ACCEPTANCE, GOOD, REFUSED, parse_acceptance)
