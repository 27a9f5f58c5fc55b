"""`sign receipt:FILE`: signing what a training run could not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from provreg.cli.run_words import receipt_facts
from provreg.cli.session import confirm
from provreg.errors import UsageError

if TYPE_CHECKING:
    from provreg.cli.output import Output
    from provreg.registry import Registry
    from provreg.trust.signer import Signer

RECEIPT = "receipt:"


def receipt_path(reference: str) -> Path | None:
    """The path that `receipt:FILE` names, None for any other reference."""
    if not reference.startswith(RECEIPT):
        return None
    path = reference.removeprefix(RECEIPT)
    if not path:
        raise UsageError("receipt: names no file", hint="write receipt:FILE")
    return Path(path)


def sign_receipt(
    opened: Registry, path: Path, signer: Signer, output: Output, *, yes: bool
) -> None:
    """Shows the receipt that was kept at `path`, signs and stores it, and removes the file."""
    from provreg.core.digest import sha256_digest
    from provreg.flows.publish_receipt import publish_receipt
    from provreg.flows.runs import RunJudge
    from provreg.store.unsigned import drop, read_kept

    unsigned, receipt = read_kept(path)
    output.facts(receipt_facts(sha256_digest(unsigned.statement), receipt))
    confirm("sign this receipt as it is shown above?", yes=yes)
    digest = publish_receipt(opened.workspace, unsigned, signer)
    drop(path)
    run = RunJudge(opened.workspace, opened.trust).run(digest)
    for warning in opened.warnings:
        output.warn(warning)
    because = None if run.refused is None else str(run.refused)
    output.document({"receipt": digest, "trusted": because is None, "because": because})
    output.line(f"receipt {digest} is signed and stored")
    output.line("  trusted here" if because is None else f"  UNTRUSTED here: {because}")
