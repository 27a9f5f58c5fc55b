"""What the commands that change a policy file share."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provreg.cli.ui.output import Output
from provreg.core.encoding.text import quoted
from provreg.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from provreg.flows.session.policy_edit import PolicyEdit

DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show the change without writing it.")
]


def policy_in_force(policy: Path | None) -> Path:
    """The file of `--policy`, or of the policy in force; raises NotFoundError without any."""
    from provreg.flows.session.trust import find_policy

    found = find_policy(policy, os.environ, Path.cwd(), ())
    if found is None:
        raise NotFoundError(
            "no policy was found", hint="write one with: provreg policy init --key FILE.pub"
        )
    return found.path


def moment_of(text: str) -> datetime:
    """`now`, a day in UTC, or a time with an offset; raises UsageError."""
    if text == "now":
        return datetime.now(UTC).replace(microsecond=0)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and len(text) == len("2027-01-01"):
            moment = moment.replace(tzinfo=UTC)
        if moment.tzinfo is not None and not moment.microsecond:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise UsageError(
        f"invalid time: {quoted(text)}",
        hint="write a day or a time with an offset: 2027-01-01, 2027-01-01T12:00:00Z, or now",
    )


def apply(edit: PolicyEdit, output: Output, *, dry_run: bool) -> None:
    """Shows a change of a policy, and writes it unless `dry_run`."""
    if not dry_run:
        edit.write()
    lines = edit.lines()
    output.document(
        {
            "policy": str(edit.path),
            "digest": edit.after.digest,
            "written": not dry_run,
            "change": lines,
        }
    )
    for line in lines:
        output.line(f"  {line}")
    output.line(f"{edit.path} {'would be' if dry_run else 'is'} changed ({edit.after.digest})")
    if not dry_run:
        output.note("`provreg policy check` explains it; commit it, or hand it on")
