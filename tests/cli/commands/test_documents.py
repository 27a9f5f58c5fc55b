"""Command lines and queries in the documents can be typed as they stand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provreg.cli.app import command_line

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(r"^( *)```(?:sh|shell|bash)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_SHELL = {"|", "||", "&&", ">"}


def command_lines(text: str) -> Iterator[list[str]]:
    """The words after `provreg` of every command in the shell blocks of a document."""
    for block in _BLOCK.finditer(text):
        for line in block[2].replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] != ["provreg"]:
                continue
            end = next((at for at, word in enumerate(words) if word in _SHELL), len(words))
            yield words[1:end]


def find(words: list[str]) -> tuple[Any, list[str]]:
    """(the command, its arguments)"""
    command: Any = command_line()
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_documents_can_be_typed(path: Path) -> None:
    for words in command_lines(path.read_text("utf-8")):
        command, arguments = find(words)
        if {"--version", "--help"} & set(words):
            continue
        assert not hasattr(command, "commands"), f"there is no `provreg {shlex.join(words)}`"
        command.make_context(command.name, arguments)


def test_command_lines_are_found() -> None:
    text = (
        '```sh\nprovreg ls # all\n$ x\nprovreg a b > c\n```\n  ```sh\n  provreg "d e" || f\n  ```\n'
    )
    assert list(command_lines(text)) == [["ls"], ["a", "b"], ["d e"]]


def test_queries_in_documents_run(pets: Path, provreg: Callable[..., Any]) -> None:
    text = (ROOT / "docs/reference/sql.md").read_text("utf-8")
    queries = re.findall(r"^```sql\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    answers = [provreg("sql", query, "--json").json["rows"] for query in queries]
    labeled, flipped, twice, vendor, signers, pivot, bad = answers
    assert ["mallory", "dog", 2] in labeled
    assert flipped == [[2, "cat", "dog", "mallory", 1]]
    assert twice == []
    assert [(row[0], row[1], row[3], row[4]) for row in vendor] == [("pets", 2, False, 2)]
    assert [row[1:] for row in signers] == [[None, False, ["pets@2"]]]
    assert pivot == [["ann", 4, 4], ["mallory", 0, 2]]
    assert [row[:2] for row in bad] == [["pets", 2]]


def test_columns_of_the_tables_are_documented(pets: Path, provreg: Callable[..., Any]) -> None:
    text = (ROOT / "docs/reference/sql.md").read_text("utf-8")
    for query in ("from versions", "from entries", "from signatures", "from revocations"):
        for column in provreg("sql", query, "--json").json["columns"]:
            assert f"`{column}`" in text
    for column in provreg("sql", "select * from changes", "--json").json["columns"]:
        assert column in {"dataset", "version", "kinds"} or column.startswith(("old_", "new_"))
