"""`sign receipt:FILE`: signing a receipt that a training run could not sign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from provreg.cli.ui.runs import receipt_facts
from provreg.cli.ui.session import confirm, print_warnings
from provreg.errors import UsageError

if TYPE_CHECKING:
    from provreg.cli.ui.output import Output
    from provreg.core.statements.receipt import Receipt
    from provreg.registry import Registry
    from provreg.trust.signers import Signer

RECEIPT = "receipt:"


def receipt_path(reference: str) -> Path | None:
    """The path that `receipt:FILE` names, None for any other reference."""
    if not reference.startswith(RECEIPT):
        return None
    path = reference.removeprefix(RECEIPT)
    if not path:
        raise UsageError("`receipt:` has no path", hint="write receipt:FILE")
    return Path(path)


def sign_receipt(
    opened: Registry,
    path: Path,
    model: Path | None,
    signer: Signer,
    output: Output,
    *,
    yes: bool,
) -> None:
    """Shows the pending receipt at `path`, signs and stores it, and removes the file.

    `model` is the run's model, if it could not be read when the run ended.
    """

    def review(digest: str, receipt: Receipt) -> None:
        output.facts(receipt_facts(digest, receipt))
        confirm("sign this receipt as shown above?", yes=yes)

    with output.progress("hashing the model") as progress:
        run = opened.sign_receipt(path, signer, model=model, confirm=review, progress=progress)
    print_warnings(opened, output)
    because = None if run.refused is None else str(run.refused)
    output.document({"receipt": run.digest, "trusted": because is None, "because": because})
    output.line(f"receipt {run.digest} is signed and stored")
    output.line("  trusted here" if because is None else f"  UNTRUSTED here: {because}")
