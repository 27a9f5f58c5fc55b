"""`provreg screen`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.ui.options import Opening, Printing
from provreg.cli.ui.output import Output
from provreg.cli.ui.render import when
from provreg.cli.ui.session import open_registry, warn_damaged, warn_untrusted
from provreg.core.encoding.text import counted
from provreg.errors import UsageError

if TYPE_CHECKING:
    from provreg.flows.screen.screen import Screening
    from provreg.screening.api import Finding

EXAMPLES = (
    "provreg screen cifar10",
    "provreg screen cifar10@10 --against cifar10@9 --fail-on warning",
    "provreg screen cifar10 --by labeler --by version --check relabels",
    "provreg screen cifar10 --data train/ --phash",
    "provreg screen photos --check annotators --gold gold.csv",
    "provreg screen events --split-at 2026-01-01T00:00:00Z --json",
)
_LISTED = 10


class By(StrEnum):
    """What samples are put together by."""

    LABELER = "labeler"
    SOURCE = "source"
    DELIVERY = "delivery"
    VERSION = "version"
    SIGNER = "signer"


class Least(StrEnum):
    """The least severity of findings that fail."""

    WARNING = "warning"
    ERROR = "error"


def screen(
    ref: Annotated[str, typer.Argument(metavar="REF", help="A version: name, name@3 …")],
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="REF",
            help="Look only at changes after this version. Default: at all of the history.",
        ),
    ] = None,
    by: Annotated[
        list[By] | None,
        typer.Option("--by", help="Group by this. Repeatable. Default: what each check does."),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option("--check", metavar="NAME", help="Run only this check. Repeatable."),
    ] = None,
    split_at: Annotated[
        str | None,
        typer.Option(
            "--split-at",
            metavar="TIME",
            help="Divides time into training and test, such as 2026-01-01T00:00:00Z.",
        ),
    ] = None,
    gold: Annotated[
        Path | None,
        typer.Option(
            "--gold", metavar="FILE", help="Labels file of samples whose true label is known."
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="With --phash: the data. Repeatable; kept hashes suffice.",
        ),
    ] = None,
    phash: Annotated[
        bool, typer.Option("--phash", help="Compare pictures by perceptual hashes.")
    ] = False,
    fail_on: Annotated[
        Least | None,
        typer.Option("--fail-on", help="Exit with 1 if a finding is at least this severe."),
    ] = None,
    *,
    opening: Opening,
    printing: Printing,
) -> None:
    """Look for labelers, sources and samples that stand out.

    Each finding says what was seen, what was expected, how likely that is by chance, what else
    could explain it, and how to look at the samples. An error is exact or far beyond chance, a
    warning more than honest differences explain, a note all else. Findings point, they prove
    nothing and change no trust (docs/reference/screening.md).

    Untrusted versions are screened too. With --against, nightly runs look at what came since.
    """
    from provreg.screening.api import Severity

    output = printing.output()
    if data and not phash:
        raise UsageError("--data is for --phash", hint="add --phash to compare the pictures")
    opened = open_registry(opening, output, outside=tuple(data or ()))
    with output.progress("screening") as progress:
        found = opened.screen(
            ref,
            against,
            by=[grouping.value for grouping in by or ()],
            checks=check or (),
            split_at=_moment(split_at),
            gold=gold,
            pictures=(data or ()) if phash else None,
            progress=progress,
        )
    warn_damaged(opened.damaged, output)
    warn_untrusted([found.version], output)
    output.document(_to_json(found))
    _print(found, output)
    if fail_on is not None and found.above(Severity(fail_on.value)):
        raise typer.Exit(1)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            "--split-at requires a time", hint="such as 2026-01-01T00:00:00Z"
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _print(found: Screening, output: Output) -> None:
    from provreg.screening.api import Severity

    counts = ", ".join(counted(found.count(severity), severity) for severity in reversed(Severity))
    head, base = found.version.head, found.base.head
    since = f" since @{base.version}" if base.version < head.version else ""
    output.line(
        f"{head.dataset}@{head.version}{since}: {counted(len(found.checks), 'check')}, {counts}"
    )
    notes = 0
    for finding in found.findings:
        if finding.severity is Severity.NOTE:
            notes += 1
            if notes > _LISTED and not output.verbose:
                continue
        _print_finding(finding, output)
    if notes > _LISTED and not output.verbose:
        output.line(f"… and {counted(notes - _LISTED, 'more note')} (-v lists all)")


def _print_finding(finding: Finding, output: Output) -> None:
    output.line()
    output.line(f"{finding.severity.upper()} [{finding.check}] {finding.seen}")
    output.line(f"expected: {finding.expected}")
    effect = finding.effect
    if effect is not None:
        output.line(
            f"effect: {effect.ratio:.1f} times ({effect.lower:.1f} to {effect.upper:.1f}),"
            f" p {effect.p:.1g}, q {effect.q:.1g} among {effect.tests:,} ({effect.family})"
        )
    output.line(f"could also be: {finding.explanations}")
    output.value(f"look: {finding.samples.look}")


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
        "findings": [_finding_to_json(finding) for finding in found.findings],
    }


def _finding_to_json(finding: Finding) -> dict[str, Any]:
    effect = None if finding.effect is None else asdict(finding.effect)
    return {
        "check": finding.check,
        "severity": finding.severity.value,
        "group": dict(finding.group),
        "seen": finding.seen,
        "expected": finding.expected,
        "effect": effect and {name: _rounded(value) for name, value in effect.items()},
        "samples": finding.count,
        "ids": list(finding.ids),
        "where": finding.samples.where,
        "view": finding.samples.view,
        "look": finding.samples.look,
        "explanations": finding.explanations,
        "standards": list(finding.standards),
    }


def _rounded(value: object) -> object:
    """Six significant digits: more of them differ between builds of numpy."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
