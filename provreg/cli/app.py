"""The application: its commands, and how failures become messages and exit codes."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_group

from provreg.cli import command_table
from provreg.cli.completion import VARIABLE, print_candidates
from provreg.cli.ui.output import folded, json_text
from provreg.cli.ui.render import error_to_json
from provreg.core.encoding.text import printable, quoted
from provreg.errors import NotTrustedError, ProvregError, StorageError
from provreg.version import __version__

# What a shell reports of a program ended by these signals.
INTERRUPTED = 128 + 2
BROKEN_PIPE = 128 + 13


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"provreg {__version__}")
        raise typer.Exit


def _provreg(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Track where every training sample came from, and refuse data that was tampered with."""


def command_line(first_word: str | None = None) -> TyperGroup:
    """The command line; with `first_word`, only the commands that begin with it."""
    app = typer.Typer(
        name="provreg",
        no_args_is_help=True,
        add_completion=False,
        # Plain help keeps `provreg --help` from loading rich.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_provreg)
    command_table.register(app, first_word)
    return get_group(app)


def run() -> NoReturn:
    """Runs the command line; an expected failure is a message and a hint, never a traceback."""
    as_json = "--json" in sys.argv or "--json-lines" in sys.argv
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot show is shown escaped.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(as_json=as_json)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output went away (`provreg log x | head`). That is no success: a refusal
        # may not have been printed.
        _silence_output()
        code = BROKEN_PIPE
    except OSError as error:
        # A disk that is full when we print, a current folder that is gone.
        _silence_output()
        name = "" if error.filename is None else f" {quoted(str(error.filename))}"
        code = _report(StorageError(f"{error.strerror or error}{name}"), as_json=False)
    if code == INTERRUPTED:
        _print_error(_interrupted(sys.argv[1:2]), "")
    sys.exit(code)


def _run(*, as_json: bool) -> int:
    words = sys.argv[1:]
    if shell := os.environ.get(VARIABLE):
        print_candidates(shell, words, os.environ, command_line)
        return 0
    command = command_line(words[0] if words else "")
    try:
        # Not `app()`, which exits with code 1 when the reader of our output went away.
        with command.make_context("provreg", words) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except ProvregError as error:
        return _report(error, as_json=as_json)
    except typer.TyperException as error:
        return _report_usage(error, as_json=as_json)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return 0


def _interrupted(command: list[str]) -> str:
    if command in (["ingest"], ["sign"]):
        return "interrupted; `provreg log` shows whether a version was published"
    return "interrupted"


def _silence_output() -> None:
    """Discards buffered output, which the interpreter would otherwise fail to flush at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: ProvregError, *, as_json: bool) -> int:
    if as_json:
        print(json_text({"error": error_to_json(error), "exit_code": error.exit_code}))
    else:
        step = f"step {error.step}: " if isinstance(error, NotTrustedError) and error.step else ""
        _print_error(f"{step}{error.message}", error.hint)
    return error.exit_code


def _report_usage(error: typer.TyperException, *, as_json: bool) -> int:
    message = error.format_message()
    context: typer.Context | None = getattr(error, "ctx", None)
    command = "provreg" if context is None else context.command_path
    hint = f"`{command} --help` shows its usage"
    if command == "provreg" and message.startswith("No such option"):
        hint = "write options after the command: `provreg verify REF --json`"
    if message.startswith("Usage: "):
        # A group of commands without a command: its help is the answer.
        if not as_json:
            print(message, file=sys.stderr)
            return error.exit_code
        message = f"{command} needs a subcommand"
    if as_json:
        fields = {"kind": "usage", "message": message, "hint": hint}
        print(json_text({"error": fields, "exit_code": error.exit_code}))
    else:
        _print_error(message, hint)
    return error.exit_code


def _print_error(message: str, hint: str) -> None:
    print(folded(f"provreg: {printable(message)}", sys.stderr), file=sys.stderr)
    if hint:
        print(folded(f"  {printable(hint)}", sys.stderr), file=sys.stderr)
