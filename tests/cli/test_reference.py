"""docs/reference/cli.md is what the commands are: current, complete, its examples can be typed."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from provreg.cli.app import command_line

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCHEMAS = DOCS.parent / "schemas/output"


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
by_command = pytest.mark.parametrize("path", sorted(COMMANDS), ids=" ".join)


def test_reference_is_current() -> None:
    """Make it anew with `python docs/generate_cli.py`."""
    assert (DOCS / "reference" / "cli.md").read_text("utf-8") == GENERATOR.reference()


def _section(path: tuple[str, ...]) -> str:
    text = (DOCS / "reference" / "cli.md").read_text("utf-8")
    heading = f"## {' '.join(('provreg', *path))}\n"
    return text[text.index(heading) :].split("\n## ")[0]


@by_command
def test_every_option_is_documented_with_an_example(path: tuple[str, ...]) -> None:
    section = _section(path)
    examples = section[section.rindex("```sh") :]
    for one in COMMANDS[path].params:
        if one.param_type_name == "argument":
            continue
        assert one.help, one.name
        if one.opts[0] != "--help":
            assert f"`{one.opts[0]}" in section
        if one.opts[0] not in GENERATOR.COMMON:
            pattern = "|".join(rf"(?<!\S){re.escape(name)}(?!\S)" for name in one.opts)
            assert re.search(pattern, examples), one.opts


@by_command
def test_help_shows_every_option_once_under_its_panel(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    with command.make_context(" ".join(path), [], resilient_parsing=True) as context:
        panels = re.split(r"^(\S[^\n]*):$", command.get_help(context), flags=re.MULTILINE)
    under = dict(zip(panels[1::2], panels[2::2], strict=True))
    for one in command.params:
        if one.param_type_name == "option":
            shown = [name for name, text in under.items() if re.search(
                rf"^  (-\w, )?{one.opts[0]}\b", text, re.MULTILINE)]  # fmt: skip
            assert shown == [one.rich_help_panel or "Options"]


def test_common_options_have_examples() -> None:
    text = (DOCS / "reference" / "cli.md").read_text("utf-8")
    for name in ("--registry", "--policy", "--key", "--json", "-v"):
        assert re.search(rf"^provreg .*\s{name}\b", text, re.MULTILINE), name


@by_command
def test_examples_can_be_typed(path: tuple[str, ...]) -> None:
    lines = GENERATOR.examples(COMMANDS[path])
    assert lines
    for line in lines:
        words = shlex.split(line)
        assert tuple(words[1 : 1 + len(path)]) == path
        COMMANDS[path].make_context(" ".join(path), words[1 + len(path) :])


@by_command
def test_summaries_are_not_cut_in_the_list_of_commands(path: tuple[str, ...]) -> None:
    assert not COMMANDS[path].get_short_help_str(60).endswith("...")


@by_command
def test_list_of_commands_says_what_the_command_says(path: tuple[str, ...]) -> None:
    """Other commands are listed without being loaded."""
    listed: Any = command_line("none of them")
    for word in path:
        listed = listed.commands[word]
    assert listed.help == COMMANDS[path].help.split("\n\n")[0]


@by_command
def test_json_of_every_command_has_a_schema(path: tuple[str, ...]) -> None:
    if any(one.opts[0] == "--json" for one in COMMANDS[path].params):
        assert (SCHEMAS / f"{'-'.join(path)}.v1.json").is_file()


def test_shared_options_mean_the_same_everywhere() -> None:
    helps: dict[str, set[Any]] = {}
    for path, command in COMMANDS.items():
        for one in command.params:
            if one.param_type_name != "argument" and path[0] not in {"policy", "key"}:
                helps.setdefault(one.opts[0], set()).add(one.help)
    differ = {name for name, said in helps.items() if len(said) > 1}
    # Labels are of what is taken in, or of the path compared; names of what is taken in or revoked;
    # lines of changes, or of rows; groups of blame, or of what is counted; time is divided for the
    # version to be, or for a question; reasons are told those who are refused, or who screen;
    # what is shown and not done is what the command does.
    assert differ <= {
        "--labels",
        "--source",
        "--labeler",
        "--json-lines",
        "--by",
        "--split-at",
        "--data",
        "--reason",
        "--dry-run",
    }
