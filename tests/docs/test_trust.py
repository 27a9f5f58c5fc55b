"""docs/concepts/verification.md, threat-model.md and terms.md against the code and the tests."""

from __future__ import annotations

import ast
import fnmatch
import functools
import re
from pathlib import Path

import pytest

from provreg.core.manifest.head import KINDS
from provreg.flows.verify.steps import STEPS

ROOT = Path(__file__).parents[2]
VERIFICATION = (ROOT / "docs" / "concepts" / "verification.md").read_text("utf-8")
THREATS = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
CONCEPTS = (ROOT / "docs" / "concepts" / "terms.md").read_text("utf-8")
CASES = [path.stem for path in (ROOT / "tests" / "vectors").glob("[ct]a*/*.json")]


def names_of_tests() -> set[str]:
    return {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@functools.cache
def texts_of_the_code() -> str:
    """Every text in the package, joined; what a message fills in is `…`."""
    texts = []
    for path in (ROOT / "provreg").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.JoinedStr):
                parts = node.values
                texts.append(
                    "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts
                    )
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_the_steps_are_those_of_the_code() -> None:
    table = re.findall(r"^\| (\d+) \| ([a-z ]+) \|", VERIFICATION, re.MULTILINE)
    assert {int(number): name for number, name in table} == STEPS
    headings = re.findall(r"^## (\d+) (.+)$", VERIFICATION, re.MULTILINE)
    assert {int(number): name.lower() for number, name in headings} == STEPS


def quoted_messages() -> list[str]:
    """What the lists of verification.md quote before they explain it."""
    items = re.findall(r"^- (`.+?)(?::|\n)", VERIFICATION, re.MULTILINE)
    quoted = [message for item in items for message in re.findall(r"`([^`]+)`", item)]
    return [message for message in quoted if " " in message]


@pytest.mark.parametrize("message", quoted_messages())
def test_messages_are_quoted_as_the_code_says_them(message: str) -> None:
    code = texts_of_the_code()
    pieces = [re.sub(r"\b[n\d]+\b", "…", piece).strip() for piece in message.split("…")]
    words = [part.strip() for piece in pieces for part in piece.split("…") if len(part.strip()) > 3]
    assert words
    assert [piece for piece in words if piece not in code] == []


def test_there_are_messages_of_every_step_but_the_last() -> None:
    assert len(quoted_messages()) > 25


def test_named_tests_exist() -> None:
    named = set(re.findall(r"`(test_\w+)`", THREATS))
    assert len(named) > 40
    assert named - names_of_tests() == set()


def test_named_vectors_exist() -> None:
    named = [name for line in re.findall(r"vectors? (`.*(?:\n .*)?)", THREATS)
             for name in re.findall(r"`([a-z*-]+)`", line)]  # fmt: skip
    assert len(named) > 15
    assert [name for name in named if not fnmatch.filter(CASES, name)] == []


def test_every_threat_has_a_test_or_says_that_it_is_of_later() -> None:
    threats = re.split(r"^## ", THREATS, flags=re.MULTILINE)[1:]
    assert len(threats) == 12
    for threat in threats[:-1]:
        assert "`test_" in threat or "of a later issue" in threat, threat.partition("\n")[0]


def test_kinds_of_change_are_those_of_the_code() -> None:
    changes = CONCEPTS[CONCEPTS.index("## Changes") : CONCEPTS.index("## Blame")]
    assert tuple(re.findall(r"^\| ([a-z]+) \| [^m]", changes, re.MULTILINE)) == KINDS


def test_the_style_page_names_terms_of_the_glossary() -> None:
    style = (ROOT / "docs" / "contributing" / "style.md").read_text("utf-8")
    glossary, terms = (
        {
            word.strip()
            for words in re.findall(r"^\| ([a-z, ]+) \| ", text, re.MULTILINE)
            for word in words.split(",")
        }
        for text in (CONCEPTS, style[style.index("## Terms") : style.index("## Voice")])
    )
    assert len(terms) > 10
    assert terms - {"term"} <= glossary
