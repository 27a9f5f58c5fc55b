"""`provreg revocations`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provreg.cli.ui.options import (
    Opening,
    Printing,
)
from provreg.cli.ui.render import when
from provreg.cli.ui.session import open_registry, print_warnings
from provreg.core.encoding.names import check_dataset_name

if TYPE_CHECKING:
    from provreg.flows.history.revocation_list import RevocationStatus

EXAMPLES = (
    "provreg revocations",
    "provreg revocations cifar10 --policy policy.toml",
    "provreg revocations --json",
)


def revocations(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only those of this dataset.")
    ] = None,
    *,
    opening: Opening,
    printing: Printing,
) -> None:
    """List revocations, and whether each counts.

    With what each revokes, since when, by whom and why; the latest is last. Revocations that the
    policy does not count are listed too, and marked: anybody with write access to the registry can
    add one. The date is the signer's claim.
    """
    output = printing.output()
    if name is not None:
        check_dataset_name(name)
    opened = open_registry(opening, output)
    found = opened.revocations(name)
    print_warnings(opened, output)
    output.document({"revocations": [_to_json(status) for status in found]})
    if not found:
        output.line("no revocations" if name is None else f"no revocations of {name}")
        return
    output.table(
        ("no", "revokes", "created", "signed by", "counts", "reason"),
        [
            (
                status.revocation.number,
                status.revocation.what,
                when(status.revocation.created),
                ", ".join(status.signed_by) or "nobody",
                "yes" if status.in_force else "NO",
                status.revocation.reason,
            )
            for status in found
        ],
        whole=("created",),
    )
    for status in found:
        if status.because is not None:
            counts = "counts" if status.in_force else "does not count"
            output.line(f"revocation {status.revocation.number} {counts}: {status.because}")


def _to_json(status: RevocationStatus) -> dict[str, Any]:
    from provreg.core.statements.revocation import samples_document

    revocation, samples = status.revocation, status.revocation.samples
    previous = revocation.previous
    return {
        "revocation": revocation.number,
        "digest": status.digest,
        "previous": None if previous is None else asdict(previous),
        "dataset": revocation.dataset,
        "uid": revocation.uid,
        "version": revocation.version,
        "head": revocation.head,
        "samples": None if samples is None else samples_document(samples),
        "withdraws": revocation.withdraws and revocation.withdraws.number,
        "reason": revocation.reason,
        "created": when(revocation.created),
        "in_force": status.in_force,
        "because": status.because,
        "by": list(status.by),
        "signed_by": list(status.signed_by),
    }
