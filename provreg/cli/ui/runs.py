"""Training runs as text and JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from provreg.cli.ui.render import short, signers_to_json, when
from provreg.core.encoding.canonical import canonical
from provreg.core.encoding.text import counted, quoted

if TYPE_CHECKING:
    from provreg.cli.ui.output import Output
    from provreg.core.statements.receipt import Code, Receipt, TrainingInput
    from provreg.flows.receipts.exposure import Exposure, UnresolvedReceipt
    from provreg.flows.receipts.runs import TrainingRun

_SHOWN = 3
_MOST_TEXT = 400
# Checkpoints of one run have the same.
_RUN_DIGITS = 8


def run_to_json(run: TrainingRun) -> dict[str, Any]:
    """A run as every command prints it."""
    receipt = run.receipt
    return {
        "receipt": run.digest,
        "run": receipt.run,
        "started": when(receipt.started),
        "finished": when(receipt.finished),
        "model": [asdict(file) for file in receipt.model],
        "datasets": [
            asdict(version.on)
            | {
                "revoked": version.revoked,
                "trusted": version.refused is None,
                "because": version.refused and str(version.refused),
            }
            for version in run.versions
        ],
        "code": asdict(receipt.code),
        "parameters": receipt.parameters,
        "environment": receipt.environment,
        "trusted": run.refused is None,
        "because": run.refused and str(run.refused),
        "signers": signers_to_json(run),
    }


def run_facts(run: TrainingRun) -> dict[str, object]:
    """A run's facts for people, a line each."""
    facts: dict[str, object] = {
        "receipt": run.digest,
        "signed by": signed_by(run),
        "because": run.refused and str(run.refused),
        "model": _files(run.receipt),
    }
    for version in run.versions:
        facts[f"trained on {version.name}"] = (
            _deliveries(version.on)
            + (f"; {version.revoked:,} of them are revoked" if version.revoked else "")
            + (f"; UNTRUSTED: {version.refused}" if version.refused else "")
        )
    return facts | _claims(run.receipt)


def receipt_facts(digest: str, receipt: Receipt) -> dict[str, object]:
    """As `run_facts`, for a receipt that is not signed yet."""
    facts: dict[str, object] = {"receipt": digest, "model": _files(receipt)}
    for on in receipt.datasets:
        facts[f"trained on {on.dataset}@{on.version}"] = _deliveries(on)
    return facts | _claims(receipt)


def _deliveries(on: TrainingInput) -> str:
    text = f"{on.seen:,} of {counted(on.samples, 'sample')}, {on.handed_out:,} deliveries in total"
    if on.skipped is None:
        return text
    ids = ", ".join(map(quoted, on.skipped.ids[:_SHOWN]))
    more = ", …" if on.skipped.samples > _SHOWN else ""
    return f"{text}; skipped, not as signed: {on.skipped.samples:,} ({ids}{more})"


def _claims(receipt: Receipt) -> dict[str, object]:
    return {
        "started": f"{when(receipt.started)} (as claimed by the signer)",
        "finished": when(receipt.finished),
        "code": _code(receipt.code),
        "parameters": _shortened(canonical(receipt.parameters).decode()),
        "environment": ", ".join(f"{name} {text}" for name, text in receipt.environment.items()),
        "run": receipt.run,
    }


def runs_table(exposures: Iterable[Exposure], output: Output) -> None:
    """A line for each receipt: its run, model and versions, and how many chosen samples the run
    received."""
    output.table(
        (
            "receipt", "finished", "run", "script", "model", "trained on", "received", "of",
            "signed by",
        ),
        [
            (
                short(exposure.run.digest),
                when(exposure.run.receipt.finished),
                exposure.run.receipt.run[:_RUN_DIGITS],
                _script(exposure.run.receipt.code),
                _files(exposure.run.receipt),
                ", ".join(
                    version.name + ("" if version.refused is None else " (UNTRUSTED)")
                    for version in exposure.run.versions
                ),
                exposure.seen,
                exposure.chosen,
                signed_by(exposure.run),
            )
            for exposure in exposures
        ],
        whole=("receipt", "finished"),
    )  # fmt: skip


def warn_unresolved(unresolved: Iterable[UnresolvedReceipt], output: Output) -> None:
    """Warns of receipts whose samples cannot be determined."""
    for receipt in unresolved:
        output.warn(
            f"cannot tell which samples the run of receipt {short(receipt.receipt)} received:"
            f" {receipt.reason}"
        )


def signed_by(run: TrainingRun) -> str:
    """The principals that count, or UNTRUSTED."""
    return ", ".join(signer.principal for signer in run.signers) or "UNTRUSTED"


def _files(receipt: Receipt) -> str:
    """The model's files, behind the name of their folder if it was recorded."""
    names = [file.name for file in receipt.model]
    more = f", … ({len(names)} files)" if len(names) > _SHOWN else ""
    files = ", ".join(names[:_SHOWN]) + more
    path = receipt.model_path()
    return files if path in ("", files) else f"{_shortened(path)}: {files}"


def _script(code: Code) -> str | None:
    return None if code.script is None else code.script.name


def _code(code: Code) -> str | None:
    facts = []
    if code.commit is not None:
        state = {True: "with local changes", False: "unchanged", None: "changes unknown"}[
            code.dirty
        ]
        facts.append(f"commit {code.commit}, {state}")
    if code.script is not None:
        facts.append(f"script {code.script.name} ({short(code.script.sha256)})")
    return "; ".join(facts) or None


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + "… (--json shows all)"
