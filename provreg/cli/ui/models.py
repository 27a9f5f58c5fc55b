"""`show model:PATH` and `verify model:PATH`: from the files of a model to its samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from provreg.cli.ui.options import path_after
from provreg.cli.ui.output import Output
from provreg.cli.ui.render import error_to_json
from provreg.cli.ui.runs import run_facts, run_to_json
from provreg.cli.ui.session import print_warnings, warn_damaged
from provreg.core.encoding.text import counted, quoted
from provreg.errors import NotFoundError, NotTrustedError

if TYPE_CHECKING:
    from provreg.flows.receipts.models import ModelMatch
    from provreg.registry import Registry

MODEL = "model:"


def model_path(reference: str) -> Path | None:
    """The path that `model:PATH` names, None for any other reference."""
    return path_after(MODEL, reference, hint="write model:FILE or model:FOLDER")


def show_model(opened: Registry, path: Path, output: Output, *, samples: bool) -> None:
    """The runs that made the model at `path`; with `samples`, the ids of all that they received."""
    with output.progress("hashing the model") as progress:
        matches = opened.runs_of_model(path, progress=progress)
    warn_damaged(opened.damaged, output)
    print_warnings(opened, output)
    if not matches:
        raise NotFoundError(
            f"no receipt in this registry names the files of {quoted(str(path))}",
            hint="`provreg runs` lists all receipts; the model may have changed since its run",
        )
    document = {"model": str(path), "runs": [_match_to_json(match) for match in matches]}
    if samples:
        _show_samples(opened, document, matches, output)
        return
    output.document(document)
    for place, match in enumerate(matches):
        if place:
            output.line()
        output.facts(run_facts(match.run) | {"files": _differences(match)})


def verify_model(opened: Registry, path: Path, output: Output) -> None:
    """Raises NotTrustedError unless a trusted receipt names exactly the files at `path`."""
    reference = f"{MODEL}{path}"
    try:
        trust = opened.require_trust()
        with output.progress("hashing the model") as progress:
            match = opened.verify_model(path, progress=progress)
    except NotTrustedError as error:
        print_warnings(opened, output)
        if not output.json:
            for finding in error.findings:
                output.value(f"{finding.kind}: {finding.id}")
            raise
        why = error_to_json(error)
        findings = why.pop("findings", [])
        output.document(
            {"ref": reference, "verified": False, "steps": [], "findings": findings, "error": why}
        )
        raise typer.Exit(error.exit_code) from None
    warn_damaged(opened.damaged, output)
    print_warnings(opened, output)
    run, files = match.run, len(match.run.receipt.model) if path.is_dir() else 1
    for version in run.versions:
        if version.revoked:
            output.warn(
                f"{counted(version.revoked, 'sample')} of {version.name} that the run received"
                f" {'is' if version.revoked == 1 else 'are'} revoked"
            )
    signers = ", ".join(f"{signer.principal} ({signer.signature})" for signer in run.signers)
    because = f"receipt {run.digest} is signed by {signers}"
    output.document(
        {"ref": reference, "verified": True, "steps": [], "findings": [], "because": because}
    )
    versions = ", ".join(version.name for version in run.versions)
    output.line(
        f"{path} is verified: {counted(files, 'file')} unchanged since the run,"
        f" trained on {versions}"
    )
    output.line(f"  trusted because {because}")
    output.line(f"  by {trust.origin}")


def _show_samples(
    opened: Registry, document: dict[str, Any], matches: list[ModelMatch], output: Output
) -> None:
    found = _samples(opened, matches)
    if output.json:
        output.stream(document, "samples", found)
        return
    for sample in found:
        output.value(f"{sample['dataset']}@{sample['version']} {sample['id']}")


def _samples(opened: Registry, matches: list[ModelMatch]) -> Iterator[dict[str, Any]]:
    """The samples that the best matching run received, in the order of ids."""
    for on, ids in opened.samples_of_run(matches[0].run):
        for chunk in ids.chunks:
            for sample in chunk:
                yield {"dataset": on.dataset, "version": on.version, "id": sample.as_py()}


def _match_to_json(match: ModelMatch) -> dict[str, Any]:
    return run_to_json(match.run) | {"findings": [finding.to_json() for finding in match.findings]}


def _differences(match: ModelMatch) -> str:
    if not match.findings:
        return "unchanged since the run"
    return "CHANGED since the run: " + ", ".join(
        f"{finding.id} {finding.kind}" for finding in match.findings
    )
