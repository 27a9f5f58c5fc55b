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
        Path, typer.Argument(metavar="[DIR]", help="Folder of the new registry.")
    ] = Path(".provreg"),
    *,
    printing: Printing,
) -> None:
    """Create an empty registry in a folder."""
    from provreg.registry import Registry

    output = printing.output()
    Registry.init(folder)
    output.document({"registry": str(folder.resolve())})
    output.line(f"registry ready in {folder.resolve()}")
    output.note("  provreg key generate --out my.key")
    output.note("  provreg ingest DATA --name NAME --source SOURCE --sign key:my.key")
    output.note("  provreg verify NAME --data DATA --key my.key.pub")
