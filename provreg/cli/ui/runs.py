"""Training runs as text and JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from provreg.cli.ui.render import counted, short, signers_to_json, when
from provreg.core.encoding.canonical import canonical

if TYPE_CHECKING:
    from provreg.cli.ui.output import Output
    from provreg.core.statements.receipt import Code, Receipt, TrainingInput
    from provreg.flows.receipts.exposure import Exposure, UnresolvedReceipt
    from provreg.flows.receipts.runs import TrainingRun

_SHOWN = 3
_MOST_TEXT = 400


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
            asdict(one.on)
            | {
                "revoked": one.revoked,
                "trusted": one.refused is None,
                "because": one.refused and str(one.refused),
            }
            for one in run.versions
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
    for one in run.versions:
        facts[f"trained on {one.name}"] = (
            _handed(one.on)
            + (f"; {one.revoked:,} of them are revoked" if one.revoked else "")
            + (f"; UNTRUSTED: {one.refused}" if one.refused else "")
        )
    return facts | _by_the_signers_word(run.receipt)


def receipt_facts(digest: str, receipt: Receipt) -> dict[str, object]:
    """As `run_facts`, for a receipt that is not signed yet."""
    facts: dict[str, object] = {"receipt": digest, "model": _files(receipt)}
    for on in receipt.datasets:
        facts[f"trained on {on.dataset}@{on.version}"] = _handed(on)
    return facts | _by_the_signers_word(receipt)


def _handed(on: TrainingInput) -> str:
    return f"{on.seen:,} of {counted(on.samples, 'sample')}, {on.handed_out:,} deliveries in total"


def _by_the_signers_word(receipt: Receipt) -> dict[str, object]:
    return {
        "started": f"{when(receipt.started)} (as claimed by the signer)",
        "finished": when(receipt.finished),
        "code": _code(receipt.code),
        "parameters": _cut(canonical(receipt.parameters).decode()),
        "environment": ", ".join(f"{name} {text}" for name, text in receipt.environment.items()),
        "run": receipt.run,
    }


def runs_table(rows: Iterable[Exposure], output: Output) -> None:
    """A line for each run: its model and versions, and how many chosen samples it received."""
    output.table(
        ("receipt", "finished", "model", "trained on", "received", "of", "signed by"),
        [
            (
                short(one.run.digest),
                when(one.run.receipt.finished),
                _files(one.run.receipt),
                ", ".join(
                    standing.name + ("" if standing.refused is None else " (UNTRUSTED)")
                    for standing in one.run.versions
                ),
                one.seen,
                one.chosen,
                signed_by(one.run),
            )
            for one in rows
        ],
        whole=("receipt", "finished"),
    )


def warn_unresolved(untold: Iterable[UnresolvedReceipt], output: Output) -> None:
    """Warns of receipts whose samples cannot be determined."""
    for one in untold:
        output.warn(
            f"cannot tell which samples the run of receipt {short(one.receipt)} received:"
            f" {one.reason}"
        )


def signed_by(run: TrainingRun) -> str:
    """The principals that count, or UNTRUSTED."""
    return ", ".join(signer.principal for signer in run.signers) or "UNTRUSTED"


def _files(receipt: Receipt) -> str:
    names = [file.name for file in receipt.model]
    more = f", … ({len(names)} files)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _code(code: Code) -> str | None:
    said = []
    if code.commit is not None:
        state = {True: "with local changes", False: "unchanged", None: "changes unknown"}[
            code.dirty
        ]
        said.append(f"commit {code.commit}, {state}")
    if code.script is not None:
        said.append(f"script {code.script.name} ({short(code.script.sha256)})")
    return "; ".join(said) or None


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + "… (--json shows all)"
