"""Nothing that provreg prints breaks in the middle of a word in a terminal of 80 columns."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provreg.cli.app import command_line
from provreg.cli.ui.table import cells, fold_text, records

DOCS = Path(__file__).resolve().parents[3] / "docs"
WIDTH = 80
Run = Callable[..., Any]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_cli", DOCS / "generate_cli.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


GENERATOR = _generator()
COMMANDS = dict(GENERATOR.commands(command_line()))


@pytest.mark.parametrize("path", sorted(COMMANDS), ids=" ".join)
def test_help_fits_and_its_examples_can_be_pasted(path: tuple[str, ...], provreg: Run) -> None:
    shown = provreg(*path, "--help").out
    assert set(COMMANDS[path].help.split()) <= set(shown.split())
    for line in shown.splitlines():
        # A condition in quotes is one word.
        assert cells(line) <= WIDTH or len(shlex.split(line.removesuffix("\\"))) == 1, line
    examples = shown[shown.index("Examples:") :]
    joined = re.sub(r" \\\n +", " ", examples).splitlines()[1:]
    assert [line.strip() for line in joined if line.strip()] == GENERATOR.examples(COMMANDS[path])


COMMANDS_IN_WORDS = [
    ["ls"],
    ["ls", "--versions"],
    ["log", "pets"],
    ["show", "pets@1"],
    ["show", "pets@1", "-v"],
    ["show", "pets", "dog/moved.txt"],
    ["diff", "pets@1", "pets@2"],
    ["diff", "pets@1", "./bad"],
    ["blame", "pets"],
    ["blame", "pets", "--by", "version"],
    ["blame", "pets", "cat/9.txt"],
    ["verify", "pets@1"],
    ["verify", "pets@1", "--data", "bad"],
    ["verify", "pets"],
    ["verify", "pet"],
    ["policy", "check"],
    ["runs"],
    ["latest", "pets", "--key", "mallory.key.pub"],
    ["revoke", "pets", "--labeler", "nobody", "--reason", "r", "--sign", "key:ann.key", "--yes"],
    ["sign", "pets@2", "--sign", "key:ann.key", "--yes"],
    ["check"],
]


@pytest.mark.parametrize("command", COMMANDS_IN_WORDS, ids=" ".join)
def test_output_fits(
    pets: Path, provreg: Run, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = provreg(*command)
    monkeypatch.setattr("provreg.cli.ui.output.terminal_width", lambda _: WIDTH)
    narrow = provreg(*command)
    if command[0] not in {"revoke", "sign"}:
        assert narrow.code == wide.code
    whole = set(re.findall(r"\S+", wide.out + wide.err))
    for line in (narrow.out + narrow.err).splitlines():
        assert cells(line) <= WIDTH or len(line.split()) == 1, line
        if command[0] not in {"revoke", "sign"}:
            assert set(line.split()) <= whole, line


@given(st.lists(st.text("ab`", min_size=1, max_size=30), min_size=1), st.integers(20, 100))
def test_sentences_keep_their_words(words: list[str], width: int) -> None:
    text = " ".join(words)
    lines = fold_text(text, width)
    assert " ".join(line.strip() for line in lines) == text
    assert all(cells(line) <= width or len(line.split()) == 1 for line in lines)


def test_a_command_in_backticks_stays_whole_if_it_fits() -> None:
    text = f"run {'x ' * 20}`provreg verify pets@1 --data data` again"
    assert any("`provreg verify pets@1 --data data`" in line for line in fold_text(text, 60))


def test_a_digest_that_does_not_fit_beside_its_name_gets_its_own_line() -> None:
    digest = "sha256:" + "0" * 64
    assert records([("dataset uid", "x"), ("head", digest)], width=80) == [
        "dataset uid  x", "head", f"  {digest}",
    ]  # fmt: skip
    assert records([("dataset uid", "x"), ("head", digest)]) == [
        "dataset uid  x", f"head         {digest}",
    ]  # fmt: skip
