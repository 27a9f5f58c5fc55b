"""`provreg screen`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.ui.options import Opening, Printing
from provreg.cli.ui.output import Output
from provreg.cli.ui.render import when
from provreg.cli.ui.screening import (
    ScreeningOptions,
    accepted_to_json,
    check_options,
    finding_to_json,
    print_accepted,
    print_finding,
    screened,
)
from provreg.cli.ui.session import open_registry
from provreg.core.encoding.text import counted

if TYPE_CHECKING:
    from provreg.flows.screen.screen import Screening

EXAMPLES = (
    "provreg screen cifar10",
    "provreg screen cifar10@10 --against cifar10@9 --fail-on warning",
    "provreg screen cifar10 --by labeler --by version --check relabels",
    "provreg screen cifar10 --data train/ --phash",
    "provreg screen reviews --data reviews.jsonl --minhash",
    "provreg screen photos --check annotators --gold gold.csv",
    "provreg screen events --split-at 2026-01-01T00:00:00Z --json",
)
_LISTED = 10


class Least(StrEnum):
    """The least severity of findings that fail."""

    WARNING = "warning"
    ERROR = "error"


def screen(
    ref: Annotated[str, typer.Argument(metavar="REF", help="A version: name, name@3 …")],
    fail_on: Annotated[
        Least | None,
        typer.Option("--fail-on", help="Exit with 1 if a finding is at least this severe."),
    ] = None,
    *,
    options: ScreeningOptions,
    opening: Opening,
    printing: Printing,
) -> None:
    """Look for labelers, sources and samples that stand out.

    Each finding says what was seen, what was expected, how likely that is by chance, what else
    could explain it, and how to look at the samples. An error is exact or far beyond chance, a
    warning more than honest differences explain, a note all else. Findings point, they prove
    nothing and change no trust (docs/reference/screening.md). Those that were accepted are listed
    apart.

    Untrusted versions are screened too. With --against, nightly runs look at what came since.
    """
    from provreg.screening.api import Severity

    output = printing.output()
    check_options(options)
    opened = open_registry(opening, output, outside=options.outside)
    found = screened(opened, ref, options, output)
    output.document(_to_json(found))
    _print(found, output)
    if fail_on is not None and found.above(Severity(fail_on.value)):
        raise typer.Exit(1)


def _print(found: Screening, output: Output) -> None:
    from provreg.screening.api import Severity

    counts = ", ".join(counted(found.count(severity), severity) for severity in reversed(Severity))
    head, base = found.version.head, found.base.head
    since = f" since @{base.version}" if base.version < head.version else ""
    if found.accepted:
        counts += f", {len(found.accepted):,} accepted"
    output.line(
        f"{head.dataset}@{head.version}{since}: {counted(len(found.checks), 'check')}, {counts}"
    )
    notes = 0
    for finding in found.findings:
        if finding.severity is Severity.NOTE:
            notes += 1
            if notes > _LISTED and not output.verbose:
                continue
        output.line()
        print_finding(finding, output)
    if notes > _LISTED and not output.verbose:
        output.line(f"… and {counted(notes - _LISTED, 'more note')} (-v lists all)")
    for finding, accepted in found.accepted:
        output.line()
        print_accepted(finding, accepted, output)


def _to_json(found: Screening) -> dict[str, Any]:
    head = found.version.head
    return {
        "dataset": head.dataset,
        "version": head.version,
        "head": found.version.digest,
        "base": found.base.head.version,
        "trusted": found.version.trusted_because is not None,
        "created": when(head.created),
        "by": list(found.by),
        "checks": list(found.checks),
        "findings": [finding_to_json(finding) for finding in found.findings],
        "accepted": [accepted_to_json(finding, accepted) for finding, accepted in found.accepted],
    }
