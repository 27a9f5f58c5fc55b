"""`provreg check`."""

from __future__ import annotations

from typing import Annotated

import typer

from provreg.cli.ui.options import (
    Opening,
    Printing,
)
from provreg.cli.ui.session import open_registry, print_warnings
from provreg.errors import DamagedError

EXAMPLES = (
    "provreg check",
    "provreg check --index",
)


def check(
    index: Annotated[
        bool, typer.Option("--index", help="Check your private index instead.")
    ] = False,
    *,
    opening: Opening,
    printing: Printing,
) -> None:
    """Read all objects again and report damage."""
    output = printing.output()
    opened = open_registry(opening, output)
    with output.progress("checking versions") as progress:
        problems = list(opened.check(index=index, progress=progress))
    print_warnings(opened, output)
    output.document(
        {"problems": [{"where": problem.where, "what": problem.what} for problem in problems]}
    )
    if problems:
        output.table(
            ("where", "problem"),
            [(problem.where, problem.what) for problem in problems],
            whole=("where",),
        )
        raise typer.Exit(DamagedError.exit_code)
    output.line("the index agrees with the objects" if index else "no damage found")
