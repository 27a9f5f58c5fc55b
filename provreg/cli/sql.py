"""`provreg sql`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from provreg.cli.options import JsonOption, KeyOption, PolicyOption, RegistryOption
from provreg.cli.output import Output
from provreg.cli.render import when
from provreg.cli.session import open_registry, say_damage


def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="One SELECT.")],
    registry: RegistryOption = None,
    policy: PolicyOption = None,
    key: KeyOption = None,
    json: JsonOption = False,
) -> None:
    """Ask the index in SQL: tables versions, entries, changes (docs/sql.md). Read-only."""
    output = Output(json=json)
    opened = open_registry(registry, policy=policy, key=key, output=output)
    with output.progress("indexing") as progress:
        say_damage(opened.sync(progress=progress), output)
    columns, rows = opened.sql(query)
    output.document({"columns": columns, "rows": [[_plain(cell) for cell in row] for row in rows]})
    output.table(columns, [[_plain(cell) for cell in row] for row in rows])


def _plain(cell: Any) -> Any:
    from datetime import datetime

    if cell is None or isinstance(cell, bool | int | float | str):
        return cell
    if isinstance(cell, datetime):
        return when(cell)
    if isinstance(cell, bytes):
        return cell.hex()
    if isinstance(cell, list):
        return [_plain(item) for item in cell]
    if isinstance(cell, dict):
        return {str(name): _plain(item) for name, item in cell.items()}
    return str(cell)
