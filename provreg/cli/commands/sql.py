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
from provreg.errors import UsageError

EXAMPLES = (
    'provreg sql "select dataset, version, samples, trusted from versions"',
    "provreg sql --json \"select id, label from entries where labeler = 'mallory'\"",
    "provreg sql --csv \"select id, 'fay.miller' as labeler from entries where labeler = 'fay'\"",
    "provreg sql --json-lines \"select id, 'cat' as label from entries where label = 'Cat'\"",
)


def sql(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="One SELECT statement, or one PIVOT.")
    ],
    csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV (RFC 4180), as for `ingest --labels`.")
    ] = False,
    json_lines: Annotated[
        bool,
        typer.Option(
            "--json-lines", help="Print an object per row and line, as for `ingest --labels`."
        ),
    ] = False,
    *,
    opening: Opening,
    printing: Printing,
) -> None:
    """Query the index with SQL, read-only.

    The tables are versions, entries, changes, signatures, revocations, runs, models and trained
    (docs/reference/sql.md).
    """
    if csv + json_lines + printing.json > 1:
        raise UsageError("--csv, --json and --json-lines exclude each other", hint="pass one")
    output = printing.output()
    opened = open_registry(opening, output)
    with output.progress("indexing") as progress:
        answer = opened.sql(query, progress=progress)
    warn_damaged(opened.damaged, output)
    print_warnings(opened, output)
    if json_lines:
        output.objects(_plain(row) for row in answer.objects())
        return
    rows = ([_plain(cell) for cell in row] for row in answer.rows)
    if csv:
        output.csv(answer.columns, rows)
    elif output.json:
        output.stream({"columns": answer.columns}, "rows", rows)
    else:
        output.table(answer.columns, list(rows), whole=answer.columns)


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
