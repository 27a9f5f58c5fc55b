"""`provreg init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provreg.cli.options import JsonOption
from provreg.cli.output import Output


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where the registry is to lie.")
    ] = Path(".provreg"),
    json: JsonOption = False,
) -> None:
    """Make an empty registry in a folder."""
    from provreg.registry import Registry

    output = Output(json=json)
    Registry.init(folder)
    output.document({"registry": str(folder.resolve())})
    output.line(f"A registry is in {folder.resolve()}. Next:")
    output.line("  provreg key generate --out my.key")
    output.line("  provreg ingest DATA --name NAME --source WHERE-FROM --sign key:my.key")
    output.line("  provreg verify NAME --data DATA --key my.key.pub")
