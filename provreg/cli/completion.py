"""Candidates for the word at the cursor, which the scripts of `provreg completion` ask for.

A script calls `provreg` with the words up to the cursor, the last of which is incomplete. It gets a
candidate a line, followed by a tab and a description, and directives, which begin with a colon. No
entry and no signature is read, and nothing from the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from provreg.cli.command_table import SUMMARIES

# Set by the scripts, to the name of the shell.
VARIABLE = "_PROVREG_COMPLETE"
# Directives: complete names of files too; add no blank, the word goes on.
FILES, NO_SPACE = ":files", ":nospace"
_FILES = frozenset({"FILE", "DIR", "PATH"})


# The command line with the commands that begin with a word.
CommandLine = Callable[[str], Any]


def print_candidates(
    shell: str, arguments: Sequence[str], environ: Mapping[str, str], command_line: CommandLine
) -> None:
    """Prints the candidates for the last of `arguments`, or of the line that Bash passes.

    Bash splits words not only at blanks (`pets`, `@3`) and wants what follows the last split.
    """
    words, breaks = list(arguments), ""
    if shell == "bash":
        point = environ.get("COMP_POINT", "")
        line = environ.get("COMP_LINE", "")
        # Bash counts bytes.
        typed = line.encode()[: int(point) if point.isdecimal() else None].decode(errors="ignore")
        words, breaks = _split(typed)[1:], environ.get("COMP_WORDBREAKS", "")
    if not words:
        return
    *before, current = words
    # An at sign belongs to what follows it.
    cut = max((current.rfind(sign) + (sign != "@") for sign in breaks), default=-1)
    cut = max(cut, 0)
    for candidate in candidates(before, current, command_line):
        print(candidate if candidate in {FILES, NO_SPACE} else candidate[cut:])


def candidates(words: Sequence[str], current: str, command_line: CommandLine) -> Iterator[str]:
    """The candidates for `current`, which follows `words`, all of them without `provreg`."""
    path, rest = list[str](), list(words)
    while rest and " ".join(path) not in SUMMARIES:
        path.append(rest.pop(0))
    if " ".join(path) in SUMMARIES:
        command = command_line(path[0])
        for word in path:
            command = command.commands[word]
        yield from _of_command(command, rest, current)
        return
    prefix = "".join(f"{word} " for word in path)
    following: dict[str, str | None] = {}
    for name, summary in SUMMARIES.items():
        if name.startswith(prefix):
            word, _, subcommand = name.removeprefix(prefix).partition(" ")
            following[word] = None if subcommand else summary
    yield from _matching(following | ({} if path else _GLOBAL), current)


_GLOBAL = {"--help": "Show all commands.", "--version": "Show the version."}


def _of_command(command: Any, words: Sequence[str], current: str) -> Iterator[str]:
    """The candidates after the `words` that follow `command`."""
    options = {
        text: parameter
        for parameter in command.params
        if parameter.param_type_name == "option"
        for text in parameter.opts
    }
    option = options.get(words[-1]) if words else None
    registry = _value_of("--registry", words)
    if option is not None and not option.is_flag:
        yield from _values(option, current, registry)
    elif current.startswith("--") and "=" in current:
        text, _, value = current.partition("=")
        for candidate in _values(options.get(text), value, registry):
            yield candidate if candidate in {FILES, NO_SPACE} else f"{text}={candidate}"
    elif current.startswith("-"):
        yield from _matching({text: option.help for text, option in options.items()}, current)
    else:
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        place = _count_arguments(words, options)
        if place >= len(arguments) and arguments and arguments[-1].nargs == -1:
            place = len(arguments) - 1
        if place < len(arguments):
            yield from _values(arguments[place], current, registry)


def _values(parameter: Any, current: str, registry: str | None) -> Iterator[str]:
    """The candidates for the value of an option or argument."""
    if parameter is None:
        return
    metavar = parameter.metavar or ""
    # `REF|model:PATH`: words that are values, and words whose value follows a colon.
    words = re.findall(r"[A-Za-z]+:?", metavar)
    choices = getattr(parameter.type_descriptor, "choices", None)
    if choices:
        yield from _matching(dict.fromkeys(getattr(one, "value", one) for one in choices), current)
    elif current.partition(":")[0] + ":" in words:
        yield FILES
    elif metavar.startswith("key:"):
        yield from _matching(dict.fromkeys(("keyless", "none", "key:")), current)
        yield NO_SPACE
    elif not {"REF", "OLD", "NEW"}.isdisjoint(words):
        yield from _matching(dict.fromkeys(_references(registry, current)), current)
        yield NO_SPACE
    elif parameter.name == "name" and "NAME" in metavar:
        yield from _matching(
            dict.fromkeys(_references(registry, current.partition("@")[0])), current
        )
    if not _FILES.isdisjoint(metavar.strip("[]…").split("|")):
        yield FILES


def _references(registry: str | None, current: str) -> list[str]:
    from provreg.flows.session.references import references

    return references(None if registry is None else Path(registry), current)


def _matching(descriptions: Mapping[str, str | None], current: str) -> Iterator[str]:
    for value, description in descriptions.items():
        if value.startswith(current):
            yield f"{value}\t{description}" if description else value


def _value_of(option: str, words: Sequence[str]) -> str | None:
    """The last value of `option` in `words`, None without any."""
    found = None
    for place, word in enumerate(words):
        if word == option and place + 1 < len(words):
            found = words[place + 1]
        elif word.startswith(f"{option}="):
            found = word.partition("=")[2]
    return found


def _count_arguments(words: Iterable[str], options: Mapping[str, Any]) -> int:
    """How many of `words` are arguments: neither options nor their values."""
    count, is_value = 0, False
    for word in words:
        option = options.get(word)
        if not is_value and not word.startswith("-"):
            count += 1
        is_value = not is_value and option is not None and not option.is_flag
    return count


def _split(line: str) -> list[str]:
    """The words of an incomplete command line, the last of them unfinished, perhaps empty."""
    import shlex

    for end in ("", "'", '"'):
        try:
            words = shlex.split(line + end)
        except ValueError:  # a quote that is still open
            continue
        return [*words, ""] if not end and line[-1:].isspace() else words
    return []
