"""`provreg verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.ui.fetching import Refetching, refetch
from provreg.cli.ui.findings import list_findings
from provreg.cli.ui.models import model_path, verify_model
from provreg.cli.ui.options import (
    TRUST,
    AlsoOption,
    DataOption,
    ModelArgument,
    Opening,
    Printing,
    Root,
)
from provreg.cli.ui.output import Output
from provreg.cli.ui.render import error_to_json
from provreg.cli.ui.session import open_registry, print_warnings
from provreg.core.encoding.text import counted
from provreg.errors import NotTrustedError, UsageError

if TYPE_CHECKING:
    from provreg.flows.verify.steps import Step, VerifiedVersion
    from provreg.registry import Registry

EXAMPLES = (
    "provreg verify cifar10 --data train/",
    "provreg verify cifar10@3 --key alice.key.pub -v",
    "provreg verify laion --refetch --refetch-sample 1000 --fetch-limit 20",
    "provreg verify scans --refetch --fetch-from-private",
    "provreg verify cifar10 --identity ann@example.org --issuer https://id.example.org",
    "provreg verify model:out/ --policy policy.toml",
    "provreg verify model:out/ --also /srv/texts/.provreg",
    "provreg verify trial --policy policy.toml --staging",
    "provreg verify trial --policy policy.toml --trusted-root root.json",
)


def verify(
    reference: ModelArgument,
    data: DataOption = None,
    also: AlsoOption = None,
    *,
    refetching: Refetching,
    identity: Annotated[
        str | None,
        typer.Option(
            "--identity",
            metavar="TEXT",
            rich_help_panel=TRUST,
            help="Trust only this identity, with --issuer.",
        ),
    ] = None,
    issuer: Annotated[
        str | None,
        typer.Option(
            "--issuer", metavar="URL", rich_help_panel=TRUST, help="Issuer of --identity."
        ),
    ] = None,
    opening: Opening,
    root: Root,
    printing: Printing,
) -> None:
    """Verify a version, its data (--data), or a model.

    The steps are those of docs/concepts/verification.md. If anything differs from the signed
    version, the exit code is 4, and the message names the step that refused.

    A model (a file or a folder) is verified by the receipt of its training run: its files must be
    the recorded ones, and the versions it was trained on must still be trusted. With --also, these
    may be in several registries.

    With --refetch, every sample is downloaded from its URL again and compared: exit code 4 if a URL
    delivers other content, 6 if a server did not answer, 3 if samples are only gone.
    """
    output = printing.output()
    model = model_path(reference)
    if model is not None and (data or refetching.refetch):
        raise UsageError("--data and --refetch require a version, not a model")
    if model is None and also:
        raise UsageError("--also requires a model", hint="name it as model:PATH")
    paths = (*(data or ()), *(() if model is None else (model,)))
    opened = open_registry(
        opening,
        output,
        identity=identity,
        issuer=issuer,
        outside=paths,
        also=also or (),
        root=root,
    )
    if model is not None:
        verify_model(opened, model, output)
        return
    sample, bounds = refetching.request()
    steps: list[Step] = []

    def on_step(step: Step) -> None:
        steps.append(step)
        if output.verbose:
            output.line(f"{'ok' if step.ok else 'NO'} {step.number:2} {step.name}: {step.detail}")

    try:
        with output.progress("checking samples") as progress:
            version = opened.verify(reference, data=paths, on_step=on_step, progress=progress)
    except NotTrustedError as error:
        print_warnings(opened, output)
        if not output.json:
            list_findings(error.findings, output)
            raise
        document = _document(reference, steps, verified=False)
        findings = (finding.to_json() for finding in error.findings)
        why = error_to_json(error)
        why.pop("findings", None)
        output.stream(document | {"error": why}, "findings", findings)
        raise typer.Exit(error.exit_code) from None
    print_warnings(opened, output)
    for skipped in version.skipped:
        output.warn(f"bundle {skipped.bundle} is not counted (step {skipped.step}): "
                    f"{skipped.reason}")  # fmt: skip
    if version.first_use:
        output.warn(
            f"first use of {version.head.dataset}: no pin and no earlier verification confirms its"
            f" history; run `provreg pin {version.reference}` to fix it"
        )
    for ignored in version.chain.passed_over:
        output.warn(f"revocation {ignored.number} does not count: {ignored.reason}")
    _warn_of_revoked_samples(opened, version, output)
    document = _document(version.reference, steps, verified=True)
    document["because"] = version.verdict.reason
    _print_result(version, opened.require_trust().origin, paths, output)
    if refetching.refetch:
        refetch(opened, version, document, sample=sample, bounds=bounds, output=output)
    else:
        output.document(document | {"findings": []})


def _warn_of_revoked_samples(opened: Registry, version: VerifiedVersion, output: Output) -> None:
    in_force = version.chain.of(version.head)
    if not in_force:
        return
    count = int(opened.revoked_samples(version).sum())
    if not count:  # this version has none of them
        return
    why = "; ".join(f"{revocation.revocation.samples} {revocation}" for revocation in in_force)
    subject = f"{counted(count, 'sample')} of {version.reference} {'is' if count == 1 else 'are'}"
    output.warn(f"{subject} revoked: {why}")


def _print_result(
    version: VerifiedVersion, origin: str, data: tuple[Path, ...], output: Output
) -> None:
    samples = counted(version.head.samples, "sample")
    what = f"its manifest of {samples} is as signed"
    if data:
        where = ", ".join(str(path) for path in data)
        what = f"{samples} in {where} as signed"
    output.line(f"{version.reference} is verified: {what}")
    output.line(f"  trusted because {version.verdict.reason}")
    output.line(f"  by {origin}")


def _document(reference: str, steps: list[Step], *, verified: bool) -> dict[str, Any]:
    return {
        "ref": reference,
        "verified": verified,
        "steps": [
            {"step": step.number, "name": step.name, "ok": step.ok, "detail": step.detail}
            for step in steps
        ],
    }
