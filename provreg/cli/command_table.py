"""The table of commands, and how typer runs them.

A command is one function in a file of its own, with examples for its help. Only the command that is
called is loaded, so start-up does not slow down with their number; otherwise all are listed by name
and summary.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from typing import Any, NoReturn, get_type_hints

import typer
from typer.core import TyperCommand

# Words of a command line, with their quotes.
_SHELL_WORDS = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""")
_HELP_WIDTH = 78
_GROUPS = {
    "key": "Create signing keys, for use without an identity provider.",
    "policy add": "Add a principal, key or rule to a policy file.",
    "policy": "Write and explain the trust policy (docs/reference/policy.md).",
    "export": "Export a version for other software (docs/guides/interop.md).",
}
# Words and summary (the first line of its docstring), in the order people meet them. The function
# of `policy add key` is `commands.policy_add.key`, that of `key generate` `commands.key.generate`,
# and that of `ls` is `commands.ls.ls`.
SUMMARIES = {
    "init": "Create an empty registry in a folder.",
    "key generate": "Generate a key pair for signing.",
    "key show": "Show a key's fingerprint and the lines for a policy.",
    "policy init": "Write a starter policy for all datasets.",
    "policy check": "Explain in words what the policy in force allows.",
    "policy add principal": "Add a person or pipeline to a policy.",
    "policy add key": "Add a key of a principal to a policy.",
    "policy add rule": "Add a rule to a policy.",
    "policy end": "Give a key in a policy an end.",
    "ingest": "Ingest data as the next version and sign it.",
    "sign": "Review and sign a proposal or a version.",
    "verify": "Verify a version, its data (--data), or a model.",
    "ls": "List the datasets, each with its newest version.",
    "log": "List the versions of a dataset, newest first.",
    "show": "Show a version, one of its samples, or a model's origin.",
    "runs": "List training runs, or those that received certain samples.",
    "pin": "Verify a version and pin it in provreg.lock.",
    "forget": "Delete your local record of a dataset's history.",
    "revoke": "Revoke a version, or samples of a dataset.",
    "withdraw": "Withdraw a revocation.",
    "revocations": "List revocations, and whether each counts.",
    "latest": "Show or sign which version is the newest.",
    "diff": "Show what changed between two versions, and who changed it.",
    "blame": "Show who added and labeled each sample, and since when.",
    "screen": "Look for labelers, sources and samples that stand out.",
    "accept": "Sign that a finding was looked at, and is in order.",
    "sql": "Query the index with SQL, read-only.",
    "export oms": "Write an OpenSSF Model Signing bundle for a version.",
    "check": "Read all objects again and report damage.",
    "completion": "Print a script for completion by your shell.",
    "demo": "Run a demonstration: sign, poison, refuse, investigate.",
}


def register(app: typer.Typer, first_word: str | None = None) -> None:
    """Adds commands to `app`: all, or those that begin with `first_word`.

    If none does, all are listed, and none can be run.
    """
    loaded = [words for words in SUMMARIES if first_word in (None, words.partition(" ")[0])]
    groups = {"": app}
    for words in loaded or SUMMARIES:
        path, _, name = words.rpartition(" ")
        group = _group_at(path, groups)
        if loaded:
            function, examples = _load(path.replace(" ", "_") or name, name)
            shown = [line for line in examples if line.startswith(f"provreg {words} ")]
            shown += [line for line in examples if line == f"provreg {words}"]
            add = group.command(name, cls=Command, epilog=_epilog(shown))
            add(with_groups(function))
        else:
            group.command(name, help=SUMMARIES[words])(_not_loaded)


def _group_at(path: str, groups: dict[str, typer.Typer]) -> typer.Typer:
    """The group of commands with these words, made in the one above it if `groups` lacks it."""
    if path not in groups:
        above, _, name = path.rpartition(" ")
        groups[path] = typer.Typer(help=_GROUPS[path])
        groups[path].callback(no_args_is_help=True)(_group)
        _group_at(above, groups).add_typer(groups[path], name=name)
    return groups[path]


def _load(module: str, function: str) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """(the command, the examples of its module)."""
    loaded = import_module(f"provreg.cli.commands.{module}")
    return getattr(loaded, function), loaded.EXAMPLES


def _not_loaded() -> NoReturn:
    raise AssertionError("the called command is not the first word of the command line")


def _group() -> None:
    """The callback that makes a group of commands."""


def _epilog(examples: list[str]) -> str:
    # \b keeps click from joining the lines into one paragraph.
    lines = [line for example in examples for line in _folded_command(example)]
    return "\n".join(["\b", "Examples:", *lines])


def _folded_command(command: str) -> list[str]:
    """A command line in lines that fit the help and can be pasted."""
    lines: list[str] = []
    line = "  "
    for word in _SHELL_WORDS.findall(command):
        if len(f"{line}{word} \\") > _HELP_WIDTH and line.strip():
            lines.append(f"{line}\\")
            line = "      "
        line += f"{word} "
    return [*lines, line.rstrip()]


class Command(TyperCommand):
    """A command whose help shows the panels of its options without rich."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options of each panel under its name, which typer only prints with rich."""
        panels: dict[str, list[Any]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                panels.setdefault(panel_of(parameter), []).append(record)
        for name, records in panels.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)


def panel_of(parameter: Any) -> str:
    """The heading of a parameter in the help."""
    if parameter.param_type_name == "argument":
        return "Arguments"
    return getattr(parameter, "rich_help_panel", None) or "Options"


def with_groups(function: Callable[..., None]) -> Callable[..., None]:
    """`function` for typer, with each dataclass parameter replaced by its fields.

    A group of options (`provreg.cli.ui.options`) is written once for all commands.
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        group = groups.get(parameter.name)
        if group is None:
            annotated = parameter.replace(annotation=hints[parameter.name])
            parameters.append(annotated.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        of_group = get_type_hints(group, include_extras=True)
        parameters += [
            inspect.Parameter(
                option.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if option.default is MISSING else option.default,
                annotation=of_group[option.name],
            )
            for option in fields(group)
        ]

    def command(**values: Any) -> None:
        made = {
            name: group(**{option.name: values.pop(option.name) for option in fields(group)})
            for name, group in groups.items()
        }
        function(**values, **made)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    vars(command)["__signature__"] = inspect.Signature(parameters)
    return command
