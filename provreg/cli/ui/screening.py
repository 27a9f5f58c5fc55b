"""The options of a screening, and its findings as people and machines read them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.ui.options import time_of
from provreg.cli.ui.output import Output
from provreg.cli.ui.render import when
from provreg.cli.ui.session import warn_damaged, warn_untrusted
from provreg.errors import UsageError

if TYPE_CHECKING:
    from provreg.flows.screen.acceptances import Accepted
    from provreg.flows.screen.screen import Screening
    from provreg.registry import Registry
    from provreg.screening.api import Finding

# So many digits of a finding's digest are shown: enough to tell all findings apart.
_SHOWN_DIGITS = 12


class By(StrEnum):
    """What samples are put together by."""

    LABELER = "labeler"
    SOURCE = "source"
    DELIVERY = "delivery"
    VERSION = "version"
    SIGNER = "signer"


@dataclass(frozen=True, slots=True)
class ScreeningOptions:
    """What is looked at, and how."""

    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="REF",
            help="Look only at changes after this version. Default: at all of the history.",
        ),
    ] = None
    by: Annotated[
        list[By] | None,
        typer.Option("--by", help="Group by this. Repeatable. Default: what each check does."),
    ] = None
    check: Annotated[
        list[str] | None,
        typer.Option("--check", metavar="NAME", help="Run only this check. Repeatable."),
    ] = None
    split_at: Annotated[
        str | None,
        typer.Option(
            "--split-at",
            metavar="TIME",
            help="Divides time into training and test, such as 2026-01-01T00:00:00Z.",
        ),
    ] = None
    gold: Annotated[
        Path | None,
        typer.Option(
            "--gold", metavar="FILE", help="Labels file of samples whose true label is known."
        ),
    ] = None
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="With --phash, --minhash: the data. Repeatable; kept hashes suffice.",
        ),
    ] = None
    phash: Annotated[
        bool, typer.Option("--phash", help="Compare pictures by perceptual hashes.")
    ] = False
    minhash: Annotated[
        bool, typer.Option("--minhash", help="Compare texts, and the texts of rows, by MinHash.")
    ] = False

    @property
    def outside(self) -> tuple[Path, ...]:
        """The data folders."""
        return tuple(self.data or ())


def screened(opened: Registry, ref: str, options: ScreeningOptions, output: Output) -> Screening:
    """The version `ref` screened, with warnings about what was passed over."""
    with output.progress("screening") as progress:
        found = opened.screen(
            ref,
            options.against,
            by=[grouping.value for grouping in options.by or ()],
            checks=options.check or (),
            split_at=time_of("--split-at", options.split_at),
            gold=options.gold,
            pictures=options.outside if options.phash else None,
            texts=options.outside if options.minhash else None,
            progress=progress,
        )
    warn_damaged(opened.damaged, output)
    warn_untrusted([found.version], output)
    for finding in found.findings:
        why = found.uncounted.get(finding.digest or "")
        if why is not None:
            name = f"{finding.check} {short_digest(finding)}"
            output.warn(f"an acceptance of {name} does not count: {why}")
    return found


def check_options(options: ScreeningOptions) -> None:
    """Raises UsageError for options that need others."""
    if options.data and not (options.phash or options.minhash):
        raise UsageError(
            "--data is for --phash and --minhash",
            hint="add --phash to compare the pictures, --minhash to compare the texts",
        )


def print_finding(finding: Finding, output: Output) -> None:
    """A finding, and a line for each fact of it."""
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
    if finding.digest is not None:
        output.line(f"finding: {short_digest(finding)}")


def print_accepted(finding: Finding, accepted: Accepted, output: Output) -> None:
    """An accepted finding, who accepted it, when and why."""
    acceptance = accepted.acceptance
    output.line(f"accepted [{finding.check}] {finding.seen}")
    output.line(
        f"by {', '.join(accepted.by)} on {acceptance.created:%Y-%m-%d}, in version"
        f" {acceptance.version}: {acceptance.reason}"
    )
    output.line(f"finding: {short_digest(finding)}")


def short_digest(finding: Finding) -> str:
    """The beginning of a finding's digest: what `provreg accept` takes."""
    return (finding.digest or "").removeprefix("sha256:")[:_SHOWN_DIGITS]


def finding_to_json(finding: Finding) -> dict[str, Any]:
    """A finding as `schemas/output/screen.v1.json` has it."""
    effect = None if finding.effect is None else asdict(finding.effect)
    return {
        "finding": finding.digest,
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


def accepted_to_json(finding: Finding, accepted: Accepted) -> dict[str, Any]:
    """An accepted finding, with its acceptance."""
    return {**finding_to_json(finding), "acceptance": acceptance_to_json(accepted)}


def acceptance_to_json(accepted: Accepted) -> dict[str, Any]:
    """Who accepted, when, in which version and why."""
    acceptance = accepted.acceptance
    return {
        "by": accepted.by,
        "version": acceptance.version,
        "head": acceptance.head,
        "created": when(acceptance.created),
        "reason": acceptance.reason,
    }


def _rounded(value: object) -> object:
    """Six significant digits: more of them differ between builds of numpy."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
