"""`provreg verify`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.options import (
    JsonOption,
    KeyOption,
    PolicyOption,
    QuietOption,
    ReferenceArgument,
    RegistryOption,
    VerboseOption,
)
from provreg.cli.output import Output
from provreg.cli.session import open_registry
from provreg.errors import NotTrustedError

if TYPE_CHECKING:
    from provreg.core.finding import Finding
    from provreg.flows.verify import Step, VerifiedVersion

_SHOWN = 20


def verify(
    reference: ReferenceArgument,
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", help="Check every sample of this folder or table too. Repeatable."),
    ] = None,
    registry: RegistryOption = None,
    policy: PolicyOption = None,
    key: KeyOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Verify a version, and with --data every sample's bytes, in the steps of docs/verification.md.

    Exit code 4 when anything is not as signed; the message says which step refused.
    """
    output = Output(json=json, quiet=quiet, verbose=verbose)
    paths = tuple(data or ())
    opened = open_registry(registry, policy=policy, key=key, outside=paths, output=output)
    steps: list[Step] = []

    def on_step(step: Step) -> None:
        steps.append(step)
        if verbose:
            output.line(f"{'ok' if step.ok else 'NO':2} {step.number:2} {step.name}: {step.detail}")

    try:
        with output.progress("checking samples") as progress:
            version = opened.verify(reference, data=paths, on_step=on_step, progress=progress)
    except NotTrustedError as error:
        if not json:
            _list(error.findings, output)
            raise
        output.document(_document(reference, steps, error.findings))
        raise typer.Exit(error.exit_code) from None
    for warning in opened.warnings:
        output.warn(warning)
    for skipped in version.skipped:
        output.warn(f"bundle {skipped.bundle} is not counted (step {skipped.step}): "
                    f"{skipped.reason}")  # fmt: skip
    if version.first_use:
        output.warn(
            f"neither a pin nor an earlier use vouches for the history of {version.head.dataset}:"
            f" `provreg pin {version.reference}` settles on it"
        )
    output.document(_document(version.reference, steps, ()) | {"because": version.verdict.reason})
    _say(version, opened.require_trust().origin, paths, output)


def _say(version: VerifiedVersion, origin: str, data: tuple[Path, ...], output: Output) -> None:
    head = version.head
    what = f"its list of {head.samples:,} samples is as signed"
    if data:
        where = ", ".join(str(path) for path in data)
        what = f"all {head.samples:,} samples in {where} are as signed"
    output.line(f"{version.reference} is verified: {what}")
    output.line(f"  trusted because {version.verdict.reason}")
    output.line(f"  by {origin}")


def _document(reference: str, steps: list[Step], findings: tuple[Finding, ...]) -> dict[str, Any]:
    return {
        "ref": reference,
        "verified": all(step.ok for step in steps),
        "steps": [
            {"step": step.number, "name": step.name, "ok": step.ok, "detail": step.detail}
            for step in steps
        ],
        "findings": [finding.to_json() for finding in findings],
    }


def _list(findings: tuple[Finding, ...], output: Output) -> None:
    """The findings, a table a kind; of very many the first ones, with how to get all."""
    counts = Counter(finding.kind for finding in findings)
    for kind, count in counts.items():
        output.line(f"{kind}: {count:,}")
        shown = [finding for finding in findings if finding.kind == kind]
        if not output.verbose:
            shown = shown[:_SHOWN]
        output.table(
            ("id", "expected", "found", "now at", "source", "labeler"),
            [(f.id, f.expected, f.found, f.found_id, f.source, f.labeler) for f in shown],
        )
        if len(shown) < count:
            output.line(f"  … and {count - len(shown):,} more (-v or --json lists all)")
