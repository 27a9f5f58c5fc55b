"""The table of commands: each is one function in a file of its own, with examples for its help.

Only the command that is called is loaded; where none is, all are listed by name and summary: what
a command costs to start does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn

import typer

from provreg.cli.ui.command import Command, with_groups

_GROUPS = {
    "key": "Create signing keys, for use without an identity provider.",
    "policy": "Write and explain the trust policy (docs/reference/policy.md).",
    "export": "Write a version for other software to verify (docs/guides/interop.md).",
}
# Words and summary (the first line of its docstring), in the order people meet them. The function
# of `key generate` is `commands.key.generate`, that of `ls` is `commands.ls.ls`.
_SUMMARIES = {
    "init": "Create an empty registry in a folder.",
    "key generate": "Generate a key pair for signing.",
    "policy init": "Write a starter policy: one principal, all datasets.",
    "policy check": "Explain in words what the policy in force allows.",
    "ingest": "Ingest data as the next version and sign it.",
    "sign": "Review and sign a proposal or a version.",
    "verify": "Verify a version, its data (--data), or a model.",
    "ls": "List the datasets, each with its newest version.",
    "log": "List the versions of a dataset, newest first.",
    "show": "Show a version, one of its samples, or a model's origin.",
    "runs": "List training runs, or those that received certain samples.",
    "pin": "Verify a version and pin it in provreg.lock.",
    "forget": "Delete your local record of a dataset's history.",
    "revoke": "Revoke a version, or samples by source or labeler.",
    "latest": "Show or sign which version is the newest.",
    "diff": "Show what changed between two versions, and who changed it.",
    "blame": "Show who added and labeled each sample, and since when.",
    "sql": "Query the index with SQL, read-only.",
    "export oms": "Write an OpenSSF Model Signing bundle for a version.",
    "check": "Read all objects again and report damage.",
    "demo": "Run a demonstration: sign, poison, refuse, investigate.",
}


def register(app: typer.Typer, first_word: str | None = None) -> None:
    """Adds commands to `app`: all, or those that begin with the word `called`.

    Where none does, all are added as they are listed, and none can be run.
    """
    loaded = [words for words in _SUMMARIES if first_word in (None, words.partition(" ")[0])]
    groups: dict[str, typer.Typer] = {}
    for words in loaded or _SUMMARIES:
        first, _, second = words.partition(" ")
        if second and first not in groups:
            groups[first] = typer.Typer(help=_GROUPS[first])
            groups[first].callback(no_args_is_help=True)(_group)
        group = groups[first] if second else app
        if loaded:
            function, examples = _load(first, second or first)
            shown = [line for line in examples if line.startswith(f"provreg {words}")]
            add = group.command(second or first, cls=Command, epilog=_epilog(shown))
            add(with_groups(function))
        else:
            group.command(second or first, help=_SUMMARIES[words])(_not_loaded)
    for name, group in groups.items():
        app.add_typer(group, name=name)


def _load(module: str, function: str) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """(the command, the examples of its module)."""
    loaded = import_module(f"provreg.cli.commands.{module}")
    return getattr(loaded, function), loaded.EXAMPLES


def _not_loaded() -> NoReturn:
    raise AssertionError("another command was called than the command line begins with")


def _group() -> None:
    """Makes a group of commands, which alone does nothing."""


def _epilog(examples: list[str]) -> str:
    # \b keeps the help from being filled into one paragraph.
    return "\n".join(["\b", "Examples:", *(f"  {example}" for example in examples)])
