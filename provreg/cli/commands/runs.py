"""`provreg runs`."""

from __future__ import annotations

from typing import Annotated

import typer

from provreg.cli.ui.options import (
    AlsoOption,
    Opening,
    Printing,
    WhereOption,
)
from provreg.cli.ui.runs import run_to_json, runs_table, warn_unresolved
from provreg.cli.ui.session import open_registry, print_warnings, warn_damaged
from provreg.core.encoding.text import quoted
from provreg.errors import UsageError

EXAMPLES = (
    "provreg runs",
    "provreg runs labeler=mallory",
    "provreg runs source=vendor-b label=cat --json",
    "provreg runs labeler=kim --also /srv/texts/.provreg",
    "provreg runs --where \"labeled_at > '2026-03-01' and labeler = 'mallory'\"",
)

_FIELDS = ("source", "labeler", "label", "split")


def runs(
    conditions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FIELD=VALUE]...",
            help="source, labeler, label or split of received samples.",
        ),
    ] = None,
    where: WhereOption = None,
    also: AlsoOption = None,
    *,
    opening: Opening,
    printing: Printing,
) -> None:
    """List training runs, or those that received certain samples.

    A sample must meet all conditions in a version that the run names; of several values for one
    field, one is enough. The latest run is last. Runs whose receipts the policy does not trust are
    listed too, and marked. A run may have used versions of several registries: name them with
    --also.
    """
    output = printing.output()
    values = _parse_conditions(conditions or [])
    opened = open_registry(opening, output, also=also or ())
    with output.progress("indexing") as progress:
        opened.sync(progress=progress)
    warn_damaged(opened.damaged, output)
    for path in opened.unsigned_receipts():
        output.warn(f"a receipt is not signed yet: `provreg sign receipt:{path} --sign …`")
    from provreg.loaders.selection import Selection

    selected = values or where is not None
    found, unresolved = opened.runs(Selection(**values, where=where).mask if selected else None)
    print_warnings(opened, output)
    warn_unresolved(unresolved, output)
    output.document(
        {
            "runs": [
                run_to_json(exposure.run) | {"chosen": exposure.chosen, "handed": exposure.seen}
                for exposure in found
            ]
        }
    )
    if found:
        runs_table(found, output)
    elif unresolved or (selected and opened.runs()[0]):
        output.line("no run received such a sample")
    else:
        output.line("there are no receipts in this registry yet")
        output.note(
            "`provreg.training_run` in a training script writes one (docs/guides/receipts.md);"
            " a run without a receipt is not listed"
        )


def _parse_conditions(conditions: list[str]) -> dict[str, list[str]]:
    """The values asked for, by field."""
    values: dict[str, list[str]] = {}
    for condition in conditions:
        field, equals, value = condition.partition("=")
        if field not in _FIELDS or not equals:
            raise UsageError(
                f"{quoted(condition)} is not FIELD=VALUE",
                hint=f"fields are {', '.join(_FIELDS)}; --where takes other conditions",
            )
        values.setdefault(field, []).append(value)
    return values
