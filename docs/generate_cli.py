"""Writes docs/reference/cli.md from the commands themselves: `python docs/generate_cli.py`."""

# ruff: noqa: E501

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provreg.cli.app import command_line
from provreg.cli.ui.command import panel_of

TARGET = Path(__file__).parent / "reference" / "cli.md"
# Called the same and meaning the same in every command: told once.
COMMON = ("--registry", "--policy", "--key", "--json", "--quiet", "--verbose", "--help")
_HEAD = """\
# Commands

<!-- Made by docs/generate_cli.py from the commands themselves. -->

```
{usage}
```

{commands}

What all of them have in common comes first: [references](#references), [options](#options-of-most-commands),
[output](#output), [exit codes](#exit-codes), [environment](#environment). [Quickstart](../guides/quickstart.md) is the shortest way in,
[the runbook](../guides/incident.md) the one for when something has happened.

## References

A version is named `name@3`. `name` and `name@latest` are the newest; `name@sha256:…` is the version with this head, whatever
its number. `NAME` is 1 to 128 of `a-z`, `0-9`, `.`, `_` and `-`, beginning with a letter or a digit and not ending with `.`.

## Options of most commands

{common}

`--policy` and `--key` exclude each other. Without both, the policy is found as [Policy](policy.md#where-it-comes-from) tells.

## Output

Results go to standard output; warnings, notes, progress and errors to standard error. On a terminal long work shows
progress and tables are folded to fit, ids never; in a pipe there is no progress and a table is as wide as it is. `NO_COLOR` is respected.
Control characters in names, labels and messages are shown escaped everywhere, in JSON too.

An error is one line, and mostly a second with what to do:

```
provreg: there is no dataset 'pet' in 'file:///srv/registry'
  `provreg ls` lists the datasets; `--registry` chooses another registry
```

With `--json` a command prints one JSON document and nothing else. Each has a schema, in `schemas/output/`. Warnings are in its
`warnings`. An error is a document too (`schemas/output/error.v1.json`), of usage as well; only `verify` says in its own document
that it refused. Long arrays are written item by item: should making one fail, the document breaks off and the exit code says why.

**Untrusted versions.** `ls`, `log`, `show`, `diff`, `blame` and `sql` look at every version whose objects hold together,
whoever signed it: an incident is made of those. What the policy does not trust is marked `UNTRUSTED`, with the reason, who signed it, and how it
stands: `waiting` for more signatures like those it has, `revoked`, `unsigned`, or `distrusted`. Of a signature that nobody known here made, it says whom it
claims to be by, *not verified*. `verify`, `pin`, `ingest` and the loaders use trusted versions only. A [proposal](policy.md#proposals) is no version;
`diff`, `show`, `verify` and `sign` take it by `name@sha256:…`.

## Exit codes

| code | means |
|---|---|
| 0 | done |
| 1 | something was found that was asked for (`diff --exit-code`) |
| 2 | the request makes no sense, or the data cannot be taken in |
| 3 | not found: registry, dataset, version, sample, file, what a URL gave |
| 4 | not trusted, or not as signed; the message names the step of [verification](../concepts/verification.md) |
| 5 | the registry or the index is damaged |
| 6 | disk, file server or network failed; trying again may help |
| 130 | interrupted (Ctrl-C). A version is published whole or not at all |
| 141 | what read the output went away (`provreg log x \\| head`) |

## Environment

| variable | means |
|---|---|
| `PROVREG_REGISTRY` | the registry, where `--registry` is not given |
| `PROVREG_POLICY` | the policy, where `--policy` is not given |
| `PROVREG_PASSWORD` | the passphrase of private keys; else `COSIGN_PASSWORD`, else it is asked for on a terminal |
| `PROVREG_TIMESTAMP` | the timestamp authority of signatures with a key, where `--timestamp` is not given |
| `PROVREG_CACHE`, `PROVREG_STATE`, `PROVREG_CONFIG` | private folders ([State](../format/state.md#private-folders)) |
| `NO_COLOR`, `COLUMNS` | no colours; the width of the terminal |
"""


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(its words after `provreg`, the command) for every command, in the order of the help."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def examples(command: Any) -> list[str]:
    """The command lines shown in a command's help."""
    lines = (command.epilog or "").splitlines()
    return [line.strip() for line in lines if line.startswith("  provreg ")]


def reference() -> str:
    """The whole document."""
    every = dict(commands(command_line()))
    listed = [
        f"| [`{' '.join(path)}`](#{'-'.join(('provreg', *path))}) | {_summary(command)} |"
        for path, command in every.items()
    ]
    common = {option.opts[0]: option for option in every["verify",].params}
    head = _HEAD.format(
        usage="provreg COMMAND [ARGUMENTS] [OPTIONS]",
        commands="\n".join(["| command | |", "|---|---|", *listed]),
        common=_table("option", [common[name] for name in COMMON if name in common]),
    )
    return head + "".join(_section(path, command) for path, command in every.items())


def _section(path: tuple[str, ...], command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params
               if one.param_type_name != "argument" and one.opts[0] not in COMMON[3:]
               and not _is_common(path, one)]  # fmt: skip
    shared = [one.opts[0] for one in command.params if _is_common(path, one)]
    shared += [one.opts[0] for one in command.params if one.opts[0] in COMMON[3:-1]]
    words = " ".join(("provreg", *path))
    usage = " ".join([words, *(_usage(one) for one in arguments), "[OPTIONS]"])
    parts = [f"\n## {words}\n", f"```\n{usage}\n```\n", f"{_filled(command.help)}\n"]
    if arguments:
        parts.append(_table("argument", arguments) + "\n")
    panels: dict[str, list[Any]] = {"Options": []}
    for one in options:
        panels.setdefault(panel_of(one), []).append(one)
    parts += [_table(_heading(panel), listed) + "\n" for panel, listed in panels.items() if listed]
    if shared:
        parts.append("And: " + ", ".join(f"`{name}`" for name in shared) + ".\n")
    parts.append("```sh\n" + "\n".join(examples(command)) + "\n```\n")
    return "\n".join(parts)


def _heading(panel: str) -> str:
    return "option" if panel == "Options" else panel


def _is_common(path: tuple[str, ...], option: Any) -> bool:
    # A key or a policy to write or to look at is another thing than one to trust.
    return option.opts[0] in COMMON[:3] and path[0] not in {"policy", "key"}


def _summary(command: Any) -> str:
    return str(command.help).split("\n\n")[0].replace("\n", " ")


def _filled(text: str) -> str:
    """Paragraphs on a line each, so that Markdown may wrap them."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


def _usage(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper())
    name = f"{name}…" if argument.nargs == -1 and not name.endswith("…") else name
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _table(what: str, parameters: list[Any]) -> str:
    rows = [f"| {_names(one)} | {_escaped(one.help)}{_default(one)} |" for one in parameters]
    return "\n".join([f"| {what} | |", "|---|---|", *rows])


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_escaped(_usage(parameter))}`"
    metavar = parameter.metavar
    if metavar is None and not parameter.is_flag:
        choices = parameter.type_descriptor.choices
        metavar = "|".join(str(one.value) for one in choices) if choices else "TEXT"
    value = f" {_escaped(metavar)}" if metavar else ""
    return ", ".join(f"`{name}{value}`" for name in parameter.opts)


def _default(parameter: Any) -> str:
    if parameter.required and parameter.param_type_name != "argument":
        return " Required."
    if parameter.default in (None, False, "", ()) or parameter.param_type_name == "argument":
        return ""
    shown = getattr(parameter.default, "value", parameter.default)
    return f" Default: `{shown}`."


def _escaped(text: str | None) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text or "")


if __name__ == "__main__":
    TARGET.write_text(reference(), "utf-8")
