"""`provreg withdraw`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from provreg.cli.commands.revoke import report
from provreg.cli.ui.options import Opening, Printing, Signing, YesOption
from provreg.cli.ui.session import confirm, open_registry, print_warnings, require_signer

if TYPE_CHECKING:
    from provreg.flows.sign.revoke import RevocationPlan

EXAMPLES = (
    "provreg withdraw 3 --reason 'the labels were right' --sign key:chief.key",
    "provreg withdraw 3 --reason trial --sign keyless --yes",
    "provreg withdraw 3 --reason 'revoked by mistake' --sign key:chief.key --timestamp"
    " https://timestamp.sigstore.dev/api/v1/timestamp",
    "provreg withdraw 3 --reason trial --sign keyless --trust-config sigstore.json",
    "provreg withdraw 3 --reason trial --sign keyless --staging --trusted-root root.json",
)


def withdraw(
    number: Annotated[int, typer.Argument(metavar="N", help="Number of the revocation.")],
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Reason, shown in the list of revocations.")
    ],
    yes: YesOption = False,
    *,
    opening: Opening,
    signing: Signing,
    printing: Printing,
) -> None:
    """Withdraw a revocation.

    What was revoked is usable again, wherever the policy lets you revoke. The withdrawal is signed
    like a revocation and stays in the registry; nothing else ends a revocation.
    """
    output = printing.output()
    opened = open_registry(opening, output, root=signing)
    signer = require_signer(signing, opened, output)
    plans: list[RevocationPlan] = []

    def review(plan: RevocationPlan) -> None:
        plans.append(plan)
        withdraws = plan.revocation.withdraws
        for status in opened.revocations(plan.revocation.dataset):
            if withdraws is not None and status.digest == withdraws.digest:
                output.line(f"revocation {number}: {status.revocation.what}")
                output.line(f"  {status.revocation.reason}")
        confirm(f"withdraw revocation {number}?", yes=yes)

    withdrawn = opened.withdraw(number, reason, signer, confirm=review)
    print_warnings(opened, output)
    report(withdrawn, plans[0], output)
