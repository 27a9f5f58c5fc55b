"""`provreg init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provreg.cli.ui.options import (
    Printing,
)

EXAMPLES = (
    "provreg init",
    "provreg init /srv/registry",
)


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where the registry is to lie.")
    ] = Path(".provreg"),
    *,
    printing: Printing,
) -> None:
    """Make an empty registry in a folder."""
    from provreg.registry import Registry

    output = printing.output()
    Registry.init(folder)
    output.document({"registry": str(folder.resolve())})
    output.line(f"{folder.resolve()} is a registry")
    output.note("  provreg key generate --out my.key")
    output.note("  provreg ingest DATA --name NAME --source WHERE-FROM --sign key:my.key")
    output.note("  provreg verify NAME --data DATA --key my.key.pub")
