"""`show model:PATH` and `verify model:PATH`: from the files of a model to its samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from provreg.cli.ui.output import Output
from provreg.cli.ui.render import counted, error_to_json
from provreg.cli.ui.runs import run_facts, run_to_json
from provreg.cli.ui.session import say_damage
from provreg.core.encoding.text import quoted
from provreg.errors import NotFoundError, NotTrustedError, UsageError

if TYPE_CHECKING:
    from provreg.flows.receipts.models import ModelMatch
    from provreg.registry import Registry

MODEL = "model:"


def model_path(reference: str) -> Path | None:
    """The path that `model:PATH` names, None for any other reference."""
    if not reference.startswith(MODEL):
        return None
    path = reference.removeprefix(MODEL)
    if not path:
        raise UsageError("`model:` has no path", hint="write model:FILE or model:FOLDER")
    return Path(path)


def show_model(opened: Registry, path: Path, output: Output, *, samples: bool) -> None:
    """The runs that made the model at `path`; with `samples`, the ids of all that they received."""
    with output.progress("hashing the model") as progress:
        made = opened.runs_of_model(path, progress=progress)
    say_damage(opened.damaged, output)
    _warn(opened, output)
    if not made:
        raise NotFoundError(
            f"no receipt in this registry names the files of {quoted(str(path))}",
            hint="`provreg runs` lists all receipts; the model may have changed since its run",
        )
    document = {"model": str(path), "runs": [_made_to_json(one) for one in made]}
    if samples:
        _show_samples(opened, document, made, output)
        return
    output.document(document)
    for place, one in enumerate(made):
        if place:
            output.line()
        output.facts(run_facts(one.run) | {"files": _differences(one)})


def verify_model(opened: Registry, path: Path, output: Output) -> None:
    """Raises NotTrustedError unless a trusted receipt names exactly the files at `path`."""
    reference = f"{MODEL}{path}"
    try:
        trust = opened.require_trust()
        with output.progress("hashing the model") as progress:
            made = opened.verify_model(path, progress=progress)
    except NotTrustedError as error:
        _warn(opened, output)
        if not output.json:
            for finding in error.findings:
                output.line(f"{finding.kind}: {finding.id}")
            raise
        why = error_to_json(error)
        findings = why.pop("findings", [])
        output.document(
            {"ref": reference, "verified": False, "steps": [], "findings": findings, "error": why}
        )
        raise typer.Exit(error.exit_code) from None
    say_damage(opened.damaged, output)
    _warn(opened, output)
    run, files = made.run, len(made.run.receipt.model) if path.is_dir() else 1
    for one in run.versions:
        if one.revoked:
            output.warn(
                f"{counted(one.revoked, 'sample')} of {one.name} that the run received"
                f" {'is' if one.revoked == 1 else 'are'} revoked"
            )
    signers = ", ".join(f"{one.principal} ({one.signature})" for one in run.signers)
    because = f"receipt {run.digest} is signed by {signers}"
    output.document(
        {"ref": reference, "verified": True, "steps": [], "findings": [], "because": because}
    )
    versions = ", ".join(one.name for one in run.versions)
    output.line(
        f"{path} is verified: {counted(files, 'file')} unchanged since the run,"
        f" trained on {versions}"
    )
    output.line(f"  trusted because {because}")
    output.line(f"  by {trust.origin}")


def _show_samples(
    opened: Registry, document: dict[str, Any], made: list[ModelMatch], output: Output
) -> None:
    found = _samples(opened, made)
    if output.json:
        output.stream(document, "samples", found)
        return
    for sample in found:
        output.line(f"{sample['dataset']}@{sample['version']} {sample['id']}")


def _samples(opened: Registry, made: list[ModelMatch]) -> Iterator[dict[str, Any]]:
    """The samples that the best matching run received, in the order of ids."""
    for on, ids in opened.samples_of_run(made[0].run):
        for chunk in ids.chunks:
            for sample in chunk:
                yield {"dataset": on.dataset, "version": on.version, "id": sample.as_py()}


def _made_to_json(made: ModelMatch) -> dict[str, Any]:
    return run_to_json(made.run) | {"findings": [one.to_json() for one in made.findings]}


def _differences(made: ModelMatch) -> str:
    if not made.findings:
        return "unchanged since the run"
    return "CHANGED since the run: " + ", ".join(f"{one.id} {one.kind}" for one in made.findings)


def _warn(opened: Registry, output: Output) -> None:
    for warning in opened.warnings:
        output.warn(warning)
