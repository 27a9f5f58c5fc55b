"""Writes docs/reference/cli.md from the commands themselves: `python docs/generate_cli.py`."""

# ruff: noqa: E501

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provreg.cli.app import command_line
from provreg.cli.command_table import panel_of

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

Common to all commands: [references](#references), [options](#options-of-most-commands), [output](#output),
[exit codes](#exit-codes), [environment](#environment). To start, read the [quickstart](../guides/quickstart.md); after an
incident, the [runbook](../guides/incident.md).

## References

`name@3` is a version. `name` and `name@latest` are the newest version; with an [exact pin](#provreg-pin), `name` is the
pinned one. `name@sha256:…` is the version with this head, whatever its number. `NAME` is 1 to 128 of `a-z`, `0-9`, `.`, `_` and `-`. It begins with a letter or a digit and does not end with `.`.

## Options of most commands

{common}

`--policy` and `--key` exclude each other. Without both, provreg [searches for the policy](policy.md#where-it-comes-from).

## Output

Results go to standard output. Warnings, notes, progress and errors go to standard error. On a terminal, long work shows
progress, and text is folded between words to the width of the terminal (ids are not). In a pipe there is no progress, and
nothing is folded. `NO_COLOR` is respected. Control characters in names, labels and messages are always escaped, in JSON too.

An error is one line. Usually a second line says what to do:

```
provreg: there is no dataset 'pet' in 'file:///srv/registry'
  `provreg ls` lists the datasets; `--registry` chooses another registry
```

With `--json` a command prints one JSON document and nothing else. Each document has a schema in `schemas/output/`. Its
`warnings` hold the warnings. An error is a document too (`schemas/output/error.v1.json`), and so is a usage error. Only
`verify` reports a refusal in its own document. Long arrays are written item by item. If an item fails, the document ends
early and the exit code gives the reason.

**Untrusted versions.** `ls`, `log`, `show`, `diff`, `blame` and `sql` show every version whose objects are intact, whoever
signed it, because an incident consists of such versions. For a version that the policy does not trust, the output has the
reason, its signers and a mark: `waiting` for more signatures, `REVOKED`, `proposed`, or `UNTRUSTED` for any other reason.
For a signature by an unknown signer, the output shows the claimed signer and *not verified*. `verify`, `pin`,
`ingest` and the loaders use trusted versions only. A [proposal](policy.md#proposals) is not yet a version. `diff`, `show`,
`verify` and `sign` accept it as `name@sha256:…`.

## Completion

`provreg completion SHELL` prints a script for Bash, Zsh or fish. With it the tab key completes commands, options, files,
and the names and versions of the datasets in the registry. It reads no signatures and no entries, and uses no network.

```sh
provreg completion bash > ~/.local/share/bash-completion/completions/provreg
provreg completion zsh > ~/.zfunc/_provreg
provreg completion fish > ~/.config/fish/completions/provreg.fish
```

Use the line for your shell, and open a new one. Bash needs the package `bash-completion`; without it, add
`source <(provreg completion bash)` to `~/.bashrc`. Zsh needs `fpath=(~/.zfunc $fpath)` before `compinit` in `~/.zshrc`.

## Exit codes

| code | means |
|---|---|
| 0 | done |
| 1 | the requested check found something (`diff --exit-code`) |
| 2 | the request makes no sense, or the data cannot be ingested |
| 3 | not found: registry, dataset, version, sample, file, or the content of a URL |
| 4 | not trusted, or not as signed; the message names the step of [verification](../concepts/verification.md) |
| 5 | the registry or the index is damaged |
| 6 | disk, file server or network failed; a retry may help |
| 130 | interrupted (Ctrl-C). Publishing is atomic: `provreg log` shows whether it completed |
| 141 | the reader of the output closed it (`provreg log x \\| head`) |

## Environment

| variable | means |
|---|---|
| `PROVREG_REGISTRY` | the registry, if `--registry` is not given |
| `PROVREG_POLICY` | the policy, if `--policy` is not given |
| `PROVREG_PASSWORD`, `COSIGN_PASSWORD` | the passphrase of private keys; the first that is set. Without both, provreg asks on a terminal |
| `PROVREG_TIMESTAMP` | the timestamp authority for key signatures, if `--timestamp` is not given |
| `PROVREG_TRUSTED_ROOT` | the trusted root for keyless signatures and timestamps, if `--trusted-root` is not given ([Keyless](../guides/keyless.md#verifying)) |
| `PROVREG_IDENTITY_TOKEN`, `SIGSTORE_ID_TOKEN` | the identity token for `--sign keyless`; the first that is set. Without both, provreg asks the CI service or opens a browser ([Keyless](../guides/keyless.md#signing)) |
| `PROVREG_CACHE`, `PROVREG_STATE`, `PROVREG_CONFIG` | private folders ([State](../format/state.md#private-folders)) |
| `NO_COLOR`, `TERM` | no colors if `NO_COLOR` is set or `TERM` is `dumb` or unset |
| `COLUMNS` | the width of the terminal |
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
    lines = re.sub(r" \\\n +", " ", command.epilog or "").splitlines()
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
    arguments = [
        parameter for parameter in command.params if parameter.param_type_name == "argument"
    ]
    options = [parameter for parameter in command.params
               if parameter.param_type_name != "argument" and parameter.opts[0] not in COMMON[3:]
               and not _is_common(path, parameter)]  # fmt: skip
    shared = [parameter.opts[0] for parameter in command.params if _is_common(path, parameter)]
    shared += [
        parameter.opts[0] for parameter in command.params if parameter.opts[0] in COMMON[3:-1]
    ]
    words = " ".join(("provreg", *path))
    usage = " ".join([words, *(_usage(parameter) for parameter in arguments), "[OPTIONS]"])
    parts = [f"\n## {words}\n", f"```\n{usage}\n```\n", f"{_filled(command.help)}\n"]
    if arguments:
        parts.append(_table("argument", arguments) + "\n")
    panels: dict[str, list[Any]] = {"Options": []}
    for parameter in options:
        panels.setdefault(panel_of(parameter), []).append(parameter)
    parts += [_table(_heading(panel), listed) + "\n" for panel, listed in panels.items() if listed]
    if shared:
        parts.append("Also: " + ", ".join(f"`{name}`" for name in shared) + ".\n")
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
    rows = [
        f"| {_names(parameter)} | {_escaped(parameter.help)}{_default(parameter)} |"
        for parameter in parameters
    ]
    return "\n".join([f"| {what} | |", "|---|---|", *rows])


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_escaped(_usage(parameter))}`"
    metavar = parameter.metavar
    if metavar is None and not parameter.is_flag:
        choices = parameter.type_descriptor.choices
        metavar = "|".join(str(choice.value) for choice in choices) if choices else "TEXT"
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
