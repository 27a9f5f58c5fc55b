"""`sign receipt:FILE`: signing what a training run could not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from provreg.cli.run_words import receipt_facts
from provreg.cli.session import confirm
from provreg.errors import UsageError

if TYPE_CHECKING:
    from provreg.cli.output import Output
    from provreg.core.receipt import Receipt
    from provreg.core.unsigned import UnsignedReceipt
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
    opened: Registry,
    path: Path,
    model: Path | None,
    signer: Signer,
    output: Output,
    *,
    yes: bool,
) -> None:
    """Shows the receipt that was kept at `path`, signs and stores it, and removes the file.

    `model` is what came of the run, where that could not be read when the run ended.
    """
    from provreg.core.digest import sha256_digest
    from provreg.flows.publish_receipt import publish_receipt
    from provreg.flows.runs import RunJudge
    from provreg.store.unsigned import drop, read_kept

    unsigned, receipt = read_kept(path)
    if model is not None or not receipt.model:
        unsigned, receipt = _with_model(unsigned, receipt, model, output)
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


def _with_model(
    unsigned: UnsignedReceipt, receipt: Receipt, model: Path | None, output: Output
) -> tuple[UnsignedReceipt, Receipt]:
    """A receipt that names no file, with the files of `model` as they are now."""
    from dataclasses import replace

    from provreg.core.unsigned import UnsignedReceipt
    from provreg.readers.model import hash_model

    if model is None:
        raise UsageError(
            "the receipt names no model: it could not be read when the run ended",
            hint="say where the model is: --model PATH",
        )
    if receipt.model:
        raise UsageError(
            "the receipt names its model's files already", hint="sign it without --model"
        )
    with output.progress("hashing the model") as progress:
        found = replace(receipt, model=hash_model(model, progress=progress))
    bitmaps = {one.head: bits for one, bits in zip(receipt.datasets, unsigned.bitmaps, strict=True)}
    return UnsignedReceipt.of(found, bitmaps.__getitem__), found
