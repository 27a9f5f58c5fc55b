"""The application: its commands, and how failures become messages and exit codes."""

from __future__ import annotations

import json
import sys
from typing import NoReturn

import typer

from provreg.cli import commands
from provreg.core.text import printable
from provreg.errors import NotTrustedError, ProvregError

app = typer.Typer(
    name="provreg",
    help="Know where every training sample came from, and refuse what was touched.",
    no_args_is_help=True,
    add_completion=False,
    # Plain help keeps `provreg --help` from loading rich.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
commands.register(app)


def run() -> NoReturn:
    """Runs the command line; expected failures are one line and what to do, never a traceback."""
    as_json = "--json" in sys.argv
    try:
        code = app(standalone_mode=False)
    except ProvregError as error:
        _report(error, as_json=as_json)
        code = error.exit_code
    except typer.TyperException as error:
        code = _report_usage(error, as_json=as_json)
    except (typer.Abort, KeyboardInterrupt):
        print("stopped; nothing was published", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        # The reader of our output went away (`provreg log | head`): nothing to say to anyone.
        sys.stderr.close()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _report(error: ProvregError, *, as_json: bool) -> None:
    if not as_json:
        step = f"step {error.step}: " if isinstance(error, NotTrustedError) and error.step else ""
        print(f"provreg: {step}{printable(error.message)}", file=sys.stderr)
        if error.hint:
            print(f"  {printable(error.hint)}", file=sys.stderr)
        return
    fields: dict[str, object] = {"kind": error.kind, "message": error.message}
    if error.hint:
        fields["hint"] = error.hint
    if error.sample is not None:
        fields["sample"] = error.sample
    if isinstance(error, NotTrustedError):
        fields["step"] = error.step
        if error.findings:
            fields["findings"] = [finding.to_json() for finding in error.findings]
    print(json.dumps({"error": fields, "exit_code": error.exit_code}, ensure_ascii=False))


def _report_usage(error: typer.TyperException, *, as_json: bool) -> int:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    code = getattr(error, "exit_code", 2)
    if as_json:
        fields = {"kind": "usage", "message": message}
        print(json.dumps({"error": fields, "exit_code": code}, ensure_ascii=False))
    else:
        print(f"provreg: {printable(message)}", file=sys.stderr)
        print("  `provreg --help` shows the commands", file=sys.stderr)
    return code if isinstance(code, int) else 2
