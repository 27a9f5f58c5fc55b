"""`provreg sql`."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from provreg.cli.ui.options import (
    Opening,
    Printing,
)
from provreg.cli.ui.render import when
from provreg.cli.ui.session import open_registry, print_warnings, warn_damaged

EXAMPLES = (
    'provreg sql "select dataset, version, samples, trusted from versions"',
    "provreg sql --json \"select id, label from entries where labeler = 'mallory'\"",
)


def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="One SELECT statement.")],
    *,
    opening: Opening,
    printing: Printing,
) -> None:
    """Query the index with SQL, read-only.

    The tables are versions, entries and changes (docs/reference/sql.md).
    """
    output = printing.output()
    opened = open_registry(opening, output)
    with output.progress("indexing") as progress:
        columns, rows = opened.sql(query, progress=progress)
    warn_damaged(opened.damaged, output)
    print_warnings(opened, output)
    answer = ([_plain(cell) for cell in row] for row in rows)
    if output.json:
        output.stream({"columns": columns}, "rows", answer)
    else:
        output.table(columns, list(answer), whole=columns)


def _plain(cell: Any) -> Any:
    from datetime import datetime

    # JSON has no number for infinity or NaN: they become texts below.
    finite = not isinstance(cell, float) or math.isfinite(cell)
    if cell is None or (isinstance(cell, bool | int | float | str) and finite):
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
